//! What is written down of a connection in each state, and what the process that continues does with it.

use std::sync::Arc;

use serde_json::{Value, json};

use retortd::connection::{Budget, Charge, Connection, Context, Demand, Millis, Next, OffloadJob, SavedConnection};
use retortd::protocol::RequestRng;

use crate::scripted::{IoResult, ScriptedStream, connection, context, protocol, restore, write_down};
use crate::session::{REVERSE, SHUFFLE, Session, UPPERCASE, assert_waits, frame_request, time_limit};

fn letters(length: usize) -> Vec<u8> {
    vec![b'a'; length]
}

/// A request for the thread pool.
pub fn offloaded() -> Vec<u8> {
    frame_request(SHUFFLE, "é".repeat(10_000).as_bytes())
}

/// A session with this protocol whose connection has read `input`; the writes have these results. A job is recalled.
pub fn session(protocol: &str, input: &[u8], writes: &[IoResult]) -> Session {
    let mut stream = ScriptedStream::new(input, &[], writes);
    stream.await_input();
    let mut session = Session::new(protocol, stream, &Arc::new(Budget::new(1 << 22)), |_| {});
    while session.stream.unread() > 0 && session.connection.interest().read {
        match session.readable() {
            Next::Wait => {}
            Next::Offload(job) => session.connection.recall(job).expect("memory"),
            other => panic!("{other:?}"),
        }
    }
    session
}

/// A connection in front of its protocol that has read the beginning of a header.
pub fn handshake() -> Session {
    let connection = Connection::awaiting_header(None, Millis::ZERO, Millis::new(3));
    let stream = ScriptedStream::new(b"PROXY TCP", &[], &[]);
    let mut session = Session { connection, stream, context: context(40, &Arc::new(Budget::new(0)), 1) };
    assert!(matches!(session.readable(), Next::Wait));
    session
}

/// A connection that waits for memory for the rest of its request.
fn waiting_for_memory() -> Session {
    let mut waiting = session("frame", &[], &[]);
    let mut all = Charge::new(&waiting.context.budget);
    all.set_unchecked(1 << 21);
    assert!(all.try_grow(1 << 22, 1 << 22));
    waiting.stream.send(&frame_request(UPPERCASE, &letters(100_000)));
    while matches!(waiting.readable(), Next::Wait) {}
    waiting
}

/// The first bytes of a request, all but one.
fn unfinished(mut request: Vec<u8>) -> Vec<u8> {
    request.pop();
    request
}

/// A connection in each state, with its protocol and the text of its state; of a request in progress only the phase.
fn states() -> Vec<(&'static str, Session, Value)> {
    let small = frame_request(UPPERCASE, b"abc");
    let large = frame_request(UPPERCASE, &letters(100_000));
    let unknown = unfinished(frame_request(3, &[b'a'; 100]));
    let behind_small = |second: Vec<u8>| [small.clone(), second].concat();
    let one = |protocol, input: &[u8], writes: &[IoResult], state| (protocol, session(protocol, input, writes), state);
    let frame = |input: &[u8], phase: Value| one("frame", input, &[], json!({ "busy": phase }));
    let blocked = |protocol, input: &[u8], then: Value| {
        one(protocol, input, &[IoResult::WouldBlock; 2], json!({ "busy": { "replying": then } }))
    };
    vec![
        ("frame", handshake(), json!({ "handshake": { "since": 0, "deadline": 3 } })),
        one("frame", b"", &[], json!({ "idle": { "since": 0 } })),
        frame(&unfinished(small.clone()), json!("receiving")),
        frame(&unfinished(large), json!("receiving")),
        frame(&unknown, json!({ "skipping": 1 })),
        frame(&offloaded(), json!({ "waiting-for-memory": "offload" })),
        ("frame", waiting_for_memory(), json!({ "busy": { "waiting-for-memory": "read" } })),
        blocked("frame", &small, json!("receive")),
        blocked("frame", &behind_small(unfinished(small.clone())), json!("receive")),
        blocked("frame", &behind_small(unknown), json!({ "skip": 100 })),
        blocked("frame", &behind_small(offloaded()), json!("offload")),
        blocked("echo-prefix", &letters(50_000), json!("receive")),
        blocked("ack", b"a", json!({ "close": "served" })),
        one("chargen", b"", &[IoResult::WouldBlock], json!({ "generating": { "last_write": 0 } })),
        one(
            "ack",
            b"a",
            &[],
            json!({ "lingering": { "reason": "served", "unanswered": 0, "until": 2000, "next_look": 2000 } }),
        ),
    ]
}

/// The text of the state in the text of a connection; of a request in progress only the phase.
fn state(saved: &str) -> Value {
    let saved: Value = serde_json::from_str(saved).expect("JSON");
    match &saved["state"]["busy"]["phase"] {
        Value::Null => saved["state"].clone(),
        phase => json!({ "busy": phase }),
    }
}

#[test]
fn every_state_is_written_down_by_its_name_and_restored_as_it_was() {
    for (protocol, session, expected) in states() {
        let (saved, bytes) = write_down(&session.connection);
        assert_eq!(state(&saved), expected, "{protocol}");
        let restored = restore(protocol, &saved, bytes.clone(), &session.context).expect(protocol);
        let (again, bytes_again) = write_down(&restored);
        // input behind a reply is processed again, and not taken for granted to be incomplete
        let process = if bytes[0].is_empty() { "receive" } else { "process" };
        let saved = saved.replace(r#""replying":"receive""#, &format!(r#""replying":"{process}""#));
        assert_eq!((again, bytes_again), (saved, bytes), "{protocol}");
        assert_eq!(restored.unanswered(), session.connection.unanswered(), "{protocol}");
    }
}

/// A connection whose client has a label, and has sent nothing.
fn labelled() -> Connection {
    Connection::new(protocol("frame"), Some("frame 192.0.2.1:7".into()), Millis::ZERO)
}

/// A connection whose client has not acknowledged all of its reply at the end of the idle timeout.
fn looked_at() -> Connection {
    let request = frame_request(UPPERCASE, b"abc");
    let mut session = Session::after_input("frame", &request, |limits| limits.idle = time_limit(1000));
    assert_waits(&session.expire_at(1000));
    session.connection
}

/// A connection that has read the beginning of a request at a wake-up that began at 5.
fn woken() -> Connection {
    let mut session = session("frame", b"", &[]);
    session.context.woken = 5;
    session.stream.send(b"\x08\0\0\x05abc");
    while session.stream.unread() > 0 {
        assert_waits(&session.readable());
    }
    session.connection
}

/// A connection that lingers without a reply to its last request, for want of memory.
fn lingering() -> Connection {
    let mut session = session("frame", &offloaded(), &[]);
    session.stream.unacknowledged = Some(1000);
    session.context.limits.write = time_limit(5000);
    let next = session.connection.continue_service(&mut session.stream, &mut session.context);
    assert!(matches!(next, Next::Offload(_)), "{next:?}");
    assert_waits(&session.connection.offload_failed(&mut session.stream, &mut session.context));
    session.connection
}

#[test]
fn what_is_remembered_of_a_client_is_written_down_and_restored() {
    let lingers = json!({ "reason": "resources", "unanswered": 1, "until": 5000, "next_look": 50 });
    for (connection, pointer, expected) in [
        (labelled(), "/label", json!("frame 192.0.2.1:7")),
        (labelled(), "/is_logged", json!(false)),
        (labelled(), "/first_input", json!("no-header")),
        (labelled(), "/served_any", json!(false)),
        (looked_at(), "/is_logged", json!(true)),
        (looked_at(), "/first_input", json!("any")),
        (looked_at(), "/served_any", json!(true)),
        (looked_at(), "/unacknowledged", json!(1000)),
        (woken(), "/state/busy/request/begun", json!(5)),
        (lingering(), "/state/lingering", lingers),
    ] {
        let (saved, bytes) = write_down(&connection);
        let value: Value = serde_json::from_str(&saved).expect("JSON");
        assert_eq!(value.pointer(pointer), Some(&expected), "{pointer} in {saved}");
        let context = context(1 << 20, &Arc::new(Budget::new(1 << 22)), 1);
        let restored = restore("frame", &saved, bytes, &context).expect("a state that was saved");
        assert_eq!(write_down(&restored).0, saved);
    }
}

/// Continues with the connection of a session in another context.
fn continued(protocol: &str, mut session: Session, context: Context) -> (Session, Next) {
    let (saved, bytes) = write_down(&session.connection);
    let connection = restore(protocol, &saved, bytes, &context).expect("a state that was saved");
    drop(session.connection.retire());
    session.stream.await_input();
    let mut session = Session { connection, stream: session.stream, context };
    let next = session.connection.continue_service(&mut session.stream, &mut session.context);
    (session, next)
}

fn run(job: OffloadJob, session: &mut Session) -> Next {
    let result = job.run(&mut RequestRng::new(None), session.context.unix_time).expect("memory");
    session.connection.offload_done(&mut session.stream, &mut session.context, result)
}

/// The texts are shuffled by their seed, which is fixed for all requests of a context.
#[test]
fn request_for_the_thread_pool_keeps_its_random_numbers() {
    let text = "aé".repeat(6_000);
    let request = frame_request(SHUFFLE, text.as_bytes());
    let first = frame_request(UPPERCASE, b"abc");
    for (input, writes) in [(request.clone(), &[][..]), ([first, request].concat(), &[IoResult::WouldBlock])] {
        let outputs = [1, 2].map(|seed| {
            let other = context(1 << 20, &Arc::new(Budget::new(1 << 22)), seed);
            let (mut session, mut next) = continued("frame", session("frame", &input, writes), other);
            while matches!(next, Next::Wait) {
                next = session.writable();
            }
            let Next::Offload(job) = next else { panic!("{next:?}") };
            assert!(matches!(run(*job, &mut session), Next::Wait));
            session.stream.output
        });
        assert!(outputs[0] == outputs[1], "the seed is that of the new context");
        assert!(outputs[0].len() > text.len());
    }
}

#[test]
fn request_that_was_recalled_is_counted_once() {
    let request = offloaded();
    let second = frame_request(UPPERCASE, b"abc");
    for input in [request.clone(), [request.clone(), second].concat()] {
        let mut session = session("frame", &input, &[]);
        let counters = |session: &Session| {
            let counters = &session.context.counters;
            [counters.requests.get(), counters.offloaded.get()]
        };
        assert_eq!((counters(&session), session.connection.unanswered()), ([1, 1], 1));
        // the hand-over is cancelled, and the next one is too
        for _ in 0..2 {
            session.stream.await_input();
            let Next::Offload(job) = session.connection.continue_service(&mut session.stream, &mut session.context)
            else {
                panic!("not offloaded again");
            };
            assert_eq!((counters(&session), session.connection.unanswered()), ([1, 1], 1));
            session.connection.recall(job).expect("memory");
        }
        let next = session.connection.continue_service(&mut session.stream, &mut session.context);
        let Next::Offload(job) = next else { panic!("{next:?}") };
        assert!(matches!(run(*job, &mut session), Next::Wait));
        let all = if input.len() > request.len() { 2 } else { 1 };
        assert_eq!((counters(&session), session.context.counters.answered.get()), ([all, 1], all));
        assert!(session.stream.output.ends_with(if all == 2 { b"ABC" } else { "é".as_bytes() }));
    }
}

/// It was not offloaded before, so it is not counted yet.
#[test]
fn request_that_waits_for_the_memory_of_its_reply_is_counted_where_it_is_offloaded() {
    let request = frame_request(SHUFFLE, "é".repeat(100_000).as_bytes());
    let budget = Arc::new(Budget::new(8 << 20));
    let mut waiting = Session::new("frame", ScriptedStream::new(&request, &[], &[]), &budget, |_| {});
    let others = [(4 << 20) - 250_000, 4 << 20].map(|bytes| budget.grant(Demand { shared: bytes, reserve: bytes }));
    assert!(others.iter().all(Option::is_some));
    let next = waiting.read_all();
    assert!(matches!(next, Next::WaitForMemory(_)) && waiting.stream.unread() == 0, "{next:?}");
    let elsewhere = context(1 << 20, &Arc::new(Budget::new(8 << 20)), 1);
    let (session, next) = continued("frame", waiting, elsewhere);
    assert!(matches!(next, Next::Offload(_)), "{next:?}");
    let counters = &session.context.counters;
    assert_eq!([counters.requests.get(), counters.offloaded.get()], [1, 1]);
}

#[test]
fn job_of_another_connection_is_not_recalled() {
    let mut session = session("frame", &offloaded(), &[]);
    let next = session.connection.continue_service(&mut session.stream, &mut session.context);
    let Next::Offload(job) = next else { panic!("{next:?}") };
    let job = connection("frame").recall(job).expect_err("its own job");
    session.connection.recall(job).expect("memory");
}

#[test]
fn memory_that_is_held_is_charged_where_the_connection_continues() {
    let large = unfinished(frame_request(UPPERCASE, &letters(100_000)));
    for (protocol, input, writes) in
        [("frame", &large[..], &[][..]), ("echo", &letters(100_000), &[IoResult::WouldBlock; 2])]
    {
        let session = session(protocol, input, writes);
        let held: usize = session.connection.saved_bytes().iter().map(|bytes| bytes.len()).sum();
        // the budget is exceeded, as by a reload that lowers it
        let budget = Arc::new(Budget::new(0));
        let (saved, bytes) = write_down(&session.connection);
        let restored = restore(protocol, &saved, bytes, &context(1 << 20, &budget, 1)).expect(protocol);
        assert_eq!(usize::try_from(budget.used()), Ok(held), "{protocol}");
        drop(restored.retire());
        assert_eq!(budget.used(), 0);
    }
}

/// Room costs nothing before bytes arrive in it.
#[test]
fn request_that_is_arriving_gets_room_for_all_of_it_and_no_more_than_a_message_takes() {
    let large = frame_request(UPPERCASE, &letters(100_000));
    let mut saved = json!(session("frame", &large[..70_000], &[]).connection.save().expect("no job has its request"));
    let mut capacities = |room: Option<u64>| {
        let in_text = saved.pointer_mut("/state/busy/request/room").expect("room");
        *in_text = room.map_or_else(|| in_text.take(), Value::from);
        serde_json::from_value::<SavedConnection>(saved.clone()).expect("JSON").capacities()
    };
    assert!((large.len()..2 * large.len()).contains(&capacities(None)[0]));
    for (room, expected) in [(0, 70_000), (200_000, 200_000), (u64::MAX, 1 << 28)] {
        assert_eq!(capacities(Some(room)), [expected, 0]);
    }
}

#[test]
fn limits_of_the_successor_apply_to_a_request_that_is_arriving() {
    let request = frame_request(REVERSE, &letters(100_000));
    let (start, rest) = request.split_at(70_000);
    let lower = context(99_999, &Arc::new(Budget::new(1 << 22)), 1);
    let (mut session, next) = continued("frame", session("frame", start, &[]), lower);
    assert!(matches!(next, Next::Wait));
    let counters = &session.context.counters;
    assert_eq!((counters.requests.get(), session.connection.unanswered()), (1, 0));
    session.stream.send(rest);
    while session.stream.output.is_empty() {
        assert!(matches!(session.readable(), Next::Wait));
    }
    assert_eq!(session.stream.output, b"\0\0\0\x05error");
}

#[test]
fn limits_of_the_successor_apply_to_a_request_that_was_recalled() {
    for (message, budget, expected) in [
        (19_999, 1 << 22, &b"\0\0\0\x05error"[..]),
        // the memory that a shuffle needs beside its text is the successor's to say
        (20_000, 1 << 17, "é".as_bytes()),
        (20_000, u64::MAX, "é".as_bytes()),
    ] {
        let elsewhere = context(message, &Arc::new(Budget::new(budget)), 1);
        let (mut session, next) = continued("frame", session("frame", &offloaded(), &[]), elsewhere);
        let Next::Offload(job) = next else { panic!("{next:?}") };
        assert!(matches!(run(*job, &mut session), Next::Wait));
        assert!(session.stream.output.ends_with(expected));
        assert!(session.connection.is_idle());
    }
}

/// The time of the request does not run while the connection waits for memory, wherever that is.
#[test]
fn wait_for_memory_puts_off_the_deadline_by_the_whole_wait() {
    let mut waiting = waiting_for_memory();
    // the client sends nothing more for now
    waiting.stream = ScriptedStream::new(b"", &[], &[]);
    let mut elsewhere = context(1 << 20, &Arc::new(Budget::new(1 << 22)), 1);
    elsewhere.limits.request = time_limit(5000);
    elsewhere.now = Millis::new(1000);
    let (session, next) = continued("frame", waiting, elsewhere);
    assert!(matches!(next, Next::Wait));
    assert_eq!(session.deadline(), 6000);
}

#[test]
fn large_request_behind_a_reply_that_waits_is_completed() {
    let small = frame_request(UPPERCASE, b"abc");
    let large = frame_request(UPPERCASE, &letters(100_000));
    let (start, rest) = large.split_at(65_536 - small.len());
    let waiting = session("frame", &[&small, start].concat(), &[IoResult::WouldBlock]);
    let elsewhere = context(1 << 20, &Arc::new(Budget::new(1 << 22)), 1);
    let (mut session, next) = continued("frame", waiting, elsewhere);
    assert!(matches!(next, Next::Wait));
    assert!(matches!(session.writable(), Next::Wait));
    session.stream.send(rest);
    while session.stream.output.len() < small.len() + large.len() {
        assert!(matches!(session.readable(), Next::Wait));
    }
    assert!(session.stream.output[small.len() + 4..].iter().all(|byte| *byte == b'A'));
}
