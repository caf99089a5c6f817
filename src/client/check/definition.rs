//! The definition of a check, and the protocols that it applies to.

use super::context::CheckContext;
use super::failure::CheckResult;
use crate::client::client_protocol::{ClientProtocol, ConnectionUse};
use crate::client::judge::subject::Subject;

/// A named check.
#[derive(Debug)]
pub struct Check {
    /// The group that `--only` and the reports know it by.
    pub group: &'static str,
    /// The name, unique among all checks and groups.
    pub name: &'static str,
    /// The protocols that it applies to.
    pub applies_to: AppliesTo,
    /// The check itself.
    pub run: fn(&CheckContext) -> CheckResult,
    /// The behaviour of a correct server, in one line.
    pub about: &'static str,
    /// The probable cause of a failure: a sentence without a period, to the author of the server.
    pub hint: &'static str,
}

/// The protocols that a check applies to.
#[derive(Clone, Copy, Debug)]
pub enum AppliesTo {
    /// All that can be checked.
    All,
    /// Both editions of `frame`.
    Frames,
    /// Those whose requests name an action.
    WithActions,
    /// Those with this action.
    WithAction(&'static str),
    /// Those whose messages have a length field.
    WithLengths,
    /// Those that reply to requests, any number of which may be in flight.
    Replying,
    /// This one.
    Only(&'static str),
    /// Those in which a client without a request, or with one, gets bytes; also `who`, which has no other checks.
    WithReply,
}

/// The protocols that can be checked.
pub const CHECKABLE: &[&str] =
    &["frame", "frame-2021", "text", "echo", "length-prefix", "discard", "daytime", "time", "qotd", "chargen"];

impl AppliesTo {
    /// Whether the protocol is one of them.
    #[must_use]
    pub fn includes(self, protocol: ClientProtocol) -> bool {
        let name = protocol.name();
        if matches!(self, Self::WithReply) && name == "who" {
            return true;
        }
        CHECKABLE.contains(&name)
            && match self {
                Self::All => true,
                Self::WithReply => protocol.connection_use() != ConnectionUse::NoReply,
                Self::Frames => protocol.has_action_codes(),
                Self::WithActions => protocol.has_actions(),
                Self::WithAction(action) => protocol.actions().any(|possible| possible.name() == action),
                Self::WithLengths => protocol.has_reply_length(),
                Self::Replying => protocol.connection_use() == ConnectionUse::Pipelined,
                Self::Only(only) => name == only,
            }
    }
}

/// The group of checks for receivers of the PROXY protocol, which runs only if `--only` names it or its checks.
pub const PROXY: &str = "proxy";

impl Check {
    /// Whether it runs without `--only`.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.group != PROXY
    }

    /// Whether `name` is its name or that of its group.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.subject().has_name(name)
    }

    /// The check, as the reports know it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject { group: self.group, name: self.name, about: self.about, only_by_name: !self.is_default() }
    }
}

/// The protocols that can be checked, in the order of [`CHECKABLE`].
pub fn checkable_protocols() -> impl Iterator<Item = ClientProtocol> {
    CHECKABLE.iter().filter_map(|name| ClientProtocol::by_name(name))
}

/// The protocols that can be checked, for a message.
#[must_use]
pub fn checkable() -> String {
    CHECKABLE.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(applies_to: AppliesTo) -> Vec<&'static str> {
        let includes = |name: &&&str| applies_to.includes(ClientProtocol::by_name(name).unwrap());
        CHECKABLE.iter().filter(includes).copied().collect()
    }

    #[test]
    fn checks_apply_by_the_form_of_a_protocol() {
        let framed = ["frame", "frame-2021", "text", "length-prefix"];
        assert_eq!(included(AppliesTo::WithLengths), framed);
        assert_eq!(included(AppliesTo::Replying), ["frame", "frame-2021", "text", "echo", "length-prefix"]);
        assert_eq!(included(AppliesTo::All), CHECKABLE);
        assert!(!AppliesTo::All.includes(ClientProtocol::by_name("ack").unwrap()));
        let with_reply = included(AppliesTo::WithReply);
        assert_eq!(with_reply, CHECKABLE.iter().copied().filter(|name| *name != "discard").collect::<Vec<_>>());
        assert!(AppliesTo::WithReply.includes(ClientProtocol::by_name("who").unwrap()));
    }

    #[test]
    fn help_names_the_checkable_protocols() {
        let command = crate::client::command();
        let check = command.find_subcommand("check").expect("a subcommand");
        let help = check.get_long_about().expect("a description").to_string();
        assert!(help.contains(&checkable()), "{help}");
    }
}
