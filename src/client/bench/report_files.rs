//! The files of a report.

use std::path::PathBuf;

use super::earlier_run::EarlierRun;
use super::measurement::Measurement;
use super::svg::{self, Curve, MAX_OVERLAYS};
use super::{csv, hdr_text};
use crate::client::failure::Failure;
use crate::client::options::BenchFiles;
use crate::client::report_file::ReportFile;

/// The files that the options name.
#[derive(Debug)]
pub struct ReportFiles {
    /// Curves of earlier runs, for the drawing.
    overlays: Vec<Curve>,
    svg: Option<ReportFile>,
    hdr: Option<ReportFile>,
    csv: Option<ReportFile>,
}

impl ReportFiles {
    /// Prepares to write them. Fails before the run if that is impossible.
    pub fn prepare(options: &BenchFiles) -> Result<Self, Failure> {
        check_differ([("--svg", &options.svg), ("--hdr", &options.hdr), ("--csv", &options.csv)])?;
        let prepare = |path: &Option<_>| path.as_deref().map(ReportFile::prepare).transpose();
        let overlays: Result<_, _> = options.overlay.iter().map(|path| EarlierRun::read(path)).collect();
        let overlays: Vec<EarlierRun> = overlays?;
        if overlays.len() > MAX_OVERLAYS {
            return Err(Failure::cannot_run(format!("--overlay: {} runs, of at most {MAX_OVERLAYS}", overlays.len())));
        }
        let overlays = overlays.iter().map(Curve::of_report).collect();
        Ok(Self { overlays, svg: prepare(&options.svg)?, hdr: prepare(&options.hdr)?, csv: prepare(&options.csv)? })
    }

    /// Writes them all. If some cannot be written, the others are, and the first failure is returned.
    pub fn write(self, title: &str, measurement: &Measurement) -> Result<(), Failure> {
        let latencies = &measurement.latencies;
        let svg = write(self.svg, || svg::document(title, latencies, self.overlays));
        let hdr = write(self.hdr, || hdr_text::text(latencies));
        let csv = write(self.csv, || csv::text(measurement.series.intervals()));
        svg.and(hdr).and(csv)
    }
}

/// Checks that no two options name the same file, of which only the last report would be left.
fn check_differ(files: [(&str, &Option<PathBuf>); 3]) -> Result<(), Failure> {
    for (index, (option, file)) in files.iter().enumerate() {
        let same = files[..index].iter().find(|(_, other)| file.is_some() && other == file);
        if let Some((other, _)) = same {
            return Err(Failure::cannot_run(format!("{other} and {option} name the same file")));
        }
    }
    Ok(())
}

/// Writes a report, if there is a file for it.
fn write(file: Option<ReportFile>, report: impl FnOnce() -> String) -> Result<(), Failure> {
    file.map_or(Ok(()), |file| file.write(report().as_bytes()))
}
