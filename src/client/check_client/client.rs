//! The process of a client: its standard streams, and its end.
//!
//! Guarantees: it runs in a process group of its own, all of which is killed when this is dropped; what it prints is
//! read while it runs, and kept up to a limit.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::observation::ClientEnd;
use crate::sys::{self, EventFd};

/// A running client.
#[derive(Debug)]
pub struct ClientProcess {
    child: Child,
    exited: Arc<EventFd>,
    waiter: Option<JoinHandle<()>>,
    /// Standard output.
    pub stdout: Output<ChildStdout>,
    /// Standard error.
    pub stderr: Output<ChildStderr>,
}

/// An output of a client, read as it comes.
#[derive(Debug)]
pub struct Output<P> {
    /// `None` at its end.
    pipe: Option<P>,
    kept: Vec<u8>,
    limit: usize,
    exceeded: bool,
}

/// Bytes of standard error that are kept; the rest is read and dropped. Chosen: many stack traces.
const MAX_ERRORS: usize = 64 << 10;

/// Bytes to read at once. Chosen: the capacity of a pipe (pipe(7)).
const READ_SIZE: usize = 64 << 10;

impl ClientProcess {
    /// Starts the command, which may print `max_output` bytes.
    ///
    /// # Errors
    /// As fork(2) and execve(2); no thread can be started.
    pub fn start(mut command: Command, stdin: Stdio, max_output: usize) -> io::Result<Self> {
        let exited = Arc::new(EventFd::new()?);
        let command = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (stdout, stderr) =
            (Output::new(child.stdout.take(), max_output), Output::new(child.stderr.take(), MAX_ERRORS));
        let mut process = Self { child, exited, waiter: None, stdout, stderr };
        process.stdout.set_nonblocking()?;
        process.stderr.set_nonblocking()?;
        let (id, exited) = (process.child.id(), Arc::clone(&process.exited));
        let wait = move || {
            // ECHILD cannot be: the child is reaped after this thread has ended
            let _ = sys::await_exit(id);
            exited.notify();
        };
        process.waiter = Some(std::thread::Builder::new().name("wait".into()).spawn(wait)?);
        Ok(process)
    }

    /// Readable once the process has ended.
    #[must_use]
    pub fn exited(&self) -> BorrowedFd<'_> {
        self.exited.as_fd()
    }

    /// Whether the process has ended.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        sys::is_readable(&*self.exited)
    }

    /// Kills the process group.
    pub fn kill(&self) {
        sys::kill_group(self.child.id());
    }

    /// Kills what is left of the process group, and returns how the process itself has ended.
    ///
    /// # Errors
    /// As wait(2).
    pub fn finish(&mut self) -> io::Result<ClientEnd> {
        if let Some(waiter) = self.waiter.take() {
            self.kill();
            // it cannot panic
            let _ = waiter.join();
        }
        let status = self.child.wait()?;
        Ok(match status.code() {
            Some(code) => ClientEnd::Code(code),
            None => ClientEnd::Signal(status.signal().unwrap_or_default()),
        })
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        if self.waiter.is_none() {
            // `finish` was called, or the thread was not started
            if let Ok(None) = self.child.try_wait() {
                self.kill();
                let _ = self.child.wait();
            }
            return;
        }
        let _ = self.finish();
    }
}

impl<P: Read + AsFd> Output<P> {
    fn new(pipe: Option<P>, limit: usize) -> Self {
        Self { pipe, kept: Vec::new(), limit, exceeded: false }
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        self.pipe.as_ref().map_or(Ok(()), |pipe| sys::set_nonblocking(pipe, true).map_err(Into::into))
    }

    /// Its descriptor, until its end.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Whether there was more than is kept.
    #[must_use]
    pub fn has_exceeded(&self) -> bool {
        self.exceeded
    }

    /// What is kept.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Reads once; returns whether anything was there.
    pub fn read(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut buffer = vec![0; READ_SIZE];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(n) => {
                let room = (self.limit - self.kept.len()).min(n);
                self.kept.extend_from_slice(&buffer[..room]);
                self.exceeded |= room < n;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return false,
            Err(_) => self.pipe = None,
        }
        true
    }
}
