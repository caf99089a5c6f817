//! One transform of one message: what `frame` and `text` have in common.
//!
//! The request stands at the front of the turn's rest: a header of the protocol's own, then the message. This module
//! decides whether it is served, where the work is done, and where the answer goes. ASCII text is changed where it
//! stands and the answer's header written over the request's; other text goes to the spare room. Nothing here
//! allocates, and nothing depends on how the input was cut.

#![allow(
    clippy::inline_always,
    reason = "a short ASCII request takes 5.8 ns with the whole path in one function, 9.7 without"
)]

use super::{Env, Need, Request, RequestLimits, Step, Turn};
use crate::transform::{Action, Placed};

/// The longest message that the frame header can announce: 27 bits.
pub const MAX_LENGTH: usize = (1 << 27) - 1;

/// What every refused request is answered with.
pub const REFUSAL: &[u8] = b"error";

/// From this length on a message is prepared while it comes in, in bytes: then it comes in pieces.
const PREPARE_FROM: usize = 64 * 1024;

/// So many bytes are prepared on the event loop at once; more come in only if preparing was held up, and are heavy.
const PREPARE_MOST: usize = 256 * 1024;

/// The most code points that are converted one by one while a message is prepared on the event loop, at once. Chosen: they
/// take about 0.1 ms (group `preprocess` of `benches/transform.rs`), and 128 KiB of text have more of them in every script
/// that is converted in this way.
const PREPARE_SINGLY: usize = 16 * 1024;

/// The bytes that the longest code point takes in UTF-8.
const CODE_POINT: usize = 4;

/// How a protocol announces an answer.
pub trait Framing {
    /// The most bytes that an answer's header takes. A request's header is never shorter than its answer's.
    const HEADER_MOST: usize;
    /// The whole answer to a refused request.
    const REFUSED: &'static [u8];

    /// Bytes of the header of an answer of `length` bytes.
    fn header_size(length: usize) -> usize;

    /// Writes that header; `to` has its size.
    fn write_header(length: usize, to: &mut [u8]);
}

/// A request to transform a message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// What to do with it.
    pub action: Action,
    /// Bytes of the request's header.
    pub header: usize,
    /// Bytes of the message.
    pub length: usize,
}

/// The most bytes of a message that is transformed on the event loop. Chosen so that no text takes an action longer than
/// half a millisecond (group `inline` of `benches/transform.rs`).
struct InlineLimits {
    ascii: usize,
    other: usize,
}

impl InlineLimits {
    fn of(action: Action) -> Self {
        if action.is_light() {
            Self { ascii: 1024 * 1024, other: 64 * 1024 }
        } else {
            Self { ascii: 64 * 1024, other: 16 * 1024 }
        }
    }
}

impl Message {
    /// Bytes of the whole request.
    fn size(&self) -> usize {
        self.header.saturating_add(self.length)
    }

    /// The most bytes that the answer to any text of this length takes.
    fn answer_most<F: Framing>(&self, limits: RequestLimits) -> usize {
        let bound = self.action.max_output_len(self.length, limits.message.min(MAX_LENGTH));
        F::HEADER_MOST.saturating_add(bound.max(REFUSAL.len()))
    }

    /// What the request takes: never more than the memory for one request, because most texts need far less than the
    /// bound says. What turns out to need more is refused then; `random` stops repeating there.
    fn need<F: Framing>(&self, limits: RequestLimits) -> Need {
        let left = limits.memory.saturating_sub(self.size());
        Need { input: self.size(), answer: self.answer_most::<F>(limits).min(left), prepared: 0 }
    }

    fn refuse<F: Framing>(&self, turn: &mut Turn<'_>) -> Result<(), Step> {
        refuse::<F>(turn, self.action.name(), self.header, self.length)
    }
}

/// Answers the request at the front of the rest, or says what it waits for.
#[inline(always)]
pub fn answer<F: Framing>(turn: &mut Turn<'_>, env: &mut Env<'_>, message: Message) -> Result<(), Step> {
    let least = Need { input: message.size(), answer: F::HEADER_MOST + REFUSAL.len(), prepared: 0 };
    if !env.limits.allow(message.length, least) {
        return message.refuse::<F>(turn);
    }
    if message.length >= PREPARE_FROM {
        return answer_long::<F>(turn, env, message);
    }
    let Some(text) = turn.rest().get_mut(message.header..least.input) else {
        return Err(Step::More(message.need::<F>(env.limits)));
    };
    if message.action.ascii_in_place() && text.is_ascii() {
        answer_ascii::<F>(turn, env, message)
    } else {
        answer_other::<F>(turn, env, message)
    }
}

/// The same for a message that comes in pieces and takes its time.
fn answer_long<F: Framing>(turn: &mut Turn<'_>, env: &mut Env<'_>, message: Message) -> Result<(), Step> {
    let prepared = prepare(turn, message, env.inline);
    if turn.rest().len() < message.size() {
        return Err(Step::More(Need { prepared, ..message.need::<F>(env.limits) }));
    }
    if prepared < message.size() {
        return answer_other::<F>(turn, env, message);
    }
    let done = message.action.transforms_incrementally();
    if env.inline && !done && message.length > InlineLimits::of(message.action).ascii {
        return Err(Step::Heavy(Need { prepared, ..heavy_need::<F>(env, message) }));
    }
    if done && fits_in_place::<F>(turn, message) {
        place::<F>(turn, message);
        return Ok(());
    }
    answer_ascii::<F>(turn, env, message)
}

/// What is not ASCII, or is not answered in place.
fn answer_other<F: Framing>(turn: &mut Turn<'_>, env: &mut Env<'_>, message: Message) -> Result<(), Step> {
    if env.inline && message.length > InlineLimits::of(message.action).other {
        return Err(heavy::<F>(env, message));
    }
    if message.action.ascii_in_place() {
        answer_text::<F>(turn, env, message)
    } else {
        answer_random::<F>(turn, env, message)
    }
}

/// Works on the part of a long message that has come in; says how far that is done, header and all.
///
/// Preparing ends where it would take long. Then the message is shown again when it is whole, and is heavy, unless the rest
/// of it can be prepared within the bounds of one call.
fn prepare(turn: &mut Turn<'_>, message: Message, inline: bool) -> usize {
    let prepared = turn.prepared().max(message.header);
    let end = turn.rest().len().min(message.size());
    if !message.action.ascii_in_place() || inline && end - prepared > PREPARE_MOST {
        return prepared;
    }
    let singly = if inline { PREPARE_SINGLY } else { usize::MAX };
    let text = &mut turn.rest()[message.header..end];
    message.header + message.action.preprocess(text, prepared - message.header, singly)
}

#[inline(always)]
fn answer_ascii<F: Framing>(turn: &mut Turn<'_>, env: &mut Env<'_>, message: Message) -> Result<(), Step> {
    if !fits_in_place::<F>(turn, message) {
        return Err(full::<F>(turn, env, message));
    }
    let text = &mut turn.rest()[message.header..message.size()];
    if message.action.is_light() {
        message.action.apply_ascii(text, env.random.current());
    } else {
        message.action.apply_ascii(text, env.random.for_request());
    }
    place::<F>(turn, message);
    Ok(())
}

/// Any text, for the actions that answer in a bounded length.
fn answer_text<F: Framing>(turn: &mut Turn<'_>, env: &mut Env<'_>, message: Message) -> Result<(), Step> {
    let most = message.answer_most::<F>(env.limits);
    if most > message.need::<F>(env.limits).answer {
        return message.refuse::<F>(turn);
    }
    if turn.room() < most || !fits_in_place::<F>(turn, message) {
        return Err(full::<F>(turn, env, message));
    }
    let (rest, spare) = turn.rest_and_spare();
    let text = &mut rest[message.header..message.size()];
    let out = &mut spare[F::HEADER_MOST..];
    match message.action.apply(text, out, env.random.for_request(), env.limits.message) {
        Ok(Placed::InPlace) => place::<F>(turn, message),
        Ok(Placed::Out(length)) => commit::<F>(turn, message, length),
        Err(_) => return message.refuse::<F>(turn),
    }
    Ok(())
}

/// `random`, whose answer may become as long as memory allows, and hardly ever does.
///
/// On the event loop it is tried in the room that there is. An answer that reaches the end of that room goes to a
/// thread with room for all of it, where the same numbers are drawn again ([`super::Random::replay`]); so the room has
/// no influence on the answer. That holds only because whether to try is decided before the first number is drawn,
/// and because `random` leaves the text itself alone.
fn answer_random<F: Framing>(turn: &mut Turn<'_>, env: &mut Env<'_>, message: Message) -> Result<(), Step> {
    let need = message.need::<F>(env.limits);
    let usual = F::HEADER_MOST + 1024 + message.length.saturating_mul(4);
    if turn.room() < usual.min(need.answer) && !turn.is_empty() {
        return Err(Step::Full);
    }
    if turn.room() < F::HEADER_MOST + REFUSAL.len() {
        return Err(heavy::<F>(env, message));
    }
    let (rest, spare) = turn.rest_and_spare();
    let text = &mut rest[message.header..message.size()];
    let limit = need.answer - F::HEADER_MOST;
    let out = &mut spare[F::HEADER_MOST..];
    let tried = limit.min(out.len());
    match message.action.apply(text, out, env.random.for_request(), tried) {
        Ok(Placed::Out(length)) if env.inline && tried < limit && length + CODE_POINT > tried => {
            return Err(Step::Heavy(need));
        }
        Ok(Placed::Out(length)) => commit::<F>(turn, message, length),
        Ok(Placed::InPlace) => place::<F>(turn, message),
        Err(_) => return message.refuse::<F>(turn),
    }
    Ok(())
}

/// Whether the changed message, behind its header, can be the answer where it stands.
fn fits_in_place<F: Framing>(turn: &Turn<'_>, message: Message) -> bool {
    let header = F::header_size(message.length);
    turn.fits_behind(message.header - header, header + message.length)
}

/// The message was changed where it stands: puts the answer's header right before it.
#[inline(always)]
fn place<F: Framing>(turn: &mut Turn<'_>, message: Message) {
    let header = F::header_size(message.length);
    turn.take(message.header - header);
    F::write_header(message.length, &mut turn.rest()[..header]);
    turn.answer_in_place(header + message.length);
    turn.request(Request { action: message.action.name(), length: message.length, refused: false });
}

/// The answer stands in the spare room, behind the longest header: puts its own header before it.
fn commit<F: Framing>(turn: &mut Turn<'_>, message: Message, length: usize) {
    let header = F::header_size(length);
    let (_, spare) = turn.rest_and_spare();
    if header < F::HEADER_MOST {
        spare.copy_within(F::HEADER_MOST..F::HEADER_MOST + length, header);
    }
    F::write_header(length, &mut spare[..header]);
    turn.take(message.size());
    turn.commit(header + length);
    turn.request(Request { action: message.action.name(), length: message.length, refused: false });
}

/// No room for this answer now.
fn full<F: Framing>(turn: &Turn<'_>, env: &mut Env<'_>, message: Message) -> Step {
    if turn.is_empty() { heavy::<F>(env, message) } else { Step::Full }
}

/// Work for a thread.
fn heavy<F: Framing>(env: &mut Env<'_>, message: Message) -> Step {
    Step::Heavy(heavy_need::<F>(env, message))
}

/// What work for a thread needs; it gets random numbers of its own.
fn heavy_need<F: Framing>(env: &mut Env<'_>, message: Message) -> Need {
    env.random.for_request();
    message.need::<F>(env.limits)
}

/// Refuses a request; its message is dropped, without memory for what has not arrived.
pub fn refuse<F: Framing>(turn: &mut Turn<'_>, action: &'static str, header: usize, length: usize) -> Result<(), Step> {
    if turn.room() < F::REFUSED.len() {
        return Err(Step::Full);
    }
    turn.request(Request { action, length, refused: true });
    if turn.rest().len() - header < length {
        turn.take(header);
        return Err(Step::Skip(length as u64));
    }
    turn.take(header + length);
    turn.answer(F::REFUSED);
    Ok(())
}

/// The client ended its side inside a request: refuses it. One that is being skipped was counted when that began.
pub fn truncated<F: Framing>(turn: &mut Turn<'_>) {
    let length = turn.rest().len();
    if length > 0 {
        turn.request(Request { action: "truncated", length, refused: true });
    }
    turn.answer(F::REFUSED);
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, HEADER, header};
    use super::super::testing::{NOW, Played, SETTING, Setting, play};
    use super::super::{Protocol, Random, Tally};
    use super::*;

    const KIB: usize = 1024;
    /// How many random answers are tried; Miri is a thousand times slower.
    const SEEDS: u64 = if cfg!(miri) { 20 } else { 500 };

    fn request(code: u8, message: &[u8]) -> Vec<u8> {
        [&header(code, message.len()), message].concat()
    }

    fn answers(messages: &[&[u8]]) -> Vec<u8> {
        messages.iter().flat_map(|text| [&(text.len() as u32).to_be_bytes(), *text].concat()).collect()
    }

    fn limited(message: usize, memory: usize) -> Setting<'static> {
        Setting { limits: RequestLimits { message, memory, line: message }, ..SETTING }
    }

    /// What the protocol says to `input`, and how much of it was taken.
    fn step(input: &[u8], limits: RequestLimits) -> (Step, usize) {
        let (mut input, mut spill) = (input.to_vec(), [0; 64]);
        let mut turn = Turn::new(&mut input, &mut spill);
        let random = &mut Random::new(None);
        let mut env = Env { random, unix_time: || NOW, quotes: &[], limits, inline: true };
        let step = Frame::<false>.advance(&mut turn, &mut env);
        (step, turn.taken())
    }

    #[test]
    fn a_request_says_what_it_takes_before_it_is_there() {
        let limits = SETTING.limits;
        assert_eq!(step(b"", limits).0, Step::More(Need::default()));
        assert_eq!(step(b"\x20\0\0", limits).0, Step::More(Need::default()));
        assert_eq!(step(&header(4, 1000), limits).0, Step::More(Need { input: 1004, answer: 9, prepared: 0 }));
        assert_eq!(step(&header(1, 1000), limits).0, Step::More(Need { input: 1004, answer: 3004, prepared: 0 }));
        let random = Need { input: 1004, answer: 4 + limits.message, prepared: 0 };
        assert_eq!(step(&header(16, 1000), limits).0, Step::More(random));
    }

    #[test]
    fn a_refused_request_is_skipped_before_it_is_there() {
        let limits = RequestLimits { message: 1000, memory: 900, line: 0 };
        for (code, length) in [(1, 1001), (1, 888), (3, MAX_LENGTH), (16, MAX_LENGTH)] {
            assert_eq!(step(&[&header(code, length)[..], b"abc"].concat(), limits), (Step::Skip(length as u64), 4));
        }
        assert!(matches!(step(&header(1, 887), limits).0, Step::More(_)));
    }

    #[test]
    fn a_message_over_a_limit_is_consumed() {
        let bytes = [request(1, &[b'a'; 101]), request(1, &[b'a'; 100]), request(4, b"ab")].concat();
        let played = play("frame", &[&bytes], limited(100, 1 << 20));
        assert_eq!(played.answers, answers(&[REFUSAL, &[b'A'; 100], b"ba"]));
        assert_eq!(played.tally, Tally { answered: 2, refused: 1, records: 0 });
        let played = play("frame", &[&bytes], limited(1000, 104 + 8));
        assert_eq!(played.answers, answers(&[REFUSAL, REFUSAL, b"ba"]));
    }

    #[test]
    fn only_text_that_needs_more_memory_is_refused() {
        let ascii = [b'a'; 90];
        let other = "é".repeat(45);
        let bytes = [request(1, &ascii), request(1, other.as_bytes()), request(4, other.as_bytes())].concat();
        let played = play("frame", &[&bytes], limited(100, 200));
        assert_eq!(played.answers, answers(&[&[b'A'; 90], REFUSAL, other.as_bytes()]));
    }

    /// Fault 37: work that takes long goes to a thread.
    #[test]
    fn long_work_leaves_the_event_loop() {
        let ascii = |length| vec![b'a'; length];
        let other = |length: usize| "é".repeat(length / 2).into_bytes();
        for (code, message, heavy) in [
            (1, ascii(1024 * KIB), 0),
            (1, ascii(1024 * KIB + 1), 0),
            (4, ascii(1024 * KIB), 0),
            (4, ascii(1024 * KIB + 1), 1),
            (4, other(64 * KIB), 0),
            (4, other(64 * KIB + 2), 1),
            (8, ascii(64 * KIB), 0),
            (8, ascii(64 * KIB + 1), 1),
            (8, other(16 * KIB), 0),
            (8, other(16 * KIB + 2), 1),
            (1, other(1024 * KIB), 0),
            (1, "ŉ".repeat(32 * KIB).into_bytes(), 1),
            (2, other(1024 * KIB), 0),
            (2, "Σ".repeat(64 * KIB).into_bytes(), 1),
            (16, ascii(16 * KIB + 1), 1),
            // scripts that are converted by windows; others one by one; and others now and then
            (1, "Tất cả mọi người sinh ra đều được tự do. ".repeat(24 * KIB).into_bytes(), 0),
            (1, "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ".repeat(16 * KIB).into_bytes(), 0),
            (1, "ა".repeat(340 * KIB).into_bytes(), 1),
            (2, "ა".repeat(340 * KIB).into_bytes(), 1),
            (1, "բարև ".repeat(100 * KIB).into_bytes(), 1),
            (2, "𐐀".repeat(256 * KIB).into_bytes(), 1),
            (1, ("a".repeat(500) + "ა").repeat(2 * KIB).into_bytes(), 0),
        ] {
            let limits = RequestLimits { message: 1 << 21, memory: 1 << 24, line: 0 };
            let request = request(code, &message);
            let pieces: Vec<_> = request.chunks(128 * KIB).collect();
            let played = play("frame", &pieces, Setting { limits, ..SETTING });
            assert_eq!((played.heavy, played.tally.answered), (heavy, 1), "{code}, {} bytes", message.len());
        }
    }

    /// The protocol's step for the beginning of a long request, of which `prepared` bytes have been prepared.
    fn show(part: &mut [u8], prepared: usize) -> Step {
        let mut spill = [0; 64];
        let mut turn = Turn::new(part, &mut spill).with_prepared(prepared);
        let random = &mut Random::new(None);
        let limits = RequestLimits { message: 1 << 21, memory: 1 << 24, line: 0 };
        let mut env = Env { random, unix_time: || NOW, quotes: &[], limits, inline: true };
        Frame::<false>.advance(&mut turn, &mut env)
    }

    /// Fault 37: a large text in a script that windows do not convert.
    /// In pieces as a connection reads them. A message that is not prepared any more is shown again when it is whole.
    #[test]
    fn a_message_that_is_converted_one_by_one_is_prepared_to_a_bound_and_heavy() {
        for text in ["ა", "𐐨", "ա", "aა"] {
            let mut bytes = request(1, text.repeat(1024 * KIB / text.len()).as_bytes());
            let mut prepared = HEADER;
            for shown in (64 * KIB..bytes.len()).step_by(128 * KIB) {
                let Step::More(need) = show(&mut bytes[..shown], prepared) else { panic!("not all is there") };
                let fresh = std::str::from_utf8(&bytes[prepared..need.prepared]).expect("whole code points");
                assert!((1..PREPARE_SINGLY + KIB).contains(&fresh.chars().count()), "{text}, {shown} bytes");
                prepared = need.prepared;
                if shown - prepared > 4 * KIB {
                    break;
                }
            }
            assert!(prepared < 256 * KIB, "{text}: {prepared} bytes were prepared");
            assert!(matches!(show(&mut bytes, prepared), Step::Heavy(_)), "{text}");
        }
    }

    #[test]
    fn what_preparing_was_kept_from_is_heavy() {
        let long = vec![b'a'; PREPARE_MOST + 1];
        let played = play("frame", &[&request(1, &long)], SETTING);
        assert_eq!((played.heavy, played.answers), (1, answers(&[&long.to_ascii_uppercase()])));
    }

    #[test]
    fn answers_before_and_behind_long_work_keep_their_order() {
        let long = vec![b'x'; 65 * KIB];
        let bytes = [request(4, b"ab"), request(8, &long), request(4, b"cd")].concat();
        let played = play("frame", &[&bytes], SETTING);
        assert_eq!(played.answers, answers(&[b"ba", &long, b"dc"]));
        assert_eq!(played.heavy, 1);
    }

    fn random_answer(seed: u64, room: usize, limits: RequestLimits) -> Played {
        let bytes = request(16, "The LAN Before Time, naïve café".as_bytes()).repeat(3);
        play("frame", &[&bytes], Setting { room, limits, seed, ..SETTING })
    }

    #[test]
    fn room_has_no_influence_on_random_answers() {
        let mut heavy = [0; 3];
        for seed in 0..SEEDS {
            let roomy = random_answer(seed, 1 << 21, SETTING.limits);
            assert_eq!(roomy.heavy, 0);
            for (heavy, room) in heavy.iter_mut().zip([9, 60, 500]) {
                let cramped = random_answer(seed, room, SETTING.limits);
                assert_eq!(cramped.answers, roomy.answers, "seed {seed}, room {room}");
                *heavy += cramped.heavy;
            }
        }
        let all = 3 * SEEDS as usize;
        assert!(heavy[0] == all && heavy[1] < all && heavy[2] < heavy[1] && heavy[2] > 0, "{heavy:?}");
    }

    #[test]
    fn random_answers_stop_at_the_limits() {
        for seed in 0..SEEDS {
            for (limits, most) in [((40, 1 << 20), 40), ((1000, 120), 120 - 4 - 33 - 4)] {
                let limits = RequestLimits { message: limits.0, memory: limits.1, line: 0 };
                let played = random_answer(seed, 1 << 16, limits);
                assert!(played.answers.len() <= 3 * (4 + most), "seed {seed}");
                assert_eq!(played.tally.answered, 3);
            }
        }
    }

    #[test]
    fn a_request_that_ends_while_it_is_skipped_counts_once() {
        let played = play("frame", &[&header(3, 9), b"abc"], SETTING);
        assert_eq!(played.answers, answers(&[REFUSAL]));
        assert_eq!(played.tally, Tally { answered: 0, refused: 1, records: 0 });
    }

    #[test]
    fn every_request_is_told_to_the_log_once() {
        let bytes = [request(4, b"ab"), request(3, b"x"), request(1, b"\xff"), request(8, b"")].concat();
        let played = play("frame", &[&bytes, &header(2, 5)[..3]], SETTING);
        let told = |action, length, refused| super::super::Note::Request(Request { action, length, refused });
        let expect = [
            told("reverse", 2, false),
            told("unknown", 1, true),
            told("uppercase", 1, true),
            told("shuffle", 0, false),
            told("truncated", 3, true),
        ];
        assert_eq!(played.notes, expect);
        assert_eq!(played.tally, Tally { answered: 2, refused: 3, records: 0 });
    }
}
