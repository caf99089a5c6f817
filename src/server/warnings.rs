//! Warnings about resources that the system refuses: clients can cause them as often as they like, so they are logged
//! at a bounded rate ([`Condition`]), and once more when the system grants the resource again.

use std::fmt;

use log::warn;

use super::channels::Channels;
use super::clock::Clock;
use super::condition::{Condition, Due};
use crate::connection::Millis;

/// A resource that the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// epoll cannot watch a connection.
    Epoll,
    /// No memory for a connection or for a reply.
    Memory,
    /// No thread for an offloaded request.
    Threads,
}

/// Each shortage in the order of its declaration, with the message when it has ended.
const RECOVERED: [(Shortage, &str); 3] = [
    (Shortage::Epoll, "connections can be watched again"),
    (Shortage::Memory, "there is memory again"),
    (Shortage::Threads, "threads for large messages can be started again"),
];

/// The shortages that were reported.
#[derive(Debug)]
pub struct Warnings {
    clock: Clock,
    channels: Channels,
    conditions: [Condition; RECOVERED.len()],
}

impl Warnings {
    /// None was reported yet.
    #[must_use]
    pub fn new(clock: Clock, channels: Channels) -> Self {
        Self { clock, channels, conditions: Default::default() }
    }

    /// Logs a warning, unless one about this shortage was logged in the last minute.
    pub fn warn(&self, shortage: Shortage, message: fmt::Arguments<'_>) {
        let (times, due) = self.conditions[shortage as usize].occurred(self.clock.now());
        if due == Due::Sooner {
            self.channels.notify_owner();
        }
        if let Some(times) = times {
            warn!("{message}{times}");
        }
    }

    /// When to call [`Warnings::log_recoveries`].
    #[must_use]
    pub fn recovery_due(&self) -> Millis {
        self.conditions.iter().map(Condition::due).min().unwrap_or(Millis::NEVER)
    }

    /// Logs which shortages have ended.
    pub fn log_recoveries(&self) {
        for (shortage, message) in RECOVERED {
            if let Some(past) = self.conditions[shortage as usize].check_ended(self.clock.now()) {
                warn!("{message}{past}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shortage_has_its_condition_and_wakes_the_owner() {
        let positions = RECOVERED.map(|(shortage, _)| shortage as usize);
        assert_eq!(positions, [0, 1, 2]);
        let channels = Channels::new(0).expect("an eventfd");
        let warnings = Warnings::new(Clock::start(), channels.clone());
        assert_eq!(warnings.recovery_due(), Millis::NEVER);
        warnings.warn(Shortage::Threads, format_args!("cannot start a thread"));
        assert_ne!(warnings.conditions[Shortage::Threads as usize].due(), Millis::NEVER);
        assert_ne!(warnings.recovery_due(), Millis::NEVER);
        let mut notified =
            [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(channels.owner()), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut notified, 0u16), Ok(1));
    }
}
