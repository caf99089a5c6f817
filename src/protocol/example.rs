//! Examples of a protocol: what a client sends, and what it receives until the server closes.
//!
//! Every protocol has some in its own file. Unit tests, tests of the daemon, the system test and the fuzzing corpus use
//! them.

/// One connection. The client sends everything, half-closes and reads to the end.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The feature that the example shows.
    pub about: &'static str,
    /// All that the client sends.
    pub send: &'static [u8],
    /// All that it receives.
    pub reply: Reply,
    /// Whether the reply is the same however the input is split; otherwise it is that to a single chunk.
    pub split_anywhere: bool,
}

/// The bytes that the server sends.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// These bytes.
    Bytes(&'static [u8]),
    /// Bytes that chance or the clock decides, or the first part of an endless reply.
    Form {
        /// The reply's beginning.
        start: &'static [u8],
        /// The reply's end.
        end: &'static [u8],
        /// Minimum and maximum length in bytes; the maximum of an endless reply is what to read of it.
        lengths: (usize, usize),
    },
}

impl Example {
    /// An example that holds however the input is split.
    #[must_use]
    pub const fn stream(about: &'static str, send: &'static [u8], reply: &'static [u8]) -> Self {
        Self { about, send, reply: Reply::Bytes(reply), split_anywhere: true }
    }

    /// An example that holds if the input is one chunk.
    #[must_use]
    pub const fn chunk(about: &'static str, send: &'static [u8], reply: &'static [u8]) -> Self {
        Self { about, send, reply: Reply::Bytes(reply), split_anywhere: false }
    }

    /// An example of a service that speaks first.
    #[must_use]
    pub const fn spoken(about: &'static str, reply: Reply) -> Self {
        Self { about, send: b"", reply, split_anywhere: true }
    }
}

impl Reply {
    /// Beginning, end, and minimum and maximum length of the reply.
    #[must_use]
    pub fn form(&self) -> (&'static [u8], &'static [u8], (usize, usize)) {
        match *self {
            Self::Bytes(bytes) => (bytes, b"", (bytes.len(), bytes.len())),
            Self::Form { start, end, lengths } => (start, end, lengths),
        }
    }

    /// Whether `reply` is such a reply.
    #[must_use]
    pub fn matches(&self, reply: &[u8]) -> bool {
        let (start, end, (min, max)) = self.form();
        reply.starts_with(start) && reply.ends_with(end) && (min..=max).contains(&reply.len())
    }
}
