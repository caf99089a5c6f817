//! A progress bar on standard error, for runs that take longer than a second.
//!
//! Guarantees: nothing is drawn unless standard error is a terminal that can redraw a line; nothing is written to
//! standard output.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal;

/// The bar appears after this time. Chosen: the usual limit from which a user wonders whether a program works.
const DELAY: Duration = Duration::from_secs(1);

/// Counts bytes, and draws the bar. The exchange counts requests on it and the printer replies, on one thread.
#[derive(Clone, Debug)]
pub struct ProgressMeter(Option<Rc<ByteCounters>>);

#[derive(Debug)]
struct ByteCounters {
    bar: DelayedBar,
    sent: Cell<u64>,
    received: Cell<u64>,
}

impl ProgressMeter {
    /// A bar for `total` bytes to send, if that number is known; with `quiet` none is drawn.
    #[must_use]
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        if quiet || !terminal::stderr_can_redraw() {
            return Self(None);
        }
        let bar = DelayedBar::new(total);
        Self(Some(Rc::new(ByteCounters { bar, sent: Cell::new(0), received: Cell::new(0) })))
    }

    /// `bytes` more bytes of requests have been sent.
    pub fn sent(&self, bytes: usize) {
        if let Some(counters) = &self.0 {
            counters.sent.set(counters.sent.get() + bytes as u64);
            counters.show();
        }
    }

    /// `bytes` more bytes of replies have been received.
    pub fn received(&self, bytes: usize) {
        if let Some(counters) = &self.0 {
            counters.received.set(counters.received.get() + bytes as u64);
            counters.show();
        }
    }

    /// Runs `work`, which may write to the terminal, while the bar is hidden.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(counters) => counters.bar.bar.suspend(work),
            None => work(),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(counters) = &self.0 {
            counters.bar.bar.finish_and_clear();
        }
    }
}

/// Shows the progress of a run whose end is known.
#[derive(Debug)]
pub struct RunProgress(Option<DelayedBar>);

/// The length of the bar of a run: thousandths. Chosen: finer than it is drawn.
const RUN_STEPS: u64 = 1000;

impl RunProgress {
    /// For a run that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(terminal::stderr_can_redraw().then(|| DelayedBar::new(Some(RUN_STEPS))))
    }

    /// Draws the bar, of which the share `done` is full, and a message.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "from 0 to RUN_STEPS; fractions are dropped on purpose"
    )]
    pub fn show(&self, done: f64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.show((done.clamp(0.0, 1.0) * RUN_STEPS as f64) as u64, message);
        }
    }

    /// Runs `work`, which may write to the terminal, while the bar is hidden.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.bar.suspend(work),
            None => work(),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.bar.finish_and_clear();
        }
    }
}

impl ByteCounters {
    fn show(&self) {
        let (sent, received) = (self.sent.get(), self.received.get());
        self.bar.show(sent, || format!("{} sent, {} received", HumanBytes(sent), HumanBytes(received)));
    }
}

/// A bar that is hidden until [`DELAY`] has passed.
#[derive(Debug)]
struct DelayedBar {
    bar: ProgressBar,
    started: Instant,
}

impl DelayedBar {
    /// A bar of this length, if it is known, whose time begins now.
    fn new(length: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        Self { bar: bar.with_style(style(length.is_some())), started: Instant::now() }
    }

    fn show(&self, position: u64, message: impl FnOnce() -> String) {
        if self.started.elapsed() < DELAY {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(message());
        self.bar.set_position(position);
    }
}

fn style(known: bool) -> ProgressStyle {
    let template = if known { "{percent:>3}% [{bar:30}] {msg}  {elapsed}" } else { "{spinner} {msg}  {elapsed}" };
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}
