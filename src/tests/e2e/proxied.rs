//! What an app sees of its visitors through the proxy, and they of it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::http::{self, Connection};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

#[test]
fn an_app_sees_who_asked_and_for_what() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "seen", "one");
    let mut connection = Connection::open(server.http()).unwrap();
    let forged = "x-forwarded-for: 8.8.8.8\r\nx-forwarded-proto: https\r\n";
    let answer = connection
        .get("seen.localhost", "/headers", forged)
        .unwrap();
    let headers: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(headers["host"], "seen.localhost");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(
        headers["x-forwarded-port"],
        server.http().port().to_string()
    );
    assert!(
        headers["x-request-id"]
            .as_str()
            .is_some_and(|id| !id.is_empty()),
        "{headers}"
    );
    assert!(
        headers["x-request-start"]
            .as_str()
            .is_some_and(|at| at.starts_with("t=")),
        "{headers}"
    );
    // The same connection serves on.
    assert_eq!(
        connection.get("seen.localhost", "/", "").unwrap().body,
        "version one\n"
    );
    assert_eq!(
        connection
            .get("seen.localhost", "/nowhere", "")
            .unwrap()
            .status,
        404
    );
    assert_eq!(
        http::get(server.http(), "unknown.localhost", "/")
            .unwrap()
            .status,
        404
    );
}

/// The headers an app gets of a request with these lines.
#[track_caller]
fn seen(connection: &mut Connection, lines: &str) -> Value {
    let answer = connection.get("seen.localhost", "/headers", lines).unwrap();
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn who_asks_through_a_trusted_proxy_is_known_by_its_header_and_by_the_proxy_protocol() {
    let trusted = ("MINI_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8".to_owned());
    let mut server = Server::start_with(&[(trusted.0, &trusted.1)]);
    let repository = Repository::deployed(&server, "seen", "one");
    drop(repository);
    server
        .ssh(&["proxy:set", "seen", "forwarded", "on"])
        .succeeds();
    server
        .ssh(&["proxy:set", "seen", "deny-list", "198.51.100.0/24"])
        .succeeds();
    let mut connection = Connection::open(server.http()).unwrap();
    let headers = seen(
        &mut connection,
        "x-forwarded-for: 6.6.6.6, 192.0.2.7, 10.1.1.1\r\nx-forwarded-proto: https\r\n",
    );
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-port"], "443");
    assert_eq!(
        headers["forwarded"],
        "for=192.0.2.7;host=seen.localhost;proto=https"
    );
    let denied = "x-forwarded-for: 198.51.100.1\r\n";
    let answer = connection.get("seen.localhost", "/", denied).unwrap();
    assert_eq!(answer.status, 403, "{answer:?}");

    let on = [
        (trusted.0, trusted.1),
        ("MINI_PROXY_PROTOCOL", "on".to_owned()),
    ];
    server.stop();
    server.set_environment(&on);
    server.launch();
    let connect = |first: &[u8]| {
        let mut connection = Connection::open(server.http()).unwrap();
        connection.write(first).unwrap();
        connection
    };
    let mut line = connect(b"PROXY TCP4 192.0.2.8 203.0.113.1 40000 443\r\n");
    for _ in 0..2 {
        // Believed was 127.0.0.1, which hands the connection on, not who is at its other end.
        let headers = seen(&mut line, "x-forwarded-for: 6.6.6.6\r\n");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.8");
        assert_eq!(headers["x-forwarded-port"], "443");
    }
    let mut denied = connect(
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x01\xcb\0\x71\x01\x9c\x40\x01\xbb",
    );
    let answer = denied.get("seen.localhost", "/", "").unwrap();
    assert_eq!(answer.status, 403, "{answer:?}");
    // Without a header nothing is served.
    assert!(connect(b"").get("seen.localhost", "/", "").is_err());
    // Records are written in batches.
    wait_until("the clients to be in the access log", || {
        let log = server.json(&["proxy:access-logs", "seen"]);
        let records = log.as_array().into_iter().flatten();
        let clients: Vec<&str> = records
            .filter_map(|record| record["client"].as_str())
            .collect();
        let mut all = ["192.0.2.7", "198.51.100.1", "192.0.2.8"].iter();
        all.all(|client| clients.contains(client))
    });
}

#[test]
fn a_websocket_passes_through() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "socket", "one");
    let mut connection = Connection::open(server.http()).unwrap();
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = connection
        .get("socket.localhost", "/echo", upgrade)
        .unwrap();
    assert_eq!(answer.status, 101);
    // The example of RFC 6455, section 1.3.
    assert_eq!(
        answer.headers["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    for text in ["hello", "again"] {
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 1, 2, 3, 4];
        frame.extend(
            text.bytes()
                .enumerate()
                .map(|(at, byte)| byte ^ [1, 2, 3, 4][at % 4]),
        );
        connection.write(&frame).unwrap();
        let echoed = connection.read(2 + text.len()).unwrap();
        assert_eq!(&echoed[2..], text.as_bytes());
    }
}

#[test]
fn requests_are_seen_in_the_access_log_and_in_the_figures() {
    let server = Server::start_with(&[
        ("MINI_METRICS_LISTEN", "127.0.0.1:0"),
        // Who stands in front may name requests.
        ("MINI_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let _repository = Repository::deployed(&server, "seen", "one");
    let mut following = server.ssh_begin(&["proxy:access-logs", "seen", "-t"]);
    let mut connection = Connection::open(server.http()).unwrap();
    let more = "x-request-id: mine-1\r\nuser-agent: tests\r\n";
    connection
        .get("seen.localhost", "/headers?token=secret", more)
        .unwrap();
    following.wait_for_text("mine-1");
    following.signal(Signal::INT);
    following.finish();
    server
        .ssh(&["proxy:access-logs", "seen"])
        .says_not("secret")
        .says(&[r#""app":"seen""#, r#""path":"/headers""#]);
    let records = server.json(&["nginx:access-logs", "seen"]);
    let mut records = records.as_array().unwrap().iter();
    let record = records.find(|record| record["id"] == "mine-1").unwrap();
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["client"], "127.0.0.1");
    assert_eq!(record["user_agent"], "tests");
    assert_eq!(record["upstream"].as_str().map(str::len), Some(12));
    assert!(record["first_byte_ms"].as_f64() <= record["duration_ms"].as_f64());

    let stats = server.json(&["proxy:stats", "seen"]);
    assert!(stats[0]["requests"].as_u64() >= Some(1), "{stats}");
    // The figures are the same on the socket of the API and on the address that was asked for.
    let file = std::fs::read(server.data_dir().join("run/server.json")).unwrap();
    let facts: Value = serde_json::from_slice(&file).unwrap();
    let address = facts["metrics"][0].as_str().unwrap().parse().unwrap();
    let metrics = http::get(address, "localhost", "/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    let answered = r#"mini_http_requests_total{app="seen",class="2xx"} "#;
    let lines = [
        answered,
        r#"mini_http_request_duration_seconds_count{app="seen"} "#,
        "mini_apps 1\n",
        r#"mini_releases{status="current"} 1"#,
        r#"mini_deploys{status="succeeded"} 1"#,
        "process_resident_memory_bytes ",
    ];
    for line in lines {
        assert!(metrics.body.contains(line), "{line} in {}", metrics.body);
    }
    assert_eq!(
        http::get(address, "localhost", "/health").unwrap().status,
        404
    );
    let mut api = UnixStream::connect(server.data_dir().join("run/api.sock")).unwrap();
    api.write_all(b"GET /metrics HTTP/1.1\r\nhost: mini\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    api.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(answered), "{answer}");

    let log = server.data_dir().join("logs/access/seen.log");
    assert!(log.exists());
    server.ssh(&["apps:destroy", "seen", "--force"]).succeeds();
    assert!(!log.exists());
}

#[test]
fn a_large_body_arrives_whole() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "upload", "one");
    let body = vec![b'x'; 20 << 20];
    let head = format!(
        "POST / HTTP/1.1\r\nhost: upload.localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = Connection::open(server.http())
        .unwrap()
        .send(&head, &body)
        .unwrap();
    assert_eq!(answer.status, 200);
    // sha256 of 20 MiB of `x`.
    assert_eq!(answer.body.len(), 64, "{answer:?}");
}
