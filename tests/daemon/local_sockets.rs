//! Unix and vsock sockets: bound by the daemon, inherited, and as standard input.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::action::UPPERCASE;
use crate::harness::{
    DEADLINE, Daemon, DaemonBuilder, Directory, Finished, available, frame, is_root, length_prefixed, listener, skip,
    wait_until,
};
use crate::headers::TCP4;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect, socket};
use nix::unistd::{Uid, chown, getgid, getuid};

/// A new directory, a protocol's option `--listen` for a socket there, and the path of the socket.
fn listen(protocol: &str) -> (Directory, String, String) {
    let directory = Directory::new();
    let path = directory.path("socket").to_str().expect("a path in UTF-8").to_string();
    (directory, format!("--listen={protocol}=unix:{path}"), path)
}

/// Starts a daemon, and waits until it is ready.
fn start(option: &str) -> Daemon {
    DaemonBuilder::new(&["-v", option]).start()
}

/// Starts a daemon that cannot listen.
fn refused(option: &str) -> Finished {
    DaemonBuilder::new(&[option]).finish()
}

fn connect_to(path: &str) -> UnixStream {
    let stream = match path.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).expect("a name")),
        None => UnixStream::connect(path),
    };
    let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {path}: {error}"));
    stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
    stream
}

/// Sends bytes and half-closes.
fn send(stream: &mut UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("send");
    stream.shutdown(Shutdown::Write).expect("shutdown");
}

/// Everything up to the end.
fn receive(mut stream: UnixStream) -> Vec<u8> {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("receive");
    received
}

fn exchange(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect_to(path);
    send(&mut stream, bytes);
    receive(stream)
}

fn mode_of(path: &str) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

#[test]
fn unix_sockets_are_served_and_name_their_clients() {
    let (_directory, option, path) = listen("frame");
    let mut daemon = start(&option);
    assert_eq!(exchange(&path, &frame(UPPERCASE, b"abc")), length_prefixed(b"ABC"));
    let client = format!("frame unix:pid={},uid={},gid={}", std::process::id(), getuid(), getgid());
    daemon.wait_for_line(0, &format!("{client}: closed: finished"));
    daemon.wait_for_line(0, &format!("listening on frame=unix:{path}"));
    assert_eq!(daemon.stop(), 0);
    assert!(!Path::new(&path).exists(), "it is removed at exit");
}

#[test]
fn large_messages_are_served_on_unix_sockets() {
    let (_directory, option, path) = listen("frame");
    let daemon = start(&option);
    let text = vec![b'a'; 3 << 20];
    let stream = connect_to(&path);
    let mut writer = stream.try_clone().expect("a second handle");
    let sender = std::thread::spawn(move || send(&mut writer, &frame(UPPERCASE, &text)));
    let received = receive(stream);
    sender.join().expect("sent");
    assert_eq!(received, length_prefixed(&vec![b'A'; 3 << 20]));
    assert_eq!(daemon.statistics_at_rest().answered, 1);
}

#[test]
fn abstract_sockets_are_served() {
    let name = format!("@retortd-test-{}", std::process::id());
    let mut daemon = start(&format!("--listen=echo=unix:{name}"));
    assert_eq!(exchange(&name, b"abc"), b"abc");
    daemon.wait_for_line(0, &format!("listening on echo=unix:{name}"));
    assert_eq!(refused(&format!("--listen=time=unix:{name}")).code, 71);
    assert_eq!(daemon.stop(), 0);
}

/// Nothing but the listener is in the log: no option of TCP is tried and fails.
#[test]
fn tcp_options_are_not_set_on_unix_sockets() {
    let (_directory, option, path) = listen("echo");
    let daemon = DaemonBuilder::new(&[&option, "--send-buffer=64K", "--recv-buffer=64K"]).start();
    assert_eq!(exchange(&path, b"abc"), b"abc");
    assert_eq!(daemon.log.text(), "");
}

#[test]
fn the_file_has_the_given_mode() {
    let (_directory, option, path) = listen("echo");
    for (mode, expected) in [("", 0o660), (",mode=0600", 0o600), (",mode=666", 0o666)] {
        // as retortd.service has it
        let launch =
            DaemonBuilder::new(&[&format!("{option}{mode}")]).under(&["sh", "-c", "umask 0777; exec \"$@\"", "sh"]);
        let mut daemon = launch.start();
        assert_eq!(mode_of(&path), expected, "{mode}");
        assert_eq!(daemon.stop(), 0);
    }
}

#[test]
fn a_mode_changes_only_with_a_restart() {
    let (directory, option, path) = listen("echo");
    let (_, listener) = option.split_once('=').expect("an option with a value");
    let settings = directory.write("settings", format!("RETORTD_LISTEN={listener},mode=0600\n"));
    let daemon = start(&format!("--settings={settings}"));
    directory.write("settings", format!("RETORTD_LISTEN={listener},mode=0666\n"));
    daemon.reload();
    daemon.wait_for_line(0, "the addresses and modes of listeners, --connection, ");
    assert_eq!((mode_of(&path), exchange(&path, b"abc")), (0o600, b"abc".to_vec()));
}

/// Fault 47: a leftover.
#[test]
fn a_leftover_of_a_killed_daemon_is_replaced() {
    let (_directory, option, path) = listen("echo");
    let mut killed = start(&option);
    killed.signal(Signal::SIGKILL);
    killed.wait_exit();
    assert!(Path::new(&path).exists());
    let _daemon = start(&option);
    assert_eq!(exchange(&path, b"abc"), b"abc");
}

#[test]
fn a_socket_in_use_exits_71_and_stays() {
    let (_directory, option, path) = listen("echo");
    let _daemon = start(&option);
    let words = format!(
        "cannot listen on unix:{path}: Address already in use (os error 98) (another process listens there: ss -lxp shows it)"
    );
    refused(&option).assert_failed(71, &words);
    assert_eq!(exchange(&path, b"abc"), b"abc");
}

/// Fault 47: two daemons for one path.
#[test]
fn one_of_two_daemons_gets_a_path() {
    let (_directory, option, path) = listen("echo");
    for _ in 0..5 {
        drop(UnixListener::bind(&path).expect("a leftover"));
        let mut daemons = [0, 1].map(|_| DaemonBuilder::new(&["-v", &option]).spawn());
        wait_until("one of them has exited", || daemons.iter().any(Daemon::has_exited));
        let (loser, winner) = if daemons[0].has_exited() { (0, 1) } else { (1, 0) };
        assert_eq!(daemons[loser].wait_exit(), 71);
        daemons[winner].wait_ready();
        assert_eq!(exchange(&path, b"abc"), b"abc");
        assert_eq!(daemons[winner].stop(), 0);
        assert!(!Path::new(&path).exists());
    }
}

#[test]
fn what_cannot_be_a_socket_exits_78() {
    let directory = Directory::new();
    let file = directory.write("file", "text");
    for (path, words) in [
        (
            file.clone(),
            "File exists (os error 17) (there is a file that is no socket: remove it, or choose another path)",
        ),
        (
            format!("{}/socket", directory.path("missing").display()),
            "No such file or directory (os error 2) (the directory of the socket has to exist: RuntimeDirectory=retortd in",
        ),
        (format!("{file}/socket"), "Not a directory (os error 20) (the directory of the socket has to exist: "),
    ] {
        refused(&format!("--listen=echo=unix:{path}"))
            .assert_failed(78, &format!("cannot listen on unix:{path}: {words}"));
    }
    assert_eq!(fs::read_to_string(file).expect("it is still there"), "text");
}

#[test]
fn wrong_local_listeners_are_rejected_with_advice() {
    for (option, code, words) in [
        (
            "--listen=echo=unix:/run/a b",
            2,
            "white space ends 'echo=unix:/run/a': the path of a socket cannot contain it",
        ),
        ("--listen=echo=unix:/run/a,b", 2, "the path of a socket cannot contain a comma"),
        ("--listen=echo=unix:/run/a/", 2, "'/run/a/' is a directory: the path of a socket does not end in '/'"),
        ("--listen=echo=unix:/run/a,mode=0440", 2, "mode=0440 does not let the daemon's user connect"),
        ("--listen=echo=7,mode=0600", 2, "echo=7 has no file, so it can have no mode: that is for unix:/PATH"),
        (
            "--listen=echo=unix:/run/a time=unix:/run/a",
            78,
            "cannot listen on echo=unix:/run/a and time=unix:/run/a: unix:/run",
        ),
        (
            "--listen=echo=vsock::7 time=vsock::7",
            78,
            "cannot listen on echo=vsock::7 and time=vsock::7: vsock::7 is given",
        ),
    ] {
        refused(option).assert_failed(code, words);
    }
}

#[test]
fn a_symbolic_link_in_place_of_a_socket_is_named() {
    let (_directory, option, path) = listen("echo");
    symlink("missing", &path).expect("symlink");
    refused(&option).assert_failed(78, "(there is a symbolic link, which is not followed: remove it");
}

#[test]
fn two_paths_of_one_file_exit_78() {
    let (_directory, option, path) = listen("echo");
    let parent = Path::new(&path).parent().expect("a directory");
    let link = parent.join("link");
    symlink(parent, &link).expect("symlink");
    for other in [link.join("socket"), link.join("../").join(parent.file_name().expect("a name")).join("socket")] {
        let launch = DaemonBuilder::new(&[&option, &format!("--listen=time=unix:{}", other.display())]);
        let words =
            format!("(os error 98): echo=unix:{path} leads to the same file (give one of them another address)");
        launch.finish().assert_failed(78, &words);
        assert!(!Path::new(&path).exists(), "the first socket is removed");
    }
}

/// A socket of another user: one that the daemon's user may not connect to, and one that it may not remove.
#[test]
fn a_socket_of_another_user_exits_78_and_stays() {
    if !is_root() || !available("setpriv") {
        return;
    }
    let (_directory, option, path) = listen("echo");
    let parent = Path::new(&path).parent().expect("a directory");
    for (directory_mode, mode, words) in [
        (0o777, 0o600, "a socket is there that this user may not connect to (if 'ss -lxp' shows no process"),
        (
            0o1777,
            0o666,
            "a socket of another user is there, to which no process listens (in a directory with the sticky",
        ),
    ] {
        fs::set_permissions(parent, fs::Permissions::from_mode(directory_mode)).expect("chmod");
        drop(UnixListener::bind(&path).expect("bind"));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        let launch = DaemonBuilder::new(&[&option]).under(&["setpriv", "--reuid=65534", "--clear-groups"]);
        launch.finish().assert_failed(78, &format!("cannot listen on unix:{path}: {words}"));
        fs::remove_file(&path).expect("it is still there");
    }
}

/// chmod(2) that follows no symbolic link needs /proc on older kernels.
#[test]
fn a_socket_is_bound_without_proc() {
    const SCRIPT: &str = "mount -t tmpfs none /proc || exit 77; umask 0777; exec \"$@\"";
    if !is_root() || !available("unshare") {
        return;
    }
    let mount = ["unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, "sh"];
    let probe = Command::new(mount[0]).args(&mount[1..]).arg("true").output().expect("unshare");
    if !probe.status.success() {
        return skip("no file system can be mounted here");
    }
    let (_directory, option, path) = listen("echo");
    let mut daemon = DaemonBuilder::new(&[&option]).under(&mount).start();
    assert_eq!((mode_of(&path), exchange(&path, b"abc")), (0o660, b"abc".to_vec()));
    assert_eq!(daemon.stop(), 0);
    assert!(!Path::new(&path).exists());
}

#[test]
fn a_directory_that_the_daemon_may_not_write_exits_78() {
    if !is_root() || !available("setpriv") {
        return;
    }
    let (_directory, option, path) = listen("echo");
    let launch = DaemonBuilder::new(&[&option]).under(&["setpriv", "--reuid=65534", "--clear-groups"]);
    let words = format!(
        "cannot listen on unix:{path}: Permission denied (os error 13) (the daemon has to write to the directory"
    );
    launch.finish().assert_failed(78, &words);
}

#[test]
fn a_read_only_directory_exits_78() {
    const SCRIPT: &str = "mount --bind $0 $0 && mount -o remount,ro,bind $0 || exit 77; exec \"$@\"";
    if !is_root() || !available("unshare") {
        return;
    }
    let (_directory, option, path) = listen("echo");
    let root = Path::new(&path).parent().and_then(Path::to_str).expect("a directory");
    let launch = DaemonBuilder::new(&[&option]).under(&[
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        SCRIPT,
        root,
    ]);
    let finished = launch.finish();
    if finished.code == 77 || finished.log.starts_with("unshare: ") {
        return skip("no file system can be mounted here");
    }
    let words =
        format!("cannot listen on unix:{path}: Read-only file system (os error 30) (the directory is read-only");
    finished.assert_failed(78, &words);
}

/// The length of the whole path is checked before the bind; a name that is too long may also be in the target of a
/// symbolic link.
#[test]
fn a_path_that_is_too_long_for_the_file_system_exits_78() {
    let directory = Directory::new();
    let link = directory.path("link");
    symlink("a".repeat(256), &link).expect("symlink");
    let path = format!("{}/socket", link.display());
    let words = format!("cannot listen on unix:{path}: File name too long (os error 36) (choose a shorter path)");
    refused(&format!("--listen=echo=unix:{path}")).assert_failed(78, &words);
    let path = format!("{}/{}", link.display(), "a".repeat(107));
    refused(&format!("--listen=echo=unix:{path}")).assert_failed(2, "is too long for a socket: at most 107 bytes");
}

#[test]
fn a_lock_file_is_held_as_long_as_the_socket() {
    let (_directory, option, path) = listen("frame");
    let mut daemon = start(&option);
    let lock = format!("{path}.lock");
    assert_eq!((mode_of(&lock), fs::read(&lock).expect("read")), (0o600, Vec::new()));
    fs::remove_file(&path).expect("remove");
    let words = "Address already in use (os error 98) (another process listens there: ss -lxp shows it)";
    refused(&option).assert_failed(71, words);
    assert_eq!(daemon.stop(), 0);
    assert!(!Path::new(&lock).exists());
}

/// Any user who can read a directory can lock it.
#[test]
fn a_lock_on_the_directory_delays_no_start() {
    let (_directory, option, path) = listen("echo");
    let handle = File::open(Path::new(&path).parent().expect("a directory")).expect("open");
    let _lock = Flock::lock(handle, FlockArg::LockExclusive).expect("the lock");
    let _daemon = start(&option);
    assert_eq!(exchange(&path, b"abc"), b"abc");
}

#[test]
fn a_foreign_lock_file_exits_78_and_stays() {
    let (directory, option, path) = listen("echo");
    let lock = directory.path("socket.lock");
    let target = directory.write("target", "text");
    let words = format!(
        "cannot listen on unix:{path}: {path}.lock is there and is no lock file of this user (if no other program needs"
    );
    let rejected = || {
        refused(&option).assert_failed(78, &words);
        assert!(!Path::new(&path).exists(), "no socket is left");
    };
    symlink(&target, &lock).expect("symlink");
    rejected();
    assert!(fs::symlink_metadata(&lock).expect("it is still there").is_symlink());
    fs::remove_file(&lock).expect("remove");
    fs::rename(&target, &lock).expect("rename");
    rejected();
    assert_eq!(fs::read_to_string(&lock).expect("it is still there"), "text");
    fs::write(&lock, "").expect("write");
    if chown(&lock, Some(Uid::from_raw(65534)), None).is_err() {
        return skip("not root");
    }
    rejected();
    assert!(lock.exists());
}

#[test]
fn a_stop_at_once_removes_the_file() {
    let (_directory, option, path) = listen("frame");
    let mut daemon = start(&option);
    let mut client = connect_to(&path);
    // an incomplete request, which a drain waits for
    client.write_all(&frame(UPPERCASE, b"abc")[..5]).expect("send");
    daemon.statistics_when(|statistics| statistics.bytes_in == 5);
    daemon.begin_drain();
    daemon.stop_now();
    assert_eq!(daemon.wait_exit(), 0);
    assert!(!Path::new(&path).exists());
}

/// The kernel does not tell how many clients are in the queue of a Unix socket.
#[test]
fn a_drain_serves_the_clients_that_are_queued() {
    let (_directory, option, path) = listen("echo");
    let mut daemon = DaemonBuilder::new(&["-v", "--workers=2", &option]).start();
    daemon.pause();
    let clients: Vec<UnixStream> = (0..150)
        .map(|_| {
            let mut client = connect_to(&path);
            send(&mut client, b"queued");
            client
        })
        .collect();
    daemon.signal(Signal::SIGTERM);
    daemon.signal(Signal::SIGCONT);
    for client in clients {
        assert_eq!(receive(client), b"queued");
    }
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn a_drain_removes_the_file_first() {
    let (_directory, option, path) = listen("frame");
    let mut daemon = start(&option);
    let mut client = connect_to(&path);
    let request = frame(UPPERCASE, b"abc");
    client.write_all(&request[..5]).expect("send");
    daemon.statistics_when(|statistics| statistics.bytes_in == 5);
    daemon.begin_drain();
    wait_until("the file is removed", || !Path::new(&path).exists());
    // another daemon can take the path, which the first one leaves alone
    let _next = start(&option);
    send(&mut client, &request[5..]);
    assert_eq!(receive(client), length_prefixed(b"ABC"));
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(exchange(&path, &request), length_prefixed(b"ABC"));
}

#[test]
fn clients_of_unix_sockets_are_limited_by_user() {
    let (_directory, option, path) = listen("echo");
    let daemon = DaemonBuilder::new(&["-v", "--max-per-source=1", &option]).start();
    let mut first = connect_to(&path);
    first.write_all(b"a").expect("send");
    first.read_exact(&mut [0]).expect("receive");
    assert_eq!(receive(connect_to(&path)), b"");
    daemon.wait_for_line(0, &format!("uid={},gid={}: closed: source-limit", getuid(), getgid()));
}

#[test]
fn who_reports_the_user() {
    let (_directory, option, path) = listen("who");
    let _daemon = start(&option);
    let reply = String::from_utf8(exchange(&path, b"")).expect("text");
    let peer = format!("\"peer\":\"unix:pid={},uid={},gid={}\"", std::process::id(), getuid(), getgid());
    assert!(reply.contains(&peer) && reply.contains(&format!("\"local\":\"unix:{path}\"")), "{reply}");
}

#[test]
fn other_programs_are_clients_of_unix_sockets() {
    let (_directory, option, path) = listen("echo");
    let _daemon = start(&option);
    let socat = format!("UNIX-CONNECT:{path}");
    for command in [&["socat", "-t30", "-", &socat][..], &["ncat", "-U", &path]] {
        if !available(command[0]) {
            continue;
        }
        let mut child = Command::new(command[0]);
        let mut child =
            child.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start the client");
        child.stdin.take().expect("a pipe").write_all(b"abc").expect("write");
        let output = child.wait_with_output().expect("its output");
        assert_eq!(output.stdout, b"abc", "{command:?}");
    }
}

#[test]
fn inherited_unix_sockets_are_served_and_kept() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let socket = UnixListener::bind(&path).expect("bind");
    let mut daemon = DaemonBuilder::new(&["-v"]).with_sockets("echo", vec![socket.into()]).start();
    let path = path.to_str().expect("a path in UTF-8");
    assert_eq!(exchange(path, b"abc"), b"abc");
    daemon.wait_for_line(0, &format!("listening on echo=unix:{path}"));
    assert_eq!(daemon.stop(), 0);
    assert!(!daemon.log.text().contains("cannot"), "{}", daemon.log.text());
    assert!(Path::new(path).exists(), "it belongs to the socket unit");
}

#[test]
fn an_inherited_path_given_again_exits_78() {
    let (_directory, option, path) = listen("frame");
    let socket = UnixListener::bind(&path).expect("bind");
    let words = format!("Address already in use (os error 98): systemd passes echo=unix:{path}, too (remove");
    let launch = DaemonBuilder::new(&[&option]).with_sockets("echo", vec![socket.into()]);
    launch.finish().assert_failed(78, &words);
}

/// As `Accept=yes` of a socket unit passes it.
#[test]
fn one_inherited_unix_connection_is_served() {
    let (mut client, server) = UnixStream::pair().expect("a pair of sockets");
    let mut daemon = DaemonBuilder::new(&["-v"]).with_sockets("echo", vec![server.into()]).spawn();
    send(&mut client, b"abc");
    assert_eq!(receive(client), b"abc");
    assert_eq!(daemon.wait_exit(), 0);
}

/// systemd 252 gives the name `connection` whatever `FileDescriptorName=` says.
#[test]
fn the_name_connection_has_the_meaning_of_the_setting() {
    for (name, option, expected) in [
        ("connection", "--connection=echo", b"abc\n".to_vec()),
        ("connection", "--connection=upper-line", b"ABC".to_vec()),
        ("echo", "--connection=upper-line", b"abc\n".to_vec()),
    ] {
        let (mut client, server) = UnixStream::pair().expect("a pair of sockets");
        let mut daemon = DaemonBuilder::new(&[option]).with_sockets(name, vec![server.into()]).spawn();
        send(&mut client, b"abc\n");
        assert_eq!(receive(client), expected, "{name} {option}");
        assert_eq!(daemon.wait_exit(), 0);
    }
    refused("--connection=echo=7").assert_failed(2, "echo has an address here");
}

/// Fault 49: an option that restricts access may not be in a name.
#[test]
fn names_with_an_address_or_an_unknown_option_exit_78() {
    for (name, words) in [
        ("echo=7", "descriptor 3 (echo=7): echo has an address here: the address of a socket from systemd is in its"),
        (
            "echo,allow=127.0.0.1",
            "descriptor 3 (echo,allow=127.0.0.1): a name can have the option proxy and not 'allow'",
        ),
        ("echo,fast", "descriptor 3 (echo,fast): a name can have the option proxy and not 'fast'"),
    ] {
        let finished = DaemonBuilder::new(&[]).with_sockets(name, vec![listener().0.into()]).finish();
        finished.assert_failed(78, words);
        assert!(!finished.log.contains("(set FileDescriptorName= to "), "{}", finished.log);
    }
}

#[test]
fn the_option_proxy_is_for_own_and_inherited_sockets() {
    let input = [TCP4, b"abc"].concat();
    let (_directory, option, path) = listen("echo");
    let daemon = start(&format!("{option},proxy"));
    assert_eq!(exchange(&path, &input), b"abc");
    daemon.wait_for_line(0, "echo 192.0.2.10:56324 via unix:pid=");
    drop(daemon);
    // the file that the killed daemon has left
    fs::remove_file(&path).expect("remove");
    let socket = UnixListener::bind(&path).expect("bind");
    let _daemon = DaemonBuilder::new(&[]).with_sockets("echo,proxy", vec![socket.into()]).start();
    assert_eq!(exchange(&path, &input), b"abc");
    let (mut client, server) = UnixStream::pair().expect("a pair of sockets");
    let mut daemon =
        DaemonBuilder::new(&["--connection=echo,proxy"]).with_sockets("connection", vec![server.into()]).spawn();
    send(&mut client, &input);
    assert_eq!(receive(client), b"abc");
    assert_eq!(daemon.wait_exit(), 0);
}

/// Every process that can reach the port could announce any client.
#[test]
fn a_name_with_the_option_proxy_needs_networks_in_the_settings() {
    let all = TcpListener::bind("0.0.0.0:0").expect("bind");
    let launch = DaemonBuilder::new(&[]).with_sockets("echo,proxy", vec![all.into()]);
    launch.finish().assert_failed(78, "--proxy-from");
}

/// As a program that plays inetd for Unix sockets passes it; `--connection` selects the protocol.
#[test]
fn a_unix_connection_on_standard_input_is_served() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let socket = UnixListener::bind(&path).expect("bind");
    let mut client = connect_to(path.to_str().expect("a path in UTF-8"));
    let (server, _) = socket.accept().expect("accept");
    let mut daemon = DaemonBuilder::new(&["--connection=echo"]).on_standard_socket(server.into()).spawn();
    send(&mut client, b"abc");
    assert_eq!(receive(client), b"abc");
    assert_eq!(daemon.wait_exit(), 0);
}

/// sshd(8) starts a program on such a pair: that is no client.
#[test]
fn an_unnamed_socket_on_standard_input_is_not_served() {
    let (client, server) = UnixStream::pair().expect("a pair of sockets");
    let mut daemon = DaemonBuilder::new(&["--check"]).on_standard_socket(server.into()).spawn();
    assert_eq!(daemon.wait_exit(), 0);
    let settings = String::from_utf8(receive(client)).expect("text");
    assert!(settings.contains("# Listeners: frame=8083\n"), "{settings}");
}

#[test]
fn vsock_listeners_are_bound() {
    if !Path::new("/dev/vsock").exists() {
        return skip("there is no vsock here");
    }
    let port = 0x4000_0000 + std::process::id();
    let mut daemon = start(&format!("--listen=echo=vsock::{port}"));
    daemon.wait_for_line(0, &format!("listening on echo=vsock::{port}"));
    refused(&format!("--listen=time=vsock::{port}"))
        .assert_failed(71, "(another process listens there: ss -lp --vsock shows it)");
    refused("--listen=time=vsock:77:9000")
        .assert_failed(71, "(this machine does not have that CID: vsock::PORT listens on every one)");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn vsock_clients_are_served() {
    if !Path::new("/sys/module/vsock_loopback").exists() {
        return skip("there is no vsock loopback here");
    }
    let port = 0x4100_0000 + std::process::id();
    let daemon = start(&format!("--listen=echo=vsock::{port}"));
    let socket = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    connect(socket.as_raw_fd(), &VsockAddr::new(1, port)).expect("connect");
    let mut stream = UnixStream::from(socket);
    send(&mut stream, b"abc");
    assert_eq!(receive(stream), b"abc");
    daemon.wait_for_line(0, "echo vsock:1:");
}
