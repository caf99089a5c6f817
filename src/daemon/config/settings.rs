//! The settings of the daemon: what command line, environment and settings file say together, checked.

use super::args::{Arguments, FixedSettings, ReloadableSettings};
use super::descriptor::InheritedOptions;
use super::listen::{Endpoint, Listen};
use super::origin::WrittenOptions;

/// The settings. Every option is in one of the two parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Settings that only a restart changes.
    pub fixed: FixedSettings,
    /// Settings that a reload changes, too.
    pub reloadable: ReloadableSettings,
}

impl Settings {
    /// The settings that `arguments` contain.
    #[must_use]
    pub fn new(arguments: Arguments) -> Self {
        let Arguments { listeners, mut fixed, mut reloadable, settings: _, check: _, list: _ } = arguments;
        let port = listeners.port.map(|port| Listen { endpoint: Endpoint::of_port(port), options: Vec::new() });
        let own = port.into_iter().chain(listeners.listen.into_iter().flat_map(|list| list.0));
        let own = numbered(own.collect());
        let inherited: Vec<InheritedOptions> = listeners.listener_options.into_iter().flat_map(|list| list.0).collect();
        fixed.endpoints = own.iter().map(|listen| listen.endpoint.clone()).collect();
        reloadable.listener_options = WrittenOptions::new(own, inherited);
        Self { fixed, reloadable }
    }

    /// Whether these settings differ from the `running` ones in what only a restart changes.
    #[must_use]
    pub fn need_restart(&self, running: &Self) -> bool {
        self.fixed != running.fixed
    }
}

/// Numbers the listeners with the same protocol and address, so that each one has its own options.
fn numbered(mut listeners: Vec<Listen>) -> Vec<Listen> {
    for place in 0..listeners.len() {
        let (before, rest) = listeners.split_at_mut(place);
        let endpoint = &mut rest[0].endpoint;
        endpoint.ordinal = before.iter().filter(|listen| listen.endpoint.has_address_of(endpoint)).count();
    }
    listeners
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn settings(arguments: &[&str]) -> Settings {
        let arguments = Arguments::try_parse_from([&["retortd"], arguments].concat());
        Settings::new(arguments.expect("arguments that can be used"))
    }

    #[test]
    fn port_is_the_first_listener() {
        let settings = settings(&["--listen=echo=7 time", "--port=1", "--listen=ack=2"]);
        let endpoints = settings.fixed.endpoints.iter().map(Endpoint::to_string);
        assert_eq!(endpoints.collect::<Vec<_>>(), ["frame=1", "echo=7", "time=37", "ack=2"]);
    }

    #[test]
    fn fixed_settings_need_a_restart_and_others_do_not() {
        let running = settings(&["--listen=echo=7"]);
        for option in [
            "--port=1",
            "--listen=time",
            "--connection=echo",
            "--workers=2",
            "--seed=1",
            "--log=stderr",
            "--log-format=json",
            "--send-buffer=1K",
        ] {
            assert!(settings(&["--listen=echo=7", option]).need_restart(&running), "{option}");
        }
        for option in ["--max-connections=5", "--idle-timeout=1s", "--verbose", "--listener-options=echo"] {
            let changed = settings(&["--listen=echo=7", option]);
            assert!(!changed.need_restart(&running) && changed != running, "{option}");
        }
        let mode = |mode: &str| settings(&[&format!("--listen=echo=unix:/run/echo,mode={mode}")]);
        assert!(mode("0600").need_restart(&mode("0660")));
    }
}
