use super::{IDLE_LOOK, PING_INTERVAL, PING_TIMEOUT, serve};
use crate::client::{Client, Ends, Seat};
use crate::deadline::tests::on_paused_time;
use crate::drain::LAST_CALL;
use crate::handle::Shared;
use crate::settings::ProxySettings;
use crate::tls::Tls;
use crate::worker::Setup;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::Instant;

const PIPE_BYTES: usize = 64 * 1024;
const SECOND: Duration = Duration::from_secs(1);
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// At once: as many as a connection may have streams, but one.
const REQUESTS: u16 = 199;
const END_STREAM: u8 = 1;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// A client of a proxy that knows no hosts.
fn client() -> Rc<Client> {
    let shared = Arc::new(Shared::new(1, None));
    let ledger = Arc::clone(&shared.ledgers[0]);
    let setup = Setup {
        index: 0,
        sockets: Vec::new(),
        shared,
        settings: Arc::new(ProxySettings::default()),
        tls: Arc::new(Tls::new(Arc::default()).unwrap()),
        https_port: None,
        started: std::sync::mpsc::channel().0,
        end: mpsc::channel(1).0,
    };
    let worker = setup.worker(ledger);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let ends = Ends {
        peer: address,
        local: address,
        own_port: None,
        is_tls_in_front: false,
    };
    let seat = Seat {
        open: worker.open.enter(&Rc::default()),
        visit: None,
    };
    Rc::new(Client::new(worker, ends, seat, None))
}

#[test]
fn who_answers_no_pings_is_taken_for_gone() {
    on_paused_time(|| async {
        let (near, mut far) = duplex(PIPE_BYTES);
        let begun = Instant::now();
        spawn_local(serve(client(), near));
        far.write_all(PREFACE).await.unwrap();
        far.write_all(&SETTINGS).await.unwrap();
        let mut pinged = Vec::new();
        let mut head = [0; 9];
        while far.read_exact(&mut head).await.is_ok() {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            far.read_exact(&mut vec![0; length]).await.unwrap();
            if head[3] == PING {
                pinged.push(begun.elapsed());
            }
        }
        // What it said at first counts.
        let expected = 2 * PING_INTERVAL;
        assert!(pinged.len() == 1 && pinged[0] >= expected, "{pinged:?}");
        assert!(pinged[0] < expected + SECOND, "{pinged:?}");
        let ended = begun.elapsed();
        assert!(
            ended >= expected + PING_TIMEOUT && ended < expected + PING_TIMEOUT + SECOND,
            "{ended:?}"
        );
    });
}

#[test]
fn who_asks_for_nothing_is_sent_away_however_well_it_answers_pings() {
    on_paused_time(|| async {
        let (near, far) = duplex(PIPE_BYTES);
        let begun = Instant::now();
        let served = spawn_local(serve(client(), near));
        let (mut sender, connection) = h2::client::handshake(far).await.unwrap();
        let connection = spawn_local(connection);
        let request = http::Request::get("http://nobody/").body(()).unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 404);
        // It used the connection in the first span of time, and not in the second.
        // The client closes as soon as it is told, which may be before all is said.
        let _ = served.await.unwrap();
        let ended = begun.elapsed();
        assert!(
            ended >= 2 * IDLE_LOOK && ended < 2 * IDLE_LOOK + SECOND,
            "{ended:?}"
        );
        connection.await.unwrap().unwrap();
    });
}

/// `GET http://nobody/` as this stream, in fields of HPACK's static table and one literal.
fn request(stream: u16) -> Vec<u8> {
    let [high, low] = stream.to_be_bytes();
    let block = b"\x82\x86\x84\x41\x06nobody";
    [&[0, 0, 11, HEADERS, 5, 0, 0, high, low], &block[..]].concat()
}

/// The frames of a client that has sent this much and says nothing any more, until its connection ends, as (type, code); and how
/// long after the stop of the thread that was. The stop comes after `before`.
async fn silent_at_a_stop(sent: &[&[u8]], before: Duration) -> (Vec<(u8, u32)>, Duration) {
    let (near, mut far) = duplex(PIPE_BYTES);
    let client = client();
    let open = Rc::clone(&client.worker.open);
    spawn_local(serve(client, near));
    for piece in sent {
        far.write_all(piece).await.unwrap();
    }
    tokio::time::sleep(before).await;
    let stopped = Instant::now();
    open.stop();
    let mut frames = Vec::new();
    let mut head = [0; 9];
    while far.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut content = vec![0; length];
        far.read_exact(&mut content).await.unwrap();
        let code = content
            .get(4..8)
            .filter(|_| head[3] == GOAWAY)
            .map_or(0, |code| u32::from_be_bytes(code.try_into().unwrap()));
        frames.push((head[3], code));
    }
    (frames, stopped.elapsed())
}

/// One client that answered nothing held up the stop of the whole server until the drain was over.
#[test]
fn who_says_nothing_holds_up_no_stop() {
    on_paused_time(|| async {
        let late = SECOND;
        let asked: &[&[u8]] = &[PREFACE, &SETTINGS, &request(1)];
        let (frames, after) = silent_at_a_stop(asked, SECOND).await;
        assert_eq!(frames.last(), Some(&(GOAWAY, 0)), "{frames:?}");
        assert!(
            frames.iter().any(|(kind, _)| *kind == HEADERS),
            "{frames:?}"
        );
        // A request may be on its way that crosses the word of the end.
        assert!(after >= LAST_CALL && after < LAST_CALL + late, "{after:?}");
        // One that has just connected may be about to ask.
        for sent in [&[PREFACE, &SETTINGS[..]][..], &[b"PRI * HTTP/2.0\r\n"], &[]] {
            let (_, after) = silent_at_a_stop(sent, SECOND).await;
            assert!(after >= LAST_CALL && after < LAST_CALL + late, "{after:?}");
        }
    });
}

/// The request was over, and its answer lay in h2: a stop threw away what the client had not read yet.
#[test]
fn what_waits_to_be_read_outlives_a_stop() {
    on_paused_time(|| async {
        // More answers than the pipe and all buffers before it take, and requests that it takes at once.
        let (near, mut far) = duplex(4096);
        let client = client();
        let open = Rc::clone(&client.worker.open);
        spawn_local(serve(client, near));
        let mut sent = [PREFACE, &SETTINGS].concat();
        for number in 0..REQUESTS {
            sent.extend_from_slice(&request(2 * number + 1));
        }
        far.write_all(&sent).await.unwrap();
        tokio::time::sleep(SECOND).await;
        open.stop();
        tokio::time::sleep(10 * LAST_CALL).await;
        let (mut ended, mut bytes) = (0, 0);
        let mut head = [0; 9];
        while far.read_exact(&mut head).await.is_ok() {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            far.read_exact(&mut vec![0; length]).await.unwrap();
            bytes += head.len() + length;
            ended += u16::from(head[3] <= HEADERS && head[4] & END_STREAM != 0);
        }
        assert_eq!(ended, REQUESTS, "{bytes} bytes");
    });
}

#[test]
fn who_never_begins_is_not_waited_for() {
    on_paused_time(|| async {
        let (near, mut far) = duplex(PIPE_BYTES);
        let begun = Instant::now();
        spawn_local(serve(client(), near));
        far.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        far.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(begun.elapsed() >= IDLE_LOOK && begun.elapsed() < IDLE_LOOK + SECOND);
    });
}
