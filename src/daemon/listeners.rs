//! The sockets to serve: those that systemd or inetd passes, and those that the daemon binds itself.

use std::net::IpAddr;

use log::{error, warn};

use super::activation::{Inherited, InheritedSocket};
use super::bind::{Bound, bind, take_over};
use super::listen_failure::{Other, cannot_bind, cannot_listen, excludes, passed_too};
use super::side::SideListener;
use super::socket_options::set_options;
use crate::daemon::config::args::FixedSettings;
use crate::daemon::config::descriptor::Descriptor;
use crate::daemon::config::listen::Endpoint;
use crate::daemon::config::listen_address::not_unicast;
use crate::daemon::config::origin::{Origins, SocketOrigin};
use crate::daemon::config::service::Service;
use crate::daemon::config::values::Size;
use crate::daemon::exit_status::Failure;
use crate::daemon::hand_over::{HandedListener, assign};
use crate::protocol::ProtocolInfo;
use crate::server::{AdoptedConnection, Listener, Origin};
use crate::sys::{self, BindError, Errno, SocketAddress, SocketFamily, StreamListener, StreamSocket};

/// The sockets to serve.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Sockets that listen, for the workers.
    pub listeners: Vec<Listener>,
    /// Sockets that listen, for the services beside the workers.
    pub side: Vec<SideListener>,
    /// The one connection of an `Accept=yes` unit, or of inetd's `nowait`.
    pub connection: Option<AdoptedConnection>,
    /// Names of descriptors that the manager's store has to remove.
    pub stored: Vec<String>,
    /// Endpoints of a successor that cannot be opened.
    pub missing: Vec<SocketOrigin>,
}

impl Sockets {
    /// Adds a socket that listens, called `name`.
    fn add(&mut self, bound: Bound, service: Service, name: String, origin: Origin, settings: &FixedSettings) {
        let Bound { socket, file } = bound;
        match service {
            Service::Protocol(protocol) => {
                let listener = new_listener(socket, protocol, name, origin, settings);
                self.listeners.push(listener.with_file(file));
            }
            Service::Side(service) => self.side.push(SideListener { socket, service, name, origin, file }),
        }
    }

    /// All sockets that listen.
    fn others(&self) -> Vec<Other<'_>> {
        let served = self.listeners.iter().map(|listener| (&listener.socket, &listener.name, listener.origin));
        let side = self.side.iter().map(|listener| (&listener.socket, &listener.name, listener.origin));
        served.chain(side).map(|(socket, name, origin)| Other { socket, name, origin }).collect()
    }
}

/// The origin of each listener that [`open`] returns for these settings and sockets, in that order, and behind those of
/// the workers that of the connection.
///
/// # Errors
/// 78: descriptors were passed, but there is no socket to serve.
pub fn origins(settings: &FixedSettings, inherited: &Inherited) -> Result<Origins, Failure> {
    let listeners = inherited.listeners.iter().map(InheritedSocket::origin);
    let connection = inherited.connection.iter().map(InheritedSocket::origin);
    let own = own_endpoints(settings, inherited)?.into_iter().map(SocketOrigin::Own);
    Ok(listeners.chain(own).chain(connection).collect())
}

/// The endpoints to bind: those of the settings; the default one if there is no other socket, and nothing was passed.
fn own_endpoints(settings: &FixedSettings, inherited: &Inherited) -> Result<Vec<Endpoint>, Failure> {
    if !settings.endpoints.is_empty() || inherited.has_socket() {
        return Ok(settings.endpoints.clone());
    }
    if inherited.is_empty() {
        return Ok(vec![Endpoint::default()]);
    }
    if inherited.has_connections {
        // they are served to their end, although their listeners are gone
        return Ok(Vec::new());
    }
    Err(Failure::configuration("systemd passed no socket that can be used").with_hint(
        "a socket unit has to pass stream sockets that listen, or one connection; for listeners of the daemon itself \
         set --listen",
    ))
}

/// Prepares the inherited sockets and binds the configured endpoints; the default one if there is no other socket. An
/// endpoint for which a predecessor has handed a socket over goes on with that one; the other sockets that were `handed`
/// over are closed.
///
/// A successor that has connections goes on without an endpoint that cannot be opened: they do not end because of it.
///
/// # Errors
/// 78: an address that another start will not get; 71: the system refused an address or an option that is needed.
pub fn open(settings: &FixedSettings, inherited: Inherited, handed: Vec<HandedListener>) -> Result<Sockets, Failure> {
    let endpoints = own_endpoints(settings, &inherited)?;
    let has_connections = inherited.has_connections;
    let mut sockets = Sockets { stored: inherited.stored, ..Sockets::default() };
    for InheritedSocket { socket, local, descriptor } in inherited.listeners {
        let name = listener_name(&local, descriptor.service);
        prepare_inherited(&socket, &name, settings)?;
        sockets.add(Bound { socket, file: None }, descriptor.service, name, Origin::Inherited, settings);
    }
    for (endpoint, handed) in endpoints.iter().zip(assign(handed, &endpoints)) {
        match open_endpoint(endpoint, handed, settings, &sockets) {
            Ok((bound, name)) => sockets.add(bound, endpoint.service, name, Origin::Own, settings),
            Err(failure) if has_connections => {
                error!("{failure}; the hand-over goes on without it");
                sockets.missing.push(SocketOrigin::Own(endpoint.clone()));
            }
            Err(failure) => return Err(failure),
        }
    }
    let adopt = |InheritedSocket { socket, descriptor, .. }| {
        let protocol = protocol_of_connection(&descriptor)?;
        Ok(AdoptedConnection { stream: inherited_connection(socket)?, protocol })
    };
    sockets.connection = inherited.connection.map(adopt).transpose()?;
    Ok(sockets)
}

/// The protocol of a connection that was passed.
fn protocol_of_connection(descriptor: &Descriptor) -> Result<&'static ProtocolInfo, Failure> {
    match descriptor.service {
        Service::Protocol(protocol) => Ok(protocol),
        Service::Side(service) => {
            let what = format!("cannot serve {} on a connection: it needs the socket that listens", service.name());
            Err(Failure::configuration(what).with_hint("set Accept=no in the socket unit"))
        }
    }
}

/// Checks what is known without binding the configured endpoints.
///
/// # Errors
/// 78, as [`open`]: an endpoint that the kernel would refuse beside the inherited sockets, or that no client can reach.
pub fn check(settings: &FixedSettings, inherited: &Inherited) -> Result<(), Failure> {
    for endpoint in own_endpoints(settings, inherited)? {
        let address = endpoint.address.socket_address();
        check_unicast(&address)?;
        if let Some(passed) = inherited.listeners.iter().find(|passed| excludes(&passed.socket, &address)) {
            let name = listener_name(&passed.local, passed.descriptor.service);
            return Err(passed_too(&cannot_bind(&address, Errno::EADDRINUSE), &name));
        }
    }
    inherited.connection.iter().try_for_each(|passed| protocol_of_connection(&passed.descriptor).map(drop))
}

/// Checks that an address is no broadcast address of a network of this machine: bind(2) accepts that, and no client can
/// connect to it.
fn check_unicast(address: &SocketAddress) -> Result<(), Failure> {
    let SocketAddress::Internet(address) = address else { return Ok(()) };
    match address.ip().to_canonical() {
        IpAddr::V4(ip) if sys::is_broadcast(ip) => {
            Err(Failure::configuration(format!("cannot listen on {address}: {}", not_unicast(ip.into(), "broadcast"))))
        }
        _ => Ok(()),
    }
}

fn inherited_connection(stream: StreamSocket) -> Result<StreamSocket, Failure> {
    stream
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make the inherited connection non-blocking: {error}")))?;
    if stream.family() == SocketFamily::Internet {
        if let Err(error) = sys::enable_nodelay(&stream) {
            warn!("cannot set TCP_NODELAY on the inherited connection: {}", error.desc());
        }
    }
    Ok(stream)
}

/// Makes an inherited socket that listens ready to be served.
fn prepare_inherited(socket: &StreamListener, name: &str, settings: &FixedSettings) -> Result<(), Failure> {
    socket
        .set_nonblocking(true)
        .map_err(|error| Failure::system(format!("cannot make inherited {name} non-blocking: {error}")))?;
    set_options(socket, socket.family(), &format_args!("inherited {name}"), settings);
    Ok(())
}

/// Goes on with the socket that a predecessor has handed over for an endpoint, or binds one; returns it with its name in
/// messages. The other sockets are there already.
fn open_endpoint(
    endpoint: &Endpoint,
    handed: Option<HandedListener>,
    settings: &FixedSettings,
    others: &Sockets,
) -> Result<(Bound, String), Failure> {
    let address = endpoint.address.socket_address();
    check_unicast(&address)?;
    let own = take_over_or_bind(endpoint, handed, settings);
    own.map_err(|error| cannot_listen(&address, error, &others.others()))
}

fn take_over_or_bind(
    endpoint: &Endpoint,
    handed: Option<HandedListener>,
    settings: &FixedSettings,
) -> Result<(Bound, String), BindError> {
    let taken_over = handed.map(|handed| take_over(handed, endpoint, settings));
    let bound = match taken_over {
        Some(Ok(bound)) => bound,
        Some(Err(error)) => {
            warn!("{endpoint} is bound again: {}", why_not_taken_over(&error));
            bind(endpoint, settings)?
        }
        None => bind(endpoint, settings)?,
    };
    let name = listener_name(&bound.socket.local_address()?, endpoint.service);
    Ok((bound, name))
}

/// Why a socket that was handed over cannot be used.
fn why_not_taken_over(error: &BindError) -> String {
    match error {
        BindError::System(Errno::ENOENT) => "its file has gone since it was handed over (a service manager removes \
             RuntimeDirectory= at a restart, unless RuntimeDirectoryPreserve=restart is set)"
            .into(),
        BindError::System(error) => format!("what was handed over cannot be used ({})", error.desc()),
        BindError::ForeignLock(_) | BindError::ForeignSocket | BindError::ForeignLeftover => {
            "its lock file is another one now".into()
        }
    }
}

/// A listener. The connections of a Unix socket inherit none of its options, so the server sets their send buffer.
fn new_listener(
    socket: StreamListener,
    protocol: &'static ProtocolInfo,
    name: String,
    origin: Origin,
    settings: &FixedSettings,
) -> Listener {
    let is_unix = socket.family() == SocketFamily::Unix;
    let send_buffer = settings.send_buffer.filter(|_| is_unix).map(Size::in_memory);
    Listener::new(socket, protocol, name, origin).with_send_buffer(send_buffer)
}

/// The name of a listener in messages: `frame=[::]:8083`.
fn listener_name(local: &SocketAddress, service: Service) -> String {
    format!("{}={local}", service.name())
}
