//! Any bytes as a PROXY header: the same result byte by byte as at once, and as a second implementation has it.
#![no_main]

#[path = "../../tests/proxy_header/reference.rs"]
mod reference;

use libfuzzer_sys::fuzz_target;
use retortd::protocol::proxy_header::{Parsed, parse};

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    let mut results = (0..=data.len()).map(|end| parse(&data[..end]));
    let first = results.find(|result| *result != Ok(Parsed::Incomplete)).unwrap_or(Ok(Parsed::Incomplete));
    assert_eq!(first, whole);
    let complete = match whole {
        Ok(Parsed::Complete { header, length, .. }) => Some((header, length)),
        _ => None,
    };
    assert_eq!(complete, reference::header(data));
});
