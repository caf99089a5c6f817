//! Servers of the frame protocol as people write them, correct ones and many with one bug each; and servers of any
//! protocol that never stop sending.
//!
//! They use threads and blocking sockets, and none of the daemon's or the client's code, so that `retort check` is
//! tested with foreign servers. A server runs until the test program exits.

use crate::harness::action::{LOWERCASE, RANDOM, REVERSE, SHUFFLE, UPPERCASE};
use crate::harness::listener;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// The bug of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// No bug.
    None,
    /// No bug either, but it serves one client at a time.
    OneAtATime,
    /// `recv` is called once for the data.
    OneRecv,
    /// `recv` is called once for the header.
    OneRecvForTheHeader,
    /// Input that was read beyond the end of a request is discarded.
    ForgetsPipelined,
    /// The length of the reply is little-endian.
    LittleEndian,
    /// The header of the reply is that of the request.
    EchoesHeader,
    /// The reply has no header.
    NoHeader,
    /// The length of the reply counts characters.
    CountsCharacters,
    /// A newline follows the reply, and is counted.
    Newline,
    /// A newline follows the reply, and is not counted.
    UncountedNewline,
    /// Only 16 bits of the length are used.
    ShortLength,
    /// At most 64 KiB of a reply are sent.
    ShortSend,
    /// Text is reversed and shuffled byte by byte.
    Bytes,
    /// Only ASCII letters are converted.
    AsciiCase,
    /// White space is stripped from the text.
    Strips,
    /// The connection is closed after an error.
    ClosesOnError,
    /// The data of an unknown action is not read.
    DoesNotSkip,
    /// The error text begins with a capital.
    Capital,
    /// An unknown action returns the text as it is.
    UnknownPasses,
    /// Invalid UTF-8 is replaced instead of rejected.
    Replaces,
    /// The connection is closed after every reply.
    OneReply,
    /// An empty message is taken for end of input.
    EmptyIsTheEnd,
    /// No request gets a reply.
    Hangs,
    /// Requests before a half-close get no reply.
    ForgetsAtTheEnd,
    /// A truncated request gets no reply.
    SilentWhenTruncated,
    /// A client that closes within a request ends the server.
    DiesWithItsClient,
    /// Shuffle draws with replacement.
    DrawsTwice,
    /// Shuffle swaps every position with any other, which is biased.
    Biased,
    /// Random drops nothing.
    DropsNothing,
    /// Random may reply with an empty text.
    LeavesNothing,
    /// Each character is converted to lower case without its context.
    NoFinalSigma,
    /// Parts of the data are decoded as they arrive, even when a code point is split.
    DecodesParts,
}

/// Starts the server and returns its address.
pub fn start(bug: Bug) -> SocketAddr {
    if !matches!(bug, Bug::OneAtATime | Bug::DiesWithItsClient) {
        return for_each_client(move |stream| drop(Client::new(stream, bug).serve()));
    }
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if Client::new(stream, bug).serve().is_err() && bug == Bug::DiesWithItsClient {
                return;
            }
        }
    });
    address
}

/// Starts a server that sends `bytes` to every client again and again, without end, and reads nothing; returns its
/// address.
pub fn flooding(bytes: &[u8]) -> SocketAddr {
    let block = bytes.repeat((1 << 16) / bytes.len());
    for_each_client(move |mut stream| while stream.write_all(&block).is_ok() {})
}

/// Starts a server that sends `bytes` to every client again and again, one byte at a time with `pause` between them,
/// and reads nothing; returns its address.
pub fn dripping(bytes: &'static [u8], pause: Duration) -> SocketAddr {
    for_each_client(move |mut stream| {
        for byte in bytes.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(pause);
        }
    })
}

/// Starts a server that calls `serve` in a thread for each client; returns its address.
pub fn for_each_client(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Serves one client, from whom `ahead` has been read.
pub fn serve(stream: TcpStream, ahead: Vec<u8>) -> io::Result<()> {
    Client { ahead, ..Client::new(stream, Bug::None) }.serve()
}

struct Client {
    stream: TcpStream,
    ahead: Vec<u8>,
    bug: Bug,
}

/// The outcome of reading a request.
enum Request {
    Whole(u8, Vec<u8>),
    /// End of input, within a request (`truncated`) or between two.
    End {
        truncated: bool,
    },
}

impl Client {
    fn new(stream: TcpStream, bug: Bug) -> Self {
        Self { stream, ahead: Vec::new(), bug }
    }

    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            match self.request()? {
                Request::Whole(action, data) => {
                    if !self.reply(action, &data)? {
                        return Ok(());
                    }
                }
                Request::End { truncated: false } => return Ok(()),
                Request::End { truncated: true } => {
                    if self.bug == Bug::DiesWithItsClient {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    if self.bug != Bug::SilentWhenTruncated {
                        self.send(b"error")?;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn request(&mut self) -> io::Result<Request> {
        let header = self.take(4, self.bug == Bug::OneRecvForTheHeader)?;
        let Ok(bytes) = <[u8; 4]>::try_from(header.as_slice()) else {
            let noticed = self.bug != Bug::OneRecvForTheHeader;
            return Ok(Request::End { truncated: noticed && !header.is_empty() });
        };
        let word = u32::from_be_bytes(bytes);
        let (action, mut length) = ((word >> 27) as u8, (word & 0x07ff_ffff) as usize);
        match self.bug {
            Bug::ShortLength => length &= 0xffff,
            Bug::EmptyIsTheEnd if length == 0 => return Ok(Request::End { truncated: false }),
            Bug::DoesNotSkip if !action.is_power_of_two() => length = 0,
            Bug::ForgetsAtTheEnd => return self.at_the_end(action, length),
            _ => {}
        }
        let data = self.take(length, self.bug == Bug::OneRecv)?;
        if data.len() < length && self.bug != Bug::OneRecv {
            return Ok(Request::End { truncated: true });
        }
        if self.bug == Bug::ForgetsPipelined {
            self.ahead.clear();
        }
        if self.bug == Bug::EchoesHeader {
            let text = transformed(self.bug, action, &data);
            self.stream.write_all(&[&bytes, text.as_slice()].concat())?;
            return self.request();
        }
        Ok(Request::Whole(action, data))
    }

    /// Checks for a half-close before it replies, and does not reply then.
    fn at_the_end(&mut self, action: u8, length: usize) -> io::Result<Request> {
        let data = self.take(length, false)?;
        self.stream.set_read_timeout(Some(Duration::from_millis(2)))?;
        let ended = self.ahead.is_empty() && matches!(self.stream.peek(&mut [0]), Ok(0));
        self.stream.set_read_timeout(None)?;
        Ok(if ended { Request::End { truncated: false } } else { Request::Whole(action, data) })
    }

    /// Reads `length` bytes, or fewer at end of input; with `once`, what one read returns.
    fn take(&mut self, length: usize, once: bool) -> io::Result<Vec<u8>> {
        // the server that discards what it has read too much must read too much
        let greedy = self.bug == Bug::ForgetsPipelined;
        while self.ahead.len() < length {
            let mut buffer = vec![0; if greedy { 65_536 } else { length - self.ahead.len() }];
            let n = self.stream.read(&mut buffer)?;
            self.ahead.extend_from_slice(&buffer[..n]);
            if n == 0 || once {
                break;
            }
            let part = length > 4 && self.ahead.len() < length;
            if self.bug == Bug::DecodesParts && part && std::str::from_utf8(&self.ahead).is_err() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let rest = self.ahead.split_off(length.min(self.ahead.len()));
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// Replies to a request; returns false when the connection is to be closed.
    fn reply(&mut self, action: u8, data: &[u8]) -> io::Result<bool> {
        if self.bug == Bug::Hangs {
            return Ok(true);
        }
        let reply = transformed(self.bug, action, data);
        self.send(&reply)?;
        let refused = reply == b"error";
        Ok(self.bug != Bug::OneReply && !(refused && self.bug == Bug::ClosesOnError))
    }

    fn send(&mut self, reply: &[u8]) -> io::Result<()> {
        let length = match self.bug {
            Bug::CountsCharacters => String::from_utf8_lossy(reply).chars().count(),
            Bug::Newline => reply.len() + 1,
            _ => reply.len(),
        } as u32;
        let mut wire = match self.bug {
            Bug::LittleEndian => length.to_le_bytes().to_vec(),
            Bug::NoHeader => Vec::new(),
            _ => length.to_be_bytes().to_vec(),
        };
        wire.extend_from_slice(reply);
        match self.bug {
            Bug::Newline | Bug::UncountedNewline => wire.push(b'\n'),
            Bug::ShortSend => wire.truncate(65_536),
            _ => {}
        }
        self.stream.write_all(&wire)
    }
}

fn transformed(bug: Bug, action: u8, data: &[u8]) -> Vec<u8> {
    let error = if bug == Bug::Capital { b"Error" } else { b"error" };
    let text = match std::str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) if bug == Bug::Replaces => String::from_utf8_lossy(data).into_owned(),
        Err(_) => return error.to_vec(),
    };
    let text = if bug == Bug::Strips { text.trim() } else { &text };
    match action {
        UPPERCASE if bug == Bug::AsciiCase => text.to_ascii_uppercase().into_bytes(),
        LOWERCASE if bug == Bug::AsciiCase => text.to_ascii_lowercase().into_bytes(),
        UPPERCASE => text.to_uppercase().into_bytes(),
        LOWERCASE if bug == Bug::NoFinalSigma => {
            text.chars().flat_map(char::to_lowercase).collect::<String>().into_bytes()
        }
        LOWERCASE => text.to_lowercase().into_bytes(),
        REVERSE if bug == Bug::Bytes => text.bytes().rev().collect(),
        REVERSE => text.chars().rev().collect::<String>().into_bytes(),
        SHUFFLE if bug == Bug::Bytes => shuffled(bug, text.bytes().collect()),
        SHUFFLE => shuffled(bug, text.chars().collect()).into_iter().collect::<String>().into_bytes(),
        RANDOM => random(bug, text).into_bytes(),
        _ if bug == Bug::UnknownPasses => data.to_vec(),
        _ => error.to_vec(),
    }
}

fn shuffled<T: Copy>(bug: Bug, mut items: Vec<T>) -> Vec<T> {
    match bug {
        Bug::DrawsTwice => (0..items.len()).map(|_| items[fastrand::usize(..items.len())]).collect(),
        Bug::Biased => {
            let length = items.len();
            for i in 0..length {
                items.swap(i, fastrand::usize(..length));
            }
            items
        }
        _ => {
            fastrand::shuffle(&mut items);
            items
        }
    }
}

fn random(bug: Bug, text: &str) -> String {
    let mut reply = String::new();
    for character in text.chars() {
        let times = match fastrand::u8(..36) {
            0..6 if bug == Bug::DropsNothing => 1,
            0..6 => 0,
            6..11 => pareto(),
            _ => 1,
        };
        reply.extend(std::iter::repeat_n(character, times));
    }
    if reply.is_empty() && bug != Bug::LeavesNothing {
        reply.extend(text.chars().next());
    }
    reply
}

/// `floor(X)` with X Pareto-distributed with shape 1, at most 10^7 so that it fits in memory.
#[allow(clippy::cast_sign_loss, reason = "the number is at least 1")]
fn pareto() -> usize {
    (1.0 / (1.0 - fastrand::f64())).min(1e7) as usize
}
