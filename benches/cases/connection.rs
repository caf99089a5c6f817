//! Connections to a scripted client: all of the daemon's work for a request except the system calls. The listener is not
//! impaired, and the layer for that is in its place.

#[allow(dead_code, reason = "the other headers are for tests")]
#[path = "../../tests/proxy_header/headers.rs"]
mod headers;
#[path = "../../tests/connection/scripted.rs"]
mod scripted;

use std::hint::black_box;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use headers::TCP4_BINARY;
use retortd::connection::{Budget, Connection, Context, Impaired, Millis, Next, Retired, Stream};
use retortd::protocol::services::frame;
use retortd::protocol::{Protocol, ProtocolInfo, ProtocolSettings, RequestRng, by_name};
use scripted::context;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const UPPERCASE: u8 = 0x01;
const SHUFFLE: u8 = 0x08;

/// Number of rounds that a connection lasts.
#[derive(Clone, Copy)]
enum Lifetime {
    /// One connection serves all rounds.
    Persistent,
    /// Each round opens a connection and drops it.
    OneRound,
    /// As above, and the connection begins with a PROXY header.
    OneRoundBehindHeader,
}

/// The bytes that a client sends in a round, and their pieces.
pub struct Case {
    /// Name of the case.
    pub name: &'static str,
    protocol: &'static str,
    lifetime: Lifetime,
    request: Vec<u8>,
    /// Number of requests in a round.
    pub requests: usize,
    /// Most bytes that one read delivers.
    read_most: usize,
    /// Most bytes that one write accepts.
    write_most: usize,
}

/// A client and the connection that serves it.
pub struct Server {
    info: &'static ProtocolInfo,
    settings: ProtocolSettings,
    lifetime: Lifetime,
    /// `None` where each round has its own.
    connection: Option<Connection>,
    stream: Impaired<Client>,
    worker: Worker,
}

/// The threads that serve the connection: what the event loop lends it, and the random numbers of the offload pool.
struct Worker {
    context: Context,
    offload_random: RequestRng,
}

/// A client that sends its requests once in each round and receives all replies.
struct Client {
    /// What it sends: the requests, behind a header where the connection begins with one.
    requests: Vec<u8>,
    /// Bytes of all replies.
    expects: usize,
    sent: usize,
    read_most: usize,
    write_most: usize,
    reply_bytes: usize,
    received: Box<[u8]>,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let whole = usize::MAX;
    let row = |name, request, requests, read_most, write_most| Case {
        name,
        protocol: "frame",
        lifetime: Lifetime::Persistent,
        request,
        requests,
        read_most,
        write_most,
    };
    let lifetime = Lifetime::OneRound;
    vec![
        row("ping-pong 64 B", framed(UPPERCASE, 64), 1, whole, whole),
        row("64 B in pieces of 4 B", framed(UPPERCASE, 64), 1, 4, whole),
        row("pipeline 32 x 64 B", framed(UPPERCASE, 64), 32, whole, whole),
        row("pipeline cut anywhere", framed(UPPERCASE, 64), 32, 1000, whole),
        row("pipeline, short writes", framed(UPPERCASE, 64), 32, whole, 500),
        row("1 MiB", framed(UPPERCASE, MIB), 1, 64 * KIB, 256 * KIB),
        row("1 MiB shuffled by the offload pool", framed(SHUFFLE, MIB), 1, 64 * KIB, 256 * KIB),
        Case { protocol: "echo", ..row("echo 64 B", vec![b'x'; 64], 1, whole, whole) },
        Case { lifetime, ..row("open, one request, drop: frame", framed(UPPERCASE, 64), 1, whole, whole) },
        Case {
            lifetime,
            protocol: "echo",
            ..row("open, one request, drop: echo", framed(UPPERCASE, 64), 1, whole, whole)
        },
        Case {
            lifetime: Lifetime::OneRoundBehindHeader,
            ..row("open, header, one request, drop: frame", framed(UPPERCASE, 64), 1, whole, whole)
        },
    ]
}

impl Case {
    /// A client, and a connection where all rounds share one.
    pub fn server(&self) -> Server {
        let info = by_name(self.protocol).expect("a protocol of that name");
        let settings = ProtocolSettings::default();
        let connection = match self.lifetime {
            Lifetime::Persistent => Some(connect(info, &settings)),
            Lifetime::OneRound | Lifetime::OneRoundBehindHeader => None,
        };
        let header = if let Lifetime::OneRoundBehindHeader = self.lifetime { TCP4_BINARY } else { b"" };
        let budget = Arc::new(Budget::new(u64::MAX));
        let client = Client::new(header, &self.request.repeat(self.requests), self.read_most, self.write_most);
        Server {
            info,
            settings,
            lifetime: self.lifetime,
            connection,
            stream: Impaired::new(client, None),
            worker: Worker {
                context: context(frame::MAX_LENGTH, &budget, 1),
                offload_random: RequestRng::new(Some(1)),
            },
        }
    }
}

impl Server {
    /// One round: serves all requests of the case as a worker does.
    pub fn round(&mut self) {
        let (stream, worker) = (&mut self.stream, &mut self.worker);
        let protocol = || (self.info.new)(&self.settings, &());
        if let Some(connection) = &mut self.connection {
            return serve(connection, stream, worker, protocol);
        }
        let mut connection = match self.lifetime {
            Lifetime::OneRoundBehindHeader => Connection::awaiting_header(None, Millis::ZERO, Millis::NEVER),
            Lifetime::Persistent | Lifetime::OneRound => connect(self.info, &self.settings),
        };
        stream.begin_call(Millis::ZERO, MIB);
        assert!(matches!(connection.open(stream, &mut worker.context), Next::Wait), "the client speaks first");
        serve(&mut connection, stream, worker, protocol);
    }
}

fn connect(info: &ProtocolInfo, settings: &ProtocolSettings) -> Connection {
    Connection::new((info.new)(settings, &()), None, Millis::ZERO)
}

/// Serves the client's requests until all replies are sent. A reply is as long as its request.
fn serve(
    connection: &mut Connection,
    stream: &mut Impaired<Client>,
    worker: &mut Worker,
    protocol: impl Fn() -> Box<dyn Protocol>,
) {
    let context = &mut worker.context;
    stream.get_mut().begin();
    let mut next = Next::Wait;
    while stream.get_ref().reply_bytes < stream.get_ref().expects {
        stream.begin_call(Millis::ZERO, MIB);
        next = match next {
            Next::Wait if stream.interest(connection.interest()).write => connection.writable(stream, context),
            Next::Wait => match stream.plain() {
                Some(stream) => connection.readable(stream, context),
                None => connection.readable(stream, context),
            },
            Next::WaitForMemory(_) => panic!("there is no limit on memory"),
            Next::Offload(job) => {
                let done = job.run(&mut worker.offload_random, context.unix_time).expect("memory");
                connection.offload_done(stream, context, done)
            }
            Next::Announced(_) => connection.admit(protocol(), stream, context),
            Next::Close(reason) => panic!("closed: {reason:?}"),
        };
        assert!(stream.impairment().is_none(), "it is not impaired");
        context.retired = Retired::default();
        context.record_durations((context.clock)());
    }
    assert!(connection.is_idle(), "all replies are sent, and the connection is not idle");
}

impl Client {
    fn new(header: &[u8], requests: &[u8], read_most: usize, write_most: usize) -> Self {
        let (expects, requests) = (requests.len(), [header, requests].concat());
        let received = vec![0; MIB].into();
        Self { sent: requests.len(), requests, expects, read_most, write_most, reply_bytes: 0, received }
    }

    fn begin(&mut self) {
        self.sent = 0;
        self.reply_bytes = 0;
    }

    /// The copy that recv(2) makes. A function of its own under a name of its own, as `benches/instructions` does not
    /// count what runs inside it.
    #[inline(never)]
    fn kernel_copy_in(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = (self.requests.len() - self.sent).min(self.read_most).min(into.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        into[..n].copy_from_slice(&self.requests[self.sent..][..n]);
        self.sent += n;
        Ok(n)
    }

    /// The copy that sendmsg(2) makes. Not counted either: see [`Self::kernel_copy_in`].
    #[inline(never)]
    fn kernel_copy_out(&mut self, parts: &[IoSlice<'_>]) -> usize {
        let mut accepted = 0;
        for part in parts {
            let n = part.len().min(self.write_most).min(self.received.len());
            self.received[..n].copy_from_slice(&part[..n]);
            black_box(&self.received);
            accepted += n;
            if n < part.len() {
                break;
            }
        }
        self.reply_bytes += accepted;
        accepted
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.kernel_copy_in(into)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.kernel_copy_out(&[IoSlice::new(bytes)]))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.kernel_copy_out(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Client {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        None
    }
}

fn framed(code: u8, length: usize) -> Vec<u8> {
    let text = (b'a'..=b'z').cycle().take(length);
    frame::header(code, length).into_iter().chain(text).collect()
}
