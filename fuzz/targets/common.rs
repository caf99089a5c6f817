//! What the targets share: one connection after another, in the context of one worker.

#[allow(dead_code)] // each target uses a part
#[path = "../../tests/scripted/mod.rs"]
pub mod scripted;

use std::cell::RefCell;
use std::sync::Arc;

use retortd::connection::{Budget, CloseReason, Context};
use scripted::{Play, Script, check_sums};

/// Answers after which an endless service is left alone, in bytes.
const ENOUGH: usize = 1 << 20;

thread_local! {
    static CONTEXT: RefCell<Context> = RefCell::new(scripted::context(0, &Arc::new(Budget::new(1 << 20)), 1));
}

/// What the client saw of a whole connection.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// All that it was sent.
    pub output: Vec<u8>,
    /// Why the connection ended; `None` for an endless one.
    pub reason: Option<CloseReason>,
    /// Requests answered as asked, and with an error.
    pub tally: (u64, u64),
}

/// Serves one client to the end and holds the connection to its sums.
pub fn serve(name: &str, script: Script, message: usize, budget: u64) -> Seen {
    CONTEXT.with_borrow_mut(|context| {
        context.limits.message = message;
        context.budget = Arc::new(Budget::new(budget));
        context.counters = Arc::default();
        context.counters.accepted.add(1);
        let mut play = Play::new(name, script);
        let reason = play.finish(context, ENOUGH);
        let output = std::mem::take(&mut play.script.output);
        drop(play);
        assert_eq!(context.budget.taken(), 0, "memory was not given back");
        if reason.is_some() {
            check_sums(&context.counters);
        }
        let counters = &context.counters;
        Seen { output, reason, tally: (counters.answered.get(), counters.refused.get()) }
    })
}
