//! The parsed statistics line of the log.

use std::collections::BTreeMap;

/// The counters of the line; field names are the words of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    pub accepted: u64,
    pub closed: u64,
    pub closed_by: BTreeMap<String, u64>,
    pub open: u64,
    pub requests: u64,
    pub answered: u64,
    pub refused: u64,
    pub abandoned: u64,
    pub abandoned_by: BTreeMap<String, u64>,
    pub in_flight: u64,
    pub records: u64,
    /// The connections on which an impairment has acted, by its kind.
    pub impaired_by: BTreeMap<String, u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub accept_lost: u64,
    pub accept_paused: u64,
    pub accept_over_rate: u64,
    pub log_dropped: u64,
}

impl Statistics {
    pub fn parse(line: &str) -> Self {
        let at = line.find("statistics: ").expect("a statistics line");
        let line = &line[at..];
        Self {
            accepted: number(line, " accepted "),
            closed: number(line, " closed "),
            closed_by: reasons(line, " closed "),
            open: number(line, " open "),
            requests: number(line, " requests "),
            answered: number(line, " answered "),
            refused: number(line, " refused "),
            abandoned: number(line, " abandoned "),
            abandoned_by: reasons(line, " abandoned "),
            in_flight: number(line, " in flight "),
            records: number(line, " records "),
            impaired_by: impaired(line),
            bytes_in: number(line, " bytes in "),
            bytes_out: number(line, ", out "),
            accept_lost: number(line, " accept lost "),
            accept_paused: number(line, ", paused "),
            accept_over_rate: number(line, ", over rate "),
            log_dropped: number(line, " log messages dropped "),
        }
    }

    /// The number of connections that were closed for this reason.
    pub fn closed_for(&self, reason: &str) -> u64 {
        self.closed_by.get(reason).copied().unwrap_or(0)
    }

    /// The name of a counter that is not the sum of its parts; None if all sums are right.
    pub fn wrong_sum(&self) -> Option<&'static str> {
        let ended = self.answered + self.refused + self.abandoned;
        let sums = [
            ("connections", self.accepted == self.closed + self.open),
            ("closed by reason", self.closed == self.closed_by.values().sum::<u64>()),
            ("abandoned by reason", self.abandoned == self.abandoned_by.values().sum::<u64>()),
            ("requests", self.requests == ended + self.in_flight),
            ("requests in flight without a connection", self.open > 0 || self.in_flight == 0),
        ];
        sums.into_iter().find_map(|(what, right)| (!right).then_some(what))
    }
}

fn number(line: &str, label: &str) -> u64 {
    let at = line.find(label).unwrap_or_else(|| panic!("no{label}in {line}")) + label.len();
    let digits = line[at..].split(|character: char| !character.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no number after{label}in {line}"))
}

/// Parses the list in parentheses after the number: `(finished 2, reset 1)`.
fn reasons(line: &str, label: &str) -> BTreeMap<String, u64> {
    let at = line.find(label).expect("checked by number()") + label.len();
    let behind = line[at..].trim_start_matches(|character: char| character.is_ascii_digit());
    let Some(list) = behind.strip_prefix(" (").and_then(|list| list.split(')').next()) else { return BTreeMap::new() };
    let pairs = list.split(", ").filter_map(|pair| pair.rsplit_once(' '));
    pairs.map(|(reason, count)| (reason.to_string(), count.parse().expect("a count"))).collect()
}

/// Parses the list of kinds, which is there if an impairment has acted: `; impaired latency 3, slow-close 1;`.
fn impaired(line: &str) -> BTreeMap<String, u64> {
    let Some((_, list)) = line.split_once("; impaired ") else { return BTreeMap::new() };
    let pairs = list.split(';').next().unwrap_or_default().split(", ").filter_map(|pair| pair.split_once(' '));
    pairs.map(|(kind, count)| (kind.to_string(), count.parse().expect("a count"))).collect()
}
