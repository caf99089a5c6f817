//! The random numbers of impairments: each purpose and each connection has a generator of its own, which follows from
//! the seed and the number of the connection.

/// What random numbers are drawn for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Whether a connection is impaired.
    Choice,
    /// The latency of each piece.
    Jitter,
    /// The places of flipped bits.
    Corruption,
}

/// The generator for a purpose, of the listener's connection with this number.
pub(super) fn generator(seed: u64, number: u64, purpose: Purpose) -> fastrand::Rng {
    fastrand::Rng::with_seed(mix(mix(mix(seed) ^ number) ^ purpose as u64))
}

/// Spreads the bits of a number: seeds that differ little give generators that have nothing in common. The finalizer of
/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
