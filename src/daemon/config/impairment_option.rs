//! The options of a listener that impair its connections (IMPAIRMENTS in retortd(8)).

use std::num::NonZero;
use std::time::Duration;

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
        let time = || option.parsed(listener, "TIME", milliseconds);
        let after =
            |fault| option.parsed(listener, "SIZE", units::size).map(|after| Self::After(FaultAfter { fault, after }));
        Some(match option.name {
            "latency" => time().map(Self::Latency),
            "jitter" => time().map(Self::Jitter),
            "rate" => option.parsed(listener, "SIZE", rate).map(Self::Rate),
            "slice" => option.parsed(listener, "SIZE", slice).map(Self::Slice),
            "slice-gap" => time().map(Self::SliceGap),
            "stall-after" => after(Fault::Stall),
            "cut-after" => after(Fault::Cut),
            "reset-after" => after(Fault::Reset),
            "slow-close" => time().map(Self::SlowClose),
            "refuse-first" => option.parsed(listener, "NUMBER", units::count).map(Self::RefuseFirst),
            "corrupt" => option.parsed(listener, "CHANCE", chance).map(Self::Corrupt),
            "probability" => option.parsed(listener, "CHANCE", chance).map(Self::Probability),
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
            let [jitter, latency] = [jitter, latency].map(|time| units::format_time(Duration::from_millis(time.get())));
            format!("the option jitter of {listener} is above its latency: {jitter} is more than {latency}")
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
        return Err(
            "write bytes per second without /s, such as 64K (connections per second are the option max-rate)".into()
        );
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connection::Millis;
    use crate::daemon::config::descriptor::{Descriptor, InheritedOptions};
    use crate::daemon::config::listen::Listen;
    use crate::daemon::config::listener_option::ListenerOption;

    fn of_options(options: &[ListenerOption]) -> Impairments {
        impairments(options.iter().filter_map(ListenerOption::impairment), "echo").expect("checked before")
    }

    fn parsed(options: &str) -> Result<Impairments, String> {
        format!("echo=7,{options}").parse().map(|listen: Listen| of_options(&listen.options))
    }

    #[test]
    fn every_option_sets_its_impairment() {
        let sets = |options: &str, set: fn(&mut Impairments)| {
            let mut expected = Impairments::default();
            set(&mut expected);
            assert_eq!(parsed(options), Ok(expected), "{options}");
        };
        sets("latency=1.5", |set| set.latency = Millis::new(1500));
        sets("latency=100ms,jitter=100ms", |set| {
            set.latency = Millis::new(100);
            set.jitter = Millis::new(100);
        });
        sets("rate=64KiB", |set| set.rate = NonZero::new(65_536));
        sets("rate=1024G", |set| set.rate = NonZero::new(MAX_RATE));
        sets("slice=1,slice-gap=1s", |set| {
            set.slice = NonZero::new(1);
            set.slice_gap = Millis::new(1000);
        });
        sets("stall-after=0", |set| set.fault = Some(FaultAfter { fault: Fault::Stall, after: 0 }));
        sets("cut-after=2K", |set| set.fault = Some(FaultAfter { fault: Fault::Cut, after: 2048 }));
        sets("reset-after=5", |set| set.fault = Some(FaultAfter { fault: Fault::Reset, after: 5 }));
        sets("slow-close=1h", |set| set.slow_close = Millis::new(3_600_000));
        sets("refuse-first=2k,probability=.25", |set| {
            set.refuse_first = 2000;
            set.probability = Probability::new(0.25).expect("a chance");
        });
        sets("corrupt=1e-3", |set| set.corrupt = Probability::new(0.001).expect("a chance"));
        sets("latency=0,slice-gap=0,jitter=0,refuse-first=0,corrupt=0", |_| ());
    }

    #[test]
    fn the_last_of_two_values_counts() {
        let last = parsed("latency=1s,jitter=1s,cut-after=1,jitter=1ms,cut-after=2,latency=2s");
        assert_eq!(last, parsed("latency=2s,jitter=1ms,cut-after=2"));
    }

    #[test]
    fn wrong_values_name_the_option_and_the_remedy() {
        let chance = "not a chance: write a number from 0 to 1, such as 0.5";
        for (option, error) in [
            ("latency=100ns", "must be a whole number of milliseconds"),
            ("jitter=1.5ms", "must be a whole number of milliseconds"),
            ("latency=soon", "not a time: write seconds, or for example 500ms, 5m or 1h30m"),
            ("latency=-1s", "not a time: write seconds, or for example 500ms, 5m or 1h30m"),
            ("slow-close=2years", "too long: a year at most"),
            ("rate=0", "must be at least 1: leave the option out for no limit"),
            ("rate=1025G", "must be at most 1099511627776 bytes per second"),
            (
                "rate=100/s",
                "write bytes per second without /s, such as 64K (connections per second are the option max-rate)",
            ),
            ("rate=64kbit", "not a size: write bytes, or a number with K, M or G, such as 64K"),
            (
                "max-rate=64KiB",
                "not a whole number: write for example 500, or 10k for 10000 (bytes per second are the \
                                option rate)",
            ),
            ("slice=0", "must be at least 1: leave the option out to send as much as possible"),
            ("stall-after=1MB", "MB is ambiguous: write 1M, which counts in powers of 1024, or the number of bytes"),
            ("refuse-first=-1", "not a whole number: write for example 500, or 10k for 10000"),
            ("corrupt=nan", "must be from 0 to 1"),
            ("corrupt=inf", "must be from 0 to 1"),
            ("corrupt=1.01", "must be from 0 to 1"),
            ("probability=-0.1", "must be from 0 to 1"),
            ("probability=50%", chance),
        ] {
            let name = option.split('=').next().expect("a name");
            assert_eq!(parsed(option), Err(format!("the option {name} of echo: {error}")), "{option}");
        }
        for name in ImpairmentOption::NAMES {
            let error = parsed(name).expect_err("no value");
            assert!(error.starts_with(&format!("the option {name} of echo has no value: write {name}=")), "{error}");
        }
    }

    #[test]
    fn every_option_is_documented_and_every_documented_one_exists() {
        let document = include_str!("../../../docs/impairments.md");
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let rows = rows.filter_map(|(option, _)| option.split_once('=')).filter(|(name, _)| !name.contains(','));
        let mut documented = Vec::new();
        for (name, value) in rows {
            // some need another option
            let needed = ["", ",latency=1s", ",slice=1"];
            let is_valid = needed.iter().any(|needed| parsed(&format!("{name}={value}{needed}")).is_ok());
            assert!(is_valid, "{name}={value}");
            documented.push(name);
        }
        assert_eq!(documented, ImpairmentOption::NAMES);
        let manual = include_str!("../../../packaging/man/retortd.8").replace("\\-", "-");
        for name in ImpairmentOption::NAMES {
            assert!(manual.contains(&format!("\n.BI {name}= ")), "IMPAIRMENTS in retortd(8) lacks {name}");
        }
    }

    #[test]
    fn options_that_need_or_exclude_others_are_explained() {
        for (options, error) in [
            ("jitter=1ms", "the option jitter of echo needs a latency to vary: add latency=TIME"),
            ("latency=20ms,jitter=21ms", "the option jitter of echo is above its latency: 21ms is more than 20ms"),
            ("slice-gap=1s", "the option slice-gap of echo needs slices to separate: add slice=SIZE"),
            (
                "cut-after=1,stall-after=2",
                "echo has the options cut-after and stall-after: a listener can have one of stall-after, cut-after and \
                 reset-after",
            ),
            (
                "max-rate=5,probability=0.5",
                "the option probability of echo has no effect alone: it is the chance of a connection that the other \
                 impairments apply to it, so add one, such as latency=100ms",
            ),
        ] {
            assert_eq!(parsed(options), Err(error.into()), "{options}");
            let entry = format!("echo,{options}");
            assert_eq!(entry.parse::<InheritedOptions>().expect_err(options), error);
            assert_eq!(Descriptor::of_connection(&entry), Err(error.into()));
        }
        let side = "metrics=1,latency=1s".parse::<Listen>().expect_err("beside the workers");
        assert!(side.starts_with("metrics has no option 'latency': it is served beside the workers"), "{side}");
    }

    /// Impairments that a listener can have.
    fn any_impairments() -> impl Strategy<Value = Impairments> {
        let times = (0..100_000u64, 0..100_000u64, 0..100_000u64, any::<u32>());
        let sizes = (0..=MAX_RATE, 0..100_000usize, 0..4u8, any::<u64>(), any::<u64>());
        (times, sizes, 0.0..=1.0, 0.0..=1.0).prop_filter_map("not alone", |(times, sizes, corrupt, probability)| {
            let (latency, jitter, gap, close) = times;
            let (rate, slice, fault, after, refuse_first) = sizes;
            let faults = [Fault::Stall, Fault::Cut, Fault::Reset];
            let impairments = Impairments {
                latency: Millis::new(latency),
                jitter: Millis::new(jitter.min(latency)),
                rate: NonZero::new(rate),
                slice: NonZero::new(slice),
                slice_gap: Millis::new(if slice == 0 { 0 } else { gap }),
                fault: faults.get(usize::from(fault)).map(|fault| FaultAfter { fault: *fault, after }),
                slow_close: Millis::new(close.into()),
                refuse_first,
                corrupt: Probability::new(corrupt)?,
                probability: Probability::new(probability)?,
            };
            (!impairments.is_none()).then_some(impairments)
        })
    }

    proptest! {
        #[test]
        fn impairments_are_read_as_they_are_written(impairments in any_impairments()) {
            prop_assert_eq!(parsed(&impairments.to_string()), Ok(impairments));
        }
    }
}
