//! What is left on the disk of work that was cut short: by a crash, or in a repository that is copied while it is written to.

use std::fs;
use std::path::Path;

/// Removes what is of no use to anyone after a crash: in the folder of all repositories, the folders beside them that
/// [`super::Repositories`] makes, and in each repository what git did not come to remove. What cannot be removed is left with a
/// warning: a git that outlived the server before may still be at it.
pub(super) fn remove_all(root: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            told(&entry.path(), fs::remove_dir_all(entry.path()));
            continue;
        }
        remove_unfinished(&entry.path());
    }
    Ok(())
}

/// Removes from a repository what git began to write.
pub(super) fn remove_unfinished(repository: &Path) {
    let objects = repository.join("objects");
    // A push that was cut off (git's `tmp-objdir.c`).
    told(
        &objects,
        remove_named(&objects, &[b"tmp_objdir-", b"incoming-"]),
    );
    // A pack that was not finished; the other name is that of git's own clean-up.
    let packs = objects.join("pack");
    told(&packs, remove_named(&packs, &[b"tmp_", b".tmp-"]));
}

/// Says what could not be removed. What is gone already is as it should be.
fn told(path: &Path, removed: std::io::Result<()>) {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let path = path.display();
            tracing::warn!(%path, %error, "a leftover could not be removed");
        }
        _ => {}
    }
}

/// Removes what is in a folder, if there is one, and has a name that begins so.
fn remove_named(folder: &Path, beginnings: &[&[u8]]) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let mut beginnings = beginnings.iter();
        if !beginnings.any(|beginning| name.as_encoded_bytes().starts_with(beginning)) {
            continue;
        }
        let removed = match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
        told(&entry.path(), removed);
    }
    Ok(())
}
