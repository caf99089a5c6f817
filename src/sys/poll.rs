//! poll(2): waiting for a few descriptors at a time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::time::TimeSpec;

use super::interest::Interest;

/// Waits until one of the descriptors is readable, at most for `timeout` (rounded up to a millisecond; `None`: without
/// a limit). A signal ends the wait early.
///
/// # Errors
/// As poll(2), except EINTR: ENOMEM, for example.
pub fn wait_readable<const N: usize>(fds: [BorrowedFd<'_>; N], timeout: Option<Duration>) -> Result<(), Errno> {
    let mut watched = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut watched, poll_timeout(timeout)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits without a limit until a descriptor is writable or fails. A signal ends the wait early.
///
/// # Errors
/// As poll(2), except EINTR.
pub fn wait_writable(fd: &impl AsFd) -> Result<(), Errno> {
    match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether input, or its end, can be read now.
#[must_use]
pub fn is_readable(fd: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok() && has(&watched[0], PollFlags::POLLIN)
}

/// Waits until `fd` is ready for a part of `interest` and returns that part, or `None` after `timeout`. A connection
/// that failed or has ended counts as readable. The wait continues after a signal.
///
/// # Errors
/// As poll(2), except EINTR.
pub fn wait_ready(fd: &impl AsFd, interest: Interest, timeout: Duration) -> io::Result<Option<Interest>> {
    let mut watched = [PollFd::new(fd.as_fd(), poll_flags(interest))];
    let deadline = Instant::now() + timeout;
    loop {
        match poll(&mut watched, poll_timeout(Some(deadline.saturating_duration_since(Instant::now())))) {
            Err(Errno::EINTR) => {}
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(readiness(&watched[0]))),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until one of the descriptors is ready for a part of its interest, at most for `timeout` (`None`: without a
/// limit), and returns the readiness of each. A descriptor that failed or has ended counts as readable. A signal ends
/// the wait early, with none ready; so do 24 days.
///
/// # Errors
/// As ppoll(2), except EINTR.
pub fn wait_any_ready(watched: &[(BorrowedFd<'_>, Interest)], timeout: Option<Duration>) -> io::Result<Vec<Interest>> {
    let mut fds: Vec<_> = watched.iter().map(|(fd, interest)| PollFd::new(*fd, poll_flags(*interest))).collect();
    match ppoll(&mut fds, timeout.map(|timeout| TimeSpec::from_duration(timeout.min(LONGEST_WAIT))), None) {
        Err(Errno::EINTR) => Ok(vec![Interest::default(); fds.len()]),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(fds.iter().map(readiness).collect()),
    }
}

/// The longest wait of [`wait_any_ready`]. Derived: the longest of poll(2), 2^31 ms, so that no time is out of range.
const LONGEST_WAIT: Duration = Duration::from_millis(i32::MAX as u64);

fn poll_flags(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::POLLIN, interest.read);
    flags.set(PollFlags::POLLOUT, interest.write);
    flags
}

fn readiness(fd: &PollFd<'_>) -> Interest {
    let readable = PollFlags::POLLIN | PollFlags::POLLERR | PollFlags::POLLHUP;
    Interest { read: has(fd, readable), write: has(fd, PollFlags::POLLOUT) }
}

/// The timeout in milliseconds that poll(2) and `epoll_wait(2)` take; rounded up, so that a wait never ends before its
/// time.
#[inline]
pub(super) fn poll_timeout(timeout: Option<Duration>) -> PollTimeout {
    let Some(timeout) = timeout else { return PollTimeout::NONE };
    let part = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
    timeout_of(timeout.as_secs().saturating_mul(1000).saturating_add(part))
}

/// The timeout of this number of milliseconds, or the longest that there is.
#[inline]
pub(super) fn timeout_of(milliseconds: u64) -> PollTimeout {
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}

fn has(watched: &PollFd<'_>, any_of: PollFlags) -> bool {
    watched.revents().is_some_and(|events| events.intersects(any_of))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn timeouts_are_rounded_up_and_bounded() {
        let milliseconds = |timeout| poll_timeout(Some(timeout)).as_millis();
        assert_eq!(milliseconds(Duration::ZERO), Some(0));
        assert_eq!(milliseconds(Duration::from_nanos(1)), Some(1));
        assert_eq!(milliseconds(Duration::from_millis(1)), Some(1));
        assert_eq!(milliseconds(Duration::from_nanos(5_000_000_001)), Some(5001));
        assert_eq!(milliseconds(Duration::MAX), Some(i32::MAX as u32));
        assert_eq!(poll_timeout(None), PollTimeout::NONE);
    }

    #[test]
    fn readiness_of_several_descriptors() {
        let (read, write) = (Interest { read: true, write: false }, Interest { read: false, write: true });
        let ((one, mut peer), (other, other_peer)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let ready = |timeout| wait_any_ready(&[(one.as_fd(), read), (other.as_fd(), read)], timeout).expect("ppoll");
        assert_eq!(ready(Some(Duration::ZERO)), [Interest::default(); 2]);
        peer.write_all(b"x").expect("write");
        assert_eq!(ready(Some(Duration::MAX)), [read, Interest::default()]);
        drop(other_peer);
        assert_eq!(ready(None), [read, read], "the end is readable");
        let writable = wait_any_ready(&[(one.as_fd(), write)], None).expect("ppoll");
        assert_eq!(writable, [write]);
    }

    #[test]
    fn readiness_of_one_descriptor() {
        let both = Interest { read: true, write: true };
        let (socket, mut peer) = UnixStream::pair().expect("a pair of sockets");
        let ready = |interest| wait_ready(&socket, interest, Duration::ZERO).expect("poll");
        assert!(!is_readable(&socket));
        assert_eq!(ready(Interest { read: true, write: false }), None);
        assert_eq!(ready(both), Some(Interest { read: false, write: true }));
        peer.write_all(b"x").expect("write");
        assert!(is_readable(&socket));
        assert_eq!(ready(both), Some(both));
        drop(peer);
        assert!(ready(Interest { read: false, write: true }).is_some_and(|ready| ready.read), "the end is readable");
        wait_writable(&socket).expect("writable");
        wait_readable([socket.as_fd()], None).expect("readable");
    }
}
