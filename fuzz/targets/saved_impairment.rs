//! Any text as a saved impairment, with any bytes that it delays: it is refused, or the stream runs without a panic, in
//! bounded time for each call, and gives its memory back.
//!
//! The first line is the text; the rest are the delayed bytes, the last of them the number of timers that run.
#![no_main]

mod common;

use std::sync::Arc;

use common::scripted::ScriptedStream;
use libfuzzer_sys::fuzz_target;
use retortd::connection::{Budget, Impaired, Millis, SavedImpairment};

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(saved) = serde_json::from_slice::<SavedImpairment>(&data[..end]) else { return };
    let bytes = &data[end + 1..];
    let timers = bytes.last().copied().unwrap_or_default();
    let budget = Arc::new(Budget::new(1 << 20));
    if let Ok(impairment) = saved.restore(bytes, &budget, Millis::ZERO) {
        let mut stream = Impaired::new(ScriptedStream::new(b"", &[], &[]), Some(impairment));
        let mut now = Millis::ZERO;
        for _ in 0..timers {
            stream.begin_call(now, 1 << 16);
            stream.send_due().expect("an open stream");
            now = now.max(stream.deadline()).min(Millis::new(u64::MAX / 2));
        }
        let before: usize = stream.delayed_bytes().map(<[u8]>::len).sum();
        assert_eq!(before + stream.get_ref().output.len(), bytes.len(), "bytes were lost");
    }
    assert_eq!(budget.used(), 0, "memory was not given back");
});
