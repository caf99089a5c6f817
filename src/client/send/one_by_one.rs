//! A request, its answer, the next request: on one connection, or on a new one each.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use super::input::{Input, Request};
use super::{Conversation, Output};
use crate::client::answers::{Answers, Broken};
use crate::client::client_protocol::{ConnectionUse, ReplyFraming};
use crate::client::failure::{Failure, Verdict, complain};

/// Sends every request and waits for its answer before the next.
pub fn run(conversation: &Conversation, mut input: Input, output: &mut Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Good;
    let mut connection = None;
    while let Some(request) = input.next(conversation.dialogue)? {
        if connection.is_none() || conversation.dialogue.connection_use() == ConnectionUse::PerRequest {
            connection = Some(conversation.answers()?);
        }
        let Some(answers) = &mut connection else { continue };
        match exchange(conversation, answers, &request) {
            Ok(answer) => verdict = verdict.and(output.answer(&request, answer)?),
            Err(broken) => {
                complain(&format_args!("{}: {broken}", request.label));
                (verdict, connection) = (Verdict::Bad, None);
            }
        }
        output.flush()?;
    }
    Ok(verdict)
}

fn exchange(
    conversation: &Conversation,
    answers: &mut Answers<TcpStream>,
    request: &Request,
) -> Result<Vec<u8>, Broken> {
    // A server that has seen enough may close its side while we send: its answer counts, not our error.
    let _ = answers.stream().write_all(&request.wire);
    conversation.progress.sent(request.wire.len());
    if request.framing == ReplyFraming::CloseDelimited {
        let _ = answers.stream().shutdown(Shutdown::Write);
    }
    answers.next(request.framing, request.most, &mut || false)
}
