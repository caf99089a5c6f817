//! x
use super::tally::Latencies;
/// x
pub fn document(_t: &str, _l: &Latencies) -> String {
    String::new()
}
