//! The commands that README.md shows: each `$ ` line, and the `try it` column of the protocols, runs with the built
//! programs.
//!
//! README.md is the reference. The output of a command has to be the one shown there, word by word; quantities that
//! [`is_measured`] recognizes may differ. The only changes to a command are those of [`localized`]. As in README.md, the
//! daemon hands its connections over during `retort ping`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use retortd::protocol::PROTOCOLS;

use crate::harness::{Daemon, DaemonBuilder, available, marked_blocks};

/// The ports in README.md, with the protocol that a daemon serves there.
const SHOWN_PORTS: [(&str, &str); 2] = [("8083", "frame"), ("8084", "frame-2021")];
/// How long the benchmark in README.md runs, and how long it runs here: the figures are not compared.
const DURATION: (&str, &str) = ("5s", "300ms");
const TIMES: [&str; 4] = ["ns", "us", "ms", "s"];
const SIZES: [&str; 5] = ["B", "kB", "KB", "MB", "GB"];

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("read README.md")
}

fn port(daemon: &Daemon, protocol: &str) -> String {
    daemon.address(protocol).port().to_string()
}

/// A command of README.md with the ports of a daemon in place of those in README.md (8083 is also the default of
/// retort), and a shorter benchmark.
fn localized(command: &str, daemon: &Daemon) -> String {
    let [shown, here] = [DURATION.0, DURATION.1].map(|time| format!("--duration {time}"));
    let mut command = command.replace(&shown, &here);
    for action in ["send", "ping", "bench"] {
        command = command.replace(&format!("retort {action} localhost "), &format!("retort {action} localhost:8083 "));
    }
    for (shown, protocol) in SHOWN_PORTS {
        let port = port(daemon, protocol);
        command = command.replace(&format!("localhost:{shown}"), &format!("localhost:{port}"));
        command = command.replace(&format!("localhost {shown}"), &format!("localhost {port}"));
    }
    command
}

/// The output with the ports and the duration of README.md in place of those here, and one form of the loopback address.
fn generalized(output: &str, daemon: &Daemon) -> String {
    let mut output = output.replace("[::1]", "127.0.0.1");
    output = output.replace(&format!("for {},", DURATION.1), &format!("for {},", DURATION.0));
    for (shown, protocol) in SHOWN_PORTS {
        output = output.replace(&format!(":{}", port(daemon, protocol)), &format!(":{shown}"));
    }
    output
}

/// A command of bash, with both outputs together as on a terminal, and the built programs as `retort` and `retortd`.
fn bash(command: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_retort")).parent().expect("a directory").display().to_string();
    let path = format!("{programs}:{}", env::var("PATH").unwrap_or_default());
    let script = format!("exec 2>&1\n{command}");
    Command::new("bash").args(["-c", &script]).env("PATH", path).env("TERM", "dumb").output().expect("run bash")
}

/// Runs a command; as README.md says, the daemon hands its connections over to the next process during `retort ping`.
fn run(command: &str, daemon: &Daemon) -> Output {
    let localized = localized(command, daemon);
    if !command.starts_with("retort ping ") {
        return bash(&localized);
    }
    let before = daemon.log.len();
    thread::scope(|scope| {
        let ping = scope.spawn(|| bash(&localized));
        daemon.wait_for_line(before, ": accepted");
        daemon.hand_over();
        ping.join().expect("run retort ping")
    })
}

/// A word without its digits: `#` in place of each number.
fn form(word: &str) -> String {
    let is_number = |character: char| character.is_ascii_digit() || ".,".contains(character);
    let mut form = String::new();
    for character in word.chars() {
        match is_number(character) {
            true if form.ends_with('#') => {}
            true => form.push('#'),
            false => form.push(character),
        }
    }
    form
}

/// Whether a word is a number with a fraction or with thousands, or a number before a unit of time.
fn is_measured(word: &str, next: Option<&&str>) -> bool {
    let precise = word.contains(['.', ',']) && word.contains(|character: char| character.is_ascii_digit());
    let is_time = next.is_some_and(|next| TIMES.contains(&next.trim_end_matches([',', ';', ')'])));
    precise && !word.contains("127.0.0.1") || is_time
}

/// Units of time are interchangeable, and so are those of size, alone and per second.
fn unit(word: &str) -> &str {
    let (amount, rest) = word.split_at(word.find(['/', ',', ';', ')']).unwrap_or(word.len()));
    match rest {
        "" | "," | ";" | ")" if TIMES.contains(&amount) => "time",
        "" | "," | ";" | ")" if SIZES.contains(&amount) => "size",
        "/s" if SIZES.contains(&amount) => "size/s",
        _ => word,
    }
}

/// Whether a line of output is the one in README.md, except for what is measured.
fn is_same_line(shown: &str, real: &str) -> bool {
    let [shown, real] = [shown, real].map(|line| line.split_whitespace().collect::<Vec<&str>>());
    shown.len() == real.len()
        && shown.iter().zip(&real).enumerate().all(|(number, (shown_word, real_word))| {
            let same_form = is_measured(shown_word, shown.get(number + 1)) && form(shown_word) == form(real_word);
            shown_word == real_word || same_form || unit(shown_word) == unit(real_word)
        })
}

fn is_same(command: &str, shown: &[String], real: &[String]) -> bool {
    let measures = ["retort ping ", "retort bench ", "retort check "].iter().any(|start| command.starts_with(start));
    let is_same_line = |(shown, real): (&String, &String)| shown == real || measures && is_same_line(shown, real);
    shown.len() == real.len() && shown.iter().zip(real).all(is_same_line)
}

#[test]
fn lines_with_other_figures_are_the_same_and_other_lines_are_not() {
    let same = [
        ("requests  12,752,824  2,550,397/s in 5.00 s", "requests 912  88,912/s in 300.1 ms"),
        ("2.67 ms    109 us", "267 us 1.02 s"),
        ("867.2 MB  173.4 MB/s", "980 kB  1.1 GB/s"),
    ];
    let different = [
        ("3 sent, 3 received, 0 lost (0%)", "3 sent, 2 received, 1 lost (33%)"),
        ("errors 0", "errors 1"),
        ("8 in flight on each", "9 in flight on each"),
        ("seq=1 time=0.017 ms", "seq=2 time=0.017 ms"),
        ("867.2 MB", "867.2 MB/s"),
    ];
    for (shown, real) in same {
        assert!(is_same_line(shown, real), "{shown} | {real}");
    }
    for (shown, real) in different {
        assert!(!is_same_line(shown, real), "{shown} | {real}");
    }
}

#[test]
fn shown_commands_have_the_shown_output() {
    if !["bash", "nc", "xxd"].iter().all(|program| available(program)) {
        return;
    }
    let listeners = ["--listen=frame=0", "--listen=frame-2021=0"];
    let builder = DaemonBuilder::new(&[&["-v", "--hand-over"], &listeners[..]].concat());
    let mut daemon = builder.env("NOTIFY_SOCKET", "").spawn();
    daemon.wait_listening(listeners.len());
    let (mut count, mut different) = (0, Vec::new());
    for (command, shown) in marked_blocks(&readme(), "$ ") {
        let output = run(&command, &daemon);
        let real = generalized(&String::from_utf8_lossy(&output.stdout), &daemon);
        let shown = generalized(shown.trim_end(), &daemon);
        let [shown, real] =
            [shown, real].map(|text| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>());
        if !is_same(&command, &shown, &real) {
            different.push(format!("$ {command}\nREADME.md:\n{}\nhere:\n{}\n", shown.join("\n"), real.join("\n")));
        }
        count += 1;
    }
    assert!(different.is_empty(), "other output than in README.md:\n{}", different.join("\n"));
    assert!(count >= 6, "{count} commands found");
}

/// The examples of a protocol test its replies; this tests that the command works as it is written.
#[test]
fn try_it_commands_show_a_reply() {
    if !["bash", "nc", "xxd"].iter().all(|program| available(program)) {
        return;
    }
    let daemon = DaemonBuilder::every_protocol(&[]).start();
    for info in PROTOCOLS {
        let command = info.try_it.replace("{port}", &port(&daemon, info.name));
        let output = bash(&command);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command}: {output:?}");
        assert_eq!(shown.is_empty(), info.name == "discard", "{command}: {shown}");
        assert!(!shown.contains("nc: ") && !shown.contains("bash: "), "{command}: {shown}");
    }
}
