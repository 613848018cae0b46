//! The folders of the storage on the machine.

mod brought;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

pub use brought::BROUGHT;
pub(super) use brought::Brought;

/// Where the folders are, in the data directory.
pub const STORAGE: &str = "storage";

/// Makes a folder for what apps keep, if it is missing; whether it was. Every user of a container may write there, for which
/// one an image runs as is its own affair; the data directory around it is closed to all users of the machine but the
/// server's own. Blocks.
///
/// # Errors
/// What the system says, also where something else than a folder is there.
pub fn ensure_folder(path: &Path) -> io::Result<bool> {
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {
            fs::set_permissions(path, Permissions::from_mode(0o777))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link would lead elsewhere.
            match fs::symlink_metadata(path)?.is_dir() {
                true => Ok(false),
                false => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_what_stands_in_its_way_is_told() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = data_dir.path().join("storage").join("data");
        assert!(ensure_folder(&folder).unwrap());
        assert!(!ensure_folder(&folder).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let parent = folder.parent().unwrap();
        assert_eq!((mode(&folder), mode(parent)), (0o777, 0o700));
        fs::write(parent.join("file"), "").unwrap();
        assert!(ensure_folder(&parent.join("file")).is_err());
        std::os::unix::fs::symlink("/etc", parent.join("link")).unwrap();
        assert!(ensure_folder(&parent.join("link")).is_err());
    }
}
