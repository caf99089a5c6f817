//! Runs the cases of `codec` and `connection` a given number of times, for `benches/instructions`, which counts the
//! instructions with callgrind.
//!
//! Without arguments it prints the list of cases and the sizes of idle connections, as JSON.
//! With the name of a case and a number it runs that many rounds of the case.

mod cases {
    pub mod codec;
    pub mod connection;
}

use std::env;
use std::hint::black_box;

use retortd::connection::Connection;
use serde_json::{Value, json};

/// One of the cases.
enum Case {
    Codec(cases::codec::Case),
    Connection(cases::connection::Case),
}

/// A case that is ready to run.
trait Load {
    /// The part that is not counted.
    fn prepare(&mut self) {}

    /// The part that is counted.
    fn round(&mut self);
}

impl Load for cases::connection::Server {
    fn round(&mut self) {
        Self::round(self);
    }
}

/// Gives the protocol a fresh copy of the requests in each round: it changes its input.
struct Calls {
    caller: cases::codec::Caller,
    requests: Vec<u8>,
    input: Vec<u8>,
}

impl Load for Calls {
    fn prepare(&mut self) {
        self.input.copy_from_slice(&self.requests);
    }

    fn round(&mut self) {
        black_box(self.caller.process(&mut self.input));
    }
}

impl Case {
    fn all() -> Vec<Self> {
        let codec = cases::codec::small().into_iter().chain(cases::codec::large()).map(Self::Codec);
        codec.chain(cases::connection::cases().into_iter().map(Self::Connection)).collect()
    }

    /// The name that criterion gives the case.
    fn name(&self) -> String {
        match self {
            Self::Codec(case) => format!("{}/{}", case.group, case.name),
            Self::Connection(case) => format!("connection/{}", case.name),
        }
    }

    /// Number of requests in a round.
    fn requests(&self) -> usize {
        match self {
            Self::Codec(case) => case.requests,
            Self::Connection(case) => case.requests,
        }
    }

    fn load(&self) -> Box<dyn Load> {
        match self {
            Self::Codec(case) => {
                let (requests, input) = (case.input.clone(), case.input.clone());
                Box::new(Calls { caller: case.caller(), requests, input })
            }
            Self::Connection(case) => Box::new(case.server()),
        }
    }
}

/// Callgrind counts what runs inside this function, and finds it by its name.
#[inline(never)]
fn counted_round(load: &mut dyn Load) {
    load.round();
    // keeps the call from becoming a jump, which would leave this function too early
    black_box(load);
}

fn run(name: &str, rounds: usize) {
    let case = Case::all().into_iter().find(|case| case.name() == name).expect("a case of that name");
    let mut load = case.load();
    for _ in 0..rounds {
        load.prepare();
        counted_round(&mut *load);
    }
}

fn list() -> Value {
    let cases: Vec<Value> =
        Case::all().iter().map(|case| json!({ "name": case.name(), "requests": case.requests() })).collect();
    json!({ "cases": cases, "bytes": { "connection::Connection": size_of::<Connection>() } })
}

fn main() {
    // cargo adds `--bench`
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [] => println!("{}", list()),
        [name, rounds] => run(name, rounds.parse().expect("a number of rounds")),
        _ => panic!("usage: instructions [CASE ROUNDS]"),
    }
}
