//! Command line, environment and settings file, made into one validated [`Settings`].
//!
//! The command line goes before the environment, the environment before the file. Every limit has its default here.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::daemon::config::env_file::{self, Content, Variable};
use crate::daemon::config::values::{Limit, Size};
use crate::daemon::exit_status::Failure;
use crate::protocol::services::frame;
use crate::protocol::{self, ProtocolInfo};

/// The port of the frame protocol.
const PORT: u16 = 8083;
/// The most workers that may be asked for.
const MOST_WORKERS: u16 = 1024;
/// The largest socket buffer that may be asked for: `SO_RCVBUF` takes an int, and the kernel doubles it.
const LARGEST_BUFFER: u64 = 1 << 30;

/// Answers over TCP: framed text transforms, echo, and the other small protocols.
#[derive(Debug, Parser)]
#[command(name = "retortd", version, max_term_width = 100, args_override_self = true, after_help = AFTER_HELP)]
#[allow(clippy::doc_markdown, reason = "these are help texts")]
struct Arguments {
    /// Port for the frame protocol, on all addresses [default: 8083]
    #[arg(short, long, env = "RETORTD_PORT", value_name = "PORT", help_heading = LISTENING)]
    port: Option<u16>,
    /// Serve PROTOCOL on ADDRESS: frame=8083, echo=127.0.0.1:7, time=[::1]:3700, or a name alone for its own port;
    /// may be repeated
    #[arg(long, env = "RETORTD_LISTEN", value_name = "PROTOCOL[=ADDRESS]", help_heading = LISTENING, action = ArgAction::Append)]
    listen: Vec<ListenList>,
    /// Clients that may queue before they are accepted [default: the kernel's maximum]
    #[arg(long, env = "RETORTD_BACKLOG", value_name = "NUMBER", help_heading = LISTENING, value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    backlog: Option<u32>,
    /// Receive buffer of each socket [default: the kernel's]
    #[arg(long, env = "RETORTD_RECV_BUFFER", value_name = "SIZE", help_heading = LISTENING, value_parser = buffer)]
    recv_buffer: Option<Size>,
    /// Send buffer of each socket [default: the kernel's]
    #[arg(long, env = "RETORTD_SEND_BUFFER", value_name = "SIZE", help_heading = LISTENING, value_parser = buffer)]
    send_buffer: Option<Size>,

    /// Connections at once [default: as many as there may be descriptors, less a reserve]
    #[arg(long, env = "RETORTD_MAX_CONNECTIONS", value_name = "NUMBER", help_heading = LIMITS)]
    max_connections: Option<Limit<usize>>,
    /// Connections at once from one address
    #[arg(long, env = "RETORTD_MAX_PER_SOURCE", value_name = "NUMBER", help_heading = LIMITS, default_value = "none")]
    max_per_source: Limit<usize>,
    /// The longest message that is served
    #[arg(long, env = "RETORTD_MAX_MESSAGE", value_name = "SIZE", help_heading = LIMITS, default_value = "134217727", value_parser = message)]
    max_message: Limit<Size>,
    /// Memory for unfinished requests and answers of all connections [default: a quarter of what this process may use]
    #[arg(long, env = "RETORTD_MAX_BUFFERED", value_name = "SIZE", help_heading = LIMITS, value_parser = buffered)]
    max_buffered: Option<Limit<Size>>,
    /// The longest line that upper-line answers; with none, as long as --max-message
    #[arg(long, env = "RETORTD_MAX_LINE", value_name = "SIZE", help_heading = LIMITS, default_value = "64K")]
    max_line: Limit<Size>,
    /// Close a connection that has asked nothing for so long
    #[arg(long, env = "RETORTD_IDLE_TIMEOUT", value_name = "TIME", help_heading = LIMITS, default_value = "10m")]
    idle_timeout: Limit<Duration>,
    /// A request that is begun must be complete in so long; what arrives at 16 KiB/s or more extends it
    #[arg(long, env = "RETORTD_REQUEST_TIMEOUT", value_name = "TIME", help_heading = LIMITS, default_value = "30s")]
    request_timeout: Limit<Duration>,
    /// A client that takes nothing of its answer for this time is closed
    #[arg(long, env = "RETORTD_WRITE_TIMEOUT", value_name = "TIME", help_heading = LIMITS, default_value = "30s")]
    write_timeout: Limit<Duration>,
    /// Bytes a second that a client must take of a reply above 16 KiB, once other clients have waited for memory for five
    /// seconds
    #[arg(long, env = "RETORTD_MIN_RATE", value_name = "SIZE", help_heading = LIMITS, default_value = "16K")]
    min_rate: Limit<Size>,

    /// When told to stop, take at most so long to answer what was asked
    #[arg(long, env = "RETORTD_DRAIN_TIMEOUT", value_name = "TIME", help_heading = RUNNING, default_value = "30s")]
    drain_timeout: Limit<Duration>,
    /// Stop after so long without a connection
    #[arg(long, env = "RETORTD_EXIT_IDLE", value_name = "TIME", help_heading = RUNNING, default_value = "none")]
    exit_idle: Limit<Duration>,
    /// Threads that serve [default: the processors that this process may use]
    #[arg(long, env = "RETORTD_WORKERS", value_name = "NUMBER", help_heading = RUNNING, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_WORKERS)))]
    workers: Option<u16>,
    /// Make shuffle and random repeatable: the same request gets the same answer
    #[arg(long, env = "RETORTD_SEED", value_name = "NUMBER", help_heading = RUNNING)]
    seed: Option<u64>,
    /// Quotes for qotd, separated by lines with a single %; a regular file of at most 16 MiB
    #[arg(long, env = "RETORTD_QUOTES", value_name = "FILE", help_heading = RUNNING)]
    quotes: Option<PathBuf>,
    /// Read RETORTD_ variables from FILE, a regular file of at most 16 MiB, at start and on SIGHUP
    #[arg(long, env = "RETORTD_SETTINGS", value_name = "FILE", help_heading = RUNNING)]
    settings: Option<PathBuf>,

    /// Say more: connections; twice, each request; three times, the bytes
    #[arg(short, long, env = "RETORTD_VERBOSE", action = ArgAction::Count, help_heading = LOGGING)]
    verbose: u8,
    /// Where the log goes
    #[arg(long, env = "RETORTD_LOG", value_name = "WHERE", help_heading = LOGGING, default_value = "auto")]
    log: LogTarget,

    /// Print the protocols that can be served, and exit
    #[arg(long)]
    list: bool,
}

const LISTENING: &str = "Listening";
const LIMITS: &str = "Limits";
const RUNNING: &str = "Running";
const LOGGING: &str = "Logging";

const AFTER_HELP: &str = "\
Sizes are bytes, or 64K, 16M, 1G. Times are 500ms, 30s, 5m, 2h. 0 or none switches a limit off.
Every option is also an environment variable: --idle-timeout is RETORTD_IDLE_TIMEOUT.
Sockets that systemd hands over are served by the protocol that their FileDescriptorName= names.

Signals: TERM and INT finish what was asked, then stop; a second one, a second or more later, stops at once.
HUP reloads; USR1 logs statistics.
Exit status: 0 stopped as asked, 2 usage, 71 the system refused, 78 the configuration cannot work.";

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// To the journal when standard error is the journal, else to standard error
    Auto,
    /// To standard error
    Stderr,
    /// To the system log at /dev/log
    Syslog,
}

/// A protocol and where to serve it.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The protocol.
    pub entry: &'static ProtocolInfo,
    /// Where; `None`: on all addresses, IPv6 and IPv4 on one socket.
    pub address: Option<IpAddr>,
    /// The port; 0 for any.
    pub port: u16,
}

impl PartialEq for Listen {
    fn eq(&self, other: &Self) -> bool {
        (self.entry.name, self.address, self.port) == (other.entry.name, other.address, other.port)
    }
}

impl Listen {
    /// As a socket address; all addresses are IPv6's.
    #[must_use]
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), self.port)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').map_or((text, None), |(name, address)| (name, Some(address)));
        let entry = protocol::by_name(name)
            .ok_or_else(|| format!("there is no protocol '{name}': retortd --list prints those there are"))?;
        let Some(address) = address else {
            let port = entry.port.ok_or_else(|| format!("{name} has no port of its own: write {name}=PORT"))?;
            return Ok(Self { entry, address: None, port });
        };
        if let Ok(port) = address.parse() {
            return Ok(Self { entry, address: None, port });
        }
        let address: SocketAddr =
            address.parse().map_err(|_| format!("'{address}' is no port, ADDRESS:PORT or [ADDRESS]:PORT"))?;
        Ok(Self { entry, address: Some(address.ip()), port: address.port() })
    }
}

/// One or more [`Listen`], separated by commas or spaces: what one environment variable can say.
#[derive(Clone, Debug)]
struct ListenList(Vec<Listen>);

impl FromStr for ListenList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        let list: Vec<Listen> = parts.map(str::parse).collect::<Result<_, _>>()?;
        if list.is_empty() { Err("names no protocol".into()) } else { Ok(Self(list)) }
    }
}

fn buffer(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if (1..=LARGEST_BUFFER).contains(&size.0) { Ok(size) } else { Err("from 1 to 1G".into()) }
}

fn message(text: &str) -> Result<Limit<Size>, String> {
    let limit: Limit<Size> = text.parse()?;
    match limit.0 {
        Some(size) if size.0 > frame::MAX_LENGTH as u64 => Err(format!("at most {}", frame::MAX_LENGTH)),
        _ => Ok(limit),
    }
}

/// The least budget for buffers, in bytes: half of it must hold a small message and its answer.
pub const LEAST_BUFFERED: u64 = 1 << 20;

fn buffered(text: &str) -> Result<Limit<Size>, String> {
    let limit: Limit<Size> = text.parse()?;
    match limit.0 {
        Some(size) if size.0 < LEAST_BUFFERED => Err("at least 1M, or none".into()),
        _ => Ok(limit),
    }
}

/// Everything that was asked for, checked; `None` where the system decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What to serve; empty: what systemd hands over, or else the frame protocol on its port.
    pub listen: Vec<Listen>,
    /// Clients that may queue.
    pub backlog: Option<u32>,
    /// `SO_RCVBUF`, in bytes.
    pub recv_buffer: Option<usize>,
    /// `SO_SNDBUF`, in bytes.
    pub send_buffer: Option<usize>,
    /// Connections at once; `None`: as many as there may be descriptors.
    pub max_connections: Option<usize>,
    /// Connections at once from one address.
    pub max_per_source: Option<usize>,
    /// Bytes of a message.
    pub max_message: usize,
    /// Bytes held for all connections; the outer `None`: a quarter of the memory.
    pub max_buffered: Option<Option<u64>>,
    /// Bytes of a line.
    pub max_line: Option<usize>,
    /// See `--min-rate`, in bytes a second.
    pub min_rate: Option<u64>,
    /// See `--idle-timeout`.
    pub idle_timeout: Option<Duration>,
    /// See `--request-timeout`.
    pub request_timeout: Option<Duration>,
    /// See `--write-timeout`.
    pub write_timeout: Option<Duration>,
    /// See `--drain-timeout`.
    pub drain_timeout: Option<Duration>,
    /// See `--exit-idle`.
    pub exit_idle: Option<Duration>,
    /// Threads that serve.
    pub workers: Option<usize>,
    /// Makes shuffle and random repeatable.
    pub seed: Option<u64>,
    /// Quotes for qotd.
    pub quotes: Option<PathBuf>,
    /// How much to say.
    pub verbose: u8,
    /// Where the log goes.
    pub log: LogTarget,
    /// What is to be said about the settings file once there is a log.
    pub remarks: Vec<String>,
}

impl Settings {
    /// Whether something differs from `running` that cannot be changed while running.
    #[must_use]
    pub fn needs_restart(&self, running: &Self) -> bool {
        let fixed = |settings: &Self| {
            let buffers = (settings.backlog, settings.recv_buffer, settings.send_buffer);
            (settings.listen.clone(), buffers, settings.workers, settings.seed, settings.log)
        };
        fixed(self) != fixed(running)
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Serve.
    Serve(Box<Settings>),
    /// Print the protocols.
    List,
}

/// The command line as clap knows it, for completions and the tests of the documentation.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Why the options cannot be used: an error of clap's, or a failure of the settings file.
#[derive(Debug)]
pub enum OptionsError {
    /// The command line or the environment; also `--help` and `--version`.
    Usage(clap::Error),
    /// The settings file.
    File(Failure),
}

/// Reads `arguments` (with the program's name first), the environment, and the settings file that they name.
pub fn read(arguments: &[OsString]) -> Result<Request, OptionsError> {
    let matches = command().try_get_matches_from(arguments).map_err(OptionsError::Usage)?;
    let parsed = Arguments::from_arg_matches(&matches).map_err(OptionsError::Usage)?;
    let Some(file) = &parsed.settings else { return Ok(parsed.request(Vec::new())) };
    let command = self::command();
    // it cannot name another file
    let is_setting = |name: &str| name != "RETORTD_SETTINGS" && option_of(&command, name).is_some();
    let content = env_file::read(file, is_setting).map_err(OptionsError::File)?;
    let from_file = options_of(&command, file, &content, &matches).map_err(OptionsError::File)?;
    let all = arguments[..1].iter().chain(&from_file).chain(&arguments[1..]);
    let matches = command.try_get_matches_from(all).map_err(OptionsError::Usage)?;
    let parsed = Arguments::from_arg_matches(&matches).map_err(OptionsError::Usage)?;
    Ok(parsed.request(remarks(file, &content)))
}

/// The options that the variables of a settings file stand for, without those that `given` has already.
fn options_of(
    command: &clap::Command,
    file: &Path,
    content: &Content,
    given: &ArgMatches,
) -> Result<Vec<OsString>, Failure> {
    let mut options = Vec::new();
    for Variable { line, name, value, open_quote } in &content.variables {
        let Some(option) = option_of(command, name) else { continue };
        let source = given.value_source(option.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let long = option.get_long().unwrap_or_default();
        check(command, long, value).map_err(|error| {
            let why = if *open_quote { "a quote is not closed".into() } else { format!("{name}: {error}") };
            Failure::configuration(format!("{}:{line}: {why}", file.display()))
        })?;
        options.extend(as_options(long, value));
    }
    Ok(options)
}

fn option_of<'a>(command: &'a clap::Command, name: &str) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|option| option.get_env().is_some_and(|variable| variable == name))
}

/// What is to be said about a file that can be used.
fn remarks(file: &Path, content: &Content) -> Vec<String> {
    let remark = |(line, lines)| {
        let count = if lines == 1 { String::new() } else { format!(" ({lines} such lines)") };
        format!("{}:{line}: ignored: not NAME=VALUE{count}", file.display())
    };
    content.ignored.map(remark).into_iter().collect()
}

/// A setting as command line options. Counted options have no value: they stand so many times.
fn as_options(long: &str, value: &str) -> Vec<OsString> {
    if long == "verbose" {
        return vec!["--verbose".into(); value.parse().unwrap_or(0)];
    }
    vec![format!("--{long}={value}").into()]
}

/// Whether a value of the settings file can be used; why not, in one line.
fn check(command: &clap::Command, long: &str, value: &str) -> Result<(), String> {
    if long == "verbose" {
        let levels = value.parse::<u8>().is_ok_and(|level| level <= 3);
        return if levels { Ok(()) } else { Err(format!("invalid value '{value}': 0 to 3")) };
    }
    let arguments = [OsString::from("retortd"), format!("--{long}={value}").into()];
    match command.clone().try_get_matches_from(arguments) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            Err(in_short(text.lines().next().unwrap_or_default().trim_start_matches("error: ")))
        }
    }
}

/// How much of an error about a value is repeated, in characters. Chosen: more than a line of the log can have, and far
/// less than a file.
const LONGEST_ERROR: usize = 4000;

/// An error with the value in it, which may be anything, as a piece of a line for the log.
fn in_short(error: &str) -> String {
    error.chars().take(LONGEST_ERROR).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl Arguments {
    fn request(self, remarks: Vec<String>) -> Request {
        if self.list {
            return Request::List;
        }
        let mut listen: Vec<Listen> = self.listen.into_iter().flat_map(|list| list.0).collect();
        if let Some(port) = self.port {
            let entry = default_protocol();
            listen.insert(0, Listen { entry, address: None, port });
        }
        let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
        Request::Serve(Box::new(Settings {
            listen,
            backlog: self.backlog,
            recv_buffer: self.recv_buffer.map(bytes),
            send_buffer: self.send_buffer.map(bytes),
            max_connections: self.max_connections.and_then(|limit| limit.0),
            max_per_source: self.max_per_source.0,
            max_message: self.max_message.0.map_or(frame::MAX_LENGTH, bytes),
            max_buffered: self.max_buffered.map(|limit| limit.0.map(|size| size.0)),
            max_line: self.max_line.0.map(bytes),
            min_rate: self.min_rate.0.map(|size| size.0),
            idle_timeout: self.idle_timeout.0,
            request_timeout: self.request_timeout.0,
            write_timeout: self.write_timeout.0,
            drain_timeout: self.drain_timeout.0,
            exit_idle: self.exit_idle.0,
            workers: self.workers.map(usize::from),
            seed: self.seed,
            quotes: self.quotes,
            verbose: self.verbose,
            log: self.log,
            remarks,
        }))
    }
}

/// What is served where nothing else is asked for: the first row of the table.
#[must_use]
pub fn default_protocol() -> &'static ProtocolInfo {
    protocol::PROTOCOLS[0]
}

/// Where it is served where nothing else is asked for.
#[must_use]
pub fn default_listen() -> Listen {
    Listen { entry: default_protocol(), address: None, port: PORT }
}
