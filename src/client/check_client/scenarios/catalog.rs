//! The list of scenarios.

use super::{actions, ends, faults, input, invocation, messages, pipelining, replies};
use crate::client::check_client::definition::{AppliesTo, Scenario};
use crate::client::check_client::mistakes::{BYTE_ORDER, CHARACTERS, NO_END};
use crate::client::client_protocol::ClientProtocol;
use AppliesTo::{All, Frames, Only, WithAction, WithLengths};

/// The scenarios of a protocol, in order.
pub fn of(protocol: ClientProtocol) -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().filter(move |scenario| scenario.applies_to.includes(protocol))
}

const LOOP: &str = "recv was called once for the data: loop until LENGTH bytes have arrived";
const PLAIN: &str = "send the header and the message, print the data of the reply, without its header, a newline, and nothing else, and end with exit code 0";
const ERRORS: &str = "print the reason on standard error, and end with an exit code other than 0, sys.exit(1)";
const CLOSED: &str = "recv returns no bytes when the server has closed: report that on standard error, and exit with a code other than 0";
const PART: &str = "recv returned no bytes, so the reply is incomplete: print nothing of it, report the error, and exit with a code other than 0";
const RESETS: &str = "catch the error of recv (ConnectionResetError), report it, and exit with a code other than 0";
const FAMILIES: &str =
    "try every address of the host, IPv4 and IPv6, until one connects (socket.create_connection does)";

/// The scenarios of all protocols.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    Scenario { group: "actions", name: "uppercase", applies_to: WithAction("uppercase"), run: actions::uppercase,
        about: "a request for upper case, and its reply on a line",
        hint: PLAIN },
    Scenario { group: "actions", name: "lowercase", applies_to: WithAction("lowercase"), run: actions::lowercase,
        about: "a request for lower case",
        hint: PLAIN },
    Scenario { group: "actions", name: "title-case", applies_to: WithAction("title-case"), run: actions::title_case,
        about: "a request for title case",
        hint: PLAIN },
    Scenario { group: "actions", name: "reverse", applies_to: WithAction("reverse"), run: actions::reverse,
        about: "a request for the text backwards",
        hint: PLAIN },
    Scenario { group: "actions", name: "shuffle", applies_to: WithAction("shuffle"), run: actions::shuffle,
        about: "a request for a permutation, printed as the server chose it",
        hint: PLAIN },
    Scenario { group: "actions", name: "random", applies_to: WithAction("random"), run: actions::random,
        about: "a request for characters dropped and repeated, printed as the server chose them",
        hint: PLAIN },
    Scenario { group: "actions", name: "lines", applies_to: Only("echo"), run: actions::echo,
        about: "a message for each line, and a line for each reply",
        hint: "each line without its newline is a message, and its reply is printed on a line of its own" },
    Scenario { group: "actions", name: "error", applies_to: WithLengths, run: actions::error,
        about: "the reply error is printed as any other reply, and the next reply too",
        hint: "`error` is a reply with 5 bytes: print it, and go on with the next reply" },

    Scenario { group: "messages", name: "length-field", applies_to: Frames, run: messages::length_field,
        about: "a message of 258 bytes, whose length has two different bytes",
        hint: BYTE_ORDER },
    Scenario { group: "messages", name: "non-ascii", applies_to: All, run: messages::non_ascii,
        about: "characters of 2, 3 and 4 bytes in UTF-8",
        hint: CHARACTERS },
    Scenario { group: "messages", name: "spaces-in-message", applies_to: All, run: messages::spaces,
        about: "double spaces, tabs, and white space at the ends of messages",
        hint: "the message is everything behind the first space, as it is: line.split(' ', 1), and no strip()" },
    Scenario { group: "messages", name: "other-line-ends", applies_to: All, run: messages::other_line_ends,
        about: "a form feed, U+0085 or U+2028 in a message does not end the line",
        hint: "only a newline ends a line: str.splitlines() splits at other characters too; use split('\\n')" },
    Scenario { group: "messages", name: "8000000-bytes", applies_to: All, run: messages::long,
        about: "a message of 8,000,000 bytes, of which one send takes a part",
        hint: "send may send only part of a message: use sendall, or loop" },

    Scenario { group: "replies", name: "empty", applies_to: WithLengths, run: replies::empty,
        about: "an empty reply is an empty line",
        hint: "a reply of length 0 is whole after its header: it is not the end of the connection" },
    Scenario { group: "replies", name: "longer-reply", applies_to: WithAction("uppercase"), run: replies::longer,
        about: "a reply with more bytes than its request",
        hint: "the reply's own header says how long it is: it may be longer than the request" },
    Scenario { group: "replies", name: "spaces-in-reply", applies_to: WithAction("shuffle"), run: replies::spaces,
        about: "white space at the ends of a reply is printed",
        hint: "print the reply as it is, without strip()" },
    Scenario { group: "replies", name: "header-split", applies_to: WithLengths, run: replies::header_split,
        about: "the header of a reply arrives in two pieces, cut at every place",
        hint: "recv may return fewer bytes than requested: loop until the whole header has arrived" },
    Scenario { group: "replies", name: "header-apart", applies_to: WithLengths, run: replies::header_apart,
        about: "the data of a reply arrives after its header",
        hint: "the data need not arrive with the header: call recv again until LENGTH bytes have arrived" },
    Scenario { group: "replies", name: "data-split", applies_to: All, run: replies::data_split,
        about: "the data of a reply arrives in two pieces, cut at every place",
        hint: LOOP },
    Scenario { group: "replies", name: "code-point-split", applies_to: All, run: replies::code_point_split,
        about: "a reply is cut inside a character of several bytes",
        hint: "collect the bytes of the whole reply before they are decoded" },
    Scenario { group: "replies", name: "byte-by-byte", applies_to: All, run: replies::byte_by_byte,
        about: "every byte of the replies arrives alone",
        hint: "recv may return a single byte: loop until all bytes have arrived, of the header and of the data" },
    Scenario { group: "replies", name: "one-segment", applies_to: All, run: replies::one_segment,
        about: "the replies to all pending requests arrive together",
        hint: "bytes beyond the first reply were thrown away: keep them for the next one" },
    Scenario { group: "replies", name: "chunk-edges", applies_to: All, run: replies::chunk_edges,
        about: "replies of about 1024, 4096 and 65536 bytes",
        hint: "a reply that fills the buffer exactly is complete: count bytes, do not wait for a short read" },
    Scenario { group: "replies", name: "482164-bytes", applies_to: All, run: replies::long,
        about: "482,164 bytes, as in the course's own grader",
        hint: "the length may be far more than one recv returns, and more than 16 bits hold: loop until LENGTH bytes have arrived" },
    Scenario { group: "replies", name: "slow-server", applies_to: All, run: replies::slow_server,
        about: "a reply after one second",
        hint: "a server may take its time: wait for the reply, with a timeout of several seconds if any" },
    Scenario { group: "replies", name: "too-much", applies_to: WithLengths, run: replies::too_much,
        about: "a reply that belongs to no request is not printed",
        hint: "read one reply for each request, not until the connection ends" },

    Scenario { group: "pipelining", name: "pipelined", applies_to: Frames, run: pipelining::pipelined,
        about: "100 requests are sent on one connection before the first reply",
        hint: "send further requests on the same connection without waiting for the reply to the last one" },
    Scenario { group: "pipelining", name: "both-sides-full", applies_to: All, run: pipelining::both_sides_full,
        about: "16 MB of requests, to a server that reads nothing until its reply is taken",
        hint: "receive replies while requests are still being sent (a second thread, or select): otherwise both sides wait for each other" },

    Scenario { group: "ends", name: "client-closes", applies_to: All, run: ends::client_first,
        about: "the client closes or half-closes after the last reply, without waiting for the server",
        hint: NO_END },
    Scenario { group: "ends", name: "server-closes", applies_to: All, run: ends::server_first,
        about: "the server closes after the last reply: that is no error",
        hint: "when all replies have arrived, the end of the connection is no error" },

    Scenario { group: "faults", name: "closes-early", applies_to: All, run: faults::closes_early,
        about: "the server closes before the first reply",
        hint: CLOSED },
    Scenario { group: "faults", name: "closes-between", applies_to: All, run: faults::closes_between,
        about: "the server closes between two replies",
        hint: CLOSED },
    Scenario { group: "faults", name: "closes-in-header", applies_to: WithLengths, run: faults::closes_in_header,
        about: "the server closes inside the header of a reply",
        hint: PART },
    Scenario { group: "faults", name: "closes-in-reply", applies_to: All, run: faults::closes_in_reply,
        about: "the server closes inside a reply",
        hint: PART },
    Scenario { group: "faults", name: "resets", applies_to: All, run: faults::resets,
        about: "the server resets the connection before the first reply",
        hint: RESETS },
    Scenario { group: "faults", name: "resets-in-reply", applies_to: All, run: faults::resets_in_reply,
        about: "the server resets the connection inside a reply",
        hint: RESETS },
    Scenario { group: "faults", name: "refuses", applies_to: All, run: faults::refuses,
        about: "the server resets the connection as soon as it is made",
        hint: RESETS },
    Scenario { group: "faults", name: "absent", applies_to: All, run: faults::absent,
        about: "no server listens on the port",
        hint: "catch the error of connect (ConnectionRefusedError), report it, and exit with a code other than 0" },
    Scenario { group: "faults", name: "never-replies", applies_to: All, run: faults::never_replies,
        about: "the server reads and never replies: a client that stops waiting reports it",
        hint: ERRORS },
    Scenario { group: "faults", name: "huge-length", applies_to: WithLengths, run: faults::huge_length,
        about: "a header announces 2 GB, and the server closes",
        hint: PART },

    Scenario { group: "input", name: "standard-input", applies_to: All, run: input::standard_input,
        about: "`-` reads the requests from standard input",
        hint: "if FILE is `-`, read standard input, sys.stdin.buffer" },
    Scenario { group: "input", name: "no-final-newline", applies_to: All, run: input::no_final_newline,
        about: "the last line has no newline",
        hint: "the last line is a request even if no newline ends it" },
    Scenario { group: "input", name: "10000-lines", applies_to: All, run: input::many_lines,
        about: "10,000 requests",
        hint: "read the whole file, and print one line for each reply, in the order of the requests" },
    Scenario { group: "input", name: "crlf", applies_to: All, run: input::crlf,
        about: "lines that end with CR LF: the CR is kept or dropped, in all of them",
        hint: "treat a CR at the end of a line the same way in every line, and send and print the rest as it is" },
    Scenario { group: "input", name: "empty-lines", applies_to: All, run: input::empty_lines,
        about: "empty lines do not make other requests disappear",
        hint: "an empty line is no end of the file: skip it, or report an error" },
    Scenario { group: "input", name: "empty-file", applies_to: All, run: input::empty_file,
        about: "a file without requests: nothing is printed",
        hint: "without requests there are no replies: send and print nothing" },
    Scenario { group: "input", name: "invalid-utf-8", applies_to: All, run: input::invalid_utf_8,
        about: "a message that is not UTF-8 does not spoil the others",
        hint: "read the file as bytes, or report a line that is not UTF-8 as an error" },

    Scenario { group: "addresses", name: "localhost-v4", applies_to: All, run: invocation::localhost_v4,
        about: "localhost, where the server listens on 127.0.0.1 only",
        hint: FAMILIES },
    Scenario { group: "addresses", name: "localhost-v6", applies_to: All, run: invocation::localhost_v6,
        about: "localhost, where the server listens on ::1 only",
        hint: FAMILIES },

    Scenario { group: "command-line", name: "missing-file", applies_to: All, run: invocation::missing_file,
        about: "a file that does not exist is an error: on standard error, with an exit code other than 0",
        hint: ERRORS },
    Scenario { group: "command-line", name: "bad-port", applies_to: All, run: invocation::bad_port,
        about: "a port that is none is an error: on standard error, with an exit code other than 0",
        hint: ERRORS },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_no_groups() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let groups: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.group).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        assert_eq!(names.intersection(&groups).count(), 0);
    }

    #[test]
    fn groups_are_contiguous() {
        let mut groups: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.group).collect();
        groups.dedup();
        assert_eq!(groups.len(), groups.iter().collect::<BTreeSet<_>>().len(), "{groups:?}");
    }

    #[test]
    fn texts_are_one_sentence_without_a_period() {
        for text in SCENARIOS.iter().flat_map(|scenario| [scenario.about, scenario.hint]) {
            assert!(!text.is_empty() && !text.ends_with('.') && !text.contains(". "), "{text}");
        }
    }

    #[test]
    fn every_protocol_has_scenarios() {
        for (name, least) in [("frame", 45), ("frame-2021", 45), ("text", 45), ("echo", 30)] {
            let number = of(ClientProtocol::by_name(name).unwrap()).count();
            assert!(number >= least, "{name}: {number}");
        }
    }

    #[test]
    fn every_action_has_a_scenario() {
        for protocol in ["frame", "frame-2021", "text"] {
            let protocol = ClientProtocol::by_name(protocol).unwrap();
            for action in protocol.actions() {
                assert!(of(protocol).any(|scenario| scenario.name == action.name()), "{action:?}");
            }
        }
    }
}
