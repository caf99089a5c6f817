//! Rejects words that only this project used for things that have a standard name, in code, comments, messages and
//! documents. CONTRIBUTING.md ("Style") has the rules that a program cannot check.

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases without a good use here, and what to write instead. Words are compared in lower case; punctuation,
/// underscores and line ends separate them.
const BANNED: &[(&str, &str)] = &[
    ("an answer", "a reply"),
    ("answers", "replies"),
    ("the answer", "the reply"),
    ("are told", "are notified, or the name of the message"),
    ("come round", "complete an iteration"),
    ("comes round", "completes an iteration"),
    ("end its side", "half-close"),
    ("ended its side", "half-closed"),
    ("ends its side", "half-closes"),
    ("is told", "is notified, or the name of the message"),
    ("letter box", "mailbox"),
    ("mend", "correct, or fix"),
    ("mended", "corrected, or fixed"),
    ("mends", "corrects, or fixes"),
    ("owed", "pending"),
    ("owes", "has pending replies"),
    ("so long", "the name of the time"),
    ("so many", "the name of the number"),
    ("spill", "reply buffer"),
    ("spilled", "copied to the reply buffer"),
    ("stands in", "is in, or replaces"),
    ("under way", "in flight, or in progress"),
    ("who asks", "a client that sends a request"),
    ("who never", "a client that never"),
    ("who reads", "a client that reads"),
    ("whoever", "any client that, or every caller that"),
];

/// Directories and files that are not written by hand, or quote history, or (this one) name the phrases.
const EXEMPT: &[&str] = &[
    ".git",
    "CHANGELOG.md",
    "Cargo.lock",
    "fuzz/Cargo.lock",
    "fuzz/artifacts",
    "fuzz/corpus",
    "fuzz/coverage",
    "fuzz/target",
    "packaging/debian/changelog",
    "target",
    "tests/language.rs",
    "vendor",
];

/// The files below `directory` that are text; links are not followed.
fn text_files(root: &Path, directory: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).expect("list files").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        let below = path.strip_prefix(root).expect("below the root").to_path_buf();
        let kind = entry.file_type().expect("the type of a file");
        if EXEMPT.iter().any(|exempt| below == Path::new(exempt)) {
            continue;
        }
        if kind.is_dir() {
            text_files(root, &path, files);
        } else if kind.is_file() {
            files.extend(fs::read_to_string(&path).ok().map(|text| (below, text)));
        }
    }
}

/// The words of a text in lower case, each with the number of its line.
fn words(text: &str) -> Vec<(usize, String)> {
    let of_line = |(number, line): (usize, &str)| {
        let words = line.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(|word| (number + 1, word.to_lowercase())).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(of_line).collect()
}

/// Each use of a banned phrase, as `LINE: PHRASE: SUGGESTION`.
fn banned(text: &str) -> Vec<String> {
    let words = words(text);
    let uses = BANNED.iter().flat_map(|(phrase, instead)| {
        let phrase_words: Vec<&str> = phrase.split(' ').collect();
        let places = words.windows(phrase_words.len());
        let places = places.filter(move |place| place.iter().map(|(_, word)| word).eq(&phrase_words));
        places.map(move |place| format!("{}: '{phrase}': write {instead}", place[0].0)).collect::<Vec<_>>()
    });
    uses.collect()
}

#[test]
fn phrases_are_found_across_lines_and_inside_names() {
    assert_eq!(banned("/// It comes\n    /// round.").len(), 1);
    assert_eq!(banned("fn owed_bytes() {}\nfn an_answer() {}").len(), 2);
    assert_eq!(banned("answered 4, unanswered; recommended; it follows round-robin").len(), 0);
}

#[test]
fn no_file_has_a_banned_phrase() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    text_files(root, root, &mut files);
    assert!(files.len() > 250, "{} files found", files.len());
    let describe = |(path, text): &(PathBuf, String)| {
        let uses = banned(text).into_iter();
        uses.map(|found| format!("{}:{found}", path.display())).collect::<Vec<_>>()
    };
    let uses: Vec<String> = files.iter().flat_map(describe).collect();
    assert!(uses.is_empty(), "phrases of CONTRIBUTING.md's style:\n{}", uses.join("\n"));
}
