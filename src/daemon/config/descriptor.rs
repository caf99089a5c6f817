//! The names of inherited descriptors, `NAME[,OPTION]...` (`FileDescriptorName=` in systemd.socket(5)), and the settings
//! about them: `--listener-options` and `--connection` (LISTENERS in retortd(8)).
//!
//! A socket unit cannot be relied on to name its descriptor: systemd ignores a name that contains a colon or is longer
//! than 255 characters, and uses the name of the unit. So a name carries no option that restricts the access to a
//! listener: those are in the settings.

use std::str::FromStr;

use super::listener_option::ListenerOption;
use super::listener_syntax::Written;
use super::service::{Service, default_protocol, protocol_called};
use super::socket_mode::SocketMode;

/// The name that systemd gives to the descriptor of an `Accept=yes` unit; version 252 does so whatever the unit says.
const CONNECTION: &str = "connection";
/// The options that the name of a descriptor may carry.
const OPTIONS_OF_NAMES: &[&str] = &["proxy"];

/// The use of an inherited socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// Its name, with the options that it carries; may be empty.
    pub full_name: String,
    /// Its name, without options; may be empty.
    pub name: String,
    /// The service.
    pub service: Service,
    /// The options, in their order.
    pub options: Vec<ListenerOption>,
}

impl Descriptor {
    /// The use of a socket whose descriptor has this name; `connection`, if given, is that of the name `connection`.
    ///
    /// # Errors
    /// The name means no protocol, or it has an address or an option that no name can have.
    pub fn of_name(name: &str, connection: Option<&Self>) -> Result<Self, String> {
        if let Some(connection) = connection.filter(|_| name == CONNECTION) {
            return Ok(connection.clone());
        }
        let (service, options) = match service_of_name(name) {
            Some(service) => (service, Vec::new()),
            None => parse_name(name)?,
        };
        let without_options = name.split(',').next().unwrap_or_default().into();
        Ok(Self { full_name: name.into(), name: without_options, service, options })
    }

    /// The use of the sockets that systemd calls `connection`: a value of `--connection`.
    ///
    /// # Errors
    /// It names no protocol, has an address, or an option is unknown or invalid.
    pub fn of_connection(text: &str) -> Result<Self, String> {
        let written = Written::parse(text)?;
        let service = Service::Protocol(protocol_called(written.name)?);
        check_no_address(&written)?;
        let name = String::from(CONNECTION);
        Ok(Self { full_name: name.clone(), name, service, options: options_of(written, service)? })
    }
}

/// The service and the options in a name that is more than the name of a service.
fn parse_name(name: &str) -> Result<(Service, Vec<ListenerOption>), String> {
    let written = Written::parse(name)?;
    let service = service_of_name(written.name).ok_or("no protocol has that name")?;
    check_no_address(&written)?;
    if let Some(option) = written.options.iter().find(|option| !OPTIONS_OF_NAMES.contains(&option.name)) {
        return Err(format!(
            "a name can have the option {} and not '{}'; other options are for RETORTD_LISTENER_OPTIONS",
            OPTIONS_OF_NAMES.join(", "),
            option.name,
        ));
    }
    Ok((service, options_of(written, service)?))
}

/// Whether the name of a descriptor means a service, whatever follows it: an address, or options.
#[must_use]
pub fn means_service(name: &str) -> bool {
    service_of_name(name.split([',', '=']).next().unwrap_or_default()).is_some()
}

/// The service that a name means. The names that systemd gives to a socket without `FileDescriptorName=` (its unit,
/// [`CONNECTION`] with `Accept=yes`, `unknown`) mean the default protocol, or the one that the unit's name ends in.
fn service_of_name(name: &str) -> Option<Service> {
    match name.strip_suffix(".socket") {
        Some("retortd") => Some(Service::Protocol(default_protocol())),
        Some(unit) => Service::by_name(unit.strip_prefix("retortd-").unwrap_or(unit)),
        None if ["", "unknown", CONNECTION].contains(&name) => Some(Service::Protocol(default_protocol())),
        None => Service::by_name(name),
    }
}

/// The options of an inherited socket, which has no mode.
fn options_of(mut written: Written<'_>, service: Service) -> Result<Vec<ListenerOption>, String> {
    if SocketMode::take(&mut written)?.is_some() {
        return Err(format!("{} has a mode here: that of a socket from systemd is its SocketMode=", written.name));
    }
    ListenerOption::parse_all(&written, service)
}

fn check_no_address(written: &Written<'_>) -> Result<(), String> {
    if written.address.is_none() {
        return Ok(());
    }
    Err(format!("{} has an address here: the address of a socket from systemd is in its socket unit", written.name))
}

/// Options for inherited sockets of one name: `echo,OPTION`.
///
/// The name is that of a descriptor or of a protocol. A name that no descriptor of this daemon can have is an error and
/// not a warning: an option may restrict the access to a listener, and a misspelt name must not grant it. A name that
/// no descriptor has at present is not an error, because socket units are enabled and disabled without the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedOptions {
    name: String,
    options: Vec<ListenerOption>,
}

impl InheritedOptions {
    /// The options, if they are for this socket.
    #[must_use]
    pub fn of(&self, descriptor: &Descriptor) -> &[ListenerOption] {
        if self.is_for(descriptor) { &self.options } else { &[] }
    }

    /// The name, if there are options and none of these sockets has it.
    #[must_use]
    pub fn unused_name<'a>(&self, mut descriptors: impl Iterator<Item = &'a Descriptor>) -> Option<&str> {
        let is_unused = !self.options.is_empty() && !descriptors.any(|descriptor| self.is_for(descriptor));
        is_unused.then_some(&self.name)
    }

    fn is_for(&self, descriptor: &Descriptor) -> bool {
        self.name == descriptor.name || self.name == descriptor.service.name()
    }
}

impl FromStr for InheritedOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = Written::parse(text)?;
        let name = written.name;
        let service = service_of_name(name).ok_or_else(|| {
            format!(
                "no socket is called '{name}': write the name of a protocol (retortd --list prints them) or of a file \
                 descriptor"
            )
        })?;
        check_no_address(&written)?;
        Ok(Self { name: name.into(), options: options_of(written, service)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_names_mean_services() {
        let name = |descriptor: &str| service_of_name(descriptor).map(Service::name);
        assert_eq!(name("frame"), Some("frame"));
        assert_eq!(name("echo"), Some("echo"));
        for default in ["", "unknown", "connection", "retortd.socket"] {
            assert_eq!(name(default), Some("frame"), "{default}");
        }
        assert_eq!(name("retortd-echo.socket"), Some("echo"));
        assert_eq!([name("metrics"), name("retortd-metrics.socket")], [Some("metrics"); 2]);
        assert_eq!(name("agent"), Some("agent"));
        assert_eq!(name("gopher"), None);
        assert_eq!(name("retortd-gopher.socket"), None);
    }

    #[test]
    fn options_of_inherited_sockets_name_a_protocol_or_a_descriptor() {
        for name in ["echo", "retortd-echo.socket", "retortd.socket", "connection", "unknown"] {
            let entry: InheritedOptions = name.parse().expect(name);
            assert_eq!(entry, InheritedOptions { name: name.into(), options: Vec::new() });
        }
        let error = |text: &str| text.parse::<InheritedOptions>().expect_err(text);
        assert!(error("gopher").starts_with("no socket is called 'gopher': write the name of a protocol"));
        assert!(error("echo=7").starts_with("echo has an address here: the address of a socket from systemd is in"));
        assert!(error("echo,fast").starts_with("echo has no option 'fast': "));
        assert!(error("echo,time").ends_with("write a space between listeners"));
        assert!(error("metrics,deny=::1").starts_with("metrics has no option 'deny': it is served beside the workers"));
    }

    #[test]
    fn a_name_may_carry_the_option_proxy() {
        let descriptor = Descriptor::of_name("retortd-echo.socket,proxy", None).expect("a name");
        assert_eq!((descriptor.name.as_str(), descriptor.service.name()), ("retortd-echo.socket", "echo"));
        assert_eq!(Descriptor::of_name(&descriptor.full_name, None), Ok(descriptor.clone()));
        assert_eq!(descriptor.options, [ListenerOption::Proxy]);
        let settings: InheritedOptions = "echo,deny=192.0.2.1".parse().expect("an entry");
        assert_eq!(settings.of(&descriptor).len(), 1, "the settings add theirs");
    }

    /// Fault 49.
    #[test]
    fn a_name_has_no_address_and_no_option_that_restricts_access() {
        for (name, words) in [
            ("gopher", "no protocol has that name"),
            ("gopher,proxy", "no protocol has that name"),
            ("echo=7", "echo has an address here: the address of a socket from systemd is in its socket unit"),
            ("echo,allow=192.0.2.1", "a name can have the option proxy and not 'allow'"),
            ("echo,mode=0600", "a name can have the option proxy and not 'mode'"),
            ("echo,fast", "a name can have the option proxy and not 'fast'"),
            ("echo,", "there is no option after a comma behind 'echo'"),
            ("metrics,proxy", "metrics has no option 'proxy': it is served beside the workers"),
            (",proxy", "there is no name at the beginning of ',proxy'"),
        ] {
            let error = Descriptor::of_name(name, None).expect_err(name);
            assert!(error.starts_with(words), "{name}: {error}");
        }
    }

    #[test]
    fn a_setting_gives_a_meaning_to_the_name_that_systemd_chooses() {
        let echo = Descriptor::of_connection("echo").expect("a protocol");
        let protocol = |name| Descriptor::of_name(name, Some(&echo)).expect(name).service.name();
        assert_eq!(["connection", "time", "", "retortd.socket"].map(protocol), ["echo", "time", "frame", "frame"]);
        assert_eq!(echo.name, "connection", "so that --listener-options apply to it");
        for (text, words) in [
            ("retortd-echo.socket", "there is no protocol 'retortd-echo.socket'"),
            ("metrics", "'metrics' is for listeners, and not for connections that systemd accepts"),
            ("echo=7", "echo has an address here"),
            ("echo,mode=0600", "echo has a mode here: that of a socket from systemd is its SocketMode="),
            ("echo,fast", "echo has no option 'fast'"),
        ] {
            let error = Descriptor::of_connection(text).expect_err(text);
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }
}
