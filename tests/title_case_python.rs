//! Title-case against the `str.title()` of the Python that is installed here, if there is one.
//!
//! The two may know different versions of Unicode. What Python has no name for is left out, and so is a text whose
//! letters they do not agree on: of these there are few, which is checked.

#[path = "daemon/harness/skip.rs"]
mod skip;

use std::process::Command;

use retortd::transform::{Action, Placed, RandomSource};

/// Prints texts with their title, upper and lower case and what is a letter of either, in hexadecimal: each code point
/// at the start of a word, inside one and before a letter; and words put together from what is special.
const SCRIPT: &str = r#"
import random, unicodedata
def show(text):
    letters = "".join(c for c in text if c.islower() or c.isupper())
    print(*(case.encode().hex() for case in (text, text.title(), text.upper(), text.lower(), letters)))
known = [chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) not in ("Cn", "Cs", "Co")]
for c in known:
    show(c + " x" + c + " " + c + "X")
special = [c for c in known if c.title() != c.lower()] + list(" .-'\u0301\u00ad\u02b0\u2019\u3005ΣΣΣςσ漢1aZ" * 40)
random.seed(1)
for _ in range(20000):
    show("".join(random.choices(special, k=random.randrange(1, 20))))
"#;

/// Title-case draws no random numbers.
struct Unasked;

impl RandomSource for Unasked {
    fn below(&mut self, _bound: usize) -> usize {
        unreachable!("nobody draws")
    }

    fn unit(&mut self) -> f64 {
        unreachable!("nobody draws")
    }
}

fn title_case(text: &str) -> String {
    let mut text = text.as_bytes().to_vec();
    let mut out = vec![0; Action::TitleCase.answer_bound(text.len(), 0)];
    let answer = match Action::TitleCase.apply(&mut text, &mut out, &mut Unasked, 0) {
        Ok(Placed::InPlace) => text,
        Ok(Placed::Out(length)) => out[..length].to_vec(),
        Err(error) => panic!("{error:?} for what Python encoded"),
    };
    String::from_utf8(answer).expect("the answer is UTF-8")
}

fn decoded(hexadecimal: &str) -> String {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8;
    let bytes = hexadecimal.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    String::from_utf8(bytes).expect("Python encodes UTF-8")
}

/// Whether the title-case was compared; not if Python's letters are not those of `std`.
fn compare(line: &str) -> bool {
    let columns: Vec<_> = line.split(' ').map(decoded).collect();
    let [text, title, upper, lower, letters] = &columns[..] else { panic!("five columns, not {line}") };
    let std_letters = text.chars().filter(|letter| letter.is_lowercase() || letter.is_uppercase());
    let comparable = text.to_uppercase() == *upper && text.to_lowercase() == *lower && std_letters.eq(letters.chars());
    assert!(!comparable || title_case(text) == *title, "{text:?}: {:?}, not {title:?}", title_case(text));
    comparable
}

#[test]
fn title_case_matches_python() {
    let Ok(output) = Command::new("python3").args(["-c", SCRIPT]).output() else {
        skip::skip("there is no python3 to compare with");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("hexadecimal digits");
    let (compared, left_out): (Vec<_>, Vec<_>) = lines.lines().partition(|line| compare(line));
    assert!(compared.len() > 150_000, "only {} compared", compared.len());
    assert!(left_out.len() < compared.len() / 100, "{} left out", left_out.len());
    println!("{} compared, {} left out", compared.len(), left_out.len());
}
