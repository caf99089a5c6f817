//! Pipelining: requests that do not wait for replies.

use super::samples::{reversed, text};
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Plan, Step};
use crate::client::check_client::trial::Trial;
use crate::client::judge::mismatch::Mismatch;

/// Requests that are in flight together. Chosen: few enough for the buffers of any client, many enough for a program
/// that keeps a few in flight.
const PIPELINED: usize = 100;

/// Large requests, and the length of each. Derived: 16 MiB are more than all buffers between two programs hold, of which
/// the client's own send buffer is the largest with 4 MiB (tcp(7), `tcp_wmem`).
const LARGE: usize = 128;
const LARGE_LENGTH: usize = 128 << 10;

/// The hint to a client that ends, so that it has not waited for the server to take its requests.
const AS_A_WHOLE: &str = "messages and replies of 131,072 bytes take several calls of send and recv: loop around both";

/// The server replies when all requests have arrived.
pub fn pipelined(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchanges: Vec<_> = (0..PIPELINED).map(|number| reversed(protocol, &format!("request {number}"))).collect();
    let mut plan = Plan::scripted(exchanges, vec![Step::Expect(PIPELINED)]);
    plan.script.push(Step::Send(plan.replies(protocol)));
    trial.passes(plan)
}

/// The server reads no further request before the client has taken the reply to the last one.
pub fn both_sides_full(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchange = reversed(protocol, &text(LARGE_LENGTH));
    let reply = exchange.wire_reply(protocol);
    let script = (0..LARGE).flat_map(|_| [Step::Expect(1), Step::SendWithoutReading(reply.clone())]).collect();
    let mut plan = Plan::scripted(vec![exchange; LARGE], script);
    plan.small_buffers = true;
    trial.passes(plan).map_err(|mismatch| {
        if trial.hung() || !mismatch.hint.is_empty() {
            mismatch
        } else {
            Mismatch { hint: AS_A_WHOLE.into(), ..mismatch }
        }
    })
}
