//! Any text as a saved connection, with any bytes that it holds: it is refused, or the connection is served to its end
//! without a panic, in bounded memory that is given back.
//!
//! The first line names the protocol, the second is the text. Then come the unread input and the unsent output, as long
//! as the text says; one byte, odd if the deadline comes first; and what the client sends.
#![no_main]

mod common;

use std::sync::Arc;

use common::scripted::{Driver, ScriptedStream, context, restore};
use libfuzzer_sys::fuzz_target;
use retortd::connection::{Budget, Millis, SavedConnection};
use retortd::protocol::PROTOCOLS;

fuzz_target!(|data: &[u8]| {
    let Some((info, data)) = common::protocol(data, PROTOCOLS) else { return };
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(text) = std::str::from_utf8(&data[..end]) else { return };
    let Ok(saved) = serde_json::from_str::<SavedConnection>(text) else { return };
    let [input, output] = saved.lengths();
    let Some((input, rest)) = data[end + 1..].split_at_checked(input) else { return };
    let Some((output, rest)) = rest.split_at_checked(output) else { return };
    let (expires, rest) = rest.split_first().map_or((false, rest), |(first, rest)| (first % 2 == 1, rest));
    let budget = Arc::new(Budget::new(1 << 20));
    let mut context = context(1 << 16, &budget, 1);
    let second = Some(Millis::new(1000));
    (context.limits.idle, context.limits.request, context.limits.write) = (second, second, second);
    if let Ok(connection) = restore(info.name, text, [input.to_vec(), output.to_vec()], &context) {
        let mut driver = Driver::restored(info.name, connection, ScriptedStream::new(rest, &[], &[]), &mut context);
        if expires {
            driver.expire(&mut context);
        }
        driver.run(&mut context, common::MAX_OUTPUT);
    }
    assert_eq!(budget.used(), 0, "memory was not given back");
});
