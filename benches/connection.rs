//! Time that a connection takes for a round of requests from a scripted client: all of the daemon's work except the
//! system calls.
//!
//! `cargo bench --bench connection`, or with the name of a case after `--`. The copies that recv(2) and sendmsg(2)
//! would make are timed.
#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

#[path = "cases/connection.rs"]
mod cases;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection");
    for case in cases::cases() {
        let mut server = case.server();
        group.throughput(Throughput::Elements(case.requests as u64));
        group.bench_function(BenchmarkId::from_parameter(case.name), |bencher| bencher.iter(|| server.round()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = rounds
}
criterion_main!(benches);
