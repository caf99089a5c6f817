//! Reads the configuration again, for SIGHUP. Nothing changes unless all of it can be used.

use std::ffi::OsString;

use log::warn;

use super::config::args::{FixedSettings, fixed_options};
use super::config::load::{Command, Configuration, Remark, load};
use super::config::origin::Origins;
use super::config::settings::Settings;
use super::server_config::server_config;
use crate::server;

/// The configuration after a reload.
#[derive(Debug)]
pub struct Reloaded {
    /// The settings that are in force from now on: the fixed ones are those of the start.
    pub settings: Settings,
    /// The configuration of the server that follows from them.
    pub config: server::ServerConfig,
}

/// Reads the configuration of a daemon whose listeners have these origins again; warns about settings that need a
/// restart. Defaults follow from the number of `workers` that run, which may not be what a start would choose now.
///
/// # Errors
/// The reason why the configuration cannot be used.
pub fn reload(
    arguments: &[OsString],
    running: &Settings,
    origins: &Origins,
    workers: usize,
) -> Result<Reloaded, String> {
    let Configuration { settings, remarks, .. } = match load(arguments) {
        Ok(Command::Serve(configuration)) => *configuration,
        Ok(Command::Check(_) | Command::List) => return Err("the command line does not serve".into()),
        Err(error) => return Err(error.into_failure().to_string()),
    };
    remarks.iter().for_each(Remark::log);
    let needs_restart = settings.need_restart(running);
    let mut settings = Settings { fixed: running.fixed.clone(), ..settings };
    if needs_restart {
        // before the options are checked: they may be refused because of a listener that only the running settings have
        warn!("{} change only with a restart", fixed_names());
        settings.reloadable.listener_options.keep_missing(&running.reloadable.listener_options, &origins.served);
    }
    // as if the number were set
    let fixed = FixedSettings { workers: u16::try_from(workers).ok(), ..settings.fixed.clone() };
    let as_it_runs = Settings { fixed, reloadable: settings.reloadable.clone() };
    let config = server_config(&as_it_runs, origins).map_err(|failure| failure.to_string())?;
    Ok(Reloaded { settings, config })
}

/// The names of all fixed settings, for a message.
fn fixed_names() -> String {
    let options = fixed_options();
    let (last, others) = options.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
    format!("the addresses and modes of listeners, {} and {last}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Descriptors and memory are left to connections as the workers need them that run, not those of another start.
    #[test]
    fn defaults_follow_from_running_workers() {
        let arguments = [OsString::from("retortd")];
        let Ok(Command::Serve(configuration)) = load(&arguments) else { panic!("no configuration") };
        let reloaded =
            |workers| reload(&arguments, &configuration.settings, &Origins::default(), workers).expect("reloaded");
        let (few, many) = (reloaded(1), reloaded(100));
        assert_eq!((few.config.workers, many.config.workers), (1, 100));
        assert!(few.config.limits.max_connections > many.config.limits.max_connections);
        assert_eq!(many.settings, configuration.settings);
    }

    #[test]
    fn fixed_settings_are_named() {
        let names = "the addresses and modes of listeners, --connection, --backlog, --recv-buffer, --send-buffer, \
                     --workers, --seed, --log and --log-format";
        assert_eq!(fixed_names(), names);
    }
}
