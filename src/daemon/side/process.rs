//! What Prometheus' client libraries export about every process.

use std::time::{Duration, SystemTime};

use procfs::process::Process;

use crate::sys;

/// What the system knows about this process. A part is not known where /proc is not mounted, and while no descriptor is
/// left to read it.
#[derive(Debug)]
pub struct ProcessStats {
    /// Processor time, in user and system mode.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: Option<u64>,
    /// Open descriptors.
    pub open_descriptors: Option<u64>,
    /// The maximum number of open descriptors.
    pub max_descriptors: u64,
}

impl ProcessStats {
    /// The current values.
    #[must_use]
    pub fn read() -> Self {
        let process = Process::myself().ok();
        let resident = process.as_ref().and_then(|process| process.statm().ok()).map(|pages| pages.resident);
        Self {
            cpu: sys::cpu_time(),
            resident: resident.map(|pages| pages * procfs::page_size()),
            open_descriptors: process.and_then(|process| process.fd_count().ok()).map(|count| count as u64),
            max_descriptors: sys::descriptor_limit(),
        }
    }
}

/// The current time, in Unix time.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_descriptors() {
        let ProcessStats { cpu, resident, open_descriptors, max_descriptors } = ProcessStats::read();
        assert!(cpu > Duration::ZERO);
        assert!(resident.is_some_and(|bytes| bytes > 1 << 20 && bytes < 1 << 40), "{resident:?}");
        assert!(open_descriptors.is_some_and(|open| (3..=max_descriptors).contains(&open)), "{open_descriptors:?}");
    }
}
