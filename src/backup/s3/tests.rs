//! Against a store in this process that fails where it is told to. The real thing, by moto, is in the end-to-end tests.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::listing::{Begun, begun};
use super::upload::PART_BYTES;
use super::*;
use crate::model::Secret;

type Body = StreamBody<
    futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>>,
>;

/// What the next request gets instead of an answer.
#[derive(Debug, Clone)]
enum Fault {
    /// This status and this body.
    Says(u16, &'static str),
    /// The first bytes of the answer, and the end of the connection.
    Cut(usize),
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u16, Vec<u8>>>,
    /// For requests whose method and query begin like this.
    faults: VecDeque<(Method, &'static str, Fault)>,
    /// Method and query, without the signature.
    requests: Vec<String>,
    page: usize,
}

#[derive(Clone)]
struct Store(Arc<Mutex<State>>);

impl Store {
    async fn start() -> (Store, Bucket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = Store(Arc::default());
        store.0.lock().unwrap().page = 1000;
        let serving = store.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let store = serving.clone();
                let service = service_fn(move |request| store.clone().answer(request));
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        (store, bucket_at(address))
    }

    fn fails(&self, method: Method, query: &'static str, fault: Fault) {
        let mut state = self.0.lock().unwrap();
        state.faults.push_back((method, query, fault));
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query: Vec<&str> = head.uri.query().unwrap_or_default().split('&').collect();
        assert!(
            query
                .iter()
                .any(|part| part.starts_with("X-Amz-Signature="))
        );
        let query: Vec<&str> = query
            .into_iter()
            .filter(|part| !part.starts_with("X-Amz-"))
            .collect();
        let value = |name: &str| {
            let part = query.iter().find_map(|part| part.strip_prefix(name));
            part.and_then(|rest| rest.strip_prefix('='))
                .map(str::to_owned)
        };
        let all = query.join("&");
        let object = head.uri.path().trim_start_matches("/shop/").to_owned();
        let mut state = self.0.lock().unwrap();
        state.requests.push(format!("{} {all}", head.method));
        let is_next = |(method, query, _): &(Method, &str, Fault)| {
            *method == head.method && all.starts_with(query)
        };
        let mut cut = None;
        if state.faults.front().is_some_and(is_next) {
            match state.faults.pop_front().unwrap().2 {
                Fault::Says(status, text) => return Ok(say(status, text.to_owned())),
                Fault::Cut(bytes) => cut = Some(bytes),
            }
        }
        Ok(match (head.method.as_str(), value("uploadId")) {
            ("POST", None) => {
                let id = format!("u{}", state.uploads.len());
                state.uploads.insert(id.clone(), BTreeMap::new());
                let ns = "http://s3.amazonaws.com/doc/2006-03-01/";
                say(
                    200,
                    format!(
                        "<InitiateMultipartUploadResult xmlns=\"{ns}\"><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                )
            }
            ("PUT", Some(id)) => {
                let number = value("partNumber").unwrap().parse().unwrap();
                state
                    .uploads
                    .get_mut(&id)
                    .unwrap()
                    .insert(number, body.to_vec());
                let mut answer = say(200, String::new());
                answer
                    .headers_mut()
                    .insert("etag", format!("\"{number}\"").parse().unwrap());
                answer
            }
            ("POST", Some(id)) => match state.uploads.remove(&id) {
                Some(parts) => {
                    let whole = parts.into_values().flatten().collect();
                    state.objects.insert(object, whole);
                    match cut {
                        Some(_) => broken(),
                        None => say(200, "<CompleteMultipartUploadResult/>".to_owned()),
                    }
                }
                None => say(404, "<Error><Code>NoSuchUpload</Code></Error>".to_owned()),
            },
            ("DELETE", Some(id)) => {
                state.uploads.remove(&id);
                say(204, String::new())
            }
            ("HEAD", _) => {
                let length = state.objects[&object].len();
                let mut answer = say(200, String::new());
                answer.headers_mut().insert("content-length", length.into());
                answer
            }
            ("GET", _) if all.contains("list-type=2") => {
                let from = value("continuation-token")
                    .unwrap_or_default()
                    .replace("%2F", "/");
                let prefix = value("prefix").unwrap().replace("%2F", "/");
                let mut names = state
                    .objects
                    .iter()
                    .filter(|(name, _)| name.starts_with(&prefix) && **name > from);
                let page: Vec<_> = names.by_ref().take(state.page).collect();
                let rest = names.next().is_some();
                let mut text = String::from(
                    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
                );
                for (name, content) in &page {
                    let bytes = content.len();
                    text += &format!(
                        "<Contents><ETag>t</ETag><Key>{name}</Key><LastModified>2026-11-21T00:00:00.000Z</LastModified><Size>{bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                    );
                }
                if rest {
                    let last = page.last().unwrap().0;
                    text += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
                }
                say(200, text + "</ListBucketResult>")
            }
            ("GET", _) => {
                let whole = state.objects[&object].clone();
                let from = head.headers.get("range").map(|range| {
                    assert_eq!(head.headers["if-match"], "\"tag\"");
                    let range = range.to_str().unwrap();
                    range
                        .trim_start_matches("bytes=")
                        .trim_end_matches('-')
                        .parse::<usize>()
                        .unwrap()
                });
                let content = whole[from.unwrap_or(0)..].to_vec();
                let length = content.len();
                let mut frames = vec![Ok(Frame::data(Bytes::from(
                    content[..cut.unwrap_or(length)].to_vec(),
                )))];
                if cut.is_some() {
                    frames.push(Err(std::io::Error::other("cut")));
                }
                Response::builder()
                    .status(if from.is_some() { 206 } else { 200 })
                    .header("etag", "\"tag\"")
                    .header("content-length", length)
                    .body(StreamBody::new(futures_util::stream::iter(frames)))
                    .unwrap()
            }
            other => panic!("{other:?}"),
        })
    }

    fn count(&self, beginning: &str) -> usize {
        let state = self.0.lock().unwrap();
        let found = state
            .requests
            .iter()
            .filter(|line| line.starts_with(beginning));
        found.count()
    }
}

fn say(status: u16, text: String) -> Response<Body> {
    let frames = vec![Ok(Frame::data(Bytes::from(text)))];
    let mut answer = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

fn broken() -> Response<Body> {
    let frames = vec![Err(std::io::Error::other("cut"))];
    Response::new(StreamBody::new(futures_util::stream::iter(frames)))
}

fn bucket_at(address: SocketAddr) -> Bucket {
    let access = S3Access {
        endpoint: Some(format!("http://{address}")),
        key_id: Some("AKID".to_owned()),
        secret_key: Some(Secret::new("hunter2hunter2")),
        ..S3Access::default()
    };
    Bucket::open(&"s3://shop/x".parse().unwrap(), &access).unwrap()
}

/// Sends `content` and says at the end that it is whole, or does not.
async fn send(bucket: &Bucket, content: Vec<u8>, is_whole: bool) -> Result<u64, BackupError> {
    let (mut upload, sending) = bucket.upload("a.age").await?;
    let writing = tokio::task::spawn_blocking(move || {
        for piece in content.chunks(1 << 16) {
            if upload.write_all(piece).is_err() {
                return;
            }
        }
        if is_whole {
            upload.end();
        }
    });
    writing.await.unwrap();
    sending.finish().await
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn an_archive_goes_up_in_parts_and_a_part_that_fails_is_sent_again() {
    let (store, bucket) = Store::start().await;
    store.fails(
        Method::PUT,
        "partNumber=2",
        Fault::Says(503, "<Error><Code>SlowDown</Code></Error>"),
    );
    let whole = content(2 * PART_BYTES + 7);
    let sent = send(&bucket, whole.clone(), true).await.unwrap();
    assert_eq!(sent, whole.len() as u64);
    assert_eq!(store.count("PUT partNumber=2"), 2);
    let state = store.0.lock().unwrap();
    assert!(state.objects["x/a.age"] == whole && state.uploads.is_empty());
}

#[tokio::test]
async fn what_is_not_whole_never_becomes_an_object() {
    let (store, bucket) = Store::start().await;
    let error = send(&bucket, content(PART_BYTES + 7), false)
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::Canceled), "{error:?}");
    store.fails(Method::PUT, "partNumber=1", Fault::Says(507, ""));
    let error = send(&bucket, content(7), true).await.unwrap_err();
    assert!(
        matches!(
            error,
            BackupError::Bucket {
                why: Failure::Full(_),
                ..
            }
        ),
        "{error:?}"
    );
    // A refusal that comes with a status of success.
    let text = "<Error><Code>QuotaExceeded</Code><Message>no more</Message></Error>";
    store.fails(Method::POST, "uploadId=", Fault::Says(200, text));
    let error = send(&bucket, content(7), true).await.unwrap_err();
    assert!(
        matches!(
            error,
            BackupError::Bucket {
                why: Failure::Full(_),
                ..
            }
        ),
        "{error:?}"
    );
    let state = store.0.lock().unwrap();
    assert!(state.objects.is_empty() && state.uploads.is_empty());
}

#[tokio::test]
async fn a_lost_answer_to_the_completion_is_no_failure() {
    let (store, bucket) = Store::start().await;
    store.fails(Method::POST, "uploadId=", Fault::Cut(0));
    assert_eq!(send(&bucket, content(7), true).await.unwrap(), 7);
    assert_eq!(store.count("POST uploadId="), 2);
}

#[tokio::test]
async fn a_list_has_all_pages() {
    let (store, bucket) = Store::start().await;
    {
        let mut state = store.0.lock().unwrap();
        state.page = 2;
        for name in [
            "x/mini-1.age",
            "x/mini-2.age",
            "x/mini-3.age",
            "x/other",
            "y/mini-4.age",
        ] {
            state.objects.insert(name.to_owned(), vec![1, 2, 3]);
        }
    }
    let listed = bucket.list("mini-").await.unwrap();
    let names: Vec<&str> = listed.iter().map(|kept| kept.name.as_str()).collect();
    assert_eq!(names, ["mini-1.age", "mini-2.age", "mini-3.age"]);
    assert!(listed[0].bytes == 3 && listed[0].changed_at.is_some());
    assert_eq!(store.count("GET "), 2);
}

#[tokio::test]
async fn a_connection_that_is_lost_goes_on_where_it_stood() {
    let (store, bucket) = Store::start().await;
    let whole = content(300_000);
    store
        .0
        .lock()
        .unwrap()
        .objects
        .insert("x/a.age".to_owned(), whole.clone());
    store.fails(Method::GET, "", Fault::Cut(100_000));
    store.fails(Method::GET, "", Fault::Says(500, ""));
    store.fails(Method::GET, "", Fault::Cut(50_000));
    let mut download = bucket.download("a.age").await.unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut read = Vec::new();
        download.read_to_end(&mut read).map(|_| read)
    });
    assert!(read.await.unwrap().unwrap() == whole);
    assert_eq!(store.count("GET "), 4);
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_without_the_signature() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = bucket_at(address).list("").await.unwrap_err();
    assert!(
        matches!(
            error,
            BackupError::Bucket {
                why: Failure::Unreachable(_),
                ..
            }
        ),
        "{error:?}"
    );
    let shown = format!("{error:?} {}", error.to_line());
    let shown = format!("{shown} {:?}", crate::model::Problem::from(error));
    for secret in ["hunter2", "X-Amz", "AKID"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn what_a_store_says_becomes_a_reason() {
    let check = |status: u16, code: &str, message: &str, expected: fn(&Failure) -> bool| {
        let text = format!(
            "<Error><Code>{code}</Code><Message>{message}</Message><HostId>x</HostId></Error>"
        );
        let failure = Failure::of(StatusCode::from_u16(status).unwrap(), &text);
        assert!(expected(&failure), "{code}: {failure:?}");
        assert!(!failure.to_string().contains("HostId"));
    };
    check(404, "NoSuchBucket", "", |f| *f == Failure::NoBucket);
    check(404, "NoSuchKey", "", |f| *f == Failure::NoArchive);
    check(403, "InvalidAccessKeyId", "", |f| {
        matches!(f, Failure::Keys(_))
    });
    check(403, "SignatureDoesNotMatch", "", |f| {
        matches!(f, Failure::Keys(_))
    });
    check(403, "AccessDenied", "Access Denied", |f| {
        matches!(f, Failure::Keys(_))
    });
    check(403, "AccessDenied", "Request has expired", |f| {
        matches!(f, Failure::Clock(_))
    });
    check(403, "RequestTimeTooSkewed", "", |f| {
        matches!(f, Failure::Clock(_))
    });
    check(301, "PermanentRedirect", "", |f| {
        matches!(f, Failure::Region(_))
    });
    check(
        400,
        "AuthorizationQueryParametersError",
        "the region 'a' is wrong; expecting 'b'",
        |f| matches!(f, Failure::Region(_)),
    );
    check(507, "XMinioStorageFull", "", |f| {
        matches!(f, Failure::Full(_))
    });
    check(503, "SlowDown", "", Failure::may_pass);
    check(500, "", "", Failure::may_pass);
    check(400, "EntityTooSmall", "", |f| {
        matches!(f, Failure::Refused(_))
    });
}

#[test]
fn uploads_that_were_begun_are_found_in_a_list() {
    let text = "<ListMultipartUploadsResult><Upload><Key>x/a.age</Key><UploadId>1</UploadId></Upload>\
        <Upload><Key>x/b.age</Key><Initiator><ID>me</ID></Initiator><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>";
    let expected = [("x/a.age", "1"), ("x/b.age", "2")].map(|(object, id)| Begun {
        object: object.to_owned(),
        id: id.to_owned(),
    });
    assert_eq!(begun(text), expected);
    assert!(begun("<ListMultipartUploadsResult/>").is_empty());
}
