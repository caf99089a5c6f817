//! The load that one generator makes.

use std::time::Duration;

use super::connect::SourceAddresses;
use super::model::LoadModel;
use super::schedule::Schedule;
use super::workload::Workload;
use crate::client::client_protocol::ConnectionUse;
use crate::client::options::{BenchOptions, Timeouts};
use crate::client::target::Target;
use crate::sys::SocketAddress;

/// What to send where, when, and for how long.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// The bytes.
    pub workload: &'a Workload,
    /// The server.
    pub target: &'a Target,
    /// The address of the target that accepted the first connection.
    pub address: SocketAddress,
    /// The addresses that connections come from.
    pub sources: SourceAddresses,
    /// How requests follow one another.
    pub model: LoadModel,
    /// When they are due (open models).
    pub schedule: Option<Schedule>,
    /// The number of connections.
    pub connections: usize,
    /// The number of threads that make the load together.
    pub threads: usize,
    /// Which of their parts this is, from 0.
    pub part: usize,
    /// Duration of the load before the measurement.
    pub warm_up: Duration,
    /// Duration of the measurement, if time limits it.
    pub duration: Option<Duration>,
    /// The number of requests to measure, if that is limited.
    pub requests: Option<u64>,
    /// Length of an interval of the series.
    pub interval: Duration,
    /// How long to wait for the server.
    pub timeouts: &'a Timeouts,
    /// The process of the server, whose CPU time is measured.
    pub server_pid: Option<u32>,
}

impl<'a> Load<'a> {
    /// The load that the options describe.
    pub fn new(options: &'a BenchOptions, workload: &'a Workload, target: &'a Target, address: SocketAddress) -> Self {
        Self {
            workload,
            target,
            sources: SourceAddresses::new(&options.source, &address),
            address,
            model: LoadModel::new(options),
            schedule: schedule(options),
            connections: options.connections,
            threads: options.threads,
            part: 0,
            warm_up: options.warm_up,
            duration: options.time_limit(),
            requests: options.requests,
            interval: options.series_interval(),
            timeouts: &options.timeouts,
            server_pid: options.server_pid,
        }
    }

    /// The part of the load that thread `index` makes: all parts together are the whole.
    #[must_use]
    pub fn part(&self, index: usize) -> Self {
        let (part, parts) = (index as u64, self.threads as u64);
        Self {
            schedule: self.schedule.as_ref().map(|schedule| schedule.part(part, parts)),
            connections: self.connections / self.threads + usize::from(index < self.connections % self.threads),
            requests: self.requests.map(|requests| requests / parts + u64::from(part < requests % parts)),
            part: index,
            ..self.clone()
        }
    }
}

/// When requests are due, in an open loop whose rates are known.
fn schedule(options: &BenchOptions) -> Option<Schedule> {
    match options.load_stages() {
        [] => options.rate.map(Schedule::constant),
        stages => Some(Schedule::new(stages)),
    }
}

impl LoadModel {
    /// The load model that the options describe.
    pub fn new(options: &BenchOptions) -> Self {
        let reconnect = options.reconnect || options.protocol.connection_use() == ConnectionUse::PerRequest;
        if options.is_open_loop() {
            return Self::Open { reconnect };
        }
        if reconnect { Self::Reconnect } else { Self::Closed { depth: options.depth.unwrap_or(1) } }
    }
}
