//! The request that a benchmark sends again and again, and the verifier of its replies.

use super::text;
use super::verifier::Verifier;
use crate::client::client_protocol::{ClientProtocol, ConnectionUse, ReplyFraming};
use crate::client::failure::Failure;
use crate::client::options::{BenchOptions, Verify};
use crate::client::reply::content::ExpectedContent;
use crate::client::reply::decoder::{BodyLength, ReplyFormat};
use crate::transform::Action;

/// A request, and the verifier of its replies.
#[derive(Debug)]
pub struct Workload {
    /// The bytes of one request.
    pub request: Vec<u8>,
    /// Verifies the replies.
    pub verifier: Verifier,
}

/// The action without `--action`.
pub const DEFAULT_ACTION: &str = "uppercase";

impl Workload {
    /// The workload that the options describe; the error says why it cannot be measured.
    pub fn new(options: &BenchOptions) -> Result<Self, Failure> {
        let protocol = options.protocol;
        protocol.check_round_trip(options.size).map_err(Failure::cannot_run)?;
        check_load(options)?;
        let action = action(options)?;
        let message = if protocol.takes_messages() { text::of_size(options.text, options.size) } else { Vec::new() };
        let mut request = Vec::new();
        protocol.write_request(action, &message, &mut request).map_err(Failure::cannot_run)?;
        Ok(Self { request, verifier: verifier(protocol, action, &message, options.verify) })
    }
}

/// Checks that the protocol allows the load that the options ask for.
fn check_load(options: &BenchOptions) -> Result<(), Failure> {
    let name = options.protocol.name();
    let pipelined = options.depth.is_some_and(|depth| depth > 1);
    let reason = match options.protocol.connection_use() {
        ConnectionUse::Sequential if pipelined || options.is_open_loop() => {
            format!("replies of {name} cannot be told apart when they are pipelined: only --depth 1 can be measured")
        }
        ConnectionUse::PerRequest if pipelined => {
            format!("{name} closes the connection after a reply: --depth has no meaning")
        }
        _ => return Ok(()),
    };
    Err(Failure::cannot_run(reason))
}

fn action(options: &BenchOptions) -> Result<&str, Failure> {
    match &options.action {
        Some(_) if !options.protocol.has_actions() => {
            Err(Failure::cannot_run(format!("protocol {} has no actions", options.protocol.name())))
        }
        Some(action) => {
            options.protocol.check_accepted_action(action).map_err(Failure::cannot_run)?;
            Ok(action)
        }
        None => Ok(DEFAULT_ACTION),
    }
}

fn verifier(protocol: ClientProtocol, action: &str, message: &[u8], verify: Verify) -> Verifier {
    let framing = protocol.framing(message);
    let expected = protocol.expected(action, message);
    let length = match expected.as_ref().map(Vec::len).or_else(|| protocol.expected_length(action, message)) {
        Some(length) => BodyLength::Exactly(length),
        None => BodyLength::AtMost(protocol.max_reply_len(None)),
    };
    let format = ReplyFormat { framing, length };
    match (verify, expected) {
        (Verify::Content, Some(body)) if framing != ReplyFraming::CloseDelimited => {
            let reply = protocol.wire_reply(&body);
            Verifier::repeated(&reply, reply.len() - body.len())
        }
        (Verify::Content, Some(body)) => Verifier::Each { format, content: ExpectedContent::Exactly(body) },
        (Verify::Content, None) => Verifier::Each { format, content: random_content(protocol.action(action), message) },
        (Verify::Length, _) if protocol.has_actions() => {
            Verifier::Each { format, content: ExpectedContent::NotRefused }
        }
        (Verify::Length, _) => Verifier::Each { format, content: ExpectedContent::Anything },
    }
}

/// The known properties of the reply of a random action.
fn random_content(action: Option<Action>, message: &[u8]) -> ExpectedContent {
    match action {
        Some(Action::Shuffle) => ExpectedContent::permutation(message),
        Some(Action::Random) => ExpectedContent::selection(message),
        _ => ExpectedContent::Anything,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum};

    use super::*;
    use crate::client::bench::verifier::VerifierState;
    use crate::client::client_protocol::ERROR_TEXT;
    use crate::client::options::{Command, Options, TextKind};
    use crate::protocol::PROTOCOLS;

    fn options(words: &str) -> BenchOptions {
        let words = format!("retort bench localhost:1 {words}");
        let Command::Bench(options) = Options::parse_from(words.split(' ')).command else { panic!("not a benchmark") };
        *options
    }

    /// The options of a text and of each way to verify its replies.
    fn ways_to_verify(kind: TextKind) -> [String; 2] {
        let value = kind.to_possible_value().expect("no text is hidden");
        ["content", "length"].map(|verify| format!("--text {} --verify {verify}", value.get_name()))
    }

    #[test]
    fn a_refusal_is_never_a_correct_reply() {
        let with_actions = PROTOCOLS.iter().filter_map(|info| ClientProtocol::by_name(info.name));
        for protocol in with_actions.filter(|protocol| protocol.has_actions()) {
            for action in protocol.actions().map(Action::name) {
                for size in ["0", "5", "64"] {
                    for how in TextKind::value_variants().iter().copied().flat_map(ways_to_verify) {
                        let words = format!("-P {} -a {action} -s {size} {how}", protocol.name());
                        let workload = Workload::new(&options(&words)).expect("it can be measured");
                        let refusal = protocol.wire_reply(ERROR_TEXT);
                        let verified = workload.verifier.feed(&mut VerifierState::default(), &refusal);
                        assert!(verified.is_err(), "{words}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_action_that_every_server_refuses_is_rejected() {
        for words in ["-a 6", "-a nonsense", "-P text -a nonsense", "-P frame-2021 -a random"] {
            let failure = Workload::new(&options(words)).expect_err(words);
            assert!(failure.to_string().starts_with("no such action: "), "{failure}");
        }
        assert!(Workload::new(&options("-a 1")).is_ok());
    }
}
