//! What the judges of servers (`check`) and of client programs (`check-client`) share: what they judge, the results, and
//! the reports.
//!
//! | module | content |
//! |---|---|
//! | [`subject`] | a check or scenario: its name, its group, what it verifies |
//! | [`mismatch`] | what was sent, expected and received, and the probable cause |
//! | [`excerpt`] | bytes as people can read them |
//! | [`outcome`] | the results of a run, and the score |
//! | [`names`] | the names that `--only` and other options have |
//! | [`points`], [`grade`] | the points of a run, for systems that grade |
//! | [`report`] | text, JSON, TAP, `JUnit`, Gradescope, GitHub Classroom |

pub mod excerpt;
pub mod grade;
#[cfg(test)]
mod graded_runs;
pub mod mismatch;
pub mod names;
pub mod outcome;
pub mod points;
pub mod report;
pub mod subject;
