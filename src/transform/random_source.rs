//! The source of random numbers, and the check whether the output is still needed.

/// The amount of work between two calls of [`RandomSource::is_wanted`]: code points for shuffle, bytes of text for
/// random. Derived: shuffle takes 10 to 30 ns for each (group `16MiB` of `benches/transform.rs`), so that checks are
/// one or two milliseconds apart, beside which a call costs nothing.
pub(super) const CHECK_INTERVAL: usize = 64 * 1024;

/// A source of random numbers. The daemon passes its generator, tests pass scripted numbers.
pub trait RandomSource {
    /// Whether the output is still needed. If it is not, an action may stop early; text and output are then
    /// unspecified.
    fn is_wanted(&self) -> bool {
        true
    }

    /// A uniform number in `0..bound`, without bias; `bound` is not 0.
    fn below(&mut self, bound: usize) -> usize;
    /// A uniform number in `[0, 1)`.
    fn unit(&mut self) -> f64;
}
