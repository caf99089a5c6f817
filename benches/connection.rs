//! What a connection costs on a stream that is only a script: all of the daemon's work for a client, but for the
//! system calls.
//!
//! `cargo bench --bench connection`, or with the name of a group behind `--`. A round delivers the requests and takes
//! the answers; the copies that read(2) and send(2) would make are part of the time.
#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

#[path = "../tests/scripted/mod.rs"]
mod scripted;

use std::hint::black_box;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use retortd::connection::{Budget, Connection, Context, Next, Retired, Stream};
use retortd::protocol::services::frame;
use retortd::protocol::{ProtocolSettings, RequestRng, by_name};
use scripted::context;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const UPPERCASE: u8 = 0x01;
const SHUFFLE: u8 = 0x08;

/// A client that sends the same bytes again and again, in pieces, and takes all answers.
struct Client {
    requests: Vec<u8>,
    sent: usize,
    /// The most that one read delivers.
    piece: usize,
    /// The most that one write takes.
    gulp: usize,
    answered: usize,
    received: Box<[u8]>,
}

impl Client {
    fn new(requests: Vec<u8>, piece: usize, gulp: usize) -> Self {
        Self { sent: requests.len(), requests, piece, gulp, answered: 0, received: vec![0; MIB].into() }
    }

    fn begin(&mut self) {
        self.sent = 0;
        self.answered = 0;
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = (self.requests.len() - self.sent).min(self.piece).min(into.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        into[..n].copy_from_slice(&self.requests[self.sent..][..n]);
        self.sent += n;
        Ok(n)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.gulp).min(self.received.len());
        self.received[..n].copy_from_slice(&bytes[..n]);
        black_box(&self.received);
        self.answered += n;
        Ok(n)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        for part in parts {
            let n = self.write(part)?;
            taken += n;
            if n < part.len() {
                break;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Client {
    fn end_output(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        None
    }
}

/// Serves one round of requests as a worker does, until so many bytes of answers are sent.
fn serve(connection: &mut Connection, client: &mut Client, context: &mut Context, answers: usize) {
    client.begin();
    let mut next = Next::Wait;
    while client.answered < answers {
        next = match next {
            Next::Wait if connection.interest().write => connection.writable(client, context),
            Next::Wait => connection.readable(client, context),
            Next::Starved(_) => panic!("there is no limit on memory"),
            Next::Heavy(job) => {
                let done = job.run(&mut RequestRng::new(Some(1)), context.unix_time).expect("memory");
                connection.finished(client, context, done)
            }
            Next::Close(reason) => panic!("closed: {reason:?}"),
        };
        context.retired = Retired::default();
    }
    assert!(connection.is_idle(), "answered, and not at rest");
}

fn framed(code: u8, length: usize) -> Vec<u8> {
    let text = (b'a'..=b'z').cycle().take(length);
    frame::header(code, length).into_iter().chain(text).collect()
}

/// A row of the table: what a client sends in a round, and how it is cut.
struct Round {
    name: &'static str,
    protocol: &'static str,
    request: Vec<u8>,
    count: usize,
    piece: usize,
    gulp: usize,
}

fn rounds() -> Vec<Round> {
    let whole = usize::MAX;
    let row = |name, request, count, piece, gulp| Round { name, protocol: "frame", request, count, piece, gulp };
    vec![
        row("ping-pong 64 B", framed(UPPERCASE, 64), 1, whole, whole),
        row("64 B in pieces of 4 B", framed(UPPERCASE, 64), 1, 4, whole),
        row("pipeline 32 x 64 B", framed(UPPERCASE, 64), 32, whole, whole),
        row("pipeline cut anywhere", framed(UPPERCASE, 64), 32, 1000, whole),
        row("pipeline, a client that takes little", framed(UPPERCASE, 64), 32, whole, 500),
        row("1 MiB", framed(UPPERCASE, MIB), 1, 64 * KIB, 256 * KIB),
        row("1 MiB shuffled by an offload thread", framed(SHUFFLE, MIB), 1, 64 * KIB, 256 * KIB),
        Round { protocol: "echo", ..row("echo 64 B", vec![b'x'; 64], 1, whole, whole) },
    ]
}

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection");
    for round in rounds() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let mut context = context(frame::MAX_LENGTH, &budget, 1);
        let protocol = (by_name(round.protocol).expect("a name in the table").new)(&ProtocolSettings::default(), &());
        let mut connection = Connection::new(protocol, None, 0);
        let requests = round.request.repeat(round.count);
        let answers = requests.len();
        let mut client = Client::new(requests, round.piece, round.gulp);
        group.throughput(Throughput::Elements(round.count as u64));
        group.bench_function(BenchmarkId::from_parameter(round.name), |bencher| {
            bencher.iter(|| serve(&mut connection, &mut client, &mut context, answers));
        });
    }
    group.finish();
}

/// From nothing to nothing: what each connection costs that asks only once.
fn life(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection");
    for name in ["frame", "echo"] {
        let entry = by_name(name).expect("a name in the table");
        let budget = Arc::new(Budget::new(u64::MAX));
        let mut context = context(frame::MAX_LENGTH, &budget, 1);
        let mut client = Client::new(framed(UPPERCASE, 64), usize::MAX, usize::MAX);
        group.bench_function(format!("opened, asked once, dropped: {name}"), |bencher| {
            bencher.iter(|| {
                let mut connection = Connection::new((entry.new)(&ProtocolSettings::default(), &()), None, 0);
                assert!(matches!(connection.open(&mut client, &mut context), Next::Wait));
                serve(&mut connection, &mut client, &mut context, 68);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = exchanges, life
}
criterion_main!(benches);
