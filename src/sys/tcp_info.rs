//! What the kernel knows of a TCP connection (`TCP_INFO`, tcp(7)).

#![allow(clippy::cast_possible_truncation, reason = "the size of a struct of the kernel")]
#![allow(unsafe_code, reason = "calls getsockopt(2) for a struct that libc has without its newer members")]

use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

/// The state of a connection. What an older kernel does not return is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// The congestion window, in segments.
    pub congestion_window: u32,
    /// Length of a segment that is sent, in bytes.
    pub segment_size: u32,
    /// The smoothed round-trip time.
    pub round_trip: Duration,
    /// Its mean deviation.
    pub round_trip_variance: Duration,
    /// Segments that have been sent again.
    pub retransmits: u32,
    /// Bytes that the peer has acknowledged, the SYN as one.
    pub acknowledged: Option<u64>,
    /// The smallest round-trip time.
    pub min_round_trip: Option<Duration>,
    /// The rate at which bytes were delivered last, in bytes per second.
    pub delivery_rate: Option<u64>,
    /// How long there were bytes that had been sent or were to be sent.
    pub busy: Option<Duration>,
    /// How much of that the peer's receive window was full.
    pub window_limited: Option<Duration>,
    /// How much of that the send buffer was too small.
    pub buffer_limited: Option<Duration>,
}

/// The beginning of `struct tcp_info` (the kernel's `include/uapi/linux/tcp.h`), which grows at its end.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelInfo {
    /// The state, options, and numbers of a few bits.
    small: [u8; 8],
    rto: u32,
    ato: u32,
    snd_mss: u32,
    rcv_mss: u32,
    /// `unacked`, `sacked`, `lost`, `retrans`, `fackets`.
    queues: [u32; 5],
    /// Times since events.
    last: [u32; 4],
    pmtu: u32,
    rcv_ssthresh: u32,
    rtt: u32,
    rttvar: u32,
    snd_ssthresh: u32,
    snd_cwnd: u32,
    advmss: u32,
    reordering: u32,
    rcv_rtt: u32,
    rcv_space: u32,
    total_retrans: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    busy_time: u64,
    rwnd_limited: u64,
    sndbuf_limited: u64,
}

/// Reads the state of a TCP connection; `None` for another socket.
///
/// # Errors
/// As getsockopt(2).
pub fn tcp_info(socket: &impl AsFd) -> Result<Option<TcpInfo>, Errno> {
    let mut info = MaybeUninit::<KernelInfo>::zeroed();
    let mut length = size_of::<KernelInfo>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: getsockopt writes at most `length` bytes to `info`, which has that size.
    let result =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    match Errno::result(result) {
        // SAFETY: zeros are a valid KernelInfo, and so is what the kernel wrote over them.
        Ok(_) => Ok(Some(unsafe { info.assume_init() }.read(length as usize))),
        Err(Errno::EOPNOTSUPP | Errno::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error),
    }
}

impl KernelInfo {
    /// The members of which the kernel has written all bytes: it wrote `length` in all.
    fn read(&self, length: usize) -> TcpInfo {
        let microseconds = |time: u32| Duration::from_micros(time.into());
        let newer = |offset: usize, value: u64| (offset + size_of::<u64>() <= length).then_some(value);
        let newer_time = |offset, value| newer(offset, value).map(Duration::from_micros);
        let has_min_rtt = offset_of!(Self, min_rtt) + size_of::<u32>() <= length;
        TcpInfo {
            congestion_window: self.snd_cwnd,
            segment_size: self.snd_mss,
            round_trip: microseconds(self.rtt),
            round_trip_variance: microseconds(self.rttvar),
            retransmits: self.total_retrans,
            acknowledged: newer(offset_of!(Self, bytes_acked), self.bytes_acked),
            // The kernel writes all bits where it has not measured any.
            min_round_trip: (has_min_rtt && self.min_rtt != u32::MAX).then(|| microseconds(self.min_rtt)),
            delivery_rate: newer(offset_of!(Self, delivery_rate), self.delivery_rate),
            busy: newer_time(offset_of!(Self, busy_time), self.busy_time),
            window_limited: newer_time(offset_of!(Self, rwnd_limited), self.rwnd_limited),
            buffer_limited: newer_time(offset_of!(Self, sndbuf_limited), self.sndbuf_limited),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn acknowledged_bytes_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let (mut server, _) = listener.accept().expect("a connection");
        client.write_all(&[0; 1000]).expect("send");
        server.read_exact(&mut [0; 1000]).expect("receive");
        server.write_all(b"!").expect("send");
        client.read_exact(&mut [0]).expect("the reply, which acknowledges the request");
        let info = tcp_info(&client).expect("a socket").expect("a TCP connection");
        assert!(info.acknowledged.is_none_or(|bytes| bytes == 1001), "{info:?}");
        assert!(info.congestion_window > 0 && info.segment_size > 0 && !info.round_trip.is_zero(), "{info:?}");
        assert_eq!(info.retransmits, 0);
    }

    #[test]
    fn another_socket_has_none() {
        let (unix, _peer) = UnixStream::pair().expect("a pair");
        assert_eq!(tcp_info(&unix), Ok(None));
        assert!(tcp_info(&std::fs::File::open("/proc/self/stat").expect("a file")).is_err());
    }

    /// `total_retrans` ends at 104, `bytes_acked` at 128, `sndbuf_limited` at 192.
    #[test]
    fn members_that_an_older_kernel_does_not_return_are_unknown() {
        // SAFETY: a struct of numbers.
        let info: KernelInfo = unsafe { MaybeUninit::zeroed().assume_init() };
        let known = |length| {
            let info = info.read(length);
            (info.acknowledged.is_some(), info.min_round_trip.is_some(), info.buffer_limited.is_some())
        };
        assert_eq!(known(104), (false, false, false));
        assert_eq!(known(128), (true, false, false));
        assert_eq!(known(191), (true, true, false));
        assert_eq!(known(192), (true, true, true));
        assert_eq!(size_of::<KernelInfo>(), 192);
    }
}
