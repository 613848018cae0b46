//! Bodies in chunks: RFC 9112 section 7.1.

use super::seen::Seen;
use super::{Broken, Closed, Kept, case, check, chunked, closing, resetting};
use crate::http2::{get, prior_knowledge};
use crate::world::World;

#[tokio::test]
async fn chunks() {
    let kept = |about, chunks: &str| case(about, chunked(chunks), Kept(200, "hello"));
    check(vec![
        kept("7.1: one", "5\r\nhello\r\n0\r\n\r\n"),
        kept("7.1: several", "1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n"),
        kept("7.1: zeros before", "0005\r\nhello\r\n000\r\n\r\n"),
        case("7.1: none", chunked("0\r\n\r\n"), Kept(200, "")),
        case(
            "7.1: small letters",
            chunked("a\r\n0123456789\r\n0\r\n\r\n"),
            Kept(200, "0123456789"),
        ),
        case(
            "7.1: capitals",
            chunked("A\r\n0123456789\r\n0\r\n\r\n"),
            Kept(200, "0123456789"),
        ),
        kept("7.1.1: an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n"),
        kept(
            "7.1.1: several in quotes",
            "5 ; a = \"b;c\\\"\" ;d\r\nhello\r\n0\r\n\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_connection_is_kept_behind_trailers() {
    let said = chunked("5\r\nhello\r\n0\r\nX-Sum: 7\r\nX-More: \r\n\r\n");
    check(vec![case("7.1.2: trailers", said, Kept(200, "hello"))]).await;
}

#[tokio::test]
async fn chunks_that_are_none_end_no_answer() {
    let broken = |about, chunks: &str| case(about, chunked(chunks), Broken(200, ""));
    let half = |about, chunks: &str| case(about, chunked(chunks), Broken(200, "hello"));
    check(vec![
        broken("7.1: no digits", "\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: no hexadecimal digit", "g\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: digits and more", "5g\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: a sign", "-5\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: a space before", " 5\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: two sizes", "5 5\r\nhello\r\n0\r\n\r\n"),
        broken("7.1: a comma", "5,a\r\nhello\r\n0\r\n\r\n"),
        broken(
            "7.1: more than 64 bits",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        broken(
            "7.1: far more",
            "fffffffffffffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        ),
        broken(
            "7.1: a line feed alone behind the size",
            "5\nhello\r\n0\r\n\r\n",
        ),
        broken(
            "7.1: a carriage return alone behind the size",
            "5\rhello\r\n0\r\n\r\n",
        ),
        broken(
            "7.1.1: a line feed alone in an extension",
            "5;a\nhello\r\n0\r\n\r\n",
        ),
        broken(
            "7.1.1: a carriage return alone in an extension",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
        ),
        broken(
            "7.1.1: more extension than anybody needs",
            &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(100 * 1024)),
        ),
        half("7.1: no end of a chunk", "5\r\nhello0\r\n\r\n"),
        half(
            "7.1: a line feed alone behind the data",
            "5\r\nhello\n0\r\n\r\n",
        ),
        half("7.1: more than the size", "5\r\nhellos\r\n0\r\n\r\n"),
        half(
            "7.1: a line feed alone behind the last size",
            "5\r\nhello\r\n0\n\r\n",
        ),
        half(
            "7.1.2: a trailer without a colon",
            "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        ),
        half(
            "7.1.2: a trailer with a space in its name",
            "5\r\nhello\r\n0\r\nX Y: z\r\n\r\n",
        ),
        half(
            "7.1.2: a trailer with NUL",
            "5\r\nhello\r\n0\r\nX: y\0z\r\n\r\n",
        ),
        half(
            "7.1.2: a folded trailer",
            "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        ),
        half(
            "7.1.2: a trailer of 1 MiB",
            &format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "y".repeat(1024 * 1024)),
        ),
        half(
            "7.1.2: 10,000 trailers",
            &format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_line_feed_alone_is_not_waited_upon() {
    let broken = |about, chunks: &str| case(about, chunked(chunks), Broken(200, "hello"));
    check(vec![
        broken("7.1: at the end", "5\r\nhello\r\n0\r\n\n"),
        broken(
            "7.1.2: in a trailer",
            "5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_body_without_its_last_chunk_is_cut_off() {
    let cut = |about, chunks: &str| case(about, closing(chunked(chunks)), Broken(200, "hello"));
    check(vec![
        cut("8: no last chunk", "5\r\nhello\r\n"),
        cut("8: half a last chunk", "5\r\nhello\r\n0"),
        cut("8: a last chunk without its end", "5\r\nhello\r\n0\r\n"),
        cut("8: half of its end", "5\r\nhello\r\n0\r\n\r"),
        cut("8: half a trailer", "5\r\nhello\r\n0\r\nX: y"),
        cut(
            "8: trailers without their end",
            "5\r\nhello\r\n0\r\nX: y\r\n",
        ),
        cut("8: half a chunk", "a\r\nhello"),
        cut(
            "7.1: nearly all of a huge one is missing",
            "7fffffffffffffff\r\nhello",
        ),
        cut("7.1: the same without a sign", "ffffffffffffffff\r\nhello"),
        cut(
            "7.1: a line feed alone for its end",
            "5\r\nhello\r\n0\r\n\n",
        ),
        case(
            "8: broken off",
            resetting(chunked("5\r\nhello\r\n")),
            Broken(200, "hello"),
        ),
        case("8: nothing of it", closing(chunked("")), Broken(200, "")),
        case(
            "8: all of it",
            closing(chunked("5\r\nhello\r\n0\r\n\r\n")),
            Closed(200, "hello"),
        ),
    ])
    .await;
}

const TAKES_TRAILERS: &str =
    "GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\nConnection: TE\r\n\r\n";

/// An answer with these trailers, all announced.
fn trailing(trailers: &str) -> String {
    let names = trailers
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0));
    let names = names.collect::<Vec<_>>().join(", ");
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: {names}\r\n\r\n");
    format!("{head}5\r\nhello\r\n0\r\n{trailers}\r\n")
}

#[tokio::test]
async fn trailers_that_frame_or_route_are_told_to_nobody() {
    // RFC 9110 section 6.5.1.
    let trailers = "X-Sum: 7\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nConnection: X-Sum\r\n\
                    Keep-Alive: timeout=5\r\nTrailer: x\r\nTE: gzip\r\nUpgrade: x\r\n";
    let app = super::saying(trailing(trailers).into()).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(TAKES_TRAILERS).await;
    let mut sender = prior_knowledge(world.address).await;
    for seen in [
        Seen::over_http1(&mut client, false).await,
        Seen::over_http2(&mut sender, get("http://app/")).await,
    ] {
        assert_eq!((seen.body.as_str(), seen.is_whole), ("hello", true));
        assert_eq!(seen.trailers.to_ascii_lowercase(), "x-sum: 7\r\n");
    }
    // They were not taken for fields of the answer.
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn trailers_nobody_asked_for_are_left_out() {
    let app = super::saying(trailing("X-Sum: 7\r\n").into()).await;
    let world = World::with(&[&app]);
    for request in [
        "GET / HTTP/1.1\r\nHost: app\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: app\r\n\r\n",
    ] {
        let mut client = world.client().await;
        client.send(request).await;
        let seen = Seen::over_http1(&mut client, false).await;
        assert_eq!(
            (seen.body.as_str(), seen.trailers.as_str(), seen.is_whole),
            ("hello", "", true)
        );
    }
}
