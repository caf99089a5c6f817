//! The hand-over: from SIGUSR2 to the end of this process, or of its program.
//!
//! 1. *check*: the program runs with `--check`, as a child.
//! 2. *prepare*: the requests that are being processed end, or `--hand-over-timeout` does.
//! 3. *freeze*, *save*, *store*: the workers stop, and their connections go to the service manager, or to this
//!    process's next program.
//! 4. *commit*: this process exits, or executes the program.
//!
//! The main loop goes on during the first two, and clients are served. The third is one call, in which each wait is
//! bounded. Until the commit everything can be undone: a step that fails refuses the hand-over, and the daemon goes on
//! serving.
//!
//! A SIGTERM meanwhile is most often that of `systemctl restart`, which follows SIGUSR2 at once. It is postponed: without
//! effect if the hand-over succeeds, and otherwise the daemon stops as without a hand-over. Where no service manager
//! starts a successor, somebody wants this process to end: SIGTERM ends the hand-over then.

use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::MainLoop;
use crate::daemon::hand_over;
use crate::daemon::logging;
use crate::daemon::successor::{self, SettingsCheck};
use crate::server::{Phase, Saved};
use crate::units::{counted, format_time};

/// The maximum time until every worker has stopped for the hand-over. Chosen: an iteration of a worker takes
/// milliseconds; one that takes a second hangs, and its connections could not be saved.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(1);
/// The unit in which the log shows how long nothing was served. Chosen: clients notice no shorter times.
const SHOWN_TIME: Duration = Duration::from_millis(1);

/// The progress of a hand-over.
#[derive(Debug, Default)]
pub struct HandOver {
    step: Step,
    /// The file of the program that takes over.
    program: Option<PathBuf>,
    /// A SIGTERM or SIGINT came after the hand-over had begun.
    stop_postponed: bool,
}

/// The step of a hand-over that the main loop waits for.
#[derive(Debug, Default)]
enum Step {
    /// There is no hand-over.
    #[default]
    None,
    /// The program checks its settings.
    Checking(SettingsCheck),
    /// The requests that are being processed end, at most until then.
    Preparing(Instant),
    /// The successor has the connections: this process ends.
    Committed,
}

impl HandOver {
    /// None so far; this program will take over.
    #[must_use]
    pub fn new(program: Option<PathBuf>) -> Self {
        Self { program, ..Self::default() }
    }

    /// A descriptor that becomes readable when there is something to do.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.step {
            Step::Checking(check) => check.descriptor(),
            Step::None | Step::Preparing(_) | Step::Committed => None,
        }
    }

    /// The time after which there is something to do.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        match &self.step {
            Step::Checking(check) => Some(check.left(now)),
            Step::Preparing(until) => Some(until.saturating_duration_since(now)),
            Step::None | Step::Committed => None,
        }
    }

    /// Postpones a stop until the hand-over has ended; false if one is postponed already.
    pub fn postpone_stop(&mut self) -> bool {
        !mem::replace(&mut self.stop_postponed, true)
    }

    /// Whether a hand-over has begun and has not ended.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        matches!(self.step, Step::Checking(_) | Step::Preparing(_))
    }

    /// Whether the successor has the connections.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(self.step, Step::Committed)
    }
}

impl MainLoop<'_> {
    /// Begins a hand-over, because of SIGUSR2.
    pub(super) fn begin_hand_over(&mut self) {
        if let Some(why) = self.ignores_hand_over() {
            warn!("SIGUSR2 ignored: {why}");
            return;
        }
        let Some(program) = &self.progress.hand_over.program else {
            return self.refuse_hand_over("the file of the program was not found at the start (is /proc mounted?)");
        };
        info!("handing over: checking the settings with {} --check", program.display());
        match SettingsCheck::start(program, self.arguments) {
            Ok(check) => self.progress.hand_over.step = Step::Checking(check),
            Err(error) => {
                let why = format!("cannot execute {}: {error}", program.display());
                self.refuse_hand_over(&why);
            }
        }
    }

    /// Why SIGUSR2 has no effect at present.
    fn ignores_hand_over(&self) -> Option<&'static str> {
        if !self.settings.reloadable.hand_over {
            Some("--hand-over is not set")
        } else if self.progress.hand_over.is_in_progress() {
            Some("a hand-over is in progress")
        } else if self.server.phase() != Phase::Running {
            Some("the daemon is stopping")
        } else if self.serving.single_connection {
            Some("the daemon serves a single connection")
        } else {
            None
        }
    }

    /// Takes the next steps of a hand-over that do not have to wait.
    pub(super) fn advance_hand_over(&mut self) {
        let now = Instant::now();
        match &mut self.progress.hand_over.step {
            Step::Checking(check) => match check.result(now) {
                None => {}
                Some(Ok(())) => self.prepare_hand_over(now),
                Some(Err(why)) => self.refuse_hand_over(&format!("the settings cannot be used: {why}")),
            },
            Step::Preparing(until) if self.server.is_prepared() || *until <= now => self.hand_over(),
            Step::None | Step::Preparing(_) | Step::Committed => {}
        }
    }

    /// Lets the requests that are being processed end.
    fn prepare_hand_over(&mut self, now: Instant) {
        let timeout = self.settings.reloadable.hand_over_timeout;
        self.server.prepare_hand_over();
        self.progress.hand_over.step = Step::Preparing(now + timeout);
        if !self.server.is_prepared() {
            let timeout = format_time(timeout);
            info!(
                "handing over: waiting at most {timeout} (--hand-over-timeout) for requests that are being processed"
            );
        }
        self.advance_hand_over();
    }

    /// Hands the connections over, or refuses that.
    fn hand_over(&mut self) {
        // what has been logged is written while clients are served; so little is left that has to be written later
        logging::finish();
        match self.give_away() {
            Ok(()) => self.progress.hand_over.step = Step::Committed,
            Err(why) => self.refuse_hand_over(&why),
        }
    }

    /// Gives the connections to the service manager, which passes them to the successor. Without one, executes the
    /// program in this process, with the connections: that returns only if it fails.
    fn give_away(&mut self) -> Result<(), String> {
        let has_manager = self.notifier.is_connected();
        let begun = Instant::now();
        let stats = self.server.stats();
        let mut frozen = self.server.freeze(FREEZE_TIMEOUT).map_err(|error| error.to_string())?;
        // a service manager passes the listeners of socket units again
        let packed = hand_over::pack(&mut frozen, &stats, &self.side, &self.serving.origins, !has_manager)?;
        if has_manager {
            self.notifier.store(packed.as_fd(), hand_over::NAME)?;
            let saved = packed.saved;
            packed.commit()?;
            logging::log_always(&handed_over(saved, begun.elapsed()));
            frozen.commit();
            return Ok(());
        }
        logging::log_always(&handed_over(packed.saved, begun.elapsed()));
        logging::finish();
        let program = self.progress.hand_over.program.as_deref().ok_or("there is no program")?;
        Err(successor::execute(program, self.arguments, packed.as_fd()))
    }

    /// Ends a hand-over that cannot be made: the daemon goes on serving, or stops if that was postponed.
    fn refuse_hand_over(&mut self, why: &str) {
        let postponed = self.cancel_hand_over();
        let then = if postponed { "stopping as without a hand-over" } else { "serving goes on" };
        error!("cannot hand the connections over: {why}; {then}");
        if postponed {
            self.begin_stop();
        }
    }

    /// Undoes the steps of a hand-over. Returns whether a stop was postponed.
    pub(super) fn cancel_hand_over(&mut self) -> bool {
        if let Step::Preparing(_) = self.progress.hand_over.step {
            self.server.cancel_hand_over();
        }
        if self.progress.hand_over.is_in_progress() {
            self.progress.hand_over.step = Step::None;
        }
        mem::take(&mut self.progress.hand_over.stop_postponed)
    }
}

/// The line of the log about a hand-over.
fn handed_over(saved: Saved, frozen: Duration) -> String {
    let frozen =
        format_time(Duration::from_millis(u64::try_from(frozen.as_millis()).unwrap_or(u64::MAX)).max(SHOWN_TIME));
    let left = match saved.left {
        0 => String::new(),
        1 => ", except 1 whose request is still being processed".into(),
        left => format!(", except {left} whose requests are still being processed"),
    };
    format!("handed over {}{left}; nothing was served for {frozen}", counted(saved.handed_over, "connection"))
}
