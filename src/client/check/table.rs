//! The checks by name: for which protocols, in which order, with which hint.
//!
//! To add a check, write a function that takes a [`Context`] and give it a row here. A check's name is what `--only`
//! takes and what the reports show; the hint is one sentence to somebody who wrote the server and wonders.

use super::context::Context;
use super::flaw::{Flaw, Remark};
use super::{actions, chance, clients, errors, messages, services};
use crate::client::client_protocol::{ClientProtocol, ConnectionUse};

/// A named check.
#[derive(Debug)]
pub struct Check {
    /// The name, unique among the checks of a protocol.
    pub name: &'static str,
    /// Checks of one subject stand together.
    pub group: &'static str,
    /// What a correct server does, in one line.
    pub about: &'static str,
    /// What is probably wrong with a server that does not.
    pub hint: &'static str,
    /// For which protocols.
    fits: Fits,
    /// Finds out.
    pub run: fn(&Context) -> Result<Remark, Flaw>,
}

/// Which protocols a check is for.
#[derive(Clone, Copy, Debug)]
enum Fits {
    /// All that can be judged.
    All,
    /// Both editions of `frame`.
    Frames,
    /// Those whose requests name an action.
    Acting,
    /// Those where this action can be asked for.
    Action(&'static str),
    /// Those whose messages have a length.
    Measured,
    /// Those that answer what they are sent.
    Asked,
    /// One.
    Only(&'static str),
}

/// The protocols that can be judged.
const JUDGED: &[&str] =
    &["frame", "frame-2021", "text", "echo", "length-prefix", "discard", "daytime", "time", "qotd", "chargen"];

impl Fits {
    fn fit(self, dialogue: ClientProtocol) -> bool {
        let name = dialogue.name();
        match self {
            Self::All => JUDGED.contains(&name),
            Self::Frames => dialogue.has_action_codes(),
            Self::Acting => dialogue.has_actions(),
            Self::Action(action) => dialogue.actions().any(|possible| possible.name() == action),
            Self::Measured => dialogue.has_reply_length(),
            Self::Asked => dialogue.connection_use() == ConnectionUse::Pipelined,
            Self::Only(only) => name == only,
        }
    }
}

impl Check {
    /// Whether this is its name, or its group's.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.group == name
    }
}

/// The checks of a protocol, in order.
pub fn checks(dialogue: ClientProtocol) -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().filter(move |check| check.fits.fit(dialogue))
}

/// The protocols that can be judged, for a message.
#[must_use]
pub fn judged() -> String {
    JUDGED.join(", ")
}

const fn check(
    group: &'static str,
    name: &'static str,
    fits: Fits,
    run: fn(&Context) -> Result<Remark, Flaw>,
    about: &'static str,
    hint: &'static str,
) -> Check {
    Check { name, group, about, hint, fits, run }
}

const LOOP: &str = "recv was called once: loop until LENGTH bytes have arrived";
const LOOP_HEADER: &str = "recv may return fewer bytes than asked: loop until the whole header has arrived";
const LEFTOVER: &str =
    "bytes beyond the first request were thrown away: keep what was read too much for the next request";
const LEFTOVER_HEADER: &str =
    "keep what was read too much for the next request, and loop until the whole of its header has arrived";
const ONE_CLIENT: &str = "an error of one client must end that connection alone: catch it, close, and accept the next";
const CODE_POINTS: &str = "the text was handled as bytes: decode it as UTF-8 first, and work on characters";
const KEEP: &str = "a refused request is answered like any other: answer `error`, and read the next request";
const CHANCE: &str = "draw each position evenly from those that are left (Fisher-Yates), from a source that is not seeded anew for each request";

#[rustfmt::skip]
const CHECKS: &[Check] = &[
    check("actions", "length-field", Fits::Frames, actions::length_field,
        "an answer begins with its length in bytes, 32 bits, big-endian",
        "an answer's header is its length alone, 32 bits in network byte order (struct.pack('!I', length))"),
    check("actions", "nothing-more", Fits::Asked, messages::nothing_more,
        "nothing stands behind an answer", "what follows an answer is taken for the next one: send no newline or NUL that is not part of the text"),
    check("actions", "uppercase", Fits::Action("uppercase"), actions::uppercase,
        "upper case", "the top 5 bits of the header are the action, and the other 27 the length"),
    check("actions", "lowercase", Fits::Action("lowercase"), actions::lowercase,
        "lower case", "the top 5 bits of the header are the action, and the other 27 the length"),
    check("actions", "title-case", Fits::Action("title-case"), actions::title_case,
        "title case, a word starting after anything without case",
        "a word starts after any character that has no case, an apostrophe among them, as Python's str.title() has it"),
    check("actions", "reverse", Fits::Action("reverse"), actions::reverse,
        "the text backwards", "reversing changes the order of the characters and nothing else"),
    check("actions", "shuffle", Fits::Action("shuffle"), chance::shuffle,
        "a permutation of the text", "a shuffle moves characters: none may be lost, added or drawn twice"),
    check("actions", "random", Fits::Action("random"), chance::random,
        "characters dropped and repeated, in order", "each character is dropped, kept or repeated where it stands: none may be moved or made up"),

    check("lengths", "empty", Fits::Measured, messages::empty,
        "an empty message has an empty answer", "recv(0) and an empty string are not the end of the connection: a LENGTH of 0 is a whole request"),
    check("lengths", "one-byte", Fits::Asked, messages::one_byte,
        "the shortest message", LOOP),
    check("lengths", "chunk-edges", Fits::Asked, messages::chunk_edges,
        "lengths around 1024, 2048, 4096, 8192 and 65536 bytes", "a request that fills the buffer exactly is complete: count bytes, do not wait for a short read"),
    check("lengths", "64k-plus-one", Fits::Asked, messages::past_64k,
        "65,537 bytes", LOOP),
    check("lengths", "482164-bytes", Fits::Asked, messages::long,
        "482,164 bytes", LOOP),
    check("lengths", "largest", Fits::Measured, messages::largest,
        "134,217,727 bytes, the longest message (with --large)", "the length has 27 bits: keep all of them, and read in large portions"),

    check("reading", "header-split", Fits::Measured, messages::header_split,
        "a header that arrives in two parts, cut at every byte", LOOP_HEADER),
    check("reading", "data-split", Fits::Measured, messages::data_split,
        "data that arrives in two parts", LOOP),
    check("reading", "header-dribbled", Fits::Measured, messages::header_dribbled,
        "a header one byte at a time", LOOP_HEADER),
    check("reading", "all-dribbled", Fits::Asked, messages::all_dribbled,
        "header and data one byte at a time", LOOP),
    check("reading", "code-point-split", Fits::Asked, messages::code_point_split,
        "data cut in the middle of a character", "decode the text when all of it has arrived, not each part that recv returns"),
    check("reading", "next-header-split", Fits::Measured, messages::next_header_split,
        "a request with the first half of the next one's header behind it", LEFTOVER_HEADER),

    check("pipelining", "keep-alive", Fits::Asked, messages::keep_alive,
        "a second request on the same connection", "the connection stays open after an answer: loop until recv returns nothing"),
    check("pipelining", "two-in-one", Fits::Asked, messages::two_in_one,
        "two requests in one segment", LEFTOVER),
    check("pipelining", "burst", Fits::Asked, messages::burst,
        "1,000 requests without waiting for answers", LEFTOVER),
    check("pipelining", "mixed-sizes", Fits::Asked, messages::mixed_sizes,
        "long and short requests in one go, answered in order", "answers must leave in the order of the requests, each in full before the next"),
    check("pipelining", "four-megabytes", Fits::Asked, messages::four_megabytes,
        "64 requests of 64 KiB in one go", "send may take fewer bytes than it is given: use sendall, or loop"),

    check("errors", "unknown-action", Fits::Acting, errors::unknown_action,
        "an unknown action is answered `error`", "an action that is not in the table is answered with the text `error` and its length, 5"),
    check("errors", "every-unknown-action", Fits::Frames, errors::every_unknown_action,
        "all 27 unknown actions are answered `error`, action 0 too", "compare the action with the five that exist, instead of testing single bits of it"),
    check("errors", "unknown-action-kept", Fits::Acting, errors::unknown_action_kept,
        "the connection stays after an unknown action", KEEP),
    check("errors", "unknown-action-consumed", Fits::Acting, errors::unknown_action_consumed,
        "the data of an unknown action is skipped", "read LENGTH bytes even if the action is unknown: otherwise its data is taken for the next header"),
    check("errors", "unknown-action-empty", Fits::Acting, errors::unknown_action_empty,
        "an unknown action without data", KEEP),
    check("errors", "unknown-action-long", Fits::Acting, errors::unknown_action_long,
        "an unknown action with 65,537 bytes of data", "read LENGTH bytes even if the action is unknown, however many recv calls it takes"),
    check("errors", "invalid-utf8", Fits::Acting, errors::invalid_utf8,
        "data that is not UTF-8 is answered `error`", "catch the error of decoding (UnicodeDecodeError) and answer `error`"),
    check("errors", "utf8-kinds", Fits::Acting, errors::utf8_kinds,
        "every kind of wrong UTF-8: overlong, surrogate, cut short, too large", "decode strictly: errors='ignore' or 'replace' hide what is wrong"),
    check("errors", "invalid-utf8-kept", Fits::Acting, errors::invalid_utf8_kept,
        "the connection stays after invalid UTF-8", KEEP),
    check("errors", "bad-among-good", Fits::Acting, errors::bad_among_good,
        "of three requests the second is bad: two answers and an `error`, in order", KEEP),
    check("errors", "no-header", Fits::Only("text"), errors::no_header,
        "what cannot be a header is answered `error`, and the connection closed", "without a space in the first 32 bytes there is no header: answer `5 error` and close"),
    check("errors", "no-number", Fits::Only("text"), errors::no_number,
        "a length that is no number is answered `error`, and the connection closed", "the length is decimal digits alone: check before converting it"),

    check("unicode", "case-beyond-ascii", Fits::Acting, actions::case_beyond_ascii,
        "letters with accents, Greek, Cyrillic", CODE_POINTS),
    check("unicode", "upper-case-grows", Fits::Acting, actions::upper_case_grows,
        "text whose upper case is longer: \u{df}, \u{fb01}, \u{149}", "the upper case of one character may be several: send the length of the answer, not of the request"),
    check("unicode", "final-sigma", Fits::Acting, actions::final_sigma,
        "a capital sigma at the end of a word", "lower the case of the whole text at once: whether \u{3a3} becomes \u{3c3} or \u{3c2} depends on its place in the word"),
    check("unicode", "reverse-characters", Fits::Acting, actions::reverse_characters,
        "characters of 1 to 4 bytes backwards", CODE_POINTS),
    check("unicode", "shuffle-characters", Fits::Action("shuffle"), chance::shuffle_characters,
        "characters of 1 to 4 bytes shuffled", CODE_POINTS),
    check("unicode", "length-in-bytes", Fits::Measured, actions::length_in_bytes,
        "lengths count bytes, not characters", "a length counts bytes: take it after encoding the text, and read so many bytes, not characters"),
    check("unicode", "control-bytes", Fits::Asked, actions::control_bytes,
        "NUL, newline, tab and DEL are text like any other", "do not strip the text, and do not end it at a NUL or a newline"),

    check("closing", "half-close", Fits::Asked, clients::half_close,
        "a client that ends its side gets every answer, then the end", "the end of input does not cancel what was asked before: answer first, then close"),
    check("closing", "half-close-at-once", Fits::All, clients::half_close_at_once,
        "a client that ends its side without a word", "recv returning nothing is the end of the connection: close it"),
    check("closing", "truncated-header", Fits::Frames, clients::truncated_header,
        "the end in the middle of a header: `error`, then close", "when the client ends its side inside a request, answer `error` before closing"),
    check("closing", "truncated-data", Fits::Frames, clients::truncated_data,
        "the end in the middle of the data: `error`, then close", "when the client ends its side inside a request, answer `error` before closing"),

    check("service", "bytes-of-every-value", Fits::Only("echo"), services::every_byte,
        "all 256 values come back", "echo returns bytes: do not decode them"),
    check("service", "at-once", Fits::Only("echo"), services::at_once,
        "a byte comes back without waiting for more", "send what was read, at once: no waiting for a newline or a full buffer"),
    check("service", "silent", Fits::Only("discard"), services::discards,
        "takes a megabyte and answers nothing", "read and drop, in a loop, and send nothing"),
    check("service", "line-of-ascii", Fits::Only("daytime"), services::daytime_line,
        "one line of printable ASCII, then the end", "send the date and time as one line, then close"),
    check("service", "this-year", Fits::Only("daytime"), services::daytime_year,
        "the line names this year", "send the current date and time"),
    check("service", "four-bytes", Fits::Only("time"), services::time_bytes,
        "32 bits, then the end", "send exactly four bytes, then close"),
    check("service", "right-time", Fits::Only("time"), services::time_now,
        "the seconds since 1900 agree with this machine's clock", "count from 1900-01-01: add 2208988800 to Unix time, and send it in network byte order"),
    check("service", "quote", Fits::Only("qotd"), services::quote,
        "a quote of 1 to 512 characters, then the end", "send one quote of at most 512 characters, then close"),
    check("service", "pattern", Fits::Only("chargen"), services::pattern,
        "lines of 72 characters, each one further along the ring of 95", "a line is 72 printable characters and CR LF; the next begins one character later"),
    check("service", "endless", Fits::Only("chargen"), services::endless,
        "a megabyte and no end", "go on for as long as the client reads"),
    check("service", "input-ignored", Fits::Only("chargen"), services::input_ignored,
        "what the client sends changes nothing", "read and drop what the client sends, while sending"),

    check("clients", "one-after-another", Fits::All, clients::one_after_another,
        "twenty connections, one after another", "accept in a loop: after one client the next"),
    check("clients", "vanish-in-request", Fits::All, clients::vanish_in_request,
        "a client that leaves in the middle of a request", ONE_CLIENT),
    check("clients", "reset-in-request", Fits::All, clients::reset_in_request,
        "a client that resets the connection in the middle of a request", ONE_CLIENT),
    check("clients", "reset-in-answer", Fits::All, clients::reset_in_answer,
        "a client that resets the connection while it is answered", ONE_CLIENT),
    check("clients", "reset-at-once", Fits::All, clients::reset_at_once,
        "a client that resets the connection before a word", ONE_CLIENT),
    check("clients", "second-client", Fits::All, clients::second_client,
        "a second client while the first is connected", "when the first client leaves, accept the next"),
    check("clients", "stalled-client", Fits::Measured, clients::stalled_client,
        "a second client while the first is in the middle of a request", "when the first client leaves, accept the next"),

    check("chance", "shuffle-uniform", Fits::Action("shuffle"), chance::shuffle_uniform,
        "all six orders of three characters are equally frequent", CHANCE),
    check("chance", "random-never-empty", Fits::Action("random"), chance::random_never_empty,
        "random leaves at least one character", "if every character was dropped, the answer is the first one"),
    check("chance", "random-statistics", Fits::Action("random"), chance::random_statistics,
        "one in six dropped, five in 36 repeated floor(X) times, X Pareto with shape 1", "drop with 1/6; of the rest, repeat with 1/6, floor(1/(1-U)) times; keep the others as they are"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_hints_are_sentences() {
        let mut names = HashSet::new();
        for check in CHECKS {
            assert!(names.insert(check.name), "{} stands twice", check.name);
            assert!(check.hint.len() > 20 && !check.hint.ends_with('.'), "{}: {}", check.name, check.hint);
        }
        let groups: HashSet<_> = CHECKS.iter().map(|check| check.group).collect();
        assert!(groups.is_disjoint(&names));
    }

    #[test]
    fn every_judged_protocol_has_checks_and_frame_has_more_than_forty() {
        for name in JUDGED {
            assert!(checks(ClientProtocol::by_name(name).unwrap()).count() >= 7, "{name}");
        }
        assert!(checks(ClientProtocol::by_name("frame").unwrap()).count() >= 40);
        assert_eq!(checks(ClientProtocol::by_name("ack").unwrap()).count(), 0);
    }
}
