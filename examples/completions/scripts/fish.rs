//! What the script of `clap_complete` for fish lacks: the words behind a subcommand, and that other words are no files.

use std::fmt::Write;

use clap::{Arg, Command, ValueHint};

use super::{names, subcommands};

/// `@` is the name of the program. The arguments of the function are the subcommand, the number of words behind it, and
/// the options for argparse(1).
const HEAD: &str = r"
# Words that are not listed here are no files.
complete -c @ -f

function __fish_@_at --argument-names subcommand count
	set -l specs $argv[3..-1]
	set -l words (commandline -opc)
	argparse $specs -- $words[2..-1] 2>/dev/null
	or return
	test (count $argv) -eq (math $count + 1)
	and test $argv[1] = $subcommand
end

";

/// The completions of the words behind all subcommands.
pub fn positionals(command: &Command) -> String {
    let name = command.get_name();
    let mut script = HEAD.replace('@', name);
    for subcommand in command.get_subcommands() {
        let specs: Vec<String> = subcommand.get_arguments().filter(|a| !a.is_positional()).map(spec).collect();
        for (count, candidates) in words(subcommand).into_iter().enumerate() {
            let at = format!("__fish_{name}_at {} {count} {}", subcommand.get_name(), specs.join(" "));
            let _ = writeln!(script, "complete -c {name} -n \"{at}\" -a \"{candidates}\"");
        }
    }
    script
}

/// The candidates of each word behind a subcommand.
fn words(subcommand: &Command) -> Vec<String> {
    let subcommands = subcommands(subcommand);
    let positionals = subcommand.get_positionals().map(|argument| match (names(argument), argument.get_value_hint()) {
        (Some(names), _) => names.join(" "),
        // The function omits names of this machine.
        (None, ValueHint::Hostname) => "localhost (__fish_print_hostnames)".to_owned(),
        (None, _) => String::new(),
    });
    // `clap_complete` does not complete behind `help`, as that is a subcommand of itself.
    if subcommands.is_empty() { positionals.collect() } else { vec![subcommands] }
}

/// The option as argparse(1) describes it.
fn spec(option: &Arg) -> String {
    let value = if option.get_action().takes_values() { "=" } else { "" };
    match (option.get_short(), option.get_long()) {
        (Some(short), Some(long)) => format!("{short}/{long}{value}"),
        (_, long) => format!("{}{value}", long.unwrap_or_default()),
    }
}
