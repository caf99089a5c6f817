//! A message that passes descriptors to another process (`SCM_RIGHTS`, unix(7)).

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Sends a message to the peer of a connected Unix socket that keeps the boundaries of messages, with descriptors: the
/// receiver gets one of its own for each open file.
///
/// # Errors
/// As sendmsg(2): EAGAIN while the queue of the peer is full, if the socket is non-blocking.
pub fn send_with_descriptors(socket: &impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if numbers.is_empty() { &[][..] } else { &rights };
    let socket = socket.as_fd().as_raw_fd();
    sendmsg::<()>(socket, &[IoSlice::new(message)], control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read};
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "takes ownership of the descriptor that was received")]
    fn the_receiver_gets_a_descriptor_of_its_own() {
        let (sender, receiver) = UnixDatagram::pair().expect("a pair");
        let (mut kept, passed) = UnixStream::pair().expect("a pair");
        send_with_descriptors(&sender, b"one", &[passed.as_fd()]).expect("send");
        drop(passed);
        let (mut bytes, mut space) = ([0; 8], nix::cmsg_space!([i32; 2]));
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<()>(receiver.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC);
        let received = received.expect("receive");
        assert_eq!(received.bytes, 3);
        let mut control = received.cmsgs().expect("control messages");
        let Some(ControlMessageOwned::ScmRights(numbers)) = control.next() else { panic!("no descriptor") };
        assert_eq!(numbers.len(), 1);
        // SAFETY: recvmsg(2) has just opened it, and nothing else owns it.
        drop(unsafe { OwnedFd::from_raw_fd(numbers[0]) });
        assert_eq!(kept.read(&mut [0]).expect("the end of the input"), 0, "no other copy is open");
    }
}
