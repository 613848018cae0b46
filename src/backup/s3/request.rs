//! One request and its answer; again, after a wait, where that is harmless.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rusty_s3::S3Action;

use super::answer::Failure;

/// How long a signature holds; a request is sent at once, but may wait for a slow line.
pub(super) const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// How long one request may take. A part on a slow line: 16 MiB at 1 MBit/s take two minutes.
const LIMIT: Duration = Duration::from_secs(600);
/// How long to try for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// The longest answer that is held, bytes: a list of 1000 names has some 400 KiB.
const ANSWER_BYTES: usize = 4 << 20;
/// How often a request is sent that the store could not answer.
pub(super) const TRIES: u32 = 5;
/// The wait before the second try; it doubles. Tests wait no longer than they must.
const WAIT: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

/// What sends requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    client: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Client {
    pub(super) fn new() -> Result<Client, Failure> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .try_with_platform_verifier()
            .map_err(|error| Failure::Unreachable(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        Ok(Client {
            client: client.build(connector),
        })
    }

    /// Sends a request whose repetition changes nothing, and reads the answer whole.
    pub(super) async fn send(
        &self,
        method: Method,
        action: &impl S3Action<'_>,
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        let sign = || action.sign(SIGNED_FOR).to_string();
        self.send_signed(method, sign, body).await
    }

    /// The same for a URL that `sign` makes, for each try anew.
    pub(super) async fn send_signed(
        &self,
        method: Method,
        sign: impl Fn() -> String,
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        let mut patience = Patience::new();
        loop {
            let request = request(method.clone(), &sign(), None, body.clone())?;
            match self.exchange(request).await {
                Ok(answer) => return Ok(answer),
                Err(why) => patience.or_give_up(why).await?,
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
        let exchange = async {
            let answer = self.begin(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Failure::Unreachable(chain(&*error)))?;
            let answer = Response::from_parts(head, body.to_bytes());
            // A failure of what took long may come with 200 (API reference, CompleteMultipartUpload).
            let is_error = || {
                let begin = answer.body().get(..512).unwrap_or(answer.body());
                String::from_utf8_lossy(begin).contains("<Error>")
            };
            if !answer.status().is_success() || is_error() {
                let text = String::from_utf8_lossy(answer.body());
                return Err(Failure::of(answer.status(), &text));
            }
            Ok(answer)
        };
        let in_time = tokio::time::timeout(LIMIT, exchange).await;
        in_time.unwrap_or_else(|_| Err(Failure::Unreachable("no answer in ten minutes".to_owned())))
    }

    /// Sends a request and returns the answer with its body still to come.
    pub(super) async fn begin(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let sent = self.client.request(request).await;
        sent.map_err(|error| Failure::Unreachable(chain(&error)))
    }
}

/// Tries that are left.
pub(super) struct Patience {
    left: u32,
    wait: Duration,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            left: TRIES - 1,
            wait: WAIT,
        }
    }

    /// Waits before the next try, or gives the failure back where another try is of no use.
    pub(super) async fn or_give_up(&mut self, why: Failure) -> Result<(), Failure> {
        if self.left == 0 || !why.may_pass() {
            return Err(why);
        }
        self.left -= 1;
        tracing::debug!(%why, "a request to the store of backups is tried again");
        tokio::time::sleep(self.wait).await;
        self.wait *= 2;
        Ok(())
    }
}

/// A request for a signed URL, which must never be shown: who has it may do the same for as long as it holds.
pub(super) fn request(
    method: Method,
    url: &str,
    range: Option<(u64, &str)>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Failure> {
    let refused = |_| Failure::Unreachable("the address of the store is no URL".to_owned());
    let uri: Uri = url.parse().map_err(refused)?;
    let mut builder = Request::builder().method(method).uri(uri);
    if let Some((from, tag)) = range {
        builder = builder
            .header(hyper::header::RANGE, format!("bytes={from}-"))
            .header(hyper::header::IF_MATCH, tag);
    }
    let built = builder.body(Full::new(body));
    built.map_err(|error| Failure::Unreachable(error.to_string()))
}

/// An error with its causes. Those of hyper do not hold the address.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
