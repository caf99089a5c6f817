//! Every action compared with a plain definition of it over `char`s.

use proptest::prelude::*;

use super::*;

#[path = "../../unicode/title.rs"]
mod title_by_definition;

/// The last code point of loops over all of them; Miri is a few hundred times slower.
const LAST: char = if cfg!(miri) { '\u{7ff}' } else { char::MAX };

/// How many times a text is repeated at most: enough for several blocks of preprocessing (fewer under Miri).
const MAX_REPEATS: usize = if cfg!(miri) { 3 } else { 100 };

fn generator() -> fastrand::Rng {
    fastrand::Rng::with_seed(7)
}

/// The output of `apply` for any bytes, with an `out` of exactly `max_output_len` bytes.
fn applied(action: Action, bytes: &[u8], limit: usize) -> Result<Vec<u8>, InvalidUtf8> {
    let mut text = bytes.to_vec();
    let mut out = vec![0; action.max_output_len(bytes.len(), limit)];
    match action.apply(&mut text, &mut out, &mut generator(), limit)? {
        Placed::InPlace => Ok(text),
        Placed::Out(length) => Ok(out[..length].to_vec()),
    }
}

fn output(action: Action, text: &str) -> String {
    let bytes = applied(action, text.as_bytes(), 1000).expect("text is UTF-8");
    String::from_utf8(bytes).expect("the output is UTF-8")
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// `str.title()`, one code point after another, as Python's documentation and sources define it.
fn titled(text: &str) -> String {
    let mut output = String::new();
    let mut inside = false;
    for (at, code_point) in text.char_indices() {
        match (inside, code_point) {
            (true, 'Σ') => output.push(std_sigma(text, at)),
            (true, _) => output.extend(code_point.to_lowercase()),
            (false, _) => output.push_str(&title_by_definition::of(code_point)),
        }
        inside = is_cased(code_point);
    }
    output
}

/// Whether a code point has the property `Lowercase` or `Uppercase`, or is of category `Lt`.
fn is_cased(code_point: char) -> bool {
    let is_title = matches!(
        code_point,
        'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | 'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ'
    );
    is_title || code_point.is_lowercase() || code_point.is_uppercase()
}

/// The lower case that `str::to_lowercase` gives the sigma at `at` in its context.
fn std_sigma(text: &str, at: usize) -> char {
    let before = text[..at].to_lowercase().chars().count();
    text.to_lowercase().chars().nth(before).expect("a sigma at this index")
}

fn sorted(text: &str) -> Vec<char> {
    let mut code_points: Vec<_> = text.chars().collect();
    code_points.sort_unstable();
    code_points
}

/// A text that has arrived in pieces of these lengths, and a last one with the rest, after preprocessing; and the index
/// up to which it is processed.
fn preprocessed(action: Action, text: &[u8], pieces: &[usize]) -> (Vec<u8>, usize) {
    let mut bytes = text.to_vec();
    let (mut arrived, mut done): (usize, usize) = (0, 0);
    for piece in pieces.iter().copied().chain([usize::MAX]) {
        arrived = text.len().min(arrived.saturating_add(piece));
        done = action.preprocess(&mut bytes[..arrived], done, usize::MAX);
    }
    (bytes, done)
}

/// Whether preprocessing has to reach the end of a text: each code point keeps its length and is no sigma, or is ASCII.
fn is_preprocessed_to_the_end(action: Action, text: &str) -> bool {
    match action {
        Action::Uppercase => text.chars().all(|code_point| keeps_length(code_point, code_point.to_uppercase())),
        Action::Lowercase => {
            !text.contains('Σ') && text.chars().all(|code_point| keeps_length(code_point, code_point.to_lowercase()))
        }
        _ => text.is_ascii(),
    }
}

fn keeps_length(code_point: char, mapped: impl Iterator<Item = char>) -> bool {
    mapped.map(char::len_utf8).sum::<usize>() == code_point.len_utf8()
}

/// Windows have 64 bytes.
#[test]
fn case_of_a_code_point_split_between_windows() {
    let last = if cfg!(miri) { '\u{100}' } else { char::MAX };
    let has_case = |c: &char| !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]);
    for code_point in ('\0'..=last).filter(has_case).chain("×«漢ꙁ、한“😀".chars()) {
        for before in 60..=65 {
            // `ŉ` and `Ⱥ` grow in upper and lower case: what follows is not converted in place
            for front in ["", "ŉȺ"] {
                let text = format!("{front}{}{code_point}{}", "a".repeat(before), "Z".repeat(70));
                assert_eq!(output(Action::Uppercase, &text), text.to_uppercase());
                assert_eq!(output(Action::Lowercase, &text), text.to_lowercase());
            }
        }
    }
}

/// By windows, and by scalar conversion where windows do not support a code point.
#[test]
fn case_of_every_letter_among_other_scripts() {
    let has_case = |c: &char| !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]);
    for code_point in ('\0'..=LAST).filter(has_case) {
        for (other, count) in ["a", "Z", "é", "ſ", "Ơ", "ệ", "ώ", "Ж", "Ա", "ა", "漢", "😀", "𐐨"].into_iter().zip(1..)
        {
            let text = format!("{}{code_point}{}", other.repeat(count), code_point.to_string().repeat(70 / count));
            assert_eq!(output(Action::Uppercase, &text), text.to_uppercase());
            assert_eq!(output(Action::Lowercase, &text), text.to_lowercase());
        }
    }
}

#[test]
fn from_name_inverts_name() {
    for action in Action::ALL {
        assert_eq!(Action::from_name(action.name()), Some(action));
    }
    for unknown in ["", "Uppercase", "upper", "title", "reverse "] {
        assert_eq!(Action::from_name(unknown), None);
    }
}

#[test]
fn ascii_examples_of_the_protocols() {
    for (action, text, expected) in [
        (Action::Reverse, "The LAN Before Time", "emiT erofeB NAL ehT"),
        (Action::Uppercase, "Pretty Fly for a Wi-Fi", "PRETTY FLY FOR A WI-FI"),
        (Action::Lowercase, "WI-FIght the inevitable?", "wi-fight the inevitable?"),
        (Action::Reverse, "Hello World", "dlroW olleH"),
        (Action::Uppercase, "Hello World", "HELLO WORLD"),
        (Action::Uppercase, "it worked!", "IT WORKED!"),
        (Action::TitleCase, "they're bill's friends from the UK", "They'Re Bill'S Friends From The Uk"),
    ] {
        assert_eq!(output(action, text), expected);
    }
}

#[test]
fn examples_that_are_not_ascii() {
    for (action, text, expected) in [
        (Action::Uppercase, "straße", "STRASSE"),
        (Action::Uppercase, "ΐ ŉ ﬃ", "\u{399}\u{308}\u{301} \u{2bc}N FFI"),
        (Action::Lowercase, "ΟΔΥΣΣΕΥΣ ΣΑΣ. Σ", "οδυσσευς σας. σ"),
        (Action::Lowercase, "İ Ⱥ K", "i\u{307} ⱥ k"),
        (Action::TitleCase, "ǆungla ßa ﬁn ᾳ ΌΣΟΣ აბ", "ǅungla Ssa Fin ᾼ Όσος აბ"),
        (Action::TitleCase, "3ABC-äö漢ÄÖ", "3Abc-Äö漢Äö"),
        (Action::TitleCase, "ǅX ᾏX ᾟX ᾯX ᾼX ῌX ῼX", "ǅx ᾏx ᾟx ᾯx ᾼx ῌx ῼx"),
        (Action::Reverse, "añ漢😀b", "b😀漢ña"),
    ] {
        assert_eq!(output(action, text), expected);
    }
}

#[test]
fn empty_text_has_empty_output() {
    for action in Action::ALL {
        assert_eq!(output(action, ""), "", "{action:?}");
    }
}

#[test]
fn invalid_utf8_is_rejected_at_any_index() {
    for action in Action::ALL {
        for length in [1, 64, 5000, 20_000] {
            for at in [0, length / 2, length - 1] {
                let mut bytes = vec![b'a'; length];
                bytes[at] = 0xff;
                assert_eq!(applied(action, &bytes, length), Err(InvalidUtf8), "{action:?} {at} of {length}");
            }
        }
        assert_eq!(applied(action, "ab漢".as_bytes().split_last().expect("not empty").1, 9), Err(InvalidUtf8));
    }
}

#[test]
fn case_of_every_code_point_alone_and_in_a_word() {
    let cased = LAST.min('\u{1ffff}'); // the next test has those beyond
    for code_point in '\0'..=cased {
        let text = code_point.to_string();
        assert_eq!(output(Action::Uppercase, &text), text.to_uppercase());
        assert_eq!(output(Action::Lowercase, &text), text.to_lowercase());
    }
    for code_point in ('\0'..=LAST).filter(|code_point| *code_point < '\u{2000}' || *code_point as u32 % 16 == 0) {
        let text = format!("a{code_point}Σ{code_point}Σb Σ{code_point} {code_point}Σ");
        assert_eq!(output(Action::Lowercase, &text), text.to_lowercase(), "{text}");
        assert_eq!(output(Action::TitleCase, &text), titled(&text), "{text}");
    }
}

#[test]
fn text_of_all_code_points() {
    let text: String = ('\0'..=LAST).collect();
    assert!(output(Action::Uppercase, &text) == text.to_uppercase());
    assert!(output(Action::Lowercase, &text) == text.to_lowercase());
    assert!(output(Action::Reverse, &text) == reversed(&text));
}

/// A new version of Unicode with a code point that grows more fails here.
#[test]
fn max_output_len_is_the_least_bound_for_every_code_point() {
    let growth = |action: Action| {
        let bound = |code_point: char| action.max_output_len(code_point.len_utf8(), 0);
        let mapped = |code_point: char| match action {
            Action::Uppercase => code_point.to_uppercase().map(char::len_utf8).sum::<usize>(),
            Action::Lowercase => code_point.to_lowercase().map(char::len_utf8).sum(),
            _ => title_by_definition::of(code_point).len(),
        };
        ('\0'..=char::MAX).map(|code_point| (mapped(code_point), bound(code_point))).collect::<Vec<_>>()
    };
    if cfg!(miri) {
        return;
    }
    for action in [Action::Uppercase, Action::Lowercase, Action::TitleCase] {
        let growth = growth(action);
        assert!(growth.iter().all(|(mapped, bound)| mapped <= bound), "{action:?}");
        assert!(growth.iter().any(|(mapped, bound)| mapped == bound && *bound > 1), "{action:?}");
    }
}

/// Around the sizes of windows and blocks.
#[test]
fn apply_and_apply_ascii_agree_at_any_length() {
    let sizes = (0..200).chain([255, 256, 257, 4095, 4096, 4097, 8191, 8192, 8193, 12_289, 20_000]);
    for size in sizes.step_by(if cfg!(miri) { 37 } else { 1 }) {
        let text: String = ('!'..='~').cycle().step_by(7).take(size).collect();
        for action in Action::ALL.into_iter().filter(|action| action.ascii_in_place()) {
            let mut bytes = text.clone().into_bytes();
            action.apply_ascii(&mut bytes, &mut generator());
            assert_eq!(bytes, output(action, &text).as_bytes(), "{action:?} {size}");
        }
        assert_eq!(output(Action::Uppercase, &text), text.to_uppercase());
        assert_eq!(output(Action::Lowercase, &text), text.to_lowercase());
        assert_eq!(output(Action::TitleCase, &text), titled(&text));
        assert_eq!(output(Action::Reverse, &text), reversed(&text));
        assert_eq!(sorted(&output(Action::Shuffle, &text)), sorted(&text));
    }
}

#[test]
#[should_panic(expected = "does not keep the length")]
fn apply_ascii_panics_for_random() {
    Action::Random.apply_ascii(&mut [b'a'], &mut generator());
}

/// A code point that is not ASCII, or grows, around the ends of windows and blocks.
#[test]
fn one_non_ascii_code_point_in_ascii_text() {
    let places = (0..140).chain(440..460).chain(4090..4100).chain(8180..8200).chain([9999]);
    for at in places.step_by(if cfg!(miri) { 53 } else { 1 }) {
        for letter in ["é", "ß", "漢", "😀", "ΑΣ", "ΐ"] {
            let text = format!("{}{letter}{}", "Ab".repeat(at / 2), "c D".repeat(100));
            assert!(output(Action::Uppercase, &text) == text.to_uppercase(), "{letter} at {at}");
            assert!(output(Action::Lowercase, &text) == text.to_lowercase(), "{letter} at {at}");
            assert!(output(Action::Reverse, &text) == reversed(&text), "{letter} at {at}");
        }
    }
}

/// A sigma between any two code points of ASCII, combining marks and the Greek blocks, and others, at changing places of
/// windows; with a mark before it, and with a full stop after it.
#[test]
fn the_neighbours_of_a_sigma_decide_its_form() {
    let others = ["é", "Ж", "漢", "ა", "ß", "𐐨", "ΣΣ", "\u{370}\u{301}"].map(String::from);
    let step = if cfg!(miri) { 37 } else { 1 };
    let blocks = ['\0'..='\u{7f}', '\u{300}'..='\u{3ff}', '\u{1f00}'..='\u{1fff}'];
    let single = blocks.into_iter().flatten().step_by(step).map(String::from);
    let neighbours: Vec<String> = single.chain(others).collect();
    let sigmas = ["Σ", "Σ.", "\u{342}Σ", "\u{345}Σ.", "\u{330}Σ"];
    for (before, sigma) in neighbours.iter().flat_map(|before| sigmas.map(|sigma| (before, sigma))) {
        let text: String = neighbours.iter().flat_map(|after| [before, sigma, after, " "]).collect();
        assert!(output(Action::Lowercase, &text) == text.to_lowercase(), "{sigma:?} after {before:?}");
    }
}

/// A sigma looks back over a whole window of full stops or marks, at a code point that is split between the windows before.
#[test]
fn a_sigma_looks_back_at_a_split_code_point() {
    let step = if cfg!(miri) { 997 } else { 1 };
    let letters = ('\u{370}'..='\u{3ff}').chain('\u{1f00}'..='\u{1fff}').step_by(step);
    for (letter, front) in letters.flat_map(|letter| (59..65).map(move |front| (letter, front))) {
        for ignorable in [".".repeat(61), ".".repeat(62), "\u{301}".repeat(30) + ".", "\u{301}".repeat(31)] {
            let text = format!("é{}{letter}{ignorable}Σ x", "a".repeat(front));
            assert!(output(Action::Lowercase, &text) == text.to_lowercase(), "{letter:?} after {front}: {ignorable}");
        }
    }
}

/// Each sigma scans in both directions: linear only if a scan ends at the next one.
#[test]
fn sigmas_and_full_stops_take_linear_time() {
    let length = if cfg!(miri) { 100 } else { 200_000 };
    for (text, expected) in [
        ("Σ".repeat(length), "σ".repeat(length - 1) + "ς"),
        (format!("AΣ{}", ".".repeat(length)), format!("aς{}", ".".repeat(length))),
        ("AΣ.".repeat(length), "aσ.".repeat(length - 1) + "aς."),
        (format!("A{}Σ", "\u{301}".repeat(length)), format!("a{}ς", "\u{301}".repeat(length))),
    ] {
        assert!(output(Action::Lowercase, &text) == expected);
    }
}

#[test]
fn random_output_is_within_the_limit() {
    let text = "aß漢😀".repeat(50);
    for limit in [4, 5, 6, 7, 100, 1000] {
        let bytes = applied(Action::Random, text.as_bytes(), limit).expect("text is UTF-8");
        assert!((1..=limit).contains(&bytes.len()));
        let output = String::from_utf8(bytes).expect("complete code points");
        assert!(output.chars().all(|code_point| text.contains(code_point)));
    }
}

/// Text in which case, length of code points and context of sigmas change often.
fn varied_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z '.-]{1,40}",
        2 => "[а-яА-ЯёЁѠ-ѿ ]{1,20}",
        2 => "[À-ſ ]{1,20}",
        2 => "[Α-ΡΣ-Ωα-ωά-ώΆ-Ώ .'\u{301}]{1,20}",
        2 => "[a-zđĐơƠưƯ ạ-ỹẠ-Ỹ]{1,30}",
        1 => "[Ა-Ჿა-ჿ ]{1,30}",
        1 => "[Ꭰ-Ᏽꭰ-ꮿ ]{1,30}",
        1 => "[Ա-Ֆա-և ɐ-ʯƀ-ɏѠ-ԯἀ-ῼ]{1,30}",
        1 => "[ΣΑ.]{1,8}",
        1 => "[漢字かな、Ａａ가]{1,20}",
        1 => "[ßŉΐﬃᾳǆıİȺſ]{1,4}",
        1 => "[😀𐐨𐐀]{1,4}",
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn cases() -> ProptestConfig {
    // no file of past failures: Miri has no file system
    let cases = if cfg!(miri) { 4 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn upper_and_lower_case_equal_std(text in varied_text()) {
        prop_assert_eq!(output(Action::Uppercase, &text), text.to_uppercase());
        prop_assert_eq!(output(Action::Lowercase, &text), text.to_lowercase());
    }

    /// The output after preprocessing in pieces is the output without, and the converted part is a prefix of it.
    #[test]
    fn preprocessing_keeps_the_output(text in varied_text(), repeat in 1..MAX_REPEATS, pieces in prop::collection::vec(1..9000_usize, 0..8)) {
        let text = text.repeat(repeat);
        for action in Action::ALL.into_iter().filter(|action| action.ascii_in_place() && *action != Action::Shuffle) {
            let (bytes, done) = preprocessed(action, text.as_bytes(), &pieces);
            prop_assert_eq!(applied(action, &bytes, 1000), applied(action, text.as_bytes(), 1000));
            prop_assert!(done == text.len() || !is_preprocessed_to_the_end(action, &text), "{} of {}", done, text.len());
            if action.transforms_incrementally() {
                prop_assert!(output(action, &text).as_bytes().starts_with(&bytes[..done]));
            } else {
                prop_assert!(bytes[..done].is_ascii());
            }
        }
    }

    #[test]
    fn title_case_equals_the_definition(text in varied_text()) {
        prop_assert_eq!(output(Action::TitleCase, &text), titled(&text));
    }

    #[test]
    fn reverse_is_its_own_inverse(text in varied_text()) {
        let once = output(Action::Reverse, &text);
        prop_assert_eq!(&once, &reversed(&text));
        prop_assert_eq!(output(Action::Reverse, &once), text);
    }

    #[test]
    fn shuffle_keeps_every_code_point(text in varied_text()) {
        prop_assert_eq!(sorted(&output(Action::Shuffle, &text)), sorted(&text));
    }

    #[test]
    fn apply_fails_exactly_for_invalid_utf8(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let valid = std::str::from_utf8(&bytes).is_ok();
        for action in Action::ALL {
            prop_assert_eq!(applied(action, &bytes, 300).is_ok(), valid);
        }
    }
}
