//! The configuration of the daemon: command line, environment and settings file.
//!
//! `load` reads them: clap parses the command line into `args::Arguments`, and `env_file` the settings file, whose
//! variables are options, too. Together they become `settings::Settings`, which the daemon converts into the
//! configuration of the server.
//!
//! | file | content |
//! |---|---|
//! | `args`, `environment`, `written` | options: their names and defaults, where they are read, how they are printed |
//! | `settings_file`, `env_file`, `files` | the file of `--settings` |
//! | `load`, `settings`, `conflict` | all of it together, checked |
//! | `listen`, `listen_address`, `listener_syntax`, `socket_mode` | what is written for one listener |
//! | `listener_option`, `impairment_option` | its options |
//! | `service` | what a listener serves |
//! | `descriptor`, `origin` | the sockets from systemd, and the options of each listener |
//! | `values`, `network`, `quotes`, `excerpt` | values of options, and how errors quote them |

pub mod args;
pub mod conflict;
pub mod descriptor;
pub mod env_file;
pub mod environment;
pub mod excerpt;
pub mod files;
pub mod impairment_option;
pub mod listen;
pub mod listen_address;
pub mod listener_option;
pub mod listener_syntax;
pub mod load;
pub mod network;
pub mod origin;
pub mod quotes;
pub mod service;
pub mod settings;
pub mod settings_file;
pub mod socket_mode;
pub mod values;
pub mod written;
