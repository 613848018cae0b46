use super::{Coding, is_compressible, mark, may_be_packed};
use http::{HeaderMap, HeaderValue, Request, Response};

fn check_wanted(accepted: &str, expected: Option<Coding>) {
    let request = Request::get("/").header("accept-encoding", accepted);
    let request = request.body(()).unwrap();
    assert_eq!(Coding::wanted(&request), expected, "{accepted:?}");
}

#[test]
fn the_coding_is_the_one_the_client_wants_most_and_then_the_one_we_like() {
    check_wanted("gzip, deflate, br, zstd", Some(Coding::Zstd));
    check_wanted("gzip, deflate, br", Some(Coding::Gzip));
    check_wanted("br", Some(Coding::Brotli));
    check_wanted("gzip;q=0.5, br;q=0.8", Some(Coding::Brotli));
    check_wanted("GZIP", Some(Coding::Gzip));
    check_wanted("x-gzip", Some(Coding::Gzip));
    check_wanted("*", Some(Coding::Zstd));
    check_wanted("zstd;q=0, *", Some(Coding::Gzip));
    check_wanted("gzip;q=0", None);
    check_wanted("gzip;q=0.000, identity", None);
    check_wanted("gzip;q=0.5, identity;q=1.0", None);
    check_wanted("gzip ; q = 0.1", Some(Coding::Gzip));
    check_wanted("gzip;q=x", None);
    check_wanted("gzip;q=2", None);
    check_wanted("gzip;level=9", None);
    check_wanted("deflate", None);
    check_wanted("identity", None);
    check_wanted("", None);
    assert_eq!(Coding::wanted(&Request::get("/").body(()).unwrap()), None);
    let head = Request::head("/").header("accept-encoding", "gzip");
    assert_eq!(Coding::wanted(&head.body(()).unwrap()), None);
}

#[test]
fn types_that_shrink_are_known() {
    for kind in [
        "text/html",
        "text/html; charset=utf-8",
        "Text/CSS",
        "application/json",
        "application/problem+json;x=y",
        "image/svg+xml",
        "application/wasm",
    ] {
        assert!(is_compressible(kind.as_bytes()), "{kind}");
    }
    for kind in [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "TEXT/EVENT-STREAM",
        "image/png",
        "video/mp4",
        "application/zip",
        "application/octet-stream",
        "application/grpc",
        "+jso",
        "",
    ] {
        assert!(!is_compressible(kind.as_bytes()), "{kind}");
    }
}

fn answer(status: u16, lines: &[(&'static str, &'static str)]) -> http::response::Parts {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in lines {
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(*name, value);
    }
    response.into_parts().0
}

const HTML: (&str, &str) = ("content-type", "text/html");
const LONG: (&str, &str) = ("content-length", "1024");

#[test]
fn only_whole_plain_answers_of_some_length_are_packed() {
    for (status, lines, expected) in [
        (200, vec![HTML, LONG], true),
        (404, vec![HTML, LONG], true),
        (200, vec![HTML], true),
        (200, vec![LONG], false),
        (200, vec![HTML, ("content-length", "1023")], false),
        (200, vec![HTML, LONG, ("content-encoding", "gzip")], false),
        (
            200,
            vec![HTML, LONG, ("content-encoding", "identity")],
            false,
        ),
        (
            200,
            vec![HTML, LONG, ("cache-control", "public, No-Transform")],
            false,
        ),
        (200, vec![HTML, LONG, ("cache-control", "public")], true),
        (206, vec![HTML, LONG], false),
        (
            200,
            vec![HTML, LONG, ("content-range", "bytes 0-1/2")],
            false,
        ),
        (
            200,
            vec![HTML, LONG, ("content-digest", "sha-256=:x:")],
            false,
        ),
        (204, vec![HTML], false),
        (304, vec![HTML], false),
        (200, vec![("content-type", "text/event-stream")], false),
    ] {
        let mut answer = answer(status, &lines);
        assert_eq!(may_be_packed(&mut answer), expected, "{status} {lines:?}");
        assert_eq!(answer.headers.contains_key("vary"), expected, "{lines:?}");
    }
}

#[test]
fn what_depends_on_the_client_says_so_once() {
    let vary = |given: &'static str| {
        let mut answer = answer(200, &[HTML, LONG, ("vary", given)]);
        assert!(may_be_packed(&mut answer));
        let all = answer.headers.get_all("vary").iter();
        let all: Vec<&str> = all.map(|value| value.to_str().unwrap()).collect();
        all.join(" + ")
    };
    assert_eq!(vary("Cookie"), "Cookie + Accept-Encoding");
    assert_eq!(vary("Cookie, accept-encoding"), "Cookie, accept-encoding");
    assert_eq!(vary("*"), "*");
}

#[test]
fn a_packed_answer_is_another_byte_for_byte() {
    let marked = |tag: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("2000"));
        headers.insert("etag", HeaderValue::from_static(tag));
        assert_eq!(mark(&mut headers, Coding::Brotli), Some(2000));
        assert!(!headers.contains_key("content-length"));
        assert_eq!(headers["content-encoding"], "br");
        headers["etag"].to_str().unwrap().to_owned()
    };
    assert_eq!(marked("\"x\""), "W/\"x\"");
    assert_eq!(marked("W/\"x\""), "W/\"x\"");
}
