//! The grammar of listeners, `PROTOCOL[=ADDRESS][,OPTION[=VALUE]]...`, and of entries of `--listener-options`,
//! `NAME[,OPTION[=VALUE]]...` (LISTENERS in retortd(8)).
//!
//! White space separates listeners and entries; a comma begins an option. So neither an address nor the value of an
//! option can contain white space or a comma. This file only cuts a text into its parts; it knows no protocol and no
//! option, and of the forms of address only that one is a path.

use std::str::FromStr;

use super::excerpt::excerpt;

/// Listeners or entries that are separated by white space: the value of one option or variable.
#[derive(Clone, Debug)]
pub struct Separated<T>(pub Vec<T>);

impl<T: FromStr<Err = String>> FromStr for Separated<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut list = Vec::new();
        let mut before = "";
        for part in text.split_whitespace() {
            list.push(part.parse().map_err(|error| {
                if before.contains("=unix:/") {
                    let before = excerpt(before);
                    return format!("{error}; white space ends '{before}': the path of a socket cannot contain it");
                }
                error
            })?);
            before = part;
        }
        if list.is_empty() { Err("the value is empty".into()) } else { Ok(Self(list)) }
    }
}

/// A listener or entry, cut into its parts: `NAME[=ADDRESS][,OPTION[=VALUE]]...`. It contains no white space.
#[derive(Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// The name of a protocol or of a descriptor; not empty.
    pub name: &'a str,
    /// The text after the `=`; may be empty.
    pub address: Option<&'a str>,
    /// The options, in their order.
    pub options: Vec<WrittenOption<'a>>,
}

/// An option as it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct WrittenOption<'a> {
    /// The name; not empty.
    pub name: &'a str,
    /// The text after the `=`; not empty.
    pub value: Option<&'a str>,
}

impl<'a> Written<'a> {
    /// Cuts a text that contains no white space into its parts.
    ///
    /// # Errors
    /// A part is empty, or missing.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let (head, options) = text.split_once(',').map_or((text, None), |(head, options)| (head, Some(options)));
        let (name, address) = split_value(head);
        if name.is_empty() {
            return Err(format!("there is no name at the beginning of '{}'", excerpt(text)));
        }
        let options = options.map(|options| options.split(',').map(|option| WrittenOption::parse(option, name)));
        let options = options.map_or(Ok(Vec::new()), Iterator::collect)?;
        Ok(Self { name, address, options })
    }
}

impl<'a> WrittenOption<'a> {
    fn parse(text: &'a str, listener: &str) -> Result<Self, String> {
        let (name, value) = split_value(text);
        match (name, value) {
            ("", None) => Err(format!(
                "there is no option after a comma behind '{listener}': a comma begins an option, white space the next \
                 listener"
            )),
            ("", Some(_)) => Err(format!("there is no name before '{text}' behind '{listener}'")),
            (_, Some("")) => Err(format!("there is no value after '{text}' behind '{listener}'")),
            _ => Ok(Self { name, value }),
        }
    }

    /// The value as `parse` reads it; `kind` is what it is called in messages.
    ///
    /// # Errors
    /// There is none, or `parse` fails.
    pub fn parsed<T>(
        &self,
        listener: &str,
        kind: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let name = self.name;
        let text =
            self.value.ok_or_else(|| format!("the option {name} of {listener} has no value: write {name}={kind}"))?;
        parse(text).map_err(|error| format!("the option {name} of {listener}: {error}"))
    }
}

/// The parts before and behind the first `=`.
fn split_value(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::daemon::config::descriptor::InheritedOptions;
    use crate::daemon::config::listen::Listen;

    fn written<'a>(name: &'a str, address: Option<&'a str>, options: &[(&'a str, Option<&'a str>)]) -> Written<'a> {
        let options = options.iter().map(|(name, value)| WrittenOption { name, value: *value }).collect();
        Written { name, address, options }
    }

    #[test]
    fn commas_begin_options() {
        for (text, expected) in [
            ("echo", written("echo", None, &[])),
            ("echo=7", written("echo", Some("7"), &[])),
            ("echo=", written("echo", Some(""), &[])),
            ("echo=[::1]:7,fast", written("echo", Some("[::1]:7"), &[("fast", None)])),
            ("echo,rate=5,fast", written("echo", None, &[("rate", Some("5")), ("fast", None)])),
            ("echo,allow=fe80::/10=x", written("echo", None, &[("allow", Some("fe80::/10=x"))])),
            ("echo=unix:/run/echo,mode=0660", written("echo", Some("unix:/run/echo"), &[("mode", Some("0660"))])),
            ("echo=vsock:-1:7", written("echo", Some("vsock:-1:7"), &[])),
        ] {
            assert_eq!(Written::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn missing_parts_are_explained() {
        let no_option = "there is no option after a comma behind 'echo': a comma begins an option, white space the next \
            listener";
        for (text, error) in [
            ("", "there is no name at the beginning of ''"),
            ("=7", "there is no name at the beginning of '=7'"),
            (",fast", "there is no name at the beginning of ',fast'"),
            ("echo,", no_option),
            ("echo=7,,fast", no_option),
            ("echo,=5", "there is no name before '=5' behind 'echo'"),
            ("echo,=", "there is no name before '=' behind 'echo'"),
            ("echo,rate=", "there is no value after 'rate=' behind 'echo'"),
        ] {
            assert_eq!(Written::parse(text), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn white_space_separates_listeners() {
        let names = |text: &str| {
            let list: Separated<Listen> = text.parse()?;
            Ok(list.0.iter().map(|listen| listen.endpoint.service.name()).collect::<Vec<_>>())
        };
        assert_eq!(names("echo"), Ok(vec!["echo"]));
        assert_eq!(names(" echo=7\ttime \n ack=1\n"), Ok(vec!["echo", "time", "ack"]));
        assert_eq!(names(" \t"), Err("the value is empty".to_string()));
        let path = names("echo=unix:/run/my socket time").expect_err("a path with a space");
        assert!(
            path.ends_with("; white space ends 'echo=unix:/run/my': the path of a socket cannot contain it"),
            "{path}"
        );
        assert!(names("echo, time").is_err_and(|error| error.contains("white space the next listener")));
        assert!(names("echo ,time").is_err_and(|error| error.starts_with("there is no name at the beginning")));
    }

    /// Texts in which the characters of the syntax are frequent.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z0-9=,:.\\[\\]/ \t%é-]{0,40}",
            "(echo|time)(=[0-9.:\\[\\]]{0,9})?(,[a-z=]{0,5}){0,3}"
        ]
    }

    proptest! {
        #[test]
        fn no_text_panics(text in text()) {
            let _ = text.parse::<Separated<Listen>>();
            let _ = text.parse::<Separated<InheritedOptions>>();
        }

        #[test]
        fn parts_can_be_put_together_again(text in text()) {
            let Ok(written) = Written::parse(&text) else { return Ok(()) };
            let join = |name: &str, value: Option<&str>| value.map_or(name.to_string(), |value| format!("{name}={value}"));
            let options = written.options.iter().map(|option| format!(",{}", join(option.name, option.value)));
            let together = join(written.name, written.address) + &options.collect::<String>();
            prop_assert_eq!(together, text);
        }
    }
}
