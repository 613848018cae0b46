//! The first line and the lines of fields: RFC 9112 sections 2, 4 and 5.

use super::{Kept, Lost, Refused, case, check, closing, seen};
use crate::world::{App, GET, World, read_head};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncWriteExt as _, BufReader};

/// An answer with this first line.
fn status(line: &str) -> String {
    format!("{line}\r\nContent-Length: 2\r\n\r\nok")
}

#[tokio::test]
async fn first_lines() {
    let kept =
        |line: &str, status_code| case("4: a first line", status(line), Kept(status_code, "ok"));
    let refused = |about, line: &str| case(about, status(line), Refused);
    check(vec![
        kept("HTTP/1.1 200 OK", 200),
        kept("HTTP/1.1 200 ", 200),
        // What many leave out.
        kept("HTTP/1.1 200", 200),
        kept("HTTP/1.1 200 all is\twell (really)", 200),
        kept("HTTP/1.1 404 Not Found", 404),
        kept("HTTP/1.1 599 x", 599),
        // RFC 9110 section 15: of no class, and none of ours to judge.
        kept("HTTP/1.1 999 x", 999),
        case(
            "4: a reason that is no ASCII",
            &b"HTTP/1.1 200 \xe4\xff\r\nContent-Length: 2\r\n\r\nok"[..],
            Kept(200, "ok"),
        ),
        refused("4: two digits", "HTTP/1.1 20 OK"),
        refused("4: four digits", "HTTP/1.1 2000 OK"),
        refused("15: below all classes", "HTTP/1.1 099 OK"),
        refused("4: no digits", "HTTP/1.1 abc OK"),
        refused("4: a sign", "HTTP/1.1 +20 OK"),
        refused("4: nothing", "HTTP/1.1"),
        refused("4: two spaces", "HTTP/1.1  200 OK"),
        refused("2.3: a version to come", "HTTP/2.0 200 OK"),
        refused("2.3: a version that was", "HTTP/0.9 200 OK"),
        refused("2.3: small letters", "http/1.1 200 OK"),
        refused("2.3: another protocol", "ICY 200 OK"),
        refused("2.3: another protocol", "220 mail.example ESMTP"),
        refused("2.3: a request", "GET / HTTP/1.1"),
        refused("2.2: a space before", " HTTP/1.1 200 OK"),
        refused("4: a control in the reason", "HTTP/1.1 200 O\x01K"),
        refused("2.2: a carriage return alone", "HTTP/1.1 200 O\rK"),
        case(
            "2: bytes that are no text",
            &b"\0\0\0\x04\0\0\0\0\0\r\n\r\n"[..],
            Refused,
        ),
        case(
            "2: TLS",
            &b"\x15\x03\x01\0\x02\x02\x16\r\n\r\n"[..],
            Refused,
        ),
        case("nothing", closing(""), Lost),
        case(
            "8: half a head",
            closing("HTTP/1.1 200 OK\r\nContent-Le"),
            Lost,
        ),
        case(
            "8: a head without its end",
            closing("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
            Lost,
        ),
    ])
    .await;
}

/// An answer with this line among its fields.
fn line(line: &str) -> String {
    status(&format!("HTTP/1.1 200 OK\r\n{line}"))
}

#[tokio::test]
async fn lines_of_fields() {
    let refused = |about, text: &str| case(about, line(text), Refused);
    let kept = |about, text: &str| case(about, line(text), Kept(200, "ok"));
    check(vec![
        kept("5: no value", "X-A:"),
        kept("5: white space around", "X-A: \t b \t "),
        kept("5.6.2: every character of a name", "!#$%&'*+-.^_`|~0aZ: b"),
        kept("2.2: a line feed alone", "X-A: b\nX-B: c"),
        case(
            "5.5: what is no ASCII",
            &b"HTTP/1.1 200 OK\r\nX: \xe4\xff\r\nContent-Length: 2\r\n\r\nok"[..],
            Kept(200, "ok"),
        ),
        refused("5.2: a folded line", "X-A: b\r\n c"),
        refused("5.2: a folded line", "X-A: b\r\n\tContent-Length: 9"),
        refused("5.2: folded at once", " X-A: b"),
        refused("5.1: a space before the colon", "X-A : b"),
        refused("5.1: a tab before the colon", "X-A\t: b"),
        refused("5.1: a space in a name", "X A: b"),
        refused("5.1: no name", ": b"),
        refused("5: no colon", "no colon"),
        refused("5.1: a control in a name", "X\x01A: b"),
        refused("5.1: NUL in a name", "X\0A: b"),
        refused("5.1: quotes in a name", "\"x\": b"),
        case(
            "5.1: a name that is no ASCII",
            &b"HTTP/1.1 200 OK\r\nX\xe4: b\r\nContent-Length: 2\r\n\r\nok"[..],
            Refused,
        ),
        refused("5.5: NUL in a value", "X-A: b\0c"),
        refused("5.5: a carriage return in a value", "X-A: b\rc"),
        refused("5.5: a line in a value", "X-A: b\r\rX-B: c"),
        refused("5.5: a control in a value", "X-A: b\x01c"),
        refused("5.5: a control in a value", "X-A: b\x7fc"),
    ])
    .await;
}

#[tokio::test]
async fn fields_of_one_name_all_come_in_their_order() {
    let said = line("Set-Cookie: a=1; Path=/\r\nX-A:  b \t\r\nset-cookie: b=2\r\nSet-Cookie: a=1");
    let seen = seen(said, GET).await;
    let fields = seen.head.lines().filter_map(|line| line.split_once(": "));
    let cookies = fields.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let cookies: Vec<_> = cookies.map(|(_, value)| value).collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2", "a=1"]);
    let head = seen.head.to_ascii_lowercase();
    assert!(head.contains("\r\nx-a: b\r\n"), "{}", seen.head);
}

#[tokio::test]
async fn heads_are_as_large_as_apps_have_them_and_not_larger() {
    let fields = |count: usize| {
        (0..count)
            .map(|number| format!("X-{number}: y\r\n"))
            .collect::<String>()
    };
    let answer = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    let large = |bytes: usize| answer(&format!("X: {}\r\n", "y".repeat(bytes)));
    check(vec![
        case("5.4: 90 fields", answer(&fields(90)), Kept(200, "ok")),
        case("5.4: 12 KiB in one", large(12 * 1024), Kept(200, "ok")),
        case(
            "5.4: a reason of 1 KiB",
            status(&format!("HTTP/1.1 200 {}", "x".repeat(1024))),
            Kept(200, "ok"),
        ),
        case("5.4: 10,000 fields", answer(&fields(10_000)), Refused),
        case("5.4: 1 MiB in one", large(1024 * 1024), Refused),
        case(
            "5.4: a name of 100 KiB",
            answer(&format!("{}: y\r\n", "x".repeat(100 * 1024))),
            Refused,
        ),
        case(
            "5.4: a first line of 1 MiB",
            status(&format!("HTTP/1.1 200 {}", "x".repeat(1024 * 1024))),
            Refused,
        ),
    ])
    .await;
}

/// How much an app can say by repeating this after a beginning, before it is not listened to any more.
async fn taken(begin: &'static str, repeated: &'static str) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let app = App::raw("endless", move |stream, _| {
        let count = Arc::clone(&counting);
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let _ = stream.write_all(begin.as_bytes()).await;
            let some = repeated.repeat(1000);
            while stream.write_all(some.as_bytes()).await.is_ok() {
                count.fetch_add(some.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let world = World::with(&[&app]);
    assert_eq!(world.ask(GET).await.status, 502, "{begin:?}");
    count.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_head_without_end_is_not_collected() {
    for (begin, repeated) in [
        ("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
        ("HTTP/1.1 200 OK\r\nX: ", "y"),
        ("HTTP/1.1 200 ", "y"),
        ("", "\r\n"),
    ] {
        // What the system holds of it is not ours.
        let bytes = taken(begin, repeated).await;
        assert!(bytes < 32 * 1024 * 1024, "{bytes} bytes of {repeated:?}");
    }
}
