//! `daytime`: the date and time as one line of ASCII, then closes (RFC 867).

use crate::protocol::chunk;
use crate::protocol::contract::{CallContext, CloseCause, Exchange, Progress, Protocol};

const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
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

/// A connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Daytime;

impl Protocol for Daytime {
    fn open(&mut self, exchange: &mut Exchange<'_>, context: &mut CallContext<'_>) -> Progress {
        exchange.reply(line((context.unix_time)()).as_bytes());
        chunk::count(exchange, "daytime", 0);
        Progress::Close(CloseCause::Complete)
    }

    fn process(&mut self, _exchange: &mut Exchange<'_>, _context: &mut CallContext<'_>) -> Progress {
        Progress::Close(CloseCause::Complete)
    }
}

/// `Weekday, Month Day, Year Time-Zone`, the first form that the RFC suggests.
#[must_use]
pub fn line(unix_time: u64) -> String {
    let (days, second) = (unix_time / 86_400, unix_time % 86_400);
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS[(days % 7) as usize];
    let month = MONTHS[month - 1];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
}

/// Year, month (from 1) and day (from 1) of the Gregorian calendar, so many days after 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, and in eras of 400 years, all of which
/// have the same 146,097 days.
fn civil(days: u64) -> (u64, usize, u64) {
    let since_march_0000 = days + 719_468;
    let (era, day_of_era) = (since_march_0000 / 146_097, since_march_0000 % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, five months always have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::{civil, line};

    #[test]
    fn known_moments() {
        for (unix_time, expect) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC\r\n"),
            (951_782_399, "Monday, February 28, 2000 23:59:59-UTC\r\n"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC\r\n"),
            (1_000_000_000, "Sunday, September 9, 2001 01:46:40-UTC\r\n"),
            (1_709_164_800, "Thursday, February 29, 2024 00:00:00-UTC\r\n"),
            (1_735_689_599, "Tuesday, December 31, 2024 23:59:59-UTC\r\n"),
            (1_795_220_304, "Saturday, November 21, 2026 00:18:24-UTC\r\n"),
            (4_107_542_399, "Sunday, February 28, 2100 23:59:59-UTC\r\n"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC\r\n"),
        ] {
            assert_eq!(line(unix_time), expect);
        }
    }

    #[test]
    fn every_day_of_400_years_follows_the_one_before() {
        let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), (year, month, day));
            let last = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            (day, month) = if day < last { (day + 1, month) } else { (1, month + 1) };
            (year, month) = if month <= 12 { (year, month) } else { (year + 1, 1) };
        }
        assert_eq!((year, month, day), (2370, 1, 1));
    }
}
