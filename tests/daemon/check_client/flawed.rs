//! Each flaw is found by the scenario that is meant for it, and the hint is about it.

use std::process::Command;

use super::{can_run, judge_all, judge_under, program, python};
use crate::harness::{Directory, available, has_ipv6, skip};

/// A flaw, the scenario that must find it, words of that scenario's hint, and those of [`OTHERS`] that fail too.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Scenarios that are run with each client, so that one sees that a flaw does not fail all of them.
const OTHERS: &[&str] = &["uppercase", "closes-between", "missing-file"];

const RECEIVING: &[Case] = &[
    ("one-recv-for-the-header", "header-split", "loop until the whole header has arrived", &[]),
    ("one-recv-for-the-data", "data-split", "recv was called once for the data", &[]),
    ("drops-leftovers", "one-segment", "bytes beyond the first reply were thrown away", &[]),
    ("64-kib", "482164-bytes", "more than 16 bits hold", &[]),
    ("length-of-the-request", "longer-reply", "it may be longer than the request", &[]),
    ("little-endian-reply", "length-field", "network byte order", &["uppercase"]),
    ("decodes-pieces", "code-point-split", "before they are decoded", &[]),
    ("stops-at-empty-reply", "empty", "not the end of the connection", &[]),
    ("stops-at-error", "error", "`error` is a reply", &[]),
    ("reads-all", "too-much", "one reply for each request", &[]),
];

const SENDING: &[Case] = &[
    ("little-endian-request", "length-field", "network byte order", &["uppercase", "closes-between"]),
    ("code-of-the-other-edition", "reverse", "the action's code", &["closes-between"]),
    ("code-in-the-top-byte", "uppercase", "the top 5 bits", &["closes-between"]),
    ("counts-characters", "non-ascii", "counts bytes, not characters", &[]),
    ("sends-newline", "uppercase", "no part of the message", &["closes-between"]),
    ("first-word", "spaces-in-message", "everything behind the first space", &["uppercase", "closes-between"]),
    ("strips-message", "spaces-in-message", "no strip()", &[]),
    ("latin-1", "non-ascii", "encode the message as UTF-8", &[]),
    ("splits-at-other-ends", "other-line-ends", "str.splitlines()", &[]),
    ("one-send", "8000000-bytes", "use sendall", &[]),
    ("sends-first", "both-sides-full", "while requests are still being sent", &[]),
    ("waits-for-replies", "pipelined", "without waiting for the reply", &[]),
    ("connection-for-each-request", "pipelined", "on the same connection", &[]),
    ("drops-last-line", "no-final-newline", "even if no newline ends it", &[]),
    ("ignores-dash", "standard-input", "read standard input", &[]),
];

const PRINTING: &[Case] = &[
    ("strips-reply", "spaces-in-reply", "print each reply as it is", &[]),
    ("prints-bytes", "uppercase", "reply.decode()", &["closes-between"]),
    ("prints-no-newline", "uppercase", "no newline at its end", &["closes-between"]),
    ("wrong-order", "10000-lines", "in the order of the requests", &[]),
    ("logs-to-standard-output", "uppercase", "only replies go to standard output", &["closes-between"]),
    ("errors-on-standard-output", "missing-file", "print errors and messages on standard error", &["closes-between"]),
];

const FAILING: &[Case] = &[
    ("0-after-early-close", "closes-early", "sys.exit(1)", &["closes-between"]),
    ("prints-part-of-reply", "closes-in-reply", "when all of it has arrived", &[]),
    ("0-after-reset", "resets", "sys.exit(1)", &[]),
    ("0-when-refused", "absent", "sys.exit(1)", &[]),
    ("waits-for-the-server-to-close", "client-closes", "close after the last one", &["uppercase"]),
    ("does-not-notice-the-end", "closes-early", "recv returns no bytes", &["closes-between"]),
    ("0-without-file", "missing-file", "sys.exit(1)", &[]),
    ("greets-before-file", "missing-file", "only replies go to standard output", &[]),
    ("wraps-port", "bad-port", "only replies go to standard output", &[]),
    ("silent", "absent", "say on standard error what went wrong", &["closes-between", "missing-file"]),
];

/// Asserts that each flaw is found as its case says, in a client of this protocol, beside these scenarios.
fn caught(options: &[&str], protocol: &str, cases: &[Case], beside: &[&str]) {
    if can_run() {
        judge_all(cases, |case, patience| case_holds(&[], &[options, &[patience]].concat(), protocol, case, beside));
    }
}

fn case_holds(under: &[&str], options: &[&str], protocol: &str, case: &Case, beside: &[&str]) -> Result<(), String> {
    let &(flaw, by, words, others) = case;
    let only = format!("--only={}", [&[by], beside].concat().join(","));
    let client = [python(), &program("wrong.py"), flaw, "-P", protocol];
    let judgement = judge_under(under, &[options, &[&only]].concat(), &client);
    let (mut failed, mut expected) = (judgement.failed(), [&[by], others].concat());
    failed.sort_unstable();
    expected.sort_unstable();
    if failed == expected && judgement.code == 1 && judgement.hint(by).contains(words) {
        return Ok(());
    }
    Err(format!("{flaw} is to be caught by {expected:?}, with '{words}': {:#}", judgement.report))
}

#[test]
fn flaws_in_receiving_are_caught() {
    caught(&[], "frame", RECEIVING, OTHERS);
}

#[test]
fn flaws_in_sending_are_caught() {
    caught(&[], "frame", SENDING, OTHERS);
}

#[test]
fn flaws_in_printing_are_caught() {
    caught(&[], "frame", PRINTING, OTHERS);
}

#[test]
fn flaws_with_failures_are_caught() {
    caught(&[], "frame", FAILING, OTHERS);
}

#[test]
fn flaws_are_caught_in_each_protocol() {
    caught(&["--edition=2021"], "frame-2021", &[("code-of-the-other-edition", "reverse", "this edition", &[])], &[]);
    caught(&["-Ptext"], "text", &[("one-recv-for-the-digits", "header-split", "the whole header", &[])], &[]);
    caught(&["-Ptext"], "text", &[("counts-characters", "non-ascii", "counts bytes, not characters", &[])], &[]);
    caught(&["-Pecho"], "echo", &[("one-recv-for-the-echo", "data-split", "called once for the data", &[])], &[]);
}

/// In a mount namespace with an `/etc/hosts` of its own, where localhost has both addresses.
#[test]
fn clients_of_one_address_family_are_caught() {
    if !can_run() || !has_ipv6() || !available("unshare") {
        return;
    }
    let directory = Directory::new();
    let hosts = directory.write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let under = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, &hosts];
    let probe = Command::new(under[0]).args(&under[1..]).arg("true").output().expect("run unshare");
    if !probe.status.success() {
        return skip("no file can be mounted here");
    }
    let words = "try every address of the host";
    // the first address is that of IPv6 (RFC 6724)
    let cases: &[Case] = &[
        ("ipv4-only", "localhost-v6", words, &[]),
        ("ipv6-only", "localhost-v4", words, &[]),
        ("first-address", "localhost-v4", words, &[]),
    ];
    judge_all(cases, |case, patience| case_holds(&under, &[patience], "frame", case, OTHERS));
}
