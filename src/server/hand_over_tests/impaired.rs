//! Connections that their listeners impair.

use super::*;

/// Longer than any test.
const HOUR: Millis = Millis::new(3_600_000);

impl Endpoint {
    /// Its listener has these impairments.
    fn impaired(self, impairments: Impairments) -> Self {
        Self { options: ListenerOptions { impairments: Arc::new(impairments), ..self.options }, ..self }
    }

    /// Whatever its connections send is delayed by an hour.
    pub(super) fn delayed(self) -> Self {
        self.impaired(latency(HOUR))
    }

    /// The same socket, whose listener has these impairments.
    fn changed(&self, impairments: Impairments) -> Self {
        let socket = self.socket.try_clone().expect("a descriptor");
        Self { socket, protocol: self.protocol, options: self.options.clone() }.impaired(impairments)
    }
}

fn latency(latency: Millis) -> Impairments {
    Impairments { latency, ..Impairments::default() }
}

fn stall_after(after: u64) -> Impairments {
    Impairments { fault: Some(FaultAfter { fault: Fault::Stall, after }), ..Impairments::default() }
}

/// A client whose reply the server delays, or keeps in part.
fn waiting(server: &Server, endpoint: &Endpoint, message: &[u8]) -> TcpStream {
    let before = server.stats().totals.requests;
    let client = endpoint.connect(&request(UPPERCASE, message));
    wait_for_totals(server, "the request has arrived", |totals| totals.requests > before);
    client
}

fn is_silent(client: &TcpStream) -> bool {
    client.set_nonblocking(true).expect("O_NONBLOCK");
    let result = client.peek(&mut [0]).map_err(|error| error.kind());
    client.set_nonblocking(false).expect("no O_NONBLOCK");
    result == Err(io::ErrorKind::WouldBlock)
}

#[test]
fn delayed_bytes_arrive_from_the_successor_in_their_order() {
    let frame = Endpoint::new("frame").impaired(latency(Millis::new(500)));
    let server = start(&[&frame], LIMITS, None);
    let mut client = waiting(&server, &frame, b"first");
    client.write_all(&request(UPPERCASE, b"second")).expect("send");
    wait_for_totals(&server, "both requests are answered", |totals| totals.answered == 2);
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 1, failed: 0 });
    assert_eq!([read_reply(&mut client), read_reply(&mut client)], [b"FIRST".to_vec(), b"SECOND".to_vec()]);
    drop(client);
    let totals = stop(server).totals;
    assert_eq!((totals.answered, totals.impaired[ImpairmentKind::Latency as usize]), (2, 1), "counted once");
}

#[test]
fn delayed_bytes_are_due_at_once_if_the_impairments_have_changed() {
    let frame = Endpoint::new("frame").impaired(latency(HOUR));
    let server = start(&[&frame], LIMITS, None);
    let mut client = waiting(&server, &frame, b"hello");
    let (handed_over, _) = hand_over(server);
    let frame = frame.changed(Impairments::default());
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    assert_eq!(read_reply(&mut client), b"HELLO");
    ask(&mut client, b"at once");
    drop(client);
    assert_eq!(stop(server).totals.closed[FAILED], 0);
}

#[test]
fn a_stalled_connection_stays_so_until_a_reload() {
    let frame = Endpoint::new("frame").impaired(stall_after(4));
    let server = start(&[&frame], LIMITS, None);
    let mut client = waiting(&server, &frame, b"hello");
    client.read_exact(&mut [0; 4]).expect("the head");
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    assert!(is_silent(&client));
    let options = Arc::new(frame.changed(Impairments::default()).options);
    assert!(server.reconfigure(&LIMITS, &[options], TIMEOUT));
    let mut rest = [0; 5];
    client.read_exact(&mut rest).expect("the rest");
    assert_eq!(&rest, b"HELLO");
    drop(client);
    assert_eq!(stop(server).totals.impaired[ImpairmentKind::Stall as usize], 1);
}

/// It is in front of its protocol, and does not wait for a header any more.
#[test]
fn a_connection_that_was_cut_before_its_header_is_continued() {
    let cut = Impairments { fault: Some(FaultAfter { fault: Fault::Cut, after: 0 }), ..Impairments::default() };
    let frame = Endpoint::new("frame").with_headers().impaired(cut);
    let server = start(&[&frame], LIMITS, None);
    let mut client = frame.connect(b"");
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    assert_eq!(server.taken_over(), TakeOverCounts { taken_over: 1, failed: 0 });
    drop(client);
    let totals = stop(server).totals;
    assert_eq!((totals.closed[CloseReason::Impaired as usize], totals.proxy[ProxyResult::Missing as usize]), (1, 1));
}

#[test]
fn an_unimpaired_connection_is_impaired_if_its_listener_is_now() {
    let frame = Endpoint::new("frame");
    let server = start(&[&frame], LIMITS, None);
    let mut client = served(&frame);
    let (handed_over, _) = hand_over(server);
    let frame = frame.changed(stall_after(6));
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    client.write_all(&request(UPPERCASE, b"hello")).expect("send");
    let mut part = [0; 6];
    client.read_exact(&mut part).expect("a part of the reply");
    assert_eq!(&part, b"\0\0\0\x05HE");
    wait_for_totals(&server, "it is stalled", |totals| totals.impaired[ImpairmentKind::Stall as usize] == 1);
    assert!(is_silent(&client));
    server.abort();
    drop(server.join());
}

#[test]
fn the_numbers_of_connections_continue_if_the_impairments_are_the_same() {
    let refusing = |first| Impairments { refuse_first: first, ..Impairments::default() };
    let frame = Endpoint::new("frame").impaired(refusing(2));
    let server = start(&[&frame], LIMITS, None);
    let refused = |server: &Server| {
        let before = server.stats().totals.impaired[ImpairmentKind::Refuse as usize];
        let error = frame.connect(b"").read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(server.stats().totals.impaired[ImpairmentKind::Refuse as usize], before + 1);
    };
    refused(&server);
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame], LIMITS, Some(handed_over.take_over()));
    refused(&server);
    drop(served(&frame));
    let (handed_over, _) = hand_over(server);
    let server = start(&[&frame.changed(refusing(1))], LIMITS, Some(handed_over.take_over()));
    refused(&server);
    drop(served(&frame));
    stop(server);
}
