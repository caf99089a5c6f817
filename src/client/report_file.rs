//! A report in a file that is either complete or not there.
//!
//! Owns the path of one report. Guarantees: the report is written to a temporary name in the same directory and renamed
//! (rename(2) is atomic), so that no reader sees half of it and an earlier report is kept until the new one is
//! complete; the temporary name exists only during [`ReportFile::prepare`] and [`ReportFile::write`], so that a signal
//! between these leaves no file behind (one during these may leave `.retort-` and six characters). A pipe, a device and
//! `/dev/stdout` cannot be replaced, and are written to directly.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::failure::Failure;

/// The file of one report.
#[derive(Debug)]
pub struct ReportFile {
    /// The path as the user wrote it, for messages.
    name: String,
    destination: Destination,
}

#[derive(Debug)]
enum Destination {
    /// A regular file at this path, which may not exist yet.
    Regular(PathBuf),
    /// Anything else, opened before the run.
    Special(File),
}

impl ReportFile {
    /// Prepares to write a report. Fails before the run if that is impossible, because its results would be lost.
    pub fn prepare(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        match Destination::of(path) {
            Ok(destination) => Ok(Self { name, destination }),
            Err(error) => Err(Failure::cannot(format_args!("create {name}"), &error)),
        }
    }

    /// Writes the whole report.
    pub fn write(self, report: &[u8]) -> Result<(), Failure> {
        let written = match self.destination {
            Destination::Special(mut file) => file.write_all(report),
            Destination::Regular(path) => replace(&path, report),
        };
        written.map_err(|error| Failure::cannot(format_args!("write {}", self.name), &error))
    }
}

impl Destination {
    fn of(path: &Path) -> io::Result<Self> {
        let existing = fs::metadata(path).ok();
        // `/dev/stdout` may be a link to a regular file; replacing that file would not write to standard output.
        let special = existing.is_some_and(|existing| !existing.is_file()) || path.parent() == Some(Path::new("/dev"));
        if special {
            return OpenOptions::new().write(true).open(path).map(Self::Special);
        }
        // A symbolic link is kept, and its target is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        drop(temporary(&path)?);
        Ok(Self::Regular(path))
    }
}

/// A temporary file in the directory of `path`, with the permissions that the file at `path` has or would get; removed
/// when dropped.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // not `tempfile_in`, whose errors have the temporary name: the user did not choose that
    let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    let file = Builder::new().prefix(".retort-").make_in(directory, create)?;
    if let Ok(existing) = fs::metadata(path) {
        file.as_file().set_permissions(existing.permissions())?;
    }
    Ok(file)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = temporary(path)?;
    // not `NamedTempFile::write_all`, whose errors have the temporary name, too
    file.as_file().write_all(content)?;
    // Some file systems report a full disk only here, which must be before the old report is replaced.
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn earlier_report_is_kept_until_the_new_one_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        fs::write(&path, "earlier").unwrap();
        let report = ReportFile::prepare(&path).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(directory.path())), (b"earlier".to_vec(), vec!["report".into()]));
        report.write(b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(directory.path())), (b"new".to_vec(), vec!["report".into()]));
    }

    #[test]
    fn permissions_follow_the_umask_or_the_earlier_report() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (other, report) = (directory.path().join("other"), directory.path().join("report"));
        fs::write(&other, "").unwrap();
        ReportFile::prepare(&report).unwrap().write(b"").unwrap();
        assert_eq!(mode(&report), mode(&other));
        fs::set_permissions(&report, Permissions::from_mode(0o604)).unwrap();
        ReportFile::prepare(&report).unwrap().write(b"").unwrap();
        assert_eq!(mode(&report), 0o604);
    }

    #[test]
    fn links_and_devices_are_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "earlier").unwrap();
        symlink(&file, &link).unwrap();
        ReportFile::prepare(&link).unwrap().write(b"new").unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"new");
        let null = directory.path().join("null");
        symlink("/dev/null", &null).unwrap();
        ReportFile::prepare(&null).unwrap().write(b"report").unwrap();
        assert!(!fs::metadata(&null).unwrap().is_file());
    }

    #[test]
    fn failed_report_is_an_error_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone/report");
        let failure = ReportFile::prepare(&path).unwrap_err().to_string();
        assert_eq!(failure, format!("cannot create {}: No such file or directory", path.display()));
        fs::create_dir(directory.path().join("gone")).unwrap();
        let report = ReportFile::prepare(&path).unwrap();
        fs::remove_dir(directory.path().join("gone")).unwrap();
        let failure = report.write(b"new").unwrap_err().to_string();
        assert_eq!(failure, format!("cannot write {}: No such file or directory", path.display()));
        let report = ReportFile::prepare(&directory.path().join("taken")).unwrap();
        fs::create_dir(directory.path().join("taken")).unwrap();
        report.write(b"new").unwrap_err();
        assert_eq!(names(directory.path()), ["taken"]);
    }
}
