//! Where a listener comes from, and its options: those in `--listen`, in `--listener-options`, or in the name of the
//! descriptor.

use std::fmt;

use super::descriptor::{Descriptor, InheritedOptions};
use super::listen::{Endpoint, Listen};
use super::listener_option::ListenerOption;
use super::service::Service;
use crate::sys::SocketAddress;

/// The origin of a listener, by which a reload finds the options of the listener.
#[derive(Clone, Debug, PartialEq)]
pub enum SocketOrigin {
    /// Bound by the daemon.
    Own(Endpoint),
    /// Passed by the service manager.
    Inherited {
        /// The use of the socket, with the options in the name of its descriptor.
        descriptor: Descriptor,
        /// The address of the socket.
        local: SocketAddress,
    },
}

/// The origins of all listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// Those of the listeners that the workers serve, and behind them that of the connection.
    pub served: Vec<SocketOrigin>,
    /// Those of the listeners beside the workers.
    pub side: Vec<SocketOrigin>,
}

impl FromIterator<SocketOrigin> for Origins {
    fn from_iter<T: IntoIterator<Item = SocketOrigin>>(origins: T) -> Self {
        let (side, served) = origins.into_iter().partition(|origin| origin.service().is_side());
        Self { served, side }
    }
}

impl Origins {
    /// Removes these.
    pub fn remove(&mut self, origins: &[SocketOrigin]) {
        self.served.retain(|origin| !origins.contains(origin));
        self.side.retain(|origin| !origins.contains(origin));
    }
}

impl SocketOrigin {
    /// What is served there.
    #[must_use]
    pub fn service(&self) -> Service {
        match self {
            Self::Own(endpoint) => endpoint.service,
            Self::Inherited { descriptor, .. } => descriptor.service,
        }
    }

    /// The number of descriptors that the listener has: a Unix socket that has a file also has a lock file.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        match self {
            Self::Own(endpoint) if endpoint.address.is_path() => 2,
            Self::Own(_) | Self::Inherited { .. } => 1,
        }
    }
}

impl fmt::Display for SocketOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(endpoint) => endpoint.fmt(f),
            Self::Inherited { descriptor, .. } => write!(f, "{} (inherited)", descriptor.service.name()),
        }
    }
}

/// The options of all listeners. A reload replaces them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrittenOptions {
    own: Vec<Listen>,
    inherited: Vec<InheritedOptions>,
}

impl WrittenOptions {
    /// The options in `--listen` and in `--listener-options`.
    #[must_use]
    pub fn new(own: Vec<Listen>, inherited: Vec<InheritedOptions>) -> Self {
        Self { own, inherited }
    }

    /// The names in `--listener-options` whose options are for none of the listeners with these origins.
    pub fn unused_names<'a>(&'a self, origins: &'a [SocketOrigin]) -> impl Iterator<Item = &'a str> {
        let descriptors = || {
            origins.iter().filter_map(|origin| match origin {
                SocketOrigin::Inherited { descriptor, .. } => Some(descriptor),
                SocketOrigin::Own(_) => None,
            })
        };
        self.inherited.iter().filter_map(move |entry| entry.unused_name(descriptors()))
    }

    /// The options of one listener, in the order in which they were written.
    #[must_use]
    pub fn of<'a>(&'a self, origin: &'a SocketOrigin) -> Vec<&'a ListenerOption> {
        match origin {
            SocketOrigin::Own(endpoint) => {
                self.own(endpoint).map_or(Vec::new(), |listen| listen.options.iter().collect())
            }
            SocketOrigin::Inherited { descriptor, .. } => {
                let settings = self.inherited.iter().flat_map(|entry| entry.of(descriptor));
                descriptor.options.iter().chain(settings).collect()
            }
        }
    }

    /// Keeps the `running` options of the listeners in `origins` that these settings no longer have: a reload cannot
    /// close such a listener, and must not widen the access to it.
    pub fn keep_missing(&mut self, running: &Self, origins: &[SocketOrigin]) {
        for origin in origins {
            let SocketOrigin::Own(endpoint) = origin else { continue };
            if let (None, Some(listen)) = (self.own(endpoint), running.own(endpoint)) {
                self.own.push(listen.clone());
            }
        }
    }

    /// What is written for a listener of the daemon.
    fn own(&self, endpoint: &Endpoint) -> Option<&Listen> {
        self.own.iter().find(|listen| listen.endpoint.is_listener_of(endpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_without_options_have_none() {
        let own: Listen = "echo=7".parse().expect("a listener");
        let options = WrittenOptions::new(vec![own.clone()], vec!["echo".parse().expect("an entry")]);
        let inherited = SocketOrigin::Inherited {
            descriptor: Descriptor::of_name("retortd-echo.socket", None).expect("a protocol"),
            local: own.endpoint.address.socket_address(),
        };
        for origin in [SocketOrigin::Own(own.endpoint), SocketOrigin::Own(Endpoint::default()), inherited] {
            assert_eq!(options.of(&origin), Vec::<&ListenerOption>::new(), "{origin:?}");
        }
    }

    /// What a reload cannot change must not take the options away that restrict the access.
    #[test]
    fn a_listener_keeps_its_options_when_its_mode_is_changed() {
        let running: Listen = "echo=unix:/run/echo,mode=0600".parse().expect("a listener");
        let changed: Listen = "echo=unix:/run/echo,mode=0666,max-rate=5".parse().expect("a listener");
        let options = WrittenOptions::new(vec![changed.clone()], Vec::new());
        assert_eq!(options.of(&SocketOrigin::Own(running.endpoint)), changed.options.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_listener_that_is_no_longer_written_keeps_its_options() {
        let listens = |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect::<Vec<Listen>>();
        let running = WrittenOptions::new(listens(&["echo=7,allow=::1", "time=37,max-rate=5", "ack=1"]), Vec::new());
        let origins: Vec<SocketOrigin> =
            running.own.iter().map(|listen| SocketOrigin::Own(listen.endpoint.clone())).collect();
        let mut changed = WrittenOptions::new(listens(&["echo=8,allow=::2", "time=37"]), Vec::new());
        changed.keep_missing(&running, &origins);
        assert_eq!(changed.own, listens(&["echo=8,allow=::2", "time=37", "echo=7,allow=::1", "ack=1"]));
        // what was written in between was never bound
        let mut last = WrittenOptions::new(listens(&["time=37,proxy"]), Vec::new());
        last.keep_missing(&changed, &origins);
        assert_eq!(last.own, listens(&["time=37,proxy", "echo=7,allow=::1", "ack=1"]));
    }
}
