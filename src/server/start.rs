//! Starting a server: its workers, the connection that it adopts, and the connections of its predecessor.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;

use log::warn;

use super::Server;
use super::clock::Clock;
use super::config::ServerConfig;
use super::continued_totals::{Restored, continued_totals};
use super::listener::{Listener, ListenerIndex, ListenerOptions};
use super::listener_profile::ListenerProfile;
use super::message::{NewConnection, WorkerMessage};
use super::shared::Shared;
use super::start_error::StartError;
use super::taken_over::{Failures, SavedListener, TakenOver};
use super::worker::Worker;
use crate::connection;
use crate::protocol::{self, ProtocolInfo};
use crate::sys::{self, StreamSocket};

/// A connection that no listener of the server accepted.
#[derive(Debug)]
pub struct AdoptedConnection {
    /// Its socket; non-blocking.
    pub stream: StreamSocket,
    /// Its protocol.
    pub protocol: &'static ProtocolInfo,
}

/// What became of the connections of the predecessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakeOverCounts {
    /// Connections that are served here now.
    pub taken_over: u64,
    /// Connections that had to be closed, those that the predecessor did not hand over included.
    pub failed: u64,
}

impl Server {
    /// Starts to serve on `listeners`, to serve `connection`, for which there is a listener's profile behind theirs,
    /// and to continue with what was `taken_over` from a predecessor.
    ///
    /// All connections of the predecessor are served, and count for their sources, before the first one is accepted,
    /// also where they are more than the limits allow. One whose listener is not among `listeners` gets a profile
    /// behind the others.
    ///
    /// # Errors
    /// When the system refuses a thread, an epoll instance or an eventfd. No thread runs then.
    pub fn start(
        listeners: Vec<Listener>,
        connection: Option<AdoptedConnection>,
        taken_over: Option<TakenOver>,
        config: &ServerConfig,
    ) -> Result<Self, StartError> {
        connection::keep_headroom(sys::memory_left);
        let mut profiles = profiles(&listeners, connection.as_ref(), config);
        let places = taken_over.as_ref().map(|taken_over| find_listeners(taken_over, &mut profiles, config));
        let clock = taken_over.as_ref().map_or_else(Clock::start, |taken| Clock::continued(taken.server.elapsed));
        let adopted_listener = ListenerIndex::of(listeners.len());
        let shared = Shared::new(config, profiles, listeners.len(), clock);
        let shared = shared.map_err(StartError::when("create an eventfd"))?;
        if listeners.is_empty() {
            shared.admission.notify_of_closed_connections();
        }
        let listeners: Vec<Arc<Listener>> = listeners.into_iter().map(Arc::new).collect();
        let workers: io::Result<Vec<Worker>> =
            (0..config.workers).map(|number| Worker::new(number, &listeners, &shared, config)).collect();
        let mut workers = workers.map_err(StartError::when("set up epoll"))?;
        let taken_over = taken_over.zip(places);
        let taken_over = taken_over.map(|(taken_over, places)| restore(taken_over, &places, &mut workers, &shared));
        let mut server = Self { shared, threads: Vec::new(), taken_over: taken_over.unwrap_or_default() };
        server.spawn(workers)?;
        if let Some(AdoptedConnection { stream, .. }) = connection {
            server.adopt(stream, adopted_listener);
        }
        Ok(server)
    }

    /// Starts a thread for each worker.
    fn spawn(&mut self, workers: Vec<Worker>) -> Result<(), StartError> {
        for worker in workers {
            let name = format!("worker-{}", worker.number());
            let run = move || {
                // signals are for the thread of the caller, which may block them
                sys::block_all_signals();
                worker.run();
            };
            match thread::Builder::new().name(name).spawn(run) {
                Ok(thread) => self.threads.push(thread),
                Err(error) => {
                    self.abort();
                    for thread in self.threads.drain(..) {
                        let _ = thread.join();
                    }
                    return Err(StartError::when("start a worker thread")(error));
                }
            }
        }
        Ok(())
    }

    /// Serves a connection on the first worker.
    fn adopt(&self, stream: StreamSocket, listener: ListenerIndex) {
        let worker = 0;
        self.shared.admission.adopt(worker);
        let number = self.shared.profile(listener).number();
        let connection = NewConnection { stream, listener, number, peer: None };
        let message = WorkerMessage::Connection(connection);
        if self.shared.channels.send(worker, message).is_err() {
            self.shared.admission.connection_closed(worker);
        }
    }
}

/// The profiles of the listeners, and of the connection.
fn profiles(
    listeners: &[Listener],
    connection: Option<&AdoptedConnection>,
    config: &ServerConfig,
) -> Vec<ListenerProfile> {
    let names = listeners.iter().map(|listener| (listener.protocol, listener.name.as_str()));
    let names = names.chain(connection.map(|connection| (connection.protocol, connection.protocol.name)));
    let profile = |((protocol, name), options): ((_, &str), _)| ListenerProfile::new(protocol, name.into(), options);
    names.zip(&config.listeners).map(profile).collect()
}

/// Finds the listener of each connection of the predecessor; where it is gone, adds a profile. The connections of a
/// protocol that is gone have none.
fn find_listeners(
    taken_over: &TakenOver,
    profiles: &mut Vec<ListenerProfile>,
    config: &ServerConfig,
) -> HashMap<SavedListener, ListenerIndex> {
    let mut places = HashMap::new();
    for (listener, _) in taken_over.sessions.values() {
        let Some(protocol) = protocol::by_name(&listener.protocol).filter(|_| !places.contains_key(listener)) else {
            continue;
        };
        let is_same = |profile: &ListenerProfile| profile.protocol == protocol && profile.name() == listener.name;
        let place = profiles.iter().position(is_same).unwrap_or_else(|| {
            // all listeners have the same settings of protocols; nobody may announce clients here any more
            let protocols = config.listeners.first().map(|options| Arc::clone(&options.protocols));
            let options = ListenerOptions { protocols: protocols.unwrap_or_default(), ..ListenerOptions::default() };
            profiles.push(ListenerProfile::new(protocol, listener.name.clone(), &Arc::new(options)));
            profiles.len() - 1
        });
        places.insert(listener.clone(), ListenerIndex::of(place));
    }
    places
}

/// Gives the connections of the predecessor to the workers, and continues its statistics.
fn restore(
    taken_over: TakenOver,
    places: &HashMap<SavedListener, ListenerIndex>,
    workers: &mut [Worker],
    shared: &Shared,
) -> TakeOverCounts {
    let TakenOver { server, sessions, mut failures } = taken_over;
    shared.continue_impairments(&server.impaired);
    let mut restored = HashMap::<_, Restored>::new();
    let mut summary = TakeOverCounts::default();
    for (listener, session) in sessions.into_values() {
        let label = session.connection.label().map(str::to_string);
        let worker = usize::try_from(summary.taken_over).unwrap_or_default() % workers.len();
        let result = match places.get(&listener) {
            Some(place) => workers[worker].restore(session, *place),
            None => Err("its protocol is unknown"),
        };
        match result {
            Ok(unanswered) => {
                restored.entry(listener.protocol).or_default().add(unanswered);
                summary.taken_over += 1;
            }
            Err(reason) => failures.add(label.as_deref(), reason),
        }
    }
    if let Failures { first: Some(first) } = failures {
        warn!("not all connections of the predecessor can be served; the first of the others: {first}");
    }
    let (totals, failed) = continued_totals(server.totals, &restored);
    shared.continue_from(totals, server.numbered, &server.offload_waits);
    TakeOverCounts { failed, ..summary }
}
