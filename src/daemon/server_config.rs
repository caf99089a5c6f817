//! The conversion of settings into the configuration of the server, with the defaults that depend on the system.

use log::{debug, info, warn};

use super::common_options::CommonOptions;
use super::config::args::ReloadableSettings;
use super::config::origin::{Origins, SocketOrigin};
use super::config::quotes;
use super::config::settings::Settings;
use super::config::values::{Limit, Size};
use super::exit_status::Failure;
use super::memory_plan::{Defaults, Need};
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
/// Descriptors of a pipe. Derived: one for each end.
const DESCRIPTORS_PER_PIPE: u64 = 2;
/// The part of the descriptors for the pipes of all workers. Chosen: a sixteenth, so that few descriptors on a machine
/// with many processors are for clients.
const FOR_PIPES: u64 = 16;

/// The configuration of a server whose listeners have these origins. The services beside the workers get nothing but
/// descriptors.
///
/// # Errors
/// As [`quotes::load`], [`CommonOptions::new`] and [`CommonOptions::with`]; 78: more connections are allowed than the
/// process may open descriptors.
pub fn server_config(settings: &Settings, origins: &Origins) -> Result<server::ServerConfig, Failure> {
    let quotes = quotes::load(settings.reloadable.quotes.as_deref())?;
    let common = CommonOptions::new(&settings.reloadable, ProtocolSettings { quotes, host_name: sys::host_name() })?;
    let defaults = Defaults::new(system_limits::memory());
    let workers = settings.fixed.workers.map(usize::from);
    let workers = workers.unwrap_or_else(|| defaults.workers(system_limits::processors()));
    let buffered = settings
        .reloadable
        .max_buffered
        .map_or_else(|| Some(defaults.buffered(workers)), |buffered| buffered.max().map(|Size(bytes)| bytes));
    let by_memory = defaults.connections(workers, buffered);
    let descriptors = sys::raise_descriptor_limit();
    let reserved = reserved_descriptors(workers, origins, descriptors);
    let connections = connections(settings.reloadable.max_connections, reserved, descriptors, by_memory)?;
    let options = |origin| common.with(&settings.reloadable.listener_options.of(origin), origin);
    Ok(server::ServerConfig {
        workers,
        pipes: pipes_per_worker(workers, descriptors),
        limits: limits(&settings.reloadable, buffered, connections),
        seed: settings.fixed.seed,
        listeners: origins.served.iter().map(options).collect::<Result<_, _>>()?,
    })
}

/// The most connections for which this process has descriptors beside what it needs for itself.
#[must_use]
pub fn most_connections(workers: usize, origins: &Origins) -> usize {
    let descriptors = sys::descriptor_limit();
    for_connections(descriptors, reserved_descriptors(workers, origins, descriptors))
}

/// The most pipes of a worker: fewer than usual if there are few descriptors.
fn pipes_per_worker(workers: usize, descriptors: u64) -> usize {
    let most = descriptors / FOR_PIPES / DESCRIPTORS_PER_PIPE / workers.max(1) as u64;
    usize::try_from(most).unwrap_or(usize::MAX).min(server::MAX_PIPES)
}

fn reserved_descriptors(workers: usize, Origins { served, side }: &Origins, descriptors: u64) -> u64 {
    let pipes = pipes_per_worker(workers, descriptors) as u64;
    let per_worker = DESCRIPTORS_PER_WORKER + DESCRIPTORS_PER_PIPE * pipes;
    let listeners: u64 = served.iter().chain(side).map(SocketOrigin::descriptors).sum();
    let services = if side.is_empty() { 0 } else { side::DESCRIPTORS };
    RESERVED_DESCRIPTORS + per_worker * workers as u64 + listeners + services
}

fn for_connections(descriptors: u64, reserved: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(reserved).max(1)).unwrap_or(usize::MAX)
}

fn limits(settings: &ReloadableSettings, buffered: Option<u64>, connections: usize) -> ServerLimits {
    ServerLimits {
        max_message: settings.max_message.max().map_or(frame::MAX_LENGTH, Size::in_memory),
        max_buffered: buffered,
        max_connections: Some(connections),
        max_per_source: settings.max_per_source.max(),
        source_prefix: settings.source_prefix,
        idle_timeout: settings.idle_timeout.max(),
        request_timeout: settings.request_timeout.max(),
        write_timeout: settings.write_timeout.max(),
        max_line: settings.max_line.max().map(Size::in_memory),
        min_rate: settings.min_rate.max().map(|size| size.0),
        max_delayed: settings.max_delayed.in_memory(),
    }
}

/// The maximum number of connections: at most the number of descriptors that are left, so that accept(2) never fails
/// for want of one. By default also at most `by_memory`.
fn connections(
    max: Option<Limit<usize>>,
    reserved: u64,
    descriptors: u64,
    by_memory: Option<usize>,
) -> Result<usize, Failure> {
    let left = for_connections(descriptors, reserved);
    match max.and_then(Limit::max) {
        Some(max) if max > left => Err(Failure::configuration(format!(
            "cannot allow {max} connections: this process may open {descriptors} files and reserves {reserved} for itself"
        ))
        .with_hint("raise LimitNOFILE= or ulimit -n, or lower --max-connections")),
        Some(max) => Ok(max),
        None if max.is_some() => Ok(left),
        None => Ok(by_memory.map_or(left, |by_memory| by_memory.min(left))),
    }
}

/// Warns if the memory that this process may use is less than `--max-buffered`, or than what the limits of `config` allow.
pub fn warn_about_memory(settings: &ReloadableSettings, config: &server::ServerConfig) {
    let memory = system_limits::memory();
    let buffered = settings.max_buffered.and_then(|max| memory_warning(max, memory));
    let all = || Defaults::new(memory).warning(need(config)?);
    if let Some(warning) = buffered.or_else(all) {
        warn!("{warning}");
    }
}

/// What a configuration may need memory for, by its limits; `None` if one of them is off.
fn need(config: &server::ServerConfig) -> Option<Need> {
    let ServerLimits { max_buffered, max_connections, .. } = config.limits;
    Some(Need { workers: config.workers, buffered: max_buffered?, connections: max_connections? })
}

/// Logs the defaults that depend on the system, with what each follows from (`-vv`).
pub fn log_computed_defaults(settings: &Settings, config: &server::ServerConfig) {
    for default in computed_defaults(settings, config) {
        debug!("{default}");
    }
}

/// The defaults in `config` that depend on the system, and what they follow from, one a line.
pub fn computed_defaults(settings: &Settings, config: &server::ServerConfig) -> Vec<String> {
    let memory = system_limits::memory();
    let (defaults, limits) = (Defaults::new(memory), &config.limits);
    let by_memory = format!("{} ({} bytes)", memory.limit, memory.bytes);
    let line = |option: &str, value: u64, from: &str| format!("default {option}={value} follows from {from}");
    let workers = settings.fixed.workers.is_none().then(|| {
        let by_processors = config.workers == system_limits::processors();
        line("--workers", config.workers as u64, if by_processors { "the processors" } else { &by_memory })
    });
    let buffered = limits.max_buffered.filter(|_| settings.reloadable.max_buffered.is_none());
    let buffered = buffered.map(|buffered| line("--max-buffered", buffered, &by_memory));
    let connections = limits.max_connections.filter(|_| settings.reloadable.max_connections.is_none());
    let connections = connections.map(|connections| {
        let is_by_memory = defaults.connections(config.workers, limits.max_buffered) == Some(connections);
        let from = if is_by_memory { &by_memory } else { "the limit on open files (RLIMIT_NOFILE)" };
        line("--max-connections", connections as u64, from)
    });
    [workers, buffered, connections].into_iter().flatten().collect()
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

/// Warns if no protocol is served, and logs that `--exit-idle` has no effect beside a listener for metrics or agent.
/// That is no warning: the settings of the package set the option, and its socket unit for metrics is such a listener.
pub fn warn_about_services(settings: &ReloadableSettings, origins: &Origins) {
    let Origins { served, side } = origins;
    if side.is_empty() {
        return;
    }
    if served.is_empty() {
        warn!("no protocol is served: there are only listeners for metrics or agent; --listen names protocols, too");
    }
    if settings.exit_idle.max().is_some() {
        info!("--exit-idle has no effect while there is a listener for metrics or agent");
    }
}

/// The warning about a `--max-buffered` above the memory. Without a limit only a configured limit on memory counts, not
/// the size of the machine: that is accepted with the value `none`.
fn memory_warning(max_buffered: Limit<Size>, memory: Memory) -> Option<String> {
    let Memory { bytes, limit } = memory;
    let value = match max_buffered {
        Limit::Max(Size(max)) if max > bytes => max.to_string(),
        Limit::Unlimited if memory.is_limited() => "none".into(),
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
        for by_memory in [None, Some(984), Some(2000)] {
            assert_eq!(connections(None, 40, 1024, by_memory), Ok(984));
            assert_eq!(connections(Some(Limit::Unlimited), 40, 1024, by_memory), Ok(984));
            assert_eq!(connections(Some(Limit::Max(10)), 40, 1024, by_memory), Ok(10));
        }
        let rejected = connections(Some(Limit::Max(985)), 40, 1024, None).expect_err("more than are left").to_string();
        assert!(rejected.starts_with("cannot allow 985 connections: this process may open 1024 files"), "{rejected}");
    }

    #[test]
    fn memory_lowers_only_the_default_of_connections() {
        assert_eq!(connections(None, 40, 1024, Some(16)), Ok(16));
        assert_eq!(connections(Some(Limit::Unlimited), 40, 1024, Some(16)), Ok(984));
        assert_eq!(connections(Some(Limit::Max(17)), 40, 1024, Some(16)), Ok(17));
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
