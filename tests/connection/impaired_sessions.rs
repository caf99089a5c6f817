//! Connections over impaired streams, with a client and a kernel that do anything at any time: no state is left without
//! an event or a timer, none is served again and again without progress, and nothing is lost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::num::NonZero;
use std::sync::Arc;

use proptest::prelude::*;
use retortd::connection::{
    Budget, Charge, CloseReason, Connection, Context, Fault, FaultAfter, Impaired, Impairment, Impairments, Millis,
    Next, Probability, SavedImpairment, Stream,
};
use retortd::protocol::RequestRng;

use crate::scripted::{connection, context, grant};
use crate::session::{UPPERCASE, frame_request};

/// The most iterations of one run: many times what any of them needs.
const MAX_ITERATIONS: usize = 1_000_000;

/// The client, and the kernel between.
#[derive(Debug, Default)]
struct Client {
    input: VecDeque<u8>,
    has_half_closed: bool,
    has_reset: bool,
    /// Bytes that the kernel has room for; `usize::MAX` if the client takes everything at once.
    room: usize,
    unacknowledged: usize,
    output: Vec<u8>,
    was_half_closed: bool,
}

impl Client {
    fn check(&self) -> io::Result<()> {
        if self.has_reset { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    fn is_quick(&self) -> bool {
        self.room == usize::MAX
    }

    /// Takes this number of bytes from the kernel.
    fn take(&mut self, bytes: usize) {
        self.unacknowledged = self.unacknowledged.saturating_sub(bytes);
        self.room = self.room.saturating_add(bytes);
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        assert!(!into.is_empty(), "a read into an empty buffer looks like the end of the input");
        self.check()?;
        if self.input.is_empty() && !self.has_half_closed {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(into)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.was_half_closed, "sent after the half-close");
        self.check()?;
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let sent = all.len().min(self.room);
        if sent == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if !self.is_quick() {
            self.room -= sent;
            self.unacknowledged += sent;
        }
        self.output.extend(&all[..sent]);
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Client {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.check()?;
        self.was_half_closed = true;
        Ok(())
    }

    fn unacknowledged(&self) -> Option<usize> {
        Some(self.unacknowledged)
    }
}

#[derive(Clone, Debug)]
enum Event {
    Send(usize),
    Take(usize),
    Pass(u64),
    HalfClose,
    Reset,
    Impair(Impairments),
    HandOver,
}

/// What there is room for, in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    /// In the kernel, at the beginning.
    room: usize,
    max_delayed: usize,
    /// Other connections have taken the budget.
    is_scarce: bool,
}

/// Room for everything.
const AMPLE: Memory = Memory { room: usize::MAX, max_delayed: 0, is_scarce: false };

fn memory() -> impl Strategy<Value = Memory> {
    let room = prop_oneof![Just(0usize), Just(1), 0..10_000usize, Just(usize::MAX)];
    let max_delayed = prop_oneof![Just(0usize), Just(4_096), Just(1 << 20)];
    (room, max_delayed, any::<bool>()).prop_map(|(room, max_delayed, is_scarce)| Memory {
        room,
        max_delayed,
        is_scarce,
    })
}

/// One connection, served as a worker does.
struct Session {
    connection: Connection,
    stream: Impaired<Client>,
    context: Context,
    max_delayed: usize,
    reason: Option<CloseReason>,
    /// What the client still has to send.
    unsent: VecDeque<u8>,
    others: Charge,
}

impl Session {
    fn new(protocol: &str, settings: &Impairments, requests: &[u8], memory: Memory) -> Self {
        let Memory { room, max_delayed, is_scarce } = memory;
        let budget = Arc::new(Budget::new(1 << 20));
        let mut others = Charge::new(&budget);
        others.set_unchecked(if is_scarce { 1 << 20 } else { 0 });
        let context = context(1 << 20, &budget, 1);
        let client = Client { room, ..Client::default() };
        let stream = Impaired::new(client, impairment(settings, &context));
        let unsent = requests.iter().copied().collect();
        let connection = connection(protocol);
        let mut session = Self { connection, stream, context, max_delayed, reason: None, unsent, others };
        let second = Some(Millis::new(1000));
        let limits = &mut session.context.limits;
        (limits.idle, limits.request, limits.write) = (second, second, second);
        session.call(Connection::open);
        session.settle();
        session
    }

    fn call(&mut self, call: impl FnOnce(&mut Connection, &mut Impaired<Client>, &mut Context) -> Next) {
        let lingered = self.connection.lingers_for();
        self.make(call);
        if lingered.is_none() {
            self.check_close(self.reason.or(self.connection.lingers_for()));
        }
    }

    /// No client is blamed for what this server delays.
    fn check_close(&self, reason: Option<CloseReason>) {
        let client = self.stream.get_ref();
        match reason {
            Some(CloseReason::WriteTimeout) => assert!(!client.is_quick(), "{:?}", self.stream),
            Some(CloseReason::RequestTimeout | CloseReason::IdleTimeout) => {
                assert!(client.input.is_empty() && self.stream.delayed_bytes().next().is_none(), "{:?}", self.stream);
            }
            _ => {}
        }
    }

    fn make(&mut self, call: impl FnOnce(&mut Connection, &mut Impaired<Client>, &mut Context) -> Next) {
        self.stream.begin_call(self.context.now, self.max_delayed);
        let mut next = call(&mut self.connection, &mut self.stream, &mut self.context);
        loop {
            let (connection, stream, context) = (&mut self.connection, &mut self.stream, &mut self.context);
            next = match (next, stream.end()) {
                (Next::Close(reason), _) => {
                    self.reason = Some(reason);
                    return;
                }
                (Next::Wait, Some(fault)) => match connection.on_fault(stream, context, fault) {
                    Next::Wait => return,
                    next => next,
                },
                (Next::Wait, None) => return,
                (_, Some(Fault::Reset)) => Next::Close(CloseReason::Impaired),
                (Next::WaitForMemory(demand), _) => {
                    let granted = grant(context, demand).expect("the only connection");
                    stream.begin_call(context.now, self.max_delayed);
                    connection.resume(stream, context, granted)
                }
                (Next::Offload(job), _) => {
                    let result = job.run(&mut RequestRng::new(None), context.unix_time).expect("memory");
                    stream.begin_call(context.now, self.max_delayed);
                    connection.offload_done(stream, context, result)
                }
                (Next::Announced(_), _) => panic!("no header is expected"),
            };
        }
    }

    /// Sends what is due, and goes on with what had to wait for that.
    fn send_due(&mut self) {
        self.call(|connection, stream, context| {
            if let Err(error) = stream.send_due() {
                return connection.on_stream_error(&error);
            }
            let wanted = connection.interest();
            if wanted.write && stream.interest(wanted).write {
                connection.writable(stream, context)
            } else {
                Next::Wait
            }
        });
    }

    /// What may be seen of it: a service that changes nothing of that would be repeated for ever.
    fn seen(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let client = self.stream.get_ref();
        let delayed: usize = self.stream.delayed_bytes().map(<[u8]>::len).sum();
        let interest = self.stream.interest(self.connection.interest());
        let deadlines = (self.stream.deadline(), self.connection.deadline(&self.context));
        (client.output.len(), client.input.len(), client.was_half_closed, delayed, interest, deadlines)
    }

    /// Serves the events and timers of this moment. Returns whether there were any.
    fn serve(&mut self) -> bool {
        let interest = self.stream.interest(self.connection.interest());
        let client = self.stream.get_ref();
        let is_broken = client.has_reset || client.has_half_closed && client.was_half_closed;
        let is_readable = interest.read && (!client.input.is_empty() || client.has_half_closed || is_broken);
        let is_writable = interest.write && (client.room > 0 || is_broken);
        if is_broken && !interest.read && !interest.write {
            self.call(|connection, _, _| connection.on_stream_error(&ErrorKind::ConnectionReset.into()));
            return true;
        }
        if is_writable {
            self.send_due();
        }
        if is_readable && self.reason.is_none() {
            self.call(Connection::readable);
        }
        let now = self.context.now;
        let is_due = self.reason.is_none() && self.stream.deadline() <= now;
        if is_due {
            self.send_due();
        }
        let expires = self.reason.is_none() && self.connection.deadline(&self.context) <= now;
        if expires {
            self.call(Connection::expire);
        }
        is_readable || is_writable || is_due || expires
    }

    fn settle(&mut self) {
        for _ in 0..MAX_ITERATIONS {
            let before = self.seen();
            if self.reason.is_some() || !self.serve() {
                return;
            }
            assert!(self.reason.is_some() || self.seen() != before, "served in vain: {before:?} {:?}", self.stream);
        }
        panic!("the events of one moment do not end: {:?}", self.stream);
    }

    /// Lets time pass, at most until `end`.
    fn run_until(&mut self, end: Millis) {
        self.settle();
        for _ in 0..MAX_ITERATIONS {
            let due = self.stream.deadline().min(self.connection.deadline(&self.context));
            if self.reason.is_some() || due > end || due == Millis::NEVER {
                self.context.now = if end == Millis::NEVER { self.context.now } else { end };
                return;
            }
            self.context.now = self.context.now.max(due);
            self.settle();
        }
        panic!("the timers do not end: {:?}", self.stream);
    }

    fn apply(&mut self, event: &Event) {
        if self.reason.is_some() {
            return;
        }
        match event {
            Event::Send(bytes) if !self.stream.get_ref().has_half_closed => {
                let bytes = self.unsent.drain(..self.unsent.len().min(*bytes)).collect::<Vec<_>>();
                self.stream.get_mut().input.extend(bytes);
            }
            Event::Send(_) => {}
            Event::Take(bytes) => self.stream.get_mut().take(*bytes),
            Event::Pass(time) => self.run_until(self.context.now + Millis::new(*time)),
            Event::HalfClose => self.stream.get_mut().has_half_closed = true,
            Event::Reset => self.stream.get_mut().has_reset = true,
            Event::Impair(settings) => {
                self.stream.begin_call(self.context.now, self.max_delayed);
                let impairment = impairment(settings, &self.context);
                self.connection.impair(&mut self.stream, impairment, &mut self.context).expect("nothing is held");
                self.send_due();
            }
            Event::HandOver => self.hand_over(),
        }
        self.settle();
    }

    /// Continues with the state of the stream as another process reads it.
    fn hand_over(&mut self) {
        let saved = self.stream.save().map(|saved| serde_json::to_string(&saved).expect("JSON"));
        let bytes = self.stream.delayed_bytes().collect::<Vec<_>>().concat();
        let restored = saved.map(|saved| {
            let saved: SavedImpairment = serde_json::from_str(&saved).expect("a saved impairment");
            saved.restore(&bytes, &self.context.budget, self.context.now).expect("a state that was saved")
        });
        let stream = std::mem::replace(&mut self.stream, Impaired::new(Client::default(), None));
        self.stream = Impaired::new(stream.into_inner(), restored);
    }

    /// The client sends the rest, takes everything, and half-closes. The connection ends.
    fn finish(&mut self) {
        self.apply(&Event::Take(usize::MAX));
        self.apply(&Event::Send(usize::MAX));
        self.apply(&Event::HalfClose);
        for _ in 0..1000 {
            if self.reason.is_some() {
                return;
            }
            self.apply(&Event::Take(usize::MAX / 2));
            self.apply(&Event::Pass(1000));
        }
        // a reload ends a stall
        assert!(self.stream.holds_back() && self.stream.next_send() == Millis::NEVER, "{:?}", self.stream);
        self.apply(&Event::Impair(Impairments::default()));
        self.run_until(self.context.now + Millis::new(10_000));
        assert!(self.reason.is_some(), "{:?}", self.stream);
    }
}

fn impairment(settings: &Impairments, context: &Context) -> Option<Impairment> {
    let settings = Arc::new(settings.clone());
    settings.applies_to(7, 1).then(|| Impairment::new(settings, 7, 1, &context.budget, context.now))
}

/// Any settings; latencies and rates with which the sessions end within minutes.
fn settings(faults: bool) -> impl Strategy<Value = Impairments> {
    let latency = prop_oneof![2 => Just((0, 0)), 2 => (0..3_000u64).prop_flat_map(|most| (Just(most), 0..=most))];
    let rate = proptest::option::of(prop_oneof![Just(100u64), 900..1_100u64, 1_000..u64::MAX, Just(u64::MAX)]);
    let slice = proptest::option::of(prop_oneof![Just(1usize), 2..5_000usize, Just(usize::MAX)]);
    let fault = prop_oneof![Just(Fault::Stall), Just(Fault::Cut), Just(Fault::Reset)];
    let fault = (fault, prop_oneof![Just(0), 0..50u64, 0..9_000u64, Just(u64::MAX)]);
    let fault = proptest::option::of(fault.prop_map(|(fault, after)| FaultAfter { fault, after }));
    let slow_close = prop_oneof![2 => Just(0), 1 => 0..20_000u64];
    (latency, rate, slice, prop_oneof![Just(0), 0..3u64], slow_close, fault, prop_oneof![Just(0.0), Just(0.1)])
        .prop_map(move |((latency, jitter), rate, slice, gap, slow_close, fault, corrupt)| Impairments {
            latency: Millis::new(latency),
            jitter: Millis::new(jitter),
            rate: rate.and_then(NonZero::new),
            slice: slice.and_then(NonZero::new),
            slice_gap: Millis::new(if slice.is_some() { gap } else { 0 }),
            slow_close: Millis::new(slow_close),
            fault: fault.filter(|_| faults),
            corrupt: Probability::new(if faults { corrupt } else { 0.0 }).expect("a chance"),
            ..Impairments::default()
        })
}

fn event(faults: bool) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => prop_oneof![1..20usize, 1..6_000usize].prop_map(Event::Send),
        4 => prop_oneof![1..4usize, 1..9_000usize].prop_map(Event::Take),
        4 => prop_oneof![0..20u64, 0..1_500u64].prop_map(Event::Pass),
        1 => Just(Event::HalfClose),
        1 => Just(Event::Reset),
        2 => prop_oneof![1 => Just(Impairments::default()), 3 => settings(faults)].prop_map(Event::Impair),
        1 => Just(Event::HandOver),
    ]
}

/// Requests of the frame protocol, and the output of a server that impairs nothing.
fn requests(protocol: &str) -> (Vec<u8>, Vec<u8>) {
    let requests = [5, 0, 300, 9_000, 2].map(|length| frame_request(UPPERCASE, &b"abcdefghij".repeat(900)[..length]));
    let requests = requests.concat();
    let mut session = Session::new(protocol, &Impairments::default(), &requests, AMPLE);
    session.finish();
    let replies = session.stream.into_inner().output;
    assert!(replies.len() > 9_000, "{:?} {replies:?}", session.reason);
    (requests, replies)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, the connection goes on, and ends.
    #[test]
    fn every_session_ends(
        protocol in prop_oneof![Just("frame"), Just("text"), Just("echo"), Just("chargen"), Just("discard")],
        settings in settings(true),
        events in proptest::collection::vec(event(true), 0..30),
        memory in memory(),
    ) {
        // what never ends needs a client that stops
        let room = if protocol == "chargen" { memory.room.min(10_000) } else { memory.room };
        let memory = Memory { room, ..memory };
        let (requests, _) = requests("frame");
        let mut session = Session::new(protocol, &settings, &requests, memory);
        for event in &events {
            session.apply(event);
        }
        if protocol == "chargen" && session.reason.is_none() {
            // it sends until the client has gone
            session.apply(&Event::Reset);
        } else {
            session.finish();
        }
        let budget = Arc::clone(&session.context.budget);
        drop((session.stream, session.connection.retire(), session.others));
        drop(session.context);
        prop_assert_eq!(budget.used(), 0);
    }

    /// A client that half-closes after its requests gets every reply, whatever delays them and however that changes.
    #[test]
    fn a_client_that_takes_its_time_gets_every_reply(
        protocol in prop_oneof![Just("frame"), Just("echo")],
        settings in settings(false),
        events in proptest::collection::vec(event(false), 0..30),
        memory in memory(),
    ) {
        let (requests, replies) = requests(protocol);
        let mut session = Session::new(protocol, &settings, &requests, memory);
        session.context.limits.write = None;
        (session.context.limits.idle, session.context.limits.request) = (None, None);
        for event in events.iter().filter(|event| !matches!(event, Event::HalfClose | Event::Reset)) {
            session.apply(event);
        }
        session.finish();
        prop_assert_eq!(session.reason, Some(CloseReason::Finished));
        prop_assert_eq!(&session.stream.get_ref().output, &replies);
    }
}

/// A connection whose end is sent has nothing left to impair: it closes as if it had not been impaired.
#[test]
fn a_connection_that_lingers_is_not_impaired_anew() {
    for before in [Impairments::default(), Impairments { latency: Millis::new(10), ..Impairments::default() }] {
        let mut session = Session::new("echo", &before, b"", AMPLE);
        session.run_until(Millis::new(1_500));
        assert!(session.stream.get_ref().was_half_closed && session.reason.is_none());
        let stall = Some(FaultAfter { fault: Fault::Stall, after: 0 });
        session.apply(&Event::Impair(Impairments { fault: stall, ..Impairments::default() }));
        session.run_until(Millis::new(60_000));
        assert_eq!(session.reason, Some(CloseReason::IdleTimeout));
    }
}
