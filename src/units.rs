//! Numbers with units, as people type them in options of both programs, and numbers of things in messages.
//!
//! | kind | a bare number | suffixes |
//! |---|---|---|
//! | size | bytes | `K` or `KiB` is 1024 bytes, `M` or `MiB`, `G` or `GiB`; `B` is bytes |
//! | time | seconds, with decimals | `ns`, `us`, `ms`, `s`, `m`, `h`, `d`, `w` and their long forms; parts are added: `1h30m` |
//! | count, rate | itself | `k` is 1000, `M`, `G` |
//! | number | itself | none |
//!
//! Suffixes of sizes, counts and rates may be in upper or lower case. `MB` is rejected: it is 1000 kilobytes to
//! some and 1024 to others; and so is a time in `M`. Every error is one line that says what to write instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The maximum of a time: a leap year. Chosen: longer than any timeout that makes sense, and short enough that adding
/// it to a point in time cannot overflow.
pub const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// A size, in bytes.
///
/// # Errors
/// No digits, an unknown or ambiguous suffix, more than 2^64 - 1 bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, suffix) = split(text);
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" | "mb" | "gb" => return Err(ambiguous(digits, suffix)),
        _ => return Err(NOT_A_SIZE.into()),
    };
    multiple(digits, factor, NOT_A_SIZE)
}

const NOT_A_SIZE: &str = "not a size: write bytes, or a number with K, M or G, such as 64K";

/// The error for `64KB`.
fn ambiguous(digits: &str, suffix: &str) -> String {
    let letter = suffix[..1].to_ascii_uppercase();
    format!("{suffix} is ambiguous: write {digits}{letter}, which counts in powers of 1024, or the number of bytes")
}

/// A time of at most [`MAX_TIME`].
///
/// # Errors
/// Not a time; longer.
pub fn time(text: &str) -> Result<Duration, String> {
    match unlimited_time(text)? {
        time if time > MAX_TIME => Err(TOO_LONG.into()),
        time => Ok(time),
    }
}

const TOO_LONG: &str = "too long: a year at most";

/// A time without a maximum, for one that nothing is added to; more than a [`Duration`] holds is [`Duration::MAX`].
///
/// # Errors
/// Not a time.
pub fn unlimited_time(text: &str) -> Result<Duration, String> {
    if text.split(|c: char| !c.is_ascii_alphabetic()).any(|unit| unit == "M") {
        return Err("M is ambiguous: write m for minutes, or d for days".into());
    }
    match humantime::parse_duration(&in_seconds(text)) {
        Ok(time) => Ok(time),
        Err(humantime::DurationError::NumberOverflow) if !text.contains('.') => Ok(Duration::MAX),
        Err(_) => Err("not a time: write seconds, or for example 500ms, 5m or 1h30m".into()),
    }
}

/// A time with its unit: a bare number is seconds. Digits before the point may be left out, as in `.5`.
fn in_seconds(text: &str) -> String {
    let zero = if text.starts_with('.') { "0" } else { "" };
    let unit = if text.ends_with(|last: char| last.is_ascii_digit()) { "s" } else { "" };
    format!("{zero}{text}{unit}")
}

/// A time above 0.
///
/// # Errors
/// As [`time`]; 0.
pub fn positive_time(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() { Err("must be more than 0".into()) } else { Ok(time) }
}

/// A time as [`time`] reads it: `5m`.
#[must_use]
pub fn format_time(time: Duration) -> impl Display {
    humantime::format_duration(time)
}

/// A count.
///
/// # Errors
/// Not a whole number; an unknown suffix; more than 2^64 - 1.
pub fn count(text: &str) -> Result<u64, String> {
    let (digits, suffix) = split(text);
    let factor = decimal_factor(suffix).ok_or(NOT_A_COUNT)?;
    multiple(digits, factor.into(), NOT_A_COUNT)
}

const NOT_A_COUNT: &str = "not a whole number: write for example 500, or 10k for 10000";

/// A parser of counts in a range that fits into `T`.
pub fn count_within<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| within(count(text)?, &range)
}

/// A parser of numbers in a range that fits into `T`, for what is not counted, such as ports.
pub fn number_within<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| within(multiple(text, 1, "not a whole number")?, &range)
}

fn within<T: TryFrom<u64>>(number: u64, range: &RangeInclusive<u64>) -> Result<T, String> {
    let fits = T::try_from(number).ok().filter(|_| range.contains(&number));
    fits.ok_or_else(|| format!("must be from {} to {}", range.start(), range.end()))
}

/// A rate per second, within a range.
///
/// # Errors
/// Not a number; an unknown suffix; not in the range.
pub fn rate_within(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let (digits, suffix) = split(text);
    let number = decimal_factor(suffix).and_then(|factor| Some(decimal(digits)? * f64::from(factor)));
    match number.ok_or("not a rate: write a number per second, such as 0.5, 500 or 10k")? {
        rate if range.contains(&rate) => Ok(rate),
        _ => Err(format!("must be from {} to {} per second", range.start(), range.end())),
    }
}

/// A number of things, for a message: `1 byte`, `2 bytes`.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    format!("{number} {}", noun_for(number, noun))
}

/// The noun in the singular or the plural that the number needs.
#[must_use]
pub fn noun_for<N: Copy + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    if number == N::from(1) { noun.to_owned() } else { format!("{noun}s") }
}

/// A number of digits and at most one point; not what else [`f64`] can be parsed from.
fn decimal(digits: &str) -> Option<f64> {
    digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| digits.parse().ok())?
}

fn decimal_factor(suffix: &str) -> Option<u32> {
    match suffix {
        "" => Some(1),
        "k" | "K" => Some(1_000),
        "m" | "M" => Some(1_000_000),
        "g" | "G" => Some(1_000_000_000),
        _ => None,
    }
}

/// A number without its suffix, and the suffix.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// The product of a number and the factor of its suffix; `not_a_number` is the error about digits that are none.
fn multiple(digits: &str, factor: u64, not_a_number: &str) -> Result<u64, String> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_a_number.into());
    }
    digits.parse().ok().and_then(|number: u64| number.checked_mul(factor)).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_in_powers_of_1024() {
        let table = [("0", 0), ("17", 17), ("17B", 17), ("64K", 65_536), ("64k", 65_536), ("64KiB", 65_536)];
        let large = [("16m", 16 << 20), ("16MiB", 16 << 20), ("2G", 2 << 30), ("2gib", 2 << 30)];
        for (text, bytes) in table.into_iter().chain(large) {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "+1", "1.5M", "1 K", "1T", "ten", "0x10", "1é"] {
            assert_eq!(size(text), Err(NOT_A_SIZE.into()), "{text}");
        }
        for text in ["99999999999G", "18446744073709551616"] {
            assert_eq!(size(text), Err("too large".into()), "{text}");
        }
    }

    #[test]
    fn decimal_units_of_sizes_are_rejected_with_a_hint() {
        for (text, hint) in [("64KB", "write 64K,"), ("64kB", "write 64K,"), ("1MB", "write 1M,"), ("1Gb", "write 1G,")]
        {
            let error = size(text).expect_err(text);
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn bare_times_are_seconds() {
        let milliseconds = |text: &str| time(text).map(|time| time.as_millis());
        let table = [("0", 0), ("0s", 0), ("5", 5_000), ("0.2", 200), ("0.5s", 500), ("500ms", 500), ("5m", 300_000)];
        for (text, expected) in
            table.into_iter().chain([("1h30m", 5_400_000), ("1m 30s", 90_000), ("1m30", 90_000), (".5", 500)])
        {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in ["", ".", "s", "soon", "-1", "5x", "5.", "1e3", "0.0000000001s", "1:30"] {
            assert!(time(text).expect_err(text).starts_with("not a time: "), "{text}");
        }
    }

    #[test]
    fn times_above_a_year_are_rejected() {
        assert_eq!(time("366d"), Ok(MAX_TIME));
        for text in ["367d", "2years", "31622401", "99999999999999999999", "18446744073709551615s"] {
            assert_eq!(time(text), Err(TOO_LONG.into()), "{text}");
        }
        assert_eq!(unlimited_time("18446744073709551616"), Ok(Duration::MAX));
    }

    #[test]
    fn a_capital_m_is_neither_minutes_nor_months() {
        for text in ["5M", "1h5M", "5 M"] {
            assert!(time(text).expect_err(text).contains("write m for minutes"), "{text}");
        }
    }

    #[test]
    fn times_are_printed_as_they_are_written() {
        for text in ["300ms", "5m", "2h", "1h 30m"] {
            assert_eq!(format_time(time(text).expect(text)).to_string(), text);
        }
    }

    #[test]
    fn a_positive_time_is_not_zero() {
        assert_eq!(positive_time("0"), Err("must be more than 0".into()));
        assert_eq!(positive_time("1"), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((counted(1_usize, "connection"), counted(2_u64, "byte")), ("1 connection".into(), "2 bytes".into()));
        assert_eq!((counted(0, "byte"), noun_for(1, "note")), ("0 bytes".into(), "note".into()));
    }

    #[test]
    fn counts_and_rates_count_in_powers_of_1000() {
        for (text, expected) in [("0", 0), ("12", 12), ("10k", 10_000), ("10K", 10_000), ("2M", 2_000_000)] {
            assert_eq!(count(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "1.5", "1Ki", "many"] {
            assert_eq!(count(text), Err(NOT_A_COUNT.into()), "{text}");
        }
        let rate = |text: &str| rate_within(text, &(0.01..=1e8));
        for (text, expected) in [("0.5", 0.5), ("500", 500.0), ("1.5k", 1500.0), ("2m", 2e6)] {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", ".", "k", "1e3", "inf", "nan", "-1", "1.2.3"] {
            assert!(rate(text).expect_err(text).starts_with("not a rate: "), "{text}");
        }
        assert_eq!(rate("0"), Err("must be from 0.01 to 100000000 per second".into()));
    }

    #[test]
    fn ranges_include_their_ends() {
        let workers = count_within::<u16>(1..=1024);
        assert_eq!((workers("1"), workers("1024")), (Ok(1), Ok(1024)));
        assert_eq!(workers("0"), Err("must be from 1 to 1024".into()));
        assert_eq!(workers("65k"), Err("must be from 1 to 1024".into()));
        let port = number_within::<u16>(0..=65_535);
        assert_eq!((port("0"), port("65535")), (Ok(0), Ok(65_535)));
        assert_eq!(port("65536"), Err("must be from 0 to 65535".into()));
        assert_eq!(port("8k"), Err("not a whole number".into()));
    }
}
