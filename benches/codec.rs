//! Time that a protocol takes for a call, without connection and system calls.
//!
//! `cargo bench --bench codec`, or with the name of a group after `--`. Each call gets a fresh copy of the requests;
//! making the copy is not timed.
#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

#[path = "cases/codec.rs"]
mod cases;

use std::time::Duration;

use cases::Case;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

fn small(criterion: &mut Criterion) {
    for case in cases::small() {
        time(criterion, &case, Throughput::Elements(case.requests as u64), BatchSize::SmallInput);
    }
}

fn large(criterion: &mut Criterion) {
    for case in cases::large() {
        time(criterion, &case, Throughput::Bytes(case.input.len() as u64), BatchSize::LargeInput);
    }
}

fn time(criterion: &mut Criterion, case: &Case, throughput: Throughput, copies: BatchSize) {
    let mut group = criterion.benchmark_group(&case.group);
    let mut caller = case.caller();
    group.throughput(throughput);
    group.bench_function(&case.name, |bencher| {
        bencher.iter_batched_ref(|| case.input.clone(), |input| caller.process(input), copies);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = small, large
}
criterion_main!(benches);
