//! Recognizes, before the checks of the group `proxy`, a server that expects no PROXY header, so that the report says so
//! once.

use std::time::Duration;

use super::checks::proxy::{HEADER, reply, request};
use super::connection::TestConnection;
use super::context::CheckContext;
use super::failure::CheckFailure;

/// The most time to wait for a reply. Chosen as for a server of another protocol.
const REPLY_TIME: Duration = Duration::from_secs(1);

/// The failure of every check, if the server serves clients without a header and none with one, or sends before it.
pub fn failure_of_all(context: &CheckContext) -> Option<CheckFailure> {
    let time = REPLY_TIME.min(context.patience());
    if !context.protocol().takes_messages() {
        let mut connection = context.connect().ok()?;
        connection.anything_within(time).ok()?;
        return (!connection.unread().is_empty()).then(|| expects_none(&connection, "it sends without one"));
    }
    if replied(context, HEADER, time).ok()?.unread() == reply(context) {
        return None;
    }
    let connection = replied(context, b"", time).ok()?;
    (connection.unread() == reply(context)).then(|| expects_none(&connection, "it replies to a request without one"))
}

/// A connection with the reply to a request behind this header, or as much as has arrived of it in this time.
fn replied(context: &CheckContext, header: &[u8], time: Duration) -> Result<TestConnection, CheckFailure> {
    let mut connection = context.connect()?;
    connection.send(&[header, &request(context)].concat())?;
    let length = reply(context).len();
    connection.receive_until(time, |received| received.len() >= length)?;
    Ok(connection)
}

fn expects_none(connection: &TestConnection, because: &str) -> CheckFailure {
    connection.failure("a server behind the PROXY protocol", "").with_hint(format!(
        "the server expects no PROXY header: {because}; is this the port of a listener that is configured to?"
    ))
}
