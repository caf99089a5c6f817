//! Counts by reason and by result, saved by name: their order may change from one version to the next.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::close_reason::CloseReason;
use super::impairment::ImpairmentKind;
use super::proxy_result::ProxyResult;

/// Serializes the counts that are not 0.
fn serialize<S: Serializer, const N: usize>(
    counts: &[u64; N],
    names: [&'static str; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let named = names.into_iter().zip(counts).filter(|(_, count)| **count > 0);
    named.collect::<BTreeMap<_, _>>().serialize(serializer)
}

/// # Errors
/// A name that is none of `names`.
fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    names: [&'static str; N],
    deserializer: D,
) -> Result<[u64; N], D::Error> {
    let mut counts = [0; N];
    for (name, count) in BTreeMap::<String, u64>::deserialize(deserializer)? {
        let place = names.iter().position(|known| *known == name);
        counts[place.ok_or_else(|| D::Error::custom(format_args!("unknown count {name:?}")))?] = count;
    }
    Ok(counts)
}

/// A path for `serde(with)`: counts in the order of `ALL` of a type with names.
macro_rules! by_name {
    ($(#[$attribute:meta])* $path:ident, $named:ident) => {
        $(#[$attribute])*
        pub struct $path;

        impl $path {
            pub fn serialize<S: Serializer>(
                counts: &[u64; $named::ALL.len()],
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serialize(counts, $named::ALL.map($named::name), serializer)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<[u64; $named::ALL.len()], D::Error> {
                deserialize($named::ALL.map($named::name), deserializer)
            }
        }
    };
}

by_name!(
    /// Counts by [`CloseReason`].
    Reasons,
    CloseReason
);
by_name!(
    /// Counts by [`ImpairmentKind`].
    ImpairmentKinds,
    ImpairmentKind
);
by_name!(
    /// Counts by [`ProxyResult`].
    ProxyResults,
    ProxyResult
);

#[cfg(test)]
mod tests {
    use crate::connection::{CloseReason, ImpairmentKind, ProxyResult, Totals};

    #[test]
    fn totals_are_saved_by_name_and_missing_ones_are_zero() {
        let mut totals = Totals { accepted: 7, bytes_in: u64::MAX, ..Totals::default() };
        totals.closed[CloseReason::Reset as usize] = 3;
        totals.proxy[ProxyResult::V2 as usize] = 2;
        totals.impaired[ImpairmentKind::SlowClose as usize] = 4;
        totals.durations.counts[11] = 5;
        let saved = serde_json::to_string(&totals).expect("JSON");
        assert!(saved.contains(r#""closed":{"reset":3}"#) && saved.contains(r#""proxy":{"v2":2}"#), "{saved}");
        assert!(saved.contains(r#""impaired":{"slow-close":4}"#), "{saved}");
        assert_eq!(serde_json::from_str::<Totals>(&saved).expect("totals"), totals);
        assert_eq!(serde_json::from_str::<Totals>("{}").expect("no totals"), Totals::default());
        for unknown in [r#"{"closed":{"bored":1}}"#, r#"{"bored":1}"#] {
            assert!(serde_json::from_str::<Totals>(unknown).is_err(), "{unknown}");
        }
    }
}
