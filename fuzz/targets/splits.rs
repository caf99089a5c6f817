//! Any bytes, cut anywhere, with any short writes and EINTR: the client sees no difference from one read and one write.
//!
//! The first line names the protocol. Four bytes follow: message limit, budget, repetitions of the input, number of
//! results of system calls; then two bytes for each result (odd ones for reads, even ones for writes), then the input.
#![no_main]

mod common;

use common::scripted::{IoResult, ScriptedStream};
use libfuzzer_sys::fuzz_target;
use retortd::protocol::{Input, PROTOCOLS};

/// Message limits, in bytes. Chosen: one that most inputs exceed, one that some exceed, and the longest.
const MESSAGES: [usize; 3] = [30, 3000, (1 << 27) - 1];
/// Budgets, in bytes. Chosen: for nothing, for small requests, for most large ones, and no limit.
const BUDGETS: [u64; 4] = [1 << 9, 1 << 14, 1 << 22, u64::MAX];

/// The result of a system call, from its two bytes.
fn io_result(kind: u8, size: u8) -> IoResult {
    match kind % 8 {
        0 => IoResult::WouldBlock,
        1 => IoResult::Interrupted,
        2..=4 => IoResult::AtMost(usize::from(size) % 8 + 1),
        5 | 6 => IoResult::AtMost(usize::from(size) + 1),
        _ => IoResult::AtMost((usize::from(size) + 1) * 300),
    }
}

fn choose<T: Copy>(values: &[T], index: u8) -> T {
    values[usize::from(index) % values.len()]
}

fuzz_target!(|data: &[u8]| {
    let streams: Vec<_> = PROTOCOLS.iter().copied().filter(|info| info.input == Input::Stream).collect();
    let Some((info, data)) = common::protocol(data, &streams) else { return };
    let Some(([message, budget, repeat, results], rest)) = data.split_first_chunk() else { return };
    let Some((results, input)) = rest.split_at_checked(2 * usize::from(*results)) else { return };
    let (name, message, budget) = (info.name, choose(&MESSAGES, *message), choose(&BUDGETS, *budget));
    let input = input.repeat(usize::from(*repeat) % 32 + 1);
    let results: Vec<IoResult> = results.chunks_exact(2).map(|pair| io_result(pair[0], pair[1])).collect();
    let reads: Vec<IoResult> = results.iter().copied().step_by(2).collect();
    let writes: Vec<IoResult> = results.iter().copied().skip(1).step_by(2).collect();
    let whole = common::serve(name, ScriptedStream::new(&input, &[], &[]), message, budget);
    let cut = common::serve(name, ScriptedStream::new(&input, &reads, &writes), message, budget);
    assert_eq!((&cut.output, cut.reason, cut.refused), (&whole.output, whole.reason, whole.refused));
});
