//! A check of a server, or a scenario for a client program, as the reports know it.

/// One thing that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The group that `--only` and the reports know it by.
    pub group: &'static str,
    /// The name, unique among all names and groups of its judge.
    pub name: &'static str,
    /// The correct behaviour, in one line.
    pub about: &'static str,
    /// Whether it runs only if `--only` names it or its group.
    pub only_by_name: bool,
}

impl Subject {
    /// Whether `name` is its name or that of its group.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.name == name || self.group == name
    }
}

/// The judges, for the words of their reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// `check`, which judges a server by checks.
    OfServers,
    /// `check-client`, which judges a client program by scenarios.
    OfClients,
}

impl Judge {
    /// One subject.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::OfServers => "check",
            Self::OfClients => "scenario",
        }
    }

    /// Several subjects.
    #[must_use]
    pub fn nouns(self) -> &'static str {
        match self {
            Self::OfServers => "checks",
            Self::OfClients => "scenarios",
        }
    }

    /// The program that is judged, as a key of the JSON report.
    #[must_use]
    pub fn target_key(self) -> &'static str {
        match self {
            Self::OfServers => "target",
            Self::OfClients => "command",
        }
    }
}
