//! The CPU time of a server on this machine: its process and the descendants of that (a server may fork for every
//! connection).
//!
//! The time of running threads is read from `schedstat`, in nanoseconds, because `stat` counts in hundredths of a
//! second. The time of children that have ended is only in `stat` (proc(5)).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::failure::{Status, warn};

/// The unit of `stat`: a clock tick, of which there are `USER_HZ` per second. That is 100 on every architecture that
/// retortd supports (time(7)).
const TICK: Duration = Duration::from_millis(10);

/// CPU time of the process and its descendants so far; `None` if there is no such process.
#[must_use]
pub fn of(process: u32) -> Option<Duration> {
    let all: Vec<Process> = processes().collect();
    let mut family = vec![all.iter().find(|each| each.id == process)?];
    let mut index = 0;
    while let Some(parent) = family.get(index) {
        family.extend(all.iter().filter(|each| each.parent == parent.id));
        index += 1;
    }
    Some(family.into_iter().map(|each| each.ended_children + running(each.id)).sum())
}

/// Whether the CPU time of the server was measured, if that was asked for.
#[must_use]
pub fn status(process: Option<u32>, measured: Option<Duration>) -> Status {
    match process {
        Some(process) if measured.is_none() => {
            warn(&format!("the CPU time of process {process} is missing: it did not run all the time"));
            Status::Failed
        }
        _ => Status::Success,
    }
}

/// A process, as its `stat` file describes it.
struct Process {
    id: u32,
    parent: u32,
    /// CPU time of its children that have ended and have been waited for.
    ended_children: Duration,
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(directory(id).join("stat")).ok()?;
        // The second field is the program's name in parentheses, and may itself contain parentheses and spaces.
        let (_, fields) = stat.rsplit_once(')')?;
        let field = |number: usize| fields.split_whitespace().nth(number - 3)?.parse().ok();
        Some(Self { id, parent: field(4)?, ended_children: TICK * (field(16)? + field(17)?) })
    }
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?))
}

/// CPU time of the threads that a process has now.
fn running(process: u32) -> Duration {
    let threads = fs::read_dir(directory(process).join("task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn directory(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Shell commands that take some tens of milliseconds.
    const WORK: &str = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done;";

    #[test]
    fn own_cpu_time_is_measured() {
        assert!(of(std::process::id()).is_some_and(|time| !time.is_zero()));
        assert_eq!(of(u32::MAX), None);
    }

    #[test]
    fn children_count_while_they_run_and_after_they_ended() {
        for (script, what) in [("{ WORK echo; read end; } | cat; :", "runs"), ("(WORK :); echo; read end", "has ended")]
        {
            let script = script.replace("WORK", WORK);
            let mut parent = Command::new("sh")
                .args(["-c", &script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("sh runs");
            let mut line = [0];
            std::io::Read::read_exact(parent.stdout.as_mut().expect("piped"), &mut line).expect("the work is done");
            let (whole, own) = (of(parent.id()).expect("the process exists"), running(parent.id()));
            drop(parent.stdin.take());
            parent.wait().expect("it ends");
            assert!(whole > own + Duration::from_millis(10), "a child that {what}: {whole:?}, without it {own:?}");
        }
    }
}
