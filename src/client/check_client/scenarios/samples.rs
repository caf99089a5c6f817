//! Texts with their replies, written out by hand.

#![allow(clippy::cast_possible_truncation, reason = "the remainder of a division by 26 fits in a byte")]

use crate::client::check_client::plan::Exchange;
use crate::client::client_protocol::ClientProtocol;

/// A request, and the reply that the server sends.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    action: &'static str,
    message: &'static str,
    reply: &'static str,
}

const fn sample(action: &'static str, message: &'static str, reply: &'static str) -> Sample {
    Sample { action, message, reply }
}

/// Upper case.
pub const UPPERCASE: Sample = sample("uppercase", "Pretty Fly for a Wi-Fi", "PRETTY FLY FOR A WI-FI");
/// Lower case.
pub const LOWERCASE: Sample = sample("lowercase", "WI-FIght the Inevitable?", "wi-fight the inevitable?");
/// Title case.
pub const TITLE_CASE: Sample = sample("title-case", "bill wi the SCIENCE fi", "Bill Wi The Science Fi");
/// The text backwards.
pub const REVERSE: Sample = sample("reverse", "The LAN Before Time", "emiT erofeB NAL ehT");
/// A permutation.
pub const SHUFFLE: Sample = sample("shuffle", "Drop it like its hotspot", "sthoio p p Dtresolt tiik");
/// Characters dropped and repeated, as `random` does.
pub const RANDOM: Sample = sample("random", "It Hurts When IP", "Ittt HHurs hen IIIIP");
/// Each `ΐ` has three code points in upper case: 6 bytes for 2. `ŉ` has two, 3 bytes for 2.
pub const LONGER: Sample = sample(
    "uppercase",
    "\u{390}\u{390}\u{390} stra\u{df}e \u{149}",
    "\u{399}\u{308}\u{301}\u{399}\u{308}\u{301}\u{399}\u{308}\u{301} STRASSE \u{2bc}N",
);
/// White space at both ends of a reply to a message that has none there.
pub const SPACES_IN_REPLY: Sample = sample("shuffle", "a b c d", "  adcb ");

/// The requests of scenarios in which the requests do not matter.
const ANY: &[Sample] = &[
    UPPERCASE,
    sample("reverse", "LAN solo", "olos NAL"),
    sample("lowercase", "Martin Router King", "martin router king"),
];

impl Sample {
    /// The request in this protocol: without actions, an echo.
    #[must_use]
    pub fn exchange(self, protocol: ClientProtocol) -> Exchange {
        if protocol.has_actions() {
            Exchange::new(self.action, self.message, self.reply)
        } else {
            Exchange::new("", self.message, self.message)
        }
    }
}

/// Requests whose content does not matter: one in `text`, because a client may take a request as arguments, else three.
#[must_use]
pub fn any(protocol: ClientProtocol) -> Vec<Exchange> {
    let number = if takes_arguments(protocol) { 1 } else { ANY.len() };
    ANY[..number].iter().map(|sample| sample.exchange(protocol)).collect()
}

/// Whether the clients of this protocol may take one request, as arguments.
#[must_use]
pub fn takes_arguments(protocol: ClientProtocol) -> bool {
    protocol.name() == "text"
}

/// A request for the text backwards; in protocols without actions, for an echo.
#[must_use]
pub fn reversed(protocol: ClientProtocol, message: &str) -> Exchange {
    if protocol.has_actions() {
        Exchange::new("reverse", message, message.chars().rev().collect::<String>())
    } else {
        Exchange::new("", message, message)
    }
}

/// `length` bytes of ASCII in which neighbouring portions differ, so that a misplaced portion is noticed.
#[must_use]
pub fn text(length: usize) -> String {
    (0..length).map(|i| char::from(b'a' + ((i + i / 26 + i / 1000) % 26) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The replies are written by hand; the daemon's own transforms agree with them where chance does not decide.
    #[test]
    fn replies_are_those_of_a_correct_server() {
        let text = ClientProtocol::by_name("text").unwrap();
        for sample in [UPPERCASE, LOWERCASE, TITLE_CASE, REVERSE, LONGER].iter().chain(ANY) {
            let expected = text.expected(sample.action, sample.message.as_bytes());
            assert_eq!(expected.as_deref(), Some(sample.reply.as_bytes()), "{sample:?}");
        }
        for message in ["na\u{ef}ve \u{6f22}", "  x "] {
            let exchange = reversed(text, message);
            assert_eq!(text.expected("reverse", message.as_bytes()), Some(exchange.reply));
        }
    }

    #[test]
    fn shuffled_replies_are_permutations() {
        for sample in [SHUFFLE, SPACES_IN_REPLY] {
            let sorted = |text: &str| {
                let mut characters: Vec<char> = text.chars().collect();
                characters.sort_unstable();
                characters
            };
            assert_eq!(sorted(sample.message), sorted(sample.reply), "{sample:?}");
        }
    }

    #[test]
    fn longer_reply_is_longer() {
        assert!(LONGER.reply.len() > LONGER.message.len() + 10);
    }

    #[test]
    fn portions_of_a_text_differ() {
        let text = text(482_164);
        assert_eq!(text.len(), 482_164);
        assert_ne!(text[..1000], text[1000..2000]);
        assert_ne!(text[..65_536], text[65_536..131_072]);
    }
}
