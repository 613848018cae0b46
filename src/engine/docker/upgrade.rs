//! Calls of Docker's API that turn their connection into something else.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Connection;
use super::errors::{About, refusal, unavailable};
use crate::engine::EngineError;

/// Posts `request`, which names its path and in `Upgrade` what the connection becomes, on a connection of its own.
///
/// # Errors
/// Docker does not answer, or refuses.
pub(super) async fn upgrade(
    connection: &Connection,
    request: http::request::Builder,
    about: About<'_>,
) -> Result<Upgraded, EngineError> {
    let lost = |error: hyper::Error| unavailable(connection.socket(), error);
    let socket = UnixStream::connect(connection.socket())
        .await
        .map_err(|error| unavailable(connection.socket(), error))?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(socket)).await.map_err(lost)?;
    // Ends by itself with the connection, which the upgraded ends own from here on.
    tokio::spawn(driver.with_upgrades());
    let path = request.uri_ref().map(Uri::to_string).unwrap_or_default();
    let request = request
        .method(Method::POST)
        .uri(connection.versioned_path(&path))
        .header(HOST, "docker")
        .header(CONNECTION, "Upgrade")
        .body(Empty::<Bytes>::new())
        .map_err(|error| unavailable(connection.socket(), error))?;
    let response = sender.send_request(request).await.map_err(lost)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let said = response.into_body().collect().await.map_err(lost)?;
        let said = String::from_utf8_lossy(&said.to_bytes()).into_owned();
        return Err(refusal(status, said, about));
    }
    hyper::upgrade::on(response).await.map_err(lost)
}
