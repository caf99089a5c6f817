//! Helpers of the targets: connections one after another, in the context of one worker.

#[path = "../../tests/scripted/mod.rs"]
#[allow(dead_code)] // each target uses a part
pub mod scripted;

use std::cell::RefCell;
use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Context};
use retortd::protocol::ProtocolInfo;
use scripted::{Play, Script, check_sums};

/// How much of an endless reply is read, in bytes. Chosen without tuning.
const ENOUGH: usize = 1 << 20;

/// The protocol that an input is for, and the rest of the input. The first line is the name, so that a seed keeps its meaning
/// when the list of protocols changes; any other line selects one of `protocols` by its sum, so that no mutation is lost.
#[allow(dead_code)] // two targets are for one protocol each
pub fn protocol<'a>(data: &'a [u8], protocols: &[&'static ProtocolInfo]) -> Option<(&'static ProtocolInfo, &'a [u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = (&data[..end], &data[end + 1..]);
    let named = protocols.iter().find(|info| info.name.as_bytes() == line);
    let number = line.iter().map(|byte| usize::from(*byte)).sum::<usize>() % protocols.len();
    Some((named.unwrap_or(&protocols[number]), rest))
}

thread_local! {
    static CONTEXT: RefCell<Context> = RefCell::new(scripted::context(0, &Arc::new(Budget::new(1 << 20)), 1));
}

/// The client's and the statistics' view of a whole connection.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// All that the client received.
    pub output: Vec<u8>,
    /// Why the connection ended; `None` for an endless one.
    pub reason: Option<CloseReason>,
    /// Requests that got a reply, and those that got an error.
    pub counts: (u64, u64),
}

/// Serves one client to the end and checks the sums of the statistics.
pub fn serve(name: &str, script: Script, message: usize, budget: u64) -> Outcome {
    CONTEXT.with_borrow_mut(|context| {
        context.limits.message = message;
        context.budget = Arc::new(Budget::new(budget));
        context.counters = Arc::default();
        context.counters.accepted.add(1);
        let mut play = Play::new(name, script);
        let reason = play.finish(context, ENOUGH);
        let output = std::mem::take(&mut play.script.output);
        drop(play);
        assert_eq!(context.budget.used(), 0, "memory was not given back");
        if reason.is_some() {
            check_sums(&context.counters);
        }
        let counters = &context.counters;
        Outcome { output, reason, counts: (counters.answered.get(), counters.refused.get()) }
    })
}
