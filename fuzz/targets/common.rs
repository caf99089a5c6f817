//! Serves connections one after another, in the context of one worker.

#[path = "../../tests/connection/scripted.rs"]
pub mod scripted;

use std::cell::RefCell;
use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Context, WorkerCounters};
use retortd::protocol::ProtocolInfo;
use scripted::{Driver, ScriptedStream, check_sums};

/// Bytes of output after which a connection is not served any further: chargen never ends. Chosen without tuning.
pub const MAX_OUTPUT: usize = 1 << 20;

/// The protocol that an input is for, and the rest of the input. The first line is the name, so that a seed keeps its
/// meaning when the list of protocols changes; any other line selects one of `protocols` by its sum, so that no
/// mutation is lost.
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

/// A whole connection as its client and the statistics see it.
#[allow(dead_code)] // each target uses a part
pub struct Transcript {
    /// All bytes that the client received.
    pub output: Vec<u8>,
    /// Why the connection closed; `None` if it was not served to its end.
    pub reason: Option<CloseReason>,
    /// Requests that were rejected.
    pub refused: u64,
}

/// Serves one client until the connection closes; checks the sums of the counters.
#[allow(dead_code)] // one target restores its connections
pub fn serve(name: &str, stream: ScriptedStream, message: usize, budget: u64) -> Transcript {
    CONTEXT.with_borrow_mut(|context| {
        context.limits.message = message;
        context.budget = Arc::new(Budget::new(budget));
        context.counters = WorkerCounters::default();
        context.counters.accepted.add(1);
        let mut driver = Driver::new(name, stream);
        let reason = driver.run(context, MAX_OUTPUT);
        let output = std::mem::take(&mut driver.stream.output);
        drop(driver);
        assert_eq!(context.budget.used(), 0, "memory was not given back");
        if reason.is_some() {
            check_sums(context);
        }
        Transcript { output, reason, refused: context.counters.refused.get() }
    })
}
