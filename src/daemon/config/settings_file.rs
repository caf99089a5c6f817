//! The value of `--settings`: a file, and whether it may be missing.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The file of settings, as `EnvironmentFile=` in systemd.exec(5) names it: `-` before the path allows it to be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFile {
    /// The path.
    pub path: PathBuf,
    /// Without the file the defaults apply.
    pub may_be_missing: bool,
}

impl SettingsFile {
    /// Parses the value of the option. A path behind `-` must contain a slash, so that an option behind a `--settings`
    /// without its value is not taken for a file that is missing.
    ///
    /// # Errors
    /// There is no path; a path behind `-` contains no slash, or begins with `-`.
    pub fn parse(value: &OsStr) -> Result<Self, String> {
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        match value.as_bytes() {
            [] | b"-" => Err("there is no name of a file".into()),
            [b'-', rest @ ..] if rest.starts_with(b"-") || !rest.contains(&b'/') => {
                let name = String::from_utf8_lossy(rest);
                Err(format!("write -./{name} for a file of this directory that may be missing"))
            }
            [b'-', rest @ ..] => Ok(Self { path: path(rest), may_be_missing: true }),
            bytes => Ok(Self { path: path(bytes), may_be_missing: false }),
        }
    }
}

/// The path, without the `-`.
impl fmt::Display for SettingsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &[u8]) -> Result<(PathBuf, bool), String> {
        SettingsFile::parse(OsStr::from_bytes(value)).map(|file| (file.path, file.may_be_missing))
    }

    #[test]
    fn a_hyphen_before_the_path_allows_the_file_to_be_missing() {
        assert_eq!(parse(b"/etc/default/retortd"), Ok(("/etc/default/retortd".into(), false)));
        assert_eq!(parse(b"settings"), Ok(("settings".into(), false)));
        assert_eq!(parse(b"./-settings"), Ok(("./-settings".into(), false)));
        assert_eq!(parse(b"-/etc/default/retortd"), Ok(("/etc/default/retortd".into(), true)));
        assert_eq!(parse(b"-./settings"), Ok(("./settings".into(), true)));
        assert_eq!(parse(b"-/\xff"), Ok((PathBuf::from(OsStr::from_bytes(b"/\xff")), true)));
    }

    #[test]
    fn options_are_not_files_that_may_be_missing() {
        for value in ["-v", "-p8083", "--quotes=/etc/quotes", "-settings"] {
            let error = parse(value.as_bytes()).expect_err(value);
            assert!(error.starts_with(&format!("write -./{} ", &value[1..])), "{error}");
        }
        for value in ["", "-"] {
            assert_eq!(parse(value.as_bytes()), Err("there is no name of a file".into()), "{value}");
        }
    }
}
