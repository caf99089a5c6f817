//! Two balancers in a row: the first one announces the client, and nginx is the second.

use super::Balancer;
use super::documented::{announcing, configuration};
use crate::harness::action::UPPERCASE;
use crate::harness::{Client, Daemon, frame};

const ANNOUNCING: &str = "nginx.conf: PROXY protocol";
const SILENT: &str = "nginx.conf: without PROXY headers";

#[test]
fn a_second_nginx_without_headers_passes_on_the_header_of_the_first_balancer() {
    for (title, text) in announcing() {
        let daemon = Daemon::serving_behind_proxy("frame", &["-v"]);
        let Some(second) = Balancer::of_kind(SILENT, &configuration(SILENT), &[daemon.address("frame")]) else {
            return;
        };
        let Some(first) = Balancer::of_kind(&title, &text, &[second.address()]) else { continue };
        let mut client = Client::connect_from([127, 0, 0, 11], first.address());
        assert_eq!(client.request(UPPERCASE, b"hi"), b"HI", "{title}");
        daemon.wait_for_line(0, &format!("frame {} via ", client.address()));
    }
}

/// nginx replaces the source of the connection, but not its destination: a header of version 1 has both in one family.
#[test]
fn a_second_nginx_that_replaces_the_address_announces_two_families() {
    let set = "ipv6only=off proxy_protocol; set_real_ip_from 127.0.0.1;";
    let text =
        configuration(ANNOUNCING).replace("ipv6only=off;", set).replace("[::]:8083 ipv6only=off", "0.0.0.0:8083");
    assert!(text.contains("0.0.0.0:8083 proxy_protocol; set_real_ip_from"), "{text}");
    let daemon = Daemon::serving_behind_proxy("frame", &["-v"]);
    let Some(balancer) = Balancer::of_kind(ANNOUNCING, &text, &[daemon.address("frame")]) else { return };
    let request = |addresses: &str| {
        let mut client = Client::connect(balancer.address());
        client.send(&[format!("PROXY {addresses} 5000 8083\r\n").as_bytes(), &frame(UPPERCASE, b"hi")].concat());
        client
    };
    assert_eq!(request("TCP4 192.0.2.10 192.0.2.11").receive(6), b"\0\0\0\x02HI");
    request("TCP6 2001:db8::10 2001:db8::11").wait_closed();
    daemon.wait_for_line(0, "closed: proxy-header");
}
