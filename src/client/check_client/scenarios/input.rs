//! Files of requests, and standard input.

use super::judging::lines;
use super::samples::reversed;
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::observation::{ClientEnd, Observation};
use crate::client::check_client::plan::{Exchange, Input, Plan, Step};
use crate::client::check_client::trial::Trial;
use crate::client::client_protocol::{ClientProtocol, ERROR_TEXT};
use crate::client::judge::mismatch::Mismatch;
use crate::client::judge::outcome::Pass;

pub fn standard_input(trial: &Trial) -> ScenarioResult {
    let plan = Plan::new(trial.protocol(), three(trial.protocol()));
    let input = Input::Standard(plan.lines(trial.protocol()));
    trial.passes(Plan { input, ..plan })
}

pub fn no_final_newline(trial: &Trial) -> ScenarioResult {
    let plan = Plan::new(trial.protocol(), three(trial.protocol()));
    let mut content = plan.lines(trial.protocol());
    content.pop();
    trial.passes(Plan { input: Input::File(content), ..plan })
}

pub fn many_lines(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchanges = (0..10_000).map(|number| reversed(protocol, &format!("line {number}"))).collect();
    trial.passes(Plan::scripted(exchanges, vec![Step::ServeAll]))
}

/// Three requests, also in `text`: a client that takes one as arguments is not run with a file.
fn three(protocol: ClientProtocol) -> Vec<Exchange> {
    ["one", "two words", "three"].map(|message| uppercase(protocol, message)).to_vec()
}

/// A request whose reply is in the order of its message; an echo in protocols without actions.
fn uppercase(protocol: ClientProtocol, message: &str) -> Exchange {
    if protocol.has_actions() {
        Exchange::new("uppercase", message, message.to_ascii_uppercase())
    } else {
        Exchange::new("", message, message)
    }
}

/// A run with the lines of these exchanges, to a server that replies to whatever it is sent.
fn served(trial: &Trial, exchanges: Vec<Exchange>, content: Vec<u8>) -> Result<Observation, Mismatch> {
    let plan = Plan::scripted(exchanges, vec![Step::ServeAll]);
    trial.run(Plan { input: Input::File(content), exact_requests: false, ..plan })
}

/// Whether the CR belongs to the message is not part of the interface: it may be sent or dropped, but in all lines.
pub fn crlf(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let without = three(protocol);
    let with = ["one\r", "two words\r", "three\r"].map(|message| uppercase(protocol, message)).to_vec();
    let content = with.iter().flat_map(|exchange| exchange.line(protocol)).collect();
    let mut observation = served(trial, without, content)?;
    let dropped = observation.received() == observation.plan.requests(protocol);
    if !dropped {
        observation.plan.exchanges = with;
    }
    observation.expect_all()?;
    Ok(if dropped { Pass::Clean } else { Pass::WithNote("a CR at the end of a line is sent with the message".into()) })
}

/// A client may skip empty lines, send something for them, or report an error; it may not lose other requests.
pub fn empty_lines(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchanges = three(protocol);
    let content = exchanges.iter().flat_map(|exchange| [exchange.line(protocol), b"\n".to_vec()].concat()).collect();
    let observation = served(trial, exchanges, content)?;
    observation.expect_end()?;
    let printed: Vec<_> =
        lines(&observation).into_iter().filter(|line| !line.is_empty() && *line != ERROR_TEXT).collect();
    expect_replies(&observation, &printed)?;
    Ok(match observation.end {
        ClientEnd::Code(0) => Pass::Clean,
        _ => Pass::WithNote("an empty line is an error: that is allowed".into()),
    })
}

/// A client may send the line as it is or report an error; what it sends in its place is its own decision too.
pub fn invalid_utf_8(trial: &Trial) -> ScenarioResult {
    let protocol = trial.protocol();
    let exchanges = three(protocol);
    let invalid = Exchange::new("uppercase", *b"caf\xe9", "");
    let (first, rest) = exchanges.split_at(1);
    let in_file = [first, &[invalid], rest].concat();
    let content = in_file.iter().flat_map(|exchange| exchange.line(protocol)).collect();
    let observation = served(trial, exchanges, content)?;
    observation.expect_end()?;
    let mut printed = lines(&observation);
    if printed.len() > 1 {
        printed.remove(1);
    }
    expect_replies(&observation, &printed)?;
    let sent = in_file.iter().flat_map(|exchange| exchange.request(protocol)).collect::<Vec<u8>>();
    Ok(match observation.end {
        ClientEnd::Code(0) if observation.received() != sent => {
            Pass::WithNote("a message that is not UTF-8 is not sent as it is".into())
        }
        ClientEnd::Code(0) => Pass::Clean,
        _ if observation.received() == sent => Pass::Clean,
        _ => Pass::WithNote("a line that is not UTF-8 is an error: that is allowed".into()),
    })
}

/// Expects that these lines are the first replies; all of them, if the client reports no error.
fn expect_replies(observation: &Observation, printed: &[&[u8]]) -> Result<(), Mismatch> {
    let replies: Vec<&[u8]> = observation.plan.exchanges.iter().map(|exchange| &exchange.reply[..]).collect();
    let is_complete = observation.end != ClientEnd::Code(0) || printed.len() == replies.len();
    if replies.starts_with(printed) && is_complete {
        return Ok(());
    }
    observation.expect_output(&observation.plan.output())
}

/// Whether an empty file is an error is not part of the interface.
pub fn empty_file(trial: &Trial) -> ScenarioResult {
    let plan = Plan { input: Input::File(Vec::new()), ..Plan::scripted(Vec::new(), Vec::new()) };
    let observation = trial.run(plan)?;
    observation.expect_output(b"")?;
    observation.expect_requests()?;
    observation.expect_end()?;
    Ok(match observation.end {
        ClientEnd::Code(0) => Pass::Clean,
        _ => Pass::WithNote("a file without requests is an error: that is allowed".into()),
    })
}
