//! `benches/end_to_end` changes files only if it is asked to.

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

/// Measures the size of the program, which takes no time.
fn measure(target: &Path, flags: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end");
    let mut command = Command::new("python3");
    command.arg(script).args(["--only", "binary", "--rounds", "1"]).args(flags);
    command.env("CARGO_TARGET_DIR", target).output().expect("run python3")
}

#[test]
fn figures_are_written_only_with_write() {
    if !available("python3") {
        return;
    }
    let scratch = Directory::new();
    let (target, release, figures) = (scratch.path(""), scratch.path("release"), scratch.path("figures"));
    fs::create_dir(&release).expect("a directory");
    symlink(env!("CARGO_BIN_EXE_retortd"), release.join("retortd")).expect("a link");
    symlink(env!("CARGO_BIN_EXE_retort"), release.join("retort")).expect("a link");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let before = files(&docs);

    let shown = measure(&target, &[]);
    assert!(shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("the program"), "{shown:?}");

    let partial = measure(&target, &["--write"]);
    let message = String::from_utf8_lossy(&partial.stderr);
    assert!(!partial.status.success() && message.contains("--write=DIRECTORY"), "{message}");

    let written = measure(&target, &[&format!("--write={}", figures.display())]);
    assert!(written.status.success(), "{written:?}");
    let names: Vec<_> = files(&figures).into_keys().filter_map(|path| Some(path.file_name()?.to_owned())).collect();
    assert_eq!(names, ["performance.json", "performance.md", "performance.svg"]);
    assert_eq!(files(&docs), before, "docs changed");
}
