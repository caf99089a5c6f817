//! One call does a bounded amount of work.

use std::io::{self, Read, Write};
use std::sync::Arc;

use retortd::connection::{Budget, Connection, FAIR_READ_SIZE, MAX_BUFFERED_WRITE, MAX_WRITE, Stream};
use retortd::protocol::services::frame;

use crate::scripted::{IoResult, ScriptedStream, connection, context};
use crate::session::{UPPERCASE, assert_waits, frame_request};

/// Always has input, and takes all output; counts system calls.
#[derive(Default)]
pub struct EndlessStream {
    pub calls: u32,
}

impl EndlessStream {
    fn count_call(&mut self) {
        self.calls += 1;
        assert!(self.calls < 1000, "the connection does not return to its worker");
    }
}

impl Read for EndlessStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.count_call();
        Ok(into.len())
    }
}

impl Write for EndlessStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.count_call();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for EndlessStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        None
    }
}

#[test]
fn one_call_makes_a_bounded_number_of_system_calls() {
    // small requests, a large one, one that is rejected and skipped, and protocols whose input has no end
    let large = frame::header(4, frame::MAX_LENGTH);
    for (name, first) in [("frame", [0; 4]), ("frame", large), ("echo", large), ("discard", large), ("chargen", large)]
    {
        let mut context = context(frame::MAX_LENGTH, &Arc::new(Budget::new(1 << 30)), 1);
        let mut connection = connection(name);
        let reads = [IoResult::AtMost(4), IoResult::WouldBlock];
        let mut begin = ScriptedStream::new(&first, &reads, &[IoResult::WouldBlock; 9]);
        for call in [Connection::open, Connection::readable] {
            assert_waits(&call(&mut connection, &mut begin, &mut context));
        }
        for call in [Connection::readable, Connection::writable] {
            let mut stream = EndlessStream::default();
            assert_waits(&call(&mut connection, &mut stream, &mut context));
            assert!(stream.calls < 20, "{name}: {} system calls", stream.calls);
        }
    }
}

/// What is left of a rejected request is never copied where the stream can drop it, but counted; the next request is
/// read as ever. One call drops a bounded number of bytes.
#[test]
fn rest_of_a_rejected_request_is_dropped_by_the_stream() {
    let rejected = frame_request(UPPERCASE, &vec![b'x'; 1 << 20]);
    let input = [&rejected[..], &frame_request(UPPERCASE, b"next")].concat();
    let reads = [IoResult::AtMost(1000), IoResult::Interrupted, IoResult::WouldBlock, IoResult::AtMost(1000)];
    let mut stream = ScriptedStream::new(&input, &reads, &[]);
    stream.passes_bulk = true;
    let mut context = context(1 << 16, &Arc::new(Budget::new(1 << 20)), 1);
    let mut connection = connection("frame");
    assert_waits(&connection.open(&mut stream, &mut context));
    while stream.unread() > 0 {
        let before = stream.unread();
        assert_waits(&connection.readable(&mut stream, &mut context));
        assert!(before - stream.unread() <= MAX_WRITE);
    }
    assert_eq!(stream.discarded, rejected.len() - 1000);
    assert_eq!(context.counters.bytes_in.get(), input.len() as u64);
    assert_eq!(stream.output, b"\0\0\0\x05error\0\0\0\x04NEXT");
}

/// Fault 37: a large request is read, processed and replied to in pieces, and other connections are served between
/// them.
#[test]
fn one_call_reads_and_sends_a_bounded_number_of_bytes() {
    let length = 8 << 20;
    let mut context = context(length, &Arc::new(Budget::new(64 << 20)), 1);
    let mut stream = ScriptedStream::new(&frame_request(UPPERCASE, &vec![b'a'; length]), &[], &[]);
    let mut connection = connection("frame");
    assert_waits(&connection.open(&mut stream, &mut context));
    while stream.output.is_empty() {
        let before = stream.unread();
        // the message is never offloaded: each piece is preprocessed at once
        assert_waits(&connection.readable(&mut stream, &mut context));
        assert!(before - stream.unread() <= FAIR_READ_SIZE + 256 * 1024);
    }
    // the call that completes the reply sends the first part
    let first = stream.output.len();
    assert!(first <= MAX_WRITE);
    let mut calls = 0;
    while stream.output.len() < length + 4 {
        let before = stream.output.len();
        assert!(connection.interest().write && !connection.interest().read);
        assert_waits(&connection.writable(&mut stream, &mut context));
        assert!(stream.output.len() - before <= MAX_BUFFERED_WRITE);
        calls += 1;
    }
    assert_eq!(calls, (length + 4 - first).div_ceil(MAX_BUFFERED_WRITE));
}
