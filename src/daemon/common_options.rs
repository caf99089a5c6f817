//! The conversion of settings into the options of each listener for the server: what all listeners have in common,
//! changed by the options of each.

use std::sync::Arc;

use super::config::args::ReloadableSettings;
use super::config::impairment_option::impairments;
use super::config::listen_address::ListenAddress;
use super::config::listener_option::ListenerOption;
use super::config::network::{Network, Networks, bounded};
use super::config::origin::SocketOrigin;
use super::exit_status::Failure;
use crate::protocol::ProtocolSettings;
use crate::server::{AccessList, ListenerOptions, NetworkSet, ProxyReceiver, Rates};
use crate::sys::SocketAddress;

/// What the settings say for all listeners.
#[derive(Debug)]
pub struct CommonOptions {
    /// The options of a listener without any of its own.
    options: ListenerOptions,
    /// Those of a listener with the option `proxy`.
    proxy: ProxyReceiver,
}

impl CommonOptions {
    /// The options that `settings` contain for all listeners.
    ///
    /// # Errors
    /// 78: a list has too many networks.
    pub fn new(settings: &ReloadableSettings, protocols: ProtocolSettings) -> Result<Self, Failure> {
        let networks = |lists: &[Networks], option| {
            bounded(lists.iter().flat_map(|list| &list.0).copied(), option).map_err(Failure::configuration)
        };
        let access = AccessList::new(networks(&settings.allow, "--allow")?, networks(&settings.deny, "--deny")?);
        let from = networks(&settings.proxy_from, "--proxy-from")?;
        let from = (!from.is_empty()).then(|| Arc::new(NetworkSet::from_iter(from)));
        let rates = Rates { total: settings.max_rate.max(), per_source: settings.max_rate_per_source.max() };
        Ok(Self {
            options: ListenerOptions {
                protocols: Arc::new(protocols),
                access: Arc::new(access),
                rates,
                ..ListenerOptions::default()
            },
            proxy: ProxyReceiver { from, timeout: settings.proxy_timeout.into() },
        })
    }

    /// The options of one listener, of which `own` are written for it. Of an option with one value the last one counts.
    ///
    /// # Errors
    /// 78: a list has too many networks; the option proxy is on a vsock, or every machine could send PROXY headers; two
    /// entries of `--listener-options` have impairments that exclude each other.
    pub fn with(&self, own: &[&ListenerOption], origin: &SocketOrigin) -> Result<Arc<ListenerOptions>, Failure> {
        let mut options = self.options.clone();
        let (mut allowed, mut denied) = (Vec::new(), Vec::new());
        for option in own {
            match **option {
                ListenerOption::Proxy => options.proxy = Some(self.proxy_receiver(origin)?),
                ListenerOption::MaxRate(rate) => options.rates.total = rate.max(),
                ListenerOption::MaxRatePerSource(rate) => options.rates.per_source = rate.max(),
                ListenerOption::Allow(Network(network)) => allowed.push(network),
                ListenerOption::Deny(Network(network)) => denied.push(network),
                ListenerOption::Impairment(_) => {}
            }
        }
        let networks =
            |list, option| bounded(list, &format!("the option {option} of {origin}")).map_err(Failure::configuration);
        // its own list replaces that of all listeners
        let access = AccessList::new(networks(allowed, "allow")?, networks(denied, "deny")?);
        if !access.is_empty() {
            options.access = Arc::new(access);
        }
        let impairing = own.iter().filter_map(|option| option.impairment());
        let impairments = impairments(impairing, &origin.to_string()).map_err(Failure::configuration)?;
        options.impairments = Arc::new(impairments);
        Ok(Arc::new(options))
    }

    fn proxy_receiver(&self, origin: &SocketOrigin) -> Result<ProxyReceiver, Failure> {
        if matches!(local_address(origin), Some(SocketAddress::Vsock(_))) {
            let what = format!("{origin} has the option proxy, which is for TCP and Unix sockets only");
            return Err(Failure::configuration(what).with_hint("remove the option"));
        }
        if self.proxy.from.is_none() && !is_local(origin) {
            let what = format!(
                "{origin} has the option proxy, and other machines can connect: each of them could announce any client"
            );
            return Err(Failure::configuration(what).with_hint(
                "set --proxy-from to the addresses of the load balancers, or bind the listener to a loopback address",
            ));
        }
        Ok(self.proxy.clone())
    }
}

/// Whether only processes of this machine can connect.
fn is_local(origin: &SocketOrigin) -> bool {
    match local_address(origin) {
        Some(SocketAddress::Internet(address)) => address.ip().to_canonical().is_loopback(),
        Some(SocketAddress::Unix(_)) => true,
        Some(SocketAddress::Vsock(_)) | None => false,
    }
}

/// The address of a listener or connection; `None` is every address.
fn local_address(origin: &SocketOrigin) -> Option<&SocketAddress> {
    match origin {
        SocketOrigin::Own(endpoint) => match &endpoint.address {
            ListenAddress::One(address) => Some(address),
            ListenAddress::AllAddresses(_) => None,
        },
        SocketOrigin::Inherited { local, .. } => Some(local),
    }
}
