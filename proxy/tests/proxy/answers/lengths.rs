//! How long a body is: RFC 9112 section 6, RFC 9110 section 8.6.

use super::{
    Broken, Closed, Kept, Refused, case, check, check_asked, chunked, closing, resetting, seen,
    with_fields,
};
use crate::world::header;

#[tokio::test]
async fn lengths() {
    let kept = |fields: &str| case("8.6: a length", with_fields(fields), Kept(200, "hello"));
    let refused = |about, fields: &str| case(about, with_fields(fields), Refused);
    check(vec![
        kept("Content-Length: 5"),
        kept("content-length:5"),
        kept("Content-Length: \t5\t "),
        kept("Content-Length: 005"),
        case(
            "8.6: none",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Kept(200, ""),
        ),
        refused(
            "6.3: lengths that differ",
            "Content-Length: 5\r\nContent-Length: 6",
        ),
        refused("6.3: lengths that differ", "Content-Length: 5, 6"),
        refused("6.3: lengths that differ", "Content-Length: 5,, 6"),
        refused("8.6: a sign", "Content-Length: +5"),
        refused("8.6: a sign", "Content-Length: -5"),
        refused("8.6: hexadecimal", "Content-Length: 0x5"),
        refused("8.6: a fraction", "Content-Length: 5.0"),
        refused("8.6: two words", "Content-Length: 5 5"),
        refused("8.6: a word", "Content-Length: five"),
        refused("8.6: none", "Content-Length:"),
        refused("8.6: a list of none", "Content-Length: ,"),
        refused(
            "8.6: more than 64 bits",
            "Content-Length: 18446744073709551621",
        ),
        refused(
            "8.6: all of 64 bits",
            "Content-Length: 18446744073709551615",
        ),
        refused(
            "8.6: far more",
            "Content-Length: 99999999999999999999999999999999999995",
        ),
        refused(
            "8.6: more in the second",
            "Content-Length: 5\r\nContent-Length: 18446744073709551621",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_length_said_twice_is_told_once() {
    // Section 8.6 leaves it to the reader to refuse these or to make one of them; `is_hygienic` sees that it is one.
    let kept = |fields: &str| case("8.6: a length", with_fields(fields), Kept(200, "hello"));
    check(vec![
        kept("Content-Length: 5, 5"),
        kept("Content-Length: 5\r\nContent-Length: 5"),
        kept("Content-Length: 5, 5\r\nContent-Length: 5"),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_cut_off_for_its_client() {
    let half = |says: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {says}\r\n\r\nhalf");
    check(vec![
        case(
            "8: a byte is missing",
            closing(half("5")),
            Broken(200, "half"),
        ),
        case(
            "8: all is missing",
            closing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            Broken(200, ""),
        ),
        case(
            "8: nearly all is missing",
            closing(half("9223372036854775807")),
            Broken(200, "half"),
        ),
        case(
            "8: by HTTP/1.0",
            closing("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhalf"),
            Broken(200, "half"),
        ),
        case("8: broken off", resetting(half("5")), Broken(200, "half")),
        case(
            "6.3: nothing is missing",
            closing(half("4")),
            Closed(200, "half"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_comes_behind_a_body_is_nobodys() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let hello = with_fields("Content-Length: 5");
    check(vec![
        case(
            "6.3: more than it says",
            with_fields("Content-Length: 4"),
            Closed(200, "hell"),
        ),
        case(
            "6.3: an answer nobody asked for",
            format!("{hello}{evil}"),
            Closed(200, "hello"),
        ),
        case(
            "6.3: an empty line",
            format!("{hello}\r\n"),
            Closed(200, "hello"),
        ),
        case(
            "6.3: the beginning of an answer",
            format!("{hello}HTTP/1.1"),
            Closed(200, "hello"),
        ),
        case(
            "6.3: an interim answer",
            format!("{hello}HTTP/1.1 103 Early Hints\r\n\r\n"),
            Closed(200, "hello"),
        ),
        case(
            "7.1: behind the last chunk",
            chunked(&format!("5\r\nhello\r\n0\r\n\r\n{evil}")),
            Closed(200, "hello"),
        ),
        case(
            "6.3: behind none",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{evil}"),
            Closed(200, ""),
        ),
    ])
    .await;
}

#[tokio::test]
async fn codings() {
    let both = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let kept = |about, fields: &str| case(about, both(fields), Kept(200, "hello"));
    // Chunks count; but of who says both it is not known where the next answer begins.
    let closed = |about, fields: &str| case(about, both(fields), Closed(200, "hello"));
    let old = both("Transfer-Encoding: chunked").replace("HTTP/1.1", "HTTP/1.0");
    check(vec![
        kept("7.1: chunks", "Transfer-Encoding: chunked"),
        kept("7: in any letters", "transfer-encoding:CHUNKED"),
        closed(
            "6.3: chunks and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
        ),
        closed(
            "6.3: a length and chunks",
            "Content-Length: 50\r\nTransfer-Encoding: chunked",
        ),
        case("6.1: by HTTP/1.0", old, Refused),
        case(
            "5.1: a space before the colon",
            both("Transfer-Encoding : chunked\r\nContent-Length: 3"),
            Refused,
        ),
    ])
    .await;
}

#[tokio::test]
async fn codings_that_nobody_asked_for() {
    let answer =
        |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let refused = |fields: &str| {
        case(
            "7: what is not undone must not be passed on as if it were",
            closing(answer(fields)),
            Refused,
        )
    };
    check(vec![
        refused("Transfer-Encoding: gzip, chunked"),
        refused("Transfer-Encoding: gzip"),
        refused("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
        refused("Transfer-Encoding: chunked, gzip"),
        refused("Transfer-Encoding: chunked, chunked"),
        refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        refused("Transfer-Encoding: xchunked"),
        refused("Transfer-Encoding: chunked;q=1"),
        refused("Transfer-Encoding: \"chunked\""),
        refused("Transfer-Encoding: chunked,"),
        refused("Transfer-Encoding:"),
        refused("Transfer-Encoding: identity\r\nContent-Length: 5"),
        refused("Transfer-Encoding: \x0bchunked"),
    ])
    .await;
}

#[tokio::test]
async fn answers_that_have_no_body() {
    let empty = |about, text: &str, status| case(about, text, Kept(status, ""));
    check(vec![
        empty("6.3: 204", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        // `is_hygienic` sees that its client is told of none.
        empty(
            "8.6: 204 with a length",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            204,
        ),
        empty(
            "8.6: 204 with a length",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            204,
        ),
        empty(
            "6.1: 204 with chunks",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            204,
        ),
        empty(
            "6.3: 304",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            304,
        ),
        empty(
            "8.6: 304 with a length",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            304,
        ),
        empty(
            "6.1: 304 with chunks",
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            304,
        ),
        case(
            "6.3: 204 and a body",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
            Closed(204, ""),
        ),
        case(
            "6.3: 204 and chunks",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Closed(204, ""),
        ),
        case(
            "6.3: 304 and a body",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
            Closed(304, ""),
        ),
        case(
            "6.3: 205 is framed like others",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            Kept(205, ""),
        ),
    ])
    .await;
}

#[tokio::test]
async fn answers_to_head() {
    check_asked(
        "HEAD",
        vec![
            case(
                "6.3: a length",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Kept(200, ""),
            ),
            case(
                "6.3: chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Kept(200, ""),
            ),
            case("6.3: nothing", "HTTP/1.1 200 OK\r\n\r\n", Kept(200, "")),
            case(
                "6.1: a coding of what does not come",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Kept(200, ""),
            ),
            case(
                "6.3: 404",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n",
                Kept(404, ""),
            ),
            case(
                "8.6: 204 with a length",
                "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                Kept(204, ""),
            ),
            case(
                "6.3: a body all the same",
                with_fields("Content-Length: 5"),
                Closed(200, ""),
            ),
            case(
                "6.3: chunks all the same",
                chunked("5\r\nhello\r\n0\r\n\r\n"),
                Closed(200, ""),
            ),
            case(
                "6.3: and closes",
                closing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
                Closed(200, ""),
            ),
        ],
    )
    .await;
    let request = "HEAD / HTTP/1.1\r\nHost: app\r\n\r\n";
    let seen = seen("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", request).await;
    assert_eq!(header(&seen.head, "content-length"), Some("5"));
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    let seen = super::seen(not_modified, "GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert!(
        matches!(header(&seen.head, "content-length"), Some("5") | None),
        "{}",
        seen.head
    );
}

#[tokio::test]
async fn a_length_that_is_none_is_told_to_nobody() {
    // Where no body comes, RFC 9112 section 6.3 does not ask for it; RFC 9110 section 8.6 forbids to pass it on.
    for lines in [
        "Content-Length: five",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
    ] {
        for (request, status) in [
            ("HEAD", "200 OK"),
            ("GET", "304 Not Modified"),
            ("GET", "204 No Content"),
        ] {
            let said = format!("HTTP/1.1 {status}\r\n{lines}\r\n\r\n");
            let asked = format!("{request} / HTTP/1.1\r\nHost: app\r\n\r\n");
            let seen = seen(said, &asked).await;
            // The answer of the proxy itself, or one without the length: `is_hygienic`.
            assert!(
                seen.error().is_some() || status.starts_with(&seen.status.to_string()),
                "{lines}: {}",
                seen.head
            );
        }
    }
}
