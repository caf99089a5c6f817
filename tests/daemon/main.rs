//! The two programs from outside: the daemon over real sockets, and its client as people run it. One program, so that
//! the harness is compiled and linked once; `cargo test --test daemon limits::` runs one module.
//!
//! Under plain `cargo test` all of these tests are threads of one process. A test must not change what belongs to the
//! process (environment, current directory, signal dispositions); what a daemon needs goes through [`harness::DaemonBuilder`].

mod activation;
mod buggy_servers;
mod faults;
mod frame;
mod harness;
mod lifecycle;
mod limits;
mod options;
mod protocols;
mod retort_bench;
mod retort_check;
mod retort_send;
