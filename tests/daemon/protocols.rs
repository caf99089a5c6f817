//! Every protocol over real sockets: by this test's client, by Python's socket module, and by nc, socat and telnet.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::action::{REVERSE, UNKNOWN, UPPERCASE};
use crate::harness::{
    self, Client, Daemon, DaemonBuilder, available, frame, length_prefixed, listener, replay_all, skip, try_protocol,
};
use nix::sys::signal::Signal;
use retortd::protocol::PROTOCOLS;

/// A daemon that serves all protocols.
fn serve_all(arguments: &[&str]) -> Daemon {
    DaemonBuilder::every_protocol(arguments).start()
}

#[test]
fn examples_survive_any_split() {
    let daemon = serve_all(&["--workers=1"]);
    replay_all(&daemon, |info| !info.name.starts_with("frame"));
}

/// Plays the first example of every protocol.
fn try_each(daemon: &Daemon) {
    for info in PROTOCOLS {
        try_protocol(daemon, info);
    }
}

#[test]
fn all_protocols_serve_on_own_sockets() {
    let daemon = serve_all(&[]);
    try_each(&daemon);
    let statistics = daemon.statistics_at_rest();
    assert_eq!(statistics.accepted, PROTOCOLS.len() as u64);
}

#[test]
fn all_protocols_serve_on_inherited_and_own_sockets() {
    let handed = ["echo", "frame"];
    let sockets = handed.map(|_| listener().0.into());
    let own: Vec<&str> = PROTOCOLS.iter().map(|entry| entry.name).filter(|name| !handed.contains(name)).collect();
    let own: Vec<String> = own.iter().map(|name| format!("--listen={name}=127.0.0.1:0")).collect();
    let arguments: Vec<&str> = own.iter().map(String::as_str).collect();
    let daemon = DaemonBuilder::new(&arguments).with_sockets("echo:frame", sockets.into()).start();
    assert_eq!(daemon.listening().len(), PROTOCOLS.len());
    try_each(&daemon);
}

#[test]
fn chunk_protocols_reply_to_each_chunk() {
    let daemon = serve_all(&[]);
    let mut client = daemon.connect("echo-prefix");
    for chunk in [&b"a"[..], b"bc", b"\xff\0\n"] {
        client.send(chunk);
        assert_eq!(client.receive(6 + chunk.len()), [b"Echo: ", chunk].concat());
    }
    let mut client = daemon.connect("respond");
    for (chunk, reply) in [("straße", "Response: STRASSE"), ("x", "Response: X")] {
        client.send(chunk.as_bytes());
        assert_eq!(client.receive(reply.len()), reply.as_bytes());
    }
}

#[test]
fn chunk_is_at_most_1024_bytes() {
    let daemon = serve_all(&[]);
    // one write is one segment on loopback, and one read returns all of it
    let reply = daemon.exchange("echo-prefix", &[b'x'; 3000]);
    let chunks: Vec<usize> = reply.split(|byte| *byte == b'E').skip(1).map(|chunk| chunk.len() - 5).collect();
    assert_eq!(chunks, [1024, 1024, 952]);
    let text = "a".repeat(1023) + "é" + &"b".repeat(500);
    let reply = String::from_utf8(daemon.exchange("respond", text.as_bytes())).expect("UTF-8");
    assert_eq!(reply, format!("Response: {}Response: É{}", "A".repeat(1023), "B".repeat(500)));
    assert_eq!(daemon.exchange("upper", &[b'x'; 3000]), [b'X'; 1024]);
}

#[test]
fn long_input_is_returned_whole() {
    let daemon = serve_all(&["--max-line=none"]);
    let text: Vec<u8> = (0..=255).cycle().take(20_000_000).collect();
    assert!(daemon.exchange("echo", &text) == text, "echo");
    assert!(daemon.exchange("length-prefix", &length_prefixed(&text)) == length_prefixed(&text), "length-prefix");
    let line = [b"  ", "a b ".repeat(1_000_000).as_bytes(), b"\n", b"more"].concat();
    let reply = daemon.exchange("upper-line", &line);
    assert!(reply == "A B ".repeat(1_000_000).trim_end().as_bytes(), "upper-line");
    let request = format!("lowercase 5000000 {}reverse 2 ab", "X".repeat(5_000_000));
    assert!(daemon.exchange("text", request.as_bytes()) == format!("5000000 {}2 ba", "x".repeat(5_000_000)).as_bytes());
}

#[test]
fn input_over_limit_closes_with_reason() {
    let daemon = serve_all(&["--max-message=1000", "--max-line=1000", "-v"]);
    let too_long = "the message is longer than the limit (--max-message)";
    for (protocol, send, expect, reason) in [
        ("upper-line", [b'x'; 1001].to_vec(), &b""[..], "the line is longer than the limit (--max-line)"),
        ("length-prefix", length_prefixed(&[b'x'; 1001]), b"", too_long),
        ("text", [b"reverse 1001 ", &[b'x'; 1001][..]].concat(), b"5 error", too_long),
    ] {
        let before = daemon.log.len();
        assert_eq!(daemon.exchange(protocol, &send), expect, "{protocol}");
        let (_, line) = daemon.wait_for_line(before, reason);
        assert!(line.contains(&format!("{protocol} 127.0.0.1:")), "{line}");
    }
    assert_eq!(daemon.exchange("upper-line", &[b'x'; 1000]), [b'X'; 1000]);
    assert_eq!(daemon.statistics_at_rest().closed_for("violation"), 3);
}

#[test]
fn one_shot_reply_survives_excess_input() {
    let daemon = serve_all(&["--quotes", &quotes_file("a quote\n").1]);
    let flood = [b"first line\n", &vec![b'x'; 8 << 20][..]].concat();
    for (protocol, check) in [
        ("ack", &(|reply: &[u8]| reply == b"Message received!") as &dyn Fn(&[u8]) -> bool),
        ("upper", &|reply| reply.starts_with(b"FIRST LINE\nXXX") && reply.len() <= 1024),
        ("upper-line", &|reply| reply == b"FIRST LINE"),
        ("qotd", &|reply| reply == b"a quote\n"),
        ("daytime", &|reply| reply.ends_with(b"-UTC\r\n")),
        ("time", &|reply| reply.len() == 4),
    ] {
        // exchange() panics on a reset, while it sends and while it receives
        let reply = daemon.exchange(protocol, &flood);
        assert!(check(&reply), "{protocol}: {}", reply.escape_ascii());
    }
    assert_eq!(daemon.statistics_at_rest().closed_for("served"), 6);
}

#[test]
fn one_shot_protocol_closes_without_waiting_for_client() {
    let daemon = serve_all(&[]);
    let mut clients: Vec<Client> = ["ack", "daytime", "time"].map(|protocol| daemon.connect(protocol)).into();
    clients[0].send(b"x");
    for client in &mut clients {
        assert!(!client.receive_all().is_empty());
    }
    // the clients have not half-closed
    assert_eq!(daemon.statistics_at_rest().closed_for("served"), 3);
}

/// The pattern of RFC 864, generated by other means than the daemon's.
fn chargen_pattern(length: usize) -> Vec<u8> {
    let line = |number: usize| {
        let start = (0..72).map(move |column| b' ' + u8::try_from((number + column) % 95).expect("less than 95"));
        start.chain(*b"\r\n")
    };
    (0..).flat_map(line).take(length).collect()
}

#[test]
fn chargen_uses_no_memory_and_ends_with_client() {
    let daemon = Daemon::serving("chargen", &[]);
    let idle = daemon.rss();
    let mut clients: Vec<Client> = (0..20).map(|_| daemon.connect("chargen")).collect();
    let pattern = chargen_pattern(500_000);
    for client in &mut clients {
        assert!(client.receive(pattern.len()) == pattern);
    }
    // the clients do not read any more: output fills the sockets' buffers and ends
    let sent = Cell::new(0);
    daemon.statistics_when(|statistics| sent.replace(statistics.bytes_out) == statistics.bytes_out);
    assert!(daemon.peak_rss() < harness::rss_limit(idle, 0), "{} bytes", daemon.peak_rss() - idle);
    drop(clients);
    assert_eq!(daemon.statistics_at_rest().closed, 20);
}

#[test]
fn chargen_discards_input_and_continues_after_half_close() {
    // a small kernel buffer, so that most of the output below is generated after end of input was read
    let daemon = Daemon::serving("chargen", &["--send-buffer=64K"]);
    let mut client = daemon.connect("chargen");
    client.send(&vec![b'x'; 1 << 20]);
    client.half_close();
    daemon.statistics_when(|statistics| statistics.bytes_in == 1 << 20);
    let pattern = chargen_pattern(2_000_000);
    assert!(client.receive(pattern.len()) == pattern);
}

#[test]
fn discard_reads_everything_and_uses_no_memory() {
    let daemon = Daemon::serving("discard", &[]);
    let idle = daemon.rss();
    assert_eq!(daemon.exchange("discard", &vec![b'x'; 200_000_000]), b"");
    assert!(daemon.peak_rss() < harness::rss_limit(idle, 0), "{} bytes", daemon.peak_rss() - idle);
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.bytes_in, statistics.bytes_out), (200_000_000, 0));
}

/// A record, packed like Python's `struct.pack("! I 2s Q 2h f", ...)`.
fn record(number: u32, letters: [u8; 2], long: u64, shorts: [i16; 2], float: f32) -> Vec<u8> {
    let mut bytes = [&number.to_be_bytes()[..], &letters, &long.to_be_bytes()].concat();
    for short in &shorts {
        bytes.extend(short.to_be_bytes());
    }
    bytes.extend(float.to_be_bytes());
    bytes
}

#[test]
fn records_are_logged_and_counted() {
    let daemon = Daemon::serving("record", &["-v", "--workers=1"]);
    let mut client = daemon.connect("record");
    let records = [
        (record(1, *b"ab", 2, [3, 3], 2.5), r#"u32=1 bytes="ab" u64=2 i16=3 i16=3 f32=2.5"#),
        (record(u32::MAX, *b"\n\x1b", u64::MAX, [i16::MIN, i16::MAX], f32::NAN), "f32=NaN"),
        (record(0, *b"\0\"", 0, [-1, 0], f32::NEG_INFINITY), r#"bytes="\x00\"" u64=0 i16=-1 i16=0 f32=-inf"#),
        (record(0, *b"zz", 0, [0, 0], f32::INFINITY), "f32=inf"),
    ];
    for (record, words) in records {
        client.send(b"chunk");
        assert_eq!(client.receive(5), b"chunk");
        let before = daemon.log.len();
        // in pieces, as TCP may deliver it
        for piece in record.chunks(5) {
            client.send(piece);
        }
        let (_, line) = daemon.wait_for_line(before, ": record u32=");
        assert!(line.contains(words), "{line}");
    }
    drop(client);
    assert_eq!(daemon.statistics_at_rest().records, 4);
    assert!(daemon.log.text().contains(r#"bytes="\n\x1b" u64=18446744073709551615 i16=-32768 i16=32767"#));
}

/// A file of quotes: the temporary directory, to be kept, and the path.
fn quotes_file(text: &str) -> (harness::Directory, String) {
    let directory = harness::Directory::new();
    let path = directory.write("quotes", text);
    (directory, path)
}

#[test]
fn qotd_serves_quotes_file_and_reloads_it() {
    let (directory, path) = quotes_file("First.\n-- One\n%\nSecond.\n%\n");
    let daemon = Daemon::serving("qotd", &["--quotes", &path]);
    let quotes =
        |times| (0..times).map(|_| daemon.connect("qotd").receive_all()).collect::<std::collections::BTreeSet<_>>();
    // the probability that one of two quotes is missing in 40 replies is 1 in 5e11
    assert_eq!(quotes(40), [b"First.\n-- One\n".to_vec(), b"Second.\n".to_vec()].into());
    directory.write("quotes", "Third.\n");
    daemon.reload();
    assert_eq!(quotes(3), [b"Third.\n".to_vec()].into());
    directory.write("quotes", format!("fine\n%\n{}\n", "x".repeat(513)));
    let before = daemon.log.len();
    daemon.reload();
    let (_, line) = daemon.wait_for_line(before, "cannot reload");
    assert!(
        line.contains(&path) && line.contains("line 3") && line.contains("the running configuration stays in force"),
        "{line}"
    );
    assert_eq!(quotes(3), [b"Third.\n".to_vec()].into());
}

#[test]
fn invalid_quotes_file_exits_78() {
    let (_directory, long) = quotes_file(&format!("a\n%\nb\n%\n\n{}\n%\n", "é".repeat(513)));
    let (_other, binary) = quotes_file("");
    std::fs::write(&binary, b"a\n%\n\xff\n").expect("write");
    for (path, words) in [
        (&*long, "line 6: the quote that begins here has 513 characters, 512 at most are allowed"),
        (&*binary, "it is not UTF-8"),
        ("/nonexistent/quotes", "No such file or directory (os error 2)"),
    ] {
        let finished = DaemonBuilder::new(&["--listen=qotd=127.0.0.1:0", "--quotes", path]).finish();
        assert_eq!(finished.code, 78, "{}", finished.log);
        assert!(finished.log.contains(path) && finished.log.contains(words), "{}", finished.log);
    }
    let (_directory, most) = quotes_file(&"é".repeat(512));
    assert_eq!(Daemon::serving("qotd", &["--quotes", &most]).exchange("qotd", b"").len(), 1024);
}

#[test]
fn qotd_has_built_in_quotes() {
    let daemon = Daemon::serving("qotd", &[]);
    for _ in 0..20 {
        let quote = String::from_utf8(daemon.connect("qotd").receive_all()).expect("UTF-8");
        assert!((10..=512).contains(&quote.chars().count()) && quote.ends_with('\n'), "{quote:?}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

#[test]
fn time_protocol_sends_current_time() {
    let daemon = serve_all(&[]);
    let before = now();
    let time = daemon.connect("time").receive_all();
    let since_1900 = u64::from(u32::from_be_bytes(time.try_into().expect("four bytes")));
    // RFC 868: 1970 is 2,208,988,800; the 32 bits wrap in 2036
    let since_1970 = |unix: u64| (unix + 2_208_988_800) % (1 << 32);
    assert!((before..=now()).any(|moment| since_1970(moment) == since_1900), "{since_1900}");
}

#[test]
fn daytime_matches_date_command() {
    let daemon = serve_all(&[]);
    let before = now();
    let reply = daemon.connect("daytime").receive_all();
    let date = |moment: u64| {
        let moment = format!("@{moment}");
        let format = "+%A, %B %-d, %Y %H:%M:%S-UTC\r";
        let date = Command::new("date").env("LC_ALL", "C").args(["-u", "-d", &moment, format]).output().expect("date");
        date.stdout
    };
    assert!((before..=now()).any(|moment| date(moment) == reply), "{}", reply.escape_ascii());
}

#[test]
fn who_names_both_ends_of_each_connection() {
    let daemon = serve_all(&[]);
    let before = now();
    for number in 1..=3 {
        let mut client = daemon.connect("who");
        let (peer, local) = (client.address(), client.stream.peer_addr().expect("address"));
        let line: serde_json::Value = serde_json::from_slice(&client.receive_all()).expect("JSON");
        assert_eq!(line["peer"], peer.to_string());
        assert_eq!(line["local"], local.to_string());
        assert_eq!(line["connection"], number);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("host name");
        assert_eq!(line["host"], kernel.trim_end());
        let date = |moment: u64| {
            let moment = format!("@{moment}");
            Command::new("date").args(["-u", "-d", &moment, "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date").stdout
        };
        let time = line["time"].as_str().expect("a time");
        assert!((before..=now()).any(|moment| date(moment).trim_ascii_end() == time.as_bytes()), "{time}");
    }
}

/// Clients as people write them for these protocols, with Python's socket module.
const CONVERSATIONS: &str = r#"
import socket, struct, sys

PORTS = dict(argument.split("=") for argument in sys.argv[1:])

def connect(protocol):
    return socket.create_connection(("127.0.0.1", int(PORTS[protocol])), timeout=20)

def everything(client):
    return b"".join(iter(lambda: client.recv(4096), b""))

def converse(protocol, send, expect):
    with connect(protocol) as client:
        client.sendall(send)
        client.shutdown(socket.SHUT_WR)
        reply = everything(client)
    assert reply == expect, (protocol, send, reply)

def request(action, text):
    data = text.encode()
    return (action << 27 | len(data)).to_bytes(4, "big") + data

def response(text):
    data = text.encode()
    return len(data).to_bytes(4, "big") + data

greeting = b"Hello, Server!"
converse("ack", greeting, b"Message received!")
converse("echo-prefix", greeting, b"Echo: Hello, Server!")
converse("echo", greeting, greeting)
converse("respond", greeting, b"Response: HELLO, SERVER!")
converse("respond", b"\xff\xfe", b"Error: Invalid UTF-8 encoding")
converse("upper", b" data \n", b"DATA")
converse("upper-line", b"data\nmore\n", b"DATA")
converse("frame", request(1, "up") + request(2, "DOWN") + request(4, "back"),
         response("UP") + response("down") + response("kcab"))
converse("frame", request(2, "I HOPE THIS WORKS") + request(3, "what") + request(1, "it worked!"),
         response("i hope this works") + response("error") + response("IT WORKED!"))
converse("frame-2021", request(4, "it's a trap") + request(8, "back"),
         response("it's a trap".title()) + response("kcab"))
converse("text", b"reverse 11 Hello Worlduppercase 11 Hello World", b"11 dlroW olleH11 HELLO WORLD")

# one request after the other, without a half-close: receive once, then close
for protocol, send, expect in [("echo", greeting, greeting), ("record", b"data", b"data"), ("upper", b"data", b"DATA"),
                               ("ack", greeting, b"Message received!")]:
    with connect(protocol) as client:
        client.sendall(send)
        assert client.recv(1024) == expect, protocol

# a reply arrives in pieces of any size: receive until it is complete
with connect("echo") as client:
    message = b"This is the message.  It will be repeated."
    client.sendall(message)
    received = b""
    while len(received) < len(message):
        received += client.recv(16)
    assert received == message

# a length before each message
with connect("length-prefix") as client:
    for message in [b"one", b"", b"x" * 100_000]:
        client.sendall(len(message).to_bytes(4, "big") + message)
        stream = client.makefile("rb")
        assert stream.read(4) == len(message).to_bytes(4, "big")
        assert stream.read(len(message)) == message

# a chunk, its echo, then a record
with connect("record") as client:
    client.sendall(b"data")
    assert client.recv(1024) == b"data"
    client.sendall(struct.pack("! I 2s Q 2h f", 1, b"ab", 2, 3, 3, 2.5))
    client.sendall(b"data")
    assert client.recv(1024) == b"data"
"#;

#[test]
fn python_socket_clients_are_served() {
    if !available("python3") {
        return;
    }
    let daemon = serve_all(&["-v"]);
    let ports = daemon.listening().iter().map(|(name, address)| format!("{name}={}", address.port()));
    let python = Command::new("python3").args(["-c", CONVERSATIONS]).args(ports).output().expect("run python3");
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    daemon.wait_for_line(0, r#"record u32=1 bytes="ab" u64=2 i16=3 i16=3 f32=2.5"#);
    assert_eq!(daemon.statistics_at_rest().records, 1);
}

/// Runs a client program with this input until it exits.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    child.stdin.take().expect("piped").write_all(input).expect("write to the client");
    child.wait_with_output().expect("wait for the client")
}

/// An interactive client program; killed when dropped.
struct Typed(Child);

impl Typed {
    fn start(program: &str, daemon: &Daemon, protocol: &str) -> Self {
        let port = daemon.address(protocol).port().to_string();
        let mut command = Command::new(program);
        command.args(["127.0.0.1", &port]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}")))
    }

    fn types(&mut self, line: &str) {
        let input = self.0.stdin.as_mut().expect("piped");
        input.write_all(line.as_bytes()).expect("write to the client");
    }

    /// Reads the program's output until it contains `words`.
    fn shows(&mut self, words: &str) -> String {
        let mut shown = Vec::new();
        let output = self.0.stdout.as_mut().expect("piped");
        while !String::from_utf8_lossy(&shown).contains(words) {
            let mut byte = [0];
            assert_eq!(output.read(&mut byte).expect("read"), 1, "{}", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nc_gets_reply_to_each_line() {
    if !available("nc") {
        return;
    }
    let daemon = serve_all(&[]);
    let mut nc = Typed::start("nc", &daemon, "respond");
    for (line, reply) in [("hello\n", "Response: HELLO\n"), ("straße\n", "Response: STRASSE\n")] {
        nc.types(line);
        assert_eq!(nc.shows("\n"), reply);
    }
}

#[test]
fn nc_sends_frame_and_half_closes() {
    if !available("nc") {
        return;
    }
    let help = run("nc", &["-h"], b"");
    if !String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).contains("-N") {
        return skip("this nc has no option -N to half-close after sending");
    }
    let daemon = serve_all(&[]);
    let port = daemon.address("frame").port().to_string();
    let output = run("nc", &["-N", "127.0.0.1", &port], &frame(REVERSE, b"The LAN Before Time"));
    assert_eq!(output.stdout, length_prefixed(b"emiT erofeB NAL ehT"));
}

#[test]
fn socat_transfers_in_both_directions() {
    if !available("socat") {
        return;
    }
    let daemon = serve_all(&[]);
    for (protocol, send, expect) in [
        ("frame", frame(UPPERCASE, b"Pretty Fly for a Wi-Fi"), length_prefixed(b"PRETTY FLY FOR A WI-FI")),
        ("text", b"reverse 3 abc".to_vec(), b"3 cba".to_vec()),
        ("echo", vec![b'x'; 1 << 20], vec![b'x'; 1 << 20]),
        ("ack", b"x".to_vec(), b"Message received!".to_vec()),
    ] {
        let address = format!("TCP4:127.0.0.1:{}", daemon.address(protocol).port());
        let output = run("socat", &["-t20", "-", &address], &send);
        assert!(output.stdout == expect, "{protocol}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn telnet_session_is_served() {
    if !available("telnet") {
        return;
    }
    let daemon = serve_all(&[]);
    let mut telnet = Typed::start("telnet", &daemon, "respond");
    telnet.shows("Escape character");
    telnet.types("hello\n");
    telnet.shows("Response: HELLO");
    let mut telnet = Typed::start("telnet", &daemon, "daytime");
    telnet.shows("-UTC");
    let mut telnet = Typed::start("telnet", &daemon, "upper-line");
    telnet.types("a line\n");
    telnet.shows("A LINE");
}

#[test]
fn list_option_shows_every_protocol_and_the_services_beside_them() {
    let finished = DaemonBuilder::new(&["--list"]).finish();
    assert_eq!((finished.code, finished.log.as_str()), (0, ""));
    let lines: Vec<&str> = finished.output.lines().collect();
    let (protocols, others) = lines.split_at(PROTOCOLS.len());
    assert!(others.len() == 2 && others[0].starts_with("metrics ") && others[1].starts_with("agent "), "{others:?}");
    for (entry, line) in PROTOCOLS.iter().zip(protocols) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = entry.port.map_or("-".into(), |port| port.to_string());
        assert_eq!((words[0], words[1]), (entry.name, port.as_str()), "{line}");
        assert!(line.contains(entry.summary), "{line}");
        assert!(entry.rfc.is_none_or(|rfc| line.ends_with(&format!("(RFC {rfc})"))), "{line}");
    }
}

#[test]
fn lines_of_two_clients_do_not_mix() {
    let daemon = serve_all(&["--workers=2"]);
    let mut clients = [daemon.connect("echo"), daemon.connect("echo")];
    let mut readers: Vec<_> =
        clients.iter().map(|client| BufReader::new(client.stream.try_clone().expect("handle"))).collect();
    for round in 0..100 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("client {number}, line {round}\n").as_bytes());
        }
        for (number, reader) in readers.iter_mut().enumerate() {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            assert_eq!(line, format!("client {number}, line {round}\n"));
        }
    }
    daemon.signal(Signal::SIGUSR1);
    assert!(clients[0].is_silent(Duration::from_millis(1)));
}

#[test]
fn end_of_input_inside_a_request_closes_as_truncated() {
    for (protocol, input, reply, reason) in [
        ("length-prefix", &b"\0\0\0\x0aabc"[..], &b""[..], "truncated"),
        ("length-prefix", b"\0\0", b"", "truncated"),
        ("length-prefix", b"\0\0\0\x01a", b"\0\0\0\x01a", "finished"),
        ("frame", &frame(UNKNOWN, b"skipped")[..8], &length_prefixed(b"error"), "truncated"),
        ("text", b"scream 7 skip", b"5 error", "truncated"),
        ("respond", b"\xe2\x82", b"Error: Invalid UTF-8 encoding", "truncated"),
        // the end of input ends a line
        ("upper-line", b"abc", b"ABC", "finished"),
    ] {
        let mut daemon = Daemon::serving(protocol, &["-v"]);
        let received = daemon.exchange(protocol, input);
        assert_eq!(daemon.stop(), 0);
        assert_eq!(daemon.last_statistics().closed_for(reason), 1, "{protocol} {}", input.escape_ascii());
        assert_eq!(received, reply, "{protocol} {}", input.escape_ascii());
    }
    let mut daemon = Daemon::serving("record", &["-v"]);
    let mut client = daemon.connect("record");
    client.send(b"a chunk");
    assert_eq!(client.receive(7), b"a chunk");
    assert_eq!(client.exchange(b"half a record"), b"");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(daemon.last_statistics().closed_for("truncated"), 1);
}
