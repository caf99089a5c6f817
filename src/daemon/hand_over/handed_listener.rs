//! A listener of the predecessor, and the endpoint of the settings that it is for.

use std::os::fd::OwnedFd;

use super::format::ListenerOrigin;
use crate::daemon::config::listen::Endpoint;
use crate::sys::{FileId, SocketAddress, SocketFile, StreamListener, UnixAddress};

/// A socket that listens, which the predecessor has handed over.
#[derive(Debug)]
pub struct HandedListener {
    /// The socket.
    pub socket: StreamListener,
    /// What it was for.
    pub origin: ListenerOrigin,
    /// Its file, if the predecessor has bound it and if it has one.
    pub file: Option<HandedFile>,
}

/// The file of a Unix socket.
#[derive(Debug)]
pub struct HandedFile {
    /// Its number.
    pub id: FileId,
    /// The open lock file.
    pub lock: OwnedFd,
}

impl HandedListener {
    /// Whether it was for this endpoint.
    fn is_for(&self, endpoint: &Endpoint) -> bool {
        let ListenerOrigin::Own { service, ordinal, .. } = &self.origin else { return false };
        service == endpoint.service.name() && *ordinal == endpoint.ordinal && self.has_address_of(endpoint)
    }

    /// Whether it has the address of an endpoint for which there can be only one listener, whatever it was for.
    fn has_only_address_of(&self, endpoint: &Endpoint) -> bool {
        !endpoint.address.is_any_port() && self.has_address_of(endpoint)
    }

    fn has_address_of(&self, endpoint: &Endpoint) -> bool {
        let ListenerOrigin::Own { address, .. } = &self.origin else { return false };
        let is_bound = |local| endpoint.address.is_bound_to(&local);
        *address == endpoint.address.to_string() && self.socket.local_address().is_ok_and(is_bound)
    }

    /// Closes it, and removes its file, as the predecessor would have done.
    fn close(self) {
        let local = self.socket.local_address();
        if let (Ok(SocketAddress::Unix(UnixAddress::Path(path))), Some(HandedFile { id, lock })) = (local, self.file) {
            SocketFile::remove_left(&path, id, lock);
        }
    }
}

/// The listener for each of these endpoints, if there is one: so a port that the kernel has chosen stays, and clients in
/// the queue are served. Closes the others, whose addresses an endpoint may need; the kernel resets the connections in
/// their queues, as it does when any process that listens has ended.
#[must_use]
pub fn assign(mut handed: Vec<HandedListener>, endpoints: &[Endpoint]) -> Vec<Option<HandedListener>> {
    let mut take = |is_wanted: &dyn Fn(&HandedListener) -> bool| {
        let place = handed.iter().position(is_wanted)?;
        Some(handed.remove(place))
    };
    let mut assigned: Vec<_> = endpoints.iter().map(|endpoint| take(&|handed| handed.is_for(endpoint))).collect();
    // another service may have got the address
    for (endpoint, assigned) in endpoints.iter().zip(&mut assigned) {
        if assigned.is_none() {
            *assigned = take(&|handed| handed.has_only_address_of(endpoint));
        }
    }
    handed.into_iter().for_each(HandedListener::close);
    assigned
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::daemon::config::listen::Listen;

    fn endpoint(text: &str, ordinal: usize) -> Endpoint {
        Endpoint { ordinal, ..text.parse::<Listen>().expect(text).endpoint }
    }

    /// A listener for this endpoint, and its address.
    fn handed(endpoint: &Endpoint) -> (HandedListener, String) {
        let socket = TcpListener::bind(endpoint.address.socket_address().to_string()).expect("bind");
        let local = socket.local_addr().expect("an address").to_string();
        let service = endpoint.service.name().into();
        let origin = ListenerOrigin::Own { service, address: endpoint.address.to_string(), ordinal: endpoint.ordinal };
        (HandedListener { socket: socket.into(), origin, file: None }, local)
    }

    fn assigned(handed: Vec<HandedListener>, endpoints: &[Endpoint]) -> Vec<Option<String>> {
        let local = |handed: HandedListener| handed.socket.local_address().expect("an address").to_string();
        assign(handed, endpoints).into_iter().map(|handed| handed.map(local)).collect()
    }

    #[test]
    fn ports_that_the_kernel_chose_stay() {
        let endpoints =
            [endpoint("echo=127.0.0.1:0", 0), endpoint("echo=127.0.0.1:0", 1), endpoint("time=127.0.0.1:0", 0)];
        let (listeners, addresses): (Vec<_>, Vec<_>) = endpoints.iter().map(handed).unzip();
        let addresses: Vec<Option<String>> = addresses.into_iter().map(Some).collect();
        let wanted = [2, 1, 0].map(|place| endpoints[place].clone());
        assert_eq!(assigned(listeners, &wanted), [2, 1, 0].map(|place: usize| addresses[place].clone()));
    }

    #[test]
    fn a_written_address_stays_whatever_is_served_there() {
        let (listener, address) = handed(&endpoint("echo=127.0.0.1:0", 0));
        let written = |service: &str| endpoint(&format!("{service}={address}"), 0);
        let listener = |service: &str| {
            let socket = crate::sys::StreamListener::try_from(
                std::os::fd::AsFd::as_fd(&listener.socket).try_clone_to_owned().expect("a descriptor"),
            );
            let origin = ListenerOrigin::Own { service: service.into(), address: address.clone(), ordinal: 0 };
            HandedListener { socket: socket.expect("a listener"), origin, file: None }
        };
        let address = || Some(address.clone());
        assert_eq!(assigned(vec![listener("echo")], &[written("time")]), [address()]);
        // that of the same service comes first
        let both = [written("time"), written("echo")];
        assert_eq!(assigned(vec![listener("echo")], &both), [None, address()]);
        let other = endpoint("echo=127.0.0.1:0", 0);
        assert_eq!(assigned(vec![listener("echo")], &[other]), [None], "that has another text");
    }

    #[test]
    fn other_listeners_are_closed() {
        let (listener, address) = handed(&endpoint("echo=127.0.0.1:0", 0));
        let every = endpoint("frame=0", 0);
        assert_eq!(assigned(vec![listener], &[every, endpoint("time=127.0.0.1:0", 0)]), [None, None]);
        TcpListener::bind(address).expect("the address is free");
        let (mut inherited, _) = handed(&endpoint("echo=127.0.0.1:0", 0));
        inherited.origin = ListenerOrigin::Inherited { name: "echo".into() };
        assert_eq!(assigned(vec![inherited], &[endpoint("echo=127.0.0.1:0", 0)]), [None]);
    }

    #[test]
    fn a_socket_with_another_address_than_it_says_is_closed() {
        let (mut listener, _) = handed(&endpoint("echo=127.0.0.1:0", 0));
        let origin = ListenerOrigin::Own { service: "echo".into(), address: "127.0.0.2:0".into(), ordinal: 0 };
        listener.origin = origin;
        assert_eq!(assigned(vec![listener], &[endpoint("echo=127.0.0.2:0", 0)]), [None]);
    }
}
