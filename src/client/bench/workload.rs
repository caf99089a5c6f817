//! What a benchmark asks for: one request, over and over, and what is known of its answer.

use crate::client::client_protocol::{ClientProtocol, ConnectionUse, ReplyFraming};
use crate::client::failure::Failure;
use crate::client::options::{BenchOptions, TextKind, Verify};
use crate::transform::Action;

use super::judge::{Content, Judge, Length};

/// A request, and the judge of its answers.
#[derive(Debug)]
pub struct Workload {
    /// The bytes of one request.
    pub request: Vec<u8>,
    /// Judges the answers.
    pub judge: Judge,
}

/// The action where none is named.
const DEFAULT_ACTION: &str = "uppercase";

const MIXED: &str = "\u{e9}t\u{e9} na\u{ef}ve \u{e7}a \u{43f}\u{440}\u{438}\u{432}\u{435}\u{442} \u{43c}\u{438}\u{440} \u{6f22}\u{5b57}\u{6587}\u{5b57} ";

impl Workload {
    /// What the options ask for, if that can be measured.
    pub fn new(options: &BenchOptions) -> Result<Self, Failure> {
        let dialogue = options.protocol;
        measurable(options)?;
        let action = action(options)?;
        let message = if dialogue.takes_messages() { text(options.text, options.size) } else { Vec::new() };
        let mut request = Vec::new();
        dialogue.write_request(action, &message, &mut request).map_err(Failure::cannot_run)?;
        Ok(Self { request, judge: judge(dialogue, action, &message, options.verify) })
    }
}

fn measurable(options: &BenchOptions) -> Result<(), Failure> {
    let name = options.protocol.name();
    match options.protocol.connection_use() {
        ConnectionUse::NoReply => Err(Failure::cannot_run(format!("{name} answers nothing that could be measured"))),
        ConnectionUse::Streaming => Err(Failure::cannot_run(format!("{name} has no end that could be measured"))),
        ConnectionUse::Sequential if options.depth.is_some_and(|depth| depth > 1) || options.rate.is_some() => Err(
            Failure::cannot_run(format!("answers of {name} have no mark between them: only --depth 1 can be measured")),
        ),
        ConnectionUse::PerRequest if options.depth.is_some_and(|depth| depth > 1) => {
            Err(Failure::cannot_run(format!("{name} closes after an answer: --depth has no meaning")))
        }
        _ if options.size == 0 && options.protocol.framing(b"") == ReplyFraming::Fixed(0) => {
            Err(Failure::cannot_run(format!("an empty message has no answer in {name}: give a --size")))
        }
        _ => Ok(()),
    }
}

fn action(options: &BenchOptions) -> Result<&str, Failure> {
    match &options.action {
        Some(_) if !options.protocol.has_actions() => {
            Err(Failure::cannot_run(format!("protocol {} has no actions", options.protocol.name())))
        }
        Some(action) => Ok(action),
        None => Ok(DEFAULT_ACTION),
    }
}

/// So many bytes of text; where a character does not fit at the end, spaces.
fn text(kind: TextKind, size: usize) -> Vec<u8> {
    let unit: Vec<u8> = match kind {
        TextKind::Ascii => (b'a'..=b'z').collect(),
        TextKind::Mixed => MIXED.as_bytes().to_vec(),
    };
    let mut text: Vec<u8> = unit.iter().copied().cycle().take(size).collect();
    let whole = std::str::from_utf8(&text).map_or_else(|error| error.valid_up_to(), str::len);
    text[whole..].fill(b' ');
    text
}

fn judge(dialogue: ClientProtocol, action: &str, message: &[u8], verify: Verify) -> Judge {
    let framing = dialogue.framing(message);
    let length = match dialogue.expected_length(action, message) {
        Some(length) => Length::Exactly(length),
        None => Length::AtMost(dialogue.longest_answer(None)),
    };
    match (verify, dialogue.expected(action, message)) {
        (Verify::Content, Some(answer)) if framing != ReplyFraming::CloseDelimited => {
            Judge::of_pattern(&dialogue.wire_answer(&answer), dialogue.wire_answer(&answer).len() - answer.len())
        }
        (Verify::Content, Some(answer)) => Judge::of_each(framing, length, Content::Exactly(answer)),
        (Verify::Content, None) => Judge::of_each(framing, length, content(dialogue.action(action), message)),
        (Verify::Length, _) => Judge::of_each(framing, length, Content::Anything),
    }
}

/// What can be said of an answer that chance decides.
fn content(action: Option<Action>, message: &[u8]) -> Content {
    match action {
        Some(Action::Shuffle) => Content::permutation(message),
        Some(Action::Random) => Content::selection(message),
        _ => Content::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_length_asked_for_and_are_text() {
        for kind in [TextKind::Ascii, TextKind::Mixed] {
            for size in 0..200 {
                let text = text(kind, size);
                assert_eq!(text.len(), size);
                assert!(std::str::from_utf8(&text).is_ok(), "{kind:?} {size}");
            }
        }
    }
}
