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

use std::ops::ControlFlow::{self, Break, Continue};

use super::contract::{CallContext, Exchange, Needed, Progress, RequestLimits, RequestRecord};
use crate::transform::{Action, Placed};

/// What every refused request is answered with.
pub const ERROR_TEXT: &[u8] = b"error";

/// From this length on a message is prepared while it comes in, in bytes: then it comes in pieces.
const MIN_PREPROCESS: usize = 64 * 1024;

/// So many bytes are prepared on the event loop at once; more come in only if preparing was held up, and are heavy.
const MAX_PREPROCESS_INLINE: usize = 256 * 1024;

/// The most code points that are converted one by one while a message is prepared on the event loop, at once. Chosen: they
/// take about 0.1 ms (group `preprocess` of `benches/transform.rs`), and 128 KiB of text have more of them in every script
/// that is converted in this way.
const MAX_PREPROCESS_SCALAR: usize = 16 * 1024;

/// The bytes that the longest code point takes in UTF-8.
const CODE_POINT: usize = 4;

/// How a protocol announces an answer.
pub trait Framing {
    /// The longest message that a request's header can announce, in bytes.
    const MAX_LENGTH: usize;
    /// The most bytes that an answer's header takes. A request's header is never shorter than its answer's.
    const MAX_REPLY_HEADER: usize;
    /// The whole answer to a refused request.
    const ERROR_REPLY: &'static [u8];

    /// Bytes of the header of an answer of `length` bytes.
    fn header_size(length: usize) -> usize;

    /// Writes that header; `to` has its size.
    fn write_header(length: usize, to: &mut [u8]);
}

/// A request to transform a message.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead {
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

impl RequestHead {
    /// Bytes of the whole request.
    fn size(&self) -> usize {
        self.header.saturating_add(self.length)
    }

    /// The most bytes that the answer to any text of this length takes.
    fn max_reply_len<F: Framing>(&self, limits: RequestLimits) -> usize {
        let bound = self.action.max_output_len(self.length, limits.message.min(F::MAX_LENGTH));
        F::MAX_REPLY_HEADER.saturating_add(bound.max(ERROR_TEXT.len()))
    }

    /// What the request takes: never more than the memory for one request, because most texts need far less than the
    /// bound says. What turns out to need more is refused then; `random` stops repeating there.
    fn needed<F: Framing>(&self, limits: RequestLimits) -> Needed {
        let left = limits.memory.saturating_sub(self.size());
        Needed { request_len: self.size(), reply_capacity: self.max_reply_len::<F>(limits).min(left), preprocessed: 0 }
    }

    fn reject<F: Framing>(&self, exchange: &mut Exchange<'_>) -> ControlFlow<Progress> {
        reject::<F>(exchange, self.action.name(), self.header, self.length)
    }
}

/// Answers the request at the front of the rest, or says what it waits for.
#[inline(always)]
pub fn reply<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let least =
        Needed { request_len: head.size(), reply_capacity: F::MAX_REPLY_HEADER + ERROR_TEXT.len(), preprocessed: 0 };
    if !context.limits.allow(head.length, least) {
        return head.reject::<F>(exchange);
    }
    if head.length >= MIN_PREPROCESS {
        return reply_long::<F>(exchange, context, head);
    }
    let Some(text) = exchange.input().get_mut(head.header..least.request_len) else {
        return Break(Progress::NeedInput(head.needed::<F>(context.limits)));
    };
    if head.action.ascii_in_place() && text.is_ascii() {
        reply_ascii::<F>(exchange, context, head)
    } else {
        reply_other::<F>(exchange, context, head)
    }
}

/// The same for a message that comes in pieces and takes its time.
fn reply_long<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let preprocessed = preprocess(exchange, head, context.may_block);
    if exchange.input().len() < head.size() {
        return Break(Progress::NeedInput(Needed { preprocessed, ..head.needed::<F>(context.limits) }));
    }
    if preprocessed < head.size() {
        return reply_other::<F>(exchange, context, head);
    }
    let done = head.action.transforms_incrementally();
    if !context.may_block && !done && head.length > InlineLimits::of(head.action).ascii {
        return Break(Progress::Offload(Needed { preprocessed, ..offload_needed::<F>(context, head) }));
    }
    if done && fits_in_place::<F>(exchange, head) {
        finish_in_place::<F>(exchange, head);
        return Continue(());
    }
    reply_ascii::<F>(exchange, context, head)
}

/// What is not ASCII, or is not answered in place.
fn reply_other<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    if !context.may_block && head.length > InlineLimits::of(head.action).other {
        return Break(offload::<F>(context, head));
    }
    if head.action.ascii_in_place() {
        reply_text::<F>(exchange, context, head)
    } else {
        reply_random::<F>(exchange, context, head)
    }
}

/// Works on the part of a long message that has come in; says how far that is done, header and all.
///
/// Preparing ends where it would take long. Then the message is shown again when it is whole, and is heavy, unless the rest
/// of it can be prepared within the bounds of one call.
fn preprocess(exchange: &mut Exchange<'_>, head: RequestHead, may_block: bool) -> usize {
    let preprocessed = exchange.preprocessed().max(head.header);
    let end = exchange.input().len().min(head.size());
    if !head.action.ascii_in_place() || !may_block && end - preprocessed > MAX_PREPROCESS_INLINE {
        return preprocessed;
    }
    let scalar_budget = if may_block { usize::MAX } else { MAX_PREPROCESS_SCALAR };
    let text = &mut exchange.input()[head.header..end];
    head.header + head.action.preprocess(text, preprocessed - head.header, scalar_budget)
}

#[inline(always)]
fn reply_ascii<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    if !fits_in_place::<F>(exchange, head) {
        return Break(no_room::<F>(exchange, context, head));
    }
    let text = &mut exchange.input()[head.header..head.size()];
    if head.action.is_light() {
        head.action.apply_ascii(text, context.random.current_request());
    } else {
        head.action.apply_ascii(text, context.random.next_request());
    }
    finish_in_place::<F>(exchange, head);
    Continue(())
}

/// Any text, for the actions that answer in a bounded length.
fn reply_text<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let most = head.max_reply_len::<F>(context.limits);
    if most > head.needed::<F>(context.limits).reply_capacity {
        return head.reject::<F>(exchange);
    }
    if exchange.remaining() < most || !fits_in_place::<F>(exchange, head) {
        return Break(no_room::<F>(exchange, context, head));
    }
    let (rest, spare) = exchange.input_and_remaining();
    let text = &mut rest[head.header..head.size()];
    let out = &mut spare[F::MAX_REPLY_HEADER..];
    match head.action.apply(text, out, context.random.next_request(), context.limits.message) {
        Ok(Placed::InPlace) => finish_in_place::<F>(exchange, head),
        Ok(Placed::Out(length)) => finish_copied::<F>(exchange, head, length),
        Err(_) => return head.reject::<F>(exchange),
    }
    Continue(())
}

/// `random`, whose answer may become as long as memory allows, and hardly ever does.
///
/// On the event loop it is tried in the room that there is. An answer that reaches the end of that room goes to a
/// thread with room for all of it, where the same numbers are drawn again ([`super::RequestRng::replay`]); so the room has
/// no influence on the answer. That holds only because whether to try is decided before the first number is drawn,
/// and because `random` leaves the text itself alone.
fn reply_random<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let needed = head.needed::<F>(context.limits);
    let usual = F::MAX_REPLY_HEADER + 1024 + head.length.saturating_mul(4);
    if exchange.remaining() < usual.min(needed.reply_capacity) && !exchange.is_empty() {
        return Break(Progress::NeedOutput);
    }
    if exchange.remaining() < F::MAX_REPLY_HEADER + ERROR_TEXT.len() {
        return Break(offload::<F>(context, head));
    }
    let (rest, spare) = exchange.input_and_remaining();
    let text = &mut rest[head.header..head.size()];
    let limit = needed.reply_capacity - F::MAX_REPLY_HEADER;
    let out = &mut spare[F::MAX_REPLY_HEADER..];
    let tried = limit.min(out.len());
    match head.action.apply(text, out, context.random.next_request(), tried) {
        Ok(Placed::Out(length)) if !context.may_block && tried < limit && length + CODE_POINT > tried => {
            return Break(Progress::Offload(needed));
        }
        Ok(Placed::Out(length)) => finish_copied::<F>(exchange, head, length),
        Ok(Placed::InPlace) => finish_in_place::<F>(exchange, head),
        Err(_) => return head.reject::<F>(exchange),
    }
    Continue(())
}

/// Whether the changed message, behind its header, can be the answer where it stands.
fn fits_in_place<F: Framing>(exchange: &Exchange<'_>, head: RequestHead) -> bool {
    let header = F::header_size(head.length);
    exchange.fits_behind(head.header - header, header + head.length)
}

/// The message was changed where it stands: puts the answer's header right before it.
#[inline(always)]
fn finish_in_place<F: Framing>(exchange: &mut Exchange<'_>, head: RequestHead) {
    let header = F::header_size(head.length);
    exchange.consume(head.header - header);
    F::write_header(head.length, &mut exchange.input()[..header]);
    exchange.reply_in_place(header + head.length);
    exchange.count_request(RequestRecord { action: head.action.name(), length: head.length, refused: false });
}

/// The answer stands in the spare room, behind the longest header: puts its own header before it.
fn finish_copied<F: Framing>(exchange: &mut Exchange<'_>, head: RequestHead, length: usize) {
    let header = F::header_size(length);
    let (_, spare) = exchange.input_and_remaining();
    if header < F::MAX_REPLY_HEADER {
        spare.copy_within(F::MAX_REPLY_HEADER..F::MAX_REPLY_HEADER + length, header);
    }
    F::write_header(length, &mut spare[..header]);
    exchange.consume(head.size());
    exchange.advance(header + length);
    exchange.count_request(RequestRecord { action: head.action.name(), length: head.length, refused: false });
}

/// No room for this answer now.
fn no_room<F: Framing>(exchange: &Exchange<'_>, context: &mut CallContext<'_>, head: RequestHead) -> Progress {
    if exchange.is_empty() { offload::<F>(context, head) } else { Progress::NeedOutput }
}

/// Work for a thread.
fn offload<F: Framing>(context: &mut CallContext<'_>, head: RequestHead) -> Progress {
    Progress::Offload(offload_needed::<F>(context, head))
}

/// What work for a thread needs; it gets random numbers of its own.
fn offload_needed<F: Framing>(context: &mut CallContext<'_>, head: RequestHead) -> Needed {
    context.random.next_request();
    head.needed::<F>(context.limits)
}

/// Refuses a request; its message is dropped, without memory for what has not arrived.
pub fn reject<F: Framing>(
    exchange: &mut Exchange<'_>,
    action: &'static str,
    header: usize,
    length: usize,
) -> ControlFlow<Progress> {
    if exchange.remaining() < F::ERROR_REPLY.len() {
        return Break(Progress::NeedOutput);
    }
    exchange.count_request(RequestRecord { action, length, refused: true });
    if exchange.input().len() - header < length {
        exchange.consume(header);
        return Break(Progress::Skip(length as u64));
    }
    exchange.consume(header + length);
    exchange.reply(F::ERROR_REPLY);
    Continue(())
}

/// The client ended its side inside a request: refuses it. One that is being skipped was counted when that began.
pub fn truncated<F: Framing>(exchange: &mut Exchange<'_>) {
    let length = exchange.input().len();
    if length > 0 {
        exchange.count_request(RequestRecord { action: "truncated", length, refused: true });
    }
    exchange.reply(F::ERROR_REPLY);
}

#[cfg(test)]
mod tests {
    use super::super::test_util::{Config, DEFAULT, NOW, Outcome, run};
    use super::super::{Protocol, RequestCounts, RequestRng};
    use super::*;
    use crate::protocol::services::frame::{Frame, HEADER, MAX_LENGTH, header};

    const KIB: usize = 1024;
    /// How many random answers are tried; Miri is a thousand times slower.
    const SEEDS: u64 = if cfg!(miri) { 20 } else { 500 };

    fn request(code: u8, message: &[u8]) -> Vec<u8> {
        [&header(code, message.len()), message].concat()
    }

    fn answers(messages: &[&[u8]]) -> Vec<u8> {
        messages.iter().flat_map(|text| [&(text.len() as u32).to_be_bytes(), *text].concat()).collect()
    }

    fn limited(message: usize, memory: usize) -> Config<'static> {
        Config { limits: RequestLimits { message, memory, line: message }, ..DEFAULT }
    }

    /// What the protocol says to `input`, and how much of it was consumed.
    fn progress(input: &[u8], limits: RequestLimits) -> (Progress, usize) {
        let (mut input, mut reply_buf) = (input.to_vec(), [0; 64]);
        let mut exchange = Exchange::new(&mut input, &mut reply_buf);
        let random = &mut RequestRng::new(None);
        let mut context = CallContext { random, unix_time: || NOW, limits, may_block: false };
        let progress = Frame.process(&mut exchange, &mut context);
        (progress, exchange.consumed())
    }

    #[test]
    fn a_request_says_what_it_takes_before_it_is_there() {
        let limits = DEFAULT.limits;
        assert_eq!(progress(b"", limits).0, Progress::NeedInput(Needed::default()));
        assert_eq!(progress(b"\x20\0\0", limits).0, Progress::NeedInput(Needed::default()));
        assert_eq!(
            progress(&header(4, 1000), limits).0,
            Progress::NeedInput(Needed { request_len: 1004, reply_capacity: 9, preprocessed: 0 })
        );
        assert_eq!(
            progress(&header(1, 1000), limits).0,
            Progress::NeedInput(Needed { request_len: 1004, reply_capacity: 3004, preprocessed: 0 })
        );
        let random = Needed { request_len: 1004, reply_capacity: 4 + limits.message, preprocessed: 0 };
        assert_eq!(progress(&header(16, 1000), limits).0, Progress::NeedInput(random));
    }

    #[test]
    fn a_refused_request_is_skipped_before_it_is_there() {
        let limits = RequestLimits { message: 1000, memory: 900, line: 0 };
        for (code, length) in [(1, 1001), (1, 888), (3, MAX_LENGTH), (16, MAX_LENGTH)] {
            assert_eq!(
                progress(&[&header(code, length)[..], b"abc"].concat(), limits),
                (Progress::Skip(length as u64), 4)
            );
        }
        assert!(matches!(progress(&header(1, 887), limits).0, Progress::NeedInput(_)));
    }

    #[test]
    fn a_message_over_a_limit_is_consumed() {
        let bytes = [request(1, &[b'a'; 101]), request(1, &[b'a'; 100]), request(4, b"ab")].concat();
        let outcome = run("frame", &[&bytes], limited(100, 1 << 20));
        assert_eq!(outcome.replies, answers(&[ERROR_TEXT, &[b'A'; 100], b"ba"]));
        assert_eq!(outcome.counts, RequestCounts { answered: 2, refused: 1, events: 0 });
        let outcome = run("frame", &[&bytes], limited(1000, 104 + 8));
        assert_eq!(outcome.replies, answers(&[ERROR_TEXT, ERROR_TEXT, b"ba"]));
    }

    #[test]
    fn only_text_that_needs_more_memory_is_refused() {
        let ascii = [b'a'; 90];
        let other = "é".repeat(45);
        let bytes = [request(1, &ascii), request(1, other.as_bytes()), request(4, other.as_bytes())].concat();
        let outcome = run("frame", &[&bytes], limited(100, 200));
        assert_eq!(outcome.replies, answers(&[&[b'A'; 90], ERROR_TEXT, other.as_bytes()]));
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
            let outcome = run("frame", &pieces, Config { limits, ..DEFAULT });
            assert_eq!((outcome.offloaded, outcome.counts.answered), (heavy, 1), "{code}, {} bytes", message.len());
        }
    }

    /// The protocol's step for the beginning of a long request, of which `preprocessed` bytes have been preprocessed.
    fn show(part: &mut [u8], preprocessed: usize) -> Progress {
        let mut reply_buf = [0; 64];
        let mut exchange = Exchange::new(part, &mut reply_buf).with_preprocessed(preprocessed);
        let random = &mut RequestRng::new(None);
        let limits = RequestLimits { message: 1 << 21, memory: 1 << 24, line: 0 };
        let mut context = CallContext { random, unix_time: || NOW, limits, may_block: false };
        Frame.process(&mut exchange, &mut context)
    }

    /// Fault 37: a large text in a script that windows do not convert.
    /// In pieces as a connection reads them. A message that is not preprocessed any more is shown again when it is whole.
    #[test]
    fn a_message_that_is_converted_one_by_one_is_prepared_to_a_bound_and_heavy() {
        for text in ["ა", "𐐨", "ա", "aა"] {
            let mut bytes = request(1, text.repeat(1024 * KIB / text.len()).as_bytes());
            let mut preprocessed = HEADER;
            for shown in (64 * KIB..bytes.len()).step_by(128 * KIB) {
                let Progress::NeedInput(needed) = show(&mut bytes[..shown], preprocessed) else {
                    panic!("not all is there")
                };
                let fresh = std::str::from_utf8(&bytes[preprocessed..needed.preprocessed]).expect("whole code points");
                assert!((1..MAX_PREPROCESS_SCALAR + KIB).contains(&fresh.chars().count()), "{text}, {shown} bytes");
                preprocessed = needed.preprocessed;
                if shown - preprocessed > 4 * KIB {
                    break;
                }
            }
            assert!(preprocessed < 256 * KIB, "{text}: {preprocessed} bytes were preprocessed");
            assert!(matches!(show(&mut bytes, preprocessed), Progress::Offload(_)), "{text}");
        }
    }

    #[test]
    fn what_preparing_was_kept_from_is_heavy() {
        let long = vec![b'a'; MAX_PREPROCESS_INLINE + 1];
        let outcome = run("frame", &[&request(1, &long)], DEFAULT);
        assert_eq!((outcome.offloaded, outcome.replies), (1, answers(&[&long.to_ascii_uppercase()])));
    }

    #[test]
    fn answers_before_and_behind_long_work_keep_their_order() {
        let long = vec![b'x'; 65 * KIB];
        let bytes = [request(4, b"ab"), request(8, &long), request(4, b"cd")].concat();
        let outcome = run("frame", &[&bytes], DEFAULT);
        assert_eq!(outcome.replies, answers(&[b"ba", &long, b"dc"]));
        assert_eq!(outcome.offloaded, 1);
    }

    fn random_answer(seed: u64, reply_space: usize, limits: RequestLimits) -> Outcome {
        let bytes = request(16, "The LAN Before Time, naïve café".as_bytes()).repeat(3);
        run("frame", &[&bytes], Config { reply_space, limits, seed, ..DEFAULT })
    }

    #[test]
    fn room_has_no_influence_on_random_answers() {
        let mut heavy = [0; 3];
        for seed in 0..SEEDS {
            let roomy = random_answer(seed, 1 << 21, DEFAULT.limits);
            assert_eq!(roomy.offloaded, 0);
            for (heavy, reply_space) in heavy.iter_mut().zip([9, 60, 500]) {
                let cramped = random_answer(seed, reply_space, DEFAULT.limits);
                assert_eq!(cramped.replies, roomy.replies, "seed {seed}, reply_space {reply_space}");
                *heavy += cramped.offloaded;
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
                let outcome = random_answer(seed, 1 << 16, limits);
                assert!(outcome.replies.len() <= 3 * (4 + most), "seed {seed}");
                assert_eq!(outcome.counts.answered, 3);
            }
        }
    }

    #[test]
    fn a_request_that_ends_while_it_is_skipped_counts_once() {
        let outcome = run("frame", &[&header(3, 9), b"abc"], DEFAULT);
        assert_eq!(outcome.replies, answers(&[ERROR_TEXT]));
        assert_eq!(outcome.counts, RequestCounts { answered: 0, refused: 1, events: 0 });
    }

    #[test]
    fn every_request_is_told_to_the_log_once() {
        let bytes = [request(4, b"ab"), request(3, b"x"), request(1, b"\xff"), request(8, b"")].concat();
        let outcome = run("frame", &[&bytes, &header(2, 5)[..3]], DEFAULT);
        let told = |action, length, refused| super::super::LogEvent::Request(RequestRecord { action, length, refused });
        let expect = [
            told("reverse", 2, false),
            told("unknown", 1, true),
            told("uppercase", 1, true),
            told("shuffle", 0, false),
            told("truncated", 3, true),
        ];
        assert_eq!(outcome.log_events, expect);
        assert_eq!(outcome.counts, RequestCounts { answered: 2, refused: 3, events: 0 });
    }
}
