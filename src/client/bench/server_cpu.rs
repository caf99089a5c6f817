//! The CPU time of a process on this machine, from its threads' schedstat: nanoseconds, where stat counts in
//! hundredths of a second (proc(5)).

use std::fs;
use std::time::Duration;

/// The time that all threads of the process have run so far; nothing if there is no such process.
#[must_use]
pub fn of(process: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanoseconds.sum()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_run() {
        assert!(super::of(std::process::id()).is_some_and(|time| !time.is_zero()));
        assert_eq!(super::of(u32::MAX), None);
    }
}
