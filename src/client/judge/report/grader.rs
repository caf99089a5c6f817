//! The results for systems that grade: Gradescope's file, and GitHub Classroom's output of a step.
//!
//! Guarantees: both are written at the end of every run that has begun, also if nothing could be judged, because the
//! system would report a failure of its own otherwise; Gradescope's file is complete or stays as it was. A signal that
//! ends `check`, which does not watch for any, leaves both as they were.

use std::env;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::{classroom, gradescope};
use crate::client::failure::Failure;
use crate::client::judge::grade::Grading;
use crate::client::judge::outcome::RunSummary;
use crate::client::options::ReportOptions;
use crate::client::report_file::ReportFile;

/// The variable with the name of the file to which a step of a GitHub workflow appends its outputs.
const OUTPUT_VARIABLE: &str = "GITHUB_OUTPUT";

/// Where the results for systems that grade go.
pub struct GraderFiles {
    grading: Grading,
    gradescope: Option<ReportFile>,
    classroom: Option<StepOutput>,
}

/// Where the outputs of a step go.
enum StepOutput {
    /// To the file that `GITHUB_OUTPUT` names.
    File { name: OsString, file: File },
    /// To standard output, which has nothing else then.
    Stdout,
}

impl GraderFiles {
    /// Prepares the files that the options name.
    pub fn prepare(options: &ReportOptions, run: &RunSummary) -> Result<Option<Self>, Failure> {
        if options.grader.gradescope.is_none() && !options.grader.classroom {
            return Ok(None);
        }
        let grading = Grading::new(&options.grading, &run.planned)?;
        let gradescope = options.grader.gradescope.as_deref().map(ReportFile::prepare).transpose()?;
        let classroom = options.grader.classroom.then(StepOutput::open).transpose()?;
        Ok(Some(Self { grading, gradescope, classroom }))
    }

    /// Whether standard output is for the output of a step alone.
    pub fn take_stdout(&self) -> bool {
        matches!(self.classroom, Some(StepOutput::Stdout))
    }

    /// Writes the results of a run, which did not come to its end for the reason `problem`, if there is one.
    pub fn write(self, run: &RunSummary, problem: Option<&str>) -> Result<(), Failure> {
        let grade = self.grading.grade(run, problem);
        let gradescope = self.gradescope.map(|file| {
            let document = format!("{:#}\n", gradescope::document(run, &grade));
            file.write(document.as_bytes())
        });
        let classroom = self.classroom.map(|output| output.write(&classroom::line(run, &grade)));
        gradescope.unwrap_or(Ok(())).and(classroom.unwrap_or(Ok(())))
    }
}

impl StepOutput {
    fn open() -> Result<Self, Failure> {
        let Some(name) = env::var_os(OUTPUT_VARIABLE).filter(|name| !name.is_empty()) else { return Ok(Self::Stdout) };
        match OpenOptions::new().append(true).create(true).open(&name) {
            Ok(file) => Ok(Self::File { name, file }),
            Err(error) => Err(cannot_write(&name, &error)),
        }
    }

    fn write(self, line: &str) -> Result<(), Failure> {
        match self {
            Self::File { name, mut file } => {
                file.write_all(line.as_bytes()).map_err(|error| cannot_write(&name, &error))
            }
            Self::Stdout => io::stdout().write_all(line.as_bytes()).map_err(|error| Failure::output(&error)),
        }
    }
}

fn cannot_write(name: &OsString, error: &io::Error) -> Failure {
    Failure::cannot(format_args!("write {} ({OUTPUT_VARIABLE})", name.to_string_lossy()), error)
}
