//! The program that takes the connections over: its file, and the check of its settings.
//!
//! The file is found at the start of the daemon. After an upgrade the path leads to the new program, and
//! `/proc/self/exe` still to the old one.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::hand_over::NAME;
use super::signals;
use crate::sys::{self, Interest};
use crate::units::format_time;

/// The variables by which a service manager describes what it passes to one process. The successor gets its own, or
/// none.
pub const OF_ONE_PROCESS: [&str; 7] =
    ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The maximum time of `--check`. Chosen: it reads two files and takes milliseconds, so a machine that needs longer is in
/// no state for a hand-over; far below the time in which a service manager expects the end of a stop, 45 s in the unit.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two questions whether the check has ended, once it has closed its standard error. Chosen: the kernel
/// needs less than that from the last close(2) to the end of the process.
const END_INTERVAL: Duration = Duration::from_millis(5);
/// The most that is kept of the check's messages, in bytes. Chosen: many lines of a log that cuts them; the rest is read
/// and forgotten.
const MAX_TEXT: usize = 1 << 16;
/// The suffix of the path that the kernel shows for a program whose file was removed (proc(5)).
const DELETED: &[u8] = b" (deleted)";

/// The file of this program, as it was started: the name of the program in its arguments if that is this file, so that
/// symbolic links stay, or else what the kernel says.
#[must_use]
pub fn program(arguments: &[OsString]) -> Option<PathBuf> {
    let own = fs::metadata("/proc/self/exe").ok().map(|file| (file.dev(), file.ino()));
    let is_own = |path: &PathBuf| own.is_some() && fs::metadata(path).ok().map(|file| (file.dev(), file.ino())) == own;
    let called = arguments.first().map(PathBuf::from).unwrap_or_default();
    let candidates: Vec<PathBuf> = if called.as_os_str().as_bytes().contains(&b'/') {
        std::path::absolute(&called).into_iter().collect()
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|directory| directory.join(&called)).filter(|path| path.is_absolute()).collect()
    };
    candidates
        .into_iter()
        .find(is_own)
        .or_else(|| env::current_exe().ok().map(without_deleted))
        .filter(|path| path.exists())
}

/// The path of a program, without the remark that its file was removed: another one may have replaced it.
fn without_deleted(path: PathBuf) -> PathBuf {
    let mut bytes = path.into_os_string().into_vec();
    if bytes.ends_with(DELETED) {
        bytes.truncate(bytes.len() - DELETED.len());
    }
    OsString::from_vec(bytes).into()
}

/// Executes the program in place of this process, with these arguments and one descriptor, which has the name of a
/// hand-over. Signals stay pending meanwhile. Returns only if that fails, and why.
pub fn execute(program: &Path, arguments: &[OsString], descriptor: BorrowedFd<'_>) -> String {
    let is_kept = |(name, _): &(OsString, OsString)| OF_ONE_PROCESS.iter().all(|other| name != other);
    let passed = [("LISTEN_PID", process::id().to_string().as_str()), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", NAME)]
        .map(|(name, value)| (name.into(), value.into()));
    let environment: Vec<(OsString, OsString)> = env::vars_os().filter(is_kept).chain(passed).collect();
    let error = match sys::block_signals(&signals::HANDLED) {
        Ok(_blocked) => {
            signals::send_again();
            sys::execute(program, arguments, &environment, descriptor)
        }
        Err(error) => error,
    };
    format!("cannot execute {}: {}", program.display(), error.desc())
}

/// The program with `--check` and the arguments of this process, while it runs.
#[derive(Debug)]
pub struct SettingsCheck {
    child: Child,
    /// Its standard error; `None` once that is at its end.
    messages: Option<ChildStderr>,
    text: Vec<u8>,
    until: Instant,
}

impl SettingsCheck {
    /// Starts it. `arguments` begin with the name of the program.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(program: &Path, arguments: &[OsString]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments.iter().skip(1)).arg("--check");
        for name in OF_ONE_PROCESS {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // the child inherits this: a SIGTERM or SIGINT for all processes of the service or terminal is not for the check
        let blocked = sys::block_signals(&signals::HANDLED)?;
        let mut child = command.spawn()?;
        drop(blocked);
        let messages = child.stderr.take();
        Ok(Self { child, messages, text: Vec::new(), until: Instant::now() + CHECK_TIMEOUT })
    }

    /// A descriptor that is readable when there is something to do; `None` while [`SettingsCheck::left`] is all.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.messages.as_ref().map(AsFd::as_fd)
    }

    /// The time after which [`SettingsCheck::result`] has to be called again.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        let left = self.until.saturating_duration_since(now);
        if self.messages.is_some() { left } else { left.min(END_INTERVAL) }
    }

    /// The result, if there is one: an error says why the program cannot take over. Never waits for the program, but for
    /// the kernel to end one that has taken too long.
    pub fn result(&mut self, now: Instant) -> Option<Result<(), String>> {
        self.read();
        if self.messages.is_none() {
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) if status.success() => return Some(Ok(())),
                Ok(Some(status)) => return Some(Err(self.reason(status))),
                Err(error) => return Some(Err(format!("the end of --check is not known: {error}"))),
            }
        }
        let is_late = self.until <= now;
        is_late.then(|| Err(format!("--check took longer than {}", format_time(CHECK_TIMEOUT))))
    }

    /// Reads what there is of the messages.
    fn read(&mut self) {
        let Some(messages) = &mut self.messages else { return };
        // the end of a pipe is no input, but readable here
        if !sys::wait_ready(messages, Interest::READ, Duration::ZERO).is_ok_and(|ready| ready.is_some()) {
            return;
        }
        let mut part = [0; 4096];
        match messages.read(&mut part) {
            Ok(0) => self.messages = None,
            Ok(length) => {
                let room = MAX_TEXT - self.text.len();
                self.text.extend_from_slice(&part[..length.min(room)]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.messages = None,
        }
    }

    /// Why the check failed: its last message, or for errors of the command line, whose message has further lines, the
    /// first.
    fn reason(&self, status: ExitStatus) -> String {
        let text = String::from_utf8_lossy(&self.text);
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let line = if text.starts_with("error: ") { lines.next() } else { lines.next_back() };
        match line {
            Some(line) => without_prefix(line).to_string(),
            None => format!("--check ended without a message: {status}"),
        }
    }
}

/// Ends the check, and removes its entry from the table of processes.
impl Drop for SettingsCheck {
    fn drop(&mut self) {
        // both fail only if it has ended and was waited for
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of the log without time and name of the program.
fn without_prefix(line: &str) -> &str {
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.split_once(' ') {
        Some((_time, rest)) => rest.strip_prefix("retortd: ").unwrap_or(line),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of a shell script that gets the arguments of a daemon, and `--check`.
    fn check(script: &str) -> Result<(), String> {
        let arguments = ["retortd", "-c", script, "name"].map(OsString::from);
        let mut check = SettingsCheck::start(Path::new("/bin/sh"), &arguments).expect("start");
        loop {
            let now = Instant::now();
            if let Some(result) = check.result(now) {
                return result;
            }
            match check.descriptor() {
                Some(descriptor) => sys::wait_readable([descriptor], Some(check.left(now))),
                None => sys::wait_readable([], Some(check.left(now))),
            }
            .expect("wait");
        }
    }

    #[test]
    fn the_last_message_is_the_reason() {
        assert_eq!(check("test \"$1\" = --check"), Ok(()));
        assert_eq!(check("echo warning >&2; exec 2>&-"), Ok(()));
        assert_eq!(check("kill -TERM $$; kill -INT $$"), Ok(()), "signals for all processes of the service");
        let failed = |script: &str| check(script).expect_err(script);
        let log =
            "echo '2026-11-21T10:00:00.000Z retortd: one' >&2; echo '2026-11-21T10:00:00.000Z retortd: two: a b' >&2";
        assert_eq!(failed(&format!("{log}; exit 78")), "two: a b");
        assert_eq!(failed("printf 'error: invalid value\\n\\nFor more information\\n' >&2; exit 2"), "invalid value");
        assert_eq!(failed("exit 3"), "--check ended without a message: exit status: 3");
        let many = "i=0; while [ $i -lt 2000 ]; do echo 'a line of which there are too many for the limit' >&2; i=$((i + 1)); done";
        assert_eq!(check(many), Ok(()), "a check that writes more than is kept is not blocked");
    }

    #[test]
    fn a_check_that_does_not_end_is_killed() {
        let arguments = ["retortd", "-c", "exec sleep 1000", "name"].map(OsString::from);
        let mut check = SettingsCheck::start(Path::new("/bin/sh"), &arguments).expect("start");
        assert_eq!(check.result(Instant::now()), None);
        let late = check.result(Instant::now() + CHECK_TIMEOUT).expect("a result");
        assert_eq!(late, Err("--check took longer than 10s".into()));
        let process = PathBuf::from(format!("/proc/{}", check.child.id()));
        assert!(process.exists());
        drop(check);
        assert!(!process.exists(), "it is killed and waited for");
    }

    #[test]
    fn a_program_that_cannot_be_started_is_an_error() {
        assert!(SettingsCheck::start(Path::new("/nonexistent/retortd"), &[]).is_err());
    }

    #[test]
    fn the_program_is_found_by_its_name_or_by_the_kernel() {
        let own = env::current_exe().expect("the test program");
        assert_eq!(program(&[own.clone().into()]), Some(own.clone()));
        // a name that is another program, or none
        assert_eq!(program(&["sh".into()]), Some(own.clone()));
        assert_eq!(program(&["/nonexistent".into()]), Some(own.clone()));
        assert_eq!(program(&[]), Some(own));
        assert_eq!(without_deleted("/usr/sbin/retortd (deleted)".into()), Path::new("/usr/sbin/retortd"));
    }
}
