//! Impairments: a layer over a [`Stream`](super::Stream) that delays, limits, cuts and damages what a connection sends.
//!
//! Protocols do not know about it. To a connection it is a stream whose client takes bytes slowly, with two questions:
//! until when the stream itself has held something back ([`Stream::last_held`](super::Stream::last_held)), and whether
//! a close would lose what it still delays ([`Stream::delays_end`](super::Stream::delays_end)). The server tells the
//! connection that the stream was cut or reset ([`Connection::on_fault`](super::Connection::on_fault)). What the layer
//! delays follows from the time that the caller sets, so that it is as deterministic as a connection.
//!
//! What the connection writes passes through, in this order:
//!
//! 1. a limit, where a fault comes after a number of bytes: what is beyond it is never taken;
//! 2. flipped bits;
//! 3. a delay line (`queue`), where every byte waits until it is due; its memory is charged to the budget;
//! 4. slices, of which each is one send, and a line of a rate (`shaper`);
//! 5. the stream; then the fault, if this was its last byte.
//!
//! | file | content |
//! |---|---|
//! | `settings`, `kind` | what a listener impairs; kinds, by which it is counted |
//! | `state`, `output` | one connection: what it takes and reads; what it sends, and when |
//! | `queue`, `shaper`, `corruption`, `random` | the parts |
//! | `impaired` | the layer over a stream |
//! | `saved` | its state in a form that another process continues from |

mod corruption;
mod impaired;
mod kind;
mod output;
mod queue;
mod random;
mod saved;
mod settings;
mod shaper;
mod state;

pub use impaired::Impaired;
pub use kind::{Fault, ImpairmentKind};
pub use queue::UNCHARGED as UNCHARGED_DELAYED;
pub use saved::SavedImpairment;
pub use settings::{FaultAfter, Impairments, Probability};
pub use state::Impairment;
