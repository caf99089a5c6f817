//! Replies out of the bytes of a connection: the one place that knows where a reply begins and ends.
//!
//! [`decoder`] does no I/O: it is fed bytes as they arrive, in any portions, and reports whether a reply is complete,
//! needs more bytes or cannot be correct. It reads no more of a reply than a correct one can have. `send` and `ping`
//! take whole replies from a [`collector`]; `bench` and `check` feed the decoder from their own sockets.
//!
//! | module | content |
//! |---|---|
//! | [`length`] | the length field of a reply, binary or decimal |
//! | [`decoder`] | the state machine |
//! | [`body`] | what becomes of a body: kept or dropped |
//! | [`content`] | verifies a body while it arrives, without keeping it |
//! | [`collector`] | a whole reply, kept; the errors of replies |

pub mod body;
pub mod collector;
pub mod content;
pub mod decoder;
pub mod length;
#[cfg(test)]
mod proptests;
