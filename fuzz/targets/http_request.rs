//! Any bytes as a request for metrics or health: the result is the same however they are split, and a refusal is a
//! complete response.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retortd::daemon::side::http::parse;

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    let first = (0..=data.len()).find_map(|end| parse(&data[..end]));
    assert_eq!(first, whole);
    if let Some(Err(refusal)) = whole {
        let response = String::from_utf8(refusal.response()).expect("text");
        let (head, content) = response.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 ") && head.ends_with("\r\nConnection: close"), "{head}");
        assert_eq!(content.is_empty(), refusal.is_head);
    }
});
