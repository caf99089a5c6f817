//! What a protocol costs over a turn, without connection and system calls: one small request, a pipeline as one read
//! delivers it, requests that are refused, text that is not ASCII, and a large message.
//!
//! `cargo bench --bench codec`, or with the name of a group behind `--`. Each round works on a fresh copy of the
//! requests, made outside of the time that counts.
#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use retortd::connection::{BITE, SPILL};
use retortd::protocol::services::frame;
use retortd::protocol::{CallContext, Exchange, ProtocolSettings, RequestCounts, RequestLimits, RequestRng, by_name};

const UPPERCASE: u8 = 0x01;
const REVERSE: u8 = 0x04;
const UNKNOWN: u8 = 0x03;

const ASCII: &str = "The quick brown fox jumps over the lazy dog, and does so again. ";
const MIXED: &str = "naïve déjà-vu: Съешь же ещё этих булок, 視野無限。";

fn framed(code: u8, text: &str) -> Vec<u8> {
    [&frame::header(code, text.len()), text.as_bytes()].concat()
}

fn worded(action: &str, text: &str) -> Vec<u8> {
    format!("{action} {} {text}", text.len()).into_bytes()
}

fn prefixed(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

/// As many whole requests as one read of a worker delivers at most, or as many as these.
fn pipeline(request: &[u8], most: usize) -> Vec<u8> {
    request.repeat(most.min(BITE / request.len()))
}

/// The rows: a name, the protocol, and one of its requests.
fn small_requests() -> [(&'static str, &'static str, Vec<u8>); 7] {
    [
        ("frame uppercase", "frame", framed(UPPERCASE, ASCII)),
        ("frame reverse", "frame", framed(REVERSE, ASCII)),
        ("frame uppercase mixed", "frame", framed(UPPERCASE, MIXED)),
        ("frame refused", "frame", framed(UNKNOWN, ASCII)),
        ("text uppercase", "text", worded("uppercase", ASCII)),
        ("length-prefix", "length-prefix", prefixed(ASCII)),
        ("echo", "echo", ASCII.into()),
    ]
}

/// A worker's side of a turn: the room for answers, and what the protocol gets from outside.
struct Bench {
    spill: Vec<u8>,
    random: RequestRng,
    may_block: bool,
}

impl Bench {
    fn new(room: usize, may_block: bool) -> Self {
        Self { spill: vec![0; room], random: RequestRng::new(Some(1)), may_block }
    }

    /// Shows all of `input` to a connection of that protocol, and sees that all of it is answered.
    fn turn(&mut self, protocol: &mut dyn retortd::protocol::Protocol, input: &mut [u8]) -> RequestCounts {
        let length = input.len();
        let mut exchange = Exchange::new(input, &mut self.spill);
        let limits = RequestLimits { message: frame::MAX_LENGTH, memory: usize::MAX, line: 1 << 16 };
        let mut call_context =
            CallContext { random: &mut self.random, unix_time: || 0, limits, may_block: self.may_block };
        black_box(protocol.process(&mut exchange, &mut call_context));
        assert_eq!(exchange.consumed(), length, "not all requests were answered");
        black_box(exchange.replies());
        exchange.counts()
    }
}

fn small(criterion: &mut Criterion) {
    for requests in [1, 32, 960] {
        let mut group = criterion.benchmark_group(format!("codec/{requests} requests of 64 B"));
        for (name, protocol, request) in small_requests() {
            let input = pipeline(&request, requests);
            let mut protocol = (by_name(protocol).expect("a name in the table").new)(&ProtocolSettings::default(), &());
            let mut bench = Bench::new(SPILL, false);
            group.throughput(Throughput::Elements((input.len() / request.len()) as u64));
            group.bench_function(name, |bencher| {
                bencher.iter_batched_ref(
                    || input.clone(),
                    |input| bench.turn(&mut *protocol, input),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

/// Messages longer than the event loop takes, as an offload thread answers them.
fn large(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec/1 MiB");
    for (name, text) in [("ascii", ASCII), ("mixed", MIXED)] {
        let text = text.repeat((1 << 20) / text.len());
        for (action, code) in [("uppercase", UPPERCASE), ("reverse", REVERSE)] {
            let input = framed(code, &text);
            let mut protocol = (by_name("frame").expect("a name in the table").new)(&ProtocolSettings::default(), &());
            let mut bench = Bench::new(4 * input.len(), true);
            group.throughput(Throughput::Bytes(input.len() as u64));
            group.bench_function(format!("frame {action} {name}"), |bencher| {
                bencher.iter_batched_ref(
                    || input.clone(),
                    |input| bench.turn(&mut *protocol, input),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = small, large
}
criterion_main!(benches);
