//! What takes room on Docker's disk: our images, and the cache of its builder.
//!
//! Images carry our labels. The cache carries no sign of who filled it, not even of which build: what is ours of it cannot
//! be told, so it is only ever looked at and shrunk as a whole, and that only for an operator who has given it a budget.

use std::collections::HashSet;

use bollard::query_parameters::ListContainersOptionsBuilder;
use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Inner;
use super::errors::{About, refusal, unavailable};
use super::labels;
use crate::engine::{AppImage, BuildCacheUse, EngineError};
use crate::model::{AppName, ImageId};

/// The answer of "Get data usage information" up to API 1.51, and the sum that later ones have instead.
#[derive(Debug, Deserialize)]
struct Usage {
    #[serde(rename = "BuildCache", default)]
    records: Option<Vec<Record>>,
    #[serde(rename = "BuildCacheUsage", default)]
    sum: Option<Sum>,
}

#[derive(Debug, Deserialize)]
struct Record {
    #[serde(rename = "Size", default)]
    bytes: u64,
    #[serde(rename = "InUse", default)]
    is_used: bool,
    /// Its content belongs to an image as well.
    #[serde(rename = "Shared", default)]
    is_shared: bool,
}

#[derive(Debug, Deserialize)]
struct Sum {
    #[serde(rename = "TotalSize", default)]
    bytes: u64,
    #[serde(rename = "Reclaimable", default)]
    free_bytes: u64,
}

/// The answer of "Delete builder cache".
#[derive(Debug, Deserialize)]
struct Shrunk {
    #[serde(rename = "SpaceReclaimed", default)]
    bytes: u64,
}

impl Usage {
    fn sum(&self) -> BuildCacheUse {
        if let Some(sum) = &self.sum {
            return BuildCacheUse {
                bytes: sum.bytes,
                removable_bytes: sum.free_bytes,
            };
        }
        let records = self.records.iter().flatten();
        let own = records.filter(|record| !record.is_shared);
        own.fold(BuildCacheUse::default(), |sum, record| BuildCacheUse {
            bytes: sum.bytes.saturating_add(record.bytes),
            removable_bytes: match record.is_used {
                true => sum.removable_bytes,
                false => sum.removable_bytes.saturating_add(record.bytes),
            },
        })
    }
}

impl Inner {
    pub(super) async fn images(&self, app: Option<&AppName>) -> Result<Vec<AppImage>, EngineError> {
        let docker = self.connection.client().await?;
        let lost = |error| self.connection.error(error, About::Call);
        let images = self.our_images(&docker, app).await.map_err(lost)?;
        // Containers of others, too: an image that one was made from by hand is in use.
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers = docker.list_containers(Some(options)).await.map_err(lost)?;
        let used: HashSet<String> = containers
            .into_iter()
            .filter_map(|container| container.image_id)
            .collect();
        Ok(images
            .into_iter()
            .filter_map(|image| {
                Some(AppImage {
                    app: image.labels.get(labels::APP)?.parse().ok()?,
                    is_used: used.contains(&image.id),
                    size_bytes: u64::try_from(image.size).unwrap_or_default(),
                    id: image.id.parse().ok()?,
                })
            })
            .collect())
    }

    pub(super) async fn remove_images(
        &self,
        app: &AppName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageId>, EngineError> {
        self.remove_images_that(app, |id| ids.iter().any(|wanted| wanted.as_str() == id))
            .await
    }

    pub(super) async fn build_cache(&self) -> Result<BuildCacheUse, EngineError> {
        // Docker before API 1.42 has no `type` and looks at images and volumes as well.
        let path = "/system/df?type=build-cache";
        let usage: Usage = self.call(Method::GET, path).await?;
        Ok(usage.sum())
    }

    pub(super) async fn shrink_build_cache(&self, keep_bytes: u64) -> Result<u64, EngineError> {
        // One name of the limit up to API 1.47, and one from 1.48 on.
        let path = format!("/build/prune?keep-storage={keep_bytes}&reserved-space={keep_bytes}");
        let shrunk: Shrunk = self.call(Method::POST, &path).await?;
        Ok(shrunk.bytes)
    }

    /// A call whose answer or parameters bollard 0.21 has only in the form of the newest API.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> Result<T, EngineError> {
        // Settles the version.
        self.connection.client().await?;
        let socket = self.connection.socket();
        let lost = |error: hyper::Error| unavailable(socket, error);
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| unavailable(socket, error))?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let driver = tokio::spawn(driver);
        let request = Request::builder()
            .method(method)
            .uri(self.connection.versioned_path(path))
            .header(HOST, "docker")
            .body(Empty::<Bytes>::new())
            .map_err(|error| unavailable(socket, error))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(lost)?;
        driver.abort();
        let body = body.to_bytes();
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(refusal(status.as_u16(), said, About::Call));
        }
        serde_json::from_slice(&body).map_err(|error| EngineError::Refused {
            said: format!("its answer to {path} is not understood: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, bytes: u64, removable_bytes: u64) {
        let usage: Usage = serde_json::from_str(answer).unwrap();
        let expected = BuildCacheUse {
            bytes,
            removable_bytes,
        };
        assert_eq!(usage.sum(), expected, "{answer}");
    }

    #[test]
    fn the_cache_is_summed_as_each_docker_tells_it() {
        check(
            r#"{"LayersSize": 9, "BuildCache": [
                {"ID": "a", "InUse": false, "Shared": false, "Size": 5},
                {"ID": "b", "InUse": true, "Shared": false, "Size": 7},
                {"ID": "c", "InUse": false, "Shared": true, "Size": 100}]}"#,
            12,
            5,
        );
        check(r#"{"BuildCache": null}"#, 0, 0);
        check(
            r#"{"BuildCacheUsage": {"TotalSize": 12, "Reclaimable": 5, "ActiveCount": 1}}"#,
            12,
            5,
        );
    }
}
