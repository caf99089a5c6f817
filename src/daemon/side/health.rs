//! Liveness and readiness: `/livez` and `/readyz`, and the line of the agent-check.

use std::time::{Duration, Instant};

use super::http::{Response, Status};
use crate::server::Phase;

/// The maximum time in which every worker has to complete an iteration of its loop. Chosen: an iteration takes
/// milliseconds; probes wait 1 second by default in Kubernetes, whose failure threshold bridges a slow one.
pub const LIVENESS_TIMEOUT: Duration = Duration::from_secs(2);
/// The minimum time between two heartbeats: a check that begins earlier takes the last one. Chosen: probes come every few
/// seconds, and however many come, they wake each worker ten times per second.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// A check whether all workers complete iterations.
#[derive(Clone, Copy, Debug)]
pub struct LivenessCheck {
    /// The heartbeat that every worker has to acknowledge.
    pub number: u64,
    /// By when.
    pub until: Instant,
}

/// Checks of the workers. At most one heartbeat of them is on its way: a worker that hangs does not collect any.
#[derive(Debug)]
pub struct Liveness {
    /// The last heartbeat that was sent, and when.
    sent: Option<(u64, Instant)>,
}

impl Liveness {
    /// No check so far.
    #[must_use]
    pub fn new() -> Self {
        Self { sent: None }
    }

    /// Begins a check: with a heartbeat of its own, which `send` sends, or with the last one if that is recent, or if
    /// workers have not acknowledged it yet (`is_acknowledged`).
    pub fn begin(
        &mut self,
        now: Instant,
        is_acknowledged: impl FnOnce(u64) -> bool,
        send: impl FnOnce() -> u64,
    ) -> LivenessCheck {
        let last = self.sent.filter(|(number, sent)| now - *sent < MIN_INTERVAL || !is_acknowledged(*number));
        let (number, _) = *self.sent.insert(last.unwrap_or_else(|| (send(), now)));
        LivenessCheck { number, until: now + LIVENESS_TIMEOUT }
    }
}

/// The reply after a check of the workers, if it has ended; `silent` are those that have not acknowledged it.
#[must_use]
pub fn liveness(silent: &[usize], check: &LivenessCheck, now: Instant) -> Option<Response> {
    if silent.is_empty() {
        return Some(Response::text(Status::Ok, "alive"));
    }
    (now >= check.until).then(|| {
        let names: Vec<String> = silent.iter().map(|worker| format!("worker-{worker}")).collect();
        let line = format!("no iteration within {} s: {}", LIVENESS_TIMEOUT.as_secs(), names.join(", "));
        Response::text(Status::Unavailable, &line)
    })
}

/// Whether new clients should be sent here.
#[must_use]
pub fn readiness(phase: Phase, is_at_limit: bool) -> Response {
    match (phase.is_ready(), is_at_limit) {
        (false, _) => Response::text(Status::Unavailable, "stopping"),
        (true, true) => Response::text(Status::Unavailable, "at the connection limit"),
        (true, false) => Response::text(Status::Ok, "ready"),
    }
}

/// The line of the agent-check (agent-check in haproxy's configuration manual). The weight is the part of the
/// connection limit that is free: at least 1 %, because haproxy sends no new client to a server without weight.
#[must_use]
pub fn agent_line(phase: Phase, open: u64, limit: Option<u64>) -> String {
    if !phase.is_ready() {
        return "drain\n".into();
    }
    let free = limit.map_or(100, |limit| 100 * limit.saturating_sub(open) / limit.max(1));
    format!("up ready {}%\n", free.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_sent_one_after_another_and_seldom() {
        let mut liveness = Liveness::new();
        let start = Instant::now();
        let mut begin = |at, acknowledged, next| {
            let check = liveness.begin(start + at, |_| acknowledged, || next);
            assert_eq!(check.until, start + at + LIVENESS_TIMEOUT);
            check.number
        };
        let before = MIN_INTERVAL.saturating_sub(Duration::from_nanos(1));
        assert_eq!(begin(Duration::ZERO, true, 1), 1);
        assert_eq!(begin(before, true, 2), 1, "it is recent");
        assert_eq!(begin(MIN_INTERVAL * 9, false, 2), 1, "it is on its way");
        assert_eq!(begin(MIN_INTERVAL * 9, true, 2), 2);
        assert_eq!(begin(MIN_INTERVAL * 9 + before, true, 3), 2, "it is recent");
        assert_eq!(begin(MIN_INTERVAL * 10, true, 3), 3);
    }

    #[test]
    fn workers_have_a_limited_time_for_an_iteration() {
        let check = LivenessCheck { number: 1, until: Instant::now() };
        let before = check.until.checked_sub(Duration::from_millis(1)).expect("a time");
        let line = |silent: &[usize], now| liveness(silent, &check, now).map(|response| response.content);
        assert_eq!(line(&[], before).as_deref(), Some("alive\n"));
        assert_eq!(line(&[1], before), None);
        assert_eq!(line(&[1, 3], check.until).as_deref(), Some("no iteration within 2 s: worker-1, worker-3\n"));
    }

    #[test]
    fn readiness_ends_with_the_first_stop_signal_and_at_the_limit() {
        let status = |phase, is_at_limit| readiness(phase, is_at_limit).status;
        assert_eq!(status(Phase::Running, false), Status::Ok);
        assert_eq!(status(Phase::Running, true), Status::Unavailable);
        assert_eq!(status(Phase::Draining, false), Status::Unavailable);
    }

    #[test]
    fn the_weight_is_the_part_of_the_limit_that_is_free() {
        let line = |open, limit| agent_line(Phase::Running, open, limit);
        for (open, limit, expected) in [
            (0, Some(1000), "up ready 100%\n"),
            (1, Some(1000), "up ready 99%\n"),
            (500, Some(1000), "up ready 50%\n"),
            (999, Some(1000), "up ready 1%\n"),
            (1001, Some(1000), "up ready 1%\n"),
            (7, None, "up ready 100%\n"),
            (0, Some(0), "up ready 1%\n"),
        ] {
            assert_eq!(line(open, limit), expected, "{open} of {limit:?}");
        }
        assert_eq!(agent_line(Phase::Draining, 0, None), "drain\n");
    }
}
