//! The loops over 64 bytes at a time of which the compiler makes vector instructions.

#![allow(clippy::inline_always, reason = "`cpu_dispatch` compiles what is inlined for each kind of processor")]

pub(super) mod byte_mapping;
pub(super) mod convert_text;
pub(super) mod convert_window;
pub(super) mod lower;
pub(super) mod reverse;
pub(super) mod upper;

/// How many bytes are converted at a time.
pub(super) const WINDOW_LEN: usize = 64;

/// How many bytes before a byte its lane looks at: a code point of three bytes starts two bytes before its last one.
pub(super) const CONTEXT_BEFORE: usize = 2;

/// The bytes of a window, which starts where a code point starts, with those before it and the byte after it.
pub(super) type Window = [u8; CONTEXT_BEFORE + WINDOW_LEN + 1];

#[cfg(test)]
mod tests;
