//! Archives as `docker save` writes them, as far as the in-memory engine goes: names, and what the image says of itself.

use serde::Deserialize;
use serde_json::Value;

use super::build::{files, image_id};
use crate::engine::{EngineError, ImageFacts};

/// One image in `manifest.json`.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    names: Option<Vec<String>>,
}

/// What is known of the image that is called `wanted`.
pub(super) fn image(archive: &[u8], wanted: &str) -> Result<ImageFacts, EngineError> {
    let wrong = |why: String| EngineError::Archive { why };
    let files = files(archive).map_err(|_| wrong("it ends too early".to_owned()))?;
    let manifest = files.get("manifest.json").ok_or_else(|| {
        wrong("it is a tar archive, but none with images: `manifest.json` is not in it".to_owned())
    })?;
    let entries: Vec<Entry> = serde_json::from_slice(manifest)
        .map_err(|error| wrong(format!("`manifest.json` cannot be read: {error}")))?;
    let names = |entry: &Entry| entry.names.clone().unwrap_or_default();
    let Some(entry) = entries
        .iter()
        .find(|entry| names(entry).iter().any(|name| name == wanted))
    else {
        let all: Vec<String> = entries.iter().flat_map(names).collect();
        return Err(wrong(match all.is_empty() {
            true => "there is no image in it".to_owned(),
            false => format!("it holds {}, and not {wanted}", all.join(", ")),
        }));
    };
    let config = files.get(&entry.config).map(Vec::as_slice);
    let config = config.ok_or_else(|| wrong(format!("{} is not in it", entry.config)))?;
    let said: Value = serde_json::from_slice(config).unwrap_or_default();
    let field = |name: &str| said.pointer(&format!("/config/{name}"));
    let ports = field("ExposedPorts").and_then(Value::as_object);
    let ports = ports.into_iter().flat_map(|ports| ports.keys());
    let ports = ports.filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    Ok(ImageFacts {
        id: image_id(&config),
        exposed_ports: ports.collect(),
        has_command: ["Cmd", "Entrypoint"]
            .iter()
            .any(|name| field(name).is_some_and(Value::is_array)),
        size_bytes: archive.len() as u64,
        digests: Vec::new(),
    })
}
