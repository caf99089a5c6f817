//! The system calls that the compiler cannot check: the only module with unsafe code.
//!
//! Each function here is safe to call. nix wraps the calls, but hands back bare descriptor numbers (accept4) or asks
//! for a promise about what a signal handler does (sigaction), and nobody can check for us that a descriptor number
//! from the environment has no other owner.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{SockFlag, accept4};
use nix::time::{ClockId, clock_gettime};

/// Accepts a connection, non-blocking and closed on exec; never waits on a non-blocking listener.
///
/// # Errors
/// Whatever accept4(2) says, EINTR included: `std::net::TcpListener::accept` would swallow that one.
pub fn accept(listener: &impl AsFd) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = accept4(listener.as_fd().as_raw_fd(), flags)?;
    // SAFETY: accept4 has just opened this descriptor, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a bound socket listen, with room for `backlog` connections or as many as the kernel allows.
///
/// # Errors
/// What listen(2) says. nix refuses a backlog over the 4096 that it was built with, whatever the kernel allows.
pub fn listen(socket: &impl AsFd, backlog: i32) -> Result<(), Errno> {
    // SAFETY: listen takes two numbers and touches no memory.
    let result = unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) };
    Errno::result(result).map(drop)
}

/// The number of the first descriptor that a service manager hands over (`SD_LISTEN_FDS_START` of `sd_listen_fds(3)`).
pub const FIRST_INHERITED: u32 = 3;

/// The flags of a descriptor that came through execve(2), by its number.
///
/// # Errors
/// EBADF: it is not open, it was taken before, or this process opened it itself.
pub fn inherited_flags(number: RawFd) -> Result<i32, Errno> {
    // SAFETY: F_GETFD takes numbers and touches no memory; a number that is not open gives EBADF.
    let flags = Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if flags & libc::FD_CLOEXEC == 0 { Ok(flags) } else { Err(Errno::EBADF) }
}

/// Takes a descriptor that came through execve(2), by its number; marks it to be closed on exec.
///
/// # Errors
/// As [`inherited_flags`].
pub fn take_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    let flags = inherited_flags(number)?;
    // SAFETY: F_SETFD takes numbers and touches no memory.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: std, nix and this module open every descriptor with FD_CLOEXEC: one without it came through execve, and
    // has no owner in this process. From now on it has the flag, so that a second call does not take it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Gives the calling thread the lowest share of the processor.
///
/// # Errors
/// What setpriority(2) says, for example EPERM under a system call filter.
pub fn lower_priority() -> Result<(), Errno> {
    // SAFETY: setpriority takes three numbers and touches no memory; on Linux `who` 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    Errno::result(result).map(drop)
}

/// Bytes that were written to a TCP socket and that the peer's kernel has not acknowledged; the end of the output counts
/// as one (`SIOCOUTQ`, tcp(7)).
///
/// # Errors
/// What ioctl(2) says: ENOTTY or EINVAL for what is no connected stream socket.
pub fn unacknowledged(socket: &impl AsFd) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, of the same number as TIOCOUTQ, writes one int.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    Errno::result(result).map(|_| usize::try_from(bytes).unwrap_or(0))
}

/// The field of /proc/self/statm with the address space, in pages (proc(5)).
const ADDRESS_SPACE: usize = 0;
/// The field with data and stack.
const DATA: usize = 5;

/// Bytes that the process may still take before `RLIMIT_AS` or `RLIMIT_DATA` refuses more (getrlimit(2), proc(5): statm); none
/// where neither is set, or where that cannot be known.
#[must_use]
pub fn memory_left() -> Option<usize> {
    let limits = [(Resource::RLIMIT_AS, ADDRESS_SPACE), (Resource::RLIMIT_DATA, DATA)]
        .map(|(resource, field)| (getrlimit(resource).map_or(RLIM_INFINITY, |(soft, _)| soft), field));
    if limits.iter().all(|(limit, _)| *limit == RLIM_INFINITY) {
        return None;
    }
    let mut text = [0; 128];
    let length = File::open("/proc/self/statm").and_then(|mut statm| statm.read(&mut text)).ok()?;
    let pages = |field: usize| {
        let text = std::str::from_utf8(&text[..length]).ok()?;
        text.split_whitespace().nth(field)?.parse::<u64>().ok()
    };
    // SAFETY: takes a number and returns one.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    let left = limits.into_iter().filter_map(|(limit, field)| Some(limit.saturating_sub(pages(field)? * page)));
    left.min().and_then(|left| usize::try_from(left).ok())
}

/// Connections that wait to be accepted from a TCP socket that listens (`TCP_INFO`, tcp(7)).
///
/// # Errors
/// What getsockopt(2) says.
pub fn queued_connections(listener: &impl AsFd) -> Result<u32, Errno> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: getsockopt writes at most `length` bytes to `info`, which has that size.
    let result =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    // SAFETY: zeros are a valid tcp_info, and so is what the kernel wrote over them.
    // Of a listener, tcpi_unacked is the length of the queue (tcp_get_info in the kernel's net/ipv4/tcp.c).
    Errno::result(result).map(|_| unsafe { info.assume_init() }.tcpi_unacked)
}

/// Gives the pages that lie wholly inside `bytes` back to the system (madvise(2), `MADV_DONTNEED`).
///
/// The bytes read as zeros afterwards if the memory is anonymous and private, as that of the allocator and of
/// mmap(2) for buffers is. Best effort: memory that cannot be given back stays as it is.
pub fn release_pages(bytes: &mut [u8]) {
    // the page size of x86-64 and most others; on a machine with larger pages madvise fails with EINVAL
    const PAGE: usize = 4096;
    let skipped = bytes.as_ptr().align_offset(PAGE).min(bytes.len());
    let length = (bytes.len() - skipped) / PAGE * PAGE;
    if length == 0 {
        return;
    }
    let pages = &mut bytes[skipped..skipped + length];
    // SAFETY: the pages are inside a slice that is borrowed exclusively, and any bytes are valid for it.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_DONTNEED) };
}

/// Has the allocator give back what it keeps without using it (`malloc_trim(3)`). Holds the lock of each of its arenas
/// while it looks through that arena.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// How many signal numbers are kept apart: the standard signals of signal(7).
const SIGNALS: usize = 32;
/// Where the handler reports; -1 before [`catch_signals`].
static NOTICE: AtomicI32 = AtomicI32::new(-1);
/// When each signal came first and last since it was asked for: nanoseconds of the monotonic clock, 0 for not at all.
static FIRST: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];
static LAST: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];

/// When a signal came: once or several times; times of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// The first time.
    pub first: Duration,
    /// The last time; the first one when it came once.
    pub last: Duration,
}

/// Turns these signals into a readable descriptor; [`caught`] then tells which ones came.
///
/// The handlers are installed by sigaction(2) without `SA_RESTART`: a thread that waits in a system call gets EINTR.
///
/// # Errors
/// What eventfd(2) and sigaction(2) say.
pub fn catch_signals(signals: &[Signal]) -> Result<EventFd, Errno> {
    let notice = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    NOTICE.store(notice.as_fd().as_raw_fd(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in signals {
        // SAFETY: the handler does only what signal-safety(7) allows: atomics, clock_gettime(2) and write(2).
        unsafe { sigaction(*signal, &action)? };
    }
    Ok(notice)
}

/// Ignores a signal from now on, in every thread.
///
/// # Errors
/// What sigaction(2) says: EINVAL for SIGKILL and SIGSTOP.
pub fn ignore_signal(signal: Signal) -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed that could do something wrong; the previous action is not used.
    unsafe { sigaction(signal, &action).map(drop) }
}

/// When `signal` came since the last call.
///
/// One that comes during the call may be in this result and in the next one.
pub fn caught(signal: Signal) -> Option<Arrivals> {
    let first = FIRST[signal as usize].swap(0, Ordering::SeqCst);
    let last = LAST[signal as usize].load(Ordering::SeqCst);
    (first > 0).then(|| Arrivals { first: Duration::from_nanos(first), last: Duration::from_nanos(last) })
}

/// Nanoseconds of the monotonic clock; never 0.
fn monotonic_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Notes when the signal came and adds one to the eventfd; keeps errno as it was.
extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    if let Some((first, last)) = usize::try_from(number).ok().and_then(|number| FIRST.get(number).zip(LAST.get(number)))
    {
        let now = monotonic_nanoseconds();
        last.store(now, Ordering::SeqCst);
        // a failure means that an earlier one has not been asked for yet
        let _ = first.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
    }
    let fd: RawFd = NOTICE.load(Ordering::SeqCst);
    let one = 1u64;
    // SAFETY: writes the eight bytes of a local to a descriptor; write(2) is async-signal-safe. A descriptor that is
    // closed meanwhile gives EBADF, which means that nobody listens any more.
    unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
    Errno::set_raw(errno);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_inside_are_given_back_and_nothing_else() {
        let mut bytes = vec![7; 64 * 1024];
        release_pages(&mut bytes[100..63 * 1024]);
        assert!(bytes[..100].iter().chain(&bytes[63 * 1024..]).all(|byte| *byte == 7));
        let pages = bytes.chunks(1024).filter(|chunk| chunk.iter().all(|byte| *byte == 0));
        assert!(pages.count() >= 56);
        release_pages(&mut []);
    }

    #[test]
    fn a_queue_and_what_is_not_acknowledged() {
        use std::io::{Read, Write};
        use std::net::{Shutdown, TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        assert_eq!(queued_connections(&listener), Ok(0));
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        assert_eq!(queued_connections(&listener), Ok(1));
        let (mut server, _) = listener.accept().expect("accept");
        assert_eq!(queued_connections(&listener), Ok(0));
        // more than the client's kernel takes while the client does not read
        server.set_nonblocking(true).expect("non-blocking");
        let block = vec![0; 1 << 20];
        let mut sent = 0;
        while let Ok(length @ 1..) = server.write(&block) {
            sent += length;
        }
        server.shutdown(Shutdown::Write).expect("shutdown");
        assert!(unacknowledged(&server).is_ok_and(|bytes| bytes > 1));
        let mut received = Vec::new();
        assert_eq!(client.read_to_end(&mut received).expect("read"), sent);
        assert!(unacknowledged(&listener).is_err());
    }

    #[test]
    fn a_signal_is_noted_with_its_times_and_leaves_errno_alone() {
        // before anybody listens: the handler's own write fails, with EBADF
        Errno::set_raw(Errno::EAGAIN as i32);
        let before = Duration::from_nanos(monotonic_nanoseconds());
        on_signal(Signal::SIGUSR2 as i32);
        on_signal(Signal::SIGUSR2 as i32);
        assert_eq!(Errno::last_raw(), Errno::EAGAIN as i32);
        let arrivals = caught(Signal::SIGUSR2).expect("it came");
        assert!(before <= arrivals.first && arrivals.first <= arrivals.last, "{before:?} {arrivals:?}");
        assert_eq!(caught(Signal::SIGUSR2), None);
    }

    #[test]
    fn only_what_came_through_execve_is_taken() {
        // a descriptor of this process: every one that it opens has FD_CLOEXEC
        let own = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC).expect("an eventfd");
        for number in [own.as_fd().as_raw_fd(), 100_000, i32::MAX, -1] {
            assert_eq!(take_inherited(number).map(drop), Err(Errno::EBADF), "{number}");
        }
    }
}
