//! The connection to Docker: where its socket is, and which version of its API is spoken over it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use super::errors::{About, translate, unavailable};
use crate::engine::{EngineError, EngineVersion};

/// The newest minor version of the API whose answers bollard 0.21 can read.
const NEWEST_MINOR: u32 = 53;
/// How long Docker may take until it begins to answer. A busy machine needs seconds for a start; calls that block by
/// design ask for more.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Who builds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Builder {
    /// BuildKit, which knows no limit of memory.
    BuildKit,
    /// The engine's own, as Buildah is Podman's.
    Own {
        /// How much memory a step may use, bytes.
        memory_limit_bytes: Option<u64>,
    },
}

/// How Docker is reached. Making one asks nothing of Docker.
pub(super) struct Connection {
    socket: String,
    /// The minor version of the API that is spoken; 0 until it is negotiated.
    minor: Arc<AtomicU32>,
    client: Mutex<Option<Docker>>,
}

impl Connection {
    /// A connection to `socket`, else to what `DOCKER_HOST` names, else to Docker's usual place.
    pub(super) fn new(socket: Option<String>) -> Self {
        let socket = socket
            .or_else(|| {
                std::env::var("DOCKER_HOST")
                    .ok()
                    .filter(|host| !host.is_empty())
            })
            .unwrap_or_else(|| "/var/run/docker.sock".to_owned());
        Self {
            socket: socket
                .strip_prefix("unix://")
                .map(str::to_owned)
                .unwrap_or(socket),
            minor: Arc::new(AtomicU32::new(0)),
            client: Mutex::new(None),
        }
    }

    /// Path of the socket.
    pub(super) fn socket(&self) -> &str {
        &self.socket
    }

    /// A client that speaks a version both sides know.
    pub(super) async fn client(&self) -> Result<Docker, EngineError> {
        let docker = self.unversioned()?;
        if self.minor.load(Ordering::Relaxed) == 0 {
            self.negotiate(&docker).await?;
        }
        Ok(docker)
    }

    /// A client for calls that answer late by design: a stop with its grace, a build, a pull.
    pub(super) async fn patient_client(&self, limit: Duration) -> Result<Docker, EngineError> {
        Ok(self.client().await?.with_timeout(limit + ANSWER_LIMIT))
    }

    /// A client with connections of its own, for a runtime that ends before this one: those that all share would end with it,
    /// under whoever asks next.
    pub(super) async fn client_apart(&self) -> Result<Docker, EngineError> {
        self.client().await?;
        self.new_client()
    }

    /// The same for a build. The session of a build is ours: bollard opens one for each build with BuildKit and none for others,
    /// so it is asked for one of the others, and the request says BuildKit where there is one.
    pub(super) async fn build_client(
        &self,
        limit: Duration,
        builder: Builder,
    ) -> Result<Docker, EngineError> {
        let docker = self
            .client_apart()
            .await?
            .with_timeout(limit + ANSWER_LIMIT);
        let minor = self.minor.load(Ordering::Relaxed);
        Ok(docker.with_request_modifier(move |request| builder.asked(amend(request, minor))))
    }

    /// The path of an API call as it is sent, for calls bollard cannot make for us.
    pub(super) fn versioned_path(&self, path: &str) -> String {
        match self.minor.load(Ordering::Relaxed) {
            0 => path.to_owned(),
            minor => format!("/v1.{minor}{path}"),
        }
    }

    /// Asks who is there, and settles the version anew: a Docker that came back may be another one.
    pub(super) async fn greet(&self) -> Result<EngineVersion, EngineError> {
        let docker = self.unversioned()?;
        let version = self.negotiate(&docker).await?;
        let is_podman = version
            .components
            .iter()
            .flatten()
            .any(|component| component.name.contains("Podman"));
        Ok(EngineVersion {
            name: if is_podman { "Podman Engine" } else { "Docker" }.to_owned(),
            version: version.version.unwrap_or_default(),
            api: format!("1.{}", self.minor.load(Ordering::Relaxed)),
        })
    }

    /// Turns bollard's error into ours.
    pub(super) fn error(&self, error: bollard::errors::Error, about: About<'_>) -> EngineError {
        translate(&self.socket, error, about)
    }

    async fn negotiate(&self, docker: &Docker) -> Result<SystemVersion, EngineError> {
        let version = docker
            .version()
            .await
            .map_err(|error| self.error(error, About::Call))?;
        let offered = version.api_version.as_deref().and_then(minor_of);
        let Some(offered) = offered else {
            return Err(EngineError::Refused {
                said: format!(
                    "the API version {:?} is not one mini knows (1.41 and later)",
                    version.api_version.unwrap_or_default()
                ),
            });
        };
        self.minor
            .store(offered.min(NEWEST_MINOR), Ordering::Relaxed);
        Ok(version)
    }

    fn unversioned(&self) -> Result<Docker, EngineError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(docker) = client.as_ref() {
            return Ok(docker.clone());
        }
        let docker = self.new_client()?;
        *client = Some(docker.clone());
        Ok(docker)
    }

    fn new_client(&self) -> Result<Docker, EngineError> {
        if !Path::new(&self.socket).is_absolute() {
            return Err(unavailable(
                &self.socket,
                "only the path of a Unix socket can be used here",
            ));
        }
        let minor = Arc::clone(&self.minor);
        Docker::connect_with_unix(&self.socket, ANSWER_LIMIT.as_secs(), API_DEFAULT_VERSION)
            .map_err(|error| self.error(error, About::Call))
            .map(|docker| {
                docker.with_request_modifier(move |request| {
                    amend(request, minor.load(Ordering::Relaxed))
                })
            })
    }
}

/// Mends two things bollard 0.21.1 gets wrong in every request: the version is missing from the path (its issue 736), so
/// that a daemon answers in its newest dialect, and `X-Registry-Auth` is plain base64 where the daemon wants the URL-safe
/// alphabet (its pull request 169), so that some passwords are taken for none.
fn amend(mut request: BollardRequest, minor: u32) -> BollardRequest {
    // The question for the version itself has none: that of an earlier Docker may be too new for this one.
    if minor != 0
        && request.uri().path() != "/version"
        && let Some(uri) = versioned(request.uri(), minor)
    {
        *request.uri_mut() = uri;
    }
    if let Some(auth) = request.headers_mut().get_mut("x-registry-auth")
        && let Ok(text) = auth.to_str()
        && let Ok(safe) = HeaderValue::from_str(&text.replace('+', "-").replace('/', "_"))
    {
        *auth = safe;
    }
    request
}

impl Builder {
    /// Asks for BuildKit where a build says the first builder; for memory where that is had, and no swap beside it, which
    /// bollard has no room for beyond 2 GiB (`version`, `memory`, `memswap` of "Build an image", Docker API 1.41).
    fn asked(self, mut request: BollardRequest) -> BollardRequest {
        let path = request.uri().path_and_query().map(PathAndQuery::as_str);
        let Some((path, query)) = path.and_then(|path| path.split_once('?')) else {
            return request;
        };
        let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
        match self {
            Builder::BuildKit => {
                let first = pairs.iter_mut().filter(|pair| *pair == "version=1");
                first.for_each(|pair| *pair = "version=2".to_owned());
            }
            Builder::Own { memory_limit_bytes } => {
                let limit = memory_limit_bytes.into_iter();
                pairs.extend(limit.flat_map(|b| [format!("memory={b}"), format!("memswap={b}")]));
            }
        }
        let path = format!("{path}?{}", pairs.join("&"));
        if let Some(uri) = with_path(request.uri(), &path) {
            *request.uri_mut() = uri;
        }
        request
    }
}

fn versioned(uri: &Uri, minor: u32) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    with_path(uri, &format!("/v1.{minor}{path}"))
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn minor_of(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_the_version_and_a_safe_login() {
        let request = http::Request::builder()
            .uri("unix://2f76/containers/json?all=true")
            .header("x-registry-auth", "a+b/c==")
            .body(bollard::body_full(bytes::Bytes::new()))
            .unwrap();
        let request = amend(request, 41);
        assert_eq!(
            request.uri().to_string(),
            "unix://2f76/v1.41/containers/json?all=true"
        );
        assert_eq!(request.headers().get("x-registry-auth").unwrap(), "a-b_c==");
    }

    #[test]
    fn a_build_with_our_session_is_one_of_buildkit_and_another_has_its_limit_of_memory() {
        let own = |memory_limit_bytes| Builder::Own { memory_limit_bytes };
        for (builder, expected) in [
            (Builder::BuildKit, "version=2&session=s"),
            (own(None), "version=1&session=s"),
            (
                own(Some(3 << 30)),
                "version=1&session=s&memory=3221225472&memswap=3221225472",
            ),
        ] {
            let request = http::Request::builder()
                .uri("unix://2f76/build?t=a%26version%3D1&version=1&session=s")
                .body(bollard::body_full(bytes::Bytes::new()))
                .unwrap();
            assert_eq!(
                builder.asked(request).uri().to_string(),
                format!("unix://2f76/build?t=a%26version%3D1&{expected}")
            );
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_unavailable() {
        for socket in ["/nowhere/docker.sock", "tcp://somewhere:2375"] {
            let connection = Connection::new(Some(socket.into()));
            assert!(matches!(
                connection.client().await,
                Err(EngineError::Unavailable { socket: said, .. }) if said == socket
            ));
        }
    }
}
