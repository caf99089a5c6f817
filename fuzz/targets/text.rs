//! Any bytes as requests of `text`, compared with a second implementation of the format.
#![no_main]

mod common;
mod reference;

use common::scripted::ScriptedStream;
use libfuzzer_sys::fuzz_target;

/// The message limit, in bytes. Chosen: above the 4096 bytes that libFuzzer gives an input when the corpus has none
/// that is longer, so that only an announced length exceeds it.
const MESSAGE: usize = 1 << 16;
/// The longest header with both its spaces, in bytes.
const HEADER: usize = 32;

/// The header at the front of the input: name, length, and index of the message.
fn header(input: &[u8]) -> Option<(&str, usize, usize)> {
    let window = &input[..input.len().min(HEADER)];
    let first = window.iter().position(|byte| *byte == b' ')?;
    let second = first + 1 + window[first + 1..].iter().position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&window[first + 1..second]).ok()?;
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = digits.parse().ok().filter(|length| decimal && *length <= MESSAGE)?;
    // a name that is not UTF-8 is an unknown action
    Some((std::str::from_utf8(&window[..first]).unwrap_or("?"), length, second + 1))
}

/// The correct replies; `None` if one of them is random: `splits` and `protocols` cover those.
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
        let reply = match message {
            Some(message) => reference::reply(name, message)?,
            None => None,
        };
        let reply = reply.unwrap_or_else(|| b"error".to_vec());
        output.extend(format!("{} ", reply.len()).bytes());
        output.extend(reply);
    }
    Some(output)
}

fuzz_target!(|data: &[u8]| {
    let Some(expected) = expected(data) else { return };
    let transcript = common::serve("text", ScriptedStream::new(data, &[], &[]), MESSAGE, 1 << 20);
    assert_eq!(transcript.output, expected);
});
