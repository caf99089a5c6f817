//! The list of checks.
//!
//! To add a check, write a function in `checks` and give it an entry here. Its hint is addressed to the author of the
//! server, who is looking for the mistake. The group `proxy` is in `proxy_catalog`.

use super::checks::{actions, clients, errors, messages, randomness, services};
use super::definition::{AppliesTo, Check};
use super::proxy_catalog;
use crate::client::client_protocol::ClientProtocol;
use AppliesTo::{All, Frames, Only, Replying, WithAction, WithActions, WithLengths};

/// The checks of a protocol, in order.
pub fn checks(protocol: ClientProtocol) -> impl Iterator<Item = &'static Check> {
    all().filter(move |check| check.applies_to.includes(protocol))
}

/// The checks of all protocols.
fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().chain(proxy_catalog::CHECKS)
}

/// Whether this is a check of receivers of the PROXY protocol, or their group.
#[must_use]
pub fn is_of_receivers(name: &str) -> bool {
    proxy_catalog::CHECKS.iter().any(|check| check.has_name(name))
}

const HEADER_BITS: &str = "the top 5 bits of the header are the action, and the other 27 the length";
const LOOP: &str = "recv was called once: loop until LENGTH bytes have arrived";
const LOOP_HEADER: &str = "recv may return fewer bytes than requested: loop until the whole header has arrived";
const LEFTOVER: &str = "bytes beyond the first request were thrown away: keep them for the next request";
const LEFTOVER_HEADER: &str =
    "keep bytes beyond the first request for the next one, and loop until the whole of its header has arrived";
const TRUNCATED: &str = "when the client half-closes inside a request, reply `error` before closing";
const NEXT_CLIENT: &str = "when the first client closes, accept the next";
const ONE_CLIENT: &str = "an error of one client must end that connection alone: catch it, close, and accept the next";
const CODE_POINTS: &str = "the text was handled as bytes: decode it as UTF-8 first, and work on characters";
const KEEP: &str = "reply `error` to a bad request, and read the next request";
const CHANCE: &str = "draw each position with equal chances from those that are left (Fisher-Yates), and do not seed the random source for each request";

#[rustfmt::skip]
const CHECKS: &[Check] = &[
    Check { group: "actions", name: "length-field", applies_to: Frames, run: actions::length_field,
        about: "a reply begins with its length in bytes, 32 bits, big-endian",
        hint: "a reply's header is only its length, 32 bits in network byte order (struct.pack('!I', length))" },
    Check { group: "actions", name: "nothing-more", applies_to: Replying, run: messages::nothing_more,
        about: "no bytes follow a reply",
        hint: "bytes behind a reply are taken for the next one: send no newline or NUL that is not part of the text" },
    Check { group: "actions", name: "uppercase", applies_to: WithAction("uppercase"), run: actions::uppercase,
        about: "upper case",
        hint: HEADER_BITS },
    Check { group: "actions", name: "lowercase", applies_to: WithAction("lowercase"), run: actions::lowercase,
        about: "lower case",
        hint: HEADER_BITS },
    Check { group: "actions", name: "title-case", applies_to: WithAction("title-case"), run: actions::title_case,
        about: "title case: a word begins after any character without case",
        hint: "a word begins after any character that has no case, such as an apostrophe, as in Python's str.title()" },
    Check { group: "actions", name: "reverse", applies_to: WithAction("reverse"), run: actions::reverse,
        about: "the text backwards",
        hint: "reversing changes the order of the characters and nothing else" },
    Check { group: "actions", name: "shuffle", applies_to: WithAction("shuffle"), run: randomness::shuffle,
        about: "a permutation of the text",
        hint: "a shuffle moves characters: none may be lost, added or drawn twice" },
    Check { group: "actions", name: "random", applies_to: WithAction("random"), run: randomness::random,
        about: "characters dropped and repeated, in order",
        hint: "each character is dropped, kept or repeated in its place: none may be moved or added" },

    Check { group: "lengths", name: "empty", applies_to: WithLengths, run: messages::empty,
        about: "an empty message has an empty reply",
        hint: "recv(0) and an empty string are not the end of the connection: a LENGTH of 0 is a whole request" },
    Check { group: "lengths", name: "one-byte", applies_to: Replying, run: messages::one_byte,
        about: "the shortest message",
        hint: LOOP },
    Check { group: "lengths", name: "chunk-edges", applies_to: Replying, run: messages::chunk_edges,
        about: "lengths around 1024, 2048, 4096, 8192 and 65536 bytes",
        hint: "a request that fills the buffer exactly is complete: count bytes, do not wait for a short read" },
    Check { group: "lengths", name: "64k-plus-one", applies_to: Replying, run: messages::past_64k,
        about: "65,537 bytes",
        hint: LOOP },
    Check { group: "lengths", name: "482164-bytes", applies_to: Replying, run: messages::long,
        about: "482,164 bytes",
        hint: LOOP },
    Check { group: "lengths", name: "largest", applies_to: WithLengths, run: messages::largest,
        about: "134,217,727 bytes, the longest message (with --large)",
        hint: "the length has 27 bits: keep all of them, and read in large portions" },

    Check { group: "reading", name: "header-split", applies_to: WithLengths, run: messages::header_split,
        about: "a header that arrives in two parts, cut at every byte",
        hint: LOOP_HEADER },
    Check { group: "reading", name: "data-split", applies_to: WithLengths, run: messages::data_split,
        about: "data that arrives in two or three parts",
        hint: LOOP },
    Check { group: "reading", name: "header-dribbled", applies_to: WithLengths, run: messages::header_dribbled,
        about: "a header one byte at a time",
        hint: LOOP_HEADER },
    Check { group: "reading", name: "all-dribbled", applies_to: Replying, run: messages::all_dribbled,
        about: "header and data one byte at a time",
        hint: LOOP },
    Check { group: "reading", name: "code-point-split", applies_to: Replying, run: messages::code_point_split,
        about: "data cut in the middle of a character",
        hint: "decode the text when all of it has arrived, not each part that recv returns" },
    Check { group: "reading", name: "next-header-split", applies_to: WithLengths, run: messages::next_header_split,
        about: "a request with the first half of the next one's header behind it",
        hint: LEFTOVER_HEADER },

    Check { group: "pipelining", name: "keep-alive", applies_to: Replying, run: messages::keep_alive,
        about: "a second request on the same connection",
        hint: "the connection stays open after a reply: loop until recv returns nothing" },
    Check { group: "pipelining", name: "two-in-one", applies_to: Replying, run: messages::two_in_one,
        about: "two requests in one segment",
        hint: LEFTOVER },
    Check { group: "pipelining", name: "burst", applies_to: Replying, run: messages::burst,
        about: "1,000 requests without waiting for replies",
        hint: LEFTOVER },
    Check { group: "pipelining", name: "mixed-sizes", applies_to: Replying, run: messages::mixed_sizes,
        about: "long and short requests in one go, with replies in order",
        hint: "send replies in the order of the requests, each in full before the next" },
    Check { group: "pipelining", name: "four-megabytes", applies_to: Replying, run: messages::four_megabytes,
        about: "64 requests of 64 KiB in one go",
        hint: "send may take fewer bytes than it is given: use sendall, or loop" },

    Check { group: "errors", name: "unknown-action", applies_to: WithActions, run: errors::unknown_action,
        about: "the reply to an unknown action is `error`",
        hint: "the reply to an action that is not in the table is the text `error` with its length, 5" },
    Check { group: "errors", name: "every-unknown-action", applies_to: Frames, run: errors::every_unknown_action,
        about: "the reply to each of the 27 unknown actions is `error`, also to action 0",
        hint: "compare the action with the five that exist, instead of testing single bits of it" },
    Check { group: "errors", name: "unknown-action-kept", applies_to: WithActions, run: errors::unknown_action_kept,
        about: "the connection stays open after an unknown action",
        hint: KEEP },
    Check { group: "errors", name: "unknown-action-consumed", applies_to: WithActions, run: errors::unknown_action_consumed,
        about: "the data of an unknown action is skipped",
        hint: "read LENGTH bytes even if the action is unknown: otherwise its data is taken for the next header" },
    Check { group: "errors", name: "unknown-action-empty", applies_to: WithActions, run: errors::unknown_action_empty,
        about: "an unknown action without data",
        hint: KEEP },
    Check { group: "errors", name: "unknown-action-long", applies_to: WithActions, run: errors::unknown_action_long,
        about: "an unknown action with 65,537 bytes of data",
        hint: "read LENGTH bytes even if the action is unknown, however many recv calls it takes" },
    Check { group: "errors", name: "invalid-utf8", applies_to: WithActions, run: errors::invalid_utf8,
        about: "the reply to data that is not UTF-8 is `error`",
        hint: "catch the error of decoding (UnicodeDecodeError) and reply `error`" },
    Check { group: "errors", name: "utf8-kinds", applies_to: WithActions, run: errors::utf8_kinds,
        about: "every kind of invalid UTF-8: overlong, surrogate, cut short, too large",
        hint: "decode strictly: errors='ignore' or 'replace' hide the fault" },
    Check { group: "errors", name: "invalid-utf8-kept", applies_to: WithActions, run: errors::invalid_utf8_kept,
        about: "the connection stays open after invalid UTF-8",
        hint: KEEP },
    Check { group: "errors", name: "bad-among-good", applies_to: WithActions, run: errors::bad_among_good,
        about: "of three requests the second is bad: two replies and an `error`, in order",
        hint: KEEP },
    Check { group: "errors", name: "no-header", applies_to: Only("text"), run: errors::no_header,
        about: "the reply to bytes that cannot be a header is `error`, then close",
        hint: "without a space in the first 32 bytes there is no header: reply `5 error` and close" },
    Check { group: "errors", name: "no-number", applies_to: Only("text"), run: errors::no_number,
        about: "the reply to a length that is not a number is `error`, then close",
        hint: "the length consists only of decimal digits: check before converting it" },

    Check { group: "unicode", name: "case-beyond-ascii", applies_to: WithActions, run: actions::case_beyond_ascii,
        about: "letters with accents, Greek, Cyrillic",
        hint: CODE_POINTS },
    Check { group: "unicode", name: "upper-case-grows", applies_to: WithActions, run: actions::upper_case_grows,
        about: "text whose upper case is longer: \u{df}, \u{fb01}, \u{149}",
        hint: "the upper case of one character may be several: send the length of the reply, not of the request" },
    Check { group: "unicode", name: "final-sigma", applies_to: WithActions, run: actions::final_sigma,
        about: "a capital sigma at the end of a word",
        hint: "convert the whole text at once: whether \u{3a3} becomes \u{3c3} or \u{3c2} depends on its place in the word" },
    Check { group: "unicode", name: "reverse-characters", applies_to: WithActions, run: actions::reverse_characters,
        about: "characters of 1 to 4 bytes backwards",
        hint: CODE_POINTS },
    Check { group: "unicode", name: "shuffle-characters", applies_to: WithAction("shuffle"), run: randomness::shuffle_characters,
        about: "characters of 1 to 4 bytes shuffled",
        hint: CODE_POINTS },
    Check { group: "unicode", name: "length-in-bytes", applies_to: WithLengths, run: actions::length_in_bytes,
        about: "lengths count bytes, not characters",
        hint: "a length counts bytes: take it after encoding the text, and read that many bytes, not characters" },
    Check { group: "unicode", name: "control-bytes", applies_to: Replying, run: actions::control_bytes,
        about: "NUL, newline, tab and DEL are text like any other",
        hint: "do not strip the text, and do not end it at a NUL or a newline" },

    Check { group: "closing", name: "half-close", applies_to: Replying, run: clients::half_close,
        about: "a client that half-closes gets every reply, then the end",
        hint: "the end of input does not cancel earlier requests: send their replies first, then close" },
    Check { group: "closing", name: "half-close-at-once", applies_to: All, run: clients::half_close_at_once,
        about: "a client that half-closes without a request",
        hint: "recv returning nothing is the end of the connection: close it" },
    Check { group: "closing", name: "truncated-header", applies_to: Frames, run: clients::truncated_header,
        about: "the end of input in the middle of a header: `error`, then close",
        hint: TRUNCATED },
    Check { group: "closing", name: "truncated-data", applies_to: Frames, run: clients::truncated_data,
        about: "the end of input in the middle of the data: `error`, then close",
        hint: TRUNCATED },

    Check { group: "service", name: "bytes-of-every-value", applies_to: Only("echo"), run: services::every_byte,
        about: "all 256 byte values are returned",
        hint: "echo returns bytes: do not decode them" },
    Check { group: "service", name: "at-once", applies_to: Only("echo"), run: services::at_once,
        about: "a byte is returned without waiting for more",
        hint: "send at once what was read, without waiting for a newline or a full buffer" },
    Check { group: "service", name: "silent", applies_to: Only("discard"), run: services::discards,
        about: "reads a megabyte and sends nothing",
        hint: "read and drop, in a loop, and send nothing" },
    Check { group: "service", name: "line-of-ascii", applies_to: Only("daytime"), run: services::daytime_line,
        about: "one line of printable ASCII, then the end",
        hint: "send the date and time as one line, then close" },
    Check { group: "service", name: "this-year", applies_to: Only("daytime"), run: services::daytime_year,
        about: "the line names this year",
        hint: "send the current date and time" },
    Check { group: "service", name: "four-bytes", applies_to: Only("time"), run: services::time_bytes,
        about: "32 bits, then the end",
        hint: "send exactly four bytes, then close" },
    Check { group: "service", name: "right-time", applies_to: Only("time"), run: services::time_now,
        about: "the seconds since 1900 agree with this machine's clock",
        hint: "count from 1900-01-01: add 2208988800 to Unix time, and send it in network byte order" },
    Check { group: "service", name: "quote", applies_to: Only("qotd"), run: services::quote,
        about: "a quote of 1 to 512 characters, then the end",
        hint: "send one quote of at most 512 characters, then close" },
    Check { group: "service", name: "pattern", applies_to: Only("chargen"), run: services::pattern,
        about: "characters without end for every client, usually lines of 72 from a ring of 95",
        hint: "send as soon as a client has connected, without waiting for input, and go on" },
    Check { group: "service", name: "endless", applies_to: Only("chargen"), run: services::endless,
        about: "a megabyte without end",
        hint: "go on sending for as long as the client reads" },
    Check { group: "service", name: "input-ignored", applies_to: Only("chargen"), run: services::input_ignored,
        about: "bytes from the client change nothing",
        hint: "read and drop the client's bytes while sending" },

    Check { group: "clients", name: "one-after-another", applies_to: All, run: clients::one_after_another,
        about: "twenty connections, one after another",
        hint: "accept in a loop: the next client follows the one before" },
    Check { group: "clients", name: "vanish-in-request", applies_to: All, run: clients::vanish_in_request,
        about: "a client that closes in the middle of a request",
        hint: ONE_CLIENT },
    Check { group: "clients", name: "reset-in-request", applies_to: All, run: clients::reset_in_request,
        about: "a client that resets the connection in the middle of a request",
        hint: ONE_CLIENT },
    Check { group: "clients", name: "reset-in-answer", applies_to: All, run: clients::reset_in_reply,
        about: "a client that resets the connection during a reply",
        hint: ONE_CLIENT },
    Check { group: "clients", name: "reset-at-once", applies_to: All, run: clients::reset_at_once,
        about: "a client that resets the connection without a request",
        hint: ONE_CLIENT },
    Check { group: "clients", name: "second-client", applies_to: All, run: clients::second_client,
        about: "a second client while the first is connected",
        hint: NEXT_CLIENT },
    Check { group: "clients", name: "stalled-client", applies_to: WithLengths, run: clients::stalled_client,
        about: "a second client while the first is in the middle of a request",
        hint: NEXT_CLIENT },

    Check { group: "chance", name: "shuffle-uniform", applies_to: WithAction("shuffle"), run: randomness::shuffle_uniform,
        about: "all six orders of three characters are equally frequent",
        hint: CHANCE },
    Check { group: "chance", name: "random-never-empty", applies_to: WithAction("random"), run: randomness::random_never_empty,
        about: "random keeps at least one character",
        hint: "if every character was dropped, the reply is the first one" },
    Check { group: "chance", name: "random-statistics", applies_to: WithAction("random"), run: randomness::random_statistics,
        about: "one in six dropped, five in 36 repeated floor(X) times, X Pareto with shape 1",
        hint: "drop with 1/6; of the rest, repeat with 1/6, floor(1/(1-U)) times; keep the others" },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::definition::CHECKABLE;
    use super::*;

    #[test]
    fn names_are_unique_and_hints_are_sentences_without_a_period() {
        let mut names = HashSet::new();
        for check in all() {
            assert!(names.insert(check.name), "{} twice", check.name);
            assert!(check.hint.len() > 20 && !check.hint.ends_with('.'), "{}: {}", check.name, check.hint);
        }
        let groups: HashSet<_> = all().map(|check| check.group).collect();
        assert!(groups.is_disjoint(&names));
    }

    #[test]
    fn every_checkable_protocol_has_checks_and_frame_has_more_than_forty() {
        for name in CHECKABLE {
            assert!(checks(ClientProtocol::by_name(name).unwrap()).count() >= 7, "{name}");
        }
        assert!(checks(ClientProtocol::by_name("frame").unwrap()).count() >= 40);
        assert_eq!(checks(ClientProtocol::by_name("ack").unwrap()).count(), 0);
        assert!(checks(ClientProtocol::by_name("who").unwrap()).all(|check| !check.is_default()));
    }
}
