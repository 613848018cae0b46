//! What an archive says about itself: a head in front, so that a mini that is too old stops there, and a list of all files
//! with their digests at the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::model::{AppName, Timestamp};

/// The number of the newest layout of an archive. Another layout gets the next number; older ones stay readable.
pub(super) const FORMAT: u32 = 2;
/// The number of the layout without folders of the storage.
pub(super) const WITHOUT_STORAGE: u32 = 1;
/// The first entry.
pub(super) const HEAD: &str = "mini-backup.json";
/// The last entry.
pub(super) const MANIFEST: &str = "manifest.json";

/// What an archive is, known before anything is unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of its layout.
    pub format: u32,
    /// The version of the mini that made it.
    pub mini: String,
    /// The schema of its database.
    pub schema: usize,
    /// When it was begun; what it holds is of that moment.
    pub created_at: Timestamp,
    /// The name of the host.
    pub host: String,
}

impl Head {
    /// Reads it.
    ///
    /// # Errors
    /// `Newer` if the layout is not known, `NotABackup`.
    pub(super) fn read(json: &[u8]) -> Result<Head, BackupError> {
        /// What every layout has.
        #[derive(Deserialize)]
        struct Any {
            format: u32,
            mini: String,
        }
        let not_ours = |_| BackupError::NotABackup("it does not say what it is".to_owned());
        let any: Any = serde_json::from_slice(json).map_err(not_ours)?;
        if any.format > FORMAT {
            return Err(BackupError::Newer { version: any.mini });
        }
        serde_json::from_slice(json).map_err(not_ours)
    }
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content, lower-case hexadecimal.
    pub sha256: String,
}

/// All that an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Each file but this list, by its path in the archive.
    pub files: BTreeMap<String, FileFacts>,
    /// Apps that had no repository when it was made: nothing was ever pushed to them, or they were destroyed meanwhile.
    pub without_repository: Vec<AppName>,
}

/// A digest as the manifest writes it.
pub(super) fn hexadecimal(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
