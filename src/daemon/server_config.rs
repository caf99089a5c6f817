//! The conversion of settings into the configuration of the server, with the defaults that depend on the system.

use log::warn;

use super::common_options::CommonOptions;
use super::config::args::{MIN_BUFFERED, ReloadableSettings};
use super::config::origin::{Origins, SocketOrigin};
use super::config::quotes;
use super::config::settings::Settings;
use super::config::values::{Limit, Size};
use super::exit_status::Failure;
use super::side;
use super::system_limits::{self, Memory};
use crate::protocol::ProtocolSettings;
use crate::protocol::services::frame;
use crate::server::{self, ServerLimits};
use crate::sys;

/// Descriptors that are not connections. Chosen: the daemon opens about ten (standard input, output and error, the
/// sockets of the system log and of the service manager, the eventfds of signals and server, files at a reload).
const RESERVED_DESCRIPTORS: u64 = 32;
/// Descriptors of each worker. Derived: its epoll instance and the eventfd of its mailbox.
const DESCRIPTORS_PER_WORKER: u64 = 2;

/// The configuration of a server whose listeners have these origins. The services beside the workers get nothing but
/// descriptors.
///
/// # Errors
/// As [`quotes::load`], [`CommonOptions::new`] and [`CommonOptions::with`]; 78: more connections are allowed than the
/// process may open descriptors.
pub fn server_config(settings: &Settings, origins: &Origins) -> Result<server::ServerConfig, Failure> {
    let quotes = quotes::load(settings.reloadable.quotes.as_deref())?;
    let common = CommonOptions::new(&settings.reloadable, ProtocolSettings { quotes, host_name: sys::host_name() })?;
    let workers = settings.fixed.workers.map_or_else(system_limits::processors, usize::from);
    let Origins { served, side } = origins;
    let listeners: u64 = served.iter().chain(side).map(SocketOrigin::descriptors).sum();
    let services = if side.is_empty() { 0 } else { side::DESCRIPTORS };
    let reserved = RESERVED_DESCRIPTORS + DESCRIPTORS_PER_WORKER * workers as u64 + listeners + services;
    let connections = connections(settings.reloadable.max_connections, reserved, sys::raise_descriptor_limit())?;
    let options = |origin| common.with(&settings.reloadable.listener_options.of(origin), origin);
    Ok(server::ServerConfig {
        workers,
        limits: limits(&settings.reloadable, connections),
        seed: settings.fixed.seed,
        listeners: served.iter().map(options).collect::<Result<_, _>>()?,
    })
}

fn limits(settings: &ReloadableSettings, connections: usize) -> ServerLimits {
    let buffered = settings.max_buffered.unwrap_or_else(|| Limit::Max(default_buffered(system_limits::memory().bytes)));
    ServerLimits {
        max_message: settings.max_message.max().map_or(frame::MAX_LENGTH, Size::in_memory),
        max_buffered: buffered.max().map(|size| size.0),
        max_connections: Some(connections),
        max_per_source: settings.max_per_source.max(),
        source_prefix: settings.source_prefix,
        idle_timeout: settings.idle_timeout.max(),
        request_timeout: settings.request_timeout.max(),
        write_timeout: settings.write_timeout.max(),
        max_line: settings.max_line.max().map(Size::in_memory),
        min_rate: settings.min_rate.max().map(|size| size.0),
    }
}

/// The maximum number of connections: at most the number of descriptors that are left, so that accept(2) never fails
/// for want of one.
fn connections(max: Option<Limit<usize>>, reserved: u64, descriptors: u64) -> Result<usize, Failure> {
    let left = usize::try_from(descriptors.saturating_sub(reserved).max(1)).unwrap_or(usize::MAX);
    match max.and_then(Limit::max) {
        Some(max) if max > left => Err(Failure::configuration(format!(
            "cannot allow {max} connections: this process may open {descriptors} files and reserves {reserved} for itself"
        ))
        .with_hint("raise LimitNOFILE= or ulimit -n, or lower --max-connections")),
        max => Ok(max.unwrap_or(left)),
    }
}

/// The default of `--max-buffered`. Chosen: a quarter of the memory, because buffers are not all that needs memory; at
/// least the minimum of the option.
fn default_buffered(memory: u64) -> Size {
    Size((memory / 4).max(MIN_BUFFERED))
}

/// Warns if `--max-buffered` is above the memory that this process may use.
pub fn warn_about_memory(max_buffered: Option<Limit<Size>>) {
    if let Some(warning) = max_buffered.and_then(|max| memory_warning(max, system_limits::memory())) {
        warn!("{warning}");
    }
}

/// Warns about each name in `--listener-options` whose options are for none of the listeners with these origins.
pub fn warn_about_unused_options(settings: &ReloadableSettings, origins: &Origins) {
    for name in settings.listener_options.unused_names(&origins.served) {
        warn!(
            "--listener-options '{name}' matches no listener: no socket from systemd has this name (the options of \
             other listeners are in --listen)"
        );
    }
}

/// Warns about a daemon that serves no client, and about an option that has no effect beside other ones.
pub fn warn_about_services(settings: &ReloadableSettings, origins: &Origins) {
    let Origins { served, side } = origins;
    if side.is_empty() {
        return;
    }
    if served.is_empty() {
        warn!("no protocol is served: there are only listeners for metrics or agent; --listen names protocols, too");
    }
    if settings.exit_idle.max().is_some() {
        warn!("--exit-idle has no effect while there is a listener for metrics or agent");
    }
}

/// The warning about a `--max-buffered` above the memory. Without a limit only a configured limit on memory counts, not
/// the size of the machine: that is accepted with the value `none`.
fn memory_warning(max_buffered: Limit<Size>, memory: Memory) -> Option<String> {
    let Memory { bytes, limit } = memory;
    let value = match max_buffered {
        Limit::Max(Size(max)) if max > bytes => max.to_string(),
        Limit::Unlimited if limit != Memory::MACHINE => "none".into(),
        _ => return None,
    };
    Some(format!(
        "--max-buffered={value} is above {limit} ({bytes} bytes): memory may run out before the limit is reached"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(connections(None, 40, 1024), Ok(984));
        assert_eq!(connections(Some(Limit::Unlimited), 40, 1024), Ok(984));
        assert_eq!(connections(Some(Limit::Max(10)), 40, 1024), Ok(10));
        let rejected = connections(Some(Limit::Max(985)), 40, 1024).expect_err("more than are left").to_string();
        assert!(rejected.starts_with("cannot allow 985 connections: this process may open 1024 files"), "{rejected}");
    }

    #[test]
    fn max_buffered_is_a_quarter_of_the_memory_by_default() {
        assert_eq!(default_buffered(1 << 30), Size(1 << 28));
        assert_eq!(default_buffered(1 << 20), Size(1 << 20));
    }

    #[test]
    fn max_buffered_above_the_memory_is_warned_about() {
        let address_space = Memory { bytes: 1000, limit: "RLIMIT_AS" };
        let warning = |value| {
            format!(
                "--max-buffered={value} is above RLIMIT_AS (1000 bytes): memory may run out before the limit is reached"
            )
        };
        let max = |bytes| Limit::Max(Size(bytes));
        assert_eq!(memory_warning(max(1000), address_space), None);
        assert_eq!(memory_warning(max(1001), address_space), Some(warning("1001")));
        assert_eq!(memory_warning(Limit::Unlimited, address_space), Some(warning("none")));
        let machine = Memory { bytes: 1000, limit: Memory::MACHINE };
        assert!(memory_warning(max(1001), machine).is_some());
        assert_eq!(memory_warning(Limit::Unlimited, machine), None);
    }
}
