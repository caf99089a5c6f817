//! The options of the command line, as clap parses them: names, variables, help texts, defaults, and ranges of values.
//!
//! An option is a field of [`FixedSettings`] or of [`ReloadableSettings`], which decides whether SIGHUP applies it.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, CommandFactory, Parser, ValueEnum, ValueHint};

use super::descriptor::{Descriptor, InheritedOptions};
use super::listen::{Endpoint, Listen};
use super::listener_syntax::Separated;
use super::network::Networks;
use super::origin::WrittenOptions;
use super::settings_file::SettingsFile;
use super::values::{Limit, Size};
use crate::protocol::services::frame;
use crate::server::Rate;
use crate::units;

/// The maximum of `--workers`. Chosen: more than any machine has processors.
const MAX_WORKERS: u64 = 1024;
/// The maximum of `--backlog`. Derived: listen(2) takes an int.
const MAX_BACKLOG: u64 = i32::MAX as u64;
/// The maximum of `--verbose`. Derived: the highest level that logs more than the one before, the bytes.
pub const MAX_VERBOSE: u64 = 3;
/// The maximum size of a socket buffer, in bytes. Derived: `SO_RCVBUF` takes an int, and the kernel doubles it
/// (socket(7)).
const MAX_SOCKET_BUFFER: u64 = 1 << 30;
/// The minimum of `--max-buffered`, in bytes. Chosen: half of it, the maximum for one request, must hold a small
/// message and its reply.
pub const MIN_BUFFERED: u64 = 1 << 20;
/// The minimum of `--max-delayed`, in bytes. Derived: what the impairments of a connection may delay beside the budget.
const MIN_DELAYED: u64 = 4 << 10;
/// The maximum of `--max-delayed`, in bytes. Chosen: above the largest reply, and within the memory of a process of 32
/// bits.
const MAX_DELAYED: u64 = 1 << 30;

const LISTENING: &str = "Listening";
const ACCESS: &str = "Access";
const LIMITS: &str = "Limits";
const RUNNING: &str = "Running";
const LOGGING: &str = "Logging";

const AFTER_HELP: &str = "\
Sizes are bytes, or 64K, 16M, 1G (powers of 1024). Times are seconds, or 500ms,
5m, 1h30m. Numbers may end in k, M or G (powers of 1000). 0 or none disables a
limit. Rates are connections per second. Networks are 10.0.0.0/8, 2001:db8::/32
or an address; commas or white space separate them.
A listener may have options of its own: proxy, allow, deny, max-rate,
max-rate-per-source, and mode for a Unix socket: echo=7,allow=10.0.0.0/8,proxy.
It can impair its connections, to test clients: latency, jitter, rate, slice,
slice-gap, stall-after, cut-after, reset-after, slow-close, refuse-first,
corrupt, probability: echo=7,latency=100ms,jitter=20ms.
Every option with a value, and --verbose, is also an environment variable:
--idle-timeout is RETORTD_IDLE_TIMEOUT.
A socket from systemd is served by the protocol that its FileDescriptorName=
names.

Signals: TERM and INT stop the daemon: it accepts clients until --drain-delay
ends, and exits when every request has its reply. Each further one, a second or
more later, ends the present phase: the delay, then the drain. HUP reloads the
configuration. USR1 logs statistics. USR2, with --hand-over, hands connections
over to a new process.
Exit status: 0 stopped as requested, 2 usage, 71 the system refused something,
75 handed over to the next start, 78 the configuration cannot work.";

/// Serve framed text transforms, echo and other small protocols over TCP, Unix and vsock sockets.
#[derive(Debug, Parser)]
#[command(name = "retortd", version, max_term_width = 100, args_override_self = true, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Options about listeners.
    #[command(flatten)]
    pub listeners: ListenerArguments,
    /// Options that SIGHUP applies.
    #[command(flatten)]
    pub reloadable: ReloadableSettings,
    /// Options that only a restart applies.
    #[command(flatten)]
    pub fixed: FixedSettings,

    /// Read RETORTD_ variables from FILE, a regular file of at most 16 MiB, at start and on SIGHUP. With - before a path
    /// that contains a slash (-/etc/default/retortd), the file may be missing
    #[arg(long, env = "RETORTD_SETTINGS", value_name = "FILE", help_heading = RUNNING, allow_hyphen_values = true, value_hint = ValueHint::AnyPath, value_parser = OsStringValueParser::new().try_map(|value| SettingsFile::parse(&value)))]
    pub settings: Option<SettingsFile>,

    /// Print the settings in force as a settings file, or why they cannot be used, and exit; no port is opened
    #[arg(long)]
    pub check: bool,
    /// Print the protocols with their ports, and the services beside them, and exit
    #[arg(long)]
    pub list: bool,
}

/// Options about listeners: their addresses are fixed, their options can be reloaded.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown, rustdoc::broken_intra_doc_links, reason = "these are help texts")]
pub struct ListenerArguments {
    /// Serve the frame protocol on this port of all addresses [default: 8083]
    #[arg(short, long, env = "RETORTD_PORT", value_name = "PORT", help_heading = LISTENING, value_parser = units::number_within::<u16>(0..=u64::from(u16::MAX)))]
    pub port: Option<u16>,
    /// Serve PROTOCOL on ADDRESS: frame=8083, echo=127.0.0.1:7, time=[::1]:3700, or a name alone for its own port;
    /// echo=unix:/tmp/echo.sock, echo=unix:@echo, echo=vsock::7; may be repeated
    #[arg(long, env = "RETORTD_LISTEN", value_name = "PROTOCOL[=ADDRESS][,OPTION[=VALUE]]...", help_heading = LISTENING, action = ArgAction::Append)]
    pub listen: Vec<Separated<Listen>>,
    /// Add options to the listeners whose sockets come from systemd, by the name of the descriptor or the protocol;
    /// entries are separated by white space
    #[arg(long, env = "RETORTD_LISTENER_OPTIONS", value_name = "NAME[,OPTION[=VALUE]]...", help_heading = LISTENING, action = ArgAction::Append)]
    pub listener_options: Vec<Separated<InheritedOptions>>,
}

/// Settings that apply from the start of the daemon to its end.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct FixedSettings {
    /// The listeners of `--port` and `--listen`; empty: the sockets from systemd, or else [`Endpoint::default`].
    #[arg(skip)]
    pub endpoints: Vec<Endpoint>,
    /// Serve PROTOCOL on the sockets from systemd that have the name 'connection', as with Accept=yes
    #[arg(long, env = "RETORTD_CONNECTION", value_name = "PROTOCOL[,OPTION[=VALUE]]...", help_heading = LISTENING, value_parser = Descriptor::of_connection)]
    pub connection: Option<Descriptor>,
    /// Maximum number of clients that queue before they are accepted [default: the kernel's maximum]
    #[arg(long, env = "RETORTD_BACKLOG", value_name = "NUMBER", help_heading = LISTENING, value_parser = units::count_within::<u32>(1..=MAX_BACKLOG))]
    pub backlog: Option<u32>,
    /// Receive buffer of each socket [default: the kernel's]
    #[arg(long, env = "RETORTD_RECV_BUFFER", value_name = "SIZE", help_heading = LISTENING, value_parser = socket_buffer)]
    pub recv_buffer: Option<Size>,
    /// Send buffer of each socket [default: the kernel's]
    #[arg(long, env = "RETORTD_SEND_BUFFER", value_name = "SIZE", help_heading = LISTENING, value_parser = socket_buffer)]
    pub send_buffer: Option<Size>,
    /// Number of worker threads [default: the number of processors that this process may use; fewer where memory is
    /// limited]
    #[arg(long, env = "RETORTD_WORKERS", value_name = "NUMBER", help_heading = RUNNING, value_parser = units::count_within::<u16>(1..=MAX_WORKERS))]
    pub workers: Option<u16>,
    /// Make shuffle and random repeatable (equal requests get equal replies), and the random choices of impairments
    #[arg(long, env = "RETORTD_SEED", value_name = "NUMBER", help_heading = RUNNING, value_parser = units::number_within::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,
    /// Where the log goes
    #[arg(long, env = "RETORTD_LOG", value_name = "WHERE", help_heading = LOGGING, default_value = "auto")]
    pub log: LogTarget,
    /// What each message of the log is
    #[arg(long, env = "RETORTD_LOG_FORMAT", value_name = "FORMAT", help_heading = LOGGING, default_value = "text")]
    pub log_format: LogFormat,
}

/// Settings that SIGHUP applies.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReloadableSettings {
    /// The options in `--listen` and `--listener-options`.
    #[arg(skip)]
    pub listener_options: WrittenOptions,

    /// Accept only clients of these networks; of the networks in --allow and --deny the most specific one decides
    #[arg(long, env = "RETORTD_ALLOW", value_name = "NETWORK,...", help_heading = ACCESS, action = ArgAction::Append)]
    pub allow: Vec<Networks>,
    /// Close the connections of clients of these networks
    #[arg(long, env = "RETORTD_DENY", value_name = "NETWORK,...", help_heading = ACCESS, action = ArgAction::Append)]
    pub deny: Vec<Networks>,
    /// Accept PROXY headers from these networks; required by a listener with the option proxy that is bound neither to
    /// a loopback address nor to a Unix socket
    #[arg(long, env = "RETORTD_PROXY_FROM", value_name = "NETWORK,...", help_heading = ACCESS, action = ArgAction::Append)]
    pub proxy_from: Vec<Networks>,
    /// Close a connection whose PROXY header is not complete after this time
    #[arg(long, env = "RETORTD_PROXY_TIMEOUT", value_name = "TIME", help_heading = ACCESS, default_value = "5s", value_parser = units::positive_time)]
    pub proxy_timeout: Duration,

    /// Maximum concurrent connections [default: the limit on open files less a reserve; fewer where memory is limited]
    #[arg(long, env = "RETORTD_MAX_CONNECTIONS", value_name = "NUMBER", help_heading = LIMITS)]
    pub max_connections: Option<Limit<usize>>,
    /// Maximum concurrent connections from one source: an IPv4 address, an IPv6 network, a user or a vsock CID
    #[arg(long, env = "RETORTD_MAX_PER_SOURCE", value_name = "NUMBER", help_heading = LIMITS, default_value = "none")]
    pub max_per_source: Limit<usize>,
    /// Maximum new connections per second of each listener; further clients wait in the backlog
    #[arg(long, env = "RETORTD_MAX_RATE", value_name = "RATE", help_heading = LIMITS, default_value = "none")]
    pub max_rate: Limit<Rate>,
    /// Maximum new connections per second from one source to each listener; further ones are closed
    #[arg(long, env = "RETORTD_MAX_RATE_PER_SOURCE", value_name = "RATE", help_heading = LIMITS, default_value = "none")]
    pub max_rate_per_source: Limit<Rate>,
    /// Bits of an IPv6 address by which --max-per-source and --max-rate-per-source count clients
    #[arg(long, env = "RETORTD_SOURCE_PREFIX", value_name = "BITS", help_heading = LIMITS, default_value = "64", value_parser = units::number_within::<u8>(1..=128))]
    pub source_prefix: u8,
    /// Maximum length of a message
    #[arg(long, env = "RETORTD_MAX_MESSAGE", value_name = "SIZE", help_heading = LIMITS, default_value = "134217727", value_parser = message)]
    pub max_message: Limit<Size>,
    /// Memory for the unfinished requests and replies of all connections [default: a quarter of the memory that this
    /// process may use]
    #[arg(long, env = "RETORTD_MAX_BUFFERED", value_name = "SIZE", help_heading = LIMITS, value_parser = buffered)]
    pub max_buffered: Option<Limit<Size>>,
    /// Maximum length of a line of upper-line; none: that of --max-message
    #[arg(long, env = "RETORTD_MAX_LINE", value_name = "SIZE", help_heading = LIMITS, default_value = "64K")]
    pub max_line: Limit<Size>,
    /// Close a connection after this time without a request in progress or a reply pending
    #[arg(long, env = "RETORTD_IDLE_TIMEOUT", value_name = "TIME", help_heading = LIMITS, default_value = "10m")]
    pub idle_timeout: Limit<Duration>,
    /// Close a connection whose request is not complete after this time; input at 16 KiB/s or more extends it
    #[arg(long, env = "RETORTD_REQUEST_TIMEOUT", value_name = "TIME", help_heading = LIMITS, default_value = "30s")]
    pub request_timeout: Limit<Duration>,
    /// Close a connection whose client takes nothing of a pending reply for this time
    #[arg(long, env = "RETORTD_WRITE_TIMEOUT", value_name = "TIME", help_heading = LIMITS, default_value = "30s")]
    pub write_timeout: Limit<Duration>,
    /// Bytes per second that a client must take of a reply above 16 KiB, once other clients have waited for memory for
    /// five seconds
    #[arg(long, env = "RETORTD_MIN_RATE", value_name = "SIZE", help_heading = LIMITS, default_value = "16K")]
    pub min_rate: Limit<Size>,
    /// Bytes of each connection that the impairments of its listener may delay; further replies wait, as for a slow
    /// client
    #[arg(long, env = "RETORTD_MAX_DELAYED", value_name = "SIZE", help_heading = LIMITS, default_value = "1M", value_parser = delayed)]
    pub max_delayed: Size,

    /// Time from SIGTERM or SIGINT to the end of accepting: the daemon is not ready, but serves as before, and closes
    /// quiet connections
    #[arg(long, env = "RETORTD_DRAIN_DELAY", value_name = "TIME", help_heading = RUNNING, default_value = "0")]
    pub drain_delay: Limit<Duration>,
    /// Maximum time that a stop waits for pending requests and replies, from the end of --drain-delay on
    #[arg(long, env = "RETORTD_DRAIN_TIMEOUT", value_name = "TIME", help_heading = RUNNING, default_value = "30s")]
    pub drain_timeout: Limit<Duration>,
    /// On SIGUSR2 hand all connections over to a new process: to the next start, which the service manager makes, or
    /// without one to the program that this process then executes
    #[arg(long, env = "RETORTD_HAND_OVER", value_name = "WHETHER", help_heading = RUNNING, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "no", default_missing_value = "yes", value_parser = yes_or_no())]
    pub hand_over: bool,
    /// Maximum time that a hand-over waits for requests that are being processed; connections whose requests take longer
    /// are closed
    #[arg(long, env = "RETORTD_HAND_OVER_TIMEOUT", value_name = "TIME", help_heading = RUNNING, default_value = "5s", value_parser = units::positive_time)]
    pub hand_over_timeout: Duration,
    /// Exit after this time without a connection; without effect while metrics or agent is served
    #[arg(long, env = "RETORTD_EXIT_IDLE", value_name = "TIME", help_heading = RUNNING, default_value = "none")]
    pub exit_idle: Limit<Duration>,
    /// Quotes for qotd, separated by lines with a single %; a regular file of at most 16 MiB
    #[arg(long, env = "RETORTD_QUOTES", value_name = "FILE", help_heading = RUNNING)]
    pub quotes: Option<PathBuf>,

    /// Log listeners and connections; twice: also each request; three times: also the bytes
    #[arg(short, long, env = "RETORTD_VERBOSE", action = ArgAction::Count, help_heading = LOGGING, value_parser = units::number_within::<u8>(0..=MAX_VERBOSE))]
    pub verbose: u8,
}

/// A value of `--log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// To the journal if standard error is the journal, else to standard error
    Auto,
    /// To standard error
    Stderr,
    /// To the system log at /dev/log
    Syslog,
    /// To the journal, with fields
    Journal,
}

/// A value of `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people
    Text,
    /// A JSON object
    Json,
}

/// The command line as clap knows it; also for the completions and for the tests of the documentation.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The names of the options in [`FixedSettings`]: `--backlog`.
#[must_use]
pub fn fixed_options() -> Vec<String> {
    let command = FixedSettings::augment_args(clap::Command::new("fixed"));
    command.get_arguments().filter_map(|option| Some(format!("--{}", option.get_long()?))).collect()
}

/// The values of an option that is on or off, with the other words that are booleans in unit files (systemd.syntax(7)).
fn yes_or_no() -> impl TypedValueParser<Value = bool> {
    let yes = PossibleValue::new("yes").aliases(["true", "on", "1"]);
    let no = PossibleValue::new("no").aliases(["false", "off", "0"]);
    PossibleValuesParser::new([yes.clone(), no]).map(move |word| yes.matches(&word, false))
}

fn socket_buffer(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if (1..=MAX_SOCKET_BUFFER).contains(&size.0) { Ok(size) } else { Err("from 1 to 1G".into()) }
}

fn message(text: &str) -> Result<Limit<Size>, String> {
    let limit: Limit<Size> = text.parse()?;
    match limit {
        Limit::Max(size) if size.0 > frame::MAX_LENGTH as u64 => Err(format!("at most {}", frame::MAX_LENGTH)),
        _ => Ok(limit),
    }
}

fn delayed(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if (MIN_DELAYED..=MAX_DELAYED).contains(&size.0) { Ok(size) } else { Err("from 4K to 1G".into()) }
}

fn buffered(text: &str) -> Result<Limit<Size>, String> {
    let limit: Limit<Size> = text.parse()?;
    match limit {
        Limit::Max(size) if size.0 < MIN_BUFFERED => Err("at least 1M, or none".into()),
        _ => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_options_are_those_that_need_a_restart() {
        let fixed = [
            "--connection",
            "--backlog",
            "--recv-buffer",
            "--send-buffer",
            "--workers",
            "--seed",
            "--log",
            "--log-format",
        ];
        assert_eq!(fixed_options(), fixed);
    }
}
