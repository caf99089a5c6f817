//! `record`: alternately echoes a chunk and decodes a record of 22 bytes for the log.
//!
//! A record has the form of Python's `struct` format `! I 2s Q 2h f`: big-endian, without padding. It may arrive in
//! pieces and gets no reply.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::protocol::chunk;
use crate::protocol::client_side::{ClientSide, ReplyFraming};
use crate::protocol::contract::{
    CallContext, Exchange, InvalidState, Needed, Progress, Protocol, ProtocolState, Unconsumed,
};
use crate::protocol::example::Example;
use crate::protocol::info::{Input, ProtocolInfo, SocketUnit};

/// Length of a record, in bytes. A part of the protocol.
pub const RECORD: usize = 22;

/// The descriptor.
pub const INFO: ProtocolInfo = ProtocolInfo {
    name: "record",
    port: Some(9999),
    summary: "alternately: a chunk echoed, a 22-byte record logged",
    rfc: None,
    input: Input::Chunks,
    socket_unit: SocketUnit { port: 9999, description: "Echo and binary records in turn" },
    new: |_, _| Box::new(Record::default()),
    client: ClientSide {
        // one message per connection: a record, which gets no reply, would be next
        framing: |message| ReplyFraming::Fixed(message.len()),
        expected: |_, message| Some(message.to_vec()),
        ..ClientSide::DEFAULT
    },
    examples: &[Example::chunk("a chunk", b"hello", b"hello")],
    try_it: "echo data | nc -N localhost {port}",
};

/// The version of the saved state: 1 if a record is next, 0 if a chunk is.
const VERSION: u32 = 1;

/// The server's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// A chunk has been echoed: a record is next.
    expects_record: bool,
}

impl Protocol for Record {
    fn process(&mut self, exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        while !exchange.input().is_empty() {
            let done = if self.expects_record { take_record(exchange) } else { echo(exchange) };
            if let Break(progress) = done {
                return progress;
            }
            self.expects_record = !self.expects_record;
        }
        Progress::NeedInput(Needed::default())
    }

    fn save(&self) -> ProtocolState {
        ProtocolState::new(VERSION, [self.expects_record.into()])
    }

    fn restore(&mut self, state: &ProtocolState, _unconsumed: Unconsumed<'_>) -> Result<(), InvalidState> {
        self.expects_record = match state.values(VERSION)? {
            [0] => false,
            [1] => true,
            _ => return Err(InvalidState("neither a record nor a chunk is next")),
        };
        Ok(())
    }
}

fn echo(exchange: &mut Exchange<'_>) -> ControlFlow<Progress> {
    let length = chunk::next(exchange);
    if !exchange.fits_in_place(length) {
        return Break(Progress::NeedOutput);
    }
    exchange.reply_in_place(length);
    chunk::count(exchange, "record", length);
    Continue(())
}

fn take_record(exchange: &mut Exchange<'_>) -> ControlFlow<Progress> {
    let Some(record) = exchange.input().first_chunk::<RECORD>().copied() else {
        return Break(Progress::NeedInput(Needed { request_len: RECORD, ..Needed::default() }));
    };
    exchange.consume(RECORD);
    exchange.count_event(|| describe(&record));
    Continue(())
}

/// The fields of a record, for the log.
fn describe(record: &[u8; RECORD]) -> String {
    format!(
        "record u32={} bytes=\"{}\" u64={} i16={} i16={} f32={:?}",
        u32::from_be_bytes(field(record, 0)),
        field::<2>(record, 4).escape_ascii(),
        u64::from_be_bytes(field(record, 6)),
        i16::from_be_bytes(field(record, 14)),
        i16::from_be_bytes(field(record, 16)),
        f32::from_be_bytes(field(record, 18)),
    )
}

fn field<const N: usize>(record: &[u8; RECORD], at: usize) -> [u8; N] {
    std::array::from_fn(|i| record[at + i])
}

#[cfg(test)]
mod tests {
    use crate::protocol::test_util::{DEFAULT, run};
    use crate::protocol::{LogEvent, RequestCounts};

    #[test]
    fn a_record_in_pieces_is_one_log_event() {
        let record = [
            &7u32.to_be_bytes()[..],
            b"a\n",
            &u64::MAX.to_be_bytes(),
            &(-2i16).to_be_bytes(),
            &3i16.to_be_bytes(),
            &f32::NAN.to_be_bytes(),
        ]
        .concat();
        let mut other = record.clone();
        other[18..].copy_from_slice(&f32::NEG_INFINITY.to_be_bytes());
        let (head, tail) = record.split_at(9);
        let outcome = run("record", &[b"x", head, tail, b"hello", &other, b"y", &other[..21]], DEFAULT);
        assert_eq!(outcome.replies, b"xhelloy");
        assert_eq!(outcome.counts, RequestCounts { answered: 3, refused: 0, events: 2 });
        let text: Vec<&str> = outcome
            .log_events
            .iter()
            .filter_map(|note| if let LogEvent::Protocol(text) = note { Some(&text[..]) } else { None })
            .collect();
        let fields = r#"record u32=7 bytes="a\n" u64=18446744073709551615 i16=-2 i16=3"#;
        assert_eq!(text, [format!("{fields} f32=NaN"), format!("{fields} f32=-inf")]);
    }
}
