//! The scenarios of `retort check-client`.
//!
//! To add a scenario, write a function in the module of its group and give it an entry in [`catalog`]. Its hint is
//! addressed to the author of the client, who is looking for the mistake. Replies are written out by hand, not computed
//! with the daemon's code. A correct client passes, however it is written: what the interface of client programs leaves
//! open is judged only as far as every client must keep it, and reported as a note.
//!
//! | module | content |
//! |---|---|
//! | [`catalog`] | the list of scenarios |
//! | [`samples`] | texts with their replies |
//! | [`cuts`] | the places where a reply is cut |
//! | [`judging`] | judgments of clients whose server fails, or whose input is unusual |
//! | `actions`, `messages`, `replies`, `pipelining`, `ends`, `faults`, `input`, `invocation` | what the scenarios do |

mod actions;
pub mod catalog;
pub mod cuts;
mod ends;
mod faults;
mod input;
mod invocation;
pub mod judging;
mod messages;
mod pipelining;
mod replies;
pub mod samples;

pub use catalog::of;
