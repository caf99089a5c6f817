//! The request that `ping` sends again and again.

use std::rc::Rc;

use crate::client::failure::Failure;
use crate::client::options::PingOptions;
use crate::client::reply::decoder::{BodyLength, ReplyFormat};

/// The request, and the reply to expect.
pub struct PingRequest {
    /// The bytes of the request, shared by those in flight.
    pub wire: Rc<Vec<u8>>,
    /// Where a reply ends, and how much of it is read.
    pub format: ReplyFormat,
    /// The body of a correct reply; `None` where chance or the server's clock decides.
    pub reply: Option<Vec<u8>>,
}

/// The action, in protocols with actions. Its reply differs from the message, and so shows that the server worked.
const ACTION: &str = "reverse";

impl PingRequest {
    /// The request that the options name; a protocol or a size without a round trip is an error.
    pub fn new(options: &PingOptions) -> Result<Self, Failure> {
        let protocol = options.protocol;
        let size = if protocol.takes_messages() { options.size } else { 0 };
        protocol.check_round_trip(size).map_err(Failure::cannot_run)?;
        let message: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
        let mut wire = Vec::new();
        protocol.write_request(ACTION, &message, &mut wire).map_err(Failure::cannot_run)?;
        let reply = protocol.expected(ACTION, &message);
        let length = BodyLength::AtMost(protocol.max_reply_len(reply.as_ref().map(Vec::len)));
        let format = ReplyFormat { framing: protocol.framing(&message), length };
        Ok(Self { wire: Rc::new(wire), format, reply })
    }
}
