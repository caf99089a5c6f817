use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use clap::Parser;

use super::*;
use crate::client::bench::monitor::KeptIntervals;
use crate::client::bench::series::Interval;
use crate::client::options::{Command, Options};
use crate::sys::Interrupts;

#[test]
fn batches_of_large_requests_are_bounded() {
    assert_eq!(copies(32, 64), 33);
    assert_eq!(copies(65_536, 64), 16_384);
    assert_eq!(copies(64, 1 << 24), 2);
    assert_eq!(copies(64, 0), 65);
}

/// Passes the generator of `retort bench ADDRESS -P echo`, with these further words, to `run`.
fn with_generator<T>(address: SocketAddr, words: &str, run: impl FnOnce(LoadGenerator<'_>) -> T) -> T {
    with_monitor(address, words, &KeptIntervals::new(usize::MAX), run)
}

/// As [`with_generator`], with this monitor.
fn with_monitor<T>(
    address: SocketAddr,
    words: &str,
    monitor: &dyn Monitor,
    run: impl FnOnce(LoadGenerator<'_>) -> T,
) -> T {
    let words = format!("retort bench {address} -P echo {words}");
    let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
    let workload = Workload::new(&options).expect("an echo can be measured");
    let target = Target::resolve(&options.host, options.protocol, options.family).expect("an address");
    let interrupts = Interrupts::watch().expect("watch for signals");
    let load = Load::new(&options, &workload, &target, SocketAddress::Internet(address));
    run(LoadGenerator::new(load, &interrupts, monitor).unwrap())
}

/// As [`with_generator`], for a generator that connects to no server.
fn without_server<T>(words: &str, run: impl FnOnce(LoadGenerator<'_>) -> T) -> T {
    with_generator(SocketAddr::from(([127, 0, 0, 1], 1)), words, run)
}

/// Runs `retort bench ADDRESS -P echo --warm-up 0` with these further words.
fn measure(address: SocketAddr, words: &str) -> Measurement {
    let words = format!("--warm-up 0 {words}");
    with_generator(address, &words, |generator| generator.run().unwrap().expect("no signal"))
}

/// Of four requests two are due in the warm-up, and the reply to the second arrives in the measurement. The last reply
/// is late.
#[test]
fn requests_count_by_when_they_were_due_and_the_throughput_by_when_replies_arrive() {
    let counts = |words: &str| {
        without_server(words, |mut generator| {
            for (due, arrival) in [(10, 90), (20, 100), (110, 130), (150, 200)] {
                generator.advance(due);
                generator.connections[0].queue(due, 1, 64);
                generator.advance(arrival);
                generator.count_replies(0, 1, arrival);
            }
            let measurement = generator.finish(200);
            (measurement.requests, measurement.late, measurement.latencies.count(), measurement.arrived)
        })
    };
    assert_eq!(counts("--warm-up 100ns --duration 100ns"), (2, 1, 2, 2));
    assert_eq!(counts("--warm-up 100ns --duration 100ns --rate 9"), (1, 1, 2, 2));
    assert_eq!(counts("--warm-up 100ns --duration 100ns --requests 9"), (1, 1, 2, 1));
}

/// The intervals of 10 ms begin with the measurement, not with the run.
#[test]
fn intervals_are_passed_on_when_they_have_ended() {
    let told = |words: &str, limit| {
        let monitor = KeptIntervals::new(limit);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let words = format!("--warm-up 5ms --interval 10ms {words}");
        let elapsed = with_monitor(nowhere, &words, &monitor, |mut generator| {
            for milliseconds in [0, 5, 12, 15, 36, 37, 41, 50] {
                let now = milliseconds * 1_000_000;
                generator.advance(now);
                generator.connections[0].queue(now, 1, 64);
                generator.count_replies(0, 1, now);
            }
            generator.finish(50_000_000).elapsed.as_millis()
        });
        let bounds = |interval: &Interval| (interval.until.as_millis(), interval.requests, interval.partial);
        (elapsed, monitor.into_inner().iter().map(bounds).collect::<Vec<_>>())
    };
    let whole = vec![(10, 2, false), (20, 1, false), (30, 0, false), (36, 3, true)];
    assert_eq!(told("--duration 36.5ms", 99), (36, whole));
    assert_eq!(told("--duration 1h", 1), (10, vec![(10, 2, false)]), "a monitor can end the measurement");
}

#[test]
fn the_lateness_of_each_request_is_counted_once_and_belongs_to_its_stage() {
    without_server("--warm-up 0 --stages 1k/2ms,2k/2ms --connections 2", |mut generator| {
        generator.advance(0);
        generator.release_due(2_600_000);
        let measurement = &generator.measurement;
        let of_stages: Vec<u64> = measurement.stages.iter().map(|stage| stage.lateness.count()).collect();
        assert_eq!((measurement.lateness.count(), of_stages), (4, vec![2, 2]));
    });
}

/// The replies arrive after the measurement, and count for the stages all the same.
#[test]
fn requests_belong_to_the_stage_in_which_they_were_due() {
    without_server("--warm-up 0 --stages 1k/3ms,2k..4k/2ms", |mut generator| {
        generator.advance(0);
        for due in [0, 2_999_999, 3_000_000] {
            generator.connections[0].queue(due, 1, 64);
        }
        generator.advance(6_000_000);
        generator.count_replies(0, 3, 6_000_000);
        let measurement = generator.finish(6_000_000);
        let stages = measurement.stages.iter().map(|stage| (stage.due, stage.latencies.count()));
        assert_eq!(stages.collect::<Vec<_>>(), [(3, 2), (6, 1)]);
        assert_eq!((measurement.late, measurement.unsent), (3, 9), "none was released");
    });
}

/// A server that never replies: all requests of the warm-up are in flight, and no others are made.
#[test]
fn requests_of_the_warm_up_without_a_reply_are_lost_or_counted_apart() {
    let outcome = |words: &str| {
        without_server(words, |mut generator| {
            generator.connections[0].queue(10, 3, 64);
            generator.advance(100);
            generator.advance(200);
            let measurement = generator.finish(300);
            (measurement.lost, measurement.errors(), measurement.failed_before)
        })
    };
    assert_eq!(outcome("--warm-up 100ns --duration 100ns"), (3, 0, 0), "they are in flight in the measurement");
    assert_eq!(outcome("--warm-up 100ns --duration 100ns --rate 0.1"), (1, 0, 3), "one more is due");
    assert_eq!(outcome("--warm-up 100ns --duration 100ns --requests 2"), (0, 0, 3));
}

/// Each connection of the server gets no reply at all, and half of the requests are due in the warm-up.
#[test]
fn the_counts_of_an_open_loop_are_those_of_the_requests_that_are_due_in_the_measurement() {
    without_server("--warm-up 100ms --duration 100ms --rate 100 --connections 4", |mut generator| {
        generator.advance(0);
        for milliseconds in [50, 100, 150, 200] {
            generator.advance(milliseconds * 1_000_000);
            generator.release_due(milliseconds * 1_000_000);
        }
        generator.connections[1].waiting.pop_front();
        let measurement = generator.finish(200_000_000);
        assert_eq!((measurement.lost, measurement.failed_before, measurement.unsent), (10, 5, 0));
    });
}

#[test]
fn failed_requests_of_the_warm_up_are_errors_or_counted_apart() {
    let errors = |words: &str| {
        without_server(words, |mut generator| {
            generator.connections[0].queue(10, 3, 64);
            generator.advance(100);
            generator.connections[0].queue(110, 2, 64);
            generator.fail(0, ConnectionError::from(ErrorClass::Timeout));
            (generator.measurement.errors(), generator.measurement.failed_before)
        })
    };
    assert_eq!(errors("--warm-up 100ns --duration 1s"), (5, 0));
    assert_eq!(errors("--warm-up 100ns --duration 1s --rate 9"), (2, 3));
    assert_eq!(errors("--warm-up 100ns --duration 1s --requests 9"), (2, 3));
}

/// The rate is one that no machine can make.
#[test]
fn an_open_loop_ends_on_time_when_it_cannot_keep_up() {
    let (address, _) = echo_server();
    let measurement = measure(address, "--connections 2 --rate 100M --duration 50ms");
    assert_eq!(measurement.elapsed.as_millis(), 50);
    let (requests, lost) = (measurement.requests + measurement.late, measurement.lost);
    assert!(requests > 0 && lost > 0 && measurement.errors() == 0, "{measurement:?}");
    assert_eq!(requests + lost, 5_000_000);
}

#[test]
fn a_due_request_is_lost_when_too_many_are_outstanding() {
    without_server("--warm-up 0 --rate 1k --duration 1s", |mut generator| {
        generator.advance(0);
        generator.outstanding = MAX_OUTSTANDING - 1;
        for number in 0..3 {
            generator.release(DueRequest { number, due: number });
        }
        assert_eq!((generator.measurement.lost, generator.outstanding), (2, MAX_OUTSTANDING));
    });
}

#[test]
fn no_request_is_made_after_the_measurement() {
    without_server("--warm-up 0 --duration 100ns --depth 4", |mut generator| {
        generator.advance(0);
        generator.queue(0, 99);
        assert_eq!(generator.connections[0].in_flight(), 4);
        generator.connections[0].close();
        generator.queue(0, 100);
        assert_eq!(generator.connections[0].in_flight(), 0, "the phase has not been entered, but its time has come");
    });
}

/// A server whose one client is passed to `serve`.
fn server<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Returns one message of 64 bytes.
fn echo_once(client: &mut TcpStream) -> std::io::Result<()> {
    let mut message = [0; 64];
    client.read_exact(&mut message)?;
    client.write_all(&message)
}

#[test]
fn without_a_warm_up_the_first_request_counts() {
    let (address, server) = server(|mut client| echo_once(&mut client));
    let measurement = measure(address, "--connections 1 --requests 1");
    server.join().unwrap().unwrap();
    assert_eq!((measurement.requests, measurement.lost, measurement.errors()), (1, 0, 0));
}

/// The server replies to the second request after the period, and never to the third.
#[test]
fn late_and_lost_replies_do_not_lengthen_the_measurement() {
    let (address, server) = server(|mut client| {
        echo_once(&mut client).unwrap();
        thread::sleep(Duration::from_millis(150));
        echo_once(&mut client).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    });
    let begun = Instant::now();
    let measurement = measure(address, "--connections 1 --rate 20 --duration 149ms");
    assert!(begun.elapsed() < Duration::from_secs(20), "the read timeout is 30 s");
    server.join().unwrap();
    assert_eq!((measurement.requests, measurement.late, measurement.lost), (1, 1, 1));
    assert_eq!((measurement.errors(), measurement.elapsed), (0, Duration::from_millis(149)));
    assert_eq!((measurement.latencies.count(), measurement.received), (2, 64));
}

/// The error is found by the search for overdue connections, or at the end of the run.
#[test]
fn a_reply_that_exceeds_the_read_timeout_is_an_error() {
    for extent in ["--requests 1", "--duration 100ms"] {
        let (address, server) = server(|mut client| client.read_to_end(&mut Vec::new()));
        let measurement = measure(address, &format!("--connections 1 {extent} --read-timeout 1ms"));
        server.join().unwrap().unwrap();
        assert_eq!((measurement.replies(), measurement.lost), (0, 0), "{extent}");
        assert_eq!(measurement.errors_of(ErrorClass::Timeout), 1, "{extent}");
    }
}

/// The search for overdue connections runs every 250 ms, and has not found them.
#[test]
fn a_reply_after_the_read_timeout_is_an_error_when_it_arrives() {
    without_server("--warm-up 100ms --duration 1s --rate 1 --read-timeout 40ms --connections 1", |mut generator| {
        let milliseconds = |time: u64| time * 1_000_000;
        generator.advance(milliseconds(100));
        for (due, arrival) in [(90, 131), (110, 150), (120, 161)] {
            generator.connections[0].queue(milliseconds(due), 1, 64);
            generator.count_replies(0, 1, milliseconds(arrival));
        }
        let measurement = &generator.measurement;
        assert_eq!((measurement.requests, measurement.errors_of(ErrorClass::Timeout)), (1, 1));
        assert_eq!((measurement.failed_before, measurement.arrived), (1, 1));
    });
}

/// An echo server for any number of clients, and the number of messages of 64 bytes that it has received.
fn echo_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                let mut message = [0; 64];
                while client.read_exact(&mut message).is_ok() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = client.write_all(&message);
                }
            });
        }
    });
    (address, count)
}

#[test]
fn a_number_of_requests_is_measured_exactly() {
    for load in ["--connections 3 --depth 4", "--connections 16", "--reconnect", "--rate 1000", "--rate 1k --reconnect"]
    {
        let (address, count) = echo_server();
        let measurement = measure(address, &format!("{load} --requests 10"));
        assert_eq!((measurement.requests, measurement.late, measurement.lost), (10, 0, 0), "{load}");
        assert_eq!(count.load(Ordering::SeqCst), 10, "{load}");
        assert!(!measurement.elapsed.is_zero() && measurement.elapsed < Duration::from_secs(20), "{load}");
    }
}

#[test]
fn failed_requests_count_towards_the_number_of_requests() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for load in ["", "--depth 2", "--rate 1000", "--rate 1000 --reconnect"] {
        let measurement = measure(address, format!("--connections 1 --requests 5 {load}").trim_end());
        assert_eq!((measurement.requests, measurement.errors_of(ErrorClass::Refused)), (0, 5), "{load}");
    }
}

/// Each of the four connections makes an attempt every 10 ms; most of them have no request.
#[test]
fn every_due_request_is_counted_once_where_connections_are_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for load in ["--rate 50", "--rate 50 --reconnect", "--rate 5k --reconnect --read-timeout 50ms"] {
        let measurement = measure(address, &format!("{load} --connections 4 --duration 200ms"));
        let due = if load.contains("5k") { 1000 } else { 10 };
        assert_eq!((measurement.errors() + measurement.lost, measurement.replies()), (due, 0), "{load}");
        assert_eq!(measurement.unreachable(), Some(ErrorClass::Refused), "{load}");
    }
}

/// At a rate of 10,000 requests per second every request would cause an attempt.
#[test]
fn a_server_that_refuses_connections_is_not_flooded() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let measurement = measure(address, "--connections 1 --rate 10k --reconnect --duration 200ms --read-timeout 1ms");
    let attempts = measurement.errors_of(ErrorClass::Refused);
    assert!((1..=21).contains(&attempts), "{attempts} attempts in 200 ms, with 10 ms between them");
}

#[test]
fn connecting_is_measured_apart_where_each_request_has_a_connection() {
    let (address, _) = echo_server();
    let measurement = measure(address, "--reconnect --requests 10");
    assert_eq!(measurement.connects.count(), 10);
    assert!(measurement.connects.min() <= measurement.latencies.min());
    assert_eq!(measure(address, "--requests 10").connects.count(), 0);
}

#[test]
fn a_server_that_takes_no_bytes_exceeds_the_write_timeout() {
    let (address, server) = server(|client| {
        let mut byte = [0];
        while client.peek(&mut byte).is_ok_and(|n| n > 0) {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let measurement = measure(address, "--connections 1 --size 64M --duration 1 --requests 1 --write-timeout 10ms");
    drop(server);
    assert_eq!((measurement.errors_of(ErrorClass::Timeout), measurement.lost), (1, 0));
}
