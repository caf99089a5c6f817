//! How much memory the daemon may need, and the defaults that keep this below a limit.
//!
//! The formula of retortd(8), section MEMORY, is [`Need::bytes`]. Where memory is limited for this process (by a control
//! group, `RLIMIT_AS` or `RLIMIT_DATA`), the defaults of `--workers`, `--max-buffered` and `--max-connections` keep it
//! below the limit. The size of the machine is no such limit: it lowers `--max-buffered` alone.

use super::config::args::MIN_BUFFERED;
use super::logging;
use super::system_limits::Memory;
use crate::server::{CONNECTION_MEMORY, WORKER_MEMORY};

/// The part of limited memory that the defaults leave to what the formula does not count: the program, stacks, and the
/// kernel's buffers of sockets, which a control group counts, too. Chosen: an eighth.
const UNCOUNTED: u64 = 8;
/// The part of limited memory for workers. Chosen: a quarter, so that many processors leave memory to clients.
const FOR_WORKERS: u64 = 4;
/// The part of the memory for `--max-buffered`. Chosen: a quarter, because buffers are not all that needs memory.
const FOR_BUFFERS: u64 = 4;
/// The least default of `--max-connections`, however little memory there is. Chosen: enough for an administrator to try
/// the service; with one worker and the least `--max-buffered` the formula is 14 MiB.
const MIN_CONNECTIONS: u64 = 16;

/// What memory is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Worker threads.
    pub workers: usize,
    /// The bytes of `--max-buffered`.
    pub buffered: u64,
    /// Connections.
    pub connections: usize,
}

impl Need {
    /// The most memory that all connections together take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let connections = CONNECTION_MEMORY.saturating_mul(self.connections as u64);
        beside_clients(self.workers).saturating_add(self.buffered).saturating_add(connections)
    }
}

/// Bytes for log lines and workers.
fn beside_clients(workers: usize) -> u64 {
    logging::MAX_MEMORY.saturating_add(WORKER_MEMORY.saturating_mul(workers as u64))
}

/// The defaults of options for an amount of memory.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    memory: Memory,
}

impl Defaults {
    /// The defaults for this memory.
    #[must_use]
    pub fn new(memory: Memory) -> Self {
        Self { memory }
    }

    /// The number of workers on a number of processors: one for each, as far as memory allows.
    #[must_use]
    pub fn workers(self, processors: usize) -> usize {
        if !self.memory.is_limited() {
            return processors;
        }
        let max = (self.memory.bytes / FOR_WORKERS / WORKER_MEMORY).max(1);
        processors.min(usize::try_from(max).unwrap_or(usize::MAX))
    }

    /// The bytes of `--max-buffered` beside a number of workers: at least the minimum of the option.
    #[must_use]
    pub fn buffered(self, workers: usize) -> u64 {
        let share = self.memory.bytes / FOR_BUFFERS;
        let share = if self.memory.is_limited() { share.min(self.for_clients(workers) / 2) } else { share };
        share.max(MIN_BUFFERED)
    }

    /// The number of connections beside workers and buffers; `None` if memory does not limit it. Buffers that leave too
    /// little (or have no limit) count as their default: what is written for them exceeds the memory anyway.
    #[must_use]
    pub fn connections(self, workers: usize, buffered: Option<u64>) -> Option<usize> {
        if !self.memory.is_limited() {
            return None;
        }
        let (bytes, least) = (self.for_clients(workers), MIN_CONNECTIONS * CONNECTION_MEMORY);
        let left = buffered.and_then(|buffered| bytes.checked_sub(buffered)).filter(|left| *left >= least);
        let left = left.unwrap_or_else(|| bytes.saturating_sub(self.buffered(workers))).max(least);
        Some(usize::try_from(left / CONNECTION_MEMORY).unwrap_or(usize::MAX))
    }

    /// Bytes for buffers and connections. Workers that leave none count as their default, as in [`Self::connections`].
    fn for_clients(self, workers: usize) -> u64 {
        let counted = self.memory.bytes - self.memory.bytes / UNCOUNTED;
        let left = counted.checked_sub(beside_clients(workers));
        left.unwrap_or_else(|| counted.saturating_sub(beside_clients(self.workers(workers))))
    }

    /// The warning that the memory may not suffice for what the options allow: only where it is limited.
    #[must_use]
    pub fn warning(self, need: Need) -> Option<String> {
        let Memory { bytes, limit } = self.memory;
        let Need { workers, buffered, connections } = need;
        (self.memory.is_limited() && need.bytes() > bytes).then(|| {
            format!(
                "--workers={workers}, --max-buffered={buffered} and --max-connections={connections} may need {} bytes, \
                 more than {limit} ({bytes} bytes): memory may run out before these limits are reached (see MEMORY in \
                 retortd(8))",
                need.bytes()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn limited(mebibytes: u64) -> Defaults {
        Defaults::new(Memory { bytes: mebibytes * MIB, limit: "RLIMIT_DATA" })
    }

    /// What memory is needed for with the defaults, on this number of processors.
    fn need(defaults: Defaults, processors: usize) -> Need {
        let workers = defaults.workers(processors);
        let buffered = defaults.buffered(workers);
        let connections = defaults.connections(workers, Some(buffered)).expect("a limit");
        Need { workers, buffered, connections }
    }

    #[test]
    fn manual_states_the_formula() {
        let manual = include_str!("../../packaging/man/retortd.8");
        let (log, worker, connection) = (logging::MAX_MEMORY / MIB, WORKER_MEMORY / MIB, CONNECTION_MEMORY / 1024);
        let formula = format!(
            "\n{log} MiB + workers \\(mu {worker} MiB +\n.B \\-\\-max\\-buffered\n+ connections \\(mu {connection} KiB\n"
        );
        assert!(manual.contains(&formula), "{formula}");
        let need = Need { workers: 2, buffered: 64 * MIB, connections: 2000 };
        assert_eq!(need.bytes(), (log + 2 * worker + 64 + 2000 * connection / 1024) * MIB);
        let unlimited = Need { workers: 1, buffered: u64::MAX, connections: usize::MAX };
        assert_eq!(unlimited.bytes(), u64::MAX);
    }

    #[test]
    fn manual_states_the_defaults() {
        let manual = include_str!("../../packaging/man/retortd.8");
        for mebibytes in [16, 64, 256, 1024] {
            let Need { workers, buffered, connections } = need(limited(mebibytes), 64);
            let row = format!("{mebibytes} MiB\t{workers}\t{} MiB\t{connections}\n", buffered / MIB);
            assert!(manual.contains(&row), "{row}");
        }
    }

    #[test]
    fn defaults_keep_the_formula_below_the_limit() {
        for mebibytes in (16..64).chain([64, 100, 128, 256, 500, 512, 1024, 4096, 16384, 65536]) {
            for processors in [1, 2, 8, 64, 1024] {
                let defaults = limited(mebibytes);
                let need = need(defaults, processors);
                let case = format!("{mebibytes} MiB, {processors} processors: {need:?}");
                assert!(need.bytes() <= mebibytes * MIB * 7 / 8, "{case}");
                assert_eq!(defaults.warning(need), None, "{case}");
                assert!(need.workers >= 1 && need.connections >= 16 && need.buffered >= MIN_BUFFERED, "{case}");
                // nothing is left unused: another connection would not fit
                assert!(need.bytes() + CONNECTION_MEMORY > mebibytes * MIB * 7 / 8, "{case}");
            }
        }
    }

    #[test]
    fn each_processor_has_a_worker_where_memory_allows() {
        assert_eq!(limited(256).workers(7), 7);
        assert_eq!(limited(256).workers(8), 7);
        assert_eq!(limited(1).workers(64), 1);
        assert_eq!(limited(65536).workers(1024), 1024);
    }

    #[test]
    fn buffers_get_a_quarter_where_memory_allows() {
        assert_eq!(limited(1024).buffered(1), 256 * MIB);
        // half of what 64 workers leave
        assert_eq!(limited(1024).buffered(64), (896 - 3 - 64 * 9) * MIB / 2);
        assert_eq!(limited(16).buffered(1), MIN_BUFFERED);
        assert_eq!(limited(1).buffered(1), MIN_BUFFERED);
    }

    #[test]
    fn machine_limits_buffers_alone() {
        let machine = Defaults::new(Memory { bytes: 1 << 30, limit: Memory::MACHINE });
        assert_eq!((machine.workers(64), machine.buffered(64), machine.connections(64, None)), (64, 1 << 28, None));
        assert_eq!(machine.warning(Need { workers: 1024, buffered: u64::MAX, connections: 1 << 20 }), None);
        assert_eq!(Defaults::new(Memory { bytes: 1 << 20, limit: Memory::MACHINE }).buffered(1), MIN_BUFFERED);
    }

    #[test]
    fn written_options_count() {
        let defaults = limited(256);
        let of = |workers, buffered| defaults.connections(workers, buffered);
        // 7/8 of 256 MiB - 3 MiB - 9 MiB for each worker - the buffers, in 64 KiB
        assert_eq!(of(2, Some(64 * MIB)), Some((224 - 3 - 18 - 64) * 16));
        assert_eq!(of(4, Some(64 * MIB)), Some((224 - 3 - 36 - 64) * 16));
        assert_eq!(of(2, Some(128 * MIB)), Some((224 - 3 - 18 - 128) * 16));
        // what exceeds the memory does not take it from the others
        for buffered in [None, Some(300 * MIB), Some(203 * MIB)] {
            assert_eq!(of(2, buffered), of(2, Some(64 * MIB)), "{buffered:?}");
        }
        assert_eq!(of(1024, Some(32 * MIB)), Some((224 - 3 - 63 - 32) * 16));
    }

    #[test]
    fn memory_that_does_not_suffice_is_warned_about() {
        let need = Need { workers: 1, buffered: MIN_BUFFERED, connections: 16 };
        assert_eq!(need.bytes(), 14 * MIB);
        assert_eq!(limited(14).warning(need), None);
        let words = "--workers=1, --max-buffered=1048576 and --max-connections=16 may need 14680064 bytes, more than \
                     RLIMIT_DATA (13631488 bytes): memory may run out before these limits are reached (see MEMORY in \
                     retortd(8))";
        assert_eq!(limited(13).warning(need), Some(words.into()));
        assert_eq!(super::tests::need(limited(13), 64), need);
    }
}
