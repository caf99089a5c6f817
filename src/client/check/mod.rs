//! `retort check`: checks a server of any origin against its protocol.
//!
//! Guarantees: one check at a time, each on connections of its own, so that a server that serves one client at a time
//! can pass; a server that hangs costs each check its patience and no more, and less after a few such checks.
//!
//! | module | content |
//! |---|---|
//! | [`definition`] | a check: name, group, hint, the protocols that it applies to |
//! | [`catalog`] | the list of checks |
//! | `checks` | what the checks do |
//! | [`context`] | what a check gets: connections, requests and their replies |
//! | [`connection`] | one connection with deadlines, which remembers what was sent |
//! | [`runner`] | runs one check after another within their times |
//! | `selection` | the checks that `--only` names |
//! | `wait` | waits until a server accepts connections |
//! | `other_protocol` | recognizes a server of another protocol |
//! | `proxy_catalog`, `proxy_receiver` | the checks of receivers of the PROXY protocol; recognizes a server that expects no header |
//! | [`failure`](mod@failure) | what was sent, expected and received |
//! | [`diagnosis`] | the probable cause of a failure |
//! | [`bounds`] | bounds for random results |

pub mod bounds;
pub mod catalog;
mod checks;
pub mod connection;
pub mod context;
pub mod definition;
pub mod diagnosis;
pub mod failure;
mod other_protocol;
mod proxy_catalog;
mod proxy_receiver;
pub mod runner;
mod selection;
mod wait;

use std::time::Duration;

use super::client_protocol::ClientProtocol;
use super::failure::{Failure, Status};
use super::judge::outcome::RunSummary;
use super::judge::report::{self, Report};
use super::judge::subject::{Judge, Subject};
use super::options::{CheckOptions, ColorWhen};
use super::proxy_header::HeaderTemplate;
use super::target::{ServerName, Target};
use context::CheckContext;
use definition::Check;
use failure::CheckFailure;
use runner::CheckRunner;

/// Runs the checks that the options name.
///
/// # Errors
/// The server could not be checked: usage, no connection, no free descriptor, or a report that cannot be written.
pub fn run(options: &CheckOptions, color: ColorWhen) -> Result<Status, Failure> {
    let protocol = protocol(options)?;
    let checks = selection::selected(protocol, &options.selection)?;
    let subjects: Vec<Subject> = checks.iter().map(|check| check.subject()).collect();
    let header = HeaderTemplate::new(&options.proxy)?;
    let Some(host) = options.host.as_ref().filter(|_| !options.selection.list) else {
        report::list(&subjects)?;
        return Ok(Status::Success);
    };
    let judges_receivers = judge_receivers(&checks, header.is_some())?;
    let mut report =
        Report::prepare(&options.report, color, RunSummary::new(Judge::OfServers, protocol.name(), subjects))?;
    let target = reach(options, host, protocol, header);
    match target.and_then(|target| judge(options, protocol, target, &checks, judges_receivers, &mut report)) {
        Ok(()) => report.end(),
        Err(failure) => Err(report.abandon(failure)),
    }
}

/// The server, which accepts connections. Without a server there is nothing to check: exit code 2, not failed checks.
fn reach(
    options: &CheckOptions,
    host: &ServerName,
    protocol: ClientProtocol,
    header: Option<HeaderTemplate>,
) -> Result<Target, Failure> {
    let target = Target::resolve(host, protocol, options.family)?.with_proxy_header(header);
    let patience = options.selection.patience;
    match options.wait {
        Some(time) => wait::until_accepting(&target, time, patience)?,
        None => drop(target.connect_or_fail(patience)?),
    }
    Ok(target)
}

/// Runs the checks, one after another.
fn judge(
    options: &CheckOptions,
    protocol: ClientProtocol,
    target: Target,
    checks: &[&'static Check],
    judges_receivers: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    report.begin(target.to_string())?;
    if let Some(failure) = failure_of_all(&target, protocol, judges_receivers, options.selection.patience) {
        return report.add_all_failed(&failure.mismatch());
    }
    let mut runner = CheckRunner::new(target, protocol, &options.selection);
    checks.iter().try_for_each(|check| report.add(runner.run(check)?))
}

/// Whether the checks are those of receivers of the PROXY protocol.
///
/// # Errors
/// Others would send a header of their own, or none.
fn judge_receivers(checks: &[&Check], has_header: bool) -> Result<bool, Failure> {
    if checks.iter().all(|check| check.is_default()) {
        return Ok(false);
    }
    let send = "the checks of the group proxy send headers of their own";
    if has_header {
        return Err(Failure::cannot_run(format!("{send}: leave out --proxy")));
    }
    if checks.iter().any(|check| check.is_default()) {
        return Err(Failure::cannot_run(format!("{send}, and other checks send none: run those separately")));
    }
    Ok(true)
}

/// The failure of every check, if one mistake is the reason.
fn failure_of_all(
    target: &Target,
    protocol: ClientProtocol,
    judges_receivers: bool,
    patience: Duration,
) -> Option<CheckFailure> {
    let context = CheckContext::new(target, protocol, patience, false);
    if judges_receivers {
        return proxy_receiver::failure_of_all(&context);
    }
    if let Some(plain) = &target.without_proxy_header() {
        let plain = CheckContext::new(plain, protocol, patience, false);
        if let Some(failure) = proxy_receiver::needless_header(&context, &plain) {
            return Some(failure);
        }
    }
    other_protocol::failure_of_all(&context.renewed())
}

fn protocol(options: &CheckOptions) -> Result<ClientProtocol, Failure> {
    let name = if options.edition.is_some() { "frame-2021" } else { options.protocol.name() };
    ClientProtocol::by_name(name).filter(|&protocol| catalog::checks(protocol).next().is_some()).ok_or_else(|| {
        let checkable = definition::checkable();
        let why =
            format!("no checks for protocol {name}; there are some for {checkable}, and with --only proxy for who");
        Failure::cannot_run(why)
    })
}
