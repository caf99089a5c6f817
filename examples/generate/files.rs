//! The content of the generated files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use retortd::connection::{Budget, Impaired, Impairment, Impairments, Millis};
use retortd::daemon::config::service::SideService;
use retortd::daemon::side::families::{FAMILIES, Family, Kind};
use retortd::protocol::client_side::ConnectionUse;
use retortd::protocol::{Example, Input, PROTOCOLS, ProtocolInfo};

use scripted::{Driver, IoResult, ScriptedStream};
use vectors::VECTORS;

#[path = "../../tests/connection/scripted.rs"]
mod scripted;
#[path = "../../tests/proxy_header/vectors.rs"]
mod vectors;

/// The port in the commands that README.md shows.
const SHOWN_PORT: &str = "4000";
/// The bytes between the protocol's name and the input in a seed of the fuzzing target `splits`: the longest message
/// limit, no limit on memory, one repetition, and six results of system calls. Reads: one byte, EAGAIN, EINTR. Writes:
/// one byte, EAGAIN, two bytes.
const SPLITS_HEADER: &[u8] = &[2, 3, 0, 6, 2, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2, 1];
/// What follows a PROXY header in a seed: a request of `frame`.
const CLIENT_BYTES: &[u8] = b"\x08\0\0\x02hi";
/// Requests for metrics and health: the seeds of the fuzzing target `http_request`.
const HTTP_REQUESTS: &[(&str, &str)] = &[
    ("metrics", "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5\r\n\r\n"),
    ("livez", "HEAD http://a/livez?b HTTP/1.0\n\n"),
    ("refused", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb"),
];
/// How the names of generated seeds begin, in contrast to inputs that somebody adds.
const SEED: &str = "seed-";

/// Every generated file: its path below the root, and its content.
pub fn generated(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut add = |path: String, content: Vec<u8>| assert!(files.insert(path.clone(), content).is_none(), "{path}");
    let readme =
        between_markers(root, "README.md", ("<!-- protocols: begin -->\n", "<!-- protocols: end -->"), &readme());
    add("README.md".into(), readme);
    let page = "packaging/man/retortd.protocols.7";
    add(page.into(), between_markers(root, page, (".\\\" protocols: begin\n", ".\\\" protocols: end"), &man_page()));
    let page = "docs/metrics.md";
    add(page.into(), between_markers(root, page, ("<!-- metrics: begin -->\n", "<!-- metrics: end -->"), &metrics()));
    for info in PROTOCOLS {
        add(format!("systemd/{}", unit_name(info)), socket_unit(info).into_bytes());
    }
    add("systemd/retortd-unix.socket".into(), unix_socket_unit().into_bytes());
    add("systemd/retortd-metrics.socket".into(), metrics_socket_unit().into_bytes());
    add("tests/system/guest/examples.tsv".into(), system_test_examples().into_bytes());
    for info in PROTOCOLS {
        for (number, example) in info.examples.iter().enumerate() {
            for (target, content) in seeds(info, example) {
                add(format!("fuzz/corpus/{target}/{SEED}{}-{number:02}", info.name), content);
            }
        }
    }
    for info in PROTOCOLS {
        for (number, content) in saved_connections(info).into_iter().enumerate() {
            add(format!("fuzz/corpus/saved_connection/{SEED}{}-{number:02}", info.name), content);
        }
    }
    add(format!("fuzz/corpus/saved_impairment/{SEED}delayed"), saved_impairment());
    for (name, header, _) in VECTORS {
        add(format!("fuzz/corpus/proxy_header/{SEED}{name}"), [*header, CLIENT_BYTES].concat());
    }
    for (name, request) in HTTP_REQUESTS {
        add(format!("fuzz/corpus/http_request/{SEED}{name}"), request.as_bytes().to_vec());
    }
    files
}

/// Files that an earlier list of protocols generated and this one does not.
pub fn stale(root: &Path, generated: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let of_inetd = "retortd-inetd.socket";
    let is_unit = |name: &str| name.starts_with("retortd-") && name.ends_with(".socket") && name != of_inetd;
    let units = names(root, "systemd").into_iter().filter(|path| is_unit(path.trim_start_matches("systemd/")));
    let targets = names(root, "fuzz/corpus").into_iter().flat_map(|target| names(root, &target));
    let seeds = targets.filter(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with(SEED)));
    units.chain(seeds).filter(|path| !generated.contains_key(path)).collect()
}

/// The entries of a directory, as paths below the root.
fn names(root: &Path, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join(directory)).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some(format!("{directory}/{}", entry.file_name().to_str()?))).collect()
}

/// A file with new text between two markers.
fn between_markers(root: &Path, path: &str, (begin, end): (&str, &str), text: &str) -> Vec<u8> {
    let file = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (before, rest) = file.split_once(begin).unwrap_or_else(|| panic!("{path} has no line {begin}"));
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{path} has no line {end}"));
    [before, begin, text, end, after].concat().into_bytes()
}

fn rfc(info: &ProtocolInfo) -> String {
    info.rfc.map_or(String::new(), |rfc| format!(" (RFC {rfc})"))
}

fn readme() -> String {
    let mut table = "| name | port | what it does | try it |\n|---|---|---|---|\n".to_string();
    for info in PROTOCOLS {
        let port = info.port.map_or("-".to_string(), |port| port.to_string());
        let command = info.try_it.replace("{port}", SHOWN_PORT).replace('|', "\\|");
        writeln!(table, "| `{}` | {port} | {}{} | `{command}` |", info.name, info.summary, rfc(info))
            .expect("a string takes everything");
    }
    table
}

fn man_page() -> String {
    let mut table = ".TS\nl r lx.\nName\tPort\tService\n_\n".to_string();
    for info in PROTOCOLS {
        let name = info.name.replace('-', "\\-");
        let mark = if info.port.is_none() { "*" } else { "" };
        writeln!(table, "{name}\t{}{mark}\tT{{\n{}{}\nT}}", info.socket_unit.port, roff(info.summary), rfc(info))
            .expect("a string takes everything");
    }
    table + ".TE\n"
}

/// The table of the metrics: names as in the format of Prometheus.
fn metrics() -> String {
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_string();
    for Family { name, kind, labels, help } in FAMILIES {
        let kind_name = if *kind == Kind::Info { Kind::Gauge } else { *kind }.name();
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{name}{}` | {kind_name} | {} | {help} |", kind.suffix(), labels.join(", "))
            .expect("a string takes everything");
    }
    table
}

/// A text with roff's quotation marks in place of backquotes, between which no line breaks.
fn roff(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(number, part)| match number % 2 {
            0 => part.to_string(),
            _ => format!("\\(lq{}\\(rq", part.replace(' ', "\\~")),
        })
        .collect()
}

/// The name of a protocol's socket unit. The first protocol is the one that is served by default.
pub fn unit_name(info: &ProtocolInfo) -> String {
    if info.name == PROTOCOLS[0].name { "retortd.socket".into() } else { format!("retortd-{}.socket", info.name) }
}

fn socket_unit(info: &ProtocolInfo) -> String {
    let no_port = "# No port is assigned to this protocol; this one is the project's choice.\n";
    let listen = format!(
        "\
{no_port}ListenStream={port}
# One socket for IPv6 and IPv4, whatever net.ipv6.bindv6only says; IPv4 alone where IPv6 is off.
BindIPv6Only=both
",
        no_port = if info.port.is_none() { no_port } else { "" },
        port = info.socket_unit.port,
    );
    unit(info.socket_unit.description, PROTOCOL_NAME, info.name, &listen)
}

/// The socket unit of the default protocol on a Unix socket.
fn unix_socket_unit() -> String {
    let listen = "\
# Not in a directory of its own: a RuntimeDirectory= of the service would be removed when the service stops, and the
# socket with it.
ListenStream=/run/retortd.sock
# A process that may write to the socket may connect: only root, until a drop-in sets SocketGroup= to the clients'
# group.
SocketMode=0660
RemoveOnStop=yes
";
    let info = PROTOCOLS[0];
    unit(&format!("{} on a Unix socket", info.socket_unit.description), PROTOCOL_NAME, info.name, listen)
}

/// The socket unit of metrics and health.
fn metrics_socket_unit() -> String {
    let service = SideService::Metrics;
    let port = service.port().expect("the port of metrics");
    let listen = format!(
        "\
# There are neither passwords nor access lists: only processes of this machine may connect. Before another address is
# written here, a firewall has to keep others out.
ListenStream=127.0.0.1:{port}
"
    );
    let name = "# A service beside those for clients. A scrape or a probe starts retortd, which then stays.\n";
    unit("Metrics and health", name, service.name(), &listen)
}

/// What a unit says about the name of its socket.
const PROTOCOL_NAME: &str = "# The name of the socket is the protocol that retortd serves on it.\n";

/// A socket unit: its description, a comment about the name of its socket, that name, and the lines about what it
/// listens on.
fn unit(description: &str, about_name: &str, name: &str, listen: &str) -> String {
    format!(
        "\
[Unit]
Description={description} (retortd)
Documentation=man:retortd(8) man:retortd.protocols(7)
# No start limit: a socket that reached it would refuse its clients until an administrator intervenes.
StartLimitIntervalSec=0

[Socket]
{about_name}FileDescriptorName={name}
Service=retortd.service
{listen}# Written out because the default differs between versions; the kernel cuts it to net.core.somaxconn.
Backlog=4096
# A socket that has started its service too often fails and refuses its clients for good. By default twenty times in two
# seconds are enough, which a script that stops the service under load can reach.
TriggerLimitIntervalSec=2s
TriggerLimitBurst=50

[Install]
WantedBy=sockets.target
# A socket cannot start while its service runs. Wanted by the service too, it joins when that is restarted.
WantedBy=retortd.service
"
    )
}

/// One line per protocol: name and socket unit; of its first example, the bytes to send, and the beginning, the end,
/// the minimum length and the maximum length of the reply; and whether the reply is endless.
fn system_test_examples() -> String {
    let line = |info: &&ProtocolInfo| {
        let Example { send, reply, .. } = &info.examples[0];
        let (start, end, (min, max)) = reply.form();
        let [send, start, end] = [send, start, end].map(|bytes| bytes.escape_ascii());
        let ending = if info.client.connection_use == ConnectionUse::Streaming { "endless" } else { "ends" };
        format!("{}\t{}\t{send}\t{start}\t{end}\t{min}\t{max}\t{ending}\n", info.name, unit_name(info))
    };
    PROTOCOLS.iter().map(line).collect()
}

/// The seeds for an example: the fuzzing target, and the input in the form of that target.
fn seeds(info: &ProtocolInfo, example: &Example) -> Vec<(&'static str, Vec<u8>)> {
    let name = format!("{}\n", info.name);
    let mut seeds = vec![("protocols", [name.as_bytes(), example.send].concat())];
    if info.input == Input::Stream {
        seeds.push(("splits", [name.as_bytes(), SPLITS_HEADER, example.send].concat()));
    }
    if let Some(target) = ["frame", "text"].into_iter().find(|target| *target == info.name) {
        seeds.push((target, example.send.to_vec()));
    }
    seeds
}

/// Connections that are saved in the middle of the first example: after a half of its input, and while the client takes
/// nothing. Without the replies of services that speak first: `who` has the version of the program in it.
fn saved_connections(info: &ProtocolInfo) -> Vec<Vec<u8>> {
    let example = &info.examples[0];
    let half = IoResult::AtMost(example.send.len() / 2);
    let blocked = [IoResult::AtMost(1), IoResult::WouldBlock];
    let scripts: [(&[IoResult], &[IoResult]); 2] = [(&[half, IoResult::WouldBlock], &[]), (&[], &blocked)];
    let scripts = scripts.into_iter().take(if info.speaks_first() { 1 } else { 2 });
    let saved = scripts.filter_map(|(reads, writes)| {
        let stream = ScriptedStream::new(example.send, reads, writes);
        let mut context = scripted::context(1 << 16, &Arc::new(Budget::new(1 << 20)), 1);
        let mut driver = Driver::new(info.name, stream);
        // the connection is opened, then it reads once
        let is_open = driver.step(&mut context).is_none() && driver.step(&mut context).is_none();
        let (text, [input, output]) = is_open.then(|| scripted::write_down(&driver.connection))?;
        Some([info.name.as_bytes(), b"\n", text.as_bytes(), b"\n", &input, &output, b"\0", example.send].concat())
    });
    saved.collect()
}

/// An impairment that is saved while it delays bytes.
fn saved_impairment() -> Vec<u8> {
    let (latency, jitter) = (Millis::new(100), Millis::new(20));
    let settings = Impairments { latency, jitter, rate: NonZero::new(1000), ..Impairments::default() };
    let impairment = Impairment::new(Arc::new(settings), 1, 1, &Arc::new(Budget::new(0)), Millis::ZERO);
    let mut stream = Impaired::new(ScriptedStream::default(), Some(impairment));
    for piece in ["one", "two"] {
        stream.begin_call(Millis::ZERO, 1 << 20);
        stream.write_all(piece.as_bytes()).expect("room");
    }
    let text = serde_json::to_string(&stream.save()).expect("JSON");
    stream.delayed_bytes().fold([text.as_bytes(), b"\n"].concat(), |seed, part| [&seed, part].concat())
}
