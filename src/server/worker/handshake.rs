//! Listeners whose connections begin with a PROXY header: the peer is judged when it is accepted, the client that it
//! announces when the header is complete.

use super::Worker;
use super::accept::AcceptedConnection;
use super::drive::Driver;
use crate::connection::{CloseReason, Connection, Next, ProxyResult};
use crate::protocol::proxy_header::ProxyHeader;
use crate::server::connection_table::ClientRecord;
use crate::server::listener::{ListenerOptions, ProxyReceiver};
use crate::server::listener_profile::ListenerProfile;
use crate::server::peer::{self, Client, Peer, SocketInfo, SourceKey};
use crate::server::poller::Token;

impl Driver {
    /// Admits a client that `peer` has announced, as [`Driver::admit_client`] does. A reload may have withdrawn the trust
    /// in the peer while its header was awaited.
    fn admit_announced(
        &self,
        client: Client,
        peer: Peer,
        profile: &ListenerProfile,
        options: &ListenerOptions,
    ) -> Result<Option<SourceKey>, CloseReason> {
        match &options.proxy {
            Some(proxy) if proxy.trusts(peer) => self.admit_client(client, profile, options),
            _ => Err(CloseReason::ProxyUntrusted),
        }
    }
}

impl Worker {
    /// Begins a connection in front of its protocol. No limit on sources applies to its peer, which is trusted to send a
    /// header: the source is that of the announced client.
    pub(super) fn await_header(&mut self, accepted: AcceptedConnection, peer: Peer, proxy: &ProxyReceiver) {
        let listener = accepted.listener;
        let profile = self.shared.profile(listener);
        let label = peer::label(Client::Direct(Some(peer)), profile.protocol.name);
        if !proxy.trusts(peer) {
            profile.warn_untrusted_peer(peer, self.driver.context.now);
            let counters = self.driver.context.counters.of(listener.place());
            counters.proxy[ProxyResult::Untrusted as usize].add(1);
            return self.reject(listener, label, CloseReason::ProxyUntrusted);
        }
        let connection = Connection::awaiting_header(label, self.driver.context.now, proxy.timeout);
        self.open_session(accepted.serve(connection, Some(Box::new(ClientRecord::Awaiting(peer)))));
    }

    /// The header of a connection is complete: judges the client, and begins to serve it with the present options of
    /// the listener.
    pub(super) fn on_announced(&mut self, token: Token, header: ProxyHeader) {
        let Some(session) = self.table.get_mut(token) else { return };
        let Some(ClientRecord::Awaiting(peer)) = session.client.take().map(|record| *record) else { return };
        let profile = self.shared.profile(session.listener);
        let options = profile.options();
        let client = Client::announced(header, peer);
        if let ProxyHeader::Proxied { .. } = header {
            session.connection.set_announced(peer::label(client, profile.protocol.name));
        }
        let driver = &mut self.driver;
        let next = match driver.admit_announced(client, peer, profile, &options) {
            Ok(source) => {
                session.client = ClientRecord::counted(source);
                let number = self.shared.admission.next_number();
                let info = SocketInfo { stream: session.stream.get_ref(), client, number };
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
