//! `--check`: everything that a start reads, and the settings in force. No address is bound.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::activation::Inherited;
use super::config::listen::{DEFAULT_PORT, Endpoint};
use super::config::load::Configuration;
use super::config::origin::{Origins, SocketOrigin};
use super::config::written::{WrittenSetting, line};
use super::exit_status::Failure;
use super::impaired::ImpairedListeners;
use super::server_config::{computed_defaults, server_config, warn_about_memory, warn_about_unused_options};
use super::{inetd, listeners};
use crate::server::ServerConfig;

/// The settings in force, as the text of a settings file in which those with their defaults are comments.
///
/// # Errors
/// Those of a start, before it binds its listeners.
pub fn settings_in_force(configuration: &Configuration, inherited: Inherited) -> Result<String, Failure> {
    let settings = &configuration.settings;
    let inherited = inetd::look(inherited, &settings.fixed)?;
    let origins = listeners::origins(&settings.fixed, &inherited)?;
    let config = server_config(settings, &origins)?;
    listeners::check(&settings.fixed, &inherited)?;
    warn_about_memory(&settings.reloadable, &config);
    // ExecReload= runs --check without the sockets of the service: the default listener alone says nothing about them
    if origins.served != [SocketOrigin::Own(Endpoint::default())] {
        warn_about_unused_options(&settings.reloadable, &origins);
    }
    ImpairedListeners::of_origins(&origins.served).update(&config.listeners);
    let mut text = String::from("# The settings in force. Those in comments have their defaults.\n");
    for default in computed_defaults(settings, &config) {
        // writing to a String cannot fail
        let _ = writeln!(text, "# {default}");
    }
    let names: Vec<String> = origins.served.iter().chain(&origins.side).map(SocketOrigin::to_string).collect();
    let _ = writeln!(text, "# Listeners: {}", names.join(", "));
    for WrittenSetting { name, value, is_default } in &configuration.written {
        let computed = || computed_default(name, &config, &origins);
        let value = value.clone().or_else(computed).unwrap_or_default();
        let line = line(name, &value, *is_default);
        // a settings file cannot name another one
        let comment = if name == "RETORTD_SETTINGS" && !is_default { "# Settings file: " } else { "" };
        let _ = writeln!(text, "{comment}{line}");
    }
    Ok(text)
}

/// The default of a setting for which the system decides it, or the other settings do.
fn computed_default(name: &str, config: &ServerConfig, origins: &Origins) -> Option<OsString> {
    let number = match name {
        "RETORTD_PORT" if origins.served.contains(&SocketOrigin::Own(Endpoint::default())) => DEFAULT_PORT.into(),
        "RETORTD_WORKERS" => config.workers as u64,
        "RETORTD_MAX_CONNECTIONS" => config.limits.max_connections? as u64,
        "RETORTD_MAX_BUFFERED" => config.limits.max_buffered?,
        _ => return None,
    };
    Some(number.to_string().into())
}
