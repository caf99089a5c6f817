//! The list of protocols.

use super::info::ProtocolInfo;
use super::services::{
    ack, chargen, daytime, discard, echo, echo_prefix, frame, frame_2021, length_prefix, qotd, record, respond, text,
    time, upper, upper_line,
};

/// Every protocol there is.
pub const PROTOCOLS: &[ProtocolInfo] = &[
    ProtocolInfo {
        name: "frame",
        port: Some(8083),
        summary: "framed text transforms",
        rfc: None,
        new: |_, _| Box::new(frame::Frame),
    },
    ProtocolInfo {
        name: "frame-2021",
        port: None,
        summary: "framed text transforms, with the action codes of 2021",
        rfc: None,
        new: |_, _| Box::new(frame_2021::Frame2021),
    },
    ProtocolInfo {
        name: "text",
        port: Some(8082),
        summary: "text transforms, asked for in words: ACTION LENGTH MESSAGE",
        rfc: None,
        new: |_, _| Box::new(text::Text),
    },
    ProtocolInfo {
        name: "echo",
        port: Some(7),
        summary: "every byte back, unchanged",
        rfc: Some(862),
        new: |_, _| Box::new(echo::Echo),
    },
    ProtocolInfo {
        name: "echo-prefix",
        port: None,
        summary: "each chunk back, behind `Echo: `",
        rfc: None,
        new: |_, _| Box::new(echo_prefix::EchoPrefix),
    },
    ProtocolInfo {
        name: "ack",
        port: None,
        summary: "`Message received!` to the first chunk, then close",
        rfc: None,
        new: |_, _| Box::new(ack::Ack),
    },
    ProtocolInfo {
        name: "respond",
        port: None,
        summary: "each chunk back in upper case, behind `Response: `",
        rfc: None,
        new: |_, _| Box::new(respond::Respond),
    },
    ProtocolInfo {
        name: "upper",
        port: None,
        summary: "the first chunk back, stripped and in upper case, then close",
        rfc: None,
        new: |_, _| Box::new(upper::Upper),
    },
    ProtocolInfo {
        name: "upper-line",
        port: None,
        summary: "the first line back, stripped and in upper case, then close",
        rfc: None,
        new: |_, _| Box::new(upper_line::UpperLine::default()),
    },
    ProtocolInfo {
        name: "length-prefix",
        port: None,
        summary: "each message back, behind its length in four bytes",
        rfc: None,
        new: |_, _| Box::new(length_prefix::LengthPrefix),
    },
    ProtocolInfo {
        name: "record",
        port: Some(9999),
        summary: "in turn: a chunk echoed, a 22-byte record logged",
        rfc: None,
        new: |_, _| Box::new(record::Record::default()),
    },
    ProtocolInfo {
        name: "discard",
        port: Some(9),
        summary: "takes everything, answers nothing",
        rfc: Some(863),
        new: |_, _| Box::new(discard::Discard),
    },
    ProtocolInfo {
        name: "chargen",
        port: Some(19),
        summary: "a rotating pattern, for as long as the client reads",
        rfc: Some(864),
        new: |_, _| Box::new(chargen::Chargen::default()),
    },
    ProtocolInfo {
        name: "qotd",
        port: Some(17),
        summary: "a quote, then close",
        rfc: Some(865),
        new: |settings, _| Box::new(qotd::Qotd::new(settings)),
    },
    ProtocolInfo {
        name: "daytime",
        port: Some(13),
        summary: "date and time as a line, then close",
        rfc: Some(867),
        new: |_, _| Box::new(daytime::Daytime),
    },
    ProtocolInfo {
        name: "time",
        port: Some(37),
        summary: "seconds since 1900 in four bytes, then close",
        rfc: Some(868),
        new: |_, _| Box::new(time::Time),
    },
];

/// The protocol of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static ProtocolInfo> {
    PROTOCOLS.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::settings::ProtocolSettings;
    use super::*;

    #[test]
    fn names_and_ports_are_unique() {
        for entry in PROTOCOLS {
            assert_eq!(PROTOCOLS.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
            let same_port = PROTOCOLS.iter().filter(|other| entry.port.is_some() && other.port == entry.port);
            assert!(same_port.count() <= 1, "{}", entry.name);
        }
        assert_eq!(PROTOCOLS.len(), 16);
    }

    #[test]
    fn a_name_finds_its_row() {
        assert_eq!(by_name("frame-2021").map(|entry| entry.name), Some("frame-2021"));
        assert!(by_name("Frame").is_none());
    }

    #[test]
    fn a_connection_of_the_main_job_costs_no_allocation() {
        for name in ["frame", "frame-2021", "echo", "discard"] {
            let state = (by_name(name).unwrap().new)(&ProtocolSettings::default(), &());
            assert_eq!(size_of_val(&*state), 0, "{name}");
        }
    }
}
