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
pub const SETTING: Setting<'static> =
    Setting { room: 64 * 1024, limits: RequestLimits { message: 1 << 20, memory: 1 << 23 }, seed: 1, quotes: &[] };

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// All answers.
    pub answers: Vec<u8>,
    /// How the protocol closed the connection, if it did.
    pub ending: Option<Ending>,
    /// All requests that were counted.
    pub tally: Tally,
    /// All notes for the log.
    pub notes: Vec<Note>,
    /// How often work went to another thread.
    pub heavy: usize,
}

/// The time on every test's clock.
pub const NOW: u64 = 1_795_220_304;

/// Plays `pieces` to a new connection of the protocol of that name, then ends the client's side.
pub fn play(name: &str, pieces: &[&[u8]], setting: Setting<'_>) -> Played {
    let mut player = Player {
        protocol: (by_name(name).expect("a name in the table").start)(),
        random: Random::new(Some(setting.seed)),
        setting,
        pending: Vec::new(),
        skip: 0,
        played: Played::default(),
    };
    player.play(pieces);
    player.played
}

struct Player<'a> {
    protocol: Box<dyn Protocol>,
    random: Random,
    setting: Setting<'a>,
    pending: Vec<u8>,
    skip: u64,
    played: Played,
}

impl Player<'_> {
    fn play(&mut self, pieces: &[&[u8]]) {
        let opened = self.turn(|protocol, turn, env| protocol.open(turn, env));
        self.obey(opened);
        for piece in pieces {
            if self.played.ending.is_some() {
                return;
            }
            self.pending.extend_from_slice(piece);
            self.advance();
        }
        let inside = self.skip > 0 || !self.pending.is_empty();
        if inside && self.played.ending.is_none() {
            self.turn(|protocol, turn, env| protocol.end(turn, env));
        }
    }

    /// Until the protocol waits for more, or closes.
    fn advance(&mut self) {
        loop {
            if !self.drop_skipped() {
                return;
            }
            let step = self.turn(|protocol, turn, env| {
                let step = protocol.advance(turn, env);
                assert!(step != Step::Full || !turn.is_empty(), "full, but there is nothing to send");
                step
            });
            if !self.obey(step) {
                return;
            }
        }
    }

    /// Whether the protocol is to be called again at once.
    fn obey(&mut self, step: Step) -> bool {
        match step {
            Step::Full => return true,
            Step::More(need) => {
                assert!(need.input == 0 || need.input > self.pending.len(), "waits for what is there: {need:?}");
            }
            Step::Heavy(need) => {
                self.heavy(need);
                return true;
            }
            Step::Skip(length) => {
                self.skip = length;
                self.drop_skipped();
                return true;
            }
            Step::Close(ending) => self.played.ending = Some(ending),
        }
        false
    }

    fn heavy(&mut self, need: Need) {
        assert!(need.input <= self.pending.len(), "heavy work before its input is there");
        assert!(need.memory() <= self.setting.limits.memory, "more memory than is allowed: {need:?}");
        let later = self.pending.split_off(need.input);
        let (mut random, room) = (self.random.again(), need.answer);
        let step = self.turn_of(room, false, Some(&mut random), |protocol, turn, env| protocol.advance(turn, env));
        assert!(matches!(step, Step::More(_)), "heavy work ended with {step:?}");
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
            self.turn(|protocol, turn, env| protocol.skipped(turn, env));
        }
        self.skip == 0
    }

    fn turn<R>(&mut self, call: impl FnOnce(&mut dyn Protocol, &mut Turn<'_>, &mut Env<'_>) -> R) -> R {
        self.turn_of(self.setting.room, true, None, call)
    }

    fn turn_of<R>(
        &mut self,
        room: usize,
        inline: bool,
        random: Option<&mut Random>,
        call: impl FnOnce(&mut dyn Protocol, &mut Turn<'_>, &mut Env<'_>) -> R,
    ) -> R {
        let mut spill = vec![0xaa; room];
        let mut turn = Turn::new(&mut self.pending, &mut spill).with_notes(true);
        let mut env = Env {
            random: random.unwrap_or(&mut self.random),
            unix_time: || NOW,
            quotes: self.setting.quotes,
            limits: self.setting.limits,
            inline,
        };
        let result = call(&mut *self.protocol, &mut turn, &mut env);
        self.played.answers.extend(turn.answers().concat());
        self.played.notes.extend(turn.drain_notes());
        let (tally, taken) = (turn.tally(), turn.taken());
        self.played.tally.answered += tally.answered;
        self.played.tally.refused += tally.refused;
        self.played.tally.records += tally.records;
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
    for exchange in tables::EXCHANGES {
        for pieces in cuts(exchange.send, exchange.cut_anywhere) {
            for room in [SETTING.room, ROOM] {
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
    for Entry { name, .. } in TABLE {
        let told = tables::EXCHANGES.iter().any(|exchange| exchange.protocol == *name);
        assert!(told || speaks_first.contains(name), "{name}");
    }
}
