//! Random input for each protocol, and the whole of a connection as its client and the statistics see it.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use retortd::connection::{Budget, CloseReason, Context, Counter};
use retortd::protocol::{Input, PROTOCOLS, ProtocolInfo};

use crate::scripted::{Driver, IoResult, ScriptedStream, check_sums, context};

/// The limits and the random numbers of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Bytes of the longest message.
    pub message: usize,
    /// Bytes of the memory budget.
    pub budget: u64,
    pub seed: u64,
}

pub fn setting() -> impl Strategy<Value = Setting> {
    (select(vec![40, 70_000, 1 << 27]), select(vec![1 << 10, 1 << 18, 1 << 21, u64::MAX]), any::<u64>())
        .prop_map(|(message, budget, seed)| Setting { message, budget, seed })
}

/// A whole connection as its client and the statistics see it.
#[derive(Debug, PartialEq)]
pub struct Transcript {
    pub output: Vec<u8>,
    pub reason: Option<CloseReason>,
    pub refused: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Serves one client, as the only one of its budget, until the connection closes.
pub fn serve(protocol: &str, stream: ScriptedStream, setting: Setting) -> Transcript {
    serve_with(Driver::new(protocol, stream), setting)
}

/// As [`serve`], for a connection before its first call.
pub fn serve_with(mut driver: Driver, setting: Setting) -> Transcript {
    let budget = Arc::new(Budget::new(setting.budget));
    let mut context = context(setting.message, &budget, setting.seed);
    context.counters.accepted.add(1);
    let reason = driver.run(&mut context, usize::MAX);
    let output = std::mem::take(&mut driver.stream.output);
    drop(driver);
    check_sums(&context);
    assert_eq!(budget.used(), 0, "memory was not given back to the budget");
    let count = |pick: fn(&Context) -> &Counter| pick(&context).get();
    assert_eq!(count(|context| &context.counters.bytes_out), output.len() as u64);
    Transcript {
        output,
        reason,
        refused: count(|context| &context.counters.refused),
        bytes_in: count(|context| &context.counters.bytes_in),
        bytes_out: count(|context| &context.counters.bytes_out),
    }
}

/// A text, mostly a short one; long ones are read into a buffer of their own, or are offloaded.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let repeated = |(unit, times): (&'static str, usize)| unit.as_bytes().repeat(times);
    let units = || select(vec!["Ab c", "stra\u{df}e ", "\u{3a3}\u{390}", "x\u{1f600}", "\u{fffd}"]);
    prop_oneof![
        8 => vec(any::<char>(), 0..20).prop_map(|text| String::from_iter(text).into_bytes()),
        2 => vec(any::<u8>(), 0..50),
        3 => (units(), 200usize..3000).prop_map(repeated),
        1 => (units(), 8000usize..40_000).prop_map(repeated),
    ]
}

/// The names of the actions that a request can have, and names that are unknown.
fn action_names(info: &ProtocolInfo) -> Vec<&'static str> {
    let Some(actions) = info.client.actions else { return vec![""] };
    let unknown: &[&str] = if actions.have_codes { &["3", "0"] } else { &["scream"] };
    actions.known.iter().map(|action| action.name()).chain(unknown.iter().copied()).collect()
}

/// A request as the protocol's client side writes it.
fn request(info: &'static ProtocolInfo) -> impl Strategy<Value = Vec<u8>> {
    (select(action_names(info)), message()).prop_map(|(action, message)| {
        let mut wire = Vec::new();
        (info.client.write_request)(action, &message, &mut wire).expect("a request");
        wire
    })
}

/// The input of a connection: requests, sometimes with random bytes between them, sometimes truncated.
pub fn conversation(info: &'static ProtocolInfo) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![20 => request(info).boxed(), 1 => vec(any::<u8>(), 0..9).boxed()];
    (vec(part, 0..8), prop_oneof![3 => Just(0), 1 => 0..40usize]).prop_map(|(parts, missing)| {
        let mut bytes = parts.concat();
        bytes.truncate(bytes.len().saturating_sub(missing));
        bytes
    })
}

/// The name of any protocol, and input for it.
pub fn any_conversation() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    select(PROTOCOLS).prop_flat_map(|info| conversation(info).prop_map(move |bytes| (info.name, bytes)))
}

/// The name of a protocol whose replies do not depend on how the input is cut, and input for it.
pub fn stream_conversation() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let streams: Vec<_> = PROTOCOLS.iter().copied().filter(|info| info.input == Input::Stream).collect();
    select(streams).prop_flat_map(|info| conversation(info).prop_map(move |bytes| (info.name, bytes)))
}

/// Results of system calls, none of which ends the connection.
pub fn io_results() -> impl Strategy<Value = Vec<IoResult>> {
    let result = prop_oneof![
        4 => (1usize..9).prop_map(IoResult::AtMost),
        3 => (1usize..600).prop_map(IoResult::AtMost),
        2 => (1usize..70_000).prop_map(IoResult::AtMost),
        2 => Just(IoResult::WouldBlock),
        1 => Just(IoResult::Interrupted),
    ];
    vec(result, 0..60)
}
