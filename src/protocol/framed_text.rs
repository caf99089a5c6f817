//! One transform of one message: the common part of `frame` and `text`.
//!
//! The request is at the front of the input: a header in the protocol's own form, then the message. This module decides
//! whether the request is served or rejected, on the event loop or on a thread, and where the reply is made. ASCII text
//! is transformed in place, and the reply's header overwrites the end of the request's; other text is transformed into
//! the reply buffer. Nothing here allocates, and nothing depends on how the input is split.

#![allow(
    clippy::inline_always,
    reason = "a short ASCII request takes 5.8 ns with the whole path in one function, 9.7 without"
)]

use std::ops::ControlFlow::{self, Break, Continue};

use super::contract::{CallContext, CloseCause, Exchange, Needed, Progress, Refusal, RequestRecord};
use super::request_head::InlineLimits;
use crate::transform::{InvalidUtf8, Placed};

pub use super::request_head::{ERROR_TEXT, Framing, RequestHead, offload_again, restore};

/// From this length on a message is transformed while it arrives, in bytes. Derived: shorter ones arrive with one read.
const MIN_PREPROCESS: usize = 64 * 1024;

/// Most bytes to preprocess per call on the event loop. Derived: twice what a connection reads at once; a larger
/// backlog means that preprocessing had stopped, and the request is offloaded.
const MAX_PREPROCESS_INLINE: usize = 256 * 1024;

/// Most code points to convert one by one per call on the event loop. Chosen: they take about 0.1 ms (group
/// `preprocess` of `benches/transform.rs`), and 128 KiB of text have more of them in every script that is converted in
/// this way.
const MAX_PREPROCESS_SCALAR: usize = 16 * 1024;

/// Earlier replies are sent before `random` is tried in less space than the length of the text times [`USUAL_FACTOR`],
/// and this number of bytes. Chosen without tuning: few replies are longer.
const USUAL_GROWTH: usize = 1024;
/// See [`USUAL_GROWTH`].
const USUAL_FACTOR: usize = 4;

/// Length of the longest code point in UTF-8, in bytes (RFC 3629, section 3).
const CODE_POINT: usize = 4;

/// Replies to the request at the front of the input, or returns what it needs.
#[inline(always)]
pub fn reply<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let least =
        Needed { request_len: head.size(), reply_capacity: F::MAX_REPLY_HEADER + ERROR_TEXT.len(), preprocessed: 0 };
    if let Err(refusal) = context.limits.check(head.length, least) {
        return reject_head::<F>(exchange, head, refusal);
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

/// Replies to a long message, which arrives in pieces and takes time.
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

/// Replies to text that is not ASCII, and to actions whose reply is never in place.
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

/// Transforms the part of a long message that has arrived; returns the length of the transformed part, header included.
///
/// Preprocessing stops where it would take long. Then the protocol is called again when the message is complete, and
/// offloads it, unless the remaining part is within the bounds of one call.
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

/// Replies to any text, for the actions whose replies have a bounded length.
fn reply_text<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let max_reply_len = head.max_reply_len::<F>(context.limits);
    if max_reply_len > head.needed::<F>(context.limits).reply_capacity {
        return reject_head::<F>(exchange, head, Refusal::TooMuchMemory);
    }
    if exchange.remaining() < max_reply_len || !fits_in_place::<F>(exchange, head) {
        return Break(no_room::<F>(exchange, context, head));
    }
    let (rest, spare) = exchange.input_and_remaining();
    let text = &mut rest[head.header..head.size()];
    let out = &mut spare[F::MAX_REPLY_HEADER..];
    match head.action.apply(text, out, context.random.next_request(), context.limits.message) {
        Ok(Placed::InPlace) => finish_in_place::<F>(exchange, head),
        Ok(Placed::Out(length)) => finish_copied::<F>(exchange, head, length),
        Err(InvalidUtf8) => return reject_head::<F>(exchange, head, Refusal::NotUtf8),
    }
    Continue(())
}

/// Replies to `random`, whose reply may become as long as memory allows, and hardly ever does.
///
/// On the event loop the available reply space is tried. If the reply reaches its end, the request is offloaded with
/// space for any reply, and draws the same numbers again ([`RequestRng::replay`](super::rng::RequestRng::replay)): the
/// reply space has no influence on the reply. That holds only because the decision to try precedes the first random
/// number, and because `random` does not change the text in place.
fn reply_random<F: Framing>(
    exchange: &mut Exchange<'_>,
    context: &mut CallContext<'_>,
    head: RequestHead,
) -> ControlFlow<Progress> {
    let needed = head.needed::<F>(context.limits);
    let usual = F::MAX_REPLY_HEADER + USUAL_GROWTH.saturating_add(head.length.saturating_mul(USUAL_FACTOR));
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
        Err(InvalidUtf8) => return reject_head::<F>(exchange, head, Refusal::NotUtf8),
    }
    Continue(())
}

/// Whether the transformed message, behind the reply's header, can be the reply in place.
fn fits_in_place<F: Framing>(exchange: &Exchange<'_>, head: RequestHead) -> bool {
    let header = F::header_size(head.length);
    exchange.fits_behind(head.header - header, header + head.length)
}

/// The message is transformed in place: writes the reply's header before it.
#[inline(always)]
fn finish_in_place<F: Framing>(exchange: &mut Exchange<'_>, head: RequestHead) {
    let header = F::header_size(head.length);
    exchange.consume(head.header - header);
    F::write_header(head.length, &mut exchange.input()[..header]);
    exchange.reply_in_place(header + head.length);
    exchange.count_request(RequestRecord { action: head.action.name(), length: head.length, refusal: None });
}

/// The transformed text is in the reply buffer, behind space for the longest header: writes the header before it.
fn finish_copied<F: Framing>(exchange: &mut Exchange<'_>, head: RequestHead, length: usize) {
    let header = F::header_size(length);
    let (_, spare) = exchange.input_and_remaining();
    if header < F::MAX_REPLY_HEADER {
        spare.copy_within(F::MAX_REPLY_HEADER..F::MAX_REPLY_HEADER + length, header);
    }
    F::write_header(length, &mut spare[..header]);
    exchange.consume(head.size());
    exchange.advance(header + length);
    exchange.count_request(RequestRecord { action: head.action.name(), length: head.length, refusal: None });
}

/// There is no space for this reply: sends those before it, or offloads the request.
fn no_room<F: Framing>(exchange: &Exchange<'_>, context: &mut CallContext<'_>, head: RequestHead) -> Progress {
    if exchange.is_empty() { offload::<F>(context, head) } else { Progress::NeedOutput }
}

/// Offloads the request.
fn offload<F: Framing>(context: &mut CallContext<'_>, head: RequestHead) -> Progress {
    Progress::Offload(offload_needed::<F>(context, head))
}

/// The memory for an offloaded request, which also gets a seed of its own.
fn offload_needed<F: Framing>(context: &mut CallContext<'_>, head: RequestHead) -> Needed {
    context.random.next_request();
    head.needed::<F>(context.limits)
}

fn reject_head<F: Framing>(exchange: &mut Exchange<'_>, head: RequestHead, refusal: Refusal) -> ControlFlow<Progress> {
    let RequestHead { action, header, length } = head;
    reject::<F>(exchange, header, RequestRecord { action: action.name(), length, refusal: Some(refusal) })
}

/// Rejects a request for an action that does not exist.
pub fn reject_unknown<F: Framing>(
    exchange: &mut Exchange<'_>,
    header: usize,
    length: usize,
    refusal: Refusal,
) -> ControlFlow<Progress> {
    reject::<F>(exchange, header, RequestRecord { action: "unknown", length, refusal: Some(refusal) })
}

/// Rejects a request with a header of `header` bytes. Its message is dropped; no memory is used for the part that has
/// not arrived.
fn reject<F: Framing>(exchange: &mut Exchange<'_>, header: usize, request: RequestRecord) -> ControlFlow<Progress> {
    let length = request.length;
    if exchange.remaining() < F::ERROR_REPLY.len() {
        return Break(Progress::NeedOutput);
    }
    exchange.count_request(request);
    if exchange.input().len() - header < length {
        exchange.consume(header);
        return Break(Progress::Skip(length as u64));
    }
    exchange.consume(header + length);
    exchange.reply(F::ERROR_REPLY);
    Continue(())
}

/// Rejects a request in which the client has half-closed. A request that is being skipped is already counted.
pub fn truncated<F: Framing>(exchange: &mut Exchange<'_>) -> CloseCause {
    let length = exchange.input().len();
    if length > 0 {
        let refusal = Some(Refusal::Truncated);
        exchange.count_request(RequestRecord { action: "truncated", length, refusal });
    }
    exchange.reply(F::ERROR_REPLY);
    CloseCause::Truncated
}

#[cfg(test)]
mod tests {
    use super::super::contract::RequestLimits;
    use super::super::test_util::{Config, DEFAULT, NOW, Outcome, run};
    use super::super::{Protocol, RequestCounts, RequestRng};
    use super::*;
    use crate::protocol::services::frame::{Frame, HEADER, MAX_LENGTH, header};

    const KIB: usize = 1024;
    /// Number of random replies; Miri is a thousand times slower.
    const SEEDS: u64 = if cfg!(miri) { 20 } else { 500 };

    fn request(code: u8, message: &[u8]) -> Vec<u8> {
        [&header(code, message.len()), message].concat()
    }

    fn replies(messages: &[&[u8]]) -> Vec<u8> {
        messages.iter().flat_map(|text| [&(text.len() as u32).to_be_bytes(), *text].concat()).collect()
    }

    fn limited(message: usize, memory: usize) -> Config<'static> {
        Config { limits: RequestLimits { message, memory, line: None }, ..DEFAULT }
    }

    /// The protocol's progress with `input`, and the number of bytes that it consumed.
    fn progress(input: &[u8], limits: RequestLimits) -> (Progress, usize) {
        let (mut input, mut reply_buf) = (input.to_vec(), [0; 64]);
        let mut exchange = Exchange::new(&mut input, &mut reply_buf);
        let random = &mut RequestRng::new(None);
        let mut context = CallContext { random, unix_time: || NOW, limits, may_block: false };
        let progress = Frame.process(&mut exchange, &mut context);
        (progress, exchange.consumed())
    }

    #[test]
    fn an_incomplete_request_returns_what_it_needs() {
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
    fn an_incomplete_rejected_request_is_skipped() {
        let limits = RequestLimits { message: 1000, memory: 900, line: None };
        for (code, length) in [(1, 1001), (1, 888), (3, MAX_LENGTH), (16, MAX_LENGTH)] {
            assert_eq!(
                progress(&[&header(code, length)[..], b"abc"].concat(), limits),
                (Progress::Skip(length as u64), 4)
            );
        }
        assert!(matches!(progress(&header(1, 887), limits).0, Progress::NeedInput(_)));
    }

    #[test]
    fn messages_over_a_limit_are_consumed() {
        let bytes = [request(1, &[b'a'; 101]), request(1, &[b'a'; 100]), request(4, b"ab")].concat();
        let outcome = run("frame", &[&bytes], limited(100, 1 << 20));
        assert_eq!(outcome.replies, replies(&[ERROR_TEXT, &[b'A'; 100], b"ba"]));
        assert_eq!(outcome.counts, RequestCounts { answered: 2, refused: 1, events: 0 });
        let outcome = run("frame", &[&bytes], limited(1000, 104 + 8));
        assert_eq!(outcome.replies, replies(&[ERROR_TEXT, ERROR_TEXT, b"ba"]));
    }

    #[test]
    fn only_text_that_needs_more_memory_is_rejected() {
        let ascii = [b'a'; 90];
        let other = "é".repeat(45);
        let bytes = [request(1, &ascii), request(1, other.as_bytes()), request(4, other.as_bytes())].concat();
        let outcome = run("frame", &[&bytes], limited(100, 200));
        assert_eq!(outcome.replies, replies(&[&[b'A'; 90], ERROR_TEXT, other.as_bytes()]));
    }

    /// Fault 37: long work is offloaded.
    #[test]
    fn long_work_is_offloaded() {
        let ascii = |length| vec![b'a'; length];
        let other = |length: usize| "é".repeat(length / 2).into_bytes();
        for (code, message, offloaded) in [
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
            // scripts that are converted by windows; one by one; and one by one now and then
            (1, "Tất cả mọi người sinh ra đều được tự do. ".repeat(24 * KIB).into_bytes(), 0),
            (1, "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ".repeat(16 * KIB).into_bytes(), 0),
            (1, "ა".repeat(340 * KIB).into_bytes(), 1),
            (2, "ა".repeat(340 * KIB).into_bytes(), 1),
            (1, "բարև ".repeat(100 * KIB).into_bytes(), 1),
            (2, "𐐀".repeat(256 * KIB).into_bytes(), 1),
            (1, ("a".repeat(500) + "ა").repeat(2 * KIB).into_bytes(), 0),
        ] {
            let limits = RequestLimits { message: 1 << 21, memory: 1 << 24, line: None };
            let request = request(code, &message);
            let pieces: Vec<_> = request.chunks(128 * KIB).collect();
            let outcome = run("frame", &pieces, Config { limits, ..DEFAULT });
            assert_eq!((outcome.offloaded, outcome.counts.answered), (offloaded, 1), "{code}, {} bytes", message.len());
        }
    }

    /// The protocol's progress with the beginning of a long request, of which `preprocessed` bytes are transformed.
    fn show(part: &mut [u8], preprocessed: usize) -> Progress {
        let mut reply_buf = [0; 64];
        let mut exchange = Exchange::new(part, &mut reply_buf).with_preprocessed(preprocessed);
        let random = &mut RequestRng::new(None);
        let limits = RequestLimits { message: 1 << 21, memory: 1 << 24, line: None };
        let mut context = CallContext { random, unix_time: || NOW, limits, may_block: false };
        Frame.process(&mut exchange, &mut context)
    }

    /// Fault 37: a large text in a script that windows do not convert. The pieces are those that a connection reads.
    /// When preprocessing has stopped, the next call has the whole message.
    #[test]
    fn preprocessing_one_by_one_is_bounded_and_the_rest_offloaded() {
        for text in ["ა", "𐐨", "ա", "aა"] {
            let mut bytes = request(1, text.repeat(1024 * KIB / text.len()).as_bytes());
            let mut preprocessed = HEADER;
            for shown in (64 * KIB..bytes.len()).step_by(128 * KIB) {
                let Progress::NeedInput(needed) = show(&mut bytes[..shown], preprocessed) else {
                    panic!("the request is incomplete")
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
    fn a_backlog_of_preprocessing_is_offloaded() {
        let long = vec![b'a'; MAX_PREPROCESS_INLINE + 1];
        let outcome = run("frame", &[&request(1, &long)], DEFAULT);
        assert_eq!((outcome.offloaded, outcome.replies), (1, replies(&[&long.to_ascii_uppercase()])));
    }

    #[test]
    fn replies_around_an_offloaded_request_keep_their_order() {
        let long = vec![b'x'; 65 * KIB];
        let bytes = [request(4, b"ab"), request(8, &long), request(4, b"cd")].concat();
        let outcome = run("frame", &[&bytes], DEFAULT);
        assert_eq!(outcome.replies, replies(&[b"ba", &long, b"dc"]));
        assert_eq!(outcome.offloaded, 1);
    }

    fn random_reply(seed: u64, reply_space: usize, limits: RequestLimits) -> Outcome {
        let bytes = request(16, "The LAN Before Time, naïve café".as_bytes()).repeat(3);
        run("frame", &[&bytes], Config { reply_space, limits, seed, ..DEFAULT })
    }

    #[test]
    fn reply_space_has_no_influence_on_random_replies() {
        let mut offloaded = [0; 3];
        for seed in 0..SEEDS {
            let roomy = random_reply(seed, 1 << 21, DEFAULT.limits);
            assert_eq!(roomy.offloaded, 0);
            for (offloaded, reply_space) in offloaded.iter_mut().zip([9, 60, 500]) {
                let cramped = random_reply(seed, reply_space, DEFAULT.limits);
                assert_eq!(cramped.replies, roomy.replies, "seed {seed}, reply_space {reply_space}");
                *offloaded += cramped.offloaded;
            }
        }
        let all = 3 * SEEDS as usize;
        assert!(
            offloaded[0] == all && offloaded[1] < all && offloaded[2] < offloaded[1] && offloaded[2] > 0,
            "{offloaded:?}"
        );
    }

    #[test]
    fn random_replies_stop_at_the_limits() {
        for seed in 0..SEEDS {
            for (limits, most) in [((40, 1 << 20), 40), ((1000, 120), 120 - 4 - 33 - 4)] {
                let limits = RequestLimits { message: limits.0, memory: limits.1, line: None };
                let outcome = random_reply(seed, 1 << 16, limits);
                assert!(outcome.replies.len() <= 3 * (4 + most), "seed {seed}");
                assert_eq!(outcome.counts.answered, 3);
            }
        }
    }

    #[test]
    fn a_request_that_ends_while_skipped_counts_once() {
        let outcome = run("frame", &[&header(3, 9), b"abc"], DEFAULT);
        assert_eq!(outcome.replies, replies(&[ERROR_TEXT]));
        assert_eq!(outcome.counts, RequestCounts { answered: 0, refused: 1, events: 0 });
    }

    #[test]
    fn every_request_is_logged_once() {
        let bytes = [request(4, b"ab"), request(3, b"x"), request(1, b"\xff"), request(8, b"")].concat();
        let outcome = run("frame", &[&bytes, &header(2, 5)[..3]], DEFAULT);
        let logged =
            |action, length, refusal| super::super::LogEvent::Request(RequestRecord { action, length, refusal });
        let expect = [
            logged("reverse", 2, None),
            logged("unknown", 1, Some(Refusal::UnknownCode(3))),
            logged("uppercase", 1, Some(Refusal::NotUtf8)),
            logged("shuffle", 0, None),
            logged("truncated", 3, Some(Refusal::Truncated)),
        ];
        assert_eq!(outcome.log_events, expect);
        assert_eq!(outcome.counts, RequestCounts { answered: 2, refused: 3, events: 0 });
    }
}
