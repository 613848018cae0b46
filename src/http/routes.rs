//! `GET /health`, `GET /metrics` and `POST /api/commands/NAME`.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::server::{Door, Reached};
use super::{exposition, metrics, session};
use crate::commands::{self, AnyCommand, Cut, Platform, Session, problem_json};
use crate::model::{Kind, Problem};

/// What the `mini` program upgrades to.
pub(super) const PROTOCOL: &str = "mini-session";
/// Path of commands, before the name.
pub(super) const COMMANDS: &str = "/api/commands/";
/// Path of the sets of config vars to begin with.
const TEMPLATES: &str = "/api/env-templates";
/// Path of the figures.
const METRICS: &str = "/metrics";
/// Longest arguments, bytes.
const BODY_LIMIT: usize = 1 << 20;

/// Answers a request.
pub(super) async fn answer(request: Request<Incoming>, reached: Reached) -> Response<Full<Bytes>> {
    let answered = match (request.method(), request.uri().path()) {
        (&Method::GET, "/health") => Ok(reply(
            StatusCode::OK,
            &json!({"status": "ok", "version": crate::VERSION}),
        )),
        (&Method::GET, METRICS) => figures(&reached.platform).await,
        (&Method::GET, TEMPLATES) => match read("config:templates", b"") {
            Ok(command) => run(command, reached).await,
            Err(problem) => Err(problem),
        },
        (method, path) => match path.strip_prefix(COMMANDS) {
            Some(_) if *method != Method::POST => Ok(refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                &Problem::new(Kind::Usage, "A command is run with POST", "", ""),
            )),
            Some(name) => {
                let name = name.to_owned();
                command(request, &name, reached).await
            }
            None => Err(Problem::new(
                Kind::NotFound,
                "There is nothing at this path",
                "",
                "Commands are at `POST /api/commands/NAME`",
            )),
        },
    };
    answered.unwrap_or_else(|problem| failure(&problem))
}

/// Answers a request where only the figures are served.
pub(super) async fn answer_metrics(
    request: Request<Incoming>,
    platform: &Platform,
) -> Response<Full<Bytes>> {
    let answered = match (request.method(), request.uri().path()) {
        (&Method::GET, METRICS) => figures(platform).await,
        _ => Err(Problem::new(
            Kind::NotFound,
            "There is nothing at this path",
            "",
            "The figures are at `GET /metrics`",
        )),
    };
    answered.unwrap_or_else(|problem| failure(&problem))
}

async fn figures(platform: &Platform) -> Result<Response<Full<Bytes>>, Problem> {
    let mut response = Response::new(Full::from(metrics::text(platform).await?));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(exposition::CONTENT_TYPE),
    );
    Ok(response)
}

fn failure(problem: &Problem) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(problem.http_status());
    refusal(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), problem)
}

async fn command(
    request: Request<Incoming>,
    name: &str,
    reached: Reached,
) -> Result<Response<Full<Bytes>>, Problem> {
    if !AnyCommand::NAMES.contains(&name) {
        return Err(Problem::new(
            Kind::NotFound,
            format!("`{}` is not a mini command", name.escape_debug()),
            "",
            "`POST /api/commands/help` lists them",
        ));
    }
    if wants_session(request.headers()) {
        let upgrade = hyper::upgrade::on(request);
        let work = reached.work.clone();
        work.spawn(session::run(upgrade, name.to_owned(), reached));
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
        return Ok(response);
    }
    let body = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await;
    let body = body.map_err(|_| {
        Problem::new(
            Kind::Invalid,
            "The arguments could not be read",
            format!("the connection broke, or they are longer than {BODY_LIMIT} bytes"),
            "",
        )
    })?;
    run(read(name, &body.to_bytes())?, reached).await
}

/// Runs a command for someone who types nothing.
async fn run(command: AnyCommand, reached: Reached) -> Result<Response<Full<Bytes>>, Problem> {
    let Reached {
        platform,
        door,
        work,
    } = reached;
    // A task of its own: a caller that hangs up does not stop half-way what was begun.
    let answered = work.spawn(async move {
        let (session, mut said) = deaf_session(door);
        let silence = tokio::spawn(async move { while said.recv().await.is_some() {} });
        let answered = commands::answer(&platform, command, session).await;
        let _ = silence.await;
        answered
    });
    let value = answered.await.map_err(|error| {
        tracing::error!(%error, "a command ended with a panic");
        Problem::new(
            Kind::Internal,
            "The command ended by a fault of mini",
            "",
            "The log of the server says more: `journalctl -u mini`",
        )
    })??;
    Ok(reply(StatusCode::OK, &value))
}

fn wants_session(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

/// The command `name` with the arguments in `body`, which may be empty where none are needed.
fn read(name: &str, body: &[u8]) -> Result<AnyCommand, Problem> {
    let wrong = |why: String| {
        Problem::new(
            Kind::Usage,
            format!("The arguments of `{name}` are wrong"),
            why,
            format!("`mini help {name}` names them; each is a field of one JSON object"),
        )
    };
    let arguments: Value = if body.trim_ascii().is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?
    };
    serde_json::from_value(json!({"command": name, "arguments": arguments}))
        .map_err(|error| wrong(error.to_string()))
}

/// A session of someone who types nothing.
fn deaf_session(door: Door) -> (Session, mpsc::Receiver<(crate::engine::Stream, Bytes)>) {
    let (output, said) = mpsc::channel(16);
    let session = Session {
        caller: door.caller(),
        stdin: mpsc::channel(1).1,
        cut: Cut::default(),
        output,
        terminal: watch::channel(None).1,
        hidden: None,
    };
    (session, said)
}

fn reply(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{value}\n")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refusal(status: StatusCode, problem: &Problem) -> Response<Full<Bytes>> {
    reply(status, &problem_json(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_fields_and_mistakes_are_named() {
        let command = read("apps:create", br#"{"app": "blog"}"#).unwrap();
        assert_eq!(command.name(), "apps:create");
        assert_eq!(read("apps:list", b"").unwrap().name(), "apps:list");
        let why = |name: &str, body: &str| read(name, body.as_bytes()).unwrap_err().why;
        assert!(why("apps:create", "{}").contains("missing field `app`"));
        assert!(why("apps:create", r#"{"app": "X"}"#).contains("lowercase"));
        assert!(why("apps:create", r#"{"app": "x", "y": 1}"#).contains("unknown field `y`"));
        assert!(why("apps:create", "{").contains("EOF"));
    }
}
