//! What BuildKit says of a build, as steps and lines.
//!
//! BuildKit tells the state of a graph of vertices, each many times over: declared, started, completed, with pieces of
//! output in between. A reader wants each step once and whole lines. Other builders write lines (`build_lines.rs`).

use std::collections::{HashMap, HashSet};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use bollard::models::{BuildInfo, BuildInfoAux};

use super::build_lines::BuildLines;
use super::errors::plain;
use crate::engine::lines::Lines;
use crate::engine::{BuildEvent, EngineError};
use crate::model::ImageId;

/// What is known of a build so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    told: HashSet<String>,
    /// Unfinished lines by vertex and stream, in the order they began.
    open: Vec<((String, i64), Lines)>,
    /// Names of the steps that run, by digest.
    running: HashMap<String, String>,
    failed: Option<(String, String)>,
    image: Option<String>,
    /// What a builder other than BuildKit has said.
    lines: BuildLines,
}

impl Progress {
    /// Takes in one answer and gives what is new in it.
    pub(super) fn take(&mut self, info: BuildInfo) -> Vec<BuildEvent> {
        if let Some(text) = info.stream {
            // The builder repeats what it has named the image.
            let is_name = |begin: &&str| text.starts_with(begin);
            let names = ["Successfully built ", "Successfully tagged "];
            if self.image.is_some() && names.iter().any(is_name) {
                return Vec::new();
            }
            return self.lines.take(&text);
        }
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => self.status(status),
            Some(BuildInfoAux::Default(image)) => {
                self.image = image.id.or(self.image.take());
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// The image that was built, once the builder has said so.
    pub(super) fn image(&self) -> Option<ImageId> {
        self.image.as_deref()?.parse().ok()
    }

    /// Names of the steps that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &str> {
        self.running.values().map(String::as_str)
    }

    /// Lines that had no end yet.
    pub(super) fn finish(&mut self) -> Vec<BuildEvent> {
        std::mem::take(&mut self.open)
            .into_iter()
            .filter_map(|(_, mut lines)| lines.finish())
            .map(BuildEvent::Line)
            .chain(self.lines.finish())
            .collect()
    }

    /// The error for a build that ended with `said`.
    pub(super) fn failure(&self, said: String) -> EngineError {
        let (step, said) = match &self.failed {
            Some((step, error)) => (Some(step.clone()), plain(error)),
            None => self.lines.failure(said),
        };
        if said.contains("no space left on device") {
            return EngineError::DiskFull { said };
        }
        if is_cache_lost(&said) {
            return EngineError::CacheLost { said };
        }
        let missing = step
            .as_deref()
            .and_then(|step| step.strip_prefix("[internal] load metadata for "))
            .map(|image| image.trim_start_matches("docker.io/library/").to_owned());
        match missing {
            Some(image) => EngineError::ImageMissing { image, said },
            None => EngineError::BuildFailed {
                step: step.filter(|step| is_shown(step)),
                said,
            },
        }
    }

    fn status(&mut self, status: StatusResponse) -> Vec<BuildEvent> {
        let mut events = Vec::new();
        let mut ended = Vec::new();
        for vertex in status.vertexes {
            if vertex.completed.is_some() {
                self.running.remove(&vertex.digest);
                ended.push(vertex.digest.clone());
            } else if vertex.started.is_some() {
                let name = vertex.name.clone();
                self.running.insert(vertex.digest.clone(), name);
            }
            self.note_failure(&vertex);
            events.extend(self.step(vertex));
        }
        for log in status.logs {
            let lines = self.lines_of(log.vertex, log.stream);
            events.extend(lines.push(&log.msg).into_iter().map(BuildEvent::Line));
        }
        for vertex in ended {
            for ((of, _), lines) in &mut self.open {
                if *of == vertex {
                    events.extend(lines.finish().map(BuildEvent::Line));
                }
            }
            self.open.retain(|((of, _), _)| *of != vertex);
        }
        events
    }

    fn step(&mut self, vertex: Vertex) -> Option<BuildEvent> {
        vertex.started.as_ref()?;
        if !is_shown(&vertex.name) || !self.told.insert(vertex.digest.clone()) {
            return None;
        }
        Some(BuildEvent::Step {
            name: vertex.name,
            is_cached: vertex.cached,
        })
    }

    /// Keeps the first true failure: steps beside the one that failed end with "context canceled".
    fn note_failure(&mut self, vertex: &Vertex) {
        let is_cause = !vertex.error.is_empty() && !vertex.error.contains("context canceled");
        if is_cause && self.failed.is_none() {
            self.failed = Some((vertex.name.clone(), vertex.error.clone()));
        }
    }

    fn lines_of(&mut self, vertex: String, stream: i64) -> &mut Lines {
        let key = (vertex, stream);
        let at = match self.open.iter().position(|(of, _)| *of == key) {
            Some(at) => at,
            None => {
                self.open.push((key, Lines::default()));
                self.open.len() - 1
            }
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "`at` was found or pushed just above"
        )]
        &mut self.open[at].1
    }
}

/// Whether a build failed because something is gone that the cache takes to be there: "layer does not exist" of Docker
/// (`layer/layer.go`), "parent snapshot ... does not exist" of containerd (`snapshots/storage/bolt.go`). A step that ended by
/// itself may have said anything.
fn is_cache_lost(said: &str) -> bool {
    let is_of_step = said.contains("exit code: ");
    let is_snapshot = said.contains("snapshot sha256:") && said.contains("does not exist");
    !is_of_step && (said.contains("layer does not exist") || is_snapshot)
}

/// Whether a vertex is a step of the Dockerfile or the making of the image, and not the builder's own housekeeping.
fn is_shown(name: &str) -> bool {
    (name.starts_with('[') && !name.starts_with("[internal]")) || name == "exporting to image"
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::moby::buildkit::v1::VertexLog;

    fn vertex(name: &str, is_started: bool, is_completed: bool) -> Vertex {
        Vertex {
            digest: format!("digest of {name}"),
            name: name.to_owned(),
            started: is_started.then(Default::default),
            completed: is_completed.then(Default::default),
            ..Vertex::default()
        }
    }

    fn status(vertexes: Vec<Vertex>, logs: &[(&str, &str)]) -> BuildInfo {
        let logs = logs
            .iter()
            .map(|(name, msg)| VertexLog {
                vertex: format!("digest of {name}"),
                stream: 1,
                msg: msg.as_bytes().to_vec(),
                ..VertexLog::default()
            })
            .collect();
        BuildInfo {
            aux: Some(BuildInfoAux::BuildKit(StatusResponse {
                vertexes,
                logs,
                ..StatusResponse::default()
            })),
            ..BuildInfo::default()
        }
    }

    fn check(progress: &mut Progress, info: BuildInfo, expected: &[&str]) {
        let told: Vec<String> = progress
            .take(info)
            .into_iter()
            .map(|event| match event {
                BuildEvent::Step { name, is_cached } if is_cached => format!("step {name} cached"),
                BuildEvent::Step { name, .. } => format!("step {name}"),
                BuildEvent::Line(line) => format!("line {line}"),
                BuildEvent::Unwatched { step } => format!("unwatched {step}"),
                BuildEvent::Done(image) => format!("done {image}"),
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn each_step_is_told_once_and_output_in_lines() {
        let mut progress = Progress::default();
        let run = "[2/2] RUN make";
        assert_eq!(progress.running().count(), 0);
        let quiet = "[internal] load build context";
        let declared = vec![vertex(run, false, false), vertex(quiet, true, true)];
        check(&mut progress, status(declared, &[]), &[]);
        let started = vec![
            Vertex {
                cached: true,
                ..vertex("[1/2] FROM x", true, true)
            },
            vertex(run, true, false),
        ];
        check(
            &mut progress,
            status(started, &[(run, "half a ")]),
            &["step [1/2] FROM x cached", "step [2/2] RUN make"],
        );
        assert_eq!(progress.running().collect::<Vec<_>>(), [run]);
        let ended = vec![vertex(run, true, true)];
        check(
            &mut progress,
            status(ended, &[(run, "line\nrest")]),
            &["line half a line", "line rest"],
        );
        assert_eq!(progress.finish(), []);
        assert_eq!(progress.running().count(), 0);
    }

    #[test]
    fn the_failure_names_the_step_that_caused_it() {
        let mut progress = Progress::default();
        let failed = |name: &str, error: &str| Vertex {
            error: error.to_owned(),
            ..vertex(name, true, true)
        };
        let vertexes = vec![
            failed("[a 2/2] RUN sleep 9", "context canceled"),
            failed(
                "[b 2/2] RUN false",
                "executor failed running [/bin/sh -c false]: exit code: 1",
            ),
        ];
        progress.take(status(vertexes, &[]));
        let error = progress.failure("failed to solve".into());
        assert!(
            matches!(&error, EngineError::BuildFailed { step: Some(step), said }
                if step == "[b 2/2] RUN false" && said.ends_with("exit code: 1")),
            "{error:?}"
        );
    }

    #[test]
    fn what_the_cache_has_lost_is_told_from_what_a_step_says() {
        let lost = "failed to solve: failed to get layer sha256:12ab: layer does not exist";
        for (said, is_lost) in [
            (lost, true),
            (
                "failed to export image: failed to create image: failed to get layer sha256:12ab: layer does not exist",
                true,
            ),
            (
                "failed to prepare 9xk: parent snapshot sha256:12ab does not exist: not found",
                true,
            ),
            (
                "executor failed running [/bin/sh -c echo layer does not exist; false]: exit code: 1",
                false,
            ),
            ("failed to compute cache key: \"/x\" not found", false),
        ] {
            let error = Progress::default().failure(said.to_owned());
            assert_eq!(
                matches!(error, EngineError::CacheLost { .. }),
                is_lost,
                "{error:?}"
            );
        }
        // What the step says of it, and the way there.
        let mut progress = Progress::default();
        let vertex = Vertex {
            error: lost.to_owned(),
            ..vertex("exporting to image", true, true)
        };
        progress.take(status(vec![vertex], &[]));
        let error = progress.failure(lost.to_owned());
        assert!(
            matches!(&error, EngineError::CacheLost { said } if said == "failed to get layer sha256:12ab: layer does not exist"),
            "{error:?}"
        );
    }

    #[test]
    fn a_base_image_that_is_not_to_be_had_is_missing() {
        let mut progress = Progress::default();
        let name = "[internal] load metadata for docker.io/library/nope:1";
        let vertexes = vec![Vertex {
            error: "pull access denied".to_owned(),
            ..vertex(name, true, true)
        }];
        progress.take(status(vertexes, &[]));
        let error = progress.failure(String::new());
        assert!(
            matches!(&error, EngineError::ImageMissing { image, .. } if image == "nope:1"),
            "{error:?}"
        );
    }
}
