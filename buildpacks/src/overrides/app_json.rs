//! What `app.json` says about the build: a command whose changes are part of the image (Dokku's `scripts.dokku.predeploy`). Health
//! checks are read by whoever checks, and the rest of the file is not about builds.

use serde_json::Value;

use super::Overrides;
use crate::document::Document;
use crate::error::DetectError;
use crate::repository::Repository;

pub(super) fn read(repository: &Repository<'_>) -> Result<Overrides, DetectError> {
    let mut found = Overrides::default();
    let Some(document) = Document::json(repository, "app.json")? else {
        return Ok(found);
    };
    for script in document.entries("/scripts/dokku")? {
        match (script.key, script.value) {
            ("predeploy", Value::String(text)) if text.trim().is_empty() => {}
            ("predeploy", Value::String(_)) => {
                found.predeploy = Some(document.command(&script)?);
            }
            // Run by whoever deploys, once the new release serves.
            ("postdeploy", _) => {}
            _ => found.warnings.push(document.ignored(&script.pointer)),
        }
    }
    Ok(found)
}
