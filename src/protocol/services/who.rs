//! `who`: sends facts about the connection as one line of JSON, then closes.
//!
//! The line is an object with the keys `host`, `protocol`, `peer`, `local`, `connection`, `time` and `version`, in this
//! order. A fact that is unknown is `null`.

use std::fmt::Write;

use crate::protocol::calendar::Moment;
use crate::protocol::client_side::ClientSide;
use crate::protocol::contract::{CallContext, Exchange, Progress, Protocol};
use crate::protocol::example::{Example, Reply};
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};
use crate::protocol::opening;
use crate::protocol::settings::{ConnectionInfo, ProtocolSettings};

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "who",
    port: None,
    summary: "one line of JSON about the connection, then close",
    rfc: None,
    input: Input::Ignored,
    socket_unit: SocketUnit { port: 8091, description: "Facts about the connection as JSON" },
    new: |settings, connection| Box::new(Who::new(settings, connection)),
    client: ClientSide::DEFAULT,
    examples: &[
        // from a line without host and addresses to one with a host name of 64 characters that are all escaped
        Example::spoken("a JSON object", Reply::Form { start: b"{\"host\":", end: b"\"}\n", lengths: (105, 700) }),
    ],
    try_it: "nc localhost {port} < /dev/null",
};

/// The server's side of a connection.
#[derive(Clone, Debug)]
pub struct Who {
    host: Option<String>,
    peer: Option<String>,
    local: Option<String>,
    connection: u64,
}

impl Who {
    /// Collects the facts.
    #[must_use]
    pub fn new(settings: &ProtocolSettings, connection: &dyn ConnectionInfo) -> Self {
        Self {
            host: settings.host_name.clone(),
            peer: connection.peer(),
            local: connection.local(),
            connection: connection.number(),
        }
    }

    fn line(&self, unix_time: u64) -> String {
        let [host, peer, local] = [&self.host, &self.peer, &self.local].map(|fact| json(fact.as_deref()));
        format!(
            "{{\"host\":{host},\"protocol\":\"{}\",\"peer\":{peer},\"local\":{local},\"connection\":{},\"time\":\"{}\",\
             \"version\":\"{}\"}}\n",
            INFO.name,
            self.connection,
            rfc_3339(unix_time),
            env!("CARGO_PKG_VERSION")
        )
    }
}

impl Protocol for Who {
    fn open(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        opening::reply_and_close(exchange, "who", self.line((context.unix_time)()).as_bytes())
    }
}

/// A JSON string, or `null` (RFC 8259, section 7).
fn json(text: Option<&str>) -> String {
    let Some(text) = text else { return "null".into() };
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => write!(json, "\\u{:04x}", u32::from(character)).expect("a string takes everything"),
            _ => json.push(character),
        }
    }
    json + "\""
}

/// UTC with a resolution of one second (RFC 3339, section 5.6).
fn rfc_3339(unix_time: u64) -> String {
    let Moment { year, month, day, hour, minute, second } = Moment::new(unix_time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Connection;

    impl ConnectionInfo for Connection {
        fn peer(&self) -> Option<String> {
            Some("192.0.2.1:5000".into())
        }

        fn local(&self) -> Option<String> {
            Some("[2001:db8::1]:8091".into())
        }

        fn number(&self) -> u64 {
            7
        }
    }

    #[test]
    fn the_line_has_all_facts_in_order() {
        let settings = ProtocolSettings { host_name: Some("mill".into()), ..ProtocolSettings::default() };
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            r#"{{"host":"mill","protocol":"who","peer":"192.0.2.1:5000","local":"[2001:db8::1]:8091","connection":7,"time":"2026-11-21T00:18:24Z","version":"{version}"}}"#
        );
        assert_eq!(Who::new(&settings, &Connection).line(1_795_220_304), expected + "\n");
    }

    #[test]
    fn unknown_facts_are_null() {
        let line = Who::new(&ProtocolSettings::default(), &()).line(0);
        let start =
            r#"{"host":null,"protocol":"who","peer":null,"local":null,"connection":1,"time":"1970-01-01T00:00:00Z","#;
        assert!(line.starts_with(start), "{line}");
    }

    #[test]
    fn lines_are_json() {
        for host in ["a\"b", "a\\b", "line\nbreak", "\0\x1f\x7f", "straße"] {
            let settings = ProtocolSettings { host_name: Some(host.into()), ..ProtocolSettings::default() };
            let line = Who::new(&settings, &()).line(0);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((value["host"].as_str(), line.matches('\n').count()), (Some(host), 1), "{line}");
        }
    }
}
