//! Requests one behind another on one connection, while their answers come back.
//!
//! A thread sends; this one receives. The sending side notes each request in a channel before it sends it. The channel
//! holds [`UNANSWERED`] requests, so that a server that reads without end and answers nothing cannot make the client
//! grow: the sending side then sends what it holds back and waits for an answer, for as long as the receiving side does.

use std::io::{self, BufWriter, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::{mem, thread};

use super::input::{Input, Request};
use super::{Conversation, GOODBYE, Label, Output};
use crate::client::answers::{Answers, Broken};
use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::{Failure, Verdict, complain};
use crate::client::progress::Progress;

/// What the sending side tells: the next request, without its bytes, or why there is none.
type Note = Result<Request, Failure>;

/// How many requests may be without an answer. Chosen: 2 MiB of memory, which the channel takes at once, and 160,000
/// requests a second where an answer comes after 100 ms.
const UNANSWERED: usize = 1 << 14;

/// Sends every request as soon as the server takes it, and prints the answers as they come.
pub fn run(conversation: &Conversation, input: Input, output: &mut Output) -> Result<Verdict, Failure> {
    let stream = conversation.connect()?;
    let share = || stream.try_clone().map_err(|error| Failure::cannot_run(format!("cannot share the socket: {error}")));
    let (tell, told) = mpsc::sync_channel(UNANSWERED);
    let written = Arc::new(AtomicU64::new(0));
    let wire = Wire { stream: share()?, written: Arc::clone(&written), progress: conversation.progress.clone() };
    let sending = SendingSide { dialogue: conversation.dialogue, wire: BufWriter::with_capacity(1 << 16, wire), tell };
    // Detached: a side that waits for a line of standard input must not keep a finished program alive.
    thread::spawn(move || sending.run(input));
    let answers = Answers::new(stream).within(conversation.patience.read_timeout);
    ReceivingSide { answers, told, written, seen: 0 }.run(output)
}

/// The socket, with a count of what it has taken.
struct Wire {
    stream: TcpStream,
    written: Arc<AtomicU64>,
    progress: Progress,
}

impl Write for Wire {
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

struct SendingSide {
    dialogue: ClientProtocol,
    wire: BufWriter<Wire>,
    tell: SyncSender<Note>,
}

impl SendingSide {
    /// Ends when there is nothing more to send, or nobody to send it to: what the latter means is for the receiving
    /// side to find out.
    fn run(mut self, mut input: Input) {
        let end = self.send_all(&mut input);
        let _ = self.wire.flush();
        if let Err(failure) = end {
            let _ = self.tell.send(Err(failure));
        }
    }

    fn send_all(&mut self, input: &mut Input) -> Result<(), Failure> {
        loop {
            if input.may_block() && self.wire.flush().is_err() {
                return Ok(());
            }
            let Some(mut request) = input.next(self.dialogue)? else { return Ok(()) };
            let bytes = mem::take(&mut request.wire);
            if !self.note(request) || self.wire.write_all(&bytes).is_err() {
                return Ok(());
            }
        }
    }

    /// Notes a request for the receiving side; false when that has ended.
    fn note(&mut self, request: Request) -> bool {
        match self.tell.try_send(Ok(request)) {
            Ok(()) => true,
            // The answer that is waited for may be to a request that has not left yet.
            Err(TrySendError::Full(request)) => self.wire.flush().is_ok() && self.tell.send(request).is_ok(),
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

struct ReceivingSide {
    answers: Answers<TcpStream>,
    told: Receiver<Note>,
    written: Arc<AtomicU64>,
    seen: u64,
}

impl ReceivingSide {
    fn run(mut self, output: &mut Output) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::Good;
        let mut last = None;
        while let Some(note) = self.next(output)? {
            let request = note?;
            match self.answer_to(&request) {
                Ok(answer) => verdict = verdict.and(output.answer(&request, answer)?),
                Err(broken) => {
                    complain(&format_args!("{}: {broken}", request.label));
                    return Ok(Verdict::Bad);
                }
            }
            last = Some(request.label);
        }
        output.flush()?;
        Ok(verdict.and(self.nothing_more(last)))
    }

    /// What the sending side tells next. Before anything is waited for, what was printed is passed on: whoever reads
    /// it may be the one who writes the next request.
    fn next(&mut self, output: &mut Output) -> Result<Option<Note>, Failure> {
        let note = self.told.try_recv().ok();
        if note.is_none() || self.answers.ahead().is_empty() {
            output.flush()?;
        }
        Ok(note.or_else(|| self.told.recv().ok()))
    }

    fn answer_to(&mut self, request: &Request) -> Result<Vec<u8>, Broken> {
        let (written, seen) = (&self.written, &mut self.seen);
        // A long request may take its time: while bytes are leaving, the answer is not late.
        self.answers.next(request.framing, request.most, &mut || {
            let now = written.load(Ordering::Relaxed);
            mem::replace(seen, now) != now
        })
    }

    /// After the last answer: whatever the server still sends is too much.
    fn nothing_more(&mut self, last: Option<Label>) -> Verdict {
        let stream = self.answers.stream();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(GOODBYE));
        let Some(label) = last else { return Verdict::Good };
        match self.answers.portion() {
            // A server that does not close yet, or closes rudely, has answered all the same.
            Ok([]) | Err(_) => Verdict::Good,
            Ok(portion) => {
                let shown = portion[..portion.len().min(32)].escape_ascii();
                complain(&format_args!("{label}: {} bytes came after its answer: {shown}", portion.len()));
                Verdict::Bad
            }
        }
    }
}
