//! The listeners that are impaired: warnings about them, and their part of the status.

use std::sync::Arc;

use log::warn;

use super::config::origin::SocketOrigin;
use crate::server::{Impairments, ListenerOptions};

/// The most listeners that the status names. Chosen: their names fit into a line, and few listeners are impaired.
const NAMED: usize = 4;

/// The listeners of the workers, and the connection that was passed, with their impairments.
#[derive(Clone, Debug, Default)]
pub struct ImpairedListeners {
    all: Vec<(String, Arc<Impairments>)>,
}

impl ImpairedListeners {
    /// Listeners with these names that are not impaired.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { all: names.into_iter().map(|name| (name, Arc::default())).collect() }
    }

    /// Those of listeners with these origins, as they are written.
    #[must_use]
    pub fn of_origins(origins: &[SocketOrigin]) -> Self {
        Self::new(origins.iter().map(SocketOrigin::to_string))
    }

    /// Takes over the options of all of them, in their order, and warns about each one whose impairments change.
    pub fn update(&mut self, options: &[Arc<ListenerOptions>]) {
        self.changes(options).iter().for_each(|line| warn!("{line}"));
    }

    fn changes(&mut self, options: &[Arc<ListenerOptions>]) -> Vec<String> {
        let mut lines = Vec::new();
        for ((name, present), options) in self.all.iter_mut().zip(options) {
            if *present == options.impairments {
                continue;
            }
            let (was_none, is_none) = (present.is_none(), options.impairments.is_none());
            present.clone_from(&options.impairments);
            match (was_none, is_none) {
                (true, true) => {}
                (false, true) => lines.push(format!("{name} is not impaired any more")),
                (_, false) => lines.push(format!("{name} is impaired: {present}")),
            }
        }
        lines
    }

    /// A status with those that are impaired behind it.
    #[must_use]
    pub fn behind(&self, status: String) -> String {
        let names = self.all.iter().filter(|(_, impairments)| !impairments.is_none()).map(|(name, _)| name.as_str());
        let names: Vec<&str> = names.collect();
        let named = names[..names.len().min(NAMED)].join(", ");
        match names.len() {
            0 => status,
            count if count > NAMED => format!("{status}; impaired: {named} and {} more", count - NAMED),
            _ => format!("{status}; impaired: {named}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Fault, FaultAfter};

    fn cut_after(after: u64) -> Arc<ListenerOptions> {
        let fault = Some(FaultAfter { fault: Fault::Cut, after });
        let impairments = Arc::new(Impairments { fault, ..Impairments::default() });
        Arc::new(ListenerOptions { impairments, ..ListenerOptions::default() })
    }

    #[test]
    fn changes_are_warned_about_and_the_status_names_what_is_impaired() {
        let mut listeners = ImpairedListeners::new(["frame=[::]:8083", "echo=[::]:7"].map(String::from));
        let status = |listeners: &ImpairedListeners| listeners.behind("serving".into());
        let none = Arc::<ListenerOptions>::default();
        assert_eq!(listeners.changes(&[none.clone(), none.clone()]), Vec::<String>::new());
        assert_eq!(status(&listeners), "serving");
        assert_eq!(listeners.changes(&[none.clone(), cut_after(5)]), ["echo=[::]:7 is impaired: cut-after=5"]);
        assert_eq!(listeners.changes(&[none.clone(), cut_after(5)]), Vec::<String>::new());
        assert_eq!(status(&listeners), "serving; impaired: echo=[::]:7");
        let changed = ["frame=[::]:8083 is impaired: cut-after=0", "echo=[::]:7 is impaired: cut-after=6"];
        assert_eq!(listeners.changes(&[cut_after(0), cut_after(6)]), changed);
        assert_eq!(status(&listeners), "serving; impaired: frame=[::]:8083, echo=[::]:7");
        assert_eq!(listeners.changes(&[cut_after(0), none]), ["echo=[::]:7 is not impaired any more"]);
        assert_eq!(status(&listeners), "serving; impaired: frame=[::]:8083");
    }

    #[test]
    fn the_status_names_few_of_many_impaired_listeners() {
        let mut listeners = ImpairedListeners::new((1..=6).map(|port| format!("echo={port}")));
        listeners.changes(&vec![cut_after(1); 6]);
        let named = "serving; impaired: echo=1, echo=2, echo=3, echo=4 and 2 more";
        assert_eq!(listeners.behind("serving".into()), named);
    }
}
