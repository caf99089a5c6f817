//! Checks of shuffle and random, whose replies are random.
//!
//! Statistics have bounds that a correct server misses less than once in a million runs; the arithmetic is at each
//! check and in [`bounds`](crate::client::check::bounds).

use std::collections::HashMap;

use crate::client::check::bounds::acceptance_bounds;
use crate::client::check::connection::TestConnection;
use crate::client::check::context::CheckContext;
use crate::client::check::failure::{CheckFailure, CheckResult};
use crate::client::judge::mismatch::Observed;
use crate::client::judge::outcome::Pass;

/// Bytes of a reply that are judged, at most.
///
/// Chosen: enough for every reply of shuffle, and for all but one in a thousand of the longest replies of random that a
/// check requests; the beginning of a longer one is judged in the same way. The memory of a check is a small multiple.
const MAX_JUDGED: usize = 4 << 20;

/// Requests an action, and returns the reply as text, or the first [`MAX_JUDGED`] bytes of it.
fn request_text(
    context: &CheckContext,
    connection: &mut TestConnection,
    action: &str,
    message: &str,
) -> Result<String, CheckFailure> {
    connection.send(&context.request(action, message.as_bytes()))?;
    let limit = context.max_reply_len(action, message.as_bytes());
    let mut reply = connection.reply(context.framing(message.as_bytes()), limit, MAX_JUDGED)?;
    if reply.len() == MAX_JUDGED {
        // There may be more of it, and then the next reply cannot be found.
        *connection = context.connect()?;
        drop_split_character(&mut reply);
    }
    String::from_utf8(reply).map_err(|error| {
        let received = Observed::Bytes(error.into_bytes());
        CheckFailure { received, ..connection.failure("text in UTF-8", "") }
            .with_hint("characters of several bytes were taken apart: decode the text, and work on characters")
    })
}

/// Removes the incomplete character at the end of a text that was cut.
fn drop_split_character(text: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(text) {
        if error.error_len().is_none() {
            text.truncate(error.valid_up_to());
        }
    }
}

fn wrong_text(connection: &TestConnection, expected: &str, received: String) -> CheckFailure {
    CheckFailure { received: Observed::Bytes(received.into_bytes()), ..connection.failure(expected, "") }
}

fn sorted(text: &str) -> Vec<char> {
    let mut characters: Vec<_> = text.chars().collect();
    characters.sort_unstable();
    characters
}

fn expect_permutation(context: &CheckContext, message: &str) -> CheckResult {
    let mut connection = context.connect()?;
    let reply = request_text(context, &mut connection, "shuffle", message)?;
    if sorted(&reply) != sorted(message) {
        return Err(wrong_text(&connection, "the same characters in another order", reply));
    }
    // A correct shuffle of 26 characters or more leaves all in their places once in 26! times.
    if reply == message {
        return Err(wrong_text(&connection, "the same characters in another order", reply)
            .with_hint("the text was returned unchanged: is the shuffled copy what is sent?"));
    }
    Ok(Pass::Clean)
}

pub fn shuffle(context: &CheckContext) -> CheckResult {
    expect_permutation(context, "abcdefghijklmnopqrstuvwxyz")
}

pub fn shuffle_characters(context: &CheckContext) -> CheckResult {
    expect_permutation(
        context,
        "a\u{e9}\u{6f22}\u{1f600}b\u{436}\u{5b57}\u{1f601}c\u{3b1}\u{6587}\u{1f602}d\u{df}\u{4e2d}\u{1f603}efghijklmnop",
    )
}

/// Whether the reply consists of characters of the message in their order, some dropped, some repeated.
fn is_in_order(message: &str, reply: &str) -> bool {
    let mut rest = message.chars().peekable();
    reply.chars().all(|wanted| {
        while rest.peek().is_some_and(|&next| next != wanted) {
            rest.next();
        }
        rest.peek().is_some()
    })
}

pub fn random(context: &CheckContext) -> CheckResult {
    let message = "abcdefghijklmnopqrstuvwxyz0123456789\u{e9}\u{6f22}\u{1f600}";
    let mut connection = context.connect()?;
    let reply = request_text(context, &mut connection, "random", message)?;
    if !is_in_order(message, &reply) {
        let expected = "characters of the text in their order, some dropped, some repeated";
        return Err(wrong_text(&connection, expected, reply));
    }
    Ok(Pass::Clean)
}

/// 60 messages of one character. A server without the rule replies to all of them with a character with a probability
/// of (5/6)^60, one in 56,000.
pub fn random_never_empty(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    for _ in 0..60 {
        let reply = request_text(context, &mut connection, "random", "x")?;
        if reply.is_empty() || reply.chars().any(|character| character != 'x') {
            return Err(wrong_text(&connection, "x, once or more", reply));
        }
    }
    Ok(Pass::Clean)
}

/// The number of shuffles of three characters that are counted.
///
/// Derived: the [`acceptance_bounds`] for 30,000 trials with a chance of 1/6 are about 5,000 +- 395. The well-known
/// wrong shuffle, which swaps each position with any other, has orders with a chance of 4/27 and of 5/27: it is at
/// 4,444 and 5,556, eight standard deviations away and well outside. Six orders with two sides each: a correct server
/// fails with a probability of at most 12 times [`FALSE_ALARM_RATE`](crate::client::check::bounds::FALSE_ALARM_RATE),
/// about one in eight million.
const SHUFFLES: usize = 30_000;

/// Shuffles that are requested with one call. Chosen: their requests and replies, 7 bytes each, fill no socket buffer.
const SHUFFLE_BATCH: usize = 1000;

pub fn shuffle_uniform(context: &CheckContext) -> CheckResult {
    let mut connection = context.connect()?;
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
    let (framing, limit) = (context.framing(b"abc"), context.max_reply_len("shuffle", b"abc"));
    for _ in 0..SHUFFLES / SHUFFLE_BATCH {
        connection.send(&context.request("shuffle", b"abc").repeat(SHUFFLE_BATCH))?;
        for _ in 0..SHUFFLE_BATCH {
            *counts.entry(connection.reply(framing, limit, limit)?).or_default() += 1;
        }
    }
    let accepted = acceptance_bounds(SHUFFLES, 1.0 / 6.0);
    for order in ["abc", "acb", "bac", "bca", "cab", "cba"] {
        let count = counts.get(order.as_bytes()).copied().unwrap_or(0);
        if !accepted.contains(&count) {
            let (min, max) = (accepted.start(), accepted.end());
            let expected = format!("each order {min} to {max} times in {SHUFFLES} shuffles of `abc`");
            return Err(connection.failure(expected, format!("{order} {count} times")));
        }
    }
    Ok(Pass::Clean)
}

/// Different characters in the message of [`random_statistics`]. Chosen: the bounds are narrow, and the message short.
const CHARACTERS: usize = 6000;

/// Characters of them that must have been decided before the reply ended. Chosen: with fewer, a wrong server could be
/// within the bounds.
const MIN_DECIDED: usize = 2000;

/// Counts what became of 6,000 different characters, by three events: dropped (1/6), repeated at all (twice or more:
/// 5/36 * 1/2), repeated four times or more (5/36 * 1/4; `floor(X) >= k` has the chance 1/k). Each count must be within
/// the [`acceptance_bounds`], which a correct server misses with a probability of at most 6 times
/// [`FALSE_ALARM_RATE`](crate::client::check::bounds::FALSE_ALARM_RATE), about one in sixteen million.
///
/// The distribution has a heavy tail: a server may reach its longest reply before the last character (a repetition of k
/// has the chance 1/k), or this check the end of its [`MAX_JUDGED`] bytes. The characters after that are missing, not
/// dropped: only characters before the last one that is there are counted. When these are too few, which has a chance
/// of 1 in 160,000 with replies of up to 134 MB, but is likely with a small `--max-message`, the check sends its
/// request again, and after the third time passes with a note.
pub fn random_statistics(context: &CheckContext) -> CheckResult {
    let message: Vec<char> = ('\u{4e00}'..).take(CHARACTERS).collect();
    let text: String = message.iter().collect();
    let mut connection = context.connect()?;
    for _ in 0..3 {
        let reply = request_text(context, &mut connection, "random", &text)?;
        if !is_in_order(&text, &reply) {
            return Err(connection.failure("characters of the text in their order", "others"));
        }
        let counts = repetitions(&message, &reply);
        if counts.len() >= MIN_DECIDED {
            return expect_plausible(&connection, &counts);
        }
    }
    Ok(Pass::WithNote("the replies are too short for statistics: is the server's message limit small?".into()))
}

/// The number of times that each character of the message is in the reply, up to the last one that is.
fn repetitions(message: &[char], reply: &str) -> Vec<usize> {
    let mut times: HashMap<char, usize> = HashMap::new();
    reply.chars().for_each(|character| *times.entry(character).or_default() += 1);
    let counts: Vec<_> = message.iter().map(|character| times.get(character).copied().unwrap_or(0)).collect();
    let last = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
    counts[..last].to_vec()
}

/// An event that may happen to a character.
struct RandomEvent {
    name: &'static str,
    chance: f64,
    /// Whether it happened to a character that is in the reply this number of times.
    happened: fn(usize) -> bool,
}

const EVENTS: [RandomEvent; 3] = [
    RandomEvent { name: "dropped", chance: 1.0 / 6.0, happened: |times| times == 0 },
    RandomEvent { name: "repeated", chance: 5.0 / 72.0, happened: |times| times >= 2 },
    RandomEvent { name: "repeated four times or more", chance: 5.0 / 144.0, happened: |times| times >= 4 },
];

fn expect_plausible(connection: &TestConnection, counts: &[usize]) -> CheckResult {
    for RandomEvent { name, chance, happened } in EVENTS {
        let hits = counts.iter().filter(|&&times| happened(times)).count();
        let accepted = acceptance_bounds(counts.len(), chance);
        if !accepted.contains(&hits) {
            let (min, max) = (accepted.start(), accepted.end());
            let expected = format!("{min} to {max} of {} characters {name}", counts.len());
            return Err(connection.failure(expected, format!("{hits} were {name}")));
        }
    }
    Ok(Pass::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_characters_is_verified() {
        for reply in ["", "abc", "aac", "cccc", "b"] {
            assert!(is_in_order("abc", reply), "{reply}");
        }
        for reply in ["ba", "abcx", "cb"] {
            assert!(!is_in_order("abc", reply), "{reply}");
        }
    }

    #[test]
    fn split_character_at_the_end_is_dropped() {
        for (cut, length) in [("a\u{6f22}", 4), ("a\u{6f22}b", 5), ("a", 1), ("", 0)] {
            let mut text = cut.as_bytes().to_vec();
            drop_split_character(&mut text);
            assert_eq!(text.len(), length, "{cut}");
        }
        let mut text = "a\u{6f22}".as_bytes()[..3].to_vec();
        drop_split_character(&mut text);
        assert_eq!(text, b"a");
        let mut invalid = b"a\xff".to_vec();
        drop_split_character(&mut invalid);
        assert_eq!(invalid, b"a\xff");
    }

    #[test]
    fn repetitions_are_counted_up_to_the_last_character_that_is_there() {
        assert_eq!(repetitions(&['a', 'b', 'c', 'd', 'e'], "aacc"), [2, 0]);
        assert_eq!(repetitions(&['a', 'b'], ""), Vec::<usize>::new());
    }
}
