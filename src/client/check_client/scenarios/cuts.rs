//! The places where a reply is cut in two, and scripts that send the pieces apart.

use std::ops::Range;

use super::samples::takes_arguments;
use crate::client::check_client::definition::ScenarioResult;
use crate::client::check_client::plan::{Exchange, PAUSE, Plan, Step};
use crate::client::check_client::trial::Trial;
use crate::client::client_protocol::ClientProtocol;
use crate::client::judge::outcome::Pass;

/// The bytes in front of the data of a reply.
#[must_use]
pub fn header_length(protocol: ClientProtocol, exchange: &Exchange) -> usize {
    exchange.wire_reply(protocol).len() - exchange.reply.len()
}

/// The cuts within the header of a reply.
#[must_use]
pub fn in_header(protocol: ClientProtocol, exchange: &Exchange) -> Range<usize> {
    1..header_length(protocol, exchange)
}

/// The cut between the header and the data of a reply.
#[must_use]
pub fn behind_header(protocol: ClientProtocol, exchange: &Exchange) -> Range<usize> {
    let header = header_length(protocol, exchange);
    header..header + 1
}

/// The cuts within the data of a reply.
#[must_use]
pub fn in_data(protocol: ClientProtocol, exchange: &Exchange) -> Range<usize> {
    let length = exchange.wire_reply(protocol).len();
    header_length(protocol, exchange) + 1..length
}

/// Runs the client with a request for each cut: the reply to each is cut at one of these places. A client that may take
/// its request as arguments is run for each cut.
///
/// # Errors
/// As [`Trial::passes`].
pub fn pass_with_cuts(trial: &Trial, exchange: &Exchange, cuts: Range<usize>) -> ScenarioResult {
    let protocol = trial.protocol();
    let cuts: Vec<usize> = cuts.collect();
    let runs = if takes_arguments(protocol) { cuts.chunks(1) } else { cuts.chunks(cuts.len().max(1)) };
    for cuts in runs {
        trial.passes(cut_plan(protocol, exchange, cuts))?;
    }
    Ok(Pass::Clean)
}

fn cut_plan(protocol: ClientProtocol, exchange: &Exchange, cuts: &[usize]) -> Plan {
    let reply = exchange.wire_reply(protocol);
    let mut script = Vec::new();
    for &cut in cuts {
        let (first, second) = reply.split_at(cut);
        script.push(Step::Expect(1));
        script.push(Step::SendPieces(vec![first.to_vec(), second.to_vec()], PAUSE));
    }
    Plan::scripted(vec![exchange.clone(); cuts.len()], script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::check_client::scenarios::samples::{REVERSE, reversed};

    #[test]
    fn every_cut_of_a_reply_is_in_one_scenario() {
        for (name, header) in [("frame", 4), ("frame-2021", 4), ("text", 3), ("echo", 0)] {
            let protocol = ClientProtocol::by_name(name).unwrap();
            for exchange in [REVERSE.exchange(protocol), reversed(protocol, "na\u{ef}ve \u{6f22}\u{5b57}")] {
                let cuts = in_header(protocol, &exchange);
                let cuts = cuts.chain(behind_header(protocol, &exchange)).chain(in_data(protocol, &exchange));
                let first = usize::from(header > 0);
                let all: Vec<usize> = (first..exchange.reply.len() + header).collect();
                assert_eq!(cuts.collect::<Vec<_>>(), all, "{name}");
            }
        }
    }

    #[test]
    fn pieces_are_the_whole_replies() {
        let frame = ClientProtocol::by_name("frame").unwrap();
        let exchange = reversed(frame, "abc");
        let plan = cut_plan(frame, &exchange, &[1, 6]);
        let pieces = plan.script.iter().filter_map(|step| match step {
            Step::SendPieces(pieces, _) => Some(pieces.concat()),
            _ => None,
        });
        assert_eq!(pieces.collect::<Vec<_>>(), [b"\0\0\0\x03cba", b"\0\0\0\x03cba"]);
        assert_eq!(plan.exchanges.len(), 2);
    }
}
