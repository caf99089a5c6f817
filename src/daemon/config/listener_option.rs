//! The options of a listener. A reload replaces them.

use std::net::IpAddr;

use super::impairment_option::{ImpairmentOption, impairments};
use super::listener_syntax::{Written, WrittenOption};
use super::network::Network;
use super::service::Service;
use super::values::Limit;
use crate::server::Rate;
use crate::units;

/// The options of the daemon that no listener can have for itself.
#[rustfmt::skip]
const FOR_ALL_LISTENERS: &[&str] = &[
    "backlog", "recv-buffer", "send-buffer", "proxy-from", "proxy-timeout", "max-connections", "max-per-source",
    "source-prefix", "max-message", "max-buffered", "max-delayed", "max-line", "idle-timeout", "request-timeout",
    "write-timeout", "min-rate", "drain-delay", "drain-timeout", "hand-over", "hand-over-timeout", "exit-idle", "quotes",
    "verbose",
];

/// An option of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerOption {
    /// Each connection begins with a PROXY header.
    Proxy,
    /// This network may connect; with `deny` it replaces the lists of all listeners.
    Allow(Network),
    /// This network may not connect.
    Deny(Network),
    /// The maximum rate of new connections, in place of `--max-rate`.
    MaxRate(Limit<Rate>),
    /// The maximum rate of new connections from one source, in place of `--max-rate-per-source`.
    MaxRatePerSource(Limit<Rate>),
    /// Connections are impaired.
    Impairment(ImpairmentOption),
}

impl ListenerOption {
    /// The names of these options beside those of [`ImpairmentOption`]; none may be the name of a protocol.
    const NAMES: &[&str] = &["proxy", "allow", "deny", "max-rate", "max-rate-per-source"];

    fn parse(option: &WrittenOption<'_>, listener: &str) -> Result<Self, String> {
        if let Some(impairment) = ImpairmentOption::parse(option, listener) {
            return impairment.map(Self::Impairment);
        }
        let name = option.name;
        match name {
            "proxy" if option.value.is_none() => Ok(Self::Proxy),
            "proxy" => Err(format!("the option proxy of {listener} takes no value")),
            "allow" => option.parsed(listener, "NETWORK", str::parse).map(Self::Allow),
            "deny" => option.parsed(listener, "NETWORK", str::parse).map(Self::Deny),
            "max-rate" => option.parsed(listener, "RATE", connection_rate).map(Self::MaxRate),
            "max-rate-per-source" => option.parsed(listener, "RATE", connection_rate).map(Self::MaxRatePerSource),
            _ if Service::by_name(name).is_some() => {
                Err(format!("'{name}' is a protocol and not an option of {listener}: write a space between listeners"))
            }
            _ if is_network(name) => Err(format!(
                "'{name}' is a network and not an option of {listener}: each one needs an option, so write allow={name} \
                 or deny={name}"
            )),
            _ if FOR_ALL_LISTENERS.contains(&name) => {
                Err(format!("{listener} has no option '{name}': that is for all listeners: --{name}"))
            }
            _ => Err(format!(
                "{listener} has no option '{name}': the options are {}, and mode for a Unix socket",
                [Self::NAMES, ImpairmentOption::NAMES].concat().join(", ")
            )),
        }
    }

    /// Parses the options of a listener or entry for this service.
    ///
    /// # Errors
    /// An option is unknown to this release, its value is invalid, or it does not fit the others; a service beside the
    /// workers has none.
    pub fn parse_all(written: &Written<'_>, service: Service) -> Result<Vec<Self>, String> {
        if let (Service::Side(_), Some(option)) = (service, written.options.first()) {
            let (name, listener) = (option.name, written.name);
            if Service::by_name(name).is_none() {
                return Err(format!(
                    "{listener} has no option '{name}': it is served beside the workers, and has only mode, for a Unix \
                     socket"
                ));
            }
        }
        let options = written.options.iter().map(|option| Self::parse(option, written.name));
        let options = options.collect::<Result<Vec<_>, _>>()?;
        impairments(options.iter().filter_map(Self::impairment), written.name)?;
        Ok(options)
    }

    /// The impairment that this option sets, or is a part of.
    #[must_use]
    pub fn impairment(&self) -> Option<ImpairmentOption> {
        match self {
            Self::Impairment(option) => Some(*option),
            _ => None,
        }
    }
}

/// Whether a text is a network or address, also one with bits behind its prefix.
fn is_network(text: &str) -> bool {
    text.split('/').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

/// A rate of connections. Where the value looks like a number of bytes, the error names the option for those.
fn connection_rate(text: &str) -> Result<Limit<Rate>, String> {
    text.parse().map_err(|error| match units::size(text) {
        Ok(_) => format!("{error} (bytes per second are the option rate)"),
        Err(_) => error,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Args;

    use super::*;
    use crate::daemon::config::args::ReloadableSettings;

    fn options(text: &str) -> Result<Vec<ListenerOption>, String> {
        let written = Written::parse(text)?;
        ListenerOption::parse_all(&written, Service::by_name(written.name).expect("a service"))
    }

    fn network(text: &str) -> Network {
        text.parse().expect(text)
    }

    fn rate(text: &str) -> Limit<Rate> {
        text.parse().expect(text)
    }

    #[test]
    fn options_are_parsed_in_their_order() {
        let text = "echo=7,proxy,allow=10.0.0.0/8,deny=10.1.0.0/16,allow=::1,max-rate=100,max-rate-per-source=none";
        let expected = [
            ListenerOption::Proxy,
            ListenerOption::Allow(network("10.0.0.0/8")),
            ListenerOption::Deny(network("10.1.0.0/16")),
            ListenerOption::Allow(network("::1")),
            ListenerOption::MaxRate(rate("100")),
            ListenerOption::MaxRatePerSource(Limit::Unlimited),
        ];
        assert_eq!(options(text), Ok(expected.to_vec()));
        assert_eq!(options("echo"), Ok(Vec::new()));
    }

    #[test]
    fn wrong_options_name_the_listener_and_the_remedy() {
        for (text, error) in [
            ("echo,proxy=v2", "the option proxy of echo takes no value"),
            ("echo,allow", "the option allow of echo has no value: write allow=NETWORK"),
            ("echo,deny", "the option deny of echo has no value: write deny=NETWORK"),
            ("echo,max-rate", "the option max-rate of echo has no value: write max-rate=RATE"),
            (
                "echo,allow=10.0.0.1/8",
                "the option allow of echo: '10.0.0.1/8' has bits behind its prefix: write 10.0.0.0/8 for the network, \
                 or 10.0.0.1 for the address",
            ),
            (
                "echo,allow=10.0.0.0/8,10.1.0.0/16",
                "'10.1.0.0/16' is a network and not an option of echo: each one needs an option, so write \
                 allow=10.1.0.0/16 or deny=10.1.0.0/16",
            ),
            (
                "echo,deny=::1,fe80::1/10",
                "'fe80::1/10' is a network and not an option of echo: each one needs an option, so write \
                 allow=fe80::1/10 or deny=fe80::1/10",
            ),
            ("echo,proxy-from=::1", "echo has no option 'proxy-from': that is for all listeners: --proxy-from"),
            (
                "echo,10.1",
                "echo has no option '10.1': the options are proxy, allow, deny, max-rate, max-rate-per-source, latency, jitter, rate, \
                 slice, slice-gap, stall-after, cut-after, reset-after, slow-close, refuse-first, corrupt, probability, and mode \
                 for a Unix socket",
            ),
        ] {
            assert_eq!(options(text), Err(error.into()), "{text}");
        }
        let error = options("echo,max-rate-per-source=fast").expect_err("no number");
        assert!(error.starts_with("the option max-rate-per-source of echo: not a"), "{error}");
    }

    #[test]
    fn every_other_option_that_a_reload_applies_is_for_all_listeners() {
        let command = ReloadableSettings::augment_args(clap::Command::new("retortd"));
        let reloadable = command.get_arguments().filter_map(clap::Arg::get_long);
        let fixed = ["backlog", "recv-buffer", "send-buffer"];
        let others = reloadable.chain(fixed).filter(|name| !ListenerOption::NAMES.contains(name));
        assert_eq!(others.collect::<BTreeSet<_>>(), FOR_ALL_LISTENERS.iter().copied().collect());
    }

    #[test]
    fn options_and_protocols_differ_in_their_names() {
        for name in [ListenerOption::NAMES, ImpairmentOption::NAMES].concat() {
            assert!(Service::by_name(name).is_none(), "{name}");
            // some need another option, or exclude it
            let rest = ["", "=1", "=10.0.0.0/8", "=1,latency=1,slice=1"];
            assert!(rest.iter().any(|rest| options(&format!("echo,{name}{rest}")).is_ok()), "{name}");
        }
    }
}
