//! `benches/end_to_end` measures everything that it lists, and changes files only if it is asked to.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Directory, available};

/// The content of each file of a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(directory).expect("list files").map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("read a file"))).collect()
}

/// A directory as cargo's target directory, with this build's programs as the release.
fn release(scratch: &Directory) -> PathBuf {
    let release = scratch.path("release");
    fs::create_dir(&release).expect("a directory");
    symlink(env!("CARGO_BIN_EXE_retortd"), release.join("retortd")).expect("a link");
    symlink(env!("CARGO_BIN_EXE_retort"), release.join("retort")).expect("a link");
    scratch.path("")
}

fn measure(target: &Path, flags: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).args(["--rounds", "1", "--seconds", "0.3"]).args(flags);
    command.env("CARGO_TARGET_DIR", target).output().expect("run python3")
}

#[test]
fn figures_are_written_only_with_write() {
    if !available("python3") {
        return;
    }
    let scratch = Directory::new();
    let (target, figures) = (release(&scratch), scratch.path("figures"));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let before = files(&docs);

    // the size of the program takes no time
    let shown = measure(&target, &["--only", "binary"]);
    assert!(shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("the program"), "{shown:?}");

    let partial = measure(&target, &["--only", "binary", "--write"]);
    let message = String::from_utf8_lossy(&partial.stderr);
    assert!(!partial.status.success() && message.contains("--write=DIRECTORY"), "{message}");

    let written = measure(&target, &["--only", "binary", &format!("--write={}", figures.display())]);
    assert!(written.status.success(), "{written:?}");
    let names: Vec<_> = files(&figures).into_keys().filter_map(|path| Some(path.file_name()?.to_owned())).collect();
    assert_eq!(names, ["performance.json", "performance.md", "performance.svg"]);
    assert_eq!(files(&docs), before, "docs changed");
}

/// Whatever the figures are: each kind of scenario is measured, judged, shown and drawn.
#[test]
fn loads_texts_and_tails_are_measured_and_judged() {
    if !available("python3") || !available("cc") {
        return;
    }
    let scratch = Directory::new();
    let (target, figures) = (release(&scratch), scratch.path("figures"));
    // one connection is served by all servers in so short a time, also on a busy machine
    let only = "one connection,one way,Greek to lower case,beside shufflers,start,binary";
    let written = measure(&target, &["--only", only, &format!("--write={}", figures.display())]);
    assert!(written.status.success(), "{written:?}");

    let tables = String::from_utf8_lossy(&written.stdout);
    for row in [
        "one connection, frame: relative to the C loop | 1.05 x",
        "one way, discard: relative to recv of 256 KiB | 0.55 x",
        "one way, chargen: relative to a C loop of send | 1.05 x",
        "Greek to lower case: relative to ASCII | 4 x",
        "beside shufflers: 99th percentile relative to the C loop | 1.5 x",
        "beside shufflers: longest iteration | 5 ms",
        "from fork to READY",
    ] {
        assert!(tables.contains(row), "{row}: {tables}");
    }
    let drawn = fs::read_to_string(figures.join("performance.svg")).expect("the picture");
    for panel in ["One way, chargen", "Text to lower case", "Beside other work"] {
        assert!(drawn.contains(panel), "{panel}: {drawn}");
    }
}

#[test]
fn missing_servers_are_named() {
    if !available("python3") {
        return;
    }
    let scratch = Directory::new();
    let target = release(&scratch);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end");
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().expect("run it");
    let python = String::from_utf8(python.stdout).expect("a path");
    let mut command = Command::new(python.trim());
    command.arg("-B").arg(script).args(["--rounds", "1", "--only", "binary"]);
    // no other program is found
    let shown = command.env("CARGO_TARGET_DIR", target).env("PATH", scratch.path("nothing")).output().expect("run it");
    let tables = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{shown:?}");
    assert!(tables.contains("left out: bare epoll loop in C, redis, ECHO, socat"), "{tables}");
}
