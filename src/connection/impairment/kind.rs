//! The kinds of impairments, by which they are counted and logged.

use serde::{Deserialize, Serialize};

/// What happens to a connection after a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing more is sent.
    Stall,
    /// The server half-closes.
    Cut,
    /// The server resets.
    Reset,
}

impl Fault {
    /// The option that sets the number of bytes.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Stall => "stall-after",
            Self::Cut => "cut-after",
            Self::Reset => "reset-after",
        }
    }

    /// The kind under which it is counted.
    #[must_use]
    pub fn kind(self) -> ImpairmentKind {
        match self {
            Self::Stall => ImpairmentKind::Stall,
            Self::Cut => ImpairmentKind::Cut,
            Self::Reset => ImpairmentKind::Reset,
        }
    }
}

/// The kind of an impairment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ImpairmentKind {
    /// Bytes were sent later.
    Latency,
    /// Bytes had to wait for the rate.
    Rate,
    /// Bytes were sent in several slices.
    Slice,
    /// The output stopped.
    Stall,
    /// The server has half-closed after a number of bytes.
    Cut,
    /// The server has reset after a number of bytes.
    Reset,
    /// The end of the output came later.
    SlowClose,
    /// The connection was reset when it was accepted.
    Refuse,
    /// A bit was flipped.
    Corrupt,
}

impl ImpairmentKind {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::Latency,
        Self::Rate,
        Self::Slice,
        Self::Stall,
        Self::Cut,
        Self::Reset,
        Self::SlowClose,
        Self::Refuse,
        Self::Corrupt,
    ];

    /// The word for it in statistics and the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Rate => "rate",
            Self::Slice => "slice",
            Self::Stall => "stall",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::SlowClose => "slow-close",
            Self::Refuse => "refuse",
            Self::Corrupt => "corrupt",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// Adds a kind.
    pub(super) fn add(&mut self, kind: ImpairmentKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Those that `other` has not.
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those of both.
    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds, in their order.
    pub(super) fn iter(self) -> impl Iterator<Item = ImpairmentKind> {
        ImpairmentKind::ALL.into_iter().filter(move |kind| self.0 & 1 << *kind as u8 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_place_and_name() {
        for (place, kind) in ImpairmentKind::ALL.into_iter().enumerate() {
            assert_eq!(place, kind as usize);
            assert_eq!(ImpairmentKind::ALL.iter().filter(|other| other.name() == kind.name()).count(), 1);
        }
    }

    #[test]
    fn sets_of_kinds_are_added_and_subtracted() {
        let mut acted = Kinds::default();
        acted.add(ImpairmentKind::Corrupt);
        let counted = acted;
        acted.add(ImpairmentKind::Latency);
        acted.add(ImpairmentKind::Latency);
        assert!(acted.iter().eq([ImpairmentKind::Latency, ImpairmentKind::Corrupt]));
        assert!(acted.without(counted).iter().eq([ImpairmentKind::Latency]));
        assert_eq!(acted.without(counted).with(counted), acted);
    }
}
