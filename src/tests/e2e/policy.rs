//! What is decided about the requests of an app: in force at once, without a restart of the app, and kept.

use crate::http::{Answer, Connection};
use crate::repository::Repository;
use crate::server::Server;

/// base64 of `me:open sesame`.
const RIGHT: &str = "authorization: Basic bWU6b3BlbiBzZXNhbWU=\r\n";

fn get(server: &Server, app: &str, path: &str, more: &str) -> Answer {
    let mut connection = Connection::open(server.http()).unwrap();
    let host = format!("{app}.localhost");
    connection.get(&host, path, more).unwrap()
}

/// The status of an answer to so many bytes.
fn post(server: &Server, app: &str, bytes: usize) -> u16 {
    let mut connection = Connection::open(server.http()).unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nhost: {app}.localhost\r\ncontent-length: {bytes}\r\n\r\n");
    connection.send(&head, &vec![b'a'; bytes]).unwrap().status
}

#[test]
fn settings_of_the_proxy_hold_at_once_and_survive_a_rename_and_a_restart() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "before", "one");
    let process = server.body("before", "/hostname");
    server
        .ssh(&["proxy:set", "before", "first-byte-timeout", "200ms"])
        .succeeds();
    let late = server.get("before", "/slow?ms=20000");
    assert_eq!(late.status, 504, "{late:?}");
    server
        .ssh(&["proxy:set", "before", "first-byte-timeout", "2m"])
        .succeeds();
    assert_eq!(server.body("before", "/hostname"), process, "started anew");
    server
        .ssh(&["nginx:set", "before", "client-max-body-size", "1k"])
        .says(&["=====> Setting max-body-size to 1k"])
        .succeeds();
    assert_eq!(
        (post(&server, "before", 1025), post(&server, "before", 1024)),
        (413, 200)
    );

    server.ssh(&["apps:rename", "before", "after"]).succeeds();
    assert_eq!(post(&server, "after", 1025), 413);
    server.stop();
    server.launch();
    assert_eq!(post(&server, "after", 1025), 413);
    server
        .mini(&["proxy:set", "after", "max-body-size"])
        .succeeds();
    assert_eq!(post(&server, "after", 1025), 200);
    let report = server.json(&["proxy:report", "after"]);
    assert_eq!(report["proxy-computed-max-body-size"], "off");
    assert_eq!(report["proxy-first-byte-timeout"], "2m");
}

#[test]
fn an_app_is_closed_for_a_while_and_opened_to_those_with_a_password() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "shop", "one");
    let process = server.body("shop", "/hostname");
    server
        .ssh_with_input(
            &["maintenance:custom-page", "shop"],
            b"<h1>Back at noon</h1>",
        )
        .succeeds();
    server
        .ssh(&["maintenance:on", "shop", "--retry-after", "2m"])
        .succeeds();
    let closed = server.get("shop", "/");
    assert_eq!(
        (closed.status, closed.body.as_str()),
        (503, "<h1>Back at noon</h1>")
    );
    assert_eq!(closed.headers["retry-after"], "120");
    server
        .ssh(&["maintenance:on", "shop", "--allow", "127.0.0.0/8"])
        .succeeds();
    assert_eq!(server.body("shop", "/"), "version one\n");
    server.ssh(&["maintenance:off", "shop"]).succeeds();

    server
        .ssh_with_input(&["http-auth:add-user", "shop", "me"], b"open sesame\n")
        .succeeds();
    server.ssh(&["http-auth:on", "shop"]).succeeds();
    assert_eq!(server.get("shop", "/").status, 401);
    let inside = get(&server, "shop", "/headers", RIGHT);
    assert_eq!(inside.status, 200, "{inside:?}");
    let seen: serde_json::Value = serde_json::from_str(&inside.body).unwrap();
    assert_eq!(seen["x-forwarded-user"], "me");
    assert_eq!(seen.get("authorization"), None);
    server
        .ssh(&["http-auth:remove-user", "shop", "me"])
        .succeeds();
    assert_eq!(get(&server, "shop", "/", RIGHT).status, 401);
    server.ssh(&["http-auth:off", "shop"]).succeeds();
    assert_eq!(server.body("shop", "/hostname"), process);
    assert!(!server.log().contains("sesame"), "a password in the log");
}
