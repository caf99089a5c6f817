//! Dates from seconds: UTC, without leap seconds.

#![allow(clippy::cast_possible_truncation, reason = "a month is at most 12")]

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// The days of the week, from that of 1970-01-01.
pub const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
/// The months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A second, in the Gregorian calendar and UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The year.
    pub year: u64,
    /// The month, from 1.
    pub month: usize,
    /// The day, from 1.
    pub day: u64,
    /// The hour, from 0.
    pub hour: u64,
    /// The minute, from 0.
    pub minute: u64,
    /// The second, from 0.
    pub second: u64,
}

impl Moment {
    /// The moment `unix_time` seconds after 1970-01-01 00:00.
    #[must_use]
    pub fn new(unix_time: u64) -> Self {
        let (year, month, day) = civil(unix_time / DAY);
        let second = unix_time % DAY;
        Self { year, month, day, hour: second / 3600, minute: second / 60 % 60, second: second % 60 }
    }
}

/// Year, month (from 1) and day (from 1) of the Gregorian calendar, from the number of days since 1970-01-01.
///
/// The algorithm is Howard Hinnant's `civil_from_days`. Years begin in March, so that the leap day is the last of its
/// year, and are grouped in eras of 400 years, each of which has 146,097 days.
fn civil(days: u64) -> (u64, usize, u64) {
    let since_march_0000 = days + 719_468;
    let (era, day_of_era) = (since_march_0000 / 146_097, since_march_0000 % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // from March on, any five months have 153 days
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_a_late_second_of_a_day() {
        let first = Moment { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        assert_eq!(Moment::new(0), first);
        assert_eq!(Moment::new(DAY - 1), Moment { hour: 23, minute: 59, second: 59, ..first });
    }

    #[test]
    fn every_day_of_400_years_follows_the_day_before() {
        let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097_u64 {
            assert_eq!(civil(days), (year, month, day));
            let last = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            (day, month) = if day < last { (day + 1, month) } else { (1, month + 1) };
            (year, month) = if month <= 12 { (year, month) } else { (year + 1, 1) };
        }
        assert_eq!((year, month, day), (2370, 1, 1));
    }
}
