//! The script for bash: completes the values of options, also in `--option=VALUE`, and positional arguments by their
//! position.

use std::fmt::Write;

use clap::{Arg, Command, ValueHint};

use super::{names, subcommands};

/// `@NAME@` is the program. Of a word, `$cur` is what is completed; `$kept` is the part that readline keeps, because it
/// ends a word at `=` and `:`.
const TEMPLATE: &str = r#"# Completions of @NAME@ for bash, generated from its command line.
_@NAME@() {
    local subcommands="@SUBCOMMANDS@" IFS=$' \t\n' word joined="" option="" command="" values="" kept cur
    local -i position=0
    local -a words=()
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if [[ ${#words[@]} -gt 0 && ( -n $joined || $word == [=:]* ) ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        joined=""
        [[ -n $word && -z ${word//[=:]/} ]] && joined=1
    done
    cur=${words[${#words[@]}-1]}
    for word in "${words[@]:1:${#words[@]}-2}"; do
        if [[ -n $option ]]; then
            option=""
        elif [[ $word == -* ]]; then
            case "$command $word" in
@WITH_VALUE@
            esac
        elif [[ -z $command && -n $subcommands ]]; then
            command=$word
        else
            position+=1
        fi
    done
    if [[ -z $option && $cur == --*=* ]]; then
        option=${cur%%=*}
        cur=${cur#*=}
    elif [[ -z $option && $cur == -* ]]; then
        position=-1
    fi
    kept=${cur%"${cur##*[=:]}"}
    case "$command ${option:-$position}" in
@VALUES@
        *" --"* | *" -"[!0-9]*) ;;
        *)
            case "$command" in
@OPTIONS@
            esac
            ;;
    esac
    [[ -z $values ]] || mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}
complete -F _@NAME@ @NAME@
"#;

/// Fills the reply with the names of files, as readline wants them.
const FILES: &str = "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); compopt -o filenames 2>/dev/null";
const HOSTS: &str = "mapfile -t COMPREPLY < <(compgen -A hostname -- \"$cur\")";

/// The whole script. The command must have been built.
pub fn script(command: &Command) -> String {
    let mut parts = Parts::default();
    parts.add("", command);
    for subcommand in command.get_subcommands() {
        parts.add(subcommand.get_name(), subcommand);
    }
    TEMPLATE
        .replace("@NAME@", command.get_name())
        .replace("@SUBCOMMANDS@", &subcommands(command))
        .replace("@WITH_VALUE@\n", &parts.with_value)
        .replace("@VALUES@\n", &parts.values)
        .replace("@OPTIONS@\n", &parts.options)
}

/// The arms of the three `case` commands.
#[derive(Default)]
struct Parts {
    with_value: String,
    values: String,
    options: String,
}

impl Parts {
    fn add(&mut self, name: &str, command: &Command) {
        let options: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_positional()).collect();
        for option in options.iter().filter(|option| option.get_action().takes_values()) {
            let pattern: Vec<String> = forms(option).iter().map(|form| format!("\"{name} {form}\"")).collect();
            let pattern = pattern.join(" | ");
            let _ = writeln!(self.with_value, "                {pattern}) option=$word ;;");
            self.add_values(&pattern, option);
        }
        let subcommands = subcommands(command);
        if !subcommands.is_empty() {
            let _ = writeln!(self.values, "        \"{name} 0\") values=\"{subcommands}\" ;;");
        }
        for (position, argument) in command.get_positionals().enumerate() {
            self.add_values(&format!("\"{name} {position}\""), argument);
            if argument.get_num_args().is_some_and(|number| number.max_values() > 1) {
                let _ = writeln!(self.values, "        \"{name} \"[0-9]*) ;;");
            }
        }
        let all: Vec<String> = options.into_iter().flat_map(forms).collect();
        let _ = writeln!(self.options, "                \"{name}\") values=\"{}\" ;;", all.join(" "));
    }

    /// The arm that completes the values of an argument.
    fn add_values(&mut self, pattern: &str, argument: &Arg) {
        let action = match (names(argument), argument.get_value_hint()) {
            (Some(names), _) if argument.get_value_delimiter() == Some(',') => list(&names),
            (Some(names), _) => format!("values=\"{}\"", names.join(" ")),
            (None, ValueHint::AnyPath | ValueHint::FilePath) => FILES.to_owned(),
            (None, ValueHint::Hostname) => HOSTS.to_owned(),
            (None, _) => return,
        };
        let _ = writeln!(self.values, "        {pattern}) {action} ;;");
    }
}

/// Completes the last element of a list with commas, behind which another one may follow.
fn list(names: &[String]) -> String {
    let names = names.join(" ");
    format!(
        "mapfile -t COMPREPLY < <(compgen -P \"${{cur%\"${{cur##*,}}\"}}\" -W \"{names}\" -- \"${{cur##*,}}\"); \
         compopt -o nospace 2>/dev/null"
    )
}

fn forms(option: &Arg) -> Vec<String> {
    let short = option.get_short().map(|short| format!("-{short}"));
    let long = option.get_long().map(|long| format!("--{long}"));
    short.into_iter().chain(long).collect()
}
