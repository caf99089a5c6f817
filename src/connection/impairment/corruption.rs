//! Flipped bits: each byte of the output has one with a chance. Which bytes, and which bit, follows from their positions.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::random::{Purpose, generator};
use super::settings::Probability;

/// Where the next bit is flipped.
#[derive(Clone, Debug)]
pub(super) struct Corruption {
    numbers: Rng,
    /// Bytes before the next one with a flipped bit.
    spared: u64,
}

/// A [`Corruption`] in a form that another process can continue from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedCorruption {
    numbers: u64,
    spared: u64,
}

impl Corruption {
    /// That of the listener's connection with this number, from the first byte on; `None` without a chance.
    pub(super) fn new(chance: Probability, seed: u64, number: u64) -> Option<Self> {
        if chance == Probability::NEVER {
            return None;
        }
        let mut numbers = generator(seed, number, Purpose::Corruption);
        let spared = spared(&mut numbers, chance);
        Some(Self { numbers, spared })
    }

    /// Flips bits in the next bytes; returns whether there was one.
    pub(super) fn apply(&mut self, bytes: &mut [u8], chance: Probability) -> bool {
        let mut rest = bytes;
        let mut has_flipped = false;
        while let Some(byte) = usize::try_from(self.spared).ok().and_then(|place| rest.get_mut(place)) {
            *byte ^= 1 << self.numbers.u8(..8);
            has_flipped = true;
            let place = usize::try_from(self.spared).unwrap_or(usize::MAX);
            rest = &mut rest[place + 1..];
            self.spared = spared(&mut self.numbers, chance);
        }
        self.spared -= rest.len() as u64;
        has_flipped
    }

    pub(super) fn save(&self) -> SavedCorruption {
        SavedCorruption { numbers: self.numbers.get_seed(), spared: self.spared }
    }

    pub(super) fn restore(saved: SavedCorruption) -> Self {
        Self { numbers: Rng::with_seed(saved.numbers), spared: saved.spared }
    }
}

/// The number of bytes before the next one with a flipped bit: it is distributed geometrically.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a quotient of negative numbers, which the cast rounds down and bounds"
)]
fn spared(numbers: &mut Rng, chance: Probability) -> u64 {
    // ln_1p keeps chances that are too small for 1 - chance
    ((-numbers.f64()).ln_1p() / (-chance.get()).ln_1p()) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chance(chance: f64) -> Probability {
        Probability::new(chance).expect("a chance")
    }

    /// Zeros with their flipped bits, of pieces of these lengths.
    fn flipped(probability: f64, seed: u64, lengths: &[usize]) -> Vec<u8> {
        let mut corruption = Corruption::new(chance(probability), seed, 1).expect("a chance");
        let mut all = Vec::new();
        for length in lengths {
            let mut piece = vec![0; *length];
            let has_flipped = corruption.apply(&mut piece, chance(probability));
            assert_eq!(has_flipped, piece.iter().any(|byte| *byte != 0));
            corruption = Corruption::restore(corruption.save());
            all.extend(piece);
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn flipped_bits_depend_on_positions_only(
            lengths in proptest::collection::vec(0..500usize, 0..20),
            probability in prop_oneof![Just(1.0), Just(0.5), Just(0.01), Just(1e-9), Just(f64::MIN_POSITIVE)],
            seed: u64,
        ) {
            prop_assert_eq!(flipped(probability, seed, &lengths), flipped(probability, seed, &[lengths.iter().sum()]));
        }
    }

    #[test]
    fn each_byte_has_one_flipped_bit_with_the_chance() {
        for probability in [1.0, 0.3, 0.001] {
            let bytes = flipped(probability, 7, &[1_000_000]);
            assert!(bytes.iter().all(|byte| byte.count_ones() <= 1));
            let count = f64::from(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>());
            let (mean, deviation) = (1e6 * probability, (1e6 * probability * (1.0 - probability)).sqrt());
            assert!((count - mean).abs() <= 5.0 * deviation, "{count} of 1000000 at {probability}");
        }
        assert!(Corruption::new(Probability::NEVER, 7, 1).is_none());
        assert_ne!(flipped(0.5, 7, &[100]), flipped(0.5, 8, &[100]));
    }
}
