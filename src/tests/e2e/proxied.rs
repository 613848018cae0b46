//! What an app sees of its visitors through the proxy, and they of it.

use serde_json::Value;

use crate::http::{self, Connection};
use crate::repository::Repository;
use crate::server::Server;

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
