//! Listeners whose connections begin with a PROXY header: the peer is judged when it is accepted, the client that it
//! announces when the header is complete.

use log::info;

use super::Worker;
use crate::connection::{CloseReason, Connection, Next};
use crate::protocol::proxy_header::ProxyHeader;
use crate::server::connection_table::Session;
use crate::server::listener::ProxyReceiver;
use crate::server::message::NewConnection;
use crate::server::peer::{self, Client, Peer, SocketInfo};
use crate::server::poller::Token;

impl Worker {
    /// Begins a connection in front of its protocol. No limit on sources applies to its peer, which is trusted to send a
    /// header: the source is that of the announced client.
    pub(super) fn await_header(
        &mut self,
        NewConnection { stream, listener }: NewConnection,
        peer: Option<Peer>,
        proxy: &ProxyReceiver,
    ) {
        let label = peer::log_name(Client::Direct(peer), self.shared.profile(listener).protocol.name);
        if !proxy.trusts(peer) {
            return self.reject(listener, label.as_deref(), CloseReason::ProxyUntrusted);
        }
        if let Some(label) = &label {
            info!("{label}: accepted");
        }
        let connection = Connection::awaiting_header(label, self.driver.context.now + proxy.timeout);
        let interest = connection.interest();
        self.open_session(Session { stream, connection, interest, listener, source: None });
    }

    /// The header of a connection is complete: judges the client, and begins to serve it with the present options of
    /// the listener.
    pub(super) fn on_announced(&mut self, token: Token, header: ProxyHeader) {
        let Some(session) = self.table.get_mut(token) else { return };
        let peer = match Peer::of(&session.stream) {
            Ok(peer) => peer,
            // reset behind its header: as in `Worker::add_connection`
            Err(error) => return self.close(token, CloseReason::of(&error)),
        };
        let profile = self.shared.profile(session.listener);
        let options = profile.options();
        let client = Client::announced(header, peer);
        session.connection.set_label(peer::log_name(client, profile.protocol.name));
        if let ProxyHeader::Proxied { .. } = header {
            info!("{}: announced", session.connection.label());
        }
        let driver = &mut self.driver;
        let next = match driver.admit_client(client, profile, &options) {
            Ok(source) => {
                session.source = source;
                let number = self.shared.admission.next_number();
                let info = SocketInfo { stream: &session.stream, announced: client.announced_address(), number };
                let protocol = (profile.protocol.new)(&options.protocols, &info);
                let admit = |connection: &mut Connection, stream: &mut _, context: &mut _| {
                    connection.admit(protocol, stream, context)
                };
                driver.drive_connection(token, session, admit)
            }
            Err(reason) => {
                self.shared.give_rate_back(session.listener, driver.context.now);
                Next::Close(reason)
            }
        };
        self.take_step(token, next);
    }
}
