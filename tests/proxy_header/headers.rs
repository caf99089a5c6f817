//! PROXY headers as balancers send them. Shared by the tests and benchmarks.

/// Version 1, for an IPv4 client.
pub const TCP4: &[u8] = b"PROXY TCP4 192.0.2.10 198.51.100.1 56324 8083\r\n";
/// Version 2, with the addresses of [`TCP4`].
pub const TCP4_BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\xdc\x04\x1f\x93";
/// Version 2, for a connection of the balancer itself.
pub const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
