//! Builds by an engine without BuildKit: answers as Podman 4.3 gives them, from a socket of our own.

use std::convert::Infallible;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mini::engine::contract::Bench;
use mini::engine::{BuildEvent, DockerEngine, DockerSettings, EngineError, MemoryContext};
use mini::model::Secret;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

const ID: &str = "sha256:0929c98775010d62b7e15c67a16963b2febbef66b2f5940d9ae47ab7dad50fd1";

/// What was asked of the engine: the path with its query, and the body.
type Asked = Arc<Mutex<Vec<(String, Bytes)>>>;

/// An engine that says `built` to every build.
struct Podman {
    engine: DockerEngine,
    asked: Asked,
    _folder: tempfile::TempDir,
    _server: JoinSet<()>,
}

impl Podman {
    fn saying(built: &'static str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("podman.sock");
        let asked = Asked::default();
        let server = serve(&path, Arc::clone(&asked), built)?;
        let engine = DockerEngine::connect(DockerSettings {
            socket: Some(path.display().to_string()),
            ..DockerSettings::new("t-podman")
        });
        Ok(Self {
            engine,
            asked,
            _folder: folder,
            _server: server,
        })
    }

    fn bench(&self) -> Result<Bench<'_>> {
        Ok(Bench {
            engine: &self.engine,
            app: "shop".parse()?,
            base: "debian:trixie-slim",
        })
    }

    /// The builds that were asked for.
    fn builds(&self) -> Vec<(String, Bytes)> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let builds = asked.iter().filter(|(path, _)| path.contains("/build?"));
        builds.cloned().collect()
    }
}

fn serve(path: &Path, asked: Asked, built: &'static str) -> Result<JoinSet<()>> {
    let listener = UnixListener::bind(path)?;
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            connections.spawn(async move {
                let service = service_fn(|request| answer(request, Arc::clone(&asked), built));
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(server)
}

async fn answer(
    request: Request<Incoming>,
    asked: Asked,
    built: &'static str,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let path = request.uri().to_string();
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((path.clone(), body));
    let (status, text) = match path.split('?').next().unwrap_or_default() {
        "/version" => (
            StatusCode::OK,
            r#"{"ApiVersion": "1.41", "Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}"#,
        ),
        "/v1.41/build" => (StatusCode::OK, built),
        "/v1.41/images/json" => (StatusCode::OK, "[]"),
        path if path.starts_with("/v1.41/images/") => (StatusCode::OK, r#"{"Config": {}}"#),
        _ => (StatusCode::NOT_FOUND, "Not Found"),
    };
    // The end of each line comes in a piece of its own, as it may.
    let lines = text.split_inclusive('\n');
    let pieces = lines.flat_map(|line| [line.trim_end_matches('\n'), "\r\n"]);
    let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::test]
async fn an_engine_without_sessions_is_sent_the_files_in_one_archive() -> Result<()> {
    let podman = Podman::saying(concat!(
        "{\"stream\":\"STEP 1/2: FROM debian:trixie-slim\\n\"}\n",
        "{\"stream\":\"STEP 2/2: COPY . /app\\n\"}\n",
        "{\"stream\":\"--\\u003e Using cache 0929c98775010d62b7e15c67a16963b2febbef66b2f5940d9ae47ab7dad50fd1\\n\"}\n",
        "{\"stream\":\"COMMIT docker.io/mini/shop:one\\n\"}\n",
        "{\"aux\":{\"ID\":\"sha256:0929c98775010d62b7e15c67a16963b2febbef66b2f5940d9ae47ab7dad50fd1\"}}\n",
        "{\"stream\":\"Successfully built 0929c9877501\\n\"}\n",
    ))?;
    let bench = podman.bench()?;
    let mut spec = bench.build_spec("one", "COPY . /app")?;
    spec.memory_limit_bytes = Some(3 << 30);
    let files = [
        ("a/b", "deep"),
        (".dockerignore", "c\n"),
        (".containerignore", "a\n"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let (said, image) = bench.build_of(&spec, MemoryContext(files.into())).await?;
    ensure!(image?.as_str() == ID);
    let step = |name: &str| BuildEvent::Step {
        name: name.to_owned(),
        is_cached: false,
    };
    let expected = [
        step("[1/2] FROM debian:trixie-slim"),
        step("[2/2] COPY . /app"),
        BuildEvent::Line("from the cache".to_owned()),
    ];
    ensure!(said == expected, "{said:?}");

    let (path, body) = podman.builds().pop().context("no build")?;
    let query: Vec<&str> = path.split(['?', '&']).collect();
    for pair in [
        "dockerfile=.mini.Dockerfile",
        "memory=3221225472",
        "version=1",
    ] {
        ensure!(query.contains(&pair), "{pair}: {path}");
    }
    ensure!(!path.contains("session"), "{path}");
    let mut sent = Vec::new();
    for entry in tar::Archive::new(&*body).entries()? {
        let mut entry = entry?;
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        sent.push((entry.path()?.display().to_string(), text));
    }
    // What the app leaves out is not sent; of ours nothing may get into an image.
    let rules = ".mini.Dockerfile\n.containerignore\n";
    let expected = [
        ("a/b", "deep"),
        (".dockerignore", "c\n"),
        (".mini.Dockerfile", &*spec.dockerfile),
        (".containerignore", rules),
    ];
    let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
    ensure!(sent == expected, "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn an_answer_whose_last_line_ends_in_a_piece_of_its_own_is_whole() -> Result<()> {
    let aux = "{\"aux\":{\"ID\":\"sha256:0929c98775010d62b7e15c67a16963b2febbef66b2f5940d9ae47ab7dad50fd1\"}}\n";
    let podman = Podman::saying(aux)?;
    let (said, image) = podman.bench()?.build("one", "COPY . /app").await?;
    ensure!(image?.as_str() == ID && said.is_empty(), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_step_that_fails_without_buildkit_is_named() -> Result<()> {
    let podman = Podman::saying(concat!(
        "{\"stream\":\"STEP 1/2: FROM debian:trixie-slim\\n\"}\n",
        "{\"stream\":\"STEP 2/2: RUN echo no; exit 3\\n\"}\n",
        "{\"stream\":\"no\\n\"}\n",
        "{\"errorDetail\":{\"message\":\"building at STEP \\\"RUN echo no; exit 3\\\": while running runtime: exit status 3\\n\"},\"error\":\"building at STEP\"}\n",
    ))?;
    let (said, end) = podman.bench()?.build("one", "RUN echo no; exit 3").await?;
    ensure!(
        said.contains(&BuildEvent::Line("no".to_owned())),
        "{said:?}"
    );
    ensure!(
        matches!(&end, Err(EngineError::BuildFailed { step: Some(step), said })
            if step == "[2/2] RUN echo no; exit 3" && said == "exit status 3"),
        "{end:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_secret_is_not_given_to_an_engine_without_sessions() -> Result<()> {
    let podman = Podman::saying("")?;
    let bench = podman.bench()?;
    let mut spec = bench.build_spec("one", "RUN --mount=type=secret,id=TOKEN true")?;
    spec.secrets.insert("TOKEN".to_owned(), Secret::new("hush"));
    let (_, end) = bench.build_of(&spec, MemoryContext::default()).await?;
    let error = end.expect_err("a build without its secret");
    ensure!(
        matches!(&error, EngineError::NoSecrets { ids } if ids == &["TOKEN"]),
        "{error:?}"
    );
    ensure!(podman.builds().is_empty(), "it was asked to build");
    Ok(())
}
