//! A progress bar on standard error, for what takes longer than a second.
//!
//! Guarantees: nothing is drawn unless standard error is a terminal, and never on standard output.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is too short to be worth a bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shared by the thread that sends and the one that receives.
#[derive(Clone, Debug)]
pub struct Progress(Option<Arc<Meter>>);

#[derive(Debug)]
struct Meter {
    bar: ProgressBar,
    started: Instant,
    drawn: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Progress {
    /// A bar for `total` bytes to send, or for an unknown number; none if `quiet`.
    #[must_use]
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_style(style(total.is_some()));
        Self(Some(Arc::new(Meter {
            bar,
            started: Instant::now(),
            drawn: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })))
    }

    /// So many more bytes of requests have been sent.
    pub fn sent(&self, bytes: usize) {
        if let Some(meter) = &self.0 {
            meter.sent.fetch_add(bytes as u64, Ordering::Relaxed);
            meter.show();
        }
    }

    /// So many more bytes of answers have come.
    pub fn received(&self, bytes: usize) {
        if let Some(meter) = &self.0 {
            meter.received.fetch_add(bytes as u64, Ordering::Relaxed);
            meter.show();
        }
    }

    /// Does what may write to the terminal, with the bar out of the way.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(meter) if meter.drawn.load(Ordering::Relaxed) => meter.bar.suspend(work),
            _ => work(),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(meter) = &self.0 {
            meter.bar.finish_and_clear();
        }
    }
}

impl Meter {
    fn show(&self) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        if !self.drawn.swap(true, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let sent = self.sent.load(Ordering::Relaxed);
        let received = self.received.load(Ordering::Relaxed);
        self.bar.set_message(format!("{} sent, {} received", HumanBytes(sent), HumanBytes(received)));
        self.bar.set_position(sent);
    }
}

fn style(known: bool) -> ProgressStyle {
    let template = if known { "{percent:>3}% [{bar:30}] {msg}  {elapsed}" } else { "{spinner} {msg}  {elapsed}" };
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}
