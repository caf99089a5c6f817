//! A connection without a socket: passes input to a protocol in pieces, and holds both sides to the contract.

use super::*;

/// The circumstances of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Reply space of a call on the event loop, in bytes.
    pub reply_space: usize,
    /// The limits of a request.
    pub limits: RequestLimits,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The quotes of qotd.
    pub quotes: &'a [String],
}

/// Much reply space, and limits that a test can reach.
pub const DEFAULT: Config<'static> = Config {
    reply_space: 64 * 1024,
    limits: RequestLimits { message: 1 << 20, memory: 1 << 23, line: Some(1 << 16) },
    seed: 1,
    quotes: &[],
};

/// The result of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// All replies.
    pub replies: Vec<u8>,
    /// Why the protocol closed the connection, if it did.
    pub close_cause: Option<CloseCause>,
    /// All requests and events.
    pub counts: RequestCounts,
    /// All log events.
    pub log_events: Vec<LogEvent>,
    /// Number of requests that were offloaded.
    pub offloaded: usize,
    /// Bytes of input that were never consumed.
    pub unconsumed: usize,
}

/// The time on the clock of every test.
pub const NOW: u64 = 1_795_220_304;

/// Passes `pieces` to a new connection of the protocol called `name`, then half-closes it.
pub fn run(name: &str, pieces: &[&[u8]], config: Config<'_>) -> Outcome {
    let settings = ProtocolSettings { quotes: config.quotes.into(), ..ProtocolSettings::default() };
    let mut driver = Driver {
        protocol: (by_name(name).expect("a protocol").new)(&settings, &()),
        random: RequestRng::new(Some(config.seed)),
        config,
        pending: Vec::new(),
        preprocessed: 0,
        skip: 0,
        outcome: Outcome::default(),
    };
    driver.run(pieces);
    driver.outcome
}

/// The parameters of a single call; the defaults are those of the event loop.
struct CallConfig<'a> {
    reply_space: usize,
    may_block: bool,
    /// `None`: the connection's own.
    random: Option<&'a mut RequestRng>,
}

struct Driver<'a> {
    protocol: Box<dyn Protocol>,
    random: RequestRng,
    config: Config<'a>,
    /// Input that is not consumed.
    pending: Vec<u8>,
    preprocessed: usize,
    /// Bytes that are still to be dropped.
    skip: u64,
    outcome: Outcome,
}

impl Driver<'_> {
    fn run(&mut self, pieces: &[&[u8]]) {
        let opened = self.call_inline(|protocol, exchange, context| protocol.open(exchange, context));
        self.apply(opened);
        if self.protocol.is_generator() {
            self.call_inline(|protocol, exchange, _| exchange.reply(protocol.generate(exchange.remaining())));
        }
        for piece in pieces {
            if self.outcome.close_cause.is_some() {
                return;
            }
            self.pending.extend_from_slice(piece);
            self.process();
        }
        self.outcome.unconsumed = self.pending.len();
        let inside_request = self.skip > 0 || self.outcome.unconsumed > 0;
        if inside_request && self.outcome.close_cause.is_none() {
            self.call_inline(|protocol, exchange, context| protocol.on_eof(exchange, context));
        }
    }

    /// Calls the protocol until it needs input or closes.
    fn process(&mut self) {
        while self.drop_skipped() {
            let progress = self.call_inline(|protocol, exchange, context| {
                let progress = protocol.process(exchange, context);
                assert!(progress != Progress::NeedOutput || !exchange.is_empty(), "NeedOutput without a reply to send");
                progress
            });
            if !self.apply(progress) {
                return;
            }
        }
    }

    /// Does what `progress` requires; returns whether the protocol must be called again at once.
    fn apply(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::NeedOutput => return true,
            Progress::NeedInput(needed) => {
                let is_missing = needed.request_len == 0 || needed.request_len > self.pending.len();
                assert!(is_missing, "needs input that is there: {needed:?}");
                self.preprocessed = needed.preprocessed;
            }
            Progress::Offload(needed) => {
                self.run_offloaded(needed);
                return true;
            }
            Progress::Skip(length) => {
                self.skip = length;
                self.drop_skipped();
                return true;
            }
            Progress::Close(cause) => self.outcome.close_cause = Some(cause),
        }
        false
    }

    fn run_offloaded(&mut self, needed: Needed) {
        assert!(needed.request_len <= self.pending.len(), "offloaded before its input is there");
        assert!(needed.memory() <= self.config.limits.memory, "more memory than the limit: {needed:?}");
        let later = self.pending.split_off(needed.request_len);
        let mut random = RequestRng::new(None);
        random.replay(self.random.seed());
        self.preprocessed = needed.preprocessed;
        let config = CallConfig { reply_space: needed.reply_capacity, may_block: true, random: Some(&mut random) };
        let progress = self.call(config, |protocol, exchange, context| protocol.process(exchange, context));
        assert!(matches!(progress, Progress::NeedInput(_)), "an offloaded request returned {progress:?}");
        assert!(self.pending.is_empty(), "an offloaded request left input");
        self.pending = later;
        self.outcome.offloaded += 1;
    }

    /// Drops pending input that is to be skipped; returns whether none is left to skip.
    fn drop_skipped(&mut self) -> bool {
        if self.skip == 0 {
            return true;
        }
        let here = self.pending.len().min(self.skip as usize);
        self.pending.drain(..here);
        self.skip -= here as u64;
        if self.skip == 0 {
            self.call_inline(|protocol, exchange, context| protocol.on_skipped(exchange, context));
        }
        self.skip == 0
    }

    /// Calls the protocol as the event loop does.
    fn call_inline<R>(
        &mut self,
        function: impl FnOnce(&mut dyn Protocol, &mut Exchange<'_>, &mut CallContext<'_>) -> R,
    ) -> R {
        let config = CallConfig { reply_space: self.config.reply_space, may_block: false, random: None };
        self.call(config, function)
    }

    fn call<R>(
        &mut self,
        config: CallConfig<'_>,
        function: impl FnOnce(&mut dyn Protocol, &mut Exchange<'_>, &mut CallContext<'_>) -> R,
    ) -> R {
        let mut reply_buf = vec![0xaa; config.reply_space];
        let mut exchange = Exchange::new(&mut self.pending, &mut reply_buf)
            .with_preprocessed(std::mem::take(&mut self.preprocessed))
            .with_log_events(true);
        let mut context = CallContext {
            random: config.random.unwrap_or(&mut self.random),
            unix_time: || NOW,
            limits: self.config.limits,
            may_block: config.may_block,
        };
        let result = function(&mut *self.protocol, &mut exchange, &mut context);
        self.outcome.replies.extend(exchange.replies().concat());
        self.outcome.log_events.extend(exchange.drain_log_events());
        let (counts, consumed) = (exchange.counts(), exchange.consumed());
        self.outcome.counts.answered += counts.answered;
        self.outcome.counts.refused += counts.refused;
        self.outcome.counts.events += counts.events;
        self.pending.drain(..consumed);
        result
    }
}
