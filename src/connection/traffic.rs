//! What one connection has carried, for the line of the log that closes it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::millis::Millis;

/// What one connection has carried. Every call counts for the connection and for its worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// When it was accepted.
    begun: Millis,
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Traffic {
    /// Nothing yet, of a connection that begins at `now`.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self { begun: now, requests: 0, bytes_in: 0, bytes_out: 0 }
    }

    /// Requests have arrived.
    #[inline]
    pub(super) fn requested(&mut self, counters: &Counters, requests: u64) {
        self.requests += requests;
        counters.requests.add(requests);
    }

    /// Bytes have arrived.
    #[inline]
    pub(super) fn received(&mut self, counters: &Counters, bytes: usize) {
        self.bytes_in += bytes as u64;
        counters.bytes_in.add(bytes as u64);
    }

    /// The kernel has taken bytes for the client.
    #[inline]
    pub(super) fn sent(&mut self, counters: &Counters, bytes: usize) {
        self.bytes_out += bytes as u64;
        counters.bytes_out.add(bytes as u64);
    }

    /// Requests that have arrived.
    #[must_use]
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether no number is above `most`.
    #[must_use]
    pub(super) fn is_at_most(&self, most: u64) -> bool {
        [self.requests, self.bytes_in, self.bytes_out].into_iter().all(|number| number <= most)
    }

    /// Whether the connection has carried nothing.
    #[must_use]
    pub(super) fn is_none(&self) -> bool {
        self.bytes_in == 0 && self.bytes_out == 0
    }

    /// Whether the client was sent anything.
    #[must_use]
    pub(super) fn has_sent(&self) -> bool {
        self.bytes_out > 0
    }

    /// The numbers of a connection that closes at `now`.
    pub(super) fn until(&self, now: Millis) -> Summary {
        let Self { begun, requests, bytes_in, bytes_out } = *self;
        Summary { duration: Duration::from(now - begun).as_secs_f64(), requests, bytes_in, bytes_out }
    }
}

/// What a connection that closes has carried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    /// In seconds.
    pub duration: f64,
    pub requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// As the log has it: `after 1.234s, 1 request, 10 bytes in, 8 bytes out`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { duration, requests, bytes_in, bytes_out } = self;
        let plural = |number: &u64| if *number == 1 { "" } else { "s" };
        write!(f, "after {duration:.3}s, {requests} request{}, ", plural(requests))?;
        write!(f, "{bytes_in} byte{} in, {bytes_out} byte{} out", plural(bytes_in), plural(bytes_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_has_carried_is_counted_for_it_and_for_its_worker() {
        let counters = Counters::default();
        let mut traffic = Traffic::new(Millis::new(1_000));
        assert_eq!(traffic.until(Millis::new(1_000)).to_string(), "after 0.000s, 0 requests, 0 bytes in, 0 bytes out");
        for bytes in [1, 2] {
            traffic.received(&counters, bytes);
        }
        traffic.requested(&counters, 1);
        traffic.sent(&counters, 1);
        assert_eq!(traffic.until(Millis::new(2_234)).to_string(), "after 1.234s, 1 request, 3 bytes in, 1 byte out");
        let counted = [&counters.requests, &counters.bytes_in, &counters.bytes_out].map(super::super::Counter::get);
        assert_eq!(counted, [1, 3, 1]);
    }
}
