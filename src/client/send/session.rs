//! The data that all ways of sending share.

use std::net::TcpStream;

use crate::client::client_protocol::ClientProtocol;
use crate::client::failure::Failure;
use crate::client::options::Timeouts;
use crate::client::progress::ProgressMeter;
use crate::client::reply::reader::ReplyReader;
use crate::client::target::Target;

/// The server, and how to talk to it.
#[derive(Debug)]
pub struct Session {
    /// The protocol to speak.
    pub protocol: ClientProtocol,
    /// The server.
    pub target: Target,
    /// Limits on every wait.
    pub timeouts: Timeouts,
    /// Counts bytes for the progress bar.
    pub progress: ProgressMeter,
}

impl Session {
    /// A connection whose reads and writes time out.
    pub fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = self.target.connect_or_fail(self.timeouts.connect_timeout)?;
        let timed = stream
            .set_read_timeout(Some(self.timeouts.read_timeout))
            .and_then(|()| stream.set_write_timeout(Some(self.timeouts.write_timeout)));
        timed.map_err(|error| Failure::cannot_run(format!("cannot set a timeout on the socket: {error}")))?;
        Ok(stream)
    }

    /// A connection from which replies are read.
    pub fn connect_reader(&self) -> Result<ReplyReader<TcpStream>, Failure> {
        Ok(ReplyReader::new(self.connect()?).within(self.timeouts.read_timeout))
    }
}
