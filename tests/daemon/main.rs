//! Tests of the daemon over real sockets, and of its client as a user runs it.
//!
//! All of them are modules of one test program, so that the harness is compiled and linked once. `cargo test --test
//! daemon limits::` runs one module.
//!
//! Under plain `cargo test` all tests are threads of one process. A test must not change what the process shares
//! (environment, current directory, signal dispositions, limits), and opens descriptors with close-on-exec, because
//! other tests start programs at any moment. [`harness::DaemonBuilder`] sets what a daemon is to inherit.

#![allow(clippy::cast_possible_truncation, reason = "lengths and times of tests are small")]

mod access;
mod activation;
mod balancers;
mod benchmark;
mod buggy_servers;
mod bulk;
mod check_client;
mod check_settings;
mod drain_delay;
mod faults;
mod frame;
mod hand_over;
mod harness;
#[path = "../proxy_header/headers.rs"]
mod headers;
mod impaired_listeners;
mod impairments;
mod lifecycle;
mod limits;
mod local_sockets;
mod log;
mod log_formats;
mod monitoring;
mod options;
mod protocols;
mod proxy;
mod proxy_receivers;
mod readme;
mod retort_bench;
mod retort_bench_compare;
mod retort_bench_files;
mod retort_bench_histogram;
mod retort_bench_one_way;
mod retort_bench_rates;
mod retort_bench_schema;
mod retort_check;
mod retort_local;
mod retort_ping;
mod retort_proxy;
mod retort_send;
mod side;
mod teaching;
