//! The kernel's side of waiting: poll(2), epoll(7), signalfd(2), timerfd(2), and the socket options that std lacks.
//!
//! Owns nothing but descriptors. Guarantees: a wait that a signal interrupts goes on (or says so where the signal is
//! what is waited for); no descriptor survives an exec.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// What a descriptor is waited for, and what it is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Bytes, the end of input, or an error.
    pub read: bool,
    /// Room for bytes, or a connection made.
    pub write: bool,
}

/// Waits until `stream` is ready for something of `interest`; nothing when the time is up.
pub fn ready(stream: &TcpStream, interest: Interest, timeout: Duration) -> io::Result<Option<Interest>> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::POLLIN, interest.read);
    flags.set(PollFlags::POLLOUT, interest.write);
    let mut fds = [PollFd::new(stream.as_fd(), flags)];
    if wait_for_any(&mut fds, timeout)? == 0 {
        return Ok(None);
    }
    let got = fds[0].revents().unwrap_or(PollFlags::empty());
    let ended = got.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
    Ok(Some(Interest { read: ended || got.contains(PollFlags::POLLIN), write: got.contains(PollFlags::POLLOUT) }))
}

fn wait_for_any(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<i32> {
    let deadline = Instant::now() + timeout;
    loop {
        match poll(fds, milliseconds(deadline.saturating_duration_since(Instant::now()))) {
            Err(Errno::EINTR) => {}
            Ok(n) => return Ok(n),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Rounded up, so that a wait never ends just before its time.
fn milliseconds(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
}

/// Ctrl-C and SIGTERM as something to wait for; from now on they no longer end the process.
#[derive(Debug)]
pub struct Interrupts(SignalFd);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The user or the system wants an end.
    Interrupted,
    /// The socket has something to read.
    Readable,
    /// The time is up.
    TimedOut,
}

impl Interrupts {
    /// Blocks both signals for this thread (and those that it starts) and watches for them.
    pub fn watch() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Waits for a signal, for something to read where there is a socket, or for the time to be up.
    pub fn wait(&self, socket: Option<&TcpStream>, timeout: Duration) -> io::Result<Woken> {
        let mut fds = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        fds.extend(socket.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        wait_for_any(&mut fds, timeout)?;
        let woken = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        Ok(match (woken(&fds[0]), fds.get(1).is_some_and(woken)) {
            (true, _) => Woken::Interrupted,
            (false, true) => Woken::Readable,
            (false, false) => Woken::TimedOut,
        })
    }
}

/// Many descriptors at once, each with a number.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

/// How many events one wait takes.
const EVENTS: usize = 1024;

impl Poller {
    /// Nothing is watched yet.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); EVENTS] })
    }

    /// Watches a descriptor, which is called `number` from now on.
    pub fn add(&self, fd: BorrowedFd<'_>, number: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(interest), number))?)
    }

    /// Watches it for something else.
    pub fn change(&self, fd: BorrowedFd<'_>, number: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags(interest), number))?)
    }

    /// Waits for at most `timeout` (rounded up to a millisecond), and returns how many descriptors are ready.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = EpollTimeout::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(EpollTimeout::MAX);
        match self.epoll.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => Ok(0),
            done => Ok(done?),
        }
    }

    /// The number of a ready descriptor, of those that the last wait found.
    #[must_use]
    pub fn ready(&self, index: usize) -> u64 {
        self.events[index].data()
    }
}

fn flags(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.read);
    flags.set(EpollFlags::EPOLLOUT, interest.write);
    flags
}

/// An alarm that a [`Poller`] can watch, finer than its own milliseconds.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// Not set yet.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?))
    }

    /// Goes off once, after so long; an earlier setting and an alarm not yet noticed are forgotten.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        // Zero would switch the timer off: timerfd_settime(2).
        let after = TimeSpec::from_duration(after.max(Duration::from_nanos(1)));
        Ok(self.0.set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How many loopback addresses the connections of a benchmark may come from.
const LOOPBACK_SOURCES: u64 = 200;

/// Begins to connect; the socket becomes writable when that is done, for better or worse.
///
/// Many connections to a loopback address come from many addresses (`number` chooses): one address has 28,000 ports,
/// and each stays taken for a minute after its connection has ended.
pub fn begin_connect(address: SocketAddr, number: u64) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    if address.ip() == Ipv4Addr::LOCALHOST {
        let source = Ipv4Addr::new(127, 0, 0, 1 + (number % LOOPBACK_SOURCES) as u8);
        // Without this option bind(2) would look for a port that no other connection has, and soon find none: ip(7).
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(source, 0)))?;
    }
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Closes with a reset instead of an end: `SO_LINGER` with time 0, socket(7).
pub fn reset(stream: TcpStream) {
    let _ = setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
    drop(stream);
}

/// Allows this process as many descriptors as it may have.
pub fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < hard {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}
