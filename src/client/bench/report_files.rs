//! The files of a report.

use super::measurement::Measurement;
use super::svg;
use super::{csv, hdr_text};
use crate::client::failure::Failure;
use crate::client::options::BenchFiles;
use crate::client::report_file::ReportFile;

/// The files that the options name.
#[derive(Debug)]
pub struct ReportFiles {
    svg: Option<ReportFile>,
    hdr: Option<ReportFile>,
    csv: Option<ReportFile>,
}

impl ReportFiles {
    /// Prepares to write them. Fails before the run if that is impossible.
    pub fn prepare(options: &BenchFiles) -> Result<Self, Failure> {
        let prepare = |path: &Option<_>| path.as_deref().map(ReportFile::prepare).transpose();
        Ok(Self { svg: prepare(&options.svg)?, hdr: prepare(&options.hdr)?, csv: prepare(&options.csv)? })
    }

    /// Writes them all. If some cannot be written, the others are, and the first failure is returned.
    pub fn write(self, title: &str, measurement: &Measurement) -> Result<(), Failure> {
        let latencies = &measurement.latencies;
        let svg = write(self.svg, || svg::document(title, latencies));
        let hdr = write(self.hdr, || hdr_text::text(latencies));
        let csv = write(self.csv, || csv::text(measurement.series.intervals()));
        svg.and(hdr).and(csv)
    }
}

/// Writes a report, if there is a file for it.
fn write(file: Option<ReportFile>, report: impl FnOnce() -> String) -> Result<(), Failure> {
    file.map_or(Ok(()), |file| file.write(report().as_bytes()))
}
