//! Any bytes as requests in words, against the plainest reading of the format that there is.
#![no_main]

mod common;
mod reference;

use common::scripted::Script;
use libfuzzer_sys::fuzz_target;

const MESSAGE: usize = 1 << 16;
/// The most bytes of a header, with both its spaces.
const HEADER: usize = 32;

/// What the front of the input is: the name, the length, and where the message begins; or no header.
fn header(input: &[u8]) -> Option<(&str, usize, usize)> {
    let window = &input[..input.len().min(HEADER)];
    let first = window.iter().position(|byte| *byte == b' ')?;
    let second = first + 1 + window[first + 1..].iter().position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&window[first + 1..second]).ok()?;
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = digits.parse().ok().filter(|length| decimal && *length <= MESSAGE)?;
    // a name that is not even text is an unknown action
    Some((std::str::from_utf8(&window[..first]).unwrap_or("?"), length, second + 1))
}

/// What is to be answered. Requests whose answer is a matter of chance are left to the other targets.
fn expected(mut input: &[u8]) -> Option<Vec<u8>> {
    const ACTIONS: [&str; 6] = ["uppercase", "lowercase", "title-case", "reverse", "shuffle", "random"];
    let mut output = Vec::new();
    while !input.is_empty() {
        let Some((name, length, start)) = header(input) else {
            output.extend(b"5 error");
            break;
        };
        let message = input.get(start..start + length).filter(|_| ACTIONS.contains(&name));
        input = input.get(start + length..).unwrap_or_default();
        let answer = match message {
            Some(message) => reference::answer(name, message)?,
            None => None,
        };
        let answer = answer.unwrap_or_else(|| b"error".to_vec());
        output.extend(format!("{} ", answer.len()).bytes());
        output.extend(answer);
    }
    Some(output)
}

fuzz_target!(|data: &[u8]| {
    let Some(expected) = expected(data) else { return };
    let seen = common::serve("text", Script::new(data, &[], &[]), MESSAGE, 1 << 20);
    assert_eq!(seen.output, expected);
});
