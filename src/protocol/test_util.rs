//! A connection without a socket: plays input to a protocol, cut as the test says, and holds both to the contract.
//!
//! Every table of `tests/tables` is replayed here: whole, in two pieces at every place, byte by byte, with much room
//! and with little.

use super::*;

#[path = "../../tests/tables/mod.rs"]
pub mod tables;

/// The circumstances of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Bytes of the spill on the event loop.
    pub room: usize,
    /// What a request may take.
    pub limits: RequestLimits,
    /// The seed of all randomness.
    pub seed: u64,
    /// What qotd chooses from.
    pub quotes: &'a [String],
}

/// Roomy, with a limit that tables can reach.
pub const SETTING: Setting<'static> = Setting {
    room: 64 * 1024,
    limits: RequestLimits { message: 1 << 20, memory: 1 << 23, line: 1 << 16 },
    seed: 1,
    quotes: &[],
};

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// All answers.
    pub answers: Vec<u8>,
    /// How the protocol closed the connection, if it did.
    pub ending: Option<CloseCause>,
    /// All requests that were counted.
    pub counts: RequestCounts,
    /// All notes for the log.
    pub notes: Vec<LogEvent>,
    /// How often work went to another thread.
    pub heavy: usize,
    /// Bytes of input that were never taken.
    pub left: usize,
}

/// The time on every test's clock.
pub const NOW: u64 = 1_795_220_304;

/// Plays `pieces` to a new connection of the protocol of that name, then ends the client's side.
pub fn play(name: &str, pieces: &[&[u8]], setting: Setting<'_>) -> Played {
    let mut player = Player {
        protocol: (by_name(name).expect("a name in the table").new)(
            &ProtocolSettings { quotes: setting.quotes.into() },
            &(),
        ),
        random: RequestRng::new(Some(setting.seed)),
        setting,
        pending: Vec::new(),
        prepared: 0,
        skip: 0,
        played: Played::default(),
    };
    player.play(pieces);
    player.played
}

struct Player<'a> {
    protocol: Box<dyn Protocol>,
    random: RequestRng,
    setting: Setting<'a>,
    pending: Vec<u8>,
    prepared: usize,
    skip: u64,
    played: Played,
}

impl Player<'_> {
    fn play(&mut self, pieces: &[&[u8]]) {
        let opened = self.exchange(|protocol, exchange, context| protocol.open(exchange, context));
        self.obey(opened);
        for piece in pieces {
            if self.played.ending.is_some() {
                return;
            }
            self.pending.extend_from_slice(piece);
            self.advance();
        }
        self.played.left = self.pending.len();
        let inside = self.skip > 0 || self.played.left > 0;
        if inside && self.played.ending.is_none() {
            self.exchange(|protocol, exchange, context| protocol.on_eof(exchange, context));
        }
    }

    /// Until the protocol waits for more, or closes.
    fn advance(&mut self) {
        loop {
            if !self.drop_skipped() {
                return;
            }
            let progress = self.exchange(|protocol, exchange, context| {
                let progress = protocol.process(exchange, context);
                assert!(progress != Progress::NeedOutput || !exchange.is_empty(), "full, but there is nothing to send");
                progress
            });
            if !self.obey(progress) {
                return;
            }
        }
    }

    /// Whether the protocol is to be called again at once.
    fn obey(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::NeedOutput => return true,
            Progress::NeedInput(needed) => {
                assert!(
                    needed.request_len == 0 || needed.request_len > self.pending.len(),
                    "waits for what is there: {needed:?}"
                );
                self.prepared = needed.preprocessed;
            }
            Progress::Offload(needed) => {
                self.heavy(needed);
                return true;
            }
            Progress::Skip(length) => {
                self.skip = length;
                self.drop_skipped();
                return true;
            }
            Progress::Close(ending) => self.played.ending = Some(ending),
        }
        false
    }

    fn heavy(&mut self, needed: Needed) {
        assert!(needed.request_len <= self.pending.len(), "heavy work before its input is there");
        assert!(needed.memory() <= self.setting.limits.memory, "more memory than is allowed: {needed:?}");
        let later = self.pending.split_off(needed.request_len);
        let (mut random, room) = (RequestRng::new(None), needed.reply_capacity);
        random.replay(self.random.seed());
        self.prepared = needed.preprocessed;
        let progress = self
            .turn_of(room, true, Some(&mut random), |protocol, exchange, context| protocol.process(exchange, context));
        assert!(matches!(progress, Progress::NeedInput(_)), "heavy work ended with {progress:?}");
        assert!(self.pending.is_empty(), "heavy work left input");
        self.pending = later;
        self.played.heavy += 1;
    }

    /// Drops what is to be skipped; false while there is more of it to come.
    fn drop_skipped(&mut self) -> bool {
        if self.skip == 0 {
            return true;
        }
        let here = self.pending.len().min(self.skip as usize);
        self.pending.drain(..here);
        self.skip -= here as u64;
        if self.skip == 0 {
            self.exchange(|protocol, exchange, context| protocol.on_skipped(exchange, context));
        }
        self.skip == 0
    }

    fn exchange<R>(&mut self, call: impl FnOnce(&mut dyn Protocol, &mut Exchange<'_>, &mut CallContext<'_>) -> R) -> R {
        self.turn_of(self.setting.room, false, None, call)
    }

    fn turn_of<R>(
        &mut self,
        room: usize,
        may_block: bool,
        random: Option<&mut RequestRng>,
        call: impl FnOnce(&mut dyn Protocol, &mut Exchange<'_>, &mut CallContext<'_>) -> R,
    ) -> R {
        let mut spill = vec![0xaa; room];
        let mut exchange = Exchange::new(&mut self.pending, &mut spill)
            .with_preprocessed(std::mem::take(&mut self.prepared))
            .with_log_events(true);
        let mut context = CallContext {
            random: random.unwrap_or(&mut self.random),
            unix_time: || NOW,
            limits: self.setting.limits,
            may_block,
        };
        let result = call(&mut *self.protocol, &mut exchange, &mut context);
        self.played.answers.extend(exchange.replies().concat());
        self.played.notes.extend(exchange.drain_log_events());
        let (counts, taken) = (exchange.counts(), exchange.consumed());
        self.played.counts.answered += counts.answered;
        self.played.counts.refused += counts.refused;
        self.played.counts.records += counts.records;
        self.pending.drain(..taken);
        result
    }
}

/// All ways of cutting that the tables are replayed with.
fn cuts(send: &[u8], anywhere: bool) -> Vec<Vec<&[u8]>> {
    let mut all = vec![vec![send]];
    if anywhere {
        all.extend((1..send.len()).map(|at| vec![&send[..at], &send[at..]]));
        all.push(send.chunks(1).collect());
    }
    all
}

#[test]
fn every_table_however_it_is_cut() {
    for exchange in tables::EXAMPLES {
        for pieces in cuts(exchange.send, exchange.cut_anywhere) {
            for room in [SETTING.room, MIN_REPLY_SPACE] {
                let played = play(exchange.protocol, &pieces, Setting { room, ..SETTING });
                let (got, expect) = (played.answers.escape_ascii(), exchange.expect.escape_ascii());
                let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
                assert!(
                    played.answers == exchange.expect,
                    "{}: {}: pieces {lengths:?}: got {got}, expected {expect}",
                    exchange.protocol,
                    exchange.what
                );
            }
        }
    }
}

#[test]
fn every_protocol_has_a_table_or_speaks_first() {
    let speaks_first = ["qotd", "daytime", "time", "chargen"];
    for ProtocolInfo { name, .. } in PROTOCOLS {
        let told = tables::EXAMPLES.iter().any(|exchange| exchange.protocol == *name);
        assert!(told || speaks_first.contains(name), "{name}");
    }
}

#[test]
fn a_full_chunk_is_1024_bytes() {
    let bytes = [b'x'; 1024 + 22 + 1500];
    let answers =
        |name| play(name, &[&bytes], Setting { room: MIN_REPLY_SPACE, ..SETTING }).answers.escape_ascii().to_string();
    let chunks = |prefix, byte: &str| [1024, 1024, 498].map(|size| format!("{prefix}{}", byte.repeat(size))).concat();
    assert_eq!(answers("echo-prefix"), chunks("Echo: ", "x"));
    assert_eq!(answers("respond"), chunks("Response: ", "X"));
    assert_eq!(answers("upper"), "X".repeat(1024));
    assert_eq!(answers("record"), "x".repeat(bytes.len() - 2 * 22), "two records are not echoed");
}

#[test]
fn a_chunk_waits_for_room_for_its_whole_answer() {
    let bytes = [b'x'; 9000];
    for name in ["echo-prefix", "respond"] {
        let roomy = play(name, &[&bytes], SETTING);
        for room in (MIN_REPLY_SPACE..MIN_REPLY_SPACE + 1100).step_by(if cfg!(miri) { 97 } else { 1 }) {
            assert!(play(name, &[&bytes], Setting { room, ..SETTING }) == roomy, "{name}, room {room}");
        }
    }
}

#[test]
fn services_that_speak_first_close_at_once() {
    let quotes = ["one\n".to_owned(), "two\n".to_owned()];
    let opened = |name, quotes| play(name, &[b"ignored"], Setting { quotes, ..SETTING });
    for (name, quotes, expect) in [
        ("daytime", &[][..], &b"Saturday, November 21, 2026 00:18:24-UTC\r\n"[..]),
        ("time", &[], &(NOW as u32 + 2_208_988_800).to_be_bytes()),
        ("qotd", &quotes[..1], b"one\n"),
    ] {
        let played = opened(name, quotes);
        assert_eq!((&played.answers[..], played.ending), (expect, Some(CloseCause::Complete)), "{name}");
        assert_eq!(played.counts.answered, 1);
    }
    let none = opened("qotd", &[]);
    assert_eq!((none.answers, none.ending, none.counts.answered), (Vec::new(), Some(CloseCause::Complete), 0));
}

#[test]
fn every_quote_has_its_turn() {
    let quotes = ["one", "two", "three"].map(str::to_owned);
    let answers: Vec<_> =
        (0..100).map(|seed| play("qotd", &[], Setting { seed, quotes: &quotes, ..SETTING }).answers).collect();
    assert!(quotes.iter().all(|quote| answers.iter().any(|answer| answer == quote.as_bytes())));
}

#[test]
fn a_record_in_pieces_is_one_line_of_words() {
    let record = [
        &7u32.to_be_bytes()[..],
        b"a\n",
        &u64::MAX.to_be_bytes(),
        &(-2i16).to_be_bytes(),
        &3i16.to_be_bytes(),
        &f32::NAN.to_be_bytes(),
    ]
    .concat();
    let mut other = record.clone();
    other[18..].copy_from_slice(&f32::NEG_INFINITY.to_be_bytes());
    let (head, tail) = record.split_at(9);
    let played = play("record", &[b"x", head, tail, b"hello", &other, b"y", &other[..21]], SETTING);
    assert_eq!(played.answers, b"xhelloy");
    assert_eq!(played.counts, RequestCounts { answered: 3, refused: 0, records: 2 });
    let words: Vec<&str> = played
        .notes
        .iter()
        .filter_map(|note| if let LogEvent::Record(words) = note { Some(&words[..]) } else { None })
        .collect();
    let fields = r#"u32=7 bytes="a\n" u64=18446744073709551615 i16=-2 i16=3"#;
    assert_eq!(words, [format!("{fields} f32=NaN"), format!("{fields} f32=-inf")]);
}

#[test]
fn what_breaks_a_protocol_closes_with_a_reason() {
    let limits = RequestLimits { message: 5, memory: 100, line: 5 };
    for (name, pieces, answers, reason) in [
        ("upper-line", &[&b"abcdef\n"[..]][..], &b""[..], Some("line too long")),
        ("upper-line", &[b"abc", b"def"], b"", Some("line too long")),
        ("upper-line", &[b"abc", b"de\n"], b"ABCDE", None),
        ("upper-line", &[b"abc", b"de"], b"ABCDE", None),
        ("length-prefix", &[b"\0\0\0\x05abcde\0\0\0\x06"], b"\0\0\0\x05abcde", Some("message longer than the limit")),
        (
            "text",
            &[b"reverse 5 abcdereverse 6 "],
            b"5 edcba5 error",
            Some("no header: ACTION LENGTH MESSAGE was expected"),
        ),
    ] {
        let played = play(name, pieces, Setting { limits, ..SETTING });
        assert_eq!(played.answers, answers, "{name}");
        let violation = match played.ending {
            Some(CloseCause::ProtocolError(reason)) => Some(reason),
            _ => None,
        };
        assert_eq!(violation, reason, "{name}");
    }
}
