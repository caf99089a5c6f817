//! Service level objectives: the bounds of `--slo`.

use std::fmt;
use std::time::Duration;

use crate::units;

/// A bound that a server has to keep.
#[derive(Clone, Debug, PartialEq)]
pub enum Slo {
    /// This share of the requests has a latency of at most `bound`.
    Latency {
        /// The name in options and reports: `p99` or `max`.
        name: String,
        /// From 0 to 1.
        share: f64,
        /// The most that it may be.
        bound: Duration,
    },
    /// At most this share of the requests, from 0 to 1, has no correct reply.
    Errors(f64),
}

/// What to write, for errors.
const FORMS: &str = "write for example p99=5ms, p99.9=20ms, max=100ms or errors=0.1%";

/// The longest bound of a latency. Derived: after each step of a search, replies are waited for at most for a second; a
/// longer latency is not measured.
const MAX_BOUND: Duration = Duration::from_secs(1);

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency { name, bound, .. } => {
                write!(f, "{name}={}", units::format_time(*bound).to_string().replace(' ', ""))
            }
            // a share such as 0.001 is not a finite binary fraction
            Self::Errors(share) => write!(f, "errors={}%", (share * 1e8).round() / 1e6),
        }
    }
}

/// An objective of `--slo`.
pub fn slo(text: &str) -> Result<Slo, String> {
    let (name, bound) = text.split_once('=').ok_or_else(|| format!("no bound: {FORMS}"))?;
    if name == "errors" {
        return percent(bound.strip_suffix('%').unwrap_or_default())
            .map(Slo::Errors)
            .ok_or_else(|| format!("{bound}: not a share: write a percentage below 100%, such as errors=0.1%"));
    }
    let share = match name.strip_prefix('p') {
        Some(digits) => percent(digits).filter(|share| *share > 0.0),
        None => (name == "max").then_some(1.0),
    };
    let share = share.ok_or_else(|| format!("{name}: not a percentile, max or errors: {FORMS}"))?;
    match units::positive_time(bound).map_err(|error| format!("{bound}: {error}"))? {
        bound if bound <= MAX_BOUND => Ok(Slo::Latency { name: name.into(), share, bound }),
        _ => Err(format!("{bound}: must be at most 1s")),
    }
}

/// A percentage below 100 as a share.
fn percent(digits: &str) -> Option<f64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = digits.parse().ok().filter(|_| is_number)?;
    // 99.9 / 100 is more than 0.999, and would be one request more of a thousand.
    (percent < 100.0).then(|| (percent * 1e7).round() / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_percentiles_the_maximum_and_errors() {
        let latency = |name: &str, share, milliseconds| Slo::Latency {
            name: name.into(),
            share,
            bound: Duration::from_millis(milliseconds),
        };
        for (text, expected) in [
            ("p50=1s", latency("p50", 0.5, 1000)),
            ("p99=5ms", latency("p99", 0.99, 5)),
            ("p99.9=20ms", latency("p99.9", 0.999, 20)),
            ("max=100ms", latency("max", 1.0, 100)),
            ("errors=0.1%", Slo::Errors(0.001)),
            ("errors=0%", Slo::Errors(0.0)),
        ] {
            let parsed = slo(text).expect(text);
            assert_eq!((parsed.to_string(), parsed), (text.into(), expected));
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, part) in [
            ("p99", "no bound: write for example p99=5ms"),
            ("p100=5ms", "p100: not a percentile"),
            ("p0=5ms", "p0: not a percentile"),
            ("p=5ms", "p: not a percentile"),
            ("pinf=5ms", "pinf: not a percentile"),
            ("mean=5ms", "mean: not a percentile, max or errors"),
            ("p99=0s", "0s: must be more than 0"),
            ("p99=fast", "fast: not a time"),
            ("p99=2s", "must be at most 1s"),
            ("errors=1", "1: not a share"),
            ("errors=100%", "100%: not a share"),
        ] {
            let error = slo(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
