//! Servers of the frame protocol as people write them: one that is right, and many with one mistake each; and servers
//! of any protocol that never stop sending.
//!
//! Plain threads and blocking sockets, and nothing of the daemon's or the client's code: what `retort check` finds is
//! found in foreign servers. A server lives until the test program ends.

use crate::harness::action::{LOWERCASE, RANDOM, REVERSE, SHUFFLE, UPPERCASE};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The one mistake of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// It has none.
    None,
    /// None either: it serves one client at a time.
    OneAtATime,
    /// `recv` is called once for the data.
    OneRecv,
    /// `recv` is called once for the header.
    OneRecvForTheHeader,
    /// What was read beyond a request is thrown away.
    ForgetsPipelined,
    /// The answer's length is little-endian.
    LittleEndian,
    /// The answer's header is the request's.
    EchoesHeader,
    /// The answer has no header.
    NoHeader,
    /// The answer's length counts characters.
    CountsCharacters,
    /// A newline stands behind the answer, and is counted.
    Newline,
    /// A newline stands behind the answer, and is not counted.
    UncountedNewline,
    /// Only 16 bits of the length are kept.
    ShortLength,
    /// At most 64 KiB of an answer are sent.
    ShortSend,
    /// Text is reversed and shuffled byte by byte.
    Bytes,
    /// Only ASCII letters have a case.
    AsciiCase,
    /// White space is stripped from the text.
    Strips,
    /// The connection is closed after an error.
    ClosesOnError,
    /// The data of an unknown action is not read.
    DoesNotSkip,
    /// Errors are spelt with a capital.
    Capital,
    /// An unknown action returns the text as it is.
    UnknownPasses,
    /// Invalid UTF-8 is replaced instead of refused.
    Replaces,
    /// The connection is closed after every answer.
    OneAnswer,
    /// An empty message is taken for the end.
    EmptyIsTheEnd,
    /// Nothing is answered.
    Hangs,
    /// Answers wait for the end of input, and are then forgotten.
    ForgetsAtTheEnd,
    /// A request that ends early is not answered.
    SilentWhenTruncated,
    /// A client that vanishes in a request ends the server.
    DiesWithItsClient,
    /// A shuffle draws with replacement.
    DrawsTwice,
    /// A shuffle swaps every position with any other.
    Biased,
    /// Random drops nothing.
    DropsNothing,
    /// Random may leave nothing.
    LeavesNothing,
    /// The lower case of each character is looked up alone.
    NoFinalSigma,
    /// Parts of the data are decoded as they arrive.
    DecodesParts,
}

/// Starts the server; its address.
pub fn start(bug: Bug) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = listener.local_addr().expect("the listener's address");
    thread::spawn(move || accept(&listener, bug));
    address
}

/// Starts a server that sends these bytes to every client over and over, without end, and reads nothing; its address.
pub fn flooding(bytes: &[u8]) -> SocketAddr {
    let block = bytes.repeat((1 << 16) / bytes.len());
    for_each_client(move |mut stream| while stream.write_all(&block).is_ok() {})
}

/// Starts a server that sends these bytes to every client over and over, one at a time with a pause between them, and
/// reads nothing; its address.
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

/// Starts a server that does this in a thread for each client; its address.
pub fn for_each_client(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let address = listener.local_addr().expect("the listener's address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn accept(listener: &TcpListener, bug: Bug) {
    for stream in listener.incoming().flatten() {
        let one_at_a_time = matches!(bug, Bug::OneAtATime | Bug::DiesWithItsClient);
        let client = Client { stream, ahead: Vec::new(), bug };
        if !one_at_a_time {
            thread::spawn(move || client.serve());
        } else if client.serve().is_err() && bug == Bug::DiesWithItsClient {
            return;
        }
    }
}

struct Client {
    stream: TcpStream,
    ahead: Vec<u8>,
    bug: Bug,
}

/// What a request came to.
enum Request {
    Whole(u8, Vec<u8>),
    /// The client's side ended: within a request, or between two.
    End {
        truncated: bool,
    },
}

impl Client {
    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            match self.request()? {
                Request::Whole(action, data) => {
                    if !self.answer(action, &data)? {
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

    /// Looks whether the client has ended its side before it answers, and then does not.
    fn at_the_end(&mut self, action: u8, length: usize) -> io::Result<Request> {
        let data = self.take(length, false)?;
        self.stream.set_read_timeout(Some(Duration::from_millis(2)))?;
        let ended = self.ahead.is_empty() && matches!(self.stream.peek(&mut [0]), Ok(0));
        self.stream.set_read_timeout(None)?;
        Ok(if ended { Request::End { truncated: false } } else { Request::Whole(action, data) })
    }

    /// So many bytes, or fewer at the end of input; with `once`, what one read brings.
    fn take(&mut self, length: usize, once: bool) -> io::Result<Vec<u8>> {
        // Reading too much is what the one that forgets it must do.
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

    /// Answers a request; false when the connection is to be closed.
    fn answer(&mut self, action: u8, data: &[u8]) -> io::Result<bool> {
        if self.bug == Bug::Hangs {
            return Ok(true);
        }
        let answer = transformed(self.bug, action, data);
        self.send(&answer)?;
        let refused = answer == b"error";
        Ok(self.bug != Bug::OneAnswer && !(refused && self.bug == Bug::ClosesOnError))
    }

    fn send(&mut self, answer: &[u8]) -> io::Result<()> {
        let length = match self.bug {
            Bug::CountsCharacters => String::from_utf8_lossy(answer).chars().count(),
            Bug::Newline => answer.len() + 1,
            _ => answer.len(),
        } as u32;
        let mut wire = match self.bug {
            Bug::LittleEndian => length.to_le_bytes().to_vec(),
            Bug::NoHeader => Vec::new(),
            _ => length.to_be_bytes().to_vec(),
        };
        wire.extend_from_slice(answer);
        match self.bug {
            Bug::Newline | Bug::UncountedNewline => wire.push(b'\n'),
            Bug::ShortSend => wire.truncate(65_536),
            _ => {}
        }
        self.stream.write_all(&wire)
    }
}

fn transformed(bug: Bug, action: u8, data: &[u8]) -> Vec<u8> {
    let refusal = if bug == Bug::Capital { b"Error" } else { b"error" };
    let text = match std::str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) if bug == Bug::Replaces => String::from_utf8_lossy(data).into_owned(),
        Err(_) => return refusal.to_vec(),
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
        _ => refusal.to_vec(),
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
    let mut answer = String::new();
    for character in text.chars() {
        let times = match fastrand::u8(..36) {
            0..6 if bug == Bug::DropsNothing => 1,
            0..6 => 0,
            6..11 => pareto(),
            _ => 1,
        };
        answer.extend(std::iter::repeat_n(character, times));
    }
    if answer.is_empty() && bug != Bug::LeavesNothing {
        answer.extend(text.chars().next());
    }
    answer
}

/// `floor(X)` with X Pareto-distributed with shape 1, within what memory allows.
#[allow(clippy::cast_sign_loss)]
fn pareto() -> usize {
    (1.0 / (1.0 - fastrand::f64())).min(1e7) as usize
}
