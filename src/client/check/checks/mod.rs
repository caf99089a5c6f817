//! The checks themselves. The catalog gives them names, groups and hints.
//!
//! Each is a function that takes a context and returns a pass or the first failure. Expected replies are written out
//! where that is possible, so that a server is not checked against the code of another server.

pub mod actions;
pub mod clients;
pub mod errors;
pub mod messages;
pub mod proxy;
pub mod randomness;
pub mod sample;
pub mod services;
