//! A connection in a form that another process can continue from: all of its state, beside the bytes that it holds.
//!
//! Moments ([`Millis`](super::Millis)) stay as they are, because the clock of the process that takes the connection
//! over continues at the time at which it was saved. Charges to the budget are not saved: [`Connection::restore`] charges
//! what is held. What is derived from the unconsumed input, such as the length of the request that is arriving, is not
//! saved either: [`Connection::continue_service`] shows that input to the protocol again, under the limits of the
//! process that continues. A connection whose request is on the thread pool cannot be saved;
//! [`Connection::recall`] takes back a job that has not begun.
//!
//! [`Connection::restore`]: super::Connection::restore
//! [`Connection::continue_service`]: super::Connection::continue_service
//! [`Connection::recall`]: super::Connection::recall

mod check;
mod record;
mod restore;
mod save;

pub use record::SavedConnection;
