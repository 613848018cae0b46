//! Fields that concern one connection: RFC 9110 section 7.6.1.

use super::{seen, with_fields};
use crate::world::{GET, header};

/// What is left of these fields, in the head that a client gets.
async fn left(fields: &str) -> String {
    let seen = seen(with_fields(&format!("{fields}\r\nContent-Length: 5")), GET).await;
    assert_eq!(
        (seen.status, seen.body.as_str()),
        (200, "hello"),
        "{fields}"
    );
    seen.head
}

#[tokio::test]
async fn those_of_the_upstreams_connection_stay_there() {
    for (name, value) in [
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Upgrade", "h2c, websocket"),
        ("TE", "gzip"),
    ] {
        let head = left(&format!("{name}: {value}\r\nX-Stays: 1")).await;
        assert_eq!(
            (header(&head, name), header(&head, "x-stays")),
            (None, Some("1")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn those_it_names_do_too() {
    for connection in [
        "Connection: X-One, X-Two",
        "Connection: x-one,x-two",
        "Connection: , X-One ,\t, X-Two,",
        "Connection: X-One\r\nConnection: X-Two",
        "Connection: keep-alive, X-One\r\nConnection: X-Two",
        "connection: x-two, X-ONE, not there",
    ] {
        let head = left(&format!(
            "{connection}\r\nX-One: 1\r\nX-Two: 2\r\nX-Two: 3\r\nX-Stays: 1"
        ))
        .await;
        let [one, two, stays] = ["x-one", "x-two", "x-stays"].map(|name| header(&head, name));
        assert_eq!(
            (one, two, stays),
            (None, None, Some("1")),
            "{connection}: {head}"
        );
    }
}

#[tokio::test]
async fn the_length_of_an_answer_cannot_be_named_away() {
    let head = left("Connection: content-length, X-Hop\r\nX-Hop: 1").await;
    assert_eq!(header(&head, "content-length"), Some("5"));
}

#[tokio::test]
async fn what_the_upstream_says_of_its_connection_is_not_said_of_the_clients() {
    for connection in ["close", "keep-alive", "upgrade", "Upgrade, close", "X-None"] {
        let head = left(&format!("Connection: {connection}\r\nUpgrade: x")).await;
        assert_eq!(header(&head, "connection"), None, "{connection}: {head}");
    }
}
