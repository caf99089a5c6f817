//! The option `mode` of a listener on a Unix socket: the permissions of its file. Like the address it is fixed.

use std::fmt;
use std::str::FromStr;

use super::listener_syntax::Written;

/// The permissions of the file of a Unix socket: a process that may write to it may connect (unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(pub u32);

/// The highest permissions: those of owner, group and others (inode(7)).
const MAX_MODE: u32 = 0o777;
/// The permission that every socket needs: the daemon connects to a socket that is there, to see if a process listens.
const OWNER_WRITES: u32 = 0o200;

impl Default for SocketMode {
    /// User and group. Chosen: a socket in the file system is for those that its group admits, while every user can
    /// connect to a port of the loopback interface.
    fn default() -> Self {
        Self(0o660)
    }
}

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= MAX_MODE);
        match mode {
            None => Err(format!("mode={text} is not an octal number of permissions: 0200 to 0777")),
            Some(mode) if mode & OWNER_WRITES == 0 => {
                Err(format!("mode={text} does not let the daemon's user connect, as a restart has to: 0200 is missing"))
            }
            Some(mode) => Ok(Self(mode)),
        }
    }
}

/// As it is read: `0660`.
impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl SocketMode {
    /// Takes the option out of a listener; `None` if it has none.
    ///
    /// # Errors
    /// It is given twice, without a value, or with one that is no mode.
    pub fn take(written: &mut Written<'_>) -> Result<Option<Self>, String> {
        let (modes, others) =
            std::mem::take(&mut written.options).into_iter().partition(|option| option.name == "mode");
        written.options = others;
        match <[_; 1]>::try_from(modes) {
            Ok([option]) => {
                let value = option.value.ok_or_else(|| format!("mode of {} has no value: mode=0660", written.name))?;
                value.parse().map(Some)
            }
            Err(modes) if modes.is_empty() => Ok(None),
            Err(_) => Err(format!("{} has more than one mode", written.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_an_octal_number() {
        for (text, mode) in [("0660", 0o660), ("666", 0o666), ("0200", 0o200), ("0777", 0o777)] {
            let parsed: SocketMode = text.parse().expect(text);
            assert_eq!(parsed, SocketMode(mode));
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
        for text in ["1777", "01000", "8", "0o660", "+660", "-1", "", "rw", "77777777777777"] {
            let error = text.parse::<SocketMode>().expect_err(text);
            assert_eq!(error, format!("mode={text} is not an octal number of permissions: 0200 to 0777"));
        }
        for text in ["0", "0440", "0060"] {
            let error = text.parse::<SocketMode>().expect_err(text);
            assert!(error.starts_with(&format!("mode={text} does not let the daemon's user connect")), "{error}");
        }
    }

    #[test]
    fn a_mode_is_taken_out_of_the_options() {
        let mut written = Written::parse("echo=unix:/run/echo,fast,mode=0600,slow").expect("a listener");
        assert_eq!(SocketMode::take(&mut written), Ok(Some(SocketMode(0o600))));
        assert_eq!(written.options.iter().map(|option| option.name).collect::<Vec<_>>(), ["fast", "slow"]);
        assert_eq!(SocketMode::take(&mut written), Ok(None));
    }
}
