//! The errors of accept(2), by their consequence.

use crate::sys::Errno;

/// The consequence of an error of accept(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptErrorClass {
    /// No connection is waiting.
    QueueEmpty,
    /// A signal came first.
    Interrupted,
    /// This connection is gone; others may wait.
    Lost,
    /// The system has no descriptors or memory left.
    Exhausted,
    /// The listener cannot be used any more.
    Broken,
}

impl AcceptErrorClass {
    /// The consequence of an error.
    #[must_use]
    pub fn of(error: Errno) -> Self {
        match error {
            Errno::EAGAIN => Self::QueueEmpty,
            Errno::EINTR => Self::Interrupted,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSR => Self::Exhausted,
            // accept(2): errors of the new connection that are reported here, among them the refusal of a firewall
            Errno::ECONNABORTED
            | Errno::EPROTO
            | Errno::EPERM
            | Errno::EACCES
            | Errno::ECONNRESET
            | Errno::EPROTONOSUPPORT
            | Errno::ESOCKTNOSUPPORT
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::ETIMEDOUT => Self::Lost,
            _ => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_accept_error_has_its_class() {
        use AcceptErrorClass::{Broken, Exhausted, Interrupted, Lost, QueueEmpty};
        let table: &[(AcceptErrorClass, &[Errno])] = &[
            (QueueEmpty, &[Errno::EAGAIN]),
            (Interrupted, &[Errno::EINTR]),
            (Exhausted, &[Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::ENOSR]),
            (
                Lost,
                &[
                    Errno::ECONNABORTED,
                    Errno::EPROTO,
                    Errno::EPERM,
                    Errno::ENETDOWN,
                    Errno::EHOSTUNREACH,
                    Errno::EACCES,
                ],
            ),
            (Broken, &[Errno::EBADF, Errno::EINVAL, Errno::ENOTSOCK]),
        ];
        for (expected, errors) in table {
            for error in *errors {
                assert_eq!(AcceptErrorClass::of(*error), *expected, "{error}");
            }
        }
    }
}
