//! Builds of the in-memory engine: the Dockerfile is read and its `RUN` lines are played as scripts.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use super::script::{self, Act};
use super::world::Image;
use crate::engine::{BuildEvent, BuildSpec, EngineError, ImageFacts};
use crate::model::ImageId;

/// What a build came to: the events before its end, and the image or the failure.
pub(super) struct Outcome {
    pub(super) events: Vec<BuildEvent>,
    pub(super) end: Result<ImageFacts, EngineError>,
}

/// Builds from a tar archive. The image's id is made from its content: the same source is the same image.
/// What the image of a `FROM` exposes and runs is that of the new one, where it is among `known`.
pub(super) fn build(spec: &BuildSpec, archive: &[u8], known: &[Image]) -> Outcome {
    let mut events = Vec::new();
    let end = play(spec, archive, known, &mut events);
    Outcome { events, end }
}

fn play(
    spec: &BuildSpec,
    archive: &[u8],
    known: &[Image],
    events: &mut Vec<BuildEvent>,
) -> Result<ImageFacts, EngineError> {
    let files = files(archive).map_err(|error| failed(None, error.to_string()))?;
    let dockerfile = &spec.dockerfile;
    let mut exposed_ports = Vec::new();
    let mut has_command = false;
    let total = dockerfile.lines().filter(|line| is_step(line)).count();
    let mut number = 0;
    let mut is_target = false;
    for (at, line) in dockerfile.lines().enumerate() {
        let line = line.trim();
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        if instruction == "FROM" {
            if is_target {
                break;
            }
            let name = rest.split_whitespace().nth(2);
            is_target = name.is_some() && name == spec.target.as_deref();
        }
        let name = is_step(line).then(|| {
            number += 1;
            format!("[{number}/{total}] {line}")
        });
        if let Some(name) = &name {
            events.push(BuildEvent::Step {
                name: name.clone(),
                is_cached: false,
            });
        }
        match instruction {
            "" | "COPY" | "ADD" | "WORKDIR" | "ENV" | "ARG" | "USER" | "LABEL" => {}
            comment if comment.starts_with('#') => {}
            "FROM" if is_missing(rest.split_whitespace().next().unwrap_or(rest)) => {
                return Err(EngineError::ImageMissing {
                    image: rest.to_owned(),
                    said: "it is in no registry".to_owned(),
                });
            }
            "FROM" => {
                let base = rest.split_whitespace().next().unwrap_or(rest);
                let base = known.iter().rev().find(|image| image.is_called(base));
                exposed_ports = base.map_or_else(Vec::new, |base| base.facts.exposed_ports.clone());
                has_command = base.is_some_and(|base| base.facts.has_command);
            }
            "CMD" | "ENTRYPOINT" => has_command = true,
            "EXPOSE" => exposed_ports.extend(rest.trim().parse::<u16>()),
            "RUN" => run(without_flags(rest), name, events)?,
            other => {
                return Err(failed(
                    None,
                    format!(
                        "dockerfile parse error line {}: unknown instruction: {other}",
                        at + 1
                    ),
                ));
            }
        }
    }
    exposed_ports.sort_unstable();
    Ok(ImageFacts {
        id: image_id(&(spec.app.as_str(), &files, &spec.arguments, &spec.target)),
        exposed_ports,
        has_command,
        size_bytes: archive.len() as u64,
        digests: Vec::new(),
    })
}

fn run(line: &str, step: Option<String>, events: &mut Vec<BuildEvent>) -> Result<(), EngineError> {
    for act in script::read(line) {
        match act {
            Act::Say(_, text) => events.push(BuildEvent::Line(text)),
            Act::Exit(0) | Act::Copy | Act::Stay => {}
            Act::Exit(code) => {
                let said =
                    format!("executor failed running [/bin/sh -c {line}]: exit code: {code}");
                return Err(failed(step, said));
            }
        }
    }
    Ok(())
}

/// What is run, without the `--mount=...` in front of it.
fn without_flags(mut line: &str) -> &str {
    while let Some((flag, rest)) = line.split_once(' ')
        && flag.starts_with("--")
    {
        line = rest;
    }
    line
}

fn is_step(line: &str) -> bool {
    ["FROM ", "RUN ", "COPY ", "ADD ", "WORKDIR "]
        .iter()
        .any(|step| line.trim_start().starts_with(step))
}

/// Whether a reference names an image that nobody has: one at port 1 of this host.
pub(super) fn is_missing(reference: &str) -> bool {
    reference.trim().starts_with("127.0.0.1:1/")
}

/// An id made from content.
pub(super) fn image_id(content: &impl Hash) -> ImageId {
    let mut digits = String::from("sha256:");
    for part in 0_u8..4 {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        content.hash(&mut hasher);
        digits.push_str(&format!("{:016x}", hasher.finish()));
    }
    #[expect(
        clippy::expect_used,
        reason = "four times sixteen digits follow the prefix"
    )]
    digits
        .parse()
        .expect("64 hexadecimal digits are an image id")
}

/// The files of a tar archive.
pub(super) fn files(archive: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}

fn failed(step: Option<String>, said: String) -> EngineError {
    EngineError::BuildFailed { step, said }
}
