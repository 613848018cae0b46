//! One GET of a check, straight to a process.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;

/// The most that is read of an answer, bytes.
const BODY_LIMIT: usize = 1 << 20;

/// What is asked, and what must be answered.
pub(super) struct Expectation {
    pub(super) address: SocketAddr,
    pub(super) host: String,
    pub(super) path: String,
    /// Text that must occur in the body.
    pub(super) content: Option<String>,
}

/// Asks once. An answer from 200 to 399 with the expected content is well; all else is an error with its reason.
pub(super) async fn get(expected: &Expectation) -> Result<(), String> {
    let stream = tokio::net::TcpStream::connect(expected.address)
        .await
        .map_err(|error| format!("no connection ({error})"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no HTTP ({error})"))?;
    let exchange = async {
        let request = http::Request::get(&expected.path)
            .header(http::header::HOST, &expected.host)
            .header(http::header::USER_AGENT, "mini-check")
            .header(http::header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("the check's path or host cannot be sent ({error})"))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| format!("no answer ({error})"))?;
        let status = answer.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(format!("answered {status}"));
        }
        let Some(content) = &expected.content else {
            return Ok(());
        };
        let body = Limited::new(answer.into_body(), BODY_LIMIT).collect().await;
        let body = body
            .map_err(|error| format!("the answer broke off ({error})"))?
            .to_bytes();
        if String::from_utf8_lossy(&body).contains(content.as_str()) {
            Ok(())
        } else {
            Err(format!("answered {status} without the text `{content}`"))
        }
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        result = &mut exchange => result,
        closed = &mut connection => match closed {
            // The answer may be complete although the connection has ended.
            Ok(()) => exchange.await,
            Err(error) => Err(format!("the connection broke ({error})")),
        },
    }
}
