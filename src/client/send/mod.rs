//! `retort send`: requests from the command line, a file or standard input; answers on standard output.
//!
//! Owns the conversation: which requests are sent when, as each protocol uses connections. Guarantees: answers are printed in
//! the order of the requests; sending and receiving go on at the same time, so that neither side can block the other
//! however much is pipelined; every failure names the request that it happened to. A refused request is a failure, but
//! its answer is printed, and the next request is served.

mod input;
mod one_by_one;
mod output;
mod pipelined;

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::answers::Answers;
use super::client_protocol::{ClientProtocol, ConnectionUse};
use super::failure::{Failure, Verdict, complain};
use super::options::{Patience, SendOptions};
use super::progress::Progress;
use super::target::Target;
use input::Input;
use output::Output;

/// What a request's failure is told about it.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    number: u64,
    action: String,
    length: usize,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} (", self.number)?;
        if !self.action.is_empty() {
            write!(f, "{}, ", self.action.escape_debug())?;
        }
        write!(f, "{} bytes)", self.length)
    }
}

/// Where to send, and how.
#[derive(Debug)]
struct Conversation {
    dialogue: ClientProtocol,
    target: Target,
    patience: Patience,
    progress: Progress,
}

/// Sends what the options say, and prints the answers.
pub fn run(options: SendOptions) -> Result<Verdict, Failure> {
    let dialogue = options.protocol;
    let raw = options.stdin_data.is_some();
    let target = Target::resolve(&options.host, dialogue.port())?;
    let input = Input::open(&options)?;
    let progress = Progress::new(input.total(), options.quiet);
    let conversation = Conversation { dialogue, target, patience: options.patience, progress };
    let mut output = Output::new(dialogue, raw, conversation.progress.clone());
    let verdict = match dialogue.connection_use() {
        ConnectionUse::Pipelined => pipelined::run(&conversation, input, &mut output),
        ConnectionUse::Sequential | ConnectionUse::PerRequest => one_by_one::run(&conversation, input, &mut output),
        ConnectionUse::Streaming => listen(&conversation, &mut output),
        ConnectionUse::NoReply => deliver(&conversation, input),
    };
    conversation.progress.finish();
    output.flush()?;
    verdict
}

impl Conversation {
    fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = self.target.connect_or_fail(self.patience.connect_timeout)?;
        let timed = stream
            .set_read_timeout(Some(self.patience.read_timeout))
            .and_then(|()| stream.set_write_timeout(Some(self.patience.write_timeout)));
        timed.map_err(|error| Failure::cannot_run(format!("cannot set a timeout on the socket: {error}")))?;
        Ok(stream)
    }

    /// A connection that answers are read from.
    fn answers(&self) -> Result<Answers<TcpStream>, Failure> {
        Ok(Answers::new(self.connect()?).within(self.patience.read_timeout))
    }
}

/// Prints whatever comes, for as long as it comes.
fn listen(conversation: &Conversation, output: &mut Output) -> Result<Verdict, Failure> {
    let mut answers = conversation.answers()?;
    loop {
        match answers.portion() {
            Ok([]) => return Ok(Verdict::Good),
            Ok(portion) => output.portion(portion)?,
            Err(error) => return Ok(bad(&format_args!("cannot receive from {}: {error}", conversation.target))),
        }
    }
}

/// How long a server may take to close after the client has.
const GOODBYE: Duration = Duration::from_millis(500);

/// Sends everything to a server that never answers, and waits for it to have read it all.
fn deliver(conversation: &Conversation, mut input: Input) -> Result<Verdict, Failure> {
    let mut stream = conversation.connect()?;
    while let Some(request) = input.next(conversation.dialogue)? {
        if let Err(error) = stream.write_all(&request.wire) {
            return Ok(bad(&format_args!("{}: cannot send: {error}", request.label)));
        }
        conversation.progress.sent(request.wire.len());
    }
    let closed = stream.shutdown(Shutdown::Write).and_then(|()| stream.read(&mut [0; 1]));
    Ok(match closed {
        Ok(0) => Verdict::Good,
        Ok(_) => bad(&"the server answered, and this protocol has no answers"),
        Err(error) => bad(&format_args!("the server did not close: {error}")),
    })
}

fn bad(complaint: &dyn fmt::Display) -> Verdict {
    complain(complaint);
    Verdict::Bad
}
