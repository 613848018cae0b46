use super::{IDLE_LOOK, PING_INTERVAL, PING_TIMEOUT, serve};
use crate::client::{Client, Ends, Seat};
use crate::deadline::tests::on_paused_time;
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
const PING: u8 = 6;

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
        far.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
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
