//! The end of a hand-over in the successor.

use log::warn;

use super::MainLoop;
use crate::daemon::hand_over::{self, Incoming};
use crate::daemon::logging;
use crate::server::TakeOverCounts;
use crate::units::counted;

/// What a predecessor of this process has left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Predecessor {
    /// The service manager has to remove a descriptor from its store.
    is_stored: bool,
    /// It contained the state of a server, which this process continues.
    has_state: bool,
}

impl Predecessor {
    /// The one that has handed this over.
    #[must_use]
    pub fn of(incoming: &Incoming) -> Self {
        Self { is_stored: incoming.was_passed, has_state: incoming.taken_over.is_some() }
    }
}

impl MainLoop<'_> {
    /// Logs which connections this process has taken over, when it is ready. The service manager has a copy of each until
    /// it is requested to remove them: a connection that is closed here would stay open.
    pub(super) fn complete_take_over(&mut self) {
        let Predecessor { is_stored, has_state } = self.progress.predecessor;
        if has_state {
            let TakeOverCounts { taken_over, failed } = self.server.taken_over();
            let failed =
                if failed == 0 { String::new() } else { format!(", and closed {failed} that cannot be served") };
            logging::log_always(&format!("took over {}{failed}", counted(taken_over, "connection")));
        }
        if self.serving.has_no_listener {
            warn!(
                "there is no listener: the connections of the predecessor are served, and the daemon ends with the last"
            );
        }
        if is_stored {
            self.notifier.remove_stored(hand_over::NAME);
        }
    }
}
