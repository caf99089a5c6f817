//! What a process hands over to the next one, its successor: its connections, and the sockets that listen for it.
//!
//! Everything is in one socket ([`crate::sys::DescriptorSender`]), whose other end the service manager stores, or the
//! successor inherits as its only descriptor. A service manager needs the same time for a socket with 10,000 descriptors
//! in it as for one with none. The messages in the socket, in their order:
//!
//! | payload | descriptors |
//! |---|---|
//! | `state 2` and a newline: the version of the format | one file in memory, sealed |
//! | `listeners` | sockets that listen, which the daemon has bound, and the lock files of those that have one |
//! | `inherited` | sockets that listen, which a service manager has passed |
//! | `connections` | sockets of connections |
//!
//! Descriptors of one kind are in as many messages as needed. These payloads are the same in every version of the format.
//!
//! The file in memory is text for the most part, so that a person can read it: a line with the state of the server and of
//! its listeners ([`format::Header`]), then a line for each connection, each followed by the bytes that it announces. The
//! number that the kernel gives to a socket (`SO_COOKIE`) says which descriptor belongs to which line: their order means
//! nothing.
//!
//! Nothing that is found here makes a start fail. A state of another version, or one that is damaged, is dropped with all
//! descriptors that came with it.
//!
//! | file | content |
//! |---|---|
//! | `format` | names, and the parts that are written as JSON |
//! | `outgoing` | which listeners are handed over, and what is written about each |
//! | `pack` | writes the state, sends the descriptors |
//! | `contents` | receives the descriptors, with bounds |
//! | `unpack` | reads the state |
//! | `lost` | counts the connections whose state cannot be used |
//! | `handed_listener` | which listener of the predecessor is for which endpoint of the settings |

mod contents;
mod format;
mod handed_listener;
mod lost;
mod outgoing;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

pub use format::{ListenerOrigin, NAME};
pub use handed_listener::{HandedFile, HandedListener, assign};
pub use lost::lost;
pub use pack::pack;
pub use unpack::{Incoming, unpack};
