//! The files of a report.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::earlier_run::EarlierRun;
use super::measurement::Measurement;
use super::svg::{self, Curve, MAX_OVERLAYS};
use super::{csv, hdr_text};
use crate::client::failure::Failure;
use crate::client::options::BenchOptions;
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
    pub fn prepare(options: &BenchOptions) -> Result<Self, Failure> {
        let (compare, options) = (options.compare.as_deref(), &options.files);
        let inputs = compare.map(|path| ("--compare", path)).into_iter();
        let inputs = inputs.chain(options.overlay.iter().map(|path| ("--overlay", path.as_path())));
        let outputs = [("--svg", &options.svg), ("--hdr", &options.hdr), ("--csv", &options.csv)];
        let outputs = outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
        check_differ(&inputs.collect::<Vec<_>>(), &outputs.collect::<Vec<_>>())?;
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

/// Checks that no two options name the same file, of which only the last report would be left, and that no report
/// replaces an earlier one that is read.
fn check_differ(inputs: &[(&str, &Path)], outputs: &[(&str, &Path)]) -> Result<(), Failure> {
    for (index, (option, path)) in outputs.iter().enumerate() {
        let mut others = inputs.iter().chain(&outputs[..index]);
        if let Some((other, _)) = others.find(|(_, other)| is_same_file(path, other)) {
            return Err(Failure::cannot_run(format!("{other} and {option} name the same file")));
        }
    }
    Ok(())
}

/// Whether both paths lead to the same file, also by links and if it does not exist yet.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Err(_), Err(_)) => new_file(one) == new_file(other),
        _ => false,
    }
}

/// The path of a file that does not exist, without links; itself if its directory does not exist, either.
fn new_file(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let canonical =
        fs::canonicalize(directory).ok().zip(path.file_name()).map(|(directory, name)| directory.join(name));
    canonical.unwrap_or_else(|| path.to_owned())
}

/// Writes a report, if there is a file for it.
fn write(file: Option<ReportFile>, report: impl FnOnce() -> String) -> Result<(), Failure> {
    file.map_or(Ok(()), |file| file.write(report().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_known_by_every_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "").unwrap();
        fs::write(path("other"), "").unwrap();
        fs::create_dir(path("sub")).unwrap();
        symlink(path("file"), path("link")).unwrap();
        fs::hard_link(path("file"), path("hard")).unwrap();
        symlink(directory.path(), path("directory")).unwrap();
        for name in ["file", "./file", "sub/../file", "link", "hard", "directory/file"] {
            assert!(is_same_file(&path("file"), &path(name)), "{name}");
        }
        for name in ["new", "./new", "sub/../new", "directory/new"] {
            assert!(is_same_file(&path("new"), &path(name)), "{name}");
            assert!(!is_same_file(&path("file"), &path(name)), "{name}");
        }
        assert!(!is_same_file(&path("file"), &path("other")) && !is_same_file(&path("new"), &path("newer")));
        let in_current = std::env::current_dir().unwrap().join("new.out");
        assert!(is_same_file(Path::new("new.out"), &in_current));
    }
}
