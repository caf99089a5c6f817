//! `retort send` against the real daemon, and against servers with wrong replies.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::buggy_servers;
use crate::harness::{
    DEADLINE, Daemon, DaemonBuilder, Directory, RETORT_MEMORY, has_ipv6, limited_retort, listener, retort, run,
    run_on_terminal, shown_on, stderr, stdout, terminal,
};
use retortd::protocol::PROTOCOLS;
use retortd::protocol::client_side::ConnectionUse;

/// Runs retort with `input` on standard input, which is written while the output is read.
fn run_with_input(arguments: &[&str], input: Vec<u8>) -> Output {
    let mut child = retort(arguments).stdin(Stdio::piped()).spawn().expect("start retort");
    let mut stdin = child.stdin.take().expect("its standard input");
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("wait for retort");
    let _ = writer.join();
    output
}

/// Asserts that it printed exactly `expected`, and exited with 0 and without a message.
fn good(output: &Output, expected: &str) {
    assert_eq!((stdout(output), stderr(output), output.status.code()), (expected, "", Some(0)));
}

/// A server that sends `words` to every client, whatever it receives, and then half-closes.
fn saying(words: &'static [u8]) -> String {
    let serve = |mut stream: TcpStream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(words);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut request);
    };
    buggy_servers::for_each_client(serve).to_string()
}

#[test]
fn send_prints_reply() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    good(&run(&["send", &address, "uppercase", "some text"]), "SOME TEXT\n");
    good(&run(&["send", &address, "reverse", "h\u{e9}llo"]), "oll\u{e9}h\n");
    good(&run(&["send", &address, "lowercase", ""]), "\n");
}

#[test]
fn host_may_be_name_or_ip_address() {
    if !has_ipv6() {
        return;
    }
    let daemon = DaemonBuilder::new(&["--listen=frame=[::]:0"]).start();
    let port = daemon.address("frame").port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        good(&run(&["send", &format!("{host}:{port}"), "uppercase", "x"]), "X\n");
    }
}

#[test]
fn error_reply_is_printed_and_exits_1() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let refused = run(&["send", &address, "6", "some text"]);
    assert_eq!((stdout(&refused), refused.status.code()), ("error\n", Some(1)));
    assert_eq!(stderr(&refused), "retort: request 1 (6, 9 bytes): refused by the server: error\n");
    good(&run(&["send", &address, "lowercase", "ERROR"]), "error\n");
}

/// The letters of `error` are in each message, but the actions do not turn it into that word.
#[test]
fn refusal_is_an_error_whatever_the_message_is() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let refusing = saying(b"\0\0\0\x05error");
    let frame = daemon.address("frame").to_string();
    let text = daemon.address("text").to_string();
    for (address, protocol, action) in [
        (&frame, "frame", "6"),
        (&text, "text", "nonsense"),
        (&refusing, "frame", "uppercase"),
        (&refusing, "frame", "shuffle"),
        (&refusing, "frame", "random"),
    ] {
        let output = run(&["send", address, "-P", protocol, action, "hello world"]);
        assert_eq!((stdout(&output), output.status.code()), ("error\n", Some(1)), "{protocol} {action}");
        let words = format!("retort: request 1 ({action}, 11 bytes): refused by the server: error\n");
        assert_eq!(stderr(&output), words);
    }
    let invalid = run_with_input(&["send", &frame, "--stdin-data", "lowercase"], b"ERRO\xff".to_vec());
    assert_eq!((invalid.stdout.as_slice(), invalid.status.code()), (b"error".as_slice(), Some(1)));
    good(&run(&["send", &refusing, "shuffle", "orrer"]), "error\n");
}

#[test]
fn requests_from_file_are_answered_in_order() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let directory = Directory::new();
    let (mut lines, mut expected) = (String::new(), String::new());
    for number in 0..20_000 {
        let backwards: String = number.to_string().chars().rev().collect();
        lines.extend(["uppercase Line ", &number.to_string(), "\nreverse ab", &number.to_string(), "\n"]);
        expected.extend(["LINE ", &number.to_string(), "\n", &backwards, "ba\n"]);
    }
    let file = directory.write("requests.txt", &lines);
    good(&run(&["send", &address, "-f", &file]), &expected);
    good(&run_with_input(&["send", &address, "-f", "-"], lines.into_bytes()), &expected);
}

#[test]
fn invalid_line_exits_2_after_earlier_replies() {
    let daemon = Daemon::serving("frame", &[]);
    let directory = Directory::new();
    let file = directory.write("requests.txt", "uppercase a\nnonsense b\nuppercase c\n");
    let output = run(&["send", &daemon.address("frame").to_string(), "-f", &file]);
    assert_eq!((stdout(&output), output.status.code()), ("A\n", Some(2)));
    assert!(stderr(&output).contains("requests.txt:2: no such action: nonsense"), "{}", stderr(&output));
}

/// Far more bytes in both directions than all buffers hold: a client that does not read while it writes would deadlock.
#[test]
fn large_transfers_in_both_directions_do_not_deadlock() {
    let daemon = Daemon::serving("echo", &[]);
    let line = "x".repeat(99_999) + "\n";
    let lines = line.repeat(500);
    let output =
        run_with_input(&["send", &daemon.address("echo").to_string(), "-P", "echo", "-f", "-"], lines.clone().into());
    assert!(stdout(&output) == lines && output.status.success(), "{}", stderr(&output));
}

#[test]
fn each_line_is_answered_before_next_is_written() {
    let daemon = Daemon::serving("frame", &[]);
    let mut child: Child =
        retort(&["send", &daemon.address("frame").to_string(), "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for (line, reply) in [("uppercase first\n", b"FIRST\n".as_slice()), ("reverse abc\n", b"cba\n")] {
        stdin.write_all(line.as_bytes()).unwrap();
        let mut received = vec![0; reply.len()];
        stdout.read_exact(&mut received).unwrap();
        assert_eq!(received, reply);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn stdin_data_sends_one_message() {
    let daemon = Daemon::serving("frame", &[]);
    let address = daemon.address("frame").to_string();
    let message: Vec<u8> = (b'a'..=b'z').chain(*b"\n").cycle().take(20_000_000).collect();
    let expected = message.to_ascii_uppercase();
    let output = run_with_input(&["send", &address, "--stdin-data", "uppercase"], message);
    assert!(output.stdout == expected && output.status.success(), "{}", stderr(&output));
    let refused = run_with_input(&["send", &address, "--stdin-data", "uppercase"], b"\xff\xfe".to_vec());
    assert_eq!((refused.stdout.as_slice(), refused.status.code()), (b"error".as_slice(), Some(1)));
}

#[test]
fn send_speaks_every_protocol() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let send = |protocol: &str, words: &[&str]| {
        run(&[&["send", &daemon.address(protocol).to_string(), "-P", protocol], words].concat())
    };
    for (protocol, words, reply) in [
        ("frame-2021", vec!["title-case", "they're here"], "They'Re Here\n"),
        ("text", vec!["reverse", "Hello"], "olleH\n"),
        ("echo-prefix", vec!["hello"], "Echo: hello\n"),
        ("ack", vec!["hello"], "Message received!\n"),
        ("respond", vec!["hello"], "Response: HELLO\n"),
        ("upper", vec![" hello "], "HELLO\n"),
        ("upper-line", vec![" hello "], "HELLO\n"),
        ("length-prefix", vec!["hello"], "hello\n"),
        ("record", vec!["hello"], "hello\n"),
        ("discard", vec!["hello"], ""),
    ] {
        good(&send(protocol, &words), reply);
    }
    for info in PROTOCOLS.iter().filter(|info| info.client.connection_use != ConnectionUse::Streaming) {
        let action = info.client.actions.map(|actions| actions.known[0].name());
        let words: Vec<&str> = if info.speaks_first() { vec![] } else { action.into_iter().chain(["hello"]).collect() };
        let output = send(info.name, &words);
        let has_reply = info.client.connection_use != ConnectionUse::NoReply;
        assert!(output.status.success() && stdout(&output).ends_with('\n') == has_reply, "{}: {output:?}", info.name);
    }
    let seconds: u64 = stdout(&send("time", &[])).trim().parse().expect("a number of seconds");
    assert!(seconds > 3_900_000_000, "{seconds}");
    let in_turn = run_with_input(
        &["send", &daemon.address("respond").to_string(), "-P", "respond", "-f", "-"],
        b"one\ntwo\nthree\n".to_vec(),
    );
    good(&in_turn, "Response: ONE\nResponse: TWO\nResponse: THREE\n");
}

#[test]
fn endless_reply_ends_when_stdout_closes() {
    let daemon = Daemon::serving("chargen", &[]);
    let mut child = retort(&["send", &daemon.address("chargen").to_string(), "-P", "chargen"]).spawn().unwrap();
    let mut line = [0; 74];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    assert!(line.ends_with(b"\r\n"));
    let output = child.wait_with_output().unwrap();
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)), "a closed pipe is not reported");
}

#[test]
fn wrong_replies_are_reported_by_request() {
    for (words, complaint) in [
        (b"".as_slice(), "request 1 (uppercase, 3 bytes): the server closed the connection before the reply began"),
        (b"\0\0\0\x03AB", "the server closed the connection after 6 of the 7 bytes of the reply"),
        (b"\0\0\0\x02AB", "request 1 (uppercase, 3 bytes): the reply has 2 bytes, 3 were expected"),
        (b"\0\0\0\x03ABCDE", "request 1 (uppercase, 3 bytes): 2 bytes arrived after its reply: DE"),
    ] {
        let output = run(&["send", &saying(words), "uppercase", "abc"]);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
    }
}

#[test]
fn read_timeout_fails_silent_server() {
    let (_silent, address) = listener();
    let output = run(&["send", &address.to_string(), "uppercase", "abc", "--read-timeout", "50ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("request 1 (uppercase, 3 bytes): the read timed out"), "{}", stderr(&output));
}

#[test]
fn impossible_request_exits_2() {
    let nobody = listener().1.to_string();
    for (arguments, words) in [
        (vec!["send", nobody.as_str(), "uppercase", "x"], "is the server running"),
        (vec!["send", nobody.as_str()], "nothing to send"),
        (vec!["send", nobody.as_str(), "x", "-P", "gopher"], "no such protocol"),
        (vec!["send", nobody.as_str(), "-f", "/nonexistent"], "cannot open /nonexistent"),
        (vec!["send", "localhost", "-P", "length-prefix", "x"], "no default port"),
        (vec!["send", "localhost", "-P", "qotd", "x"], "this protocol has no requests: omit MESSAGE (protocol qotd)"),
        (
            vec!["send", "localhost", "-P", "qotd", "-f", "-"],
            "this protocol has no requests: omit --file (protocol qotd)",
        ),
        (
            vec!["send", "localhost", "-P", "chargen", "--stdin-data"],
            "this protocol has no requests: omit --stdin-data",
        ),
        (vec!["ping", nobody.as_str(), "-P", "discard"], "no round trip"),
    ] {
        let output = run(&arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn help_lists_exit_codes() {
    for command in ["send", "ping", "bench", "check"] {
        let output = run(&[command, "--help"]);
        assert!(output.status.success() && stdout(&output).contains("Exit status:\n  0  "), "{command}");
    }
}

/// Runs retort within [`RETORT_MEMORY`], with a timeout that is longer than the test's deadline.
fn run_bounded(arguments: &[&str]) -> Output {
    let mut command = limited_retort(RETORT_MEMORY);
    command.args(arguments).args(["--read-timeout", "5m"]);
    command.stdin(Stdio::null()).output().expect("run retort")
}

/// Fault 44: a server whose reply has no end.
#[test]
fn endless_reply_fails_in_bounded_memory() {
    let begun = Instant::now();
    for (protocol, words, bytes, complaint) in [
        ("qotd", vec![], b"x".as_slice(), "the server sent more than 65536 bytes, although no correct reply has more"),
        ("time", vec![], b"x", "the server sent more than 65536 bytes"),
        ("ack", vec!["abc"], b"x", "the server sent more than 4113 bytes"),
        ("upper", vec!["abc"], b"x", "the server sent more than 4099 bytes"),
        ("frame", vec!["reverse", "abc"], b"x", "the server announced 2021161080 bytes, although no correct reply has"),
        ("frame", vec!["shuffle", "abc"], b"\x07\xff\xff\xff", "the server announced 134217727 bytes, although"),
        ("frame", vec!["random", "abc"], b"\x08\0\0\0", "no correct reply has more than 134217727"),
        ("text", vec!["reverse", "abc"], b"9999999999 ", "the server announced 9999999999 bytes, although"),
        ("length-prefix", vec!["abc"], b"x", "the server announced 2021161080 bytes, although"),
        ("echo", vec!["xxx"], b"x", "arrived after its reply: xxx"),
    ] {
        let address = buggy_servers::flooding(bytes).to_string();
        let output = run_bounded(&[["send", &address, "-P", protocol].as_slice(), &words].concat());
        assert_eq!(output.status.code(), Some(1), "{protocol}: {output:?}");
        assert!(stderr(&output).contains(complaint), "{protocol}: {}", stderr(&output));
    }
    for protocol in ["daytime", "frame", "length-prefix"] {
        let address = buggy_servers::flooding(b"x").to_string();
        let output = run_bounded(&["ping", &address, "-P", protocol, "-c", "2", "-i", "1ms"]);
        assert_eq!(output.status.code(), Some(1), "{protocol}: {output:?}");
        assert!(stdout(&output).contains("although no correct reply has more"), "{protocol}: {output:?}");
    }
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

/// Fault 44: a server that sends a byte of its reply every 10 ms.
#[test]
fn slow_reply_fails_after_read_timeout() {
    let address = buggy_servers::dripping(b"x", Duration::from_millis(10)).to_string();
    for words in [["-P", "qotd"].as_slice(), &["-P", "echo", &"x".repeat(100_000)]] {
        let output = run(&[["send", &address, "--read-timeout", "200ms"].as_slice(), words].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("the reply arrived too slowly: the read timed out after "),
            "{}",
            stderr(&output)
        );
    }
}

/// Endless requests to a server that reads all of them and replies to none.
#[test]
fn server_that_never_replies_gets_bounded_input() {
    let address = buggy_servers::for_each_client(|mut stream| drop(io::copy(&mut stream, &mut io::sink())));
    let mut child = retort(&["send", &address.to_string(), "-f", "-", "--read-timeout", "500ms"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("start retort");
    let mut stdin = child.stdin.take().expect("its standard input");
    let lines = "uppercase x\n".repeat(5000);
    let writer = thread::spawn(move || while stdin.write_all(lines.as_bytes()).is_ok() {});
    let output = child.wait_with_output().expect("wait for retort");
    writer.join().expect("it is not read any more");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("request 1 (uppercase, 1 byte): the read timed out"), "{output:?}");
}

#[test]
fn words_of_a_message_are_joined_by_spaces() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let address = |protocol| daemon.address(protocol).to_string();
    good(&run(&["send", &address("frame"), "uppercase", "some", "more  words"]), "SOME MORE  WORDS\n");
    good(&run(&["send", &address("echo"), "-P", "echo", "a", "b", "c"]), "a b c\n");
    let output = run(&["send", &address("discard"), "-P", "discard", "a", "b"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn help_lists_the_actions_of_each_protocol() {
    let help = run(&["send", "--help"]);
    for words in
        ["frame       uppercase, lowercase, reverse, shuffle, random\n", "text        uppercase, lowercase, title-case"]
    {
        assert!(stdout(&help).contains(words), "{}", stdout(&help));
    }
}

/// The host does not exist, so that the error shows what is verified before it is looked up.
#[test]
fn wrong_action_is_reported_before_the_host_is_looked_up() {
    for (words, complaint) in [
        (["99", "x"].as_slice(), "retort: no such action: 99 (one of uppercase, "),
        (&["", "text"], "retort: the action is empty: give one of uppercase, "),
        (&["--stdin-data", "nonsense"], "retort: no such action: nonsense"),
    ] {
        let output = run(&[["send", "host.invalid"].as_slice(), words].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).starts_with(complaint), "{}", stderr(&output));
    }
}

#[test]
fn control_characters_are_escaped_on_a_terminal_only() {
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    let frame = daemon.address("frame").to_string();
    let words = ["send", &frame, "lowercase", "\x1b[2J\tA\nB"];
    assert_eq!(run_on_terminal(&words), "\\x1b[2j\\ta\\nb\r\n");
    assert_eq!(run_on_terminal(&[words.as_slice(), &["--raw"]].concat()), "\x1b[2j\ta\r\nb\r\n");
    good(&run(&words), "\x1b[2j\ta\nb\n");
    let daytime = run_on_terminal(&["send", &daemon.address("daytime").to_string(), "-P", "daytime"]);
    assert!(daytime.ends_with('\n') && !daytime.contains('\\'), "{daytime:?}");
}

/// Requests are typed until long after a bar would be drawn.
#[test]
fn no_progress_bar_is_drawn_over_typed_input() {
    let daemon = Daemon::serving("frame", &[]);
    let (terminal, controller) = terminal();
    let mut keyboard = fs::File::from(controller.try_clone().unwrap());
    let mut child = retort(&["send", &daemon.address("frame").to_string(), "-f", "-"])
        .env("TERM", "xterm")
        .stdin(terminal.try_clone().unwrap())
        .stderr(terminal)
        .spawn()
        .unwrap();
    let reader = thread::spawn(move || shown_on(controller));
    let mut replies = child.stdout.take().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1200) {
        keyboard.write_all(b"uppercase x\n").unwrap();
        let mut reply = [0; 2];
        replies.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"X\n");
    }
    // the end of input (termios(3), VEOF)
    keyboard.write_all(b"\x04").unwrap();
    assert!(child.wait().unwrap().success());
    let shown = reader.join().unwrap();
    assert_eq!(shown.replace("uppercase x\r\n", ""), "", "only what was typed");
}

/// A server that replies to one request of the frame protocol with `X`, and closes the connection.
fn replying_once() -> String {
    let serve = |mut stream: TcpStream| {
        let mut request = [0; 5];
        if stream.read_exact(&mut request).is_ok() {
            let _ = stream.write_all(b"\0\0\0\x01X");
        }
    };
    buggy_servers::for_each_client(serve).to_string()
}

#[test]
fn closed_connection_is_noticed_while_the_input_is_idle() {
    let mut child = retort(&["send", &replying_once(), "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"uppercase x\n").unwrap();
    // the input stays open
    let output = child.wait_with_output().unwrap();
    assert_eq!((stdout(&output), output.status.code()), ("X\n", Some(1)));
    let words = "retort: the server closed the connection: request 2 and those after it cannot be sent\n";
    assert_eq!(stderr(&output), words);
    drop(stdin);
}

#[test]
fn server_that_closes_after_the_last_reply_has_replied_to_all() {
    let output = run_with_input(&["send", &replying_once(), "-f", "-"], b"uppercase x\n".to_vec());
    good(&output, "X\n");
}

#[test]
fn every_request_without_a_reply_is_named() {
    let lines = b"uppercase x\nuppercase y\nuppercase z\n".to_vec();
    let output = run_with_input(&["send", &saying(b"\0\0\0\x01X"), "-f", "-"], lines);
    assert_eq!((stdout(&output), output.status.code()), ("X\n", Some(1)));
    assert!(stderr(&output).contains("retort: request 2 (uppercase, 1 byte): "), "{}", stderr(&output));
    assert!(stderr(&output).ends_with("; request 3 has no reply either\n"), "{}", stderr(&output));
}

/// Far more bytes than all buffers hold, to a server that sends as much: in the protocols with a request at a time, and
/// in one without replies.
#[test]
fn replies_are_read_while_one_request_is_sent() {
    let daemon = Daemon::serving("echo", &[]);
    let address = daemon.address("echo").to_string();
    let message = vec![b'x'; 32 << 20];
    let output = run_with_input(&["send", &address, "-P", "record", "--stdin-data"], message.clone());
    assert!(output.stdout == message && output.status.success(), "{}", stderr(&output));
    let output = run_with_input(&["send", &address, "-P", "discard", "--stdin-data"], message);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the server sent bytes, and this protocol has no replies: xxx"), "{output:?}");
}

#[test]
fn address_family_can_be_chosen() {
    let daemon = Daemon::serving("frame", &[]);
    let port = daemon.address("frame").port();
    good(&run(&["send", "-4", &format!("localhost:{port}"), "uppercase", "x"]), "X\n");
    let output = run(&["send", "-6", &format!("127.0.0.1:{port}"), "uppercase", "x"]);
    assert_eq!(stderr(&output), "retort: cannot find 127.0.0.1: it has no IPv6 address\n");
}
