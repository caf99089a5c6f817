//! The guarantees of a connection to its client and to its worker, tested on scripted streams: without sockets, threads
//! or a clock.
//!
//! | module | guarantee |
//! |---|---|
//! | `cutting` | the client sees no difference, however input and output are cut or interrupted |
//! | `durations` | what is recorded as the duration of a request |
//! | `fairness` | one call does a bounded amount of work |
//! | `passthrough` | large input that is not read is counted, charged and sent back as any other |
//! | `budget` | the memory that connections hold and wait for |
//! | `timeouts` | when a deadline is, and what extends it |
//! | `closing` | a close waits until the client has received every reply |
//! | `events` | whatever happens, a connection waits for something or closes, and returns its memory |
//! | `handshake` | a PROXY header in front of the protocol |
//! | `log_lines` | the lines of the log about its begin and its end |
//! | `hand_over` | the client sees no difference when its connection is written down and continued elsewhere |
//! | `saved`, `refused` | what is written down of a connection, and what is refused of that |
//! | `impairment` | what an impaired client receives, and when; what its connection waits for |
//! | `impaired_sessions` | whatever an impaired client does, its connection goes on, loses nothing, and ends |
//! | `drain` | the end of each connection while the server drains |

mod budget;
mod closing;
mod conversations;
mod cutting;
mod drain;
mod durations;
mod events;
mod fairness;
mod hand_over;
mod handshake;
mod impaired_sessions;
mod impairment;
mod log_lines;
mod passthrough;
mod refused;
mod saved;
mod scripted;
mod session;
mod timeouts;
#[path = "../proxy_header/vectors.rs"]
mod vectors;
