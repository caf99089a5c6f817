//! What the daemon is to do: command line, environment and files.

pub mod args;
pub mod env_file;
pub mod files;
pub mod quotes;
pub mod values;
