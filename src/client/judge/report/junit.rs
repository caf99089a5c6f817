//! `JUnit` XML, which graders and CI systems read.

use std::fmt::Write;

use crate::client::judge::outcome::{Outcome, Pass, RunSummary};
use crate::client::xml::escaped;

/// The whole document.
pub fn document(run: &RunSummary) -> String {
    let score = run.score();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites>\n<testsuite name=\"{} on {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\">",
        run.protocol,
        escaped(&run.target),
        run.outcomes.len(),
        score.failed,
        score.skipped,
        run.duration.as_secs_f64()
    );
    for outcome in &run.outcomes {
        case(&mut xml, run.protocol, outcome);
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

fn case(xml: &mut String, protocol: &str, outcome: &Outcome) {
    let subject = outcome.subject;
    let _ = write!(
        xml,
        "  <testcase classname=\"{protocol}.{}\" name=\"{}\" time=\"{:.3}\"",
        subject.group,
        subject.name,
        outcome.duration.as_secs_f64()
    );
    let body = match &outcome.result {
        Ok(Pass::Clean) => None,
        Ok(Pass::WithNote(note)) => Some(format!("<system-out>{}</system-out>", escaped(note))),
        Ok(Pass::Skipped(reason) | Pass::NotReached(reason)) => {
            Some(format!("<skipped message=\"{}\"/>", escaped(reason)))
        }
        Err(failure) => {
            let details = format!(
                "{}\nsent: {}\nexpected: {}\ncame: {}\n",
                subject.about,
                failure.sent_shown(),
                failure.expected,
                failure.received
            );
            Some(format!("<failure message=\"{}\">{}</failure>", escaped(&failure.hint), escaped(&details)))
        }
    };
    let _ = match body {
        None => writeln!(xml, "/>"),
        Some(body) => writeln!(xml, ">\n    {body}\n  </testcase>"),
    };
}
