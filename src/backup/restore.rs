//! Reading an archive: only to see that it is whole, or to put it in place.

use std::fs::DirBuilder;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::create::run;
use super::inspect::{Inside, inspect};
use super::part::SETTINGS;
use super::unpack::{discard, unpack};
use crate::model::{Secret, Timestamp};
use crate::store::Restoring;

/// What was put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What is in it.
    pub inside: Inside,
    /// Where the settings of the server that was backed up are, for a look.
    pub settings: Option<PathBuf>,
    /// Where what was there before is kept.
    pub kept: Option<PathBuf>,
}

/// Unpacks an archive into a new folder within `scratch`, looks at everything in it, and removes it again.
///
/// # Errors
/// Why it could not be put back.
pub async fn verify<R: Read + Send + 'static>(
    archive: R,
    passphrase: Secret,
    scratch: &Path,
) -> Result<Inside, BackupError> {
    let number = getrandom::u64().map_err(|_| BackupError::Randomness)?;
    let folder = scratch.join(format!(".mini-verify.{number:016x}"));
    let scratch = Scratch(folder.clone());
    let into = folder.clone();
    let unpacked = run(move || {
        make(&into).map_err(|error| BackupError::file("the scratch folder", error))?;
        unpack(archive, &passphrase, &into)
    })
    .await;
    let inside = match unpacked {
        Ok(unpacked) => inspect(&folder, unpacked).await,
        Err(error) => Err(error),
    };
    run(move || {
        drop(scratch);
        Ok(())
    })
    .await?;
    inside
}

fn make(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        discard(&self.0);
    }
}

/// Makes `data_dir` of an archive. All is made and looked at beside first, and moved in at the end: interrupted at any
/// moment, the data directory is what it was or what the archive holds. With `is_forced`, what is there already is kept
/// beside; no server may run on it.
///
/// # Errors
/// `NotEmpty`; why it cannot be put back; then nothing was changed.
pub async fn restore<R: Read + Send + 'static>(
    archive: R,
    passphrase: Secret,
    data_dir: &Path,
    is_forced: bool,
) -> Result<Restored, BackupError> {
    let data_dir = data_dir.to_owned();
    let (restoring, folder, unpacked) = run(move || {
        let restoring = Restoring::begin(&data_dir)?;
        if restoring.is_used()? && !is_forced {
            return Err(BackupError::NotEmpty(data_dir.display().to_string()));
        }
        let folder = restoring.folder();
        let unpacked = unpack(archive, &passphrase, &folder)?;
        Ok((restoring, folder, unpacked))
    })
    .await?;
    let inside = inspect(&folder, unpacked).await?;
    run(move || {
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let data_dir = folder.parent().unwrap_or(Path::new("/")).to_owned();
        let kept = restoring.place(&stamp)?;
        Ok(Restored {
            settings: inside.has_settings.then(|| data_dir.join(SETTINGS)),
            inside,
            kept,
        })
    })
    .await
}
