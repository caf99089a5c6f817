//! Every action against a plain definition of it over `char`s.

use proptest::prelude::*;

use super::*;

#[path = "../../unicode/title.rs"]
mod title_by_definition;

/// The last code point of loops over all of them; miri is some hundred times slower.
const LAST: char = if cfg!(miri) { '\u{7ff}' } else { char::MAX };

/// How often a text is repeated at most, so that it comes in several pieces.
const MOST_REPEATS: usize = if cfg!(miri) { 3 } else { 100 };

fn source() -> fastrand::Rng {
    fastrand::Rng::with_seed(7)
}

/// What `apply` makes of any bytes, with exactly as much room as it asks for.
fn applied(action: Action, bytes: &[u8], limit: usize) -> Result<Vec<u8>, InvalidUtf8> {
    let mut text = bytes.to_vec();
    let mut out = vec![0; action.max_output_len(bytes.len(), limit)];
    match action.apply(&mut text, &mut out, &mut source(), limit)? {
        Placed::InPlace => Ok(text),
        Placed::Out(length) => Ok(out[..length].to_vec()),
    }
}

fn answer(action: Action, text: &str) -> String {
    let bytes = applied(action, text.as_bytes(), 1000).expect("text is UTF-8");
    String::from_utf8(bytes).expect("the answer is UTF-8")
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// `str.title()` as Python's documentation and sources have it, for one code point after another.
fn titled(text: &str) -> String {
    let mut answer = String::new();
    let mut inside = false;
    for (at, code_point) in text.char_indices() {
        match (inside, code_point) {
            (true, 'Σ') => answer.push(std_sigma(text, at)),
            (true, _) => answer.extend(code_point.to_lowercase()),
            (false, _) => answer.push_str(&title_by_definition::of(code_point)),
        }
        inside = is_cased(code_point);
    }
    answer
}

/// Whether a code point has the property `Lowercase` or `Uppercase`, or is of category `Lt`.
fn is_cased(code_point: char) -> bool {
    let is_title = matches!(
        code_point,
        'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | 'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ'
    );
    is_title || code_point.is_lowercase() || code_point.is_uppercase()
}

/// What `str::to_lowercase` makes of the sigma at `at` where it stands.
fn std_sigma(text: &str, at: usize) -> char {
    let before = text[..at].to_lowercase().chars().count();
    text.to_lowercase().chars().nth(before).expect("a sigma stands there")
}

fn sorted(text: &str) -> Vec<char> {
    let mut code_points: Vec<_> = text.chars().collect();
    code_points.sort_unstable();
    code_points
}

/// A text that comes in pieces of these lengths, the last one as long as it takes; and how far it was prepared.
fn prepared(action: Action, text: &[u8], pieces: &[usize]) -> (Vec<u8>, usize) {
    let mut bytes = text.to_vec();
    let (mut arrived, mut done): (usize, usize) = (0, 0);
    for piece in pieces.iter().copied().chain([usize::MAX]) {
        arrived = text.len().min(arrived.saturating_add(piece));
        done = action.preprocess(&mut bytes[..arrived], done, usize::MAX);
    }
    (bytes, done)
}

/// Whether preparing is to come to the end of a text: each code point keeps its place and is no sigma, or is ASCII.
fn fits(action: Action, text: &str) -> bool {
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

/// Case is converted by windows of 64 bytes.
#[test]
fn a_code_point_may_be_cut_anywhere() {
    let last = if cfg!(miri) { '\u{100}' } else { char::MAX };
    let has_case = |c: &char| !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]);
    for code_point in ('\0'..=last).filter(has_case).chain("×«漢ꙁ、한“😀".chars()) {
        for before in 60..=65 {
            let text = format!("{}{code_point}{}", "a".repeat(before), "Z".repeat(70));
            assert_eq!(answer(Action::Uppercase, &text), text.to_uppercase());
            assert_eq!(answer(Action::Lowercase, &text), text.to_lowercase());
        }
    }
}

/// Each code point that has case, among letters of other kinds: in windows, and where windows decline it.
#[test]
fn code_points_with_case_anywhere_among_others() {
    let has_case = |c: &char| !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]);
    for code_point in ('\0'..=LAST).filter(has_case) {
        for (other, count) in ["a", "Z", "é", "ſ", "Ơ", "ệ", "ώ", "Ж", "Ա", "ა", "漢", "😀", "𐐨"].into_iter().zip(1..)
        {
            let text = format!("{}{code_point}{}", other.repeat(count), code_point.to_string().repeat(70 / count));
            assert_eq!(answer(Action::Uppercase, &text), text.to_uppercase());
            assert_eq!(answer(Action::Lowercase, &text), text.to_lowercase());
        }
    }
}

#[test]
fn names_go_both_ways() {
    for action in Action::ALL {
        assert_eq!(Action::from_name(action.name()), Some(action));
    }
    for unknown in ["", "Uppercase", "upper", "title", "reverse "] {
        assert_eq!(Action::from_name(unknown), None);
    }
}

#[test]
fn examples_of_the_protocols() {
    for (action, text, expected) in [
        (Action::Reverse, "The LAN Before Time", "emiT erofeB NAL ehT"),
        (Action::Uppercase, "Pretty Fly for a Wi-Fi", "PRETTY FLY FOR A WI-FI"),
        (Action::Lowercase, "WI-FIght the inevitable?", "wi-fight the inevitable?"),
        (Action::Reverse, "Hello World", "dlroW olleH"),
        (Action::Uppercase, "Hello World", "HELLO WORLD"),
        (Action::Uppercase, "it worked!", "IT WORKED!"),
        (Action::TitleCase, "they're bill's friends from the UK", "They'Re Bill'S Friends From The Uk"),
    ] {
        assert_eq!(answer(action, text), expected);
    }
}

#[test]
fn examples_beyond_ascii() {
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
        assert_eq!(answer(action, text), expected);
    }
}

#[test]
fn empty_stays_empty() {
    for action in Action::ALL {
        assert_eq!(answer(action, ""), "", "{action:?}");
    }
}

#[test]
fn invalid_utf8_is_refused_wherever_it_stands() {
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
fn every_code_point_alone_and_in_a_word() {
    let cased = LAST.min('\u{1ffff}'); // all beyond stand in the next test
    for code_point in '\0'..=cased {
        let text = code_point.to_string();
        assert_eq!(answer(Action::Uppercase, &text), text.to_uppercase());
        assert_eq!(answer(Action::Lowercase, &text), text.to_lowercase());
    }
    for code_point in ('\0'..=LAST).filter(|code_point| *code_point < '\u{2000}' || *code_point as u32 % 16 == 0) {
        let text = format!("a{code_point}Σ{code_point}Σb Σ{code_point} {code_point}Σ");
        assert_eq!(answer(Action::Lowercase, &text), text.to_lowercase(), "{text}");
        assert_eq!(answer(Action::TitleCase, &text), titled(&text), "{text}");
    }
}

#[test]
fn all_code_points_in_a_row() {
    let text: String = ('\0'..=LAST).collect();
    assert!(answer(Action::Uppercase, &text) == text.to_uppercase());
    assert!(answer(Action::Lowercase, &text) == text.to_lowercase());
    assert!(answer(Action::Reverse, &text) == reversed(&text));
}

/// How much longer a code point gets is what the bounds are made of: one that grew more would show here.
#[test]
fn bounds_hold_for_every_code_point_and_are_met() {
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

/// `apply_ascii`, and `apply` for the same text, around the sizes of windows and blocks.
#[test]
fn ascii_of_every_length() {
    let sizes = (0..200).chain([4095, 4096, 4097, 8191, 8192, 8193, 12_289, 20_000]);
    for size in sizes.step_by(if cfg!(miri) { 37 } else { 1 }) {
        let text: String = ('!'..='~').cycle().step_by(7).take(size).collect();
        for action in Action::ALL.into_iter().filter(|action| action.ascii_in_place()) {
            let mut bytes = text.clone().into_bytes();
            action.apply_ascii(&mut bytes, &mut source());
            assert_eq!(bytes, answer(action, &text).as_bytes(), "{action:?} {size}");
        }
        assert_eq!(answer(Action::Uppercase, &text), text.to_uppercase());
        assert_eq!(answer(Action::Lowercase, &text), text.to_lowercase());
        assert_eq!(answer(Action::TitleCase, &text), titled(&text));
        assert_eq!(answer(Action::Reverse, &text), reversed(&text));
        assert_eq!(sorted(&answer(Action::Shuffle, &text)), sorted(&text));
    }
}

#[test]
#[should_panic(expected = "does not keep the length")]
fn random_has_no_answer_in_place() {
    Action::Random.apply_ascii(&mut [b'a'], &mut source());
}

/// A code point that is not ASCII, or grows, at every place around the ends of windows and blocks.
#[test]
fn a_stranger_anywhere_in_ascii() {
    let places = (0..140).chain(440..460).chain(4090..4100).chain(8180..8200).chain([9999]);
    for at in places.step_by(if cfg!(miri) { 53 } else { 1 }) {
        for stranger in ["é", "ß", "漢", "😀", "ΑΣ", "ΐ"] {
            let text = format!("{}{stranger}{}", "Ab".repeat(at / 2), "c D".repeat(100));
            assert!(answer(Action::Uppercase, &text) == text.to_uppercase(), "{stranger} at {at}");
            assert!(answer(Action::Lowercase, &text) == text.to_lowercase(), "{stranger} at {at}");
            assert!(answer(Action::Reverse, &text) == reversed(&text), "{stranger} at {at}");
        }
    }
}

/// Each sigma looks back and forth: linear only if a look ends at the next one.
#[test]
fn sigmas_and_full_stops_take_linear_time() {
    let length = if cfg!(miri) { 100 } else { 200_000 };
    for (text, expected) in [
        ("Σ".repeat(length), "σ".repeat(length - 1) + "ς"),
        (format!("AΣ{}", ".".repeat(length)), format!("aς{}", ".".repeat(length))),
        ("AΣ.".repeat(length), "aσ.".repeat(length - 1) + "aς."),
        (format!("A{}Σ", "\u{301}".repeat(length)), format!("a{}ς", "\u{301}".repeat(length))),
    ] {
        assert!(answer(Action::Lowercase, &text) == expected);
    }
}

#[test]
fn random_stays_within_the_limit() {
    let text = "aß漢😀".repeat(50);
    for limit in [4, 5, 6, 7, 100, 1000] {
        let bytes = applied(Action::Random, text.as_bytes(), limit).expect("text is UTF-8");
        assert!((1..=limit).contains(&bytes.len()));
        let answer = String::from_utf8(bytes).expect("whole code points");
        assert!(answer.chars().all(|code_point| text.contains(code_point)));
    }
}

/// Text in which case, width and the sigma's neighbourhood change often.
fn lively() -> impl Strategy<Value = String> {
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
    // No file of past failures: Miri has no file system to keep one in.
    let cases = if cfg!(miri) { 4 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn case_is_that_of_std(text in lively()) {
        prop_assert_eq!(answer(Action::Uppercase, &text), text.to_uppercase());
        prop_assert_eq!(answer(Action::Lowercase, &text), text.to_lowercase());
    }

    /// Prepared in pieces, or not at all: the answer is the same, and what is done is done in place.
    #[test]
    fn preparing_changes_no_answer(text in lively(), repeat in 1..MOST_REPEATS, pieces in prop::collection::vec(1..9000_usize, 0..8)) {
        let text = text.repeat(repeat);
        for action in Action::ALL.into_iter().filter(|action| action.ascii_in_place() && *action != Action::Shuffle) {
            let (bytes, done) = prepared(action, text.as_bytes(), &pieces);
            prop_assert_eq!(applied(action, &bytes, 1000), applied(action, text.as_bytes(), 1000));
            prop_assert!(done == text.len() || !fits(action, &text), "{} of {}", done, text.len());
            if action.transforms_incrementally() {
                prop_assert!(answer(action, &text).as_bytes().starts_with(&bytes[..done]));
            } else {
                prop_assert!(bytes[..done].is_ascii());
            }
        }
    }

    #[test]
    fn title_case_is_the_plain_definition(text in lively()) {
        prop_assert_eq!(answer(Action::TitleCase, &text), titled(&text));
    }

    #[test]
    fn reverse_is_its_own_inverse(text in lively()) {
        let once = answer(Action::Reverse, &text);
        prop_assert_eq!(&once, &reversed(&text));
        prop_assert_eq!(answer(Action::Reverse, &once), text);
    }

    #[test]
    fn shuffle_keeps_every_code_point(text in lively()) {
        prop_assert_eq!(sorted(&answer(Action::Shuffle, &text)), sorted(&text));
    }

    #[test]
    fn any_bytes_are_text_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let valid = std::str::from_utf8(&bytes).is_ok();
        for action in Action::ALL {
            prop_assert_eq!(applied(action, &bytes, 300).is_ok(), valid);
        }
    }
}
