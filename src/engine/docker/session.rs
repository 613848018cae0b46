//! The session of a build: a connection to Docker on which BuildKit asks us, by gRPC, for its files and for the value of each
//! secret when a step needs it.
//!
//! bollard 0.21 has a session of its own for builds, which offers neither; what it calls secret sources are files and
//! variables of our process, and for its other way to build only.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;

use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::moby::filesync::packet::file_sync_server::FileSyncServer;
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt, StreamExt};
use http::Request;
use http::header::UPGRADE;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::codegen::Service;
use tonic::{Response, Status};

use super::Connection;
use super::errors::About;
use super::file_sync::Files;
use super::upgrade::upgrade;
use crate::engine::EngineError;
use crate::model::Secret;

/// The methods Docker is told that we answer (`session.go` of BuildKit).
const METHODS: [&str; 2] = [
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/grpc.health.v1.Health/Check",
];
/// The one besides, where files are sent.
const FILES: &str = "/moby.filesync.v1.FileSync/DiffCopy";

/// Opens the session `id` and answers on it in a task of this runtime, until Docker or the runtime ends it. Without `files` the
/// build has got them another way. False where the engine has no sessions: Podman does not build with BuildKit.
///
/// BuildKit keeps the files it was sent under a name that the session gives, and compares only size and time with the next ones
/// of that name. All files of a commit have the same time, so the name is that of this session alone.
///
/// # Errors
/// Docker does not answer, or refuses.
pub(super) async fn serve(
    connection: &Connection,
    id: &str,
    secrets: BTreeMap<String, Secret>,
    files: Option<Files>,
) -> Result<bool, EngineError> {
    let request = Request::builder()
        .header(UPGRADE, "h2c")
        .header("X-Docker-Expose-Session-Uuid", id)
        .header("X-Docker-Expose-Session-Name", "mini")
        .header("X-Docker-Expose-Session-Sharedkey", id);
    let methods = METHODS.into_iter().chain(files.as_ref().map(|_| FILES));
    let request = methods.fold(request, |request, method| {
        request.header("X-Docker-Expose-Session-Grpc-Method", method)
    });
    let upgraded = match upgrade(connection, request.uri("/session"), About::Session).await {
        Ok(upgraded) => upgraded,
        Err(EngineError::Gone { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let secrets = SecretsServer::new(Kept(secrets));
    let health = HealthServer::new(Well);
    let files = files.map(FileSyncServer::new);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (mut secrets, mut health, files) = (secrets.clone(), health.clone(), files.clone());
        async move {
            let answered: Result<_, Infallible> = match (request.uri().path(), files) {
                (FILES, Some(mut files)) => files.call(request).await,
                (path, _) if path.starts_with("/grpc.health.") => health.call(request).await,
                // It answers what is none of its methods as gRPC has it.
                _ => secrets.call(request).await,
            };
            answered
        }
    });
    tokio::spawn(async move {
        let served = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(TokioIo::new(upgraded)), answer)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "the session of a build ended");
        }
    });
    Ok(true)
}

/// The secrets of one build.
struct Kept(BTreeMap<String, Secret>);

#[tonic::async_trait]
impl Secrets for Kept {
    async fn get_secret(
        &self,
        request: tonic::Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        match self.0.get(id) {
            Some(value) => Ok(Response::new(GetSecretResponse {
                data: value.reveal().as_bytes().to_vec(),
            })),
            // BuildKit leaves out the mount, unless the step says `required`.
            None => Err(Status::not_found(format!("there is no secret {id}"))),
        }
    }
}

/// We are well as long as we answer.
struct Well;

#[tonic::async_trait]
impl Health for Well {
    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn check(
        &self,
        _request: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(
        &self,
        _request: tonic::Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("a build has one service"))
    }

    async fn watch(
        &self,
        _request: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let first = std::future::ready(Ok(serving())).into_stream();
        Ok(Response::new(first.chain(stream::pending()).boxed()))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}
