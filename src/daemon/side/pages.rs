//! The content of the pages, and of the agent-check.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accept::Format;
use super::client::{Pages, Reply};
use super::health::{Liveness, LivenessCheck, agent_line, liveness, readiness};
use super::http::{Page, Request, Response, Status};
use super::metrics::{Reloads, Sources, samples};
use super::process::{ProcessStats, unix_time};
use crate::daemon::logging;
use crate::server::Observer;

/// The pages about a server.
#[derive(Debug)]
pub struct ServerPages {
    observer: Observer,
    reloads: Arc<Reloads>,
    liveness: Liveness,
    /// The start of the daemon, in Unix time.
    started: Duration,
}

impl ServerPages {
    /// The pages about this server, which starts now.
    #[must_use]
    pub fn new(observer: Observer, reloads: Arc<Reloads>) -> Self {
        Self { observer, reloads, liveness: Liveness::new(), started: unix_time() }
    }

    /// The line of the agent-check.
    #[must_use]
    pub fn agent_line(&self) -> String {
        let stats = self.observer.stats();
        agent_line(self.observer.phase(), stats.open, stats.gauges.connections_limit)
    }

    fn metrics(&self, format: Format) -> Response {
        let samples = samples(&Sources {
            stats: &self.observer.stats(),
            phase: self.observer.phase(),
            started: self.started,
            log_dropped: logging::dropped(),
            reloads: &self.reloads,
            process: &ProcessStats::read(),
        });
        Response { status: Status::Ok, media_type: format.media_type(), content: samples.text(format) }
    }
}

impl Pages for ServerPages {
    fn reply(&mut self, request: Request) -> Reply {
        match request.page {
            Page::Live => {
                let Self { observer, liveness, .. } = self;
                let is_acknowledged = |number| observer.silent_workers(number).is_empty();
                Reply::After(liveness.begin(Instant::now(), is_acknowledged, || observer.send_heartbeat()))
            }
            Page::Ready => Reply::Now(readiness(self.observer.phase(), self.observer.is_at_limit())),
            Page::Metrics(format) => Reply::Now(self.metrics(format)),
        }
    }

    fn liveness(&self, check: &LivenessCheck, now: Instant) -> Option<Response> {
        liveness(&self.observer.silent_workers(check.number), check, now)
    }
}
