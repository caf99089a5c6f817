//! Any bytes to any protocol: no panic, no hang, bounded memory, and sums that add up.
//!
//! The first line names the protocol; the rest is what the client sends.
#![no_main]

mod common;

use common::scripted::ScriptedStream;
use libfuzzer_sys::fuzz_target;
use retortd::protocol::PROTOCOLS;

fuzz_target!(|data: &[u8]| {
    let Some((info, input)) = common::protocol(data, PROTOCOLS) else { return };
    common::serve(info.name, ScriptedStream::new(input, &[], &[]), 1 << 16, 1 << 20);
});
