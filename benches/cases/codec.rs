//! Calls of a protocol, without connection and system calls: one small request, a pipeline as one read delivers it,
//! requests that are rejected, text that is not ASCII, and large messages.

#![allow(clippy::cast_possible_truncation, reason = "lengths of messages are small")]

use std::hint::black_box;

use retortd::connection::{FAIR_READ_SIZE, REPLY_BUF_SIZE};
use retortd::protocol::services::frame;
use retortd::protocol::{
    CallContext, Exchange, Protocol, ProtocolSettings, RequestCounts, RequestLimits, RequestRng, by_name,
};

const UPPERCASE: u8 = 0x01;
const REVERSE: u8 = 0x04;
const UNKNOWN: u8 = 0x03;

const ASCII: &str = "The quick brown fox jumps over the lazy dog, and does so again. ";
const MIXED: &str = "naïve déjà-vu: Съешь же ещё этих булок, 視野無限。";

/// Lengths of the pipelines, in requests. The last one is as long as one read of a worker: 63 KiB.
const PIPELINES: [usize; 3] = [1, 32, 948];

/// Length of the large messages, in bytes.
const LARGE: usize = 1 << 20;

/// Input that a protocol gets in one call.
pub struct Case {
    /// Name of the set of cases with this number of requests.
    pub group: String,
    /// Protocol and kind of the request.
    pub name: String,
    protocol: &'static str,
    /// Whole requests.
    pub input: Vec<u8>,
    /// Number of requests in `input`.
    pub requests: usize,
    reply_space: usize,
    may_block: bool,
}

/// The caller's side of a protocol: reply space, random numbers and permission to block.
pub struct Caller {
    protocol: Box<dyn Protocol>,
    reply_buf: Vec<u8>,
    random: RequestRng,
    may_block: bool,
}

impl Case {
    /// A protocol at its start and its caller.
    pub fn caller(&self) -> Caller {
        let info = by_name(self.protocol).expect("a protocol of that name");
        Caller {
            protocol: (info.new)(&ProtocolSettings::default(), &()),
            reply_buf: vec![0; self.reply_space],
            random: RequestRng::new(Some(1)),
            may_block: self.may_block,
        }
    }
}

impl Caller {
    /// Passes `input` to the protocol.
    ///
    /// # Panics
    /// When the protocol does not consume all of `input`.
    pub fn process(&mut self, input: &mut [u8]) -> RequestCounts {
        let length = input.len();
        let mut exchange = Exchange::new(input, &mut self.reply_buf);
        let limits = RequestLimits { message: frame::MAX_LENGTH, memory: usize::MAX, line: Some(1 << 16) };
        let mut context = CallContext { random: &mut self.random, unix_time: || 0, limits, may_block: self.may_block };
        black_box(self.protocol.process(&mut exchange, &mut context));
        assert_eq!(exchange.consumed(), length, "bytes consumed");
        black_box(exchange.replies());
        exchange.counts()
    }
}

/// Requests of about 64 bytes, in pipelines of several lengths.
pub fn small() -> Vec<Case> {
    PIPELINES.into_iter().flat_map(|max_requests| small_requests().map(|row| pipeline(row, max_requests))).collect()
}

/// Messages longer than the event loop transforms, as a thread of the offload pool processes them.
pub fn large() -> Vec<Case> {
    let texts = [("ascii", ASCII), ("mixed", MIXED)];
    let actions = [("uppercase", UPPERCASE), ("reverse", REVERSE)];
    let cases = texts.into_iter().flat_map(|(script, phrase)| {
        let text = phrase.repeat(LARGE / phrase.len());
        actions.map(|(action, code)| {
            let input = framed(code, &text);
            Case {
                group: "codec/1 MiB".into(),
                name: format!("frame {action} {script}"),
                protocol: "frame",
                reply_space: 4 * input.len(),
                input,
                requests: 1,
                may_block: true,
            }
        })
    });
    cases.collect()
}

/// A kind of request: its name, its protocol, and its bytes.
type Row = (&'static str, &'static str, Vec<u8>);

fn small_requests() -> [Row; 7] {
    [
        ("frame uppercase", "frame", framed(UPPERCASE, ASCII)),
        ("frame reverse", "frame", framed(REVERSE, ASCII)),
        ("frame uppercase mixed", "frame", framed(UPPERCASE, MIXED)),
        ("frame rejected", "frame", framed(UNKNOWN, ASCII)),
        ("text uppercase", "text", worded("uppercase", ASCII)),
        ("length-prefix", "length-prefix", prefixed(ASCII)),
        ("echo", "echo", ASCII.into()),
    ]
}

/// `max_requests` requests, or the number of whole requests that one read of a worker delivers where that is less.
fn pipeline((name, protocol, request): Row, max_requests: usize) -> Case {
    let requests = max_requests.min(FAIR_READ_SIZE / request.len());
    Case {
        group: format!("codec/{max_requests} requests of 64 B"),
        name: name.into(),
        protocol,
        input: request.repeat(requests),
        requests,
        reply_space: REPLY_BUF_SIZE,
        may_block: false,
    }
}

fn framed(code: u8, text: &str) -> Vec<u8> {
    [&frame::header(code, text.len()), text.as_bytes()].concat()
}

fn worded(action: &str, text: &str) -> Vec<u8> {
    format!("{action} {} {text}", text.len()).into_bytes()
}

fn prefixed(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}
