//! The options of the reports of `retort check` and `retort check-client`.

use std::path::PathBuf;

use clap::Args;

use crate::client::judge::points::Points;
use crate::units;

/// How a judge reports.
#[derive(Args, Debug)]
pub struct ReportOptions {
    /// Print one JSON object
    #[arg(long, help_heading = "Output", conflicts_with = "tap")]
    pub json: bool,
    /// Print TAP, the Test Anything Protocol (version 13)
    #[arg(long, help_heading = "Output")]
    pub tap: bool,
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Output",
        help = "Write a JUnit report in addition to the printed one; an earlier file is kept until it is complete"
    )]
    #[allow(missing_docs, reason = "the help text would need backticks")]
    pub junit: Option<PathBuf>,
    /// Print only failures and the score
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
    /// The results for systems that grade.
    #[command(flatten)]
    pub grader: GraderOptions,
    /// The points that those results have.
    #[command(flatten)]
    pub grading: GradingOptions,
}

/// Where the results for systems that grade go.
#[derive(Args, Debug)]
pub struct GraderOptions {
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Grading",
        help = "Write results.json for Gradescope, in addition to the printed report, also if nothing could be judged"
    )]
    #[allow(missing_docs, reason = "the help text would need backticks")]
    pub gradescope: Option<PathBuf>,
    #[arg(
        long,
        help_heading = "Grading",
        help = "Report to GitHub Classroom: append result=BASE64 to the file $GITHUB_OUTPUT; if that is not set, print it, \
            and the report on standard error"
    )]
    #[allow(missing_docs, reason = "the help text would need backticks")]
    pub classroom: bool,
}

/// The points that the results for systems that grade have.
#[derive(Args, Debug)]
pub struct GradingOptions {
    /// Points if everything passes
    #[arg(long, value_name = "N", default_value = "100", value_parser = Points::parse, requires = "GraderOptions",
        help_heading = "Grading")]
    pub points: Points,
    /// Weights of groups, whole numbers up to 1000; a group that is not named here has the weight 1; a group gets points
    /// in proportion to its weight, in equal parts for what is in it
    #[arg(long, value_name = "GROUP=WEIGHT", value_delimiter = ',', value_parser = group_weight,
        requires = "GraderOptions", help_heading = "Grading")]
    pub weights: Vec<GroupWeight>,
    /// Groups that Gradescope shows to students only after the due date
    #[arg(long, value_name = "GROUP", value_delimiter = ',', requires = "gradescope", help_heading = "Grading")]
    pub hidden: Vec<String>,
}

/// The weight of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupWeight {
    /// The name of the group.
    pub group: String,
    /// Its weight.
    pub weight: u32,
}

/// 1000: chosen without tuning; percentages fit.
const MAX_WEIGHT: u32 = 1000;

fn group_weight(text: &str) -> Result<GroupWeight, String> {
    let (group, weight) = text.split_once('=').ok_or("no '=': write GROUP=WEIGHT")?;
    let weight = units::number_within(0..=MAX_WEIGHT.into())(weight.trim())?;
    Ok(GroupWeight { group: group.trim().to_owned(), weight })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::options::{Command, Options};

    fn parsed(options: &[&str]) -> Result<ReportOptions, clap::Error> {
        let line = ["retort", "check", "localhost"].iter().chain(options);
        let Command::Check(check) = Options::try_parse_from(line)?.command else { panic!("another subcommand") };
        Ok(check.report)
    }

    #[test]
    fn points_and_weights_need_a_grader() {
        for option in ["--points=40", "--weights=actions=2", "--hidden=actions"] {
            assert!(parsed(&[option]).is_err(), "{option}");
            assert!(parsed(&["--gradescope=results.json", option]).is_ok(), "{option}");
        }
        assert!(parsed(&["--classroom", "--weights=actions=2"]).is_ok());
        assert!(parsed(&["--classroom", "--gradescope=results.json", "--points", "1"]).is_ok());
        assert!(parsed(&["--classroom", "--hidden=actions"]).is_err(), "Classroom shows everything");
    }

    #[test]
    fn weights_are_lists_of_groups() {
        let weights = parsed(&["--classroom", "--weights=actions=2, lengths=0", "--weights", "reading=1000"]).unwrap();
        let weights: Vec<_> = weights.grading.weights.iter().map(|entry| (&*entry.group, entry.weight)).collect();
        assert_eq!(weights, [("actions", 2), ("lengths", 0), ("reading", 1000)]);
        for wrong in ["actions", "actions=", "actions=1001", "actions=-1", "actions=1.5"] {
            assert!(parsed(&["--classroom", "--weights", wrong]).is_err(), "{wrong}");
        }
    }
}
