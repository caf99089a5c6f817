//! The definition of a scenario, and the protocols that it applies to.

use super::trial::Trial;
use crate::client::client_protocol::ClientProtocol;
use crate::client::judge::subject::Subject;

pub use super::result::ScenarioResult;

/// A named scenario.
#[derive(Debug)]
pub struct Scenario {
    /// The group that `--only` and the reports know it by.
    pub group: &'static str,
    /// The name, unique among all scenarios and groups.
    pub name: &'static str,
    /// The protocols that it applies to.
    pub applies_to: AppliesTo,
    /// The scenario itself.
    pub run: fn(&Trial) -> ScenarioResult,
    /// The behaviour of a correct client, in one line.
    pub about: &'static str,
    /// The probable cause of a failure: a sentence without a period, to the author of the client.
    pub hint: &'static str,
}

/// The protocols that a scenario applies to.
#[derive(Clone, Copy, Debug)]
pub enum AppliesTo {
    /// All whose clients can be judged.
    All,
    /// Both editions of `frame`.
    Frames,
    /// Those whose replies have a length: all but `echo`.
    WithLengths,
    /// Those with this action.
    WithAction(&'static str),
    /// This one.
    Only(&'static str),
}

/// The protocols whose clients can be judged.
pub const JUDGED: &[&str] = &["frame", "frame-2021", "text", "echo"];

impl AppliesTo {
    /// Whether the protocol is one of them.
    #[must_use]
    pub fn includes(self, protocol: ClientProtocol) -> bool {
        JUDGED.contains(&protocol.name())
            && match self {
                Self::All => true,
                Self::Frames => protocol.has_action_codes(),
                Self::WithLengths => protocol.has_reply_length(),
                Self::WithAction(action) => protocol.actions().any(|possible| possible.name() == action),
                Self::Only(only) => protocol.name() == only,
            }
    }
}

impl Scenario {
    /// The scenario as the reports know it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject { group: self.group, name: self.name, about: self.about, only_by_name: false }
    }
}
