//! Where random numbers come from, and whether they are still needed.

/// What shuffle (in code points) and random (in bytes of the text) work on between two looks at
/// [`RandomSource::is_wanted`]: about a millisecond's work, whose cost hides that of the look.
pub(super) const CHECK_INTERVAL: usize = 64 * 1024;

/// Where random numbers come from; the server passes its own, tests a scripted one.
pub trait RandomSource {
    /// Whether the answer is still wanted. If it is not, an action may stop at once, and what it leaves is unspecified.
    fn is_wanted(&self) -> bool {
        true
    }

    /// A uniform number in `0..bound`, without bias; `bound` is not 0.
    fn below(&mut self, bound: usize) -> usize;
    /// A uniform number in `[0, 1)`.
    fn unit(&mut self) -> f64;
}
