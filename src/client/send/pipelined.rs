//! Pipelined requests on one connection, while their replies arrive.
//!
//! One thread sends, this one receives. The sender passes each request on through a channel before it sends it. The
//! channel holds [`MAX_IN_FLIGHT`] requests, so that a server that reads without end and never replies cannot make the
//! client grow: the sender then flushes what it has buffered and blocks until a reply arrives or the receiver gives up.

use std::io::{self, BufWriter, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;
use std::{mem, thread};

use super::reply_printer::ReplyPrinter;
use super::request::{RequestLabel, SendRequest};
use super::request_source::RequestSource;
use super::session::Session;
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::{Failure, Status, warn};
use crate::client::progress::ProgressMeter;
use crate::client::reply::reader::{ReadError, ReplyReader};

/// A request that is being sent, without its bytes, or the reason why there are no more.
type Queued = Result<SendRequest, Failure>;

/// The most requests without a reply. Chosen: 2 MiB of memory, which the channel allocates at once, and 160,000
/// requests per second over a round trip of 100 ms.
const MAX_IN_FLIGHT: usize = 1 << 14;

/// Bytes of requests that are sent with one call. Chosen without tuning.
const WRITE_SIZE: usize = 64 << 10;

/// The most time to wait, after the last reply, for the server to close the connection or to send too much. Chosen: far
/// more than either takes, far less than a user notices as a delay of the prompt.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// The most bytes beyond the last reply that the warning about them shows. Chosen: enough to recognize them.
const SHOWN: usize = 32;

/// Sends every request as soon as the server takes it, and prints the replies as they arrive.
pub fn run(session: &Session, source: RequestSource, printer: &mut ReplyPrinter) -> Result<Status, Failure> {
    let stream = session.connect()?;
    let share = || stream.try_clone().map_err(|error| Failure::cannot_run(format!("cannot share the socket: {error}")));
    let (queue, queued) = mpsc::sync_channel(MAX_IN_FLIGHT);
    let written = Arc::new(AtomicU64::new(0));
    let wire = CountingWriter { stream: share()?, written: Arc::clone(&written), progress: session.progress.clone() };
    let sender = RequestSender { protocol: session.protocol, wire: BufWriter::with_capacity(WRITE_SIZE, wire), queue };
    // Detached: a thread that waits for a line of standard input must not keep a finished program alive.
    thread::spawn(move || sender.run(source));
    let replies = ReplyReader::new(stream).within(session.timeouts.read_timeout);
    ReplyReceiver { replies, queued, written, written_before: 0 }.run(printer)
}

/// The socket, with a count of the bytes that it has taken.
struct CountingWriter {
    stream: TcpStream,
    written: Arc<AtomicU64>,
    progress: ProgressMeter,
}

impl Write for CountingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.stream.write(bytes)?;
        self.written.fetch_add(n as u64, Ordering::Relaxed);
        self.progress.sent(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct RequestSender {
    protocol: ClientProtocol,
    wire: BufWriter<CountingWriter>,
    queue: SyncSender<Queued>,
}

impl RequestSender {
    /// Ends after the last request, and when the connection or the receiver has failed: the receiver reports why.
    fn run(mut self, mut source: RequestSource) {
        let end = self.send_all(&mut source);
        let _ = self.wire.flush();
        if let Err(failure) = end {
            let _ = self.queue.send(Err(failure));
        }
    }

    fn send_all(&mut self, source: &mut RequestSource) -> Result<(), Failure> {
        loop {
            if source.may_block() && self.wire.flush().is_err() {
                return Ok(());
            }
            let Some(mut request) = source.next(self.protocol)? else { return Ok(()) };
            let bytes = mem::take(&mut request.wire);
            if !self.enqueue(request) || self.wire.write_all(&bytes).is_err() {
                return Ok(());
            }
        }
    }

    /// Passes a request to the receiver; false if that has ended.
    fn enqueue(&mut self, request: SendRequest) -> bool {
        match self.queue.try_send(Ok(request)) {
            Ok(()) => true,
            // The receiver may wait for the reply to a request that is still buffered here.
            Err(TrySendError::Full(request)) => self.wire.flush().is_ok() && self.queue.send(request).is_ok(),
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

struct ReplyReceiver {
    replies: ReplyReader<TcpStream>,
    queued: Receiver<Queued>,
    /// Bytes that the sender's socket has taken.
    written: Arc<AtomicU64>,
    /// [`written`](Self::written) at the last timeout.
    written_before: u64,
}

impl ReplyReceiver {
    fn run(mut self, printer: &mut ReplyPrinter) -> Result<Status, Failure> {
        let mut status = Status::Success;
        let mut last = None;
        while let Some(queued) = self.next_request(printer)? {
            let request = queued?;
            match self.reply_to(&request) {
                Ok(reply) => status = status.and(printer.reply(&request, reply)?),
                Err(error) => {
                    warn(&format_args!("{}: {error}", request.label));
                    return Ok(Status::Failed);
                }
            }
            last = Some(request.label);
        }
        printer.flush()?;
        Ok(status.and(self.expect_end(last)))
    }

    /// The next request from the sender; `None` after the last. Flushes the output before it blocks: a program that
    /// reads it may be the one that writes the next request.
    fn next_request(&mut self, printer: &mut ReplyPrinter) -> Result<Option<Queued>, Failure> {
        let queued = self.queued.try_recv().ok();
        if queued.is_none() || self.replies.buffered().is_empty() {
            printer.flush()?;
        }
        Ok(queued.or_else(|| self.queued.recv().ok()))
    }

    fn reply_to(&mut self, request: &SendRequest) -> Result<Vec<u8>, ReadError> {
        let (written, before) = (&self.written, &mut self.written_before);
        // A long request takes time: while the socket takes bytes of it, its reply is not late.
        self.replies.next(request.framing, request.reply_limit, &mut || {
            let now = written.load(Ordering::Relaxed);
            mem::replace(before, now) != now
        })
    }

    /// After the last reply, whatever else the server sends is an error.
    fn expect_end(&mut self, last: Option<RequestLabel>) -> Status {
        let stream = self.replies.stream();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(CLOSE_WAIT));
        let Some(label) = last else { return Status::Success };
        match self.replies.read_some() {
            // A server that keeps the connection open, or resets it, has replied nevertheless.
            Ok([]) | Err(_) => Status::Success,
            Ok(portion) => {
                let shown = portion[..portion.len().min(SHOWN)].escape_ascii();
                warn(&format_args!("{label}: {} bytes arrived after its reply: {shown}", portion.len()));
                Status::Failed
            }
        }
    }
}
