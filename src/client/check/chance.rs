//! Checks of shuffle and random, whose answers chance decides.
//!
//! Statistics hold bounds that a correct server misses less than once in a million runs; the arithmetic stands at each
//! check and in [`statistics`](super::statistics).

use std::collections::HashMap;

use super::context::Context;
use super::flaw::{Flaw, Remark, Seen};
use super::probe::Probe;
use super::statistics::believable;

type Checked = Result<Remark, Flaw>;

/// How many bytes of an answer are judged.
///
/// Chosen: enough for every answer of shuffle, and for all but one in a thousand of the longest answers of random that a
/// check asks for; what little is judged of a longer one is judged in the same way. The memory of a check is a small
/// multiple.
const ENOUGH: usize = 4 << 20;

/// Asks for an action, and returns the answer as text, or the first [`ENOUGH`] bytes of it.
fn ask(context: &Context, probe: &mut Probe, action: &str, message: &str) -> Result<String, Flaw> {
    probe.send(&context.request(action, message.as_bytes()))?;
    let most = context.longest_answer(action, message.as_bytes());
    let mut answer = probe.answer(context.framing(message.as_bytes()), most, ENOUGH)?;
    if answer.len() == ENOUGH {
        // There may be more of it, and then the next answer cannot be found.
        *probe = context.connect()?;
        cut_between_characters(&mut answer);
    }
    String::from_utf8(answer).map_err(|error| {
        let came = Seen::Bytes(error.into_bytes());
        Flaw { came, ..probe.flaw("text in UTF-8", "") }
            .with_hint("characters of several bytes were taken apart: decode the text, and work on characters")
    })
}

/// Removes the beginning of a character from the end of a text that was cut.
fn cut_between_characters(text: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(text) {
        if error.error_len().is_none() {
            text.truncate(error.valid_up_to());
        }
    }
}

fn wrong(probe: &Probe, expected: &str, came: String) -> Flaw {
    Flaw { came: Seen::Bytes(came.into_bytes()), ..probe.flaw(expected, "") }
}

fn sorted(text: &str) -> Vec<char> {
    let mut characters: Vec<_> = text.chars().collect();
    characters.sort_unstable();
    characters
}

fn permutation(context: &Context, message: &str) -> Checked {
    let mut probe = context.connect()?;
    let answer = ask(context, &mut probe, "shuffle", message)?;
    if sorted(&answer) != sorted(message) {
        return Err(wrong(&probe, "the same characters in another order", answer));
    }
    // All of these characters in their old places: once in 26! shuffles.
    if answer == message {
        return Err(wrong(&probe, "the same characters in another order", answer)
            .with_hint("the text came back as it was: is the shuffled copy what is sent?"));
    }
    Ok(Remark::Passed)
}

pub(super) fn shuffle(context: &Context) -> Checked {
    permutation(context, "abcdefghijklmnopqrstuvwxyz")
}

pub(super) fn shuffle_characters(context: &Context) -> Checked {
    permutation(
        context,
        "a\u{e9}\u{6f22}\u{1f600}b\u{436}\u{5b57}\u{1f601}c\u{3b1}\u{6587}\u{1f602}d\u{df}\u{4e2d}\u{1f603}efghijklmnop",
    )
}

/// Whether every character of the answer stands in the message, in the same order.
fn in_order(message: &str, answer: &str) -> bool {
    let mut rest = message.chars().peekable();
    answer.chars().all(|wanted| {
        while rest.peek().is_some_and(|&next| next != wanted) {
            rest.next();
        }
        rest.peek().is_some()
    })
}

pub(super) fn random(context: &Context) -> Checked {
    let message = "abcdefghijklmnopqrstuvwxyz0123456789\u{e9}\u{6f22}\u{1f600}";
    let mut probe = context.connect()?;
    let answer = ask(context, &mut probe, "random", message)?;
    if !in_order(message, &answer) {
        return Err(wrong(&probe, "characters of the text in their order, some dropped, some repeated", answer));
    }
    Ok(Remark::Passed)
}

/// 60 messages of one character: a server without the rule leaves all of them non-empty with (5/6)^60, once in 56,000.
pub(super) fn random_never_empty(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    for _ in 0..60 {
        let answer = ask(context, &mut probe, "random", "x")?;
        if answer.is_empty() || answer.chars().any(|character| character != 'x') {
            return Err(wrong(&probe, "x, once or more", answer));
        }
    }
    Ok(Remark::Passed)
}

/// How many shuffles of three characters are counted.
///
/// The bounds of [`believable`] for 30,000 trials with a chance of 1/6 are about 5,000 +- 395. The well-known wrong
/// shuffle, which swaps each position with any other, has orders with a chance of 4/27 and of 5/27: it is at 4,444 and
/// 5,556, eight standard deviations away and well outside. Six orders with two sides each: a correct server fails with at most 12 times
/// [`MISS`](super::statistics::MISS), about one in eight million.
const SHUFFLES: usize = 30_000;

pub(super) fn shuffle_uniform(context: &Context) -> Checked {
    let mut probe = context.connect()?;
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
    let (framing, most) = (context.framing(b"abc"), context.longest_answer("shuffle", b"abc"));
    for _ in 0..SHUFFLES / 1000 {
        probe.send(&context.request("shuffle", b"abc").repeat(1000))?;
        for _ in 0..1000 {
            *counts.entry(probe.answer(framing, most, most)?).or_default() += 1;
        }
    }
    let (least, most) = believable(SHUFFLES, 1.0 / 6.0);
    for order in ["abc", "acb", "bac", "bca", "cab", "cba"] {
        let count = counts.get(order.as_bytes()).copied().unwrap_or(0);
        if !(least..=most).contains(&count) {
            let expected = format!("each order {least} to {most} times in {SHUFFLES} shuffles of `abc`");
            return Err(probe.flaw(expected, format!("{order} came {count} times")));
        }
    }
    Ok(Remark::Passed)
}

/// How many different characters the message of [`random_statistics`] has.
const CHARACTERS: usize = 6000;

/// How many of them must have been decided before the answer was full.
const DECIDED: usize = 2000;

/// Counts what became of 6,000 different characters, by three events: dropped (1/6), repeated at all (twice or more:
/// 5/36 * 1/2), repeated four times or more (5/36 * 1/4; `floor(X) >= k` has the chance 1/k). Each count must be
/// [`believable`], which a correct server fails with at most 6 times [`MISS`](super::statistics::MISS), about one in
/// sixteen million.
///
/// The tail is so heavy that a server may reach its longest answer before the last character (a repetition of k has
/// the chance 1/k), or this check the end of its [`ENOUGH`] bytes. What comes after is then missing, not dropped: only
/// characters before the last one that is there are counted. When these are too few, which has a chance of 1 in 160,000 with answers of up to 134 MB, but is likely with a small
/// `--max-message`, the check asks again and then gives up with a note.
pub(super) fn random_statistics(context: &Context) -> Checked {
    let message: Vec<char> = ('\u{4e00}'..).take(CHARACTERS).collect();
    let text: String = message.iter().collect();
    let mut probe = context.connect()?;
    for _ in 0..3 {
        let answer = ask(context, &mut probe, "random", &text)?;
        if !in_order(&text, &answer) {
            return Err(probe.flaw("characters of the text in their order", "others"));
        }
        let counts = repetitions(&message, &answer);
        if counts.len() >= DECIDED {
            return believed(&probe, &counts);
        }
    }
    Ok(Remark::Note("the answers are too short to count much: is the server's message limit small?".into()))
}

/// How often each character of the message is in the answer, up to the last one that is.
fn repetitions(message: &[char], answer: &str) -> Vec<usize> {
    let mut times: HashMap<char, usize> = HashMap::new();
    answer.chars().for_each(|character| *times.entry(character).or_default() += 1);
    let counts: Vec<_> = message.iter().map(|character| times.get(character).copied().unwrap_or(0)).collect();
    let last = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
    counts[..last].to_vec()
}

/// Whether the event happened to a character that is there so many times.
type Happened = fn(usize) -> bool;

fn believed(probe: &Probe, counts: &[usize]) -> Checked {
    let events: [(&str, f64, Happened); 3] = [
        ("dropped", 1.0 / 6.0, |times| times == 0),
        ("repeated", 5.0 / 72.0, |times| times >= 2),
        ("repeated four times or more", 5.0 / 144.0, |times| times >= 4),
    ];
    for (event, chance, happened) in events {
        let hits = counts.iter().filter(|&&times| happened(times)).count();
        let (least, most) = believable(counts.len(), chance);
        if !(least..=most).contains(&hits) {
            let expected = format!("{least} to {most} of {} characters {event}", counts.len());
            return Err(probe.flaw(expected, format!("{hits} were {event}")));
        }
    }
    Ok(Remark::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_by_what_random_may_do() {
        for answer in ["", "abc", "aac", "cccc", "b"] {
            assert!(in_order("abc", answer), "{answer}");
        }
        for answer in ["ba", "abcx", "cb"] {
            assert!(!in_order("abc", answer), "{answer}");
        }
    }

    #[test]
    fn a_cut_text_ends_with_a_whole_character() {
        for (cut, whole) in [("a\u{6f22}", 4), ("a\u{6f22}b", 5), ("a", 1), ("", 0)] {
            let mut text = cut.as_bytes().to_vec();
            cut_between_characters(&mut text);
            assert_eq!(text.len(), whole, "{cut}");
        }
        let mut text = "a\u{6f22}".as_bytes()[..3].to_vec();
        cut_between_characters(&mut text);
        assert_eq!(text, b"a");
        let mut wrong = b"a\xff".to_vec();
        cut_between_characters(&mut wrong);
        assert_eq!(wrong, b"a\xff");
    }

    #[test]
    fn only_what_was_decided_is_counted() {
        assert_eq!(repetitions(&['a', 'b', 'c', 'd', 'e'], "aacc"), [2, 0]);
        assert_eq!(repetitions(&['a', 'b'], ""), Vec::<usize>::new());
    }
}
