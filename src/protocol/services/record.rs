//! `record`: in turn, a chunk is echoed and a record of 22 bytes is decoded for the log.
//!
//! A record is what Python's `struct` packs by `! I 2s Q 2h f`: big-endian, without padding. It may arrive in pieces
//! and gets no answer.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, Exchange, Needed, Progress, Protocol};

/// Bytes of a record.
pub const RECORD: usize = 22;

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// The chunk is echoed: a record comes next.
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
