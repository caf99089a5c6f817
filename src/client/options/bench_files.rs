//! The files that `retort bench` writes.

use std::path::PathBuf;

use clap::Args;

/// The files that are written after the measurement; an earlier file is kept until the new one is complete.
#[derive(Args, Debug)]
pub struct BenchFiles {
    /// Draw latency by percentile; an earlier file is kept until the drawing is complete
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub svg: Option<PathBuf>,
    /// Draw the latencies of an earlier run into the drawing of --svg, too, from its JSON report; up to four times
    #[arg(long, value_name = "FILE", help_heading = "Output", requires = "svg")]
    pub overlay: Vec<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Output",
        help = "Write the latencies by percentile, in milliseconds, as the text that plotters of HdrHistogram read"
    )]
    #[allow(missing_docs, reason = "the help text would need backticks")]
    pub hdr: Option<PathBuf>,
    /// Write the intervals of the measurement as CSV, one a row; each is a second, or as --interval says
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub csv: Option<PathBuf>,
}

impl BenchFiles {
    /// Whether a file is to be written.
    #[must_use]
    pub fn are_written(&self) -> bool {
        [&self.svg, &self.hdr, &self.csv].into_iter().any(Option::is_some)
    }
}
