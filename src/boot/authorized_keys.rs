//! Keys named on the server's own command line: added once, and fine when they are known already.

use std::path::PathBuf;

use crate::commands::ssh_keys;
use crate::model::{Kind, Problem};
use crate::store::Store;

/// Lets the keys in `files` log in.
pub(super) async fn add(store: &Store, files: &[PathBuf]) -> Result<(), Problem> {
    for file in files {
        let shown = file.display().to_string();
        let text = tokio::fs::read_to_string(file).await.map_err(|error| {
            Problem::new(
                Kind::Invalid,
                format!("the keys in {shown} were not added"),
                error.to_string(),
                "name a file with public keys, such as ~/.ssh/id_ed25519.pub",
            )
        })?;
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        ssh_keys::add_all(store, &text, &stem.unwrap_or_else(|| "admin".to_owned())).await?;
    }
    Ok(())
}
