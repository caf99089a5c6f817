//! Networks in options: `10.0.0.0/8`, `2001:db8::/32`, or an address, which is a network of its own.
//!
//! A network that IPv6 maps from IPv4 is that network of IPv4, as an address is.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::excerpt::excerpt;

/// The maximum number of networks in a list: `--allow`, `--deny`, `--proxy-from`, and all `allow` or all `deny` of a
/// listener. Chosen: the networks of most countries are fewer; a list of this length takes 6 MB at most (measured with
/// addresses of IPv6 that have nothing in common).
pub const MAX_NETWORKS: usize = 10_000;

/// The bits of an IPv6 address in front of an IPv4 address that is mapped to it (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quoted = excerpt(text);
        let not_a_network =
            || format!("'{quoted}' is not a network: write an address, or for example 10.0.0.0/8 or 2001:db8::/32");
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| not_a_network())?;
        let Some(length) = length else { return Ok(Self(address.to_canonical().into())) };
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_a_network());
        }
        let network = length.parse().ok().and_then(|length| IpNet::new(address, length).ok());
        let network = network.ok_or_else(|| {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            format!("'{quoted}' has no such prefix: write a length from 0 to {bits} behind the slash")
        })?;
        if network.prefix_len() < MAPPED_BITS && address.is_ipv6() && address.to_canonical().is_ipv4() {
            return Err(format!(
                "'{quoted}' would match no client of IPv4, as its address is one of IPv4: use a network of IPv4, such as \
                 10.0.0.0/8"
            ));
        }
        if network != network.trunc() {
            return Err(format!(
                "'{quoted}' has bits behind its prefix: write {} for the network, or {} for the address",
                canonical(network.trunc()),
                address.to_canonical()
            ));
        }
        Ok(Self(canonical(network)))
    }
}

/// A network of IPv4 addresses that are mapped to IPv6 as one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let length = network.prefix_len().checked_sub(MAPPED_BITS);
    match (network.addr().to_canonical(), length) {
        (address @ IpAddr::V4(_), Some(length)) if network.addr().is_ipv6() => {
            IpNet::new(address, length).unwrap_or(network)
        }
        _ => network,
    }
}

/// Networks that are separated by white space or commas: the value of one option or variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let networks: Vec<IpNet> =
            words.map(|word| word.parse().map(|Network(network)| network)).collect::<Result<_, _>>()?;
        if networks.is_empty() { Err("the value is empty".into()) } else { Ok(Self(networks)) }
    }
}

/// The networks of one list; `option` is its name in messages.
///
/// # Errors
/// There are more than [`MAX_NETWORKS`].
pub fn bounded(networks: impl IntoIterator<Item = IpNet>, option: &str) -> Result<Vec<IpNet>, String> {
    let networks: Vec<IpNet> = networks.into_iter().collect();
    match networks.len() {
        ..=MAX_NETWORKS => Ok(networks),
        count => Err(format!("{option} has {count} networks: at most {MAX_NETWORKS} are possible")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Result<String, String> {
        text.parse().map(|Network(network)| network.to_string())
    }

    #[test]
    fn networks_are_prefixes_or_addresses() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.1/32", "192.0.2.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(network(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_explained() {
        for text in ["", "10", "10.0.0.0/", "10.0.0.0/8/8", "/8", "10.0.0.0/+8", "10.0.0.0/x", "localhost", "fe80::1%2"]
        {
            let expected = format!("'{text}' is not a network: write an address, or for example 10.0.0.0/8 or");
            let error = network(text).expect_err(text);
            assert!(error.starts_with(&expected), "{error}");
        }
        for (text, error) in [
            ("10.0.0.0/33", "'10.0.0.0/33' has no such prefix: write a length from 0 to 32 behind the slash"),
            ("10.0.0.0/256", "'10.0.0.0/256' has no such prefix: write a length from 0 to 32 behind the slash"),
            ("::/129", "'::/129' has no such prefix: write a length from 0 to 128 behind the slash"),
            (
                "10.1.2.3/8",
                "'10.1.2.3/8' has bits behind its prefix: write 10.0.0.0/8 for the network, or 10.1.2.3 for the address",
            ),
            (
                "::ffff:10.1.2.3/104",
                "'::ffff:10.1.2.3/104' has bits behind its prefix: write 10.0.0.0/8 for the network, or \
                 10.1.2.3 for the address",
            ),
            (
                "::ffff:10.0.0.0/90",
                "'::ffff:10.0.0.0/90' would match no client of IPv4, as its address is one of IPv4: use a network of \
                 IPv4, such as 10.0.0.0/8",
            ),
        ] {
            assert_eq!(network(text), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn white_space_and_commas_separate_networks() {
        let list = |text: &str| text.parse::<Networks>().map(|networks| networks.0.len());
        for text in ["10.0.0.0/8,::1", "10.0.0.0/8 ::1", " 10.0.0.0/8,\t::1\n", "10.0.0.0/8,,::1,"] {
            assert_eq!(list(text), Ok(2), "{text:?}");
        }
        assert_eq!(list(" , "), Err("the value is empty".into()));
        assert!(list("10.0.0.0/8;::1").is_err_and(|error| error.starts_with("'10.0.0.0/8;::1' is not a network: ")));
    }

    #[test]
    fn lists_are_bounded() {
        let networks = |count| bounded(vec![IpNet::default(); count], "--allow").map(|networks| networks.len());
        assert_eq!(networks(MAX_NETWORKS), Ok(MAX_NETWORKS));
        assert_eq!(networks(10_001), Err("--allow has 10001 networks: at most 10000 are possible".into()));
    }

    proptest! {
        #[test]
        fn the_network_in_an_error_is_accepted(address: IpAddr, length in 0..=128_u8) {
            let text = format!("{address}/{length}");
            let Err(error) = network(&text) else { return Ok(()) };
            if let Some((corrected, _)) = error.split_once("write ").and_then(|(_, rest)| rest.split_once(" for ")) {
                prop_assert_eq!(network(corrected), Ok(corrected.to_string()), "{}", error);
            }
        }
    }
}
