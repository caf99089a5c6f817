//! Networks of addresses: who may connect (`--allow`, `--deny`), and whose PROXY headers count (`--proxy-from`).
//!
//! Addresses and networks are canonical here: an IPv4 address that is mapped to IPv6 is an IPv4 address, and no network
//! of IPv6 contains it. A look-up walks a prefix tree: its cost does not grow with the number of networks.

use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::{JointPrefixMap, JointPrefixSet};

/// The decision of an [`AccessList`] about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may connect.
    Allowed,
    /// Its connections are closed.
    Denied,
}

/// Networks that are allowed, and networks that are denied.
#[derive(Debug)]
pub struct AccessList {
    networks: JointPrefixMap<IpNet, Verdict>,
    /// The verdict on an address in none of them.
    otherwise: Verdict,
}

impl Default for AccessList {
    /// A list that allows every address.
    fn default() -> Self {
        Self::new([], [])
    }
}

impl AccessList {
    /// The most specific network that contains an address decides; of equal ones the denied one. An address in none of
    /// them is denied if there are `allowed` networks.
    pub fn new(allowed: impl IntoIterator<Item = IpNet>, denied: impl IntoIterator<Item = IpNet>) -> Self {
        let mut networks: JointPrefixMap<IpNet, Verdict> =
            allowed.into_iter().map(|network| (network, Verdict::Allowed)).collect();
        let otherwise = if networks.is_empty() { Verdict::Allowed } else { Verdict::Denied };
        for network in denied {
            networks.insert(network, Verdict::Denied);
        }
        Self { networks, otherwise }
    }

    /// Whether no address is denied, because there is no network.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// The verdict on an address.
    #[must_use]
    pub fn judge(&self, ip: IpAddr) -> Verdict {
        self.networks.get_lpm(&host(ip)).map_or(self.otherwise, |(_, verdict)| *verdict)
    }
}

/// A set of networks.
#[derive(Debug, Default)]
pub struct NetworkSet(JointPrefixSet<IpNet>);

impl NetworkSet {
    /// Whether one of the networks contains an address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.get_lpm(&host(ip)).is_some()
    }
}

impl FromIterator<IpNet> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// The network of one address.
fn host(ip: IpAddr) -> IpNet {
    IpNet::from(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn without_networks_every_address_is_allowed() {
        assert!(AccessList::default().is_empty());
        for address in ["192.0.2.1", "::1", "::ffff:192.0.2.1"] {
            assert_eq!(AccessList::default().judge(ip(address)), Verdict::Allowed);
            assert!(!NetworkSet::default().contains(ip(address)));
        }
    }

    #[test]
    fn the_most_specific_network_decides() {
        let list = AccessList::new(
            networks(&["10.0.0.0/8", "10.1.2.0/24", "192.0.2.7/32", "2001:db8::/32"]),
            networks(&["10.1.0.0/16", "10.1.2.3/32", "2001:db8:1::/48"]),
        );
        for (address, verdict) in [
            ("10.2.0.1", Verdict::Allowed),
            ("10.1.0.1", Verdict::Denied),
            ("10.1.2.1", Verdict::Allowed),
            ("10.1.2.3", Verdict::Denied),
            ("192.0.2.7", Verdict::Allowed),
            ("192.0.2.8", Verdict::Denied),
            ("2001:db8::1", Verdict::Allowed),
            ("2001:db8:1::1", Verdict::Denied),
            ("::1", Verdict::Denied),
        ] {
            assert_eq!(list.judge(ip(address)), verdict, "{address}");
        }
    }

    #[test]
    fn of_equal_networks_the_denied_one_decides() {
        let list = AccessList::new(networks(&["10.0.0.0/8", "::/0"]), networks(&["10.0.0.0/8"]));
        assert_eq!(list.judge(ip("10.0.0.1")), Verdict::Denied);
        assert_eq!(list.judge(ip("::1")), Verdict::Allowed);
    }

    #[test]
    fn with_denied_networks_alone_other_addresses_are_allowed() {
        let list = AccessList::new([], networks(&["10.0.0.0/8"]));
        assert_eq!([list.judge(ip("10.0.0.1")), list.judge(ip("11.0.0.1"))], [Verdict::Denied, Verdict::Allowed]);
    }

    #[test]
    fn mapped_addresses_are_those_of_ipv4() {
        let list = AccessList::new(networks(&["10.0.0.0/8"]), networks(&["::/0"]));
        assert_eq!(list.judge(ip("::ffff:10.0.0.1")), Verdict::Allowed);
        assert_eq!(list.judge(ip("::ffff:11.0.0.1")), Verdict::Denied, "no network of IPv6 contains it");
        let set: NetworkSet = networks(&["10.0.0.0/8", "fe80::/10"]).into_iter().collect();
        assert!(set.contains(ip("::ffff:10.9.9.9")) && set.contains(ip("10.0.0.1")) && set.contains(ip("fe80::1")));
        assert!(!set.contains(ip("11.0.0.1")) && !set.contains(ip("::10.0.0.1")));
    }

    /// What the documentation says, by a look at every network.
    fn naive(allowed: &[IpNet], denied: &[IpNet], ip: IpAddr) -> Verdict {
        let longest = |list: &[IpNet]| {
            list.iter().filter(|network| network.contains(&ip)).map(|network| u32::from(network.prefix_len()) + 1).max()
        };
        match (longest(allowed), longest(denied)) {
            (None, None) if allowed.is_empty() => Verdict::Allowed,
            (allowed, denied) if allowed > denied => Verdict::Allowed,
            _ => Verdict::Denied,
        }
    }

    /// Addresses with few different bits, so that networks contain one another.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0..4096_u32).prop_map(|bits| Ipv4Addr::from_bits((bits & 0b1001_0011_0001) << 20).into()),
            (0..4096_u128).prop_map(|bits| Ipv6Addr::from_bits((bits & 0b1001_0011_0001) << 116).into()),
        ]
    }

    fn network() -> impl Strategy<Value = IpNet> {
        (address(), 0..=12_u8).prop_map(|(ip, length)| IpNet::new(ip, length).expect("a length").trunc())
    }

    proptest! {
        #[test]
        fn verdicts_are_those_of_a_look_at_every_network(
            allowed in prop::collection::vec(network(), 0..8),
            denied in prop::collection::vec(network(), 0..8),
            addresses in prop::collection::vec(address(), 1..8),
        ) {
            let list = AccessList::new(allowed.clone(), denied.clone());
            let set: NetworkSet = allowed.iter().copied().collect();
            for ip in addresses {
                prop_assert_eq!(list.judge(ip), naive(&allowed, &denied, ip), "{}", ip);
                prop_assert_eq!(set.contains(ip), allowed.iter().any(|network| network.contains(&ip)), "{}", ip);
            }
        }
    }
}
