//! What the connections of a listener share.
//!
//! The profile outlives the listening socket, and a connection that no listener accepted has one, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use log::warn;

use super::condition::Condition;
use super::listener::ListenerOptions;
use super::numbering::{ListenerNumber, Numbering};
use super::peer::{Client, Peer};
use super::rate_limit::RateLimiter;
use super::sync::{Mutex, lock};
use crate::connection::{Impairments, Millis};
use crate::protocol::ProtocolInfo;

/// What the connections of a listener share.
#[derive(Debug)]
pub struct ListenerProfile {
    /// The protocol of its connections.
    pub protocol: &'static ProtocolInfo,
    /// The rates of its new connections.
    pub rate_limiter: RateLimiter,
    /// Its name in messages: `frame=[::]:8083`.
    name: String,
    /// Connections end without the PROXY header that they should begin with.
    missing_header: Condition,
    /// Connections begin with a PROXY header that they should not have.
    found_header: Condition,
    /// Peers connect that may not send PROXY headers.
    untrusted_peer: Condition,
    present: Mutex<Present>,
    /// The revision of the impairments that are in `present`, for the event loop.
    revision: AtomicU16,
}

/// What a reload changes.
#[derive(Debug)]
struct Present {
    options: Arc<ListenerOptions>,
    /// The numbers of the connections for its impairments.
    numbering: Numbering,
}

impl ListenerProfile {
    /// The profile of a listener that begins with these options.
    #[must_use]
    pub fn new(protocol: &'static ProtocolInfo, name: String, options: &Arc<ListenerOptions>) -> Self {
        let rate_limiter = RateLimiter::new(options.rates);
        let [missing_header, found_header, untrusted_peer] = Default::default();
        let present = Present { options: Arc::clone(options), numbering: Numbering::default() };
        let (present, revision) = (Mutex::new(present), AtomicU16::new(0));
        Self { protocol, rate_limiter, name, missing_header, found_header, untrusted_peer, present, revision }
    }

    /// Logs that a connection was closed without a valid PROXY header, at a bounded rate.
    pub fn warn_missing_header(&self, peer: Peer, now: Millis) {
        if let (Some(times), _) = self.missing_header.occurred(now) {
            let name = &self.name;
            warn!(
                listener = self.protocol.name, peer:% = peer;
                "{name}: no valid PROXY header from {peer}{times}: is send-proxy set in the balancer, or does a client \
                 connect directly?"
            );
        }
    }

    /// Logs that a connection begins like a PROXY header, which this listener does not expect, at a bounded rate.
    pub fn warn_found_header(&self, peer: Option<Peer>, now: Millis) {
        if let (Some(times), _) = self.found_header.occurred(now) {
            let (name, client) = (&self.name, Client::Direct(peer));
            warn!(
                listener = self.protocol.name, peer:% = client;
                "{name}: a connection from {client} begins with a PROXY header, which is served as input{times}: if a \
                 balancer sends it, add the option proxy to the listener"
            );
        }
    }

    /// Logs that a peer is closed because `--proxy-from` does not list it, at a bounded rate.
    pub fn warn_untrusted_peer(&self, peer: Peer, now: Millis) {
        if let (Some(times), _) = self.untrusted_peer.occurred(now) {
            let name = &self.name;
            warn!(
                listener = self.protocol.name, peer:% = peer;
                "{name}: closed a connection from {peer}, which is not in --proxy-from{times}: if it is a balancer, add \
                 its address there"
            );
        }
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The present options.
    #[must_use]
    pub fn options(&self) -> Arc<ListenerOptions> {
        Arc::clone(&lock(&self.present).options)
    }

    /// Replaces the options, for connections that are accepted from now on. If the impairments change, so does the
    /// [revision](ListenerProfile::revision).
    pub fn set_options(&self, options: Arc<ListenerOptions>) {
        self.rate_limiter.set_rates(options.rates);
        let mut present = lock(&self.present);
        if present.options.impairments != options.impairments {
            self.begin_revision(&mut present.numbering);
        }
        present.options = options;
    }

    fn begin_revision(&self, numbering: &mut Numbering) {
        numbering.begin_revision();
        self.revision.store(numbering.revision(), Ordering::Release);
    }

    /// The number of times that the impairments have changed: a connection of another revision is to get those of
    /// [`ListenerProfile::renew`].
    #[inline]
    #[must_use]
    pub fn revision(&self) -> u16 {
        self.revision.load(Ordering::Acquire)
    }

    /// Counts a connection that was accepted.
    #[must_use]
    pub fn number(&self) -> ListenerNumber {
        let mut present = lock(&self.present);
        let Present { options, numbering } = &mut *present;
        numbering.accept(&options.impairments)
    }

    /// The present options for a connection with this number, which is another one if the impairments have changed since
    /// it was accepted.
    #[must_use]
    pub fn options_for(&self, number: ListenerNumber) -> (Arc<ListenerOptions>, ListenerNumber) {
        let mut present = lock(&self.present);
        let Present { options, numbering } = &mut *present;
        let is_present = number.revision == numbering.revision();
        let number = if is_present { number } else { numbering.accept(&options.impairments) };
        (Arc::clone(options), number)
    }

    /// The present impairments for a connection that is open, and its new number.
    #[must_use]
    pub fn renew(&self) -> (Arc<Impairments>, ListenerNumber) {
        let mut present = lock(&self.present);
        let Present { options, numbering } = &mut *present;
        (Arc::clone(&options.impairments), numbering.renew())
    }

    /// The impairments, and the connections that were counted for them.
    #[must_use]
    pub fn impairments(&self) -> (Arc<Impairments>, u64) {
        let present = lock(&self.present);
        (Arc::clone(&present.options.impairments), present.numbering.accepted())
    }

    /// Continues the impairments of a predecessor, which have `accepted` this number of connections; if these here are
    /// others, they have changed. To be called before a connection is served, whose revision is that of before.
    pub fn continue_impairments(&self, impairments: &Impairments, accepted: u64) {
        let mut present = lock(&self.present);
        if *present.options.impairments == *impairments {
            present.numbering.continue_from(accepted);
        } else {
            self.begin_revision(&mut present.numbering);
        }
    }
}
