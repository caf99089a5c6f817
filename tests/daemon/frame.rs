//! `frame` and `frame-2021` over real sockets: replies are exact for every split and length of the input and under
//! load, as retortd.protocols(7) describes.

use crate::harness::action::{LOWERCASE, RANDOM, REVERSE, SHUFFLE, UNKNOWN, UPPERCASE};
use crate::harness::{Client, Daemon, DaemonBuilder, frame, in_parallel, length_prefixed, replay_all, wait_until};

const ERROR: &[u8] = b"error";
/// The longest message that a header can announce.
const MAX_LENGTH: usize = (1 << 27) - 1;

#[test]
fn frame_examples_survive_any_split() {
    let daemon =
        DaemonBuilder::new(&["--workers=1", "--listen=frame=127.0.0.1:0 frame-2021=127.0.0.1:0 echo=127.0.0.1:0"])
            .start();
    replay_all(&daemon, |info| info.name.starts_with("frame"));
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.abandoned, statistics.closed_for("reset")), (0, 0), "{statistics:?}");
}

#[test]
fn pipelined_requests_get_replies_in_order_after_half_close() {
    let daemon = Daemon::serving("frame", &[]);
    let requests = 100_000;
    let (mut send, mut expect) = (Vec::new(), Vec::new());
    for number in 0..requests {
        let text = format!("Request {number}");
        let (code, reply) = match number % 3 {
            0 => (UPPERCASE, text.to_uppercase()),
            1 => (LOWERCASE, text.to_lowercase()),
            _ => (REVERSE, text.chars().rev().collect()),
        };
        send.extend(frame(code, text.as_bytes()));
        expect.extend(length_prefixed(reply.as_bytes()));
    }
    assert!(daemon.exchange("frame", &send) == expect, "a reply is wrong, missing or out of order");
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.answered, statistics.closed_for("finished")), (requests, 1));
    assert_eq!((statistics.bytes_in, statistics.bytes_out), (send.len() as u64, expect.len() as u64));
}

/// Lengths around sizes at which the daemon takes another path: buffers, offloading, mapped memory.
fn lengths() -> Vec<usize> {
    let around = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
    let near = around.into_iter().flat_map(|size: usize| [size - 5, size - 4, size - 1, size, size + 1]);
    [0, 1, 2, 3, 5].into_iter().chain(near).collect()
}

/// Fewer of the longest [`lengths`], for slow actions.
fn shorter_lengths() -> Vec<usize> {
    lengths().into_iter().filter(|length| *length < 100_000 || length % (1 << 20) == 0).collect()
}

/// `length` printable ASCII characters, all of them in turn.
fn ascii(length: usize) -> Vec<u8> {
    (b' '..=b'~').cycle().take(length).collect()
}

/// A text of at most `length` bytes, with code points of one to four bytes, that is longer in upper case.
fn mixed(length: usize) -> String {
    let text = "aß€😀ΐ";
    text.repeat(length / text.len() + 1)
        .chars()
        .scan(0, |size, c| {
            *size += c.len_utf8();
            (*size <= length).then_some(c)
        })
        .collect()
}

/// Sends all texts in one pipeline, each followed by a small request, and compares the replies.
fn all_lengths(texts: &[String], code: u8, expect: impl Fn(&str) -> String) {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let (mut send, mut replies) = (Vec::new(), Vec::new());
    for text in texts {
        send.extend(frame(code, text.as_bytes()));
        send.extend(frame(REVERSE, b"next"));
        replies.extend(length_prefixed(expect(text).as_bytes()));
        replies.extend(length_prefixed(b"txen"));
    }
    assert!(daemon.exchange("frame", &send) == replies, "a reply is wrong");
}

fn texts(lengths: &[usize]) -> Vec<String> {
    let ascii = lengths.iter().copied().map(|length| String::from_utf8(ascii(length)).expect("ASCII"));
    ascii.chain(lengths.iter().copied().map(mixed)).collect()
}

#[test]
fn uppercase_of_lengths_around_buffer_sizes() {
    all_lengths(&texts(&lengths()), UPPERCASE, str::to_uppercase);
}

#[test]
fn lowercase_of_lengths_around_buffer_sizes() {
    all_lengths(&texts(&lengths()), LOWERCASE, str::to_lowercase);
}

#[test]
fn reverse_of_lengths_around_buffer_sizes() {
    all_lengths(&texts(&lengths()), REVERSE, |text| text.chars().rev().collect());
}

fn sorted(text: &[u8]) -> Vec<char> {
    let mut characters: Vec<char> = std::str::from_utf8(text).expect("a reply in UTF-8").chars().collect();
    characters.sort_unstable();
    characters
}

#[test]
fn shuffle_permutes_code_points() {
    let daemon = Daemon::serving("frame", &[]);
    let mut client = daemon.connect("frame");
    for text in texts(&shorter_lengths()) {
        let reply = client.request(SHUFFLE, text.as_bytes());
        assert!(sorted(&reply) == sorted(text.as_bytes()), "{} bytes", text.len());
        assert!(text.len() < 100 || reply != text.as_bytes(), "{} bytes were not shuffled", text.len());
    }
}

#[test]
fn random_keeps_order_and_message_limit() {
    let limit = 3 << 20;
    let daemon = Daemon::serving("frame", &["--max-message=3M"]);
    let mut client = daemon.connect("frame");
    for length in shorter_lengths() {
        // no two neighbours in the text are equal, so the reply without repetitions is a subsequence of it
        let text = ascii(length);
        let reply = client.request(RANDOM, &text);
        assert!(reply.len() <= limit, "{length}: {}", reply.len());
        assert_eq!(reply.is_empty(), text.is_empty(), "{length}");
        let mut rest = text.iter();
        let mut kept = reply.clone();
        kept.dedup();
        assert!(kept.iter().all(|byte| rest.any(|other| other == byte)), "{length}: not in order");
        // five of six characters stay; with 10,000 the bounds fail less than once in a million runs
        if length >= 10_000 && reply.len() < limit {
            let per_mille = kept.len() * 1000 / length;
            assert!((803..863).contains(&per_mille), "{length}: {per_mille} of 1000 kept");
        }
    }
}

#[test]
fn connection_serves_after_error_replies() {
    let daemon = Daemon::serving("frame", &["--max-message=64K"]);
    let mut client = daemon.connect("frame");
    for length in [0, 1, 100, 65_536, 65_537, 1 << 20] {
        assert_eq!(client.request(0x03, &ascii(length)), ERROR, "an unknown action of {length} bytes");
        assert_eq!(client.request(UPPERCASE, b"next"), b"NEXT");
    }
    for length in [65_537, 1 << 20] {
        assert_eq!(client.request(UPPERCASE, &ascii(length)), ERROR, "{length} bytes");
        assert_eq!(client.request(UPPERCASE, b"next"), b"NEXT");
    }
    assert_eq!(client.request(UPPERCASE, &ascii(65_536)), ascii(65_536).to_ascii_uppercase());
    for length in [1, 2, 5000, 65_536] {
        for code in [UPPERCASE, LOWERCASE, REVERSE, SHUFFLE, RANDOM] {
            let mut text = ascii(length);
            *text.last_mut().expect("not empty") = 0xc3;
            assert_eq!(client.request(code, &text), ERROR, "action {code}, {length} bytes that are not UTF-8");
            assert_eq!(client.request(UPPERCASE, b"next"), b"NEXT");
        }
    }
    // a reply is counted after it has been sent, and may arrive before
    let statistics = daemon.statistics_when(|statistics| statistics.answered + statistics.refused == 57);
    assert_eq!((statistics.answered, statistics.refused), (29, 28), "{statistics:?}");
}

#[test]
fn unknown_action_of_100_megabytes_uses_no_memory() {
    let daemon = Daemon::serving("frame", &[]);
    let idle = daemon.rss();
    let mut client = daemon.connect("frame");
    client.send(&frame(UNKNOWN, &vec![b'x'; 100_000_000]));
    client.send(&frame(REVERSE, b"next"));
    assert_eq!(client.receive_frame(), ERROR);
    assert_eq!(client.receive_frame(), b"txen");
    assert!(daemon.peak_rss() < idle + (8 << 20), "{} bytes for discarded input", daemon.peak_rss() - idle);
}

#[test]
fn message_of_100_megabytes_is_reversed() {
    let daemon = Daemon::serving("frame", &[]);
    let text = ascii(100_000_000);
    let reply = daemon.exchange("frame", &frame(REVERSE, &text));
    let mut expect = text;
    expect.reverse();
    assert!(reply == length_prefixed(&expect), "a wrong reply");
}

#[test]
fn longest_message_uses_its_length_in_memory() {
    let daemon = Daemon::serving("frame", &[]);
    let mut client = daemon.connect("frame");
    let mut bytes = frame(UPPERCASE, &[]);
    bytes[..4].copy_from_slice(&(u32::from(UPPERCASE) << 27 | MAX_LENGTH as u32).to_be_bytes());
    bytes.resize(MAX_LENGTH + 4, b'x');
    client.send(&bytes);
    bytes.fill(b'X');
    let reply = client.receive_frame();
    assert!(reply == bytes[4..], "a wrong reply");
    assert!(daemon.peak_rss() < MAX_LENGTH as u64 * 105 / 100 + (12 << 20), "{}", daemon.peak_rss());
    assert_eq!(client.request(UPPERCASE, b"next"), b"NEXT");
    wait_until("the memory is given back", || daemon.rss() < 16 << 20);
}

#[test]
fn truncated_request_gets_error_and_close() {
    let daemon = Daemon::serving("frame", &[]);
    for length in [1, 3, 4, 10, 5000, 100_000, 2_000_000] {
        let bytes = frame(UPPERCASE, &ascii(length));
        let cut = bytes.len() - 1;
        assert_eq!(daemon.exchange("frame", &bytes[..cut]), length_prefixed(ERROR), "{cut} of {} bytes", bytes.len());
    }
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.refused, statistics.closed_for("truncated")), (7, 7), "{statistics:?}");
}

#[test]
fn thousand_clients_are_served_at_once() {
    let daemon = Daemon::serving("frame", &[]);
    let descriptors = daemon.descriptors();
    let mut clients: Vec<Client> = (0..1000).map(|_| daemon.connect("frame")).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(&frame(REVERSE, format!("{number} {round}").as_bytes()));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let expect: String = format!("{number} {round}").chars().rev().collect();
            assert_eq!(client.receive_frame(), expect.as_bytes());
        }
    }
    assert_eq!(daemon.statistics_when(|statistics| statistics.in_flight == 0).open, 1000);
    drop(clients);
    let statistics = daemon.statistics_at_rest();
    assert_eq!((statistics.accepted, statistics.answered), (1000, 3000));
    assert_eq!(statistics.closed_for("finished"), 1000, "{statistics:?}");
    assert_eq!(daemon.descriptors(), descriptors);
}

#[test]
fn connections_are_spread_over_workers() {
    let daemon = Daemon::serving("frame", &["--workers=2"]);
    let mut clients: Vec<Client> = (0..200).map(|_| daemon.connect("frame")).collect();
    for _ in 0..100 {
        for client in &mut clients {
            client.send(&frame(REVERSE, b"text"));
        }
        for client in &mut clients {
            assert_eq!(client.receive_frame(), b"txet");
        }
    }
    let mut ran: Vec<u64> =
        daemon.tasks().iter().filter(|task| task.name.starts_with("worker-")).map(|task| task.ran).collect();
    ran.sort_unstable();
    assert_eq!(ran.len(), 2);
    assert!(ran[0] * 3 > ran[1], "one worker did nearly all of the work: {ran:?} ns");
}

#[test]
fn seed_makes_replies_repeatable() {
    let (short, long) = (ascii(200), ascii(200_000));
    let replies = |seed: Option<&str>| {
        let option = seed.map(|seed| format!("--seed={seed}"));
        let daemon = Daemon::serving("frame", option.as_deref().as_slice());
        let requests = [frame(SHUFFLE, &short), frame(RANDOM, &short), frame(SHUFFLE, &long), frame(RANDOM, &long)];
        daemon.exchange("frame", &requests.concat())
    };
    assert!(replies(Some("7")) == replies(Some("7")), "the same seed, other replies");
    assert!(replies(Some("7")) != replies(Some("8")), "another seed, the same replies");
    assert!(replies(None) != replies(None), "no seed, the same replies");
}

#[test]
fn seed_makes_replies_repeatable_on_one_connection() {
    let daemon = Daemon::serving("frame", &["--seed=1"]);
    let (mut one, mut other) = (daemon.connect("frame"), daemon.connect("frame"));
    let first = one.request(SHUFFLE, b"a text to be shuffled");
    assert_eq!(one.request(SHUFFLE, b"a text to be shuffled"), first);
    assert_eq!(other.request(SHUFFLE, b"a text to be shuffled"), first);
}

#[test]
fn small_requests_do_not_wait_for_offloaded_request() {
    let daemon = Daemon::serving("frame", &["--workers=1"]);
    let text = ascii(8 << 20);
    let mut large = daemon.connect("frame");
    large.send(&frame(SHUFFLE, &text));
    let mut small = daemon.connect("frame");
    for _ in 0..50 {
        assert_eq!(small.request(UPPERCASE, b"small"), b"SMALL");
    }
    large.stream.set_nonblocking(true).expect("non-blocking");
    assert!(large.stream.peek(&mut [0]).is_err(), "the large reply came before 50 small ones");
    large.stream.set_nonblocking(false).expect("blocking");
    let reply = large.receive_frame();
    assert_eq!(reply.len(), text.len());
    let count = |bytes: &[u8]| {
        bytes.iter().fold([0_u32; 256], |mut counts, byte| {
            counts[*byte as usize] += 1;
            counts
        })
    };
    assert_eq!(count(&reply), count(&text));
}

#[test]
fn offloaded_requests_of_many_clients_get_replies() {
    let daemon = Daemon::serving("frame", &[]);
    let text = ascii(300_000);
    let replies = in_parallel(20, |_| {
        let mut client = daemon.connect("frame");
        let send = [frame(SHUFFLE, &text), frame(REVERSE, b"next"), frame(RANDOM, &text)].concat();
        client.send(&send);
        (client.receive_frame().len(), client.receive_frame(), client.receive_frame().is_empty())
    });
    assert!(replies.iter().all(|reply| *reply == (text.len(), b"txen".to_vec(), false)));
    assert_eq!(daemon.statistics_at_rest().answered, 60);
}

#[test]
fn reset_inside_request_does_not_affect_other_clients() {
    let daemon = Daemon::serving("frame", &[]);
    let descriptors = daemon.descriptors();
    let mut witness = daemon.connect("frame");
    for cut in [1, 4, 5000, 100_000] {
        let mut client = daemon.connect("frame");
        client.send(&frame(SHUFFLE, &ascii(200_000))[..cut]);
        assert_eq!(witness.request(UPPERCASE, b"still here"), b"STILL HERE");
        client.reset();
        assert_eq!(witness.request(UPPERCASE, b"still here"), b"STILL HERE");
    }
    // a reply is counted after it has been sent, and may arrive before
    let statistics = daemon.statistics_when(|statistics| statistics.open == 1 && statistics.answered == 8);
    assert_eq!(statistics.closed_for("reset"), 4, "{statistics:?}");
    assert_eq!(daemon.descriptors(), descriptors + 1);
}
