//! Tests of the documents against the code: options, variables, defaults, protocols, ports, close reasons, commands,
//! links.
//!
//! The programs' own command lines and the list of protocols are the reference. A name that the documents lack fails,
//! and so does a name that only they have.

#[path = "../examples/generate/files.rs"]
mod generated;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use retortd::connection::CloseReason;
use retortd::protocol;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a man page without roff's escapes and font changes.
fn manual(name: &str) -> String {
    let mut text = read(format!("packaging/man/{name}"));
    for (roff, plain) in [("\\-", "-"), ("\\fI", ""), ("\\fR", ""), ("\\fB", ""), ("\" ", " "), (" \"", " ")] {
        text = text.replace(roff, plain);
    }
    text
}

/// The subcommands of a command, and then the command itself.
fn with_subcommands(mut command: clap::Command) -> Vec<clap::Command> {
    command.build();
    let mut all: Vec<clap::Command> =
        command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
    all.push(command);
    all
}

fn daemon() -> Vec<clap::Command> {
    with_subcommands(retortd::daemon::config::args::command())
}

fn client() -> Vec<clap::Command> {
    with_subcommands(retortd::client::command())
}

/// `--long` of every option.
fn long_options(commands: &[clap::Command]) -> BTreeSet<String> {
    let options = commands.iter().flat_map(clap::Command::get_arguments);
    options.filter_map(|option| option.get_long().map(|long| format!("--{long}"))).collect()
}

/// `-s` of every option.
fn short_options(commands: &[clap::Command]) -> BTreeSet<String> {
    let options = commands.iter().flat_map(clap::Command::get_arguments);
    options.filter_map(|option| option.get_short().map(|short| format!("-{short}"))).collect()
}

/// The environment variables of all options.
fn variables(commands: &[clap::Command]) -> BTreeSet<String> {
    let options = commands.iter().flat_map(clap::Command::get_arguments);
    options.filter_map(|option| Some(option.get_env()?.to_str()?.to_string())).collect()
}

/// The option names or variable names in a text that begin with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let separated = text.split(|character: char| !is_name(character));
    separated.filter(|word| word.len() > prefix.len() && word.starts_with(prefix)).map(str::to_string).collect()
}

fn assert_same(what: &str, documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    assert!(missing.is_empty() && invented.is_empty(), "{what}: lacks {missing:?}, invents {invented:?}");
}

#[test]
fn man_pages_have_exactly_the_existing_options() {
    for (page, commands) in [("retortd.8", daemon()), ("retort.1", client())] {
        let text = manual(page);
        // commands of other programs have their own options
        let own: Vec<&str> = text.lines().filter(|line| !line.contains("systemctl ")).collect();
        assert_same(page, &words(&own.join("\n"), "--"), &long_options(&commands));
        for short in short_options(&commands) {
            assert!(text.contains(&format!(".BR {short}")) || text.contains(&format!(".B {short}")), "{page}: {short}");
        }
    }
}

/// clap wraps longer lines at the width of the terminal, and leaves the rest of each on a line of its own.
#[test]
fn texts_behind_the_options_fit_in_a_terminal_of_80_columns() {
    let mut count = 0;
    for command in daemon().into_iter().chain(client()) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in text.lines() {
            assert!(line.chars().count() < 80, "{} --help: {line}", command.get_name());
            count += 1;
        }
    }
    assert!(count >= 20, "{count} lines found");
}

#[test]
fn retort_man_page_has_a_section_per_subcommand() {
    let text = manual("retort.1");
    for command in client().iter().filter(|command| command.get_name() != "retort") {
        assert!(text.contains(&format!(".SS {}", command.get_bin_name().expect("built"))), "{}", command.get_name());
    }
}

#[test]
fn man_page_and_settings_file_have_every_variable() {
    let real = variables(&daemon());
    // what is given to journalctl is a field of the journal
    let page = manual("retortd.8");
    let own: Vec<&str> = page.lines().filter(|line| !line.contains("journalctl ")).collect();
    assert_same("retortd.8", &words(&own.join("\n"), "RETORTD_"), &with(&real, "RETORTD_"));
    let in_file: BTreeSet<String> =
        with(&real, "RETORTD_").into_iter().filter(|name| name != "RETORTD_SETTINGS").collect();
    assert_same("default/retortd", &words(&read("packaging/default/retortd"), "RETORTD_"), &in_file);
}

fn with(names: &BTreeSet<String>, prefix: &str) -> BTreeSet<String> {
    names.iter().filter(|name| name.starts_with(prefix)).cloned().collect()
}

#[test]
fn settings_file_sets_only_exit_idle() {
    let text = read("packaging/default/retortd");
    let active: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(active, ["RETORTD_EXIT_IDLE=5m"]);
}

#[test]
fn settings_in_the_file_are_valid_options() {
    for line in read("packaging/default/retortd").lines() {
        let Some((name, value)) = line.trim_start_matches('#').split_once('=') else { continue };
        let Some(option) = name.strip_prefix("RETORTD_").filter(|_| !name.contains(' ')) else { continue };
        if option == "VERBOSE" {
            continue; // counted, not given a value
        }
        let option = format!("--{}={}", option.to_lowercase().replace('_', "-"), value.trim_matches('"'));
        let parsed = retortd::daemon::config::args::command().try_get_matches_from(["retortd", &option]);
        assert!(parsed.is_ok(), "{option}: {}", parsed.unwrap_err());
    }
}

/// The entries of a man page: paragraphs that begin with `.TP`, as the tag line and the text below it.
fn entries(page: &str) -> Vec<(String, String)> {
    let text = manual(page);
    let entry = |paragraph: &str| {
        let (tag, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let end = ["\n.SH", "\n.SS"].iter().filter_map(|heading| rest.find(heading)).min().unwrap_or(rest.len());
        (tag.to_string(), rest[..end].to_string())
    };
    text.split("\n.TP\n").skip(1).map(entry).collect()
}

#[test]
fn man_pages_have_an_entry_with_the_default_of_each_option() {
    for (page, commands) in [("retortd.8", daemon()), ("retort.1", client())] {
        let entries = entries(page);
        for option in commands.iter().flat_map(clap::Command::get_arguments) {
            let Some(long) = option.get_long().map(|long| format!("--{long}")) else { continue };
            let own: Vec<&String> =
                entries.iter().filter(|(tag, _)| words(tag, "--").contains(&long)).map(|(_, text)| text).collect();
            assert!(!own.is_empty(), "{page} has no entry for {long}");
            let defaults = option.get_default_values().iter().filter(|_| option.get_action().takes_values());
            for default in defaults.filter_map(|value| value.to_str()) {
                let stated = own.iter().any(|text| text.contains("efault") && text.contains(default));
                assert!(stated, "{page}: the entry of {long} does not state its default, {default}");
            }
        }
    }
}

#[test]
fn man_page_has_every_close_reason() {
    let reasons: BTreeSet<String> = CloseReason::ALL.iter().map(|reason| reason.name().to_string()).collect();
    let text = manual("retortd.8");
    let section = text.split(".SH STATISTICS").nth(1).and_then(|rest| rest.split("\n.SH").next()).expect("a section");
    let listed = section.split("for one of these reasons:").nth(1).expect("a list of reasons");
    let tags = listed.split(".TP\n").skip(1).filter_map(|entry| entry.lines().next());
    let names = tags.flat_map(|tag| tag.split_whitespace().skip(1)).filter(|name| *name != ",");
    assert_same("STATISTICS in retortd.8", &names.map(str::to_string).collect(), &reasons);
}

/// The documents in Markdown, with their paths below the root.
fn markdown() -> Vec<String> {
    let documents = |directory: &str| {
        let files = fs::read_dir(root().join(directory)).expect("list documents").filter_map(Result::ok);
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        let names = names.filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "md"));
        names.map(|name| format!("{directory}{name}")).collect::<Vec<_>>()
    };
    ["", "docs/", "packaging/"].iter().flat_map(|directory| documents(directory)).collect()
}

/// The sections of retortd(8) that a text names: those behind "`man retortd`, ", and before " in retortd(8)".
fn named_sections(text: &str) -> BTreeSet<String> {
    let text = text.split_whitespace().filter(|word| *word != "#").collect::<Vec<_>>().join(" ");
    let is_upper = |word: &&str| !word.is_empty() && word.chars().all(|character| character.is_ascii_uppercase());
    let mut sections = BTreeSet::new();
    for rest in text.split("man retortd`, ").skip(1) {
        let end =
            rest.find(|character: char| !character.is_ascii_uppercase() && character != ' ').unwrap_or(rest.len());
        sections.insert(rest[..end].split(' ').take_while(is_upper).collect::<Vec<_>>().join(" "));
    }
    let parts: Vec<&str> = text.split(" in retortd(8)").collect();
    for part in &parts[..parts.len() - 1] {
        let mut name: Vec<&str> =
            part.rsplit(' ').map(|word| word.trim_start_matches('(')).take_while(is_upper).collect();
        name.reverse();
        sections.insert(name.join(" "));
    }
    sections
}

#[test]
fn sections_of_the_man_page_that_documents_name_exist() {
    let page = manual("retortd.8");
    let existing: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"')).collect();
    let others = ["packaging/default/retortd", "packaging/kubernetes/retortd.yaml"].map(String::from);
    let mut count = 0;
    for name in markdown().into_iter().chain(others) {
        for section in named_sections(&read(&name)) {
            assert!(existing.contains(section.as_str()), "{name}: retortd(8) has no section '{section}'");
            count += 1;
        }
    }
    assert!(count >= 10, "{count} sections found");
}

#[test]
fn readme_has_at_most_200_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "README.md has {lines} lines: move options, formats and reasons to a man page or to docs/");
}

#[test]
fn relative_links_point_to_existing_files() {
    let documents = markdown();
    for expected in ["README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/faults.md"] {
        assert!(documents.iter().any(|document| document == expected), "{expected} is missing");
    }
    for document in documents {
        let text = read(&document);
        for target in relative_links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            let path = root().join(&document).parent().expect("a directory").join(file);
            assert!(path.exists(), "{document} links to {target}, which does not exist");
        }
    }
}

/// The words of a shell command, up to the first operator; quotes group, backslashes are kept.
fn shell_words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '|' | '&' | '<' | '>' | '#' | ';') => break,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// The commands `retortd ...` and `retort ...` that a document shows: in indented lines, also behind `$` and `|`, and
/// in backquotes.
fn shown_commands(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let indented = lines.flat_map(|line| line.trim_start_matches("$ ").split(" | "));
    let quoted = text.split('`').skip(1).step_by(2).filter(|_| !text.contains("```"));
    let is_command = |command: &&str| ["retortd -", "retort "].iter().any(|program| command.starts_with(program));
    indented.chain(quoted).filter(is_command).map(str::to_string).collect()
}

#[test]
fn shown_commands_are_accepted() {
    let mut count = 0;
    for document in markdown() {
        let text = read(&document);
        for command in shown_commands(&text) {
            let words = shell_words(&command.replace("NAME=", "echo="));
            let program = if words[0] == "retortd" { daemon() } else { client() }.pop().expect("the command itself");
            let is_name = words.len() < 3 && words[0] == "retort"; // such as `retort bench`
            let result = program.try_get_matches_from(words);
            let shows_text = result.as_ref().is_err_and(|error| !error.use_stderr()); // --help
            assert!(is_name || shows_text || result.is_ok(), "{document}: {command}: {}", result.unwrap_err());
            count += usize::from(!is_name);
        }
    }
    assert!(count >= 8, "{count} commands found");
}

/// The commands `systemctl ...` and `journalctl ...` in a document.
fn systemd_commands(text: &str) -> BTreeSet<String> {
    let begins = ["systemctl ", "journalctl "].into_iter().flat_map(|program| text.match_indices(program));
    let command = |(at, _)| {
        let rest: &str = text[at..].lines().next().unwrap_or_default();
        // where the command ends: a quote, a comment, an explanation behind spaces, the end of a sentence in roff
        let end = ["`", "\"", "#", "  ", " ."].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        rest[..end].trim().to_string()
    };
    begins.map(command).filter(|command| !command.contains(" (")).collect()
}

/// Whether a script has a command on a line that is not a comment.
fn has_command(script: &str, command: &str) -> bool {
    let is_name = |character: char| character.is_ascii_alphanumeric() || ".-_@".contains(character);
    let is_end = |rest: &str| !rest.starts_with(is_name);
    let mut lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| line.match_indices(command).any(|(at, _)| is_end(&line[at + command.len()..])))
}

#[test]
fn systemd_commands_in_the_documents_run_in_a_system_test() {
    let scripts =
        fs::read_dir(root().join("tests/system/guest")).expect("guest").map(|file| file.expect("a file").path());
    let scripts: String = scripts.filter(|path| path.extension().is_some_and(|kind| kind == "sh")).map(read).collect();
    let mut count = 0;
    for (name, text) in [
        ("README.md", read("README.md")),
        ("docs/load-balancers.md", read("docs/load-balancers.md")),
        ("docs/metrics.md", read("docs/metrics.md")),
        ("docs/restart.md", read("docs/restart.md")),
        ("packaging/default/retortd", read("packaging/default/retortd")),
        ("retortd.8", manual("retortd.8")),
        ("retortd.protocols.7", manual("retortd.protocols.7")),
    ] {
        for command in systemd_commands(&text) {
            assert!(has_command(&scripts, &command), "{name}: no script in tests/system/guest runs `{command}`");
            count += 1;
        }
    }
    assert!(count >= 20, "{count} commands found");
    assert!(!has_command("# systemctl stop x\nsystemctl stop x.socket\n", "systemctl stop x"));
}

/// The packages that README.md installs with apt from Debian.
fn installed_packages() -> BTreeSet<String> {
    let text = read("README.md");
    let lines = text.lines().filter_map(|line| line.strip_prefix("    apt install "));
    let packages = lines.flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    packages.filter(|package| !package.starts_with("./")).map(str::to_string).collect()
}

#[test]
fn readme_installs_what_ci_and_the_package_build_install() {
    let control = read("packaging/debian/control");
    let (_, build) = control.split_once("Build-Depends: ").expect("a list");
    let (build, _) = build.split_once("Standards-Version").expect("the field after it");
    let names = build.split(',').filter_map(|entry| entry.split_whitespace().next());
    // cargo depends on rustc
    let required: BTreeSet<String> =
        names.filter(|name| *name != "rustc").map(|name| name.replace("-compat", "")).collect();
    let readme = installed_packages();
    assert!(required.is_subset(&readme), "README.md lacks {:?}", required.difference(&readme));

    let ci = read(".ci/run");
    let (_, ci) = ci.split_once("packages=(").expect("a list");
    let ci: BTreeSet<String> =
        ci.split(')').next().unwrap_or_default().split_whitespace().map(str::to_string).collect();
    let known: BTreeSet<String> = ci.union(&required).cloned().collect();
    assert!(readme.is_subset(&known), "only README.md installs {:?}", readme.difference(&known));
}

/// The targets of the links in a document, without those to other sites.
fn relative_links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect()
}

#[test]
fn readme_links_to_every_document() {
    let readme = read("README.md");
    let links = relative_links(&readme);
    for document in markdown().iter().filter(|document| document.starts_with("docs/")) {
        assert!(links.contains(&document.as_str()), "README.md has no link to {document}");
    }
}

/// The system test `documents` follows the links of the installed README.md.
#[test]
fn package_has_every_document_that_readme_links_to() {
    let listed = ["docs", "links", "rules"].map(|name| read(format!("packaging/debian/{name}"))).concat();
    let installed: Vec<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().last()?.rsplit('/').next()).collect();
    for target in relative_links(&read("README.md")) {
        let top = target.split('/').next().unwrap_or_default();
        assert!(installed.contains(&top), "README.md links to {target}, which packaging/debian does not install");
    }
}

#[test]
fn lines_that_a_unit_needs_to_hand_connections_over_are_those_of_the_service() {
    let (document, unit) = (read("docs/restart.md"), read("systemd/retortd.service"));
    let (_, lines) = document.split_once("\n    [Service]\n").expect("a unit");
    let lines: Vec<&str> = lines.lines().map_while(|line| line.strip_prefix("    ")).collect();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in lines {
        assert!(unit.lines().any(|own| own == line), "docs/restart.md: retortd.service lacks {line}");
    }
}

/// The text of every Rust file below a directory.
fn sources(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("list sources").map(|entry| entry.expect("an entry").path());
    let text = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(kind) if kind == "rs" => read(path),
        _ => String::new(),
    };
    entries.map(text).collect()
}

/// The numbers that follow a word.
fn numbers_behind(text: &str, word: &str) -> BTreeSet<String> {
    let behind = text.split(word).skip(1);
    let numbers = behind.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_string());
    numbers.filter(|number| !number.is_empty()).collect()
}

#[test]
fn faults_have_a_test_with_their_number() {
    let text = read("docs/faults.md");
    let rows = text.lines().filter_map(|line| line.trim_start().split_once(". ").map(|(number, _)| number.to_string()));
    let rows: BTreeSet<String> = rows.filter(|number| number.parse::<u32>().is_ok()).collect();
    assert!(rows.len() >= 54, "{rows:?}");
    let tests = [root().join("tests"), root().join("src")].map(|directory| sources(&directory).to_lowercase()).concat();
    assert_same("tests", &numbers_behind(&tests, "fault "), &rows);
}

/// The value of a key in a unit file.
fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn generated_files_are_up_to_date() {
    let generated = generated::generated(&root());
    let is_old = |path: &&String| fs::read(root().join(path)).ok().as_ref() != generated.get(*path);
    let old: Vec<&String> = generated.keys().filter(is_old).collect();
    let stale = generated::stale(&root(), &generated);
    assert!(
        old.is_empty() && stale.is_empty(),
        "run `make generate`: out of date {old:?}, no longer generated {stale:?}"
    );
}

#[test]
fn socket_units_are_those_of_the_protocols_of_inetd_of_a_unix_socket_and_of_metrics() {
    for info in protocol::PROTOCOLS {
        let unit = read(format!("systemd/{}", generated::unit_name(info)));
        assert_eq!(value(&unit, "FileDescriptorName"), Some(info.name));
        assert_eq!(value(&unit, "Service"), Some("retortd.service"), "{}", info.name);
        assert_eq!(value(&unit, "ListenStream"), Some(info.socket_unit.port.to_string().as_str()), "{}", info.name);
    }
    let sockets = fs::read_dir(root().join("systemd")).expect("systemd").filter_map(Result::ok);
    let sockets = sockets.filter(|file| file.path().extension().is_some_and(|kind| kind == "socket")).count();
    let others = 3;
    assert_eq!(sockets, protocol::PROTOCOLS.len() + others, "each protocol, Accept=yes, a Unix socket, metrics");
    let metrics = read("systemd/retortd-metrics.socket");
    assert_eq!(value(&metrics, "FileDescriptorName"), Some("metrics"));
    assert_eq!(value(&metrics, "ListenStream"), Some("127.0.0.1:9383"));
    let unix = read("systemd/retortd-unix.socket");
    assert_eq!(value(&unix, "FileDescriptorName"), Some(protocol::PROTOCOLS[0].name));
}

/// The man page has a paragraph with each name as its tag, or a section with the name in its heading.
#[test]
fn man_page_describes_every_protocol() {
    let text = manual("retortd.protocols.7");
    for info in protocol::PROTOCOLS {
        let is_tag = text.contains(&format!("\n.TP\n.B {}\n", info.name));
        let headings = text.lines().filter_map(|line| line.strip_prefix(".SH ")).map(str::to_lowercase);
        let is_heading =
            headings.flat_map(|line| line.replace('"', "").split(' ').map(str::to_string).collect::<Vec<_>>());
        let is_heading = is_heading.into_iter().any(|word| word == info.name);
        assert!(is_tag || is_heading, "retortd.protocols(7) has no paragraph about {}", info.name);
    }
}

#[test]
fn service_does_not_restart_after_usage_and_configuration_errors() {
    assert_eq!(value(&read("systemd/retortd.service"), "RestartPreventExitStatus"), Some("2 78"));
}

#[test]
fn service_hands_its_connections_over_at_a_restart() {
    let unit = read("systemd/retortd.service");
    for (name, expected) in [
        ("Environment", "RETORTD_HAND_OVER=yes"),
        ("FileDescriptorStoreMax", "1"),
        ("KillMode", "mixed"),
        ("SuccessExitStatus", "75"),
        ("RestartForceExitStatus", "75"),
    ] {
        assert_eq!(value(&unit, name), Some(expected), "{name}");
    }
}

#[test]
fn autopkgtest_runs_every_system_test() {
    let control = read("packaging/debian/tests/control");
    let listed: BTreeSet<String> =
        control.lines().filter_map(|line| line.strip_prefix("Test-Command: ")).map(str::to_string).collect();
    let scripts = fs::read_dir(root().join("tests/system/guest")).expect("guest").filter_map(Result::ok);
    let names = scripts.filter_map(|file| file.file_name().into_string().ok());
    let tests = names.filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "sh") && name != "lib.sh");
    let real = tests.map(|name| format!("tests/system/guest/{name}")).collect();
    assert_same("debian/tests/control", &listed, &real);
}
