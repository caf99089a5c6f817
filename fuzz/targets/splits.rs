//! Any bytes, in any pieces, with any short writes and interruptions: the client sees what it would see without them.
//!
//! The first line names the protocol. Four bytes follow: message limit, budget, repetitions of the input, number of acts; then
//! two bytes for each act, then the input.
#![no_main]

mod common;

use common::scripted::{Act, Script};
use libfuzzer_sys::fuzz_target;
use retortd::protocol::{Input, PROTOCOLS};

const MESSAGES: [usize; 3] = [30, 3000, (1 << 27) - 1];
const BUDGETS: [u64; 4] = [1 << 9, 1 << 14, 1 << 22, u64::MAX];

fn act(kind: u8, size: u8) -> Act {
    match kind % 8 {
        0 => Act::WouldBlock,
        1 => Act::Interrupted,
        2..=4 => Act::Bytes(usize::from(size) % 8 + 1),
        5 | 6 => Act::Bytes(usize::from(size) + 1),
        _ => Act::Bytes((usize::from(size) + 1) * 300),
    }
}

fn pick<T: Copy>(from: &[T], by: u8) -> T {
    from[usize::from(by) % from.len()]
}

fuzz_target!(|data: &[u8]| {
    let streams: Vec<_> = PROTOCOLS.iter().copied().filter(|info| info.input == Input::Stream).collect();
    let Some((info, data)) = common::protocol(data, &streams) else { return };
    let Some(([message, budget, repeat, acts], rest)) = data.split_first_chunk() else { return };
    let Some((acts, input)) = rest.split_at_checked(2 * usize::from(*acts)) else { return };
    let (name, message, budget) = (info.name, pick(&MESSAGES, *message), pick(&BUDGETS, *budget));
    let input = input.repeat(usize::from(*repeat) % 32 + 1);
    let acts: Vec<Act> = acts.chunks_exact(2).map(|pair| act(pair[0], pair[1])).collect();
    let (reads, writes): (Vec<_>, Vec<_>) = acts.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let only = |acts: Vec<(usize, &Act)>| acts.into_iter().map(|(_, act)| *act).collect::<Vec<Act>>();
    let whole = common::serve(name, Script::new(&input, &[], &[]), message, budget);
    let split = common::serve(name, Script::new(&input, &only(reads), &only(writes)), message, budget);
    assert_eq!((&split.output, split.reason, split.counts.1), (&whole.output, whole.reason, whole.counts.1));
});
