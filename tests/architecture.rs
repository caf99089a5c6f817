//! Holds the floor plan: which module may import which, and where each external crate may be named.
//!
//! The tables here are the plan, and they are exact: an import that is not in them fails, and so does an entry that no
//! source uses. Unit tests inside the sources are exempt.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and those below it that it imports.
const IMPORTS: &[(&str, &[&str])] = &[
    ("daemon", &["protocol", "server", "sys", "units"]),
    ("client", &["protocol", "sys", "transform", "units"]),
    ("server", &["connection", "protocol", "sys"]),
    ("connection", &["protocol"]),
    ("protocol", &["transform"]),
    ("transform", &[]),
    ("sys", &[]),
    ("units", &[]),
];

/// Each binary, and the one module that it calls.
const BINARIES: &[(&str, &str)] = &[("retortd", "daemon"), ("retort", "client")];

/// Each external crate, and where it is named: a whole module where there is no end to the name, else a file.
const CRATES: &[(&str, &[&str])] = &[
    ("base64", &["client/judge/report/classroom.rs"]),
    ("clap", &["client/options/", "daemon/config/"]),
    ("crc", &["protocol/proxy_header/v2.rs"]),
    ("fastrand", &["connection/impairment/", "protocol/rng.rs"]),
    ("hdrhistogram", &["client/bench/latencies.rs"]),
    ("httparse", &["daemon/side/http.rs"]),
    ("httpdate", &["daemon/side/http.rs"]),
    ("humantime", &["daemon/logging/", "units.rs"]),
    ("indicatif", &["client/progress.rs"]),
    ("ipnet", &["daemon/config/", "server/access.rs", "server/peer.rs"]),
    ("listenfd", &["daemon/activation.rs"]),
    ("log", &["connection/", "daemon/", "server/"]),
    ("lru", &["server/rate_limit.rs"]),
    ("memmap2", &["connection/memory/"]),
    ("multiversion", &["transform/"]),
    ("nix", &["sys/"]),
    ("prefix_trie", &["server/access.rs"]),
    ("procfs", &["daemon/side/process.rs"]),
    ("sd_notify", &["daemon/notify.rs"]),
    (
        "serde",
        &["connection/", "daemon/hand_over/", "protocol/", "server/", "sys/socket_address.rs", "sys/stream_socket.rs"],
    ),
    ("serde_json", &["client/json.rs", "daemon/hand_over/", "daemon/logging/format/json.rs", "server/"]),
    ("simdutf8", &["transform/utf8.rs"]),
    ("syslog", &["daemon/logging/"]),
    ("tempfile", &["client/check_client/run.rs", "client/report_file.rs"]),
];

/// Parts of the standard library that a module has to do without.
///
/// `transform` has neither locks nor cells: a table that is built at its first use would hold up the event loop then.
/// The types of addresses in `core::net` are data; `std::net` has sockets beside them.
const WITHOUT: &[(&str, &[&str])] = &[
    ("transform", &["cell", "env", "fs", "io", "net", "os", "process", "sync", "thread", "time"]),
    ("protocol", &["env", "fs", "net", "os", "process", "thread", "time"]),
    ("connection", &["env", "fs", "net", "os", "process", "thread"]),
    ("server", &["env", "fs", "process"]),
];

/// Folders whose files may not import one another in a ring. A file of a folder may import its children, `mod.rs` too;
/// so a child imports from the file that defines a name, never from a `mod.rs` above it that imports the child.
const WITHOUT_CYCLES: &[&str] = &["client", "connection", "daemon", "protocol", "server", "sys", "transform"];

/// One source file without comments and unit tests.
struct Source {
    /// Its path below `src`.
    path: String,
    /// The names of the modules that lead to it: `server::worker` has two.
    modules: Vec<String>,
    text: String,
}

impl Source {
    fn module(&self) -> &str {
        &self.modules[0]
    }

    /// The names that follow `root::`, in lists in braces too.
    fn names_behind(&self, root: &str) -> BTreeSet<String> {
        self.paths_behind(root).into_iter().map(|mut path| path.swap_remove(0)).collect()
    }

    /// The paths in the code that begin with `root`, without it; lists in braces are taken apart.
    fn paths_behind(&self, root: &str) -> Vec<Vec<String>> {
        let start = format!("{root}::");
        let places = self.text.match_indices(&start).filter(|(at, _)| is_path_start(&self.text[..*at]));
        places.flat_map(|(at, _)| expand(&self.text[at + start.len()..])).collect()
    }

    fn names_crate(&self, name: &str) -> bool {
        let path = format!("{name}::");
        self.text.match_indices(&path).any(|(at, _)| is_path_start(&self.text[..at]))
    }
}

/// Whether a path can begin behind this: not inside a longer name or path.
fn is_path_start(before: &str) -> bool {
    !before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':')
}

/// The parts of a list, from behind its opening brace to its closing one.
fn parts_of(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let end = list.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    });
    let mut depth = 0_i32;
    let parts = list[..end.expect("a closed brace")].split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.collect()
}

/// Every path in `a::b` or `{a::b, c::{d, e}}`, as far as it is one.
fn expand(text: &str) -> Vec<Vec<String>> {
    let Some(list) = text.strip_prefix('{') else {
        let name = name_of(text);
        let behind = text[name.len()..].strip_prefix("::").map(expand).filter(|paths| !paths.is_empty());
        let tails = behind.unwrap_or_else(|| vec![Vec::new()]);
        return tails.into_iter().map(|tail| [vec![name.to_string()], tail].concat()).collect();
    };
    parts_of(list).into_iter().flat_map(|part| expand(part.trim())).filter(|path| !path[0].is_empty()).collect()
}

fn name_of(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file of the library, without those that are compiled for tests only.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&source_directory(), &mut Vec::new(), &mut sources);
    assert!(sources.len() > 50, "{} source files found", sources.len());
    sources
}

fn collect(directory: &Path, modules: &mut Vec<String>, sources: &mut Vec<Source>) {
    let only_for_tests = test_modules(&directory.join("mod.rs"));
    for entry in fs::read_dir(directory).expect("list sources") {
        let path = entry.expect("a directory entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8").to_string();
        if (modules.is_empty() && ["bin", "lib"].contains(&stem.as_str())) || only_for_tests.contains(&stem) {
            continue;
        }
        if stem != "mod" {
            modules.push(stem.clone());
        }
        if path.is_dir() {
            collect(&path, modules, sources);
        } else {
            let below = path.strip_prefix(source_directory()).expect("below src");
            let below = below.to_str().expect("a path in UTF-8").to_string();
            sources.push(Source { path: below, modules: modules.clone(), text: code(&path) });
        }
        if stem != "mod" {
            modules.pop();
        }
    }
}

/// The modules that a file declares behind `#[cfg(test)]`.
fn test_modules(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let behind = text.split("#[cfg(test)]").skip(1).map(str::trim_start);
    let names = behind.filter_map(|rest| rest.trim_start_matches("pub ").strip_prefix("mod ")?.split_once(';'));
    names.map(|(name, _)| name.to_string()).filter(|name| name_of(name) == name).collect()
}

/// A file without lines of comment, without lines for tests only, and without the unit tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("read a source");
    let code = text.split("\nmod tests {").next().unwrap_or_default();
    let mut only_in_tests = false;
    let is_code = |line: &&str| {
        let is_code = !line.trim_start().starts_with("//") && !only_in_tests;
        only_in_tests = line.trim() == "#[cfg(test)]";
        is_code
    };
    code.lines().filter(is_code).map(|line| line.replace("pub(in crate::", "pub(in ") + "\n").collect()
}

#[test]
fn modules_import_only_what_is_below_them() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().map(Source::module).collect();
    assert_eq!(modules, IMPORTS.iter().map(|(module, _)| *module).collect());
    for (module, allowed) in IMPORTS {
        let mut imported = BTreeSet::new();
        for source in sources.iter().filter(|source| source.module() == *module) {
            for name in source.names_behind("crate") {
                let fine = name == *module || allowed.contains(&name.as_str());
                assert!(fine, "{}: {module} may not import {name}", source.path);
                imported.insert(name);
            }
        }
        imported.remove(*module);
        assert_eq!(imported, allowed.iter().map(|name| (*name).to_string()).collect(), "what {module} imports");
    }
}

#[test]
fn the_plan_has_no_circles() {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < IMPORTS.len() {
        let ready = |allowed: &[&str]| allowed.iter().all(|name| done.contains(name));
        let next: Vec<&str> = IMPORTS
            .iter()
            .filter(|(name, below)| !done.contains(name) && ready(below))
            .map(|(name, _)| *name)
            .collect();
        assert!(!next.is_empty(), "a circle among what is not {done:?}");
        done.extend(next);
    }
}

#[test]
fn no_path_leaves_its_module_by_super() {
    for source in sources() {
        for levels in 2..6 {
            let climb = vec!["super"; levels].join("::");
            let climbs = source.text.match_indices(&climb).any(|(at, _)| is_path_start(&source.text[..at]));
            assert!(!climbs || levels < source.modules.len(), "{}: {climb}", source.path);
        }
        let above = source.text.contains("super::") && source.modules.len() < 2;
        assert!(!above, "{}: super is the crate itself", source.path);
        assert!(!source.text.contains("use crate::*"), "{}: imports everything", source.path);
    }
}

#[test]
fn binaries_call_their_module_and_no_more() {
    for (binary, module) in BINARIES {
        let text = code(&source_directory().join(format!("bin/{binary}.rs")));
        let body = format!("fn main() -> ExitCode {{\n    retortd::{module}::main()\n}}");
        assert!(text.contains(&body), "{binary}: {text}");
        assert_eq!(text.matches("retortd::").count(), 1, "{binary}: {text}");
    }
}

/// The names under `[dependencies]` in Cargo.toml, as sources write them.
fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("Cargo.toml");
    let table = manifest.split("\n[dependencies]\n").nth(1).expect("dependencies").split("\n[").next();
    let lines = table.expect("a table").lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, _)| name.trim().replace('-', "_")).collect()
}

#[test]
fn external_crates_are_named_where_the_plan_says() {
    assert_eq!(dependencies(), CRATES.iter().map(|(name, _)| (*name).to_string()).collect());
    let sources = sources();
    for (name, places) in CRATES {
        let naming: Vec<&str> =
            sources.iter().filter(|source| source.names_crate(name)).map(|source| source.path.as_str()).collect();
        for path in &naming {
            assert!(places.iter().any(|place| path.starts_with(place)), "{path} may not name {name}");
        }
        for place in *places {
            assert!(naming.iter().any(|path| path.starts_with(place)), "{place} does not name {name} any more");
        }
    }
}

#[test]
fn pure_modules_do_without_the_outside_world() {
    let sources = sources();
    for (module, parts) in WITHOUT {
        for source in sources.iter().filter(|source| source.module() == *module) {
            for name in source.names_behind("std") {
                assert!(!parts.contains(&name.as_str()), "{}: {module} does without std::{name}", source.path);
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_sys_only() {
    let sources = sources();
    let has_unsafe = |source: &&Source| source.text.contains("unsafe {") || source.text.contains("allow(unsafe_code");
    let modules: BTreeSet<&str> = sources.iter().filter(has_unsafe).map(Source::module).collect();
    assert_eq!(modules, BTreeSet::from(["sys"]));
}

/// The file of the longest beginning of `path` (names of modules) that is one.
fn file_of<'a>(sources: &'a [Source], path: &[String]) -> Option<&'a str> {
    let longest =
        (1..=path.len()).rev().find_map(|length| sources.iter().find(|source| source.modules == path[..length]));
    longest.map(|source| source.path.as_str())
}

/// The files that a file imports from, of the crate.
fn imported_files<'a>(sources: &'a [Source], source: &Source) -> BTreeSet<&'a str> {
    let mut paths = source.paths_behind("crate");
    let mut above = source.modules.clone();
    let mut root = String::new();
    while above.pop().is_some() {
        root = if root.is_empty() { "super".into() } else { format!("{root}::super") };
        let behind = source.paths_behind(&root).into_iter().filter(|path| path[0] != "super");
        paths.extend(behind.map(|path| [above.clone(), path].concat()));
    }
    // `child::name` in a parent
    let children = sources.iter().filter(|child| child.modules.len() == source.modules.len() + 1);
    for child in children.filter(|child| child.modules.starts_with(&source.modules)) {
        let name = child.modules.last().expect("a name");
        let behind = source.paths_behind(name);
        paths.extend(behind.into_iter().map(|path| [child.modules.clone(), path].concat()));
    }
    // a child that has a part of its parent's type in an `impl` block
    let implements = |path: &[String]| {
        let (name, module) = path.split_last().expect("a name");
        source.modules.split_last().is_some_and(|(_, parent)| module == parent)
            && ["", "<'_>"].iter().any(|lifetime| source.text.contains(&format!("impl {name}{lifetime} {{")))
    };
    let files = paths.iter().filter(|path| !implements(path)).filter_map(|path| file_of(sources, path));
    files.filter(|file| *file != source.path).collect()
}

#[test]
fn files_of_a_folder_import_one_another_without_cycles() {
    let sources = sources();
    for folder in WITHOUT_CYCLES {
        let is_inside = |path: &str| path.starts_with(&format!("{folder}/"));
        let files = sources.iter().filter(|source| is_inside(&source.path));
        let mut left: Vec<(&str, BTreeSet<&str>)> = files
            .map(|source| {
                let imports = imported_files(&sources, source).into_iter().filter(|file| is_inside(file));
                (source.path.as_str(), imports.collect())
            })
            .collect();
        assert!(left.iter().map(|(_, imports)| imports.len()).sum::<usize>() > 10, "no imports are found: {left:?}");
        loop {
            let names: BTreeSet<&str> = left.iter().map(|(path, _)| *path).collect();
            let before = left.len();
            left.retain(|(_, imports)| imports.iter().any(|file| names.contains(file)));
            if left.len() == before {
                break;
            }
        }
        let ring: Vec<String> = left.iter().map(|(path, imports)| format!("{path} imports {imports:?}")).collect();
        assert!(ring.is_empty(), "files that import one another, or lead to such files:\n{}", ring.join("\n"));
    }
}
