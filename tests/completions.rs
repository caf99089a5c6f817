//! Tests of the shell completions: each shell loads the script of a program, and completes a line.

#[path = "../examples/completions/scripts/mod.rs"]
mod scripts;
#[path = "daemon/harness/skip.rs"]
mod skip;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use clap_complete::Shell;
use retortd::protocol::PROTOCOLS;
use retortd::transform::Action;

/// Sets what readline(3) sets, and calls the function that is registered. Arguments: the script, then the words.
const BASH: &str = r#"
    source "$1"; shift
    # $1 is the function that `complete -p` names
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    words=($(complete -p "$1"))
    "${words[2]}" "$1" "${@: -1}" "${@: -2:1}"
    [[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Arguments: the script, and the line. string-replace(1) fails if there is nothing to replace.
const FISH: &str = r"source $argv[1]; complete -C $argv[2] | string replace -r '\t.*' ''; true";

/// Types the line and a tab on a terminal of its own, and prints the candidates that are added (compadd, zshcompwid(1)).
/// Arguments: the directory with the script, and the line.
const ZSH: &str = r#"
    zmodload zsh/zpty; export DIRECTORY=$1; zpty terminal zsh -f -i
    zpty -w terminal "source $1/setup"
    while zpty -r terminal line; do [[ $line == *loaded2* ]] && break; done
    zpty -n -w terminal "$2"$'\t'
    while zpty -r terminal line; do :; done
    [[ ! -e $1/found ]] || cat $1/found
"#;

/// What the shell on the terminal reads first; `loaded2` is not in the line that it was typed in.
const ZSH_SETUP: &str = r#"
    PROMPT=; LISTMAX=10000; fpath=($DIRECTORY $fpath); autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word
    compadd() {
        if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
        local -a found; builtin compadd -A found "$@"
        (( $#found )) && print -rl -- $found >>$DIRECTORY/found
        builtin compadd "$@"
    }
    finish() { exit }
    comppostfuncs=(finish)
    print loaded$((1 + 1))
"#;

/// The candidates that `shell` has for the last word of `line`; `None` if the shell is not installed.
fn candidates(shell: Shell, line: &str) -> Option<BTreeSet<String>> {
    let directory = tempfile::tempdir().expect("a directory");
    let words: Vec<&str> = line.split(' ').collect();
    let program = scripts::programs().into_iter().find(|command| command.get_name() == words[0]).expect("a program");
    let script = directory.path().join(scripts::file_name(shell, &program));
    fs::write(&script, scripts::script(shell, program)).expect("write the script");
    fs::write(directory.path().join("setup"), ZSH_SETUP).expect("write what zsh reads");
    let (script, place) = (script.to_str().unwrap(), directory.path().to_str().unwrap());
    let mut command = Command::new(shell.to_string());
    match shell {
        Shell::Bash => command.args(["--norc", "-c", BASH, "bash", script]).args(words),
        Shell::Zsh => command.args(["-f", "-c", ZSH, "zsh", place, line]),
        _ => command.args(["--no-config", "-c", FISH, script, line]),
    };
    let output = match command.current_dir(&directory).env("HOME", place).env("TERM", "xterm").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.expect("run the shell"),
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {line}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    Some(text.lines().map(|candidate| candidate.trim_end().to_owned()).collect())
}

/// Asserts what each shell has, and has not, for the last word of a line.
fn complete(line: &str, has: &[&str], has_not: &[&str]) {
    for shell in scripts::SHELLS {
        let Some(found) = candidates(shell, line) else {
            skip::skip(&format!("{shell} is not installed"));
            continue;
        };
        for wanted in has {
            assert!(found.contains(*wanted), "{shell}: {line:?} lacks {wanted}: {found:?}");
        }
        for unwanted in has_not {
            assert!(!found.contains(*unwanted), "{shell}: {line:?} has {unwanted}: {found:?}");
        }
        let placeholder = found.iter().find(|candidate| candidate.starts_with(['<', '[']));
        assert_eq!(placeholder, None, "{shell}: {line:?}");
    }
}

#[test]
fn protocols_are_completed() {
    let names: Vec<&str> = PROTOCOLS.iter().map(|info| info.name).collect();
    for line in
        ["retort send -P ", "retort ping localhost --protocol ", "retort --color never bench -P ", "retort check -P "]
    {
        complete(line, &names, &["uppercase", "script"]);
    }
    complete("retortd --listen ", &[&names[..], &["metrics", "agent"]].concat(), &[]);
    complete("retortd -v --listener-options ", &names, &[]);
    complete("retortd --listen ec", &["echo", "echo-prefix"], &["frame"]);
}

#[test]
fn actions_are_completed() {
    let names = Action::ALL.map(Action::name);
    for line in ["retort send localhost ", "retort send -P text --read-timeout 5 localhost ", "retort bench --action "]
    {
        complete(line, &names, &["frame", "localhost"]);
    }
    complete("retort send localhost s", &["shuffle"], &["uppercase"]);
    complete("retort send --stdin-data", &["--stdin-data"], &[]);
}

#[test]
fn checks_and_groups_are_completed() {
    complete("retort check localhost --only ", &["actions", "uppercase", "pattern", "title-case"], &["frame"]);
    complete("retort check --only se", &["service", "second-client"], &["uppercase"]);
    complete("retort check --only pro", &["proxy", "proxy-v1-fragments", "proxy-v2-local"], &["uppercase"]);
    complete("retort check --hidden ", &["actions", "chance"], &["uppercase", "faults"]);
}

#[test]
fn scenarios_and_their_groups_are_completed() {
    complete("retort check-client --only ", &["actions", "uppercase", "byte-by-byte", "faults"], &["second-client"]);
    complete("retort check-client --hidden ", &["actions", "faults"], &["uppercase", "chance"]);
    complete("retort check-client -P ", &["frame", "frame-2021", "text", "echo"], &["discard", "chargen"]);
}

#[test]
fn hosts_come_first_and_no_actions() {
    for line in ["retort send ", "retort ping -c 3 ", "retort bench -r 5k ", "retort check "] {
        complete(line, &["localhost"], &["uppercase", "frame"]);
    }
}

#[test]
fn subcommands_are_completed() {
    complete("retort ", &["send", "ping", "bench", "check"], &["localhost"]);
    complete("retort --color always ch", &["check"], &["send"]);
    complete("retort help b", &["bench"], &["send"]);
}

#[test]
fn listed_values_and_files_are_completed() {
    complete("retort bench --text ", &["ascii", "mixed"], &["content"]);
    for command in ["send", "ping", "bench", "check"] {
        complete(&format!("retort {command} --proxy "), &["v1", "v2", "local"], &["frame"]);
    }
    complete("retort check --color ", &["auto", "always", "never"], &["frame"]);
    complete("retortd --log ", &["auto", "stderr", "syslog"], &[]);
    // the script itself, which is in the current directory
    for (shell, name) in [(Shell::Bash, "retort.bash"), (Shell::Zsh, "_retort"), (Shell::Fish, "retort.fish")] {
        for line in ["retort check --junit ", "retort send -f "] {
            let Some(found) = candidates(shell, line) else { continue };
            assert!(found.contains(name), "{shell}: {line:?}: {found:?}");
        }
        for line in ["retort check --patience ", "retort ping -c "] {
            assert!(candidates(shell, line).is_none_or(|found| !found.contains(name)), "{shell}: {line:?}");
        }
    }
}

#[test]
fn bash_completes_behind_equals_signs_commas_and_colons() {
    let bash = |words: &str| candidates(Shell::Bash, words).unwrap_or_default();
    if candidates(Shell::Bash, "retort ").is_none() {
        return skip::skip("bash is not installed");
    }
    // readline passes these words, as COMP_WORDBREAKS contains `=` and `:`
    assert_eq!(bash("retort send --protocol = ech"), ["echo", "echo-prefix"].map(String::from).into());
    assert!(bash("retort send --protocol =").contains("frame"));
    assert_eq!(bash("retort send localhost : 80 up"), ["uppercase".to_owned()].into());
    assert_eq!(bash("retort check --only empty,upperc"), ["empty,uppercase".to_owned()].into());
    assert_eq!(bash("retort check --only = empty,actions,bur"), ["empty,actions,burst".to_owned()].into());
}

/// `--long` of every option of a command.
fn options(command: &clap::Command) -> Vec<String> {
    command.get_arguments().filter_map(|option| Some(format!("--{}", option.get_long()?))).collect()
}

#[test]
fn every_option_is_completed() {
    for mut command in scripts::programs() {
        command.build();
        let (program, all) = (command.get_name().to_owned(), options(&command));
        complete(&format!("{program} --"), &all.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            let all = options(subcommand);
            let line = format!("{program} {} localhost --", subcommand.get_name());
            complete(&line, &all.iter().map(String::as_str).collect::<Vec<_>>(), &["localhost"]);
        }
    }
}

#[test]
fn scripts_have_the_names_that_the_shells_look_for() {
    for command in scripts::programs() {
        let name = command.get_name();
        let names = scripts::SHELLS.map(|shell| scripts::file_name(shell, &command));
        assert_eq!(names, [format!("{name}.bash"), format!("_{name}"), format!("{name}.fish")]);
    }
}
