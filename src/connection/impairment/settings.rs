//! What a listener impairs on its connections: its options, as they are written.

use std::fmt;
use std::num::NonZero;

use serde::{Deserialize, Serialize};

use super::kind::Fault;
use super::random::{Purpose, generator};
use crate::connection::millis::Millis;

/// The impairments of a listener. [`Impairments::default`] impairs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Impairments {
    /// How much later than written a byte is sent.
    pub latency: Millis,
    /// How much the latency of a byte may deviate from that, in both directions.
    pub jitter: Millis,
    /// The bytes a second that are sent, and that are read.
    pub rate: Option<NonZero<u64>>,
    /// The most bytes that one send(2) has.
    pub slice: Option<NonZero<usize>>,
    /// The time between two sends.
    pub slice_gap: Millis,
    /// What happens after a number of bytes.
    pub fault: Option<FaultAfter>,
    /// How much later than it would have the connection is half-closed or closed.
    pub slow_close: Millis,
    /// How many connections are reset when they are accepted.
    pub refuse_first: u64,
    /// The chance of each byte that one of its bits is flipped.
    pub corrupt: Probability,
    /// The chance of each connection that all this applies to it.
    pub probability: Probability,
}

/// What happens to a connection after a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultAfter {
    /// What happens.
    pub fault: Fault,
    /// The bytes that are sent before it does.
    pub after: u64,
}

/// A chance, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Always.
    pub const ALWAYS: Self = Self(1.0);

    /// This chance, if it is from 0 to 1.
    #[must_use]
    pub fn new(chance: f64) -> Option<Self> {
        // the sum turns -0 into 0
        (0.0..=1.0).contains(&chance).then_some(Self(chance + 0.0))
    }

    /// The chance, from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

// a chance is never NaN
impl Eq for Probability {}

impl TryFrom<f64> for Probability {
    type Error = &'static str;

    fn try_from(chance: f64) -> Result<Self, Self::Error> {
        Self::new(chance).ok_or("a chance must be from 0 to 1")
    }
}

impl From<Probability> for f64 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Default for Impairments {
    fn default() -> Self {
        Self {
            latency: Millis::ZERO,
            jitter: Millis::ZERO,
            rate: None,
            slice: None,
            slice_gap: Millis::ZERO,
            fault: None,
            slow_close: Millis::ZERO,
            refuse_first: 0,
            corrupt: Probability::NEVER,
            probability: Probability::ALWAYS,
        }
    }
}

impl Impairments {
    /// Whether nothing is impaired.
    #[must_use]
    pub fn is_none(&self) -> bool {
        Self { probability: Probability::ALWAYS, ..self.clone() } == Self::default()
    }

    /// Whether they apply to the listener's connection with this number, counted from 1.
    #[must_use]
    pub fn applies_to(&self, seed: u64, number: u64) -> bool {
        !self.is_none() && generator(seed, number, Purpose::Choice).f64() < self.probability.get()
    }

    /// Whether the listener's connection with this number is reset when it is accepted, if the impairments
    /// [apply](Impairments::applies_to) to it.
    #[must_use]
    pub fn refuses(&self, number: u64) -> bool {
        number <= self.refuse_first
    }
}

/// As the options of a listener: `latency=100ms,jitter=20ms`.
impl fmt::Display for Impairments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Millis| (time != Millis::ZERO).then(|| written(time));
        let chance = |chance: Probability, default| (chance != default).then(|| chance.to_string());
        let options = [
            ("latency", time(self.latency)),
            ("jitter", time(self.jitter)),
            ("rate", self.rate.map(|rate| rate.to_string())),
            ("slice", self.slice.map(|slice| slice.to_string())),
            ("slice-gap", time(self.slice_gap)),
            (self.fault.map_or("", |fault| fault.fault.option()), self.fault.map(|fault| fault.after.to_string())),
            ("slow-close", time(self.slow_close)),
            ("refuse-first", (self.refuse_first > 0).then(|| self.refuse_first.to_string())),
            ("corrupt", chance(self.corrupt, Probability::NEVER)),
            ("probability", chance(self.probability, Probability::ALWAYS)),
        ];
        let mut separator = "";
        for (name, value) in options {
            if let Some(value) = value {
                write!(f, "{separator}{name}={value}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// A time with its unit.
fn written(time: Millis) -> String {
    match time.get() {
        milliseconds if milliseconds % 1000 == 0 => format!("{}s", milliseconds / 1000),
        milliseconds => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impairments_are_written_as_the_options_of_a_listener() {
        let none = Impairments::default();
        assert_eq!((none.to_string(), none.is_none()), (String::new(), true));
        let all = Impairments {
            latency: Millis::new(100),
            jitter: Millis::new(20),
            rate: NonZero::new(1000),
            slice: NonZero::new(7),
            slice_gap: Millis::new(3000),
            fault: Some(FaultAfter { fault: Fault::Cut, after: 0 }),
            slow_close: Millis::new(1500),
            refuse_first: 3,
            corrupt: Probability::new(0.001).expect("a chance"),
            probability: Probability::new(0.5).expect("a chance"),
        };
        let written = "latency=100ms,jitter=20ms,rate=1000,slice=7,slice-gap=3s,cut-after=0,slow-close=1500ms,\
                       refuse-first=3,corrupt=0.001,probability=0.5";
        assert_eq!((all.to_string().as_str(), all.is_none()), (written, false));
        let saved = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Impairments>(&saved).expect("impairments"), all);
    }

    #[test]
    fn a_chance_is_from_0_to_1() {
        for chance in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Probability::new(chance), None, "{chance}");
        }
        assert_eq!(Probability::new(-0.0).expect("0").to_string(), "0");
        assert!(serde_json::from_str::<Probability>("2").is_err());
    }

    #[test]
    fn a_share_of_the_connections_is_chosen_by_the_seed_and_their_numbers() {
        let half = Impairments {
            latency: Millis::new(1),
            probability: Probability::new(0.5).expect("a chance"),
            ..Impairments::default()
        };
        let chosen = |seed: u64| (1..=10_000).map(|number| half.applies_to(seed, number)).collect::<Vec<_>>();
        let first = chosen(1);
        assert_eq!(first, chosen(1));
        assert_ne!(first, chosen(2));
        let share = first.iter().filter(|applies| **applies).count();
        assert!((4_800..5_200).contains(&share), "{share} of 10000");
        let [never, always] =
            [Probability::NEVER, Probability::ALWAYS].map(|probability| Impairments { probability, ..half.clone() });
        assert!((1..100).all(|number| !never.applies_to(1, number) && always.applies_to(1, number)));
    }

    #[test]
    fn the_first_connections_are_refused() {
        let refusing = Impairments { refuse_first: 2, ..Impairments::default() };
        assert_eq!([1, 2, 3].map(|number| refusing.refuses(number)), [true, true, false]);
    }
}
