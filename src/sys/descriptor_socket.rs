//! A socket that carries descriptors from one process to the next (`SCM_RIGHTS`, unix(7)).
//!
//! Both ends are one pair of `SOCK_SEQPACKET`: messages keep their borders and their order, and what was sent stays in the
//! socket after the sender has exited, until the receiver takes it or the last descriptor of the receiver is closed.

#![allow(unsafe_code, reason = "receives descriptors, which nix loses where a message was truncated")]
#![allow(clippy::cast_possible_truncation, reason = "lengths of constants")]
#![allow(clippy::cast_ptr_alignment, reason = "descriptors in control messages are read unaligned")]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, getsockname, getsockopt, socketpair, sockopt,
};

use super::interest::Interest;
use super::passed_descriptors::send_with_descriptors;
use super::poll::wait_ready;
use super::socket_options::set_send_buffer;

/// The most descriptors in one message (`SCM_MAX_FD` in the kernel's include/net/scm.h): one more fails with EINVAL.
pub const MAX_DESCRIPTORS: usize = 253;
/// The most bytes of the payload of a message: those behind them are lost, and the message counts as truncated. Chosen:
/// a payload is a few words that name its descriptors.
pub const MAX_PAYLOAD: usize = 64;
/// The send buffer that is requested, in bytes: the kernel lowers it to `net.core.wmem_max`, and doubles it. Derived: a
/// message takes 766 bytes of it (measured: the default of 212,992 has room for 278), and 4,145 messages carry the
/// 1,048,576 descriptors that a process may open by default (`fs.nr_open`).
const SEND_BUFFER: usize = 4 << 20;

/// The bytes of the control message with [`MAX_DESCRIPTORS`].
// SAFETY: CMSG_SPACE computes with a number.
const CONTROL_LENGTH: usize = unsafe { libc::CMSG_SPACE((MAX_DESCRIPTORS * size_of::<RawFd>()) as u32) } as usize;

/// Room for control messages, aligned as their header.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; CONTROL_LENGTH],
}

/// The end to which descriptors are sent.
#[derive(Debug)]
pub struct DescriptorSender(OwnedFd);

/// The end from which descriptors are received.
#[derive(Debug)]
pub struct DescriptorReceiver(OwnedFd);

/// A message.
#[derive(Debug)]
pub struct Received {
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its descriptors, in the order in which they were sent; closed on exec.
    pub descriptors: Vec<OwnedFd>,
    /// A part is lost: the process may not open more descriptors, or the payload is longer than [`MAX_PAYLOAD`].
    pub truncated: bool,
}

/// A pair of ends; both are closed on exec.
///
/// # Errors
/// As socketpair(2): EMFILE, ENFILE.
pub fn descriptor_pair() -> Result<(DescriptorSender, DescriptorReceiver), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (sender, receiver) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    set_send_buffer(&sender, SEND_BUFFER)?;
    Ok((DescriptorSender(sender), DescriptorReceiver(receiver)))
}

impl DescriptorSender {
    /// Sends a message with at most [`MAX_DESCRIPTORS`] descriptors; never waits. The payload may not be empty: an empty
    /// message without descriptors looks like the end.
    ///
    /// # Errors
    /// As sendmsg(2). EAGAIN: the send buffer is full; EINVAL: there are too many descriptors, or no payload;
    /// ETOOMANYREFS: the user has more descriptors on their way than `RLIMIT_NOFILE` of this process; ECONNRESET,
    /// EPIPE: the other end is closed.
    pub fn send(&self, payload: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        if payload.is_empty() {
            return Err(Errno::EINVAL);
        }
        send_with_descriptors(&self.0, payload, descriptors)
    }

    /// Whether the last descriptor of the receiver is closed, in whichever process, or will be within `timeout`.
    #[must_use]
    pub fn closes_within(&self, timeout: Duration) -> bool {
        matches!(wait_ready(&self.0, Interest::READ, timeout), Ok(Some(_)))
    }
}

impl DescriptorReceiver {
    /// Takes the next message; never waits. `None` if there is none: the end, or the sender has not sent it yet.
    ///
    /// # Errors
    /// As recvmsg(2): EINTR, ENOMEM, ECONNRESET.
    pub fn receive(&self) -> Result<Option<Received>, Errno> {
        let mut payload = vec![0; MAX_PAYLOAD];
        let mut control = MaybeUninit::<Control>::zeroed();
        let mut part = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
        // SAFETY: zeros are a valid msghdr: null pointers with lengths of zero.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_LENGTH;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the message has one part, and control messages; both with their lengths.
        let length = Errno::result(unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, flags) });
        let length = match length {
            Err(Errno::EAGAIN) => return Ok(None),
            length => length?.unsigned_abs(),
        };
        // SAFETY: recvmsg has written this message.
        let descriptors = unsafe { take_descriptors(&message) };
        payload.truncate(length);
        let truncated = message.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0;
        let is_end = payload.is_empty() && descriptors.is_empty() && !truncated;
        Ok((!is_end).then_some(Received { payload, descriptors, truncated }))
    }
}

/// Takes every descriptor out of a message.
///
/// # Safety
/// recvmsg(2) has written the message just now: nobody else owns its descriptors.
unsafe fn take_descriptors(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has written whole headers with their lengths, between which these macros step.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(control) = header.as_ref() {
            if (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let length = control.cmsg_len - libc::CMSG_LEN(0) as usize;
                let numbers = libc::CMSG_DATA(control).cast::<RawFd>();
                let numbers = (0..length / size_of::<RawFd>()).map(|place| numbers.add(place).read_unaligned());
                descriptors.extend(numbers.map(|number| OwnedFd::from_raw_fd(number)));
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    descriptors
}

/// The end from which descriptors are received, in the next process. EINVAL: it is no connected Unix socket of
/// `SOCK_SEQPACKET`; ENOTSOCK: it is no socket.
impl TryFrom<OwnedFd> for DescriptorReceiver {
    type Error = (OwnedFd, Errno);

    fn try_from(socket: OwnedFd) -> Result<Self, Self::Error> {
        match check_kind(&socket) {
            Ok(()) => Ok(Self(socket)),
            Err(error) => Err((socket, error)),
        }
    }
}

fn check_kind(socket: &OwnedFd) -> Result<(), Errno> {
    let kind = getsockopt(socket, sockopt::SockType)?;
    let address = getsockname::<SockaddrStorage>(socket.as_raw_fd())?;
    let is_pair = kind == SockType::SeqPacket && address.as_unix_addr().is_some();
    if is_pair && !getsockopt(socket, sockopt::AcceptConn)? { Ok(()) } else { Err(Errno::EINVAL) }
}

impl AsFd for DescriptorReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<DescriptorReceiver> for OwnedFd {
    fn from(receiver: DescriptorReceiver) -> Self {
        receiver.0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::sys::resource::{Resource, setrlimit};
    use nix::unistd::{Uid, geteuid, setuid};

    use super::*;
    use crate::sys::file_id;
    use crate::sys::test_process::in_own_process;

    fn file() -> File {
        File::open("/dev/null").expect("open")
    }

    fn received(receiver: &DescriptorReceiver) -> Received {
        receiver.receive().expect("receive").expect("a message")
    }

    #[test]
    fn sender_awaits_that_its_receiver_is_closed() {
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let copy = receiver.as_fd().try_clone_to_owned().expect("a copy");
        drop(receiver);
        assert!(!sender.closes_within(Duration::ZERO), "there is a copy");
        let closes = thread::spawn(move || drop(copy));
        assert!(sender.closes_within(Duration::from_secs(60)));
        closes.join().expect("the thread");
        assert!(sender.closes_within(Duration::ZERO));
    }

    #[test]
    fn descriptors_outlast_their_sender() {
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let (one, other) = UnixStream::pair().expect("a pair");
        let ids = [&one, &other].map(|socket| file_id(socket).expect("an id"));
        sender.send(b"both", &[one.as_fd(), other.as_fd()]).expect("send");
        sender.send(b"none", &[]).expect("send");
        drop((sender, one, other));
        // as the next process gets it
        let receiver = DescriptorReceiver::try_from(OwnedFd::from(receiver)).expect("an end");
        let both = received(&receiver);
        assert_eq!((&*both.payload, both.truncated), (&b"both"[..], false));
        assert_eq!(both.descriptors.iter().map(|socket| file_id(socket).expect("an id")).collect::<Vec<_>>(), ids);
        let close_on_exec =
            |socket: &OwnedFd| fcntl(socket, FcntlArg::F_GETFD).expect("flags") == FdFlag::FD_CLOEXEC.bits();
        assert!(both.descriptors.iter().all(close_on_exec));
        let none = received(&receiver);
        assert_eq!((&*none.payload, none.descriptors.len(), none.truncated), (&b"none"[..], 0, false));
        assert!(receiver.receive().expect("receive").is_none());
    }

    #[test]
    fn an_empty_socket_is_not_waited_for() {
        let (_sender, receiver) = descriptor_pair().expect("a pair");
        assert!(receiver.receive().expect("receive").is_none());
    }

    #[test]
    fn a_message_has_a_maximum_of_descriptors() {
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let file = file();
        let most = vec![file.as_fd(); MAX_DESCRIPTORS];
        sender.send(b"most", &most).expect("send");
        assert_eq!(received(&receiver).descriptors.len(), MAX_DESCRIPTORS);
        assert_eq!(sender.send(b"more", &[&most[..], &[file.as_fd()]].concat()), Err(Errno::EINVAL));
        assert_eq!(sender.send(b"", &most), Err(Errno::EINVAL));
        assert!(receiver.receive().expect("receive").is_none());
    }

    #[test]
    fn a_full_socket_is_an_error() {
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let sent = (0..100_000).take_while(|_| sender.send(b"connections", &[]).is_ok()).count();
        assert!((200..100_000).contains(&sent), "{sent}");
        assert_eq!(sender.send(b"connections", &[]), Err(Errno::EAGAIN));
        drop(receiver);
        assert!(matches!(sender.send(b"connections", &[]), Err(Errno::ECONNRESET | Errno::EPIPE)));
    }

    #[test]
    fn a_long_payload_is_truncated() {
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let file = file();
        sender.send(&[b'x'; MAX_PAYLOAD + 1], &[file.as_fd()]).expect("send");
        let message = received(&receiver);
        assert_eq!((message.payload.len(), message.descriptors.len(), message.truncated), (MAX_PAYLOAD, 1, true));
    }

    /// Those that fit are received, and closed.
    #[test]
    fn a_limit_on_descriptors_truncates_a_message() {
        if !in_own_process("sys::descriptor_socket::tests::a_limit_on_descriptors_truncates_a_message") {
            return;
        }
        let (sender, receiver) = descriptor_pair().expect("a pair");
        let file = file();
        sender.send(b"many", &[file.as_fd(); 100]).expect("send");
        setrlimit(Resource::RLIMIT_NOFILE, 20, 20).expect("a limit");
        let message = received(&receiver);
        assert!(message.truncated && (1..20).contains(&message.descriptors.len()), "{message:?}");
        drop(message);
        drop(File::open("/dev/null").expect("the descriptors are closed"));
        // root may exceed that limit
        if geteuid().is_root() {
            setuid(Uid::from_raw(65534)).expect("another user");
        }
        let error = (0..30).map(|_| sender.send(b"many", &[file.as_fd(); 10])).find_map(Result::err);
        assert_eq!(error, Some(Errno::ETOOMANYREFS));
    }

    #[test]
    fn other_descriptors_are_no_end_of_a_pair() {
        let error = |descriptor: OwnedFd| DescriptorReceiver::try_from(descriptor).expect_err("no end").1;
        assert_eq!(error(file().into()), Errno::ENOTSOCK);
        assert_eq!(error(UnixStream::pair().expect("a pair").0.into()), Errno::EINVAL);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        assert_eq!(error(listener.into()), Errno::EINVAL);
    }
}
