//! The hook scripts, embedded, and their place on disk.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SCRIPTS: [(&str, &str); 3] = [
    ("pre-receive", include_str!("../../hooks/pre-receive")),
    ("proc-receive", include_str!("../../hooks/proc-receive")),
    ("post-receive", include_str!("../../hooks/post-receive")),
];

/// Writes the scripts into `<data_dir>/hooks`, replacing those of another version, and returns that folder.
pub(super) fn install(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = data_dir.join("hooks");
    fs::create_dir_all(&folder)?;
    for (name, content) in SCRIPTS {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|present| present == content.as_bytes()) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            continue;
        }
        // Beside, then renamed: a push that is under way never runs half a script.
        let beside = folder.join(format!(".{name}.new"));
        fs::write(&beside, content)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755))?;
        fs::rename(&beside, &path)?;
    }
    Ok(folder)
}
