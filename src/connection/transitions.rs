//! Which state of a connection may follow which.

/// A state without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Handshake,
    Idle,
    Receiving,
    Skipping,
    Replying,
    WaitingForMemory,
    Offloaded,
    Generating,
    Lingering,
}

/// The states that may follow each state; a connection may close in every state. Debug builds check every transition,
/// and a test makes each of them.
pub(super) const TRANSITIONS: &[(Kind, &[Kind])] = {
    use Kind::{Generating, Handshake, Idle, Lingering, Offloaded, Receiving, Replying, Skipping, WaitingForMemory};
    &[
        (Handshake, &[Idle, Generating, Lingering]),
        (Idle, &[Receiving, Lingering]),
        (Receiving, &[Idle, Skipping, Replying, WaitingForMemory, Offloaded, Lingering]),
        (Skipping, &[Receiving, Lingering]),
        (Replying, &[Idle, Receiving, Skipping, Generating, Lingering]),
        (WaitingForMemory, &[Receiving, Lingering]),
        (Offloaded, &[Replying, WaitingForMemory, Lingering]),
        (Generating, &[Receiving, Lingering]),
        (Lingering, &[]),
    ]
};

/// Debug builds hold every transition to the table; unit tests record it.
pub(super) fn check_transition(from: Kind, to: Kind) {
    debug_assert!(
        from == to || TRANSITIONS.iter().any(|(state, next)| *state == from && next.contains(&to)),
        "{from:?} may not be followed by {to:?}"
    );
    #[cfg(test)]
    super::tests::record(from, to);
}
