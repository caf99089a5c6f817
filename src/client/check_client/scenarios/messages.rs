//! Requests: the header, and the message as it is in the line.

use super::judging::passes_with_any_code;
use super::samples::{reversed, takes_arguments, text};
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Exchange, Plan};
use crate::client::check_client::trial::Trial;
use crate::client::client_protocol::ERROR_TEXT;
use crate::client::judge::outcome::Pass;

/// Runs the client with these messages: in one run, or one after another if it may take its request as arguments.
fn pass_with(trial: &Trial, messages: &[&str]) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchanges: Vec<_> = messages.iter().map(|message| reversed(protocol, message)).collect();
    let in_one_run = if takes_arguments(protocol) { 1 } else { exchanges.len() };
    for exchanges in exchanges.chunks(in_one_run) {
        trial.passes(Plan::new(protocol, exchanges.to_vec()))?;
    }
    Ok(Pass::Clean)
}

/// 258 is 0x0102: the bytes of its length differ.
pub fn length_field(trial: &Trial) -> ScenarioResult {
    pass_with(trial, &[&text(258)])
}

pub fn non_ascii(trial: &Trial) -> ScenarioResult {
    pass_with(trial, &["na\u{ef}ve \u{6f22}\u{5b57} \u{1f600}!", "\u{e9}"])
}

pub fn spaces(trial: &Trial) -> ScenarioResult {
    pass_with(trial, &["two  words", "  behind two spaces", "before two spaces  ", "a\ttab\t"])
}

/// Characters at which functions of several languages split lines: U+000B, U+000C, U+001C, U+0085, U+2028.
pub fn other_line_ends(trial: &Trial) -> ScenarioResult {
    pass_with(trial, &["a\u{b}b\u{c}c\u{1c}d", "e\u{85}f\u{2028}g"])
}

/// The length of a message that one call of send(2) does not take. Derived: twice the largest send buffer, 4 MiB (tcp(7),
/// `tcp_wmem`), because the server takes bytes meanwhile.
const LONG: usize = 8_000_000;

/// The reply is that of a server whose limit is less, so that a client that receives slowly still passes.
pub fn long(trial: &Trial) -> ScenarioResult {
    let (protocol, message) = (trial.protocol(), text(LONG));
    let exchange = reversed(protocol, &message);
    let reply = if protocol.has_reply_length() { ERROR_TEXT.to_vec() } else { message.into_bytes() };
    let plan = Plan::new(protocol, vec![Exchange { reply, ..exchange }]);
    passes_with_any_code(trial, Plan { small_buffers: true, ..plan })
}
