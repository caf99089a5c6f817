//! Pure text functions: no I/O, no clock, no allocation that grows with the text.
//!
//! Text is UTF-8 in a byte slice. What keeps its length is changed in place; what may change it is written to a
//! second slice that the caller sizes by [`Action::max_output_len`]. The random source is passed in.
//!
//! The meaning is that of Rust's `str` for upper and lower case and that of Python's `str.title()` for title-case.
//! Every action takes time linear in the text, whatever the text is.
//!
//! | module | what lives there |
//! |---|---|
//! | `utf8` | validation, and code points in bytes that passed it |
//! | `case` | upper and lower case |
//! | `window` | the loops of `case` and `reverse` over 64 bytes at a time |
//! | `cpu_dispatch` | these loops compiled for several processors |
//! | `tables` | the case of every code point, written by `unicode/tables.rs` |
//! | `sigma` | whether a capital sigma ends a word |
//! | `title` | title-case |
//! | `reverse`, `shuffle`, `random` | the other actions |

mod action;
mod case;
mod cpu_dispatch;
mod output;
mod random;
mod random_source;
mod reverse;
mod shuffle;
mod sigma;
mod tables;
mod title;
mod utf8;
mod window;

pub use action::Action;
pub use output::Placed;
pub use random_source::RandomSource;
pub use utf8::InvalidUtf8;

#[cfg(test)]
mod tests;
