//! Impaired streams over scripted clients, with a clock that only the tests move.

use std::io::{ErrorKind, Write};
use std::num::NonZero;
use std::sync::Arc;

use proptest::prelude::*;
use retortd::connection::{
    Budget, CloseReason, Connection, Context, Fault, FaultAfter, Grace, Impaired, Impairment, ImpairmentKind,
    Impairments, Interest, Millis, Next, Probability, SavedImpairment, Stream,
};

use crate::scripted::{IoResult, ScriptedStream, connection, context};

/// The most bytes that may be delayed.
const MAX_DELAYED: usize = 20_000;
/// Timers after which a test gives up: many times what any of them needs.
const MAX_TIMERS: usize = 1_000_000;

fn millis(milliseconds: u64) -> Millis {
    Millis::new(milliseconds)
}

fn after(fault: Fault, after: u64) -> Impairments {
    Impairments { fault: Some(FaultAfter { fault, after }), ..Impairments::default() }
}

fn latency(milliseconds: u64) -> Impairments {
    Impairments { latency: millis(milliseconds), ..Impairments::default() }
}

fn numbered(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// An impaired stream whose output is recorded with its times.
struct Line {
    stream: Impaired<ScriptedStream>,
    budget: Arc<Budget>,
    now: Millis,
    /// When each byte was taken, and when it was sent.
    taken: Vec<Millis>,
    sent: Vec<Millis>,
    closed: Option<Millis>,
}

impl Line {
    fn new(settings: &Impairments, budget: u64, writes: &[IoResult]) -> Self {
        let budget = Arc::new(Budget::new(budget));
        let impairment = Impairment::new(Arc::new(settings.clone()), 7, 1, &budget, Millis::ZERO);
        let stream = Impaired::new(ScriptedStream::new(b"", &[], writes), Some(impairment));
        Self { stream, budget, now: Millis::ZERO, taken: Vec::new(), sent: Vec::new(), closed: None }
    }

    fn begin(&mut self, now: Millis) {
        self.now = self.now.max(now);
        self.stream.begin_call(self.now, MAX_DELAYED);
    }

    fn record(&mut self) {
        self.sent.resize(self.stream.get_ref().output.len(), self.now);
        if self.stream.get_ref().write_closed {
            self.closed.get_or_insert(self.now);
        }
        let delayed: usize = self.stream.delayed_bytes().map(<[u8]>::len).sum();
        assert!(delayed <= MAX_DELAYED, "{delayed} bytes are delayed");
        assert_eq!(self.stream.save().map_or(0, |saved| saved.delayed()), delayed as u64);
    }

    /// Writes the next bytes of the numbered ones.
    fn write(&mut self, length: usize) {
        self.begin(self.now);
        let all = numbered(self.taken.len() + length);
        match self.stream.write(&all[self.taken.len()..]) {
            Ok(taken) => self.taken.resize(self.taken.len() + taken, self.now),
            // without an impairment, the results of the script come through
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)),
        }
        self.record();
    }

    fn send_due(&mut self, now: Millis) {
        self.begin(now);
        self.stream.send_due().expect("an open stream");
        self.record();
    }

    /// Runs the timers until then; room in the kernel comes at once.
    fn run_until(&mut self, end: Millis) {
        for _ in 0..MAX_TIMERS {
            let has_room = self.stream.interest(Interest::default()).write;
            let due = if has_room { self.now } else { self.stream.deadline() };
            if due > end || due == Millis::NEVER {
                self.now = if end == Millis::NEVER { self.now } else { end };
                return;
            }
            self.send_due(due);
        }
        panic!("the timers do not end: {:?}", self.stream);
    }

    /// Continues in another process.
    fn hand_over(self) -> Self {
        let saved = self.stream.save().map(|saved| serde_json::to_string(&saved).expect("JSON"));
        let bytes: Vec<u8> = self.stream.delayed_bytes().flatten().copied().collect();
        let impairment = saved.map(|saved| {
            let saved: SavedImpairment = serde_json::from_str(&saved).expect("a saved impairment");
            saved.restore(&bytes, &self.budget, self.now).expect("a state that was saved")
        });
        Self { stream: Impaired::new(self.stream.into_inner(), impairment), ..self }
    }
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug)]
enum Event {
    Write(usize),
    Pass(u64),
    Impair(bool),
    HandOver,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop_oneof![0..100usize, 0..9_000usize].prop_map(Event::Write),
        3 => (0..300u64).prop_map(Event::Pass),
        1 => Just(Event::HandOver),
    ]
}

/// Settings without faults and flipped bits.
fn delays() -> impl Strategy<Value = Impairments> {
    let latency = prop_oneof![Just((0, 0)), (0..500u64).prop_flat_map(|latency| (Just(latency), 0..=latency))];
    let rate = proptest::option::of(prop_oneof![900..1100u64, 1_000..10_000_000u64]);
    let slice = proptest::option::of(prop_oneof![1..4usize, 1..5_000usize]);
    (latency, rate, slice, prop_oneof![Just(0), 0..5u64], prop_oneof![Just(0), 0..2_000u64]).prop_map(
        |((latency, jitter), rate, slice, gap, slow_close)| Impairments {
            latency: millis(latency),
            jitter: millis(jitter),
            rate: rate.and_then(NonZero::new),
            slice: slice.and_then(NonZero::new),
            slice_gap: millis(if slice.is_some() { gap } else { 0 }),
            slow_close: millis(slow_close),
            ..Impairments::default()
        },
    )
}

fn faults() -> impl Strategy<Value = Option<FaultAfter>> {
    let fault = prop_oneof![Just(Fault::Stall), Just(Fault::Cut), Just(Fault::Reset)];
    proptest::option::of((fault, 0..5_000u64).prop_map(|(fault, after)| FaultAfter { fault, after }))
}

fn writes() -> impl Strategy<Value = Vec<IoResult>> {
    let result = prop_oneof![
        4 => (1..3_000usize).prop_map(IoResult::AtMost),
        1 => Just(IoResult::WouldBlock),
        1 => Just(IoResult::Interrupted),
    ];
    proptest::collection::vec(result, 0..20)
}

fn apply(mut line: Line, event: Event, settings: &Impairments) -> Line {
    match event {
        Event::Write(length) => line.write(length),
        Event::Pass(time) => line.run_until(line.now + millis(time)),
        Event::Impair(is_impaired) => {
            let new = Impairment::new(Arc::new(settings.clone()), 7, 1, &line.budget, line.now);
            line.stream.impair(is_impaired.then_some(new));
        }
        Event::HandOver => return line.hand_over(),
    }
    line
}

/// The output ends: the stream runs until nothing is left to do.
fn finish(line: &mut Line) {
    line.begin(line.now);
    line.stream.shutdown_write().expect("an open stream");
    line.record();
    line.run_until(Millis::NEVER);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_client_receives_what_was_written_in_order_and_never_early(
        settings in delays(),
        events in proptest::collection::vec(event(), 0..20),
        writes in writes(),
        budget in prop_oneof![Just(0u64), Just(20_000), Just(u64::MAX)],
    ) {
        let mut line = Line::new(&settings, budget, &writes);
        for event in &events {
            line = apply(line, *event, &settings);
        }
        finish(&mut line);
        prop_assert_eq!(&line.stream.get_ref().output, &numbered(line.taken.len()));
        let least = settings.latency - settings.jitter;
        prop_assert!(line.taken.iter().zip(&line.sent).all(|(taken, sent)| *sent >= *taken + least));
        prop_assert!(line.closed.is_some());
        drop(line.stream);
        prop_assert_eq!(line.budget.used(), 0);
    }

    /// A stream that is handed over after every event sends the same bytes at the same times.
    #[test]
    fn a_successor_sends_the_same_bytes_at_the_same_times(
        delays in delays(),
        fault in faults(),
        corrupt in prop_oneof![Just(0.0), Just(0.01), Just(1.0)],
        events in proptest::collection::vec(event(), 0..15),
    ) {
        let corrupt = Probability::new(corrupt).expect("a chance");
        let settings = Impairments { fault, corrupt, ..delays };
        let run = |hands_over: bool| {
            let mut line = Line::new(&settings, u64::MAX, &[]);
            for event in events.iter().filter(|event| !matches!(event, Event::HandOver)) {
                line = apply(line, *event, &settings);
                line = if hands_over { line.hand_over() } else { line };
            }
            finish(&mut line);
            line
        };
        let (one, two) = (run(false), run(true));
        prop_assert_eq!(&one.stream.get_ref().output, &two.stream.get_ref().output);
        prop_assert_eq!((one.sent, one.closed, one.stream.end()), (two.sent, two.closed, two.stream.end()));
    }

    /// Whatever the settings are, and however they change, everything is sent or a fault has stopped it.
    #[test]
    fn every_sequence_ends(
        delays in delays(),
        fault in faults(),
        events in proptest::collection::vec(prop_oneof![3 => event(), 1 => any::<bool>().prop_map(Event::Impair)], 0..20),
        writes in writes(),
    ) {
        let settings = Impairments { fault, ..delays };
        let mut line = Line::new(&settings, u64::MAX, &writes);
        for event in &events {
            line = apply(line, *event, &settings);
        }
        finish(&mut line);
        let output = line.stream.get_ref().output.clone();
        prop_assert_eq!(&output, &numbered(line.taken.len())[..output.len()]);
        let is_stopped = line.stream.holds_back() || line.stream.end().is_some();
        prop_assert!(is_stopped || output.len() == line.taken.len() && line.closed.is_some());
        if is_stopped {
            // a reload ends a stall
            line.stream.impair(None);
            line.run_until(Millis::NEVER);
            prop_assert!(line.stream.end().is_some() || line.closed.is_some());
        }
    }

    /// Any text as the state of an impairment is refused, or the stream runs to its end.
    #[test]
    fn damaged_states_are_refused_or_end(place in 0..1000usize, digits in "[0-9]{1,19}", length in 0..20usize) {
        let settings = Impairments { rate: NonZero::new(1_000), ..latency(100) };
        let mut line = Line::new(&settings, u64::MAX, &[]);
        line.write(10);
        let saved = serde_json::to_string(&line.stream.save()).expect("JSON");
        let place = place % saved.len();
        let (before, behind) = saved.split_at(place);
        let damaged = format!("{before}{digits}{}", behind.trim_start_matches(|c: char| c.is_ascii_digit()));
        let Ok(saved) = serde_json::from_str::<SavedImpairment>(&damaged) else { return Ok(()) };
        if let Ok(impairment) = saved.restore(&numbered(length), &line.budget, Millis::ZERO) {
            line.stream = Impaired::new(ScriptedStream::default(), Some(impairment));
            line.begin(Millis::ZERO);
            let timers = std::iter::from_fn(|| {
                let deadline = Some(line.stream.deadline()).filter(|deadline| *deadline != Millis::NEVER)?;
                line.begin(deadline);
                line.stream.send_due().expect("an open stream");
                Some(deadline)
            });
            prop_assert!(timers.take(1000).count() < 1000, "the timers do not end: {damaged}");
        }
    }
}

#[test]
fn flipped_bits_do_not_depend_on_how_writes_are_cut() {
    let corrupt = Probability::new(0.01).expect("a chance");
    let output = |pieces: &[usize]| {
        let mut line = Line::new(&Impairments { corrupt, ..Impairments::default() }, u64::MAX, &[]);
        for length in pieces {
            line.write(*length);
        }
        line.stream.into_inner().output
    };
    let whole = output(&[10_000]);
    assert_ne!(whole, numbered(10_000));
    assert_eq!(whole, output(&[1, 99, 4_900, 5_000]));
}

#[test]
fn a_rate_is_exact_over_a_long_time() {
    let mut line = Line::new(&Impairments { rate: NonZero::new(3_001), ..Impairments::default() }, u64::MAX, &[]);
    while line.now < millis(6_000) {
        line.write(20_000);
        line.run_until(line.now + millis(10));
    }
    let (sent, exact) = (line.sent.len(), 6 * 3_001);
    assert!((exact - 31..=exact + 31).contains(&sent), "{sent} of {exact} bytes");
}

#[test]
fn slices_are_bounded_in_each_call_and_go_on_at_once() {
    let slice = Impairments { slice: NonZero::new(1), ..Impairments::default() };
    let mut line = Line::new(&slice, u64::MAX, &[]);
    line.write(1_000);
    assert_eq!((line.sent.len(), line.stream.deadline()), (32, Millis::ZERO));
    line.send_due(Millis::ZERO);
    assert_eq!(line.sent.len(), 64);
    line.run_until(Millis::ZERO);
    assert_eq!(line.sent.len(), 1_000);
    assert!(line.stream.take_acted().eq([ImpairmentKind::Slice]));
    assert_eq!(line.stream.take_acted().count(), 0);
    let mut line = Line::new(&Impairments { slice_gap: millis(7), ..slice }, u64::MAX, &[]);
    line.write(4);
    line.run_until(millis(20));
    assert_eq!(line.sent, [0, 7, 14].map(millis));
}

/// A connection over an impaired stream.
struct Session {
    connection: Connection,
    stream: Impaired<ScriptedStream>,
    context: Context,
    reason: Option<CloseReason>,
}

impl Session {
    fn new(protocol: &str, settings: Impairments) -> Self {
        let budget = Arc::new(Budget::new(u64::MAX));
        let impairment = Impairment::new(Arc::new(settings), 7, 1, &budget, Millis::ZERO);
        let stream = Impaired::new(ScriptedStream::default(), Some(impairment));
        let context = context(1 << 20, &budget, 1);
        let mut session = Self { connection: connection(protocol), stream, context, reason: None };
        session.call(Connection::open);
        session
    }

    /// What a server does at each call.
    fn call(&mut self, call: impl FnOnce(&mut Connection, &mut Impaired<ScriptedStream>, &mut Context) -> Next) {
        self.stream.begin_call(self.context.now, MAX_DELAYED);
        let next = call(&mut self.connection, &mut self.stream, &mut self.context);
        self.after(next);
    }

    fn after(&mut self, mut next: Next) {
        if let (Next::Wait, Some(fault)) = (&next, self.stream.end()) {
            next = self.connection.on_fault(&mut self.stream, &mut self.context, fault);
        }
        if let Next::Close(reason) = next {
            self.reason = Some(reason);
        }
    }

    /// The client sends this, and half-closes if `ends`.
    fn receive(&mut self, input: &[u8], ends: bool) {
        self.stream.get_mut().send(input);
        self.read();
        if ends && self.reason.is_none() {
            self.read_end();
        }
    }

    fn read(&mut self) {
        while self.reason.is_none() && self.stream.get_ref().unread() > 0 && self.interest().read {
            self.call(Connection::readable);
        }
    }

    fn read_end(&mut self) {
        assert!(self.interest().read);
        self.call(Connection::readable);
    }

    fn interest(&self) -> Interest {
        self.stream.interest(self.connection.interest())
    }

    /// Runs timers and events until then.
    fn run_until(&mut self, end: u64) {
        for _ in 0..MAX_TIMERS {
            let due = self.stream.deadline().min(self.connection.deadline(&self.context));
            let wants = self.interest().write || self.interest().read && self.stream.get_ref().unread() > 0;
            if self.reason.is_some() || !wants && due > millis(end) {
                self.context.now = millis(end);
                return;
            }
            if !wants {
                self.context.now = self.context.now.max(due);
            }
            self.stream.begin_call(self.context.now, MAX_DELAYED);
            self.stream.send_due().expect("an open stream");
            self.after(Next::Wait);
            if self.reason.is_none() && self.connection.interest().write {
                self.call(Connection::writable);
            }
            self.read();
            if self.reason.is_none() && self.connection.deadline(&self.context) <= self.context.now {
                self.call(Connection::expire);
            }
        }
        panic!("the timers do not end");
    }

    fn output(&self) -> &[u8] {
        &self.stream.get_ref().output
    }
}

#[test]
fn a_reply_comes_later_by_the_latency_and_requests_are_read_meanwhile() {
    let mut session = Session::new("echo", latency(100));
    session.receive(b"one", false);
    session.run_until(60);
    session.receive(b"two", false);
    session.run_until(99);
    assert_eq!(session.output(), b"");
    session.run_until(100);
    assert_eq!(session.output(), b"one");
    session.run_until(159);
    assert_eq!(session.output(), b"one");
    session.run_until(160);
    assert_eq!(session.output(), b"onetwo");
    assert!(session.stream.take_acted().eq([ImpairmentKind::Latency]));
}

#[test]
fn a_client_that_half_closes_gets_everything_before_the_close() {
    let mut session = Session::new("echo", Impairments { slow_close: millis(50), ..latency(100) });
    session.receive(b"one", true);
    assert!(session.reason.is_none() && !session.interest().read);
    session.run_until(149);
    assert_eq!((session.output(), session.stream.get_ref().write_closed), (&b"one"[..], false));
    session.run_until(300);
    assert!(session.stream.get_ref().write_closed);
    assert_eq!(session.reason, Some(CloseReason::Finished));
    assert!(session.stream.take_acted().eq([ImpairmentKind::Latency, ImpairmentKind::SlowClose]));
}

#[test]
fn an_hour_of_latency_does_not_count_against_the_client() {
    let hour = 3_600_000;
    let mut session = Session::new("echo", latency(hour));
    let second = Some(millis(1_000));
    (session.context.limits.idle, session.context.limits.request) = (second, second);
    session.context.limits.write = second;
    session.receive(&numbered(MAX_DELAYED + 5_000), false);
    session.run_until(hour - 1);
    assert!(session.reason.is_none() && session.output().is_empty() && session.stream.holds_back());
    session.run_until(2 * hour + 500);
    assert_eq!((session.output(), session.reason), (&numbered(MAX_DELAYED + 5_000)[..], None));
    // the end comes an hour later, too
    session.run_until(3 * hour + 10_000);
    assert_eq!(session.reason, Some(CloseReason::IdleTimeout));
}

#[test]
fn input_that_the_rate_holds_back_does_not_time_out() {
    let mut session = Session::new("frame", Impairments { rate: NonZero::new(100), ..Impairments::default() });
    session.context.limits.request = Some(millis(1_000));
    let request = [&[0, 0, 0, 0x01, 0, 0, 0x03, 0xe8][..], &[b'a'; 1_000]].concat();
    session.receive(&request, false);
    session.run_until(5_000);
    assert_eq!(session.reason, None);
    assert!(session.stream.get_ref().unread() > 400, "{}", session.stream.get_ref().unread());
    session.run_until(60_000);
    assert_eq!(session.stream.get_ref().unread(), 0);
    assert!(session.stream.take_acted().eq([ImpairmentKind::Rate]));
}

#[test]
fn a_cut_half_closes_after_exactly_its_number_of_bytes_and_discards_input() {
    let mut session = Session::new("echo", after(Fault::Cut, 4));
    session.receive(b"one", false);
    assert!(!session.stream.get_ref().write_closed);
    session.receive(b"two", false);
    assert_eq!((session.output(), session.stream.get_ref().write_closed), (&b"onet"[..], true));
    assert_eq!(session.context.counters.bytes_out.get(), 4);
    session.receive(b"three", false);
    assert_eq!((session.reason, session.stream.get_ref().unread()), (None, 0));
    session.read_end();
    assert_eq!(session.reason, Some(CloseReason::Impaired));
    assert!(session.stream.take_acted().eq([ImpairmentKind::Cut]));
}

#[test]
fn a_reset_closes_after_exactly_its_number_of_bytes_also_after_none() {
    let mut session = Session::new("echo", after(Fault::Reset, 2));
    session.receive(b"one", false);
    assert_eq!((session.output(), session.reason), (&b"on"[..], Some(CloseReason::Impaired)));
    assert_eq!(session.stream.end(), Some(Fault::Reset));
    for fault in [Fault::Cut, Fault::Reset] {
        let mut session = Session::new("echo", after(fault, 0));
        session.run_until(0);
        assert_eq!(session.stream.end(), Some(fault));
    }
}

#[test]
fn a_stall_ends_with_a_reload_and_its_timers_do_not_run() {
    let mut session = Session::new("echo", after(Fault::Stall, 4));
    session.context.limits.write = Some(millis(1_000));
    session.receive(b"one", false);
    session.receive(b"two", false);
    session.run_until(3_600_000);
    assert_eq!((session.output(), session.reason), (&b"onet"[..], None));
    assert!(session.stream.holds_back() && session.stream.next_send() == Millis::NEVER);
    assert!(session.connection.is_pending(Grace::Over));
    session.stream.impair(None);
    session.run_until(3_600_000);
    assert_eq!(session.output(), b"onetwo");
    assert!(session.stream.impairment().is_none() || session.stream.deadline() == Millis::NEVER);
}
