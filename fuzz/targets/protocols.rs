//! Any bytes to any protocol: no panic, no hang, bounded memory, and sums that add up.
//!
//! The first byte chooses the protocol, the rest is what the client sends.
#![no_main]

mod common;

use common::scripted::Script;
use libfuzzer_sys::fuzz_target;
use retortd::protocol::PROTOCOLS;

fuzz_target!(|data: &[u8]| {
    let Some((number, input)) = data.split_first() else { return };
    let entry = &PROTOCOLS[usize::from(*number) % PROTOCOLS.len()];
    common::serve(entry.name, Script::new(input, &[], &[]), 1 << 16, 1 << 20);
});
