//! The reply of a service that speaks first: it needs no request, and is all that the service says.

use super::contract::{CloseCause, Exchange, Progress, RequestRecord};

/// Sends `reply`, counts it as that of `service` to a request without a message, and closes.
pub fn reply_and_close(exchange: &mut Exchange<'_>, service: &'static str, reply: &[u8]) -> Progress {
    exchange.reply(reply);
    exchange.count_request(RequestRecord { action: service, length: 0, refusal: None });
    Progress::Close(CloseCause::Complete)
}
