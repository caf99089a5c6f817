//! Failures of the daemon, and their exit codes, by which the service manager decides whether to try again.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | stopped as requested |
//! | 2 | usage: an option or its value is wrong |
//! | 71 | the system refused something; another start may succeed (`EX_OSERR` of sysexits(3)) |
//! | 75 | the connections wait in the store of the service manager for the next start (`EX_TEMPFAIL`) |
//! | 78 | the configuration cannot work, and another start will not change that (`EX_CONFIG`) |
//!
//! The unit lists 2 and 78 in `RestartPreventExitStatus=`, and 75 in `RestartForceExitStatus=`: without an error, so that
//! the next start is made at once.

use std::fmt;
use std::process::ExitCode;

/// How a daemon that did not fail has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stopped as requested.
    Stopped,
    /// The service manager has the connections, for the next start.
    HandedOver,
}

impl End {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::HandedOver => 75,
        }
    }
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An option or its value is wrong.
    Usage,
    /// The system refused something; another start may succeed.
    System,
    /// The configuration cannot work.
    Configuration,
}

impl Kind {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::System => 71,
            Self::Configuration => 78,
        }
    }
}

/// A failure, for the person who has to resolve it: what was tried, on what, the reason, and a hint.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The system refused something.
    pub fn system(message: impl Into<String>) -> Self {
        Self::of(Kind::System, message)
    }

    /// The configuration cannot work.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::of(Kind::Configuration, message)
    }

    /// Adds a hint: how to resolve the failure.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_a_code_and_a_hint() {
        assert_eq!([End::Stopped, End::HandedOver].map(End::code), [0, 75]);
        assert_eq!([Kind::Usage, Kind::System, Kind::Configuration].map(Kind::code), [2, 71, 78]);
        let failure = Failure::system("cannot listen on [::]:7: Permission denied (os error 13)").with_hint("be root");
        assert_eq!(failure.to_string(), "cannot listen on [::]:7: Permission denied (os error 13) (be root)");
    }
}
