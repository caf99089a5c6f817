//! Socket activation: inherited sockets as in `sd_listen_fds(3)`, and systemd-socket-activate(1).

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::harness::action::UPPERCASE;
use crate::harness::{
    Client, Daemon, DaemonBuilder, Directory, EventLog, Finished, available, collect_lines, connection, frame,
    has_ipv6, length_prefixed, listener, process_id,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, setsockopt, socket, socketpair, sockopt,
};

const LOCAL: &str = "--listen=echo=127.0.0.1:0";

/// A daemon with one inherited socket of this name.
fn named(name: &str) -> Daemon {
    DaemonBuilder::new(&[]).with_sockets(name, vec![listener().0.into()]).start()
}

/// Starts a daemon with sockets that it must reject, and asserts exit code 78.
fn rejected(names: &str, sockets: Vec<OwnedFd>) -> Finished {
    let finished = DaemonBuilder::new(&[]).with_sockets(names, sockets).finish();
    assert_eq!(finished.code, 78, "{}", finished.log);
    finished
}

#[test]
fn descriptor_name_selects_protocol() {
    for name in ["echo", "retortd-echo.socket"] {
        assert_eq!(named(name).exchange("echo", b"abc"), b"abc", "{name}");
    }
    // the names that systemd gives to sockets without FileDescriptorName= select `frame`
    for name in ["", "unknown", "retortd.socket", "frame"] {
        assert_eq!(named(name).exchange("frame", &frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"), "{name}");
    }
}

#[test]
fn two_inherited_sockets_serve_two_protocols() {
    let ((one, echo), (two, discard)) = (listener(), listener());
    let daemon = DaemonBuilder::new(&[]).with_sockets("echo:discard", vec![one.into(), two.into()]).start();
    assert_eq!((daemon.address("echo"), daemon.address("discard")), (echo, discard));
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    assert_eq!(daemon.exchange("discard", b"abc"), b"");
    assert_eq!(daemon.log.text(), "");
}

/// An entry without options has no effect.
#[test]
fn listener_options_name_inherited_sockets() {
    for name in ["echo", "retortd-echo.socket"] {
        let launch = DaemonBuilder::new(&[]).with_sockets("retortd-echo.socket", vec![listener().0.into()]);
        let daemon = launch.env("RETORTD_LISTENER_OPTIONS", format!("{name} frame")).start();
        assert_eq!(daemon.exchange("echo", b"abc"), b"abc", "{name}");
        assert_eq!(daemon.log.text(), "", "{name}");
    }
    for (entry, words) in [
        ("retortd-gopher.socket", "no socket is called 'retortd-gopher.socket'"),
        ("retortd-echo.socket,fast", "retortd-echo.socket has no option 'fast': the options are proxy, allow, "),
    ] {
        let launch = DaemonBuilder::new(&[]).with_sockets("retortd-echo.socket", vec![listener().0.into()]);
        let finished = launch.env("RETORTD_LISTENER_OPTIONS", entry).finish();
        assert_eq!(finished.code, 2, "{entry}: {}", finished.log);
        assert!(finished.log.contains(words), "{entry}: {}", finished.log);
    }
}

/// An option may restrict the access to a listener: one that is for no listener is not ignored silently.
#[test]
fn options_for_no_inherited_socket_are_warned_about() {
    const WARNING: &str = "--listener-options 'frame' matches no listener: no socket from systemd has this name";
    let entries = |arguments: &[&str]| {
        let entries = "--listener-options=frame,allow=10.0.0.0/8 echo,max-rate=100";
        DaemonBuilder::new(&[arguments, &[entries]].concat()).with_sockets("echo", vec![listener().0.into()])
    };
    let checked = entries(&["--check"]).finish();
    let mut daemon = entries(&[]).start();
    assert_eq!(daemon.stop(), 0);
    for log in [checked.log, daemon.log.text()] {
        assert_eq!((log.matches(WARNING).count(), log.matches("matches no listener").count()), (1, 1), "{log}");
    }
    let own = ["--listen=frame=127.0.0.1:0", "--listener-options=frame,allow=10.0.0.0/8"];
    let daemon = DaemonBuilder::new(&own).start();
    daemon.wait_for_line(0, WARNING);
    let checked = DaemonBuilder::new(&[&["--check"], &own[..]].concat()).finish();
    assert!(checked.log.contains(WARNING), "{}", checked.log);
    let directory = Directory::new();
    let settings = directory.write("settings", "");
    let daemon = DaemonBuilder::new(&["--settings", &settings, own[0]]).start();
    directory.write("settings", "RETORTD_LISTENER_OPTIONS=frame,proxy\n");
    daemon.reload();
    daemon.wait_for_line(0, WARNING);
    // as the check before a reload of the service, which gets no sockets
    let checked = DaemonBuilder::new(&["--check", own[1]]).finish();
    assert_eq!((checked.code, checked.log.as_str()), (0, ""));
}

#[test]
fn inherited_socket_suppresses_default_port() {
    let daemon = named("echo");
    assert_eq!(daemon.listening().len(), 1);
    let (socket, _) = listener();
    let both = DaemonBuilder::new(&["--listen=time=127.0.0.1:0"]).with_sockets("echo", vec![socket.into()]).start();
    assert_eq!(both.listening().len(), 2);
    assert_eq!(both.connect("time").receive_all().len(), 4);
}

#[test]
fn address_of_inherited_socket_given_again_exits_78() {
    let (socket, address) = listener();
    let launch = DaemonBuilder::new(&[&format!("--listen=frame={address}")]);
    let finished = launch.with_sockets("echo", vec![socket.into()]).finish();
    assert_eq!(finished.code, 78, "{}", finished.log);
    let words = format!("Address already in use (os error 98): systemd passes echo={address}, too (remove");
    assert!(finished.log.contains(&words), "{}", finished.log);
}

/// As `RestrictAddressFamilies=` or `SystemCallFilter=` of a unit forbid it.
#[test]
fn service_without_network_names_socket_unit() {
    if !available("strace") {
        return;
    }
    for error in ["EAFNOSUPPORT", "EPERM"] {
        let injection = format!("inject=socket:error={error}");
        let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=socket", "-e", &injection];
        for launch in [DaemonBuilder::new(&[]), DaemonBuilder::new(&[]).env("RETORTD_PORT", "9083")] {
            let finished = launch.under(&strace).finish();
            assert_eq!(finished.code, 78, "{error}: {}", finished.log);
            let words = "systemd passed no socket, and this service may not open one itself (";
            assert!(finished.log.contains(words), "{error}: {}", finished.log);
            for words in ["'systemctl start retortd.socket'", "'systemctl edit retortd.socket'), not in RETORTD_PORT"] {
                assert!(finished.log.contains(words), "{error}: {}", finished.log);
            }
        }
        let launch = DaemonBuilder::new(&["--listen=time=127.0.0.1:0"]).under(&strace);
        let finished = launch.with_sockets("echo", vec![listener().0.into()]).finish();
        assert_eq!(finished.code, 78, "{error}: {}", finished.log);
        assert!(finished.log.contains("this service may not open sockets itself ("), "{error}: {}", finished.log);
        let words = "(systemd listens for it: remove --port, --listen, RETORTD_PORT and RETORTD_LISTEN, and set";
        assert!(finished.log.contains(words), "{error}: {}", finished.log);
    }
}

/// Fault 30: an unknown name.
#[test]
fn unknown_descriptor_name_exits_78() {
    for name in ["gopher", "retortd-gopher.socket"] {
        let log = rejected(name, vec![listener().0.into()]).log;
        let words = format!("cannot serve on inherited descriptor 3 ({name}): no protocol has that name");
        assert!(log.contains(&words) && log.contains("FileDescriptorName="), "{log}");
    }
}

/// Fault 30: a datagram socket, a Unix socket of packets.
#[test]
fn datagram_and_packet_sockets_exit_78() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let log = rejected("echo", vec![udp.into()]).log;
    assert!(log.contains("descriptor 3 (echo): it is not a stream socket of TCP, Unix or vsock"), "{log}");
    let packets = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    // autobind: an abstract name that the kernel chooses (unix(7))
    bind(packets.as_raw_fd(), &UnixAddr::new_unnamed()).expect("bind");
    listen(&packets, Backlog::new(1).expect("a backlog")).expect("listen");
    let log = rejected("echo", vec![packets]).log;
    assert!(log.contains("descriptor 3 (echo): it is not a stream socket of TCP, Unix or vsock"), "{log}");
    // a valid socket beside it changes nothing
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let log = rejected("echo:discard", vec![listener().0.into(), udp.into()]).log;
    assert!(log.contains("descriptor 4 (discard)"), "{log}");
}

#[test]
fn unconnected_socket_exits_78() {
    use nix::sys::socket::socket;
    let bare = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("socket");
    let log = rejected("echo", vec![bare]).log;
    assert!(log.contains("it neither listens nor is connected"), "{log}");
}

/// Fault 30: a `LISTEN_PID` of another process.
#[test]
fn listen_fds_without_own_listen_pid_are_ignored_or_exit_78() {
    let launch =
        || DaemonBuilder::new(&["--listen=echo=127.0.0.1:0"]).env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "frame");
    let daemon = launch().env("LISTEN_PID", "1").start();
    daemon.wait_for_line(0, "LISTEN_FDS=1 is for process 1, not for this one");
    assert_eq!(daemon.listening().len(), 1);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    let finished = launch().finish();
    assert_eq!(finished.code, 78);
    assert!(finished.log.contains("LISTEN_FDS=1 is set without LISTEN_PID"), "{}", finished.log);
}

#[test]
fn missing_descriptor_exits_78() {
    let launch = DaemonBuilder::new(&[]).with_sockets("echo:discard", vec![listener().0.into()]);
    let finished = launch.env("LISTEN_FDS", "2").finish();
    assert_eq!(finished.code, 78, "{}", finished.log);
    assert!(finished.log.contains("descriptor 4 (discard)"), "{}", finished.log);
}

#[test]
fn invalid_listen_variables_exit_78() {
    for fds in ["-1", "abc", "", " 1", "2147483647", "99999999999999", "18446744073709551615"] {
        let launch = DaemonBuilder::new(&[LOCAL]).with_sockets("", vec![listener().0.into()]);
        let finished = launch.env("LISTEN_FDS", fds).finish();
        assert_eq!(finished.code, 78, "{fds}: {}", finished.log);
        assert!(finished.log.contains(&format!("LISTEN_FDS={fds} is not a number of descriptors")), "{}", finished.log);
    }
    for pid in ["", "garbage"] {
        let finished = DaemonBuilder::new(&[LOCAL]).env("LISTEN_PID", pid).env("LISTEN_FDS", "1").finish();
        assert_eq!(finished.code, 78, "{pid}: {}", finished.log);
        assert!(finished.log.contains(&format!("LISTEN_PID={pid} is not a process id")), "{}", finished.log);
    }
    // descriptor 4 is not inherited, but the daemon must not take one of its own for it
    let none = DaemonBuilder::new(&[]).with_sockets("", vec![listener().0.into()]);
    let finished = none.env("LISTEN_FDS", "999999").finish();
    assert_eq!(finished.code, 78, "{}", finished.log);
    assert!(finished.log.contains("cannot serve on inherited descriptor 4 (): it is not open"), "{}", finished.log);
}

/// A descriptor without a name serves `frame`, like that of a socket unit without `FileDescriptorName=`.
#[test]
fn missing_descriptor_names_log_warning() {
    let sockets = vec![listener().0.into(), listener().0.into()];
    let daemon = DaemonBuilder::new(&[]).with_sockets("echo", sockets).start();
    daemon.wait_for_line(0, "LISTEN_FDNAMES=echo names 1 of 2 descriptors: the others count as frame");
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    assert_eq!(daemon.exchange("frame", &frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"));
}

#[test]
fn first_descriptor_other_than_3_exits_78() {
    let handed = || DaemonBuilder::new(&[]).with_sockets("echo", vec![listener().0.into()]);
    let daemon = handed().env("LISTEN_FDS_FIRST_FD", "3").start();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    let finished = handed().env("LISTEN_FDS_FIRST_FD", "1").finish();
    assert_eq!(finished.code, 78);
    assert!(finished.log.contains("LISTEN_FDS_FIRST_FD=1, and not 3"), "{}", finished.log);
}

/// A daemon that inherits a listener for `echo` and one more descriptor.
fn beside_a_listener(name: &str, other: impl Into<OwnedFd>) -> Daemon {
    let (socket, address) = listener();
    let daemon =
        DaemonBuilder::new(&[]).with_sockets(&format!("echo:{name}"), vec![socket.into(), other.into()]).start();
    assert_eq!(daemon.address("echo"), address);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    daemon
}

/// Fault 43: descriptors from the file descriptor store that this version does not know.
#[test]
fn unknown_stored_descriptors_are_removed_from_store() {
    let memory = || memfd_create("state", MFdFlags::MFD_CLOEXEC).expect("a memfd");
    let pair = |kind| socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    let ((one, _other), (stream, _peer)) = (pair(SockType::SeqPacket), UnixStream::pair().expect("a pair"));
    // files by their names, and connections beside other sockets by their type
    let descriptors: [(&str, OwnedFd); 5] = [
        ("state", memory()),
        ("device", fs::File::open("/dev/null").expect("open").into()),
        ("connections", one),
        ("echo", stream.into()),
        ("gopher", connection().1.into()),
    ];
    for (name, descriptor) in descriptors {
        let daemon = beside_a_listener(name, descriptor);
        daemon.wait_for_line(0, &format!("descriptors named '{name}' from the file descriptor store are dropped (1)"));
        let (at, forgotten) = daemon.wait_for_notice(0, "FDSTOREREMOVE=1");
        assert_eq!(forgotten, format!("FDSTOREREMOVE=1\nFDNAME={name}\n"));
        assert_eq!(at, 1, "FDSTOREREMOVE=1 is sent before READY=1");
        assert_eq!(daemon.listening().len(), 1);
    }
}

/// The name by which a predecessor hands its connections over means nothing for another kind of descriptor.
#[test]
fn descriptors_named_hand_over_that_carry_nothing_are_dropped() {
    let memory = memfd_create("state", MFdFlags::MFD_CLOEXEC).expect("a memfd");
    let (stream, _peer) = UnixStream::pair().expect("a pair");
    for descriptor in [memory, stream.into(), connection().1.into()] {
        let daemon = beside_a_listener("hand-over", descriptor);
        daemon.wait_for_line(0, "descriptors named 'hand-over' from the file descriptor store are dropped (1)");
    }
    let pair = || socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    let (one, _other) = pair();
    let daemon = beside_a_listener("hand-over", one);
    daemon.wait_for_line(0, "what a predecessor has handed over cannot be used: it is empty; 0 connections closed");
    // alone, it does not lead to the default port
    let log = rejected("hand-over", vec![pair().0]).log;
    assert!(log.contains("systemd passed no socket that can be used ("), "{log}");
    let log = rejected("hand-over", vec![listener().0.into()]).log;
    assert!(log.contains("cannot serve on inherited descriptor 3 (hand-over): no protocol has that name"), "{log}");
}

#[test]
fn unknown_stored_connection_is_closed() {
    let (client, server) = connection();
    let _daemon = beside_a_listener("connections", server);
    assert_eq!(Client::from_stream(client).receive_all(), b"");
}

#[test]
fn stored_descriptors_do_not_replace_listen_option() {
    let memory = memfd_create("state", MFdFlags::MFD_CLOEXEC).expect("a memfd");
    let daemon = DaemonBuilder::new(&[LOCAL]).with_sockets("state", vec![memory]).start();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    daemon.wait_for_notice(0, "FDSTOREREMOVE=1\nFDNAME=state");
}

/// The default port is open to every network: what a unit passes must never lead there by mistake.
#[test]
fn descriptors_that_cannot_be_served_never_open_the_default_port() {
    let pair = |kind| socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    let (packets, datagrams) = (pair(SockType::SeqPacket), pair(SockType::Datagram));
    let copy = |socket: &OwnedFd| vec![socket.try_clone().expect("a copy")];
    let fifo = || vec![nix::unistd::pipe().expect("a pipe").0];
    for name in ["connection", "echo", ""] {
        for socket in [&packets.0, &datagrams.0] {
            let log = rejected(name, copy(socket)).log;
            assert!(log.contains(&format!("3 ({name}): it is not a stream socket of TCP, Unix or vsock")), "{log}");
        }
        let log = rejected(name, fifo()).log;
        assert!(log.contains(&format!("3 ({name}): it is a file, a FIFO or a device, and not a socket")), "{log}");
    }
    let log = rejected("echo:frame", vec![listener().0.into(), fifo().remove(0)]).log;
    assert!(log.contains("4 (frame): it is a file"), "{log}");
    let ((_one, first), (_two, second)) = (connection(), connection());
    for (names, descriptors) in [
        ("state", copy(&packets.0)),
        ("state", fifo()),
        ("a:b", vec![fifo().remove(0), packets.0.try_clone().expect("a copy")]),
        ("connection:connection", vec![first.into(), second.into()]),
    ] {
        let log = rejected(names, descriptors).log;
        assert!(log.contains("systemd passed no socket that can be used ("), "{names}: {log}");
    }
    let checked = DaemonBuilder::new(&["--check"]).with_sockets("state", fifo()).finish();
    assert_eq!(checked.code, 78, "{}", checked.log);
    let daemon = DaemonBuilder::new(&[LOCAL]).with_sockets("state", copy(&packets.0)).start();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc", "what another version stored does not fail the start");
}

#[test]
fn inherited_listener_becomes_nonblocking() {
    let (socket, address) = listener();
    let copy = socket.try_clone().expect("a copy");
    let daemon = DaemonBuilder::new(&["--workers=2"]).with_sockets("echo", vec![socket.into()]).start();
    // status flags belong to the open file description (fcntl(2)), so the copy shows them
    let flags = nix::fcntl::fcntl(&copy, nix::fcntl::FcntlArg::F_GETFL).expect("flags");
    assert_ne!(flags & nix::libc::O_NONBLOCK, 0);
    assert_eq!(Client::connect(address).exchange(b"abc"), b"abc");
    drop(daemon);
}

/// A listener on this port of all IPv6 addresses, and of none of IPv4; 0 is a free port. EADDRINUSE: it is taken.
fn ipv6_only_listener(port: u16) -> Result<OwnedFd, Errno> {
    use nix::sys::socket::{SockaddrIn6, bind, socket};
    let socket = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    let any = SockaddrIn6::from(std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    bind(socket.as_raw_fd(), &any)?;
    listen(&socket, Backlog::new(16)?)?;
    Ok(socket)
}

/// Fault 30: a socket for IPv6 only.
#[test]
fn ipv6_only_inherited_socket_rejects_ipv4() {
    if !has_ipv6() {
        return;
    }
    let socket = ipv6_only_listener(0).expect("a listener");
    let daemon = DaemonBuilder::new(&[]).with_sockets("echo", vec![socket]).start();
    let address = daemon.address("echo");
    assert!(address.is_ipv6());
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    assert!(TcpStream::connect(("127.0.0.1", address.port())).is_err(), "IPv4 on an IPv6 socket");
}

/// A port of an inherited socket for IPv6 only, and another process that has it for IPv4.
#[test]
fn ipv6_only_inherited_socket_leaves_ipv4_addresses() {
    if !has_ipv6() {
        return;
    }
    let (_other, socket, port) = (0..10)
        .find_map(|_| {
            let other = TcpListener::bind(("0.0.0.0", 0)).expect("bind");
            let port = other.local_addr().expect("an address").port();
            Some((other, ipv6_only_listener(port).ok()?, port))
        })
        .expect("a port that is free for IPv6, too");
    let copy = || vec![socket.try_clone().expect("a copy")];
    for address in ["0.0.0.0", "[::ffff:127.0.0.1]"] {
        let listen = format!("--listen=time={address}:{port}");
        let checked = DaemonBuilder::new(&["--check", &listen]).with_sockets("echo", copy()).finish();
        assert_eq!(checked.code, 0, "{}", checked.log);
        let started = DaemonBuilder::new(&[&listen]).with_sockets("echo", copy()).finish();
        assert_eq!(started.code, 71, "{}", started.log);
        assert!(started.log.contains("another process listens there"), "{}", started.log);
    }
}

/// Fault 30: the connection of an `Accept=yes` unit.
#[test]
fn inherited_connection_is_served_then_exits_0() {
    for (name, send, expect) in [
        ("connection", frame(UPPERCASE, b"abc"), length_prefixed(b"ABC")),
        ("frame", frame(UPPERCASE, b"abc"), length_prefixed(b"ABC")),
        ("echo", b"abc".to_vec(), b"abc".to_vec()),
        ("ack", b"abc".to_vec(), b"Message received!".to_vec()),
    ] {
        let (client, server) = connection();
        let mut daemon = DaemonBuilder::new(&["-v"]).with_sockets(name, vec![server.into()]).spawn();
        daemon.wait_for_notice(0, "STATUS=serving one connection");
        assert_eq!(Client::from_stream(client).exchange(&send), expect, "{name}");
        assert_eq!(daemon.wait_exit(), 0);
        let statistics = daemon.last_statistics();
        assert_eq!((statistics.accepted, statistics.open, statistics.answered), (1, 0, 1));
    }
}

#[test]
fn several_inherited_connections_are_removed_from_store() {
    let ((client, one), (other, two)) = (connection(), connection());
    let daemon = DaemonBuilder::new(&[LOCAL]).with_sockets("echo:echo", vec![one.into(), two.into()]).start();
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    daemon.wait_for_line(0, "descriptors named 'echo' from the file descriptor store are dropped (2)");
    let forgotten = daemon.notices.all().into_iter().filter(|notice| notice.contains("FDSTOREREMOVE=1")).count();
    assert_eq!(forgotten, 1, "once for each name");
    for client in [client, other] {
        assert_eq!(Client::from_stream(client).receive_all(), b"");
    }
}

#[test]
fn closed_inherited_connection_exits_0() {
    let (client, server) = connection();
    drop(client);
    let mut daemon = DaemonBuilder::new(&["-v"]).with_sockets("frame", vec![server.into()]).spawn();
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().closed_for("finished"), 1);
}

/// A connection that its client has reset, after it has sent this.
fn reset_connection(sent: &[u8]) -> TcpStream {
    let (client, server) = connection();
    let mut client = Client::from_stream(client);
    client.send(sent);
    client.reset();
    let mut reset = [PollFd::new(server.as_fd(), PollFlags::POLLERR)];
    poll(&mut reset, PollTimeout::NONE).expect("wait for the reset");
    server
}

/// As every probe.
#[test]
fn reset_inherited_connection_is_logged_at_vv_only() {
    for (verbose, expected) in [("-v", 0), ("-vv", 1)] {
        let sockets = vec![reset_connection(b"").into()];
        let finished = DaemonBuilder::new(&[verbose]).with_sockets("frame", sockets).finish();
        assert_eq!(finished.code, 0);
        let lines = finished.log.matches("frame unknown address: closed: reset after ").count();
        assert_eq!(lines, expected, "{}", finished.log);
    }
}

/// Fault 4, fault 30: the client of an `Accept=yes` unit resets the connection before the daemon reads.
#[test]
fn reset_inherited_connection_exits_0() {
    let request = frame(UPPERCASE, b"abc");
    for (name, sent) in
        [("connection", &b""[..]), ("echo", b""), ("connection", &request), ("connection", &request[..6])]
    {
        let sockets = vec![reset_connection(sent).into()];
        let finished = DaemonBuilder::new(&[]).with_sockets(name, sockets).finish();
        assert_eq!((finished.code, finished.log.as_str()), (0, ""), "{name}, {} bytes", sent.len());
    }
}

#[test]
fn sigterm_closes_inherited_connection() {
    let (client, server) = connection();
    let mut daemon = DaemonBuilder::new(&[]).with_sockets("frame", vec![server.into()]).spawn();
    let mut client = Client::from_stream(client);
    assert_eq!(client.request(UPPERCASE, b"abc"), b"ABC");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(client.wait_closed(), b"");
}

/// systemd-socket-activate(1) and the daemon that it starts; both are ended when dropped.
struct Activator {
    child: Child,
    log: EventLog<String>,
    addresses: Vec<SocketAddr>,
}

impl Activator {
    /// Listens on `listeners` free ports. None: systemd-socket-activate is not installed.
    fn start(options: &[&str], listeners: usize, arguments: &[&str]) -> Option<Self> {
        if !available("systemd-socket-activate") {
            return None;
        }
        // it does not accept port 0; a port that was free before may be in use now, so retry
        (0..20).find_map(|_| Self::try_start(options, listeners, arguments))
    }

    fn try_start(options: &[&str], listeners: usize, arguments: &[&str]) -> Option<Self> {
        let free: Vec<(TcpListener, SocketAddr)> = (0..listeners).map(|_| listener()).collect();
        let addresses: Vec<SocketAddr> = free.into_iter().map(|(_, address)| address).collect();
        let mut command = Command::new("systemd-socket-activate");
        command.args(addresses.iter().map(|address| format!("--listen={address}")));
        command.args(options).arg(env!("CARGO_BIN_EXE_retortd")).args(arguments);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("start the activator");
        let log = collect_lines(child.stderr.take());
        let activator = Self { child, log, addresses };
        let last = format!("as {}", 2 + listeners);
        activator.log.wait_for(0, |line| line.contains(&last)).map(|_| activator)
    }

    fn wait_for_line(&self, words: &str) {
        let found = self.log.wait_for(0, |line| line.contains(words));
        assert!(found.is_some(), "{words:?} is not in {}", self.log.text());
    }

    fn connect(&self, number: usize) -> Client {
        Client::connect(self.addresses[number])
    }

    fn wait_exit(&mut self) -> i32 {
        self.log.wait_closed();
        self.child.wait().expect("wait").code().unwrap_or(-1)
    }
}

impl Drop for Activator {
    fn drop(&mut self) {
        let _ = kill(process_id(&self.child), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn socket_activate_with_two_names_serves_both() {
    let Some(mut activator) = Activator::start(&["--fdname=echo:discard"], 2, &["--exit-idle=200ms"]) else { return };
    // the first connection starts the daemon and is served by it
    assert_eq!(activator.connect(0).exchange(b"abc"), b"abc");
    assert_eq!(activator.connect(1).exchange(b"abc"), b"");
    assert_eq!(activator.wait_exit(), 0);
}

#[test]
fn socket_activate_without_name_serves_frame() {
    let Some(activator) = Activator::start(&[], 1, &[]) else { return };
    assert_eq!(activator.connect(0).exchange(&frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"));
}

#[test]
fn socket_activate_with_unknown_name_exits_78() {
    let Some(mut activator) = Activator::start(&["--fdname=gopher"], 1, &[]) else { return };
    // starts the daemon, and is reset when that exits, perhaps before connect(2) returns
    let _client = TcpStream::connect(activator.addresses[0]);
    assert_eq!(activator.wait_exit(), 78);
    activator.wait_for_line("cannot serve on inherited descriptor 3 (gopher): no protocol has that name");
}

#[test]
fn socket_activate_accept_serves_each_connection() {
    let Some(activator) = Activator::start(&["--accept", "--fdname=echo"], 1, &[]) else { return };
    let mut clients: Vec<Client> = (0..3).map(|_| activator.connect(0)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let text = format!("client {number}");
        client.send(text.as_bytes());
        assert_eq!(client.receive(text.len()), text.as_bytes());
    }
    for client in clients {
        assert_eq!(client.exchange(b"end"), b"end");
    }
}

#[test]
fn connection_on_standard_input_and_output_is_served() {
    let (client, server) = connection();
    let mut daemon = DaemonBuilder::new(&["-v"]).on_standard_socket(server.into()).spawn();
    daemon.wait_for_notice(0, "STATUS=serving one connection");
    assert_eq!(Client::from_stream(client).exchange(&frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.last_statistics().answered, 1);
}

/// The client sees the end of a connection as soon as the server has closed it: no other descriptor keeps it open.
#[test]
fn only_the_server_keeps_a_connection_on_standard_input_open() {
    let (client, server) = connection();
    let error = server.try_clone().expect("a copy");
    let launch = DaemonBuilder::new(&[]).on_standard_socket(server.into()).stderr(OwnedFd::from(error));
    let mut daemon = launch.spawn();
    let mut client = Client::from_stream(client);
    assert_eq!(client.request(UPPERCASE, b"abc"), b"ABC");
    for number in 0..3 {
        let target = fs::read_link(format!("/proc/{}/fd/{number}", daemon.pid)).expect("a descriptor");
        assert_eq!(target.to_str(), Some("/dev/null"), "{number}");
    }
    assert_eq!(daemon.stop(), 0);
    assert_eq!(client.wait_closed(), b"");
}

/// inetd's `wait`: as a socket unit passes it.
#[test]
fn listener_on_standard_input_is_served() {
    let (socket, address) = listener();
    let daemon = DaemonBuilder::new(&[]).on_standard_socket(socket.into()).start();
    assert_eq!(daemon.address("frame"), address);
    assert_eq!(daemon.exchange("frame", &frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"));
}

#[test]
fn socket_on_standard_input_is_not_served_beside_others() {
    let (client, server) = connection();
    let daemon = DaemonBuilder::new(&[LOCAL]).on_standard_socket(server.into()).start();
    assert_eq!(daemon.listening().len(), 1);
    assert_eq!(daemon.exchange("echo", b"abc"), b"abc");
    drop(daemon);
    assert_eq!(Client::from_stream(client).receive_all(), b"");
}

#[test]
fn datagram_socket_on_standard_input_exits_78() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let finished = DaemonBuilder::new(&[]).on_standard_socket(udp.into()).finish();
    assert_eq!(finished.code, 78);
    assert!(
        finished
            .log
            .contains("cannot serve on standard input: it is not a stream socket of TCP, Unix or vsock (inetd has"),
        "{}",
        finished.log
    );
}

/// Errors of the command line, too: neither the log nor clap writes into the stream of the client.
#[test]
fn log_goes_to_system_log_if_standard_error_is_the_connection() {
    if !available("strace") {
        return;
    }
    for (arguments, code) in [(&["--colour"][..], 2), (&["--settings=/nonexistent"], 78), (&["-vvv"], 0)] {
        let (client, server) = connection();
        let (directory, error) = (Directory::new(), server.try_clone().expect("a copy"));
        let path = directory.path("calls");
        let calls = path.to_str().expect("a path in UTF-8");
        let launch = DaemonBuilder::new(arguments).on_standard_socket(server.into()).stderr(OwnedFd::from(error));
        let mut daemon = launch.under(&["strace", "-f", "-qq", "-o", calls, "-e", "trace=connect"]).spawn();
        let mut client = Client::from_stream(client);
        let (received, expected) = match code {
            0 => (client.exchange(&frame(UPPERCASE, b"abc")), length_prefixed(b"ABC")),
            _ => (client.receive_all(), Vec::new()),
        };
        assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(&expected), "{arguments:?}");
        assert_eq!(daemon.wait_exit(), code, "{arguments:?}");
        let calls = fs::read_to_string(&path).expect("a trace");
        assert!(calls.contains("sun_path=\"/dev/log\""), "{arguments:?}: {calls}");
    }
}

#[test]
fn socket_activate_inetd_serves_each_connection() {
    let Some(activator) = Activator::start(&["--inetd", "--accept"], 1, &[]) else { return };
    for _ in 0..2 {
        assert_eq!(activator.connect(0).exchange(&frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"));
    }
}
