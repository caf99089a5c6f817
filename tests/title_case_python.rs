//! Title-case compared with `str.title()` of the installed Python, if there is one.
//!
//! The two may have different versions of Unicode. Code points that are unassigned in Python are left out, and so are
//! texts for which upper case, lower case or cased letters differ; the test checks that these are few.

#![allow(clippy::cast_possible_truncation, reason = "a digit fits in a byte")]

#[path = "daemon/harness/skip.rs"]
mod skip;

use std::process::Command;

use retortd::transform::{Action, Placed, RandomSource};

/// Prints texts, each with its title-case, upper case, lower case and cased letters, in hexadecimal. The texts are each
/// code point at the start of a word, inside a word and before a letter; and random words of code points with special
/// mappings.
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

/// Panics when used: title-case draws no random numbers.
struct NoRandomNumbers;

impl RandomSource for NoRandomNumbers {
    fn below(&mut self, _bound: usize) -> usize {
        unreachable!("title-case draws no random numbers")
    }

    fn unit(&mut self) -> f64 {
        unreachable!("title-case draws no random numbers")
    }
}

fn title_case(text: &str) -> String {
    let mut text = text.as_bytes().to_vec();
    let mut out = vec![0; Action::TitleCase.max_output_len(text.len(), 0)];
    let output = match Action::TitleCase.apply(&mut text, &mut out, &mut NoRandomNumbers, 0) {
        Ok(Placed::InPlace) => text,
        Ok(Placed::Out(length)) => out[..length].to_vec(),
        Err(error) => panic!("{error:?} for what Python encoded"),
    };
    String::from_utf8(output).expect("the output is UTF-8")
}

fn decoded(hexadecimal: &str) -> String {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8;
    let bytes = hexadecimal.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    String::from_utf8(bytes).expect("Python encodes UTF-8")
}

/// Compares the title-case of a text, unless Python and `std` have different data for it; returns whether it was
/// compared.
fn compare(line: &str) -> bool {
    let columns: Vec<_> = line.split(' ').map(decoded).collect();
    let [text, title, upper, lower, letters] = &columns[..] else { panic!("five columns, not {line}") };
    let std_letters = text.chars().filter(|letter| letter.is_lowercase() || letter.is_uppercase());
    let comparable = text.to_uppercase() == *upper && text.to_lowercase() == *lower && std_letters.eq(letters.chars());
    assert!(!comparable || title_case(text) == *title, "{text:?}: {:?}, not {title:?}", title_case(text));
    comparable
}

#[test]
fn title_case_equals_python() {
    let Ok(output) = Command::new("python3").args(["-c", SCRIPT]).output() else {
        skip::skip("python3 is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("hexadecimal digits");
    let (compared, left_out): (Vec<_>, Vec<_>) = lines.lines().partition(|line| compare(line));
    assert!(compared.len() > 150_000, "only {} compared", compared.len());
    assert!(left_out.len() < compared.len() / 100, "{} left out", left_out.len());
    println!("{} compared, {} left out", compared.len(), left_out.len());
}
