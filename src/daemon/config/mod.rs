//! The configuration of the daemon: command line, environment and settings file.
//!
//! `load` reads them: clap parses the command line into `args::Arguments`, and `env_file` the settings file, whose
//! variables are options, too. Together they become `settings::Settings`, which the daemon converts into the
//! configuration of the server.

pub mod args;
pub mod conflict;
pub mod descriptor;
pub mod env_file;
pub mod environment;
pub mod excerpt;
pub mod files;
pub mod listen;
pub mod listener_option;
pub mod listener_syntax;
pub mod load;
pub mod network;
pub mod origin;
pub mod quotes;
pub mod settings;
pub mod settings_file;
pub mod socket_mode;
pub mod values;
pub mod written;
