//! The daemon behind real balancers: haproxy, nginx and systemd-socket-proxyd, each as a child process of the test.
//!
//! The configurations are those of docs/load-balancers.md, with the addresses of this test in place of those in the
//! document. A test is skipped where its balancer is not installed; `.ci/run` installs them all.

mod announced;
mod chain;
pub mod documented;
mod health_checks;
mod health_states;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::{Signal, kill};

use crate::harness::{Daemon, Directory, EventLog, available, collect_lines, has_ipv6, process_id, skip, wait_until};

/// The module of nginx that Debian has in a package of its own, libnginx-mod-stream.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// The addresses of the servers in the document, and the port and the path where its balancers listen.
const SERVERS: [&str; 2] = ["192.0.2.11:8083", "192.0.2.12:8083"];
const PORT: &str = "8083";
const SOCKET: &str = "/run/haproxy/retortd.sock";
/// The path of the daemon's socket in the document, where haproxy connects to it.
const DAEMON_SOCKET: &str = "/run/retortd.sock";

/// A running balancer; it gets SIGTERM when dropped.
#[derive(Debug)]
pub struct Balancer {
    child: Child,
    log: EventLog<String>,
    port: u16,
    directory: Directory,
}

impl Balancer {
    /// Starts the balancer for a configuration with this title. None: it is not installed, and the test is noted as
    /// skipped.
    #[track_caller]
    fn of_kind(title: &str, configuration: &str, servers: &[SocketAddr]) -> Option<Self> {
        match title.split(':').next() {
            Some("haproxy.cfg") => Self::haproxy(configuration, servers),
            Some("nginx.conf") => Self::nginx(configuration, servers),
            Some("retortd-proxy.service") => Self::socket_proxyd(configuration, servers),
            _ => panic!("'{title}' is for no known balancer"),
        }
    }

    /// Starts haproxy and waits until it listens, see [`Self::of_kind`].
    #[track_caller]
    pub fn haproxy(configuration: &str, servers: &[SocketAddr]) -> Option<Self> {
        if !has_ipv6() || !available("haproxy") {
            return None;
        }
        Some(Self::start(configuration, servers, |file, _, _| {
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f"]).arg(file);
            command
        }))
    }

    /// Starts nginx, see [`Self::of_kind`].
    #[track_caller]
    fn nginx(configuration: &str, servers: &[SocketAddr]) -> Option<Self> {
        if !has_ipv6() || !available("nginx") {
            return None;
        }
        if !Path::new(NGINX_STREAM).exists() {
            skip("the stream module of nginx is not installed");
            return None;
        }
        Some(Self::start(configuration, servers, |file, _, directory| {
            let pid = directory.path("pid").display().to_string();
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-g", &format!("daemon off; pid {pid};"), "-c"]).arg(file);
            command
        }))
    }

    /// Starts the command in `ExecStart=` of a unit for systemd-socket-proxyd with a socket, see [`Self::of_kind`].
    #[track_caller]
    fn socket_proxyd(unit: &str, servers: &[SocketAddr]) -> Option<Self> {
        let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
        let program = command.split(' ').next().expect("a program");
        if !available("systemd-socket-activate") || !available(program) {
            return None;
        }
        Some(Self::start(command, servers, |file, port, _| {
            let words = fs::read_to_string(file).expect("read the command");
            let mut command = Command::new("systemd-socket-activate");
            command.arg(format!("--listen=127.0.0.1:{port}")).args(words.split(' '));
            command
        }))
    }

    fn start(configuration: &str, servers: &[SocketAddr], command: impl Fn(&Path, u16, &Directory) -> Command) -> Self {
        let directory = Directory::new();
        let port = free_port();
        let configuration = localized(configuration, servers, port, &directory);
        let file = PathBuf::from(directory.write("configuration", configuration));
        let mut command = command(&file, port, &directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = collect_lines(child.stderr.take());
        let balancer = Self { child, log, port, directory };
        wait_until("the balancer listens", || is_listening(port) || balancer.log.is_closed());
        assert!(is_listening(port), "the balancer has exited");
        balancer
    }

    /// Where it serves clients over IPv4.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The socket of haproxy that its configuration calls [`SOCKET`].
    pub fn socket(&self) -> PathBuf {
        self.directory.path("socket")
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // its processes end with the first one, which SIGKILL would not give the time for that
        let _ = kill(process_id(&self.child), Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the balancer's log:\n{}", self.log.text());
        }
    }
}

/// A daemon that serves `frame` behind a balancer that sends PROXY headers, or behind one that sends none.
fn daemon(behind_proxy: bool, arguments: &[&str]) -> Daemon {
    if behind_proxy { Daemon::serving_behind_proxy("frame", arguments) } else { Daemon::serving("frame", arguments) }
}

/// A port that nothing listens on. It is below the ports that the kernel chooses (`ip_local_port_range`), so that no
/// other test gets it between this check and the balancer's bind(2); the process id separates tests of this module.
pub fn free_port() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 1000) as u16 * 10;
    let is_free = |port: &u16| TcpListener::bind(("::", *port)).is_ok();
    let ports = std::iter::repeat_with(|| 20_000 + (first + COUNT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    ports.take(10_000).find(is_free).expect("a free port")
}

/// Whether a TCP socket listens on a port, from proc(5): a connection to find out would reach the daemon.
fn is_listening(port: u16) -> bool {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default()).concat();
    let address = format!(":{port:04X}");
    tables.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // the local address, and the state TCP_LISTEN
        fields.len() > 3 && fields[1].ends_with(&address) && fields[3] == "0A"
    })
}

/// A configuration of the document with the addresses of this test.
fn localized(configuration: &str, servers: &[SocketAddr], port: u16, directory: &Directory) -> String {
    let mut text = configuration.replace(SOCKET, &directory.path("socket").display().to_string());
    for (shown, server) in SERVERS.iter().zip(servers.iter().cycle()) {
        text = text.replace(shown, &server.to_string());
    }
    text.replace(&format!(":{PORT}"), &format!(":{port}"))
}
