//! Loops over windows of 64 bytes, written so that the compiler makes vector instructions of them.
//!
//! Each output byte is computed from the input byte and its nearest neighbours, without a branch and without knowing
//! where code points start.
//!
//! | file | content |
//! |---|---|
//! | `convert_text` | upper or lower case of a text, window by window |
//! | `convert_window` | upper or lower case of one window |
//! | `upper`, `lower` | the mapping of a single byte, script by script |
//! | `byte_mapping` | the trait of these two, and the comparisons that they are made of |
//! | `reverse` | the second half of reversing a text |

#![allow(clippy::inline_always, reason = "`cpu_dispatch` compiles inlined code for each CPU")]
#![allow(clippy::needless_bitwise_bool, reason = "`&&` is a branch, which would keep loops out of vector instructions")]

pub(super) mod byte_mapping;
pub(super) mod convert_text;
pub(super) mod convert_window;
pub(super) mod lower;
pub(super) mod reverse;
pub(super) mod upper;

/// Length of a window in bytes: two vectors of AVX2, four of SSE2. Chosen without tuning.
pub(super) const WINDOW_LEN: usize = 64;

/// The numbers of bytes before and after a byte that its mapping depends on. Derived: the lower case of a capital sigma,
/// at its second byte, depends on the letter and the accent before the sigma, each of two bytes, and on two bytes after it.
pub(super) const CONTEXT_BEFORE: usize = 5;
pub(super) const CONTEXT_AFTER: usize = 2;

/// The length of a window with its context.
pub(super) const WINDOW_AND_CONTEXT: usize = CONTEXT_BEFORE + WINDOW_LEN + CONTEXT_AFTER;

/// A window, which starts at the start of a code point, with [`CONTEXT_BEFORE`] bytes before it and [`CONTEXT_AFTER`]
/// bytes after it.
pub(super) type Window = [u8; WINDOW_AND_CONTEXT];

#[cfg(test)]
mod tests;
