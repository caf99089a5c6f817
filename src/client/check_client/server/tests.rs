//! Clients of every kind against the scripted server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::client::check_client::listening;
use crate::client::check_client::observation::ConnectionEnd;
use crate::client::check_client::plan::Step;

const ONE: &[u8] = b"\x20\0\0\x03abc";
const REPLY: &[u8] = b"\0\0\0\x03cba";

/// A plan of this number of requests, each of which is [`ONE`].
fn plan(requests: usize, script: Vec<Step>) -> Plan {
    Plan::scripted(vec![Exchange::new("reverse", "abc", "cba"); requests], script)
}

/// Serves a client until it has ended, and what it has sent has arrived.
fn serve<T: Send + 'static>(plan: &Plan, client: impl FnOnce(SocketAddr) -> T + Send + 'static) -> (T, ScriptedServer) {
    let port = listening::open(plan.listening, plan.small_buffers).unwrap();
    let address = port.address;
    let mut server = ScriptedServer::new(ClientProtocol::by_name("frame").unwrap(), port, plan);
    let client = thread::spawn(move || client(address));
    while !client.is_finished() {
        server.advance(Instant::now()).unwrap();
        let timer = server.timer().map(|timer| timer.saturating_duration_since(Instant::now()));
        let wait = timer.unwrap_or(Duration::MAX).min(Duration::from_millis(5));
        sys::wait_any_ready(&server.watched(), Some(wait)).unwrap();
    }
    server.advance(Instant::now()).unwrap();
    (client.join().unwrap(), server)
}

/// Sends bytes, half-closes and reads to the end.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.kind())?;
    stream.write_all(bytes).map_err(|error| error.kind())?;
    stream.shutdown(Shutdown::Write).map_err(|error| error.kind())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).map_err(|error| error.kind())?;
    Ok(reply)
}

/// Whether the script has no further step.
fn is_finished(server: &mut ScriptedServer) -> bool {
    server.script.task(Instant::now()).is_none()
}

fn expect_and_send(requests: usize) -> Vec<Step> {
    (0..requests).flat_map(|_| [Step::Expect(1), Step::Send(REPLY.to_vec())]).collect()
}

#[test]
fn requests_are_recorded_and_replies_sent_in_pieces() {
    let pieces = REPLY.iter().map(|byte| vec![*byte]).collect();
    let plan = plan(1, vec![Step::Expect(1), Step::SendPieces(pieces, Duration::from_millis(1))]);
    let (reply, mut server) = serve(&plan, |address| exchange(address, ONE));
    assert_eq!(reply.as_deref(), Ok(REPLY));
    assert!(is_finished(&mut server));
    let (records, sent) = server.into_records();
    assert_eq!((&*records[0].received, records[0].end), (ONE, Some(ConnectionEnd::Closed)));
    assert_eq!(&*sent.head, REPLY);
}

#[test]
fn a_client_may_open_a_connection_for_each_request() {
    let plan = plan(3, expect_and_send(3));
    let (replies, mut server) = serve(&plan, |address| [(); 3].map(|()| exchange(address, ONE).unwrap()));
    assert!(replies.iter().all(|reply| reply == REPLY), "{replies:?}");
    assert!(is_finished(&mut server));
    assert_eq!(server.into_records().0.len(), 3);
}

#[test]
fn replies_sent_together_serve_all_who_wait_for_them() {
    let together = vec![Step::AnswerTogether(vec![REPLY.to_vec(); 3], Duration::from_millis(5))];
    let (reply, mut server) = serve(&plan(3, together.clone()), |address| exchange(address, &ONE.repeat(3)));
    assert_eq!(reply, Ok(REPLY.repeat(3)));
    assert!(is_finished(&mut server));
    let one_by_one = |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..3 {
            stream.write_all(ONE).unwrap();
            stream.read_exact(&mut [0; 7]).unwrap();
        }
    };
    assert!(is_finished(&mut serve(&plan(3, together), one_by_one).1));
}

#[test]
fn a_server_that_serves_everything_is_a_correct_one() {
    let mut plan = plan(1, vec![Step::ServeAll]);
    plan.exact_requests = false;
    let (reply, _) = serve(&plan, |address| exchange(address, b"\x08\0\0\x02ab\x30\0\0\x01x"));
    assert_eq!(reply.as_deref(), Ok(b"\0\0\0\x02AB\0\0\0\x05error".as_slice()));
}

#[test]
fn connections_end_as_the_script_says() {
    let part = || vec![Step::Expect(1), Step::Send(REPLY[..5].to_vec())];
    let (reply, _) = serve(&plan(1, [part(), vec![Step::Close]].concat()), |address| exchange(address, ONE));
    assert_eq!(reply.as_deref(), Ok(&REPLY[..5]));
    let reset = |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(ONE).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap_err().kind()
    };
    assert_eq!(serve(&plan(1, [part(), vec![Step::Reset]].concat()), reset).0, ErrorKind::ConnectionReset);
    let mut resets = plan(1, Vec::new());
    resets.listening = Listening::Resets;
    let refused =
        |address| TcpStream::connect(address).and_then(|mut stream| stream.read(&mut [0])).unwrap_err().kind();
    assert_eq!(serve(&resets, refused).0, ErrorKind::ConnectionReset);
}

#[test]
fn a_client_may_try_again_after_the_server_has_closed() {
    let again = |address| [(); 2].map(|()| exchange(address, ONE).unwrap_or_default());
    let (replies, server) = serve(&plan(1, vec![Step::Expect(1), Step::Close]), again);
    assert!(replies.iter().all(Vec::is_empty) && !server.is_wrong(Instant::now() + COLLECT_TIME));
    assert_eq!(server.into_records().0.len(), 1);
}

#[test]
fn a_request_that_is_not_expected_is_wrong() {
    for (bytes, wrong) in [(ONE, false), (b"\x20\0\0\x04abcd".as_slice(), true), (&ONE.repeat(2), true)] {
        let bytes = bytes.to_vec();
        let (_, server) = serve(&plan(1, expect_and_send(1)), move |address| exchange(address, &bytes).is_ok());
        assert_eq!(server.is_wrong(Instant::now() + COLLECT_TIME), wrong);
    }
}

#[test]
fn a_server_that_does_not_read_is_not_in_the_way_of_one_that_does() {
    let reply = vec![b'x'; 8 << 20];
    let mut plan = plan(1, vec![Step::Expect(1), Step::SendWithoutReading(reply.clone())]);
    (plan.small_buffers, plan.exact_requests) = (true, false);
    let (received, mut server) = serve(&plan, move |address| exchange(address, ONE));
    assert_eq!(received.map(|received| received.len()), Ok(reply.len()));
    assert!(is_finished(&mut server));
}
