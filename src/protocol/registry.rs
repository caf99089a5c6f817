//! The list of protocols.

use super::info::ProtocolInfo;
use super::services;

/// All protocols, in the order of `--list` and of the documents.
pub const PROTOCOLS: &[&ProtocolInfo] = &[
    &services::frame::INFO,
    &services::frame_2021::INFO,
    &services::text::INFO,
    &services::echo::INFO,
    &services::echo_prefix::INFO,
    &services::ack::INFO,
    &services::respond::INFO,
    &services::upper::INFO,
    &services::upper_line::INFO,
    &services::length_prefix::INFO,
    &services::record::INFO,
    &services::discard::INFO,
    &services::chargen::INFO,
    &services::qotd::INFO,
    &services::daytime::INFO,
    &services::time::INFO,
    &services::who::INFO,
];

/// The protocol called `name`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static ProtocolInfo> {
    PROTOCOLS.iter().copied().find(|info| info.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::settings::ProtocolSettings;
    use super::*;

    #[test]
    fn names_and_ports_are_unique() {
        for info in PROTOCOLS {
            assert_eq!(PROTOCOLS.iter().filter(|other| other.name == info.name).count(), 1, "{}", info.name);
            let unit_port = info.socket_unit.port;
            assert_eq!(
                PROTOCOLS.iter().filter(|other| other.socket_unit.port == unit_port).count(),
                1,
                "{}",
                info.name
            );
            assert!(info.port.is_none_or(|port| port == unit_port), "{}: its unit has another port", info.name);
        }
    }

    #[test]
    fn descriptors_are_complete() {
        for info in PROTOCOLS {
            assert!(!info.examples.is_empty() && info.try_it.contains("{port}"), "{}", info.name);
            assert!(!info.summary.contains(['|', '\n']), "{}: a summary is a cell of a table", info.name);
        }
    }

    #[test]
    fn by_name_finds_exact_names() {
        assert_eq!(by_name("frame-2021").map(|info| info.name), Some("frame-2021"));
        assert!(by_name("Frame").is_none());
    }

    #[test]
    fn frequent_protocols_cost_no_allocation_per_connection() {
        for name in ["frame", "frame-2021", "echo", "discard"] {
            let state = (by_name(name).unwrap().new)(&ProtocolSettings::default(), &());
            assert_eq!(size_of_val(&*state), 0, "{name}");
        }
    }
}
