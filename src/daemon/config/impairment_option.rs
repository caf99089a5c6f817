//! The options of a listener that impair its connections (IMPAIRMENTS in retortd(8)).

use std::num::NonZero;
use std::time::Duration;

use super::listener_option::value;
use super::listener_syntax::WrittenOption;
use crate::server::{Fault, FaultAfter, Impairments, Probability};
use crate::units;

/// The maximum of `rate`, in bytes per second. Chosen: 1 TiB/s, more than loopback carries; the time of each byte fits
/// into 64 bits.
const MAX_RATE: u64 = 1 << 40;

/// An option that impairs connections, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImpairmentOption {
    /// What the server sends arrives later by this time.
    Latency(Duration),
    /// The latency of a byte deviates by at most this time.
    Jitter(Duration),
    /// Bytes per second, in each direction.
    Rate(NonZero<u64>),
    /// Bytes of one send(2).
    Slice(NonZero<usize>),
    /// The time between two sends.
    SliceGap(Duration),
    /// What happens after a number of sent bytes.
    After(FaultAfter),
    /// The end of a connection comes later by this time.
    SlowClose(Duration),
    /// The number of connections that are reset at first.
    RefuseFirst(u64),
    /// The chance of each byte that a bit of it is flipped.
    Corrupt(Probability),
    /// The chance of each connection that it is impaired.
    Probability(Probability),
}

impl ImpairmentOption {
    /// The names of these options; none may be the name of a protocol.
    pub const NAMES: &[&str] = &[
        "latency",
        "jitter",
        "rate",
        "slice",
        "slice-gap",
        "stall-after",
        "cut-after",
        "reset-after",
        "slow-close",
        "refuse-first",
        "corrupt",
        "probability",
    ];

    /// Parses an option; `None` if it is none of these.
    ///
    /// # Errors
    /// The value is missing or invalid.
    pub fn parse(option: &WrittenOption<'_>, listener: &str) -> Option<Result<Self, String>> {
        let time = || value(option, listener, "TIME", milliseconds);
        let after = |fault| {
            value(option, listener, "SIZE", units::size).map(|after| Self::After(FaultAfter { fault, after }))
        };
        Some(match option.name {
            "latency" => time().map(Self::Latency),
            "jitter" => time().map(Self::Jitter),
            "rate" => value(option, listener, "SIZE", rate).map(Self::Rate),
            "slice" => value(option, listener, "SIZE", slice).map(Self::Slice),
            "slice-gap" => time().map(Self::SliceGap),
            "stall-after" => after(Fault::Stall),
            "cut-after" => after(Fault::Cut),
            "reset-after" => after(Fault::Reset),
            "slow-close" => time().map(Self::SlowClose),
            "refuse-first" => value(option, listener, "NUMBER", units::count).map(Self::RefuseFirst),
            "corrupt" => value(option, listener, "CHANCE", chance).map(Self::Corrupt),
            "probability" => value(option, listener, "CHANCE", chance).map(Self::Probability),
            _ => return None,
        })
    }
}

/// The impairments that these options of a listener, called `listener` in messages, make together. Of an option that is
/// written twice the last one counts.
///
/// # Errors
/// An option has no effect without another one that is missing, or two of them exclude each other.
pub fn impairments(options: impl Iterator<Item = ImpairmentOption>, listener: &str) -> Result<Impairments, String> {
    let mut impairments = Impairments::default();
    let mut has_probability = false;
    for option in options {
        match option {
            ImpairmentOption::Latency(time) => impairments.latency = time.into(),
            ImpairmentOption::Jitter(time) => impairments.jitter = time.into(),
            ImpairmentOption::Rate(rate) => impairments.rate = Some(rate),
            ImpairmentOption::Slice(bytes) => impairments.slice = Some(bytes),
            ImpairmentOption::SliceGap(time) => impairments.slice_gap = time.into(),
            ImpairmentOption::After(after) => add_fault(&mut impairments, after, listener)?,
            ImpairmentOption::SlowClose(time) => impairments.slow_close = time.into(),
            ImpairmentOption::RefuseFirst(number) => impairments.refuse_first = number,
            ImpairmentOption::Corrupt(chance) => impairments.corrupt = chance,
            ImpairmentOption::Probability(chance) => {
                impairments.probability = chance;
                has_probability = true;
            }
        }
    }
    check(&impairments, has_probability, listener)?;
    Ok(impairments)
}

/// Sets what happens after a number of bytes, unless something else is set.
fn add_fault(impairments: &mut Impairments, added: FaultAfter, listener: &str) -> Result<(), String> {
    match impairments.fault {
        Some(FaultAfter { fault, .. }) if fault != added.fault => Err(format!(
            "{listener} has the options {} and {}: a listener can have one of stall-after, cut-after and reset-after",
            fault.option(),
            added.fault.option()
        )),
        _ => {
            impairments.fault = Some(added);
            Ok(())
        }
    }
}

/// Checks that each option has what it needs.
fn check(impairments: &Impairments, has_probability: bool, listener: &str) -> Result<(), String> {
    let Impairments { latency, jitter, slice, slice_gap, .. } = impairments;
    if jitter > latency {
        return Err(if latency.get() == 0 {
            format!("the option jitter of {listener} needs a latency to vary: add latency=TIME")
        } else {
            format!(
                "the option jitter of {listener} is above its latency: {}ms is more than {}ms",
                jitter.get(),
                latency.get()
            )
        });
    }
    if slice_gap.get() > 0 && slice.is_none() {
        return Err(format!("the option slice-gap of {listener} needs slices to separate: add slice=SIZE"));
    }
    if has_probability && impairments.is_none() {
        return Err(format!(
            "the option probability of {listener} has no effect alone: it is the chance of a connection that the other \
             impairments apply to it, so add one, such as latency=100ms"
        ));
    }
    Ok(())
}

/// A time in whole milliseconds, the resolution of the timers.
fn milliseconds(text: &str) -> Result<Duration, String> {
    let time = units::time(text)?;
    if time.subsec_nanos() % 1_000_000 == 0 { Ok(time) } else { Err("must be a whole number of milliseconds".into()) }
}

/// Bytes per second.
fn rate(text: &str) -> Result<NonZero<u64>, String> {
    if text.ends_with("/s") {
        return Err("write bytes per second without /s, such as 64K (connections per second are the option max-rate)".into());
    }
    let rate = at_least_one(units::size(text)?, "leave the option out for no limit")?;
    if rate.get() > MAX_RATE { Err(format!("must be at most {MAX_RATE} bytes per second")) } else { Ok(rate) }
}

/// The bytes of a slice; as many as memory can have if there are more.
fn slice(text: &str) -> Result<NonZero<usize>, String> {
    let bytes = at_least_one(units::size(text)?, "leave the option out to send as much as possible")?;
    Ok(bytes.try_into().unwrap_or(NonZero::<usize>::MAX))
}

fn at_least_one(bytes: u64, remedy: &str) -> Result<NonZero<u64>, String> {
    NonZero::new(bytes).ok_or_else(|| format!("must be at least 1: {remedy}"))
}

/// A chance: a number from 0 to 1.
fn chance(text: &str) -> Result<Probability, String> {
    let chance: f64 = text.parse().map_err(|_| "not a chance: write a number from 0 to 1, such as 0.5")?;
    Probability::new(chance).ok_or_else(|| "must be from 0 to 1".into())
}
