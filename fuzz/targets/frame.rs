//! Any bytes as frames, compared with a second implementation of the format.
#![no_main]

mod common;
mod reference;

use common::scripted::ScriptedStream;
use libfuzzer_sys::fuzz_target;

/// The message limit, in bytes. Chosen: above the 4096 bytes that libFuzzer gives an input when the corpus has none
/// that is longer, so that only an announced length exceeds it.
const MESSAGE: usize = 1 << 16;

const ACTIONS: [(u32, &str); 5] = [(1, "uppercase"), (2, "lowercase"), (4, "reverse"), (8, "shuffle"), (16, "random")];

/// The correct replies; `None` if one of them is random: `splits` and `protocols` cover those.
fn expected(mut input: &[u8]) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    while !input.is_empty() {
        let reply = request(&mut input).map_or(Some(None), |(name, message)| reference::reply(name, message))?;
        let reply = reply.unwrap_or_else(|| b"error".to_vec());
        output.extend((reply.len() as u32).to_be_bytes());
        output.extend(reply);
    }
    Some(output)
}

/// Takes a request from the front of the input; `None` if the reply is an error.
fn request<'a>(input: &mut &'a [u8]) -> Option<(&'static str, &'a [u8])> {
    let Some((header, rest)) = std::mem::take(input).split_first_chunk() else { return None };
    let word = u32::from_be_bytes(*header);
    let (code, length) = (word >> 27, word as usize & 0x07ff_ffff);
    let message = rest.get(..length)?;
    *input = &rest[length..];
    let (_, name) = ACTIONS.iter().find(|(each, _)| *each == code)?;
    (length <= MESSAGE).then_some((name, message))
}

fuzz_target!(|data: &[u8]| {
    let Some(expected) = expected(data) else { return };
    let transcript = common::serve("frame", ScriptedStream::new(data, &[], &[]), MESSAGE, 1 << 20);
    assert_eq!(transcript.output, expected);
});
