//! Walking a tree once: every file with its size, in git's order, refused where it cannot be built.

use std::collections::BTreeMap;

use gix::objs::tree::EntryKind;

use super::attributes::{self, LFS_POINTER_LIMIT_BYTES};
use super::{GitError, TreeLimits, symlink};

/// The longest path taken, bytes; Linux takes no longer one (`PATH_MAX`).
const PATH_LIMIT_BYTES: usize = 4096;

/// The longest entry of a folder, bytes: mode, name (`NAME_MAX` of Linux) and id.
const ENTRY_LIMIT_BYTES: u64 = 7 + 255 + 1 + 32;

/// The largest `.gitmodules` or `.gitattributes` that is read.
const SETTINGS_LIMIT_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Plain,
    Executable,
    Symlink,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    /// Relative to the root, as git has it: any bytes but NUL.
    pub(super) path: Vec<u8>,
    pub(super) kind: FileKind,
    pub(super) id: gix::ObjectId,
    pub(super) size_bytes: u64,
}

impl File {
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<File>,
    pub(super) total_bytes: u64,
    /// Things the owner should know, which stop nothing.
    pub(super) warnings: Vec<String>,
}

/// One folder that is being walked: what it is called and what of it is still to come.
struct Folder {
    prefix: Vec<u8>,
    rest: std::vec::IntoIter<(EntryKind, Vec<u8>, gix::ObjectId)>,
}

/// Walks the tree `root`. The stack is our own, so that no depth of folders can exhaust the thread's.
pub(super) fn walk(
    repository: &gix::Repository,
    root: gix::ObjectId,
    limits: TreeLimits,
) -> Result<Walked, GitError> {
    let mut walked = Walked::default();
    let mut submodules = Vec::new();
    let mut entries = 0_usize;
    let mut stack = vec![Folder {
        prefix: Vec::new(),
        rest: list(repository, root, limits)?,
    }];
    while let Some(folder) = stack.last_mut() {
        let Some((kind, name, id)) = folder.rest.next() else {
            stack.pop();
            continue;
        };
        entries = entries.saturating_add(1);
        if entries > limits.entries {
            return Err(too_many(limits));
        }
        let path = join(&folder.prefix, &name)?;
        let kind = match kind {
            EntryKind::Tree => {
                let rest = list(repository, id, limits)?;
                stack.push(Folder { prefix: path, rest });
                continue;
            }
            EntryKind::Commit => {
                submodules.push(String::from_utf8_lossy(&path).into_owned());
                continue;
            }
            EntryKind::Blob => FileKind::Plain,
            EntryKind::BlobExecutable => FileKind::Executable,
            EntryKind::Link => FileKind::Symlink,
        };
        let size_bytes = repository
            .find_header(id)
            .map_err(GitError::reading)?
            .size();
        walked.total_bytes = walked.total_bytes.saturating_add(size_bytes);
        walked.files.push(File {
            path,
            kind,
            id,
            size_bytes,
        });
    }
    refuse_submodules(repository, &walked, &submodules)?;
    refuse_too_much(&walked, limits)?;
    refuse_lfs(repository, &walked)?;
    walked.warnings = warnings(repository, &walked)?;
    Ok(walked)
}

type Entries = std::vec::IntoIter<(EntryKind, Vec<u8>, gix::ObjectId)>;

fn list(
    repository: &gix::Repository,
    id: gix::ObjectId,
    limits: TreeLimits,
) -> Result<Entries, GitError> {
    // It is read into memory whole, and what is packed to nothing may be large.
    let most = ENTRY_LIMIT_BYTES.saturating_mul(limits.entries as u64);
    let size_bytes = repository
        .find_header(id)
        .map_err(GitError::reading)?
        .size();
    if size_bytes > most {
        return Err(too_many(limits));
    }
    let tree = repository.find_tree(id).map_err(GitError::reading)?;
    let mut entries = Vec::new();
    for entry in tree.iter() {
        let entry = entry.map_err(GitError::reading)?;
        entries.push((entry.kind(), entry.filename().to_vec(), entry.object_id()));
    }
    Ok(entries.into_iter())
}

fn too_many(limits: TreeLimits) -> GitError {
    GitError::unusable(
        format!(
            "the repository has more than {} files and folders",
            limits.entries
        ),
        "remove what the app does not need (a committed node_modules is the usual case), commit, and push again",
    )
}

/// A tree that git itself would not have made can carry names that lead elsewhere; a push is checked by fsck, and we do
/// not rely on it.
fn join(prefix: &[u8], name: &[u8]) -> Result<Vec<u8>, GitError> {
    let is_strange = matches!(name, b"" | b"." | b"..")
        || name.eq_ignore_ascii_case(b".git")
        || name.contains(&b'/')
        || name.contains(&0);
    let mut path = prefix.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    if is_strange || path.len() > PATH_LIMIT_BYTES {
        let shown: String = String::from_utf8_lossy(&path).chars().take(200).collect();
        return Err(GitError::unusable(
            format!("the repository has a file with the name `{shown}`, which cannot be stored"),
            "rename or remove it, commit, and push again",
        ));
    }
    Ok(path)
}

fn refuse_submodules(
    repository: &gix::Repository,
    walked: &Walked,
    submodules: &[String],
) -> Result<(), GitError> {
    let Some(first) = submodules.first() else {
        return Ok(());
    };
    let settings = match walked.files.iter().find(|f| f.path == b".gitmodules") {
        Some(file) if file.size_bytes <= SETTINGS_LIMIT_BYTES => content(repository, file)?,
        _ => Vec::new(),
    };
    let url = attributes::submodule_url(&String::from_utf8_lossy(&settings), first);
    let from = url.map(|url| format!(" ({url})")).unwrap_or_default();
    let more = match submodules.len() {
        1 => String::new(),
        number => format!(" and {} more", number.saturating_sub(1)),
    };
    Err(GitError::unusable(
        format!("`{first}`{from}{more} is a git submodule, whose files are not part of a push"),
        format!(
            "send its files along: `git submodule update --init --recursive`, then `mini deploy`, or \
             `tar cz . | ssh mini git:from-archive APP`; or put them into this repository \
             (`git rm --cached {first}; rm -rf {first}/.git; git add {first}`), commit, and push again"
        ),
    ))
}

fn refuse_too_much(walked: &Walked, limits: TreeLimits) -> Result<(), GitError> {
    if walked.total_bytes <= limits.total_bytes {
        return Ok(());
    }
    let largest = walked.files.iter().max_by_key(|file| file.size_bytes);
    let largest = largest
        .map(|file| {
            format!(
                "; the largest is `{}` with {} MiB",
                file.name(),
                file.size_bytes >> 20
            )
        })
        .unwrap_or_default();
    Err(GitError::unusable(
        format!(
            "the files of this commit are {} MiB together, {} MiB are allowed{largest}",
            walked.total_bytes >> 20,
            limits.total_bytes >> 20
        ),
        "keep large files outside the repository and fetch them in the build or at run time, commit, and push again",
    ))
}

fn refuse_lfs(repository: &gix::Repository, walked: &Walked) -> Result<(), GitError> {
    let mut uses_lfs = false;
    for file in &walked.files {
        let is_settings = file.path == b".gitattributes" || file.path.ends_with(b"/.gitattributes");
        if is_settings
            && file.kind != FileKind::Symlink
            && file.size_bytes <= SETTINGS_LIMIT_BYTES
            && attributes::uses_lfs(&content(repository, file)?)
        {
            uses_lfs = true;
            break;
        }
    }
    if !uses_lfs {
        return Ok(());
    }
    for file in &walked.files {
        if file.kind != FileKind::Symlink
            && file.size_bytes < LFS_POINTER_LIMIT_BYTES
            && attributes::is_lfs_pointer(&content(repository, file)?)
        {
            return Err(GitError::unusable(
                format!(
                    "`{}` is kept in Git LFS: the push brought a pointer, not the file",
                    file.name()
                ),
                "commit the file itself (`git lfs migrate export --include='*' --everything`), or fetch it in the build, and push again",
            ));
        }
    }
    Ok(())
}

fn warnings(repository: &gix::Repository, walked: &Walked) -> Result<Vec<String>, GitError> {
    let mut leaving = BTreeMap::new();
    for file in walked.files.iter().filter(|f| f.kind == FileKind::Symlink) {
        if file.size_bytes > PATH_LIMIT_BYTES as u64 {
            return Err(GitError::unusable(
                format!(
                    "the symlink `{}` has a target that is too long",
                    file.name()
                ),
                "remove it, commit, and push again",
            ));
        }
        let target = content(repository, file)?;
        if target.is_empty() || target.contains(&0) {
            return Err(GitError::unusable(
                format!("the symlink `{}` has no usable target", file.name()),
                "remove it, commit, and push again",
            ));
        }
        if symlink::leaves_tree(&file.path, &target) {
            leaving.insert(file.name(), String::from_utf8_lossy(&target).into_owned());
        }
    }
    Ok(leaving
        .into_iter()
        .map(|(path, target)| {
            format!(
                "The symlink {path} leads out of the repository (to {target}); inside the image it leads to whatever is there"
            )
        })
        .collect())
}

pub(super) fn content(repository: &gix::Repository, file: &File) -> Result<Vec<u8>, GitError> {
    let mut blob = repository.find_blob(file.id).map_err(GitError::reading)?;
    Ok(blob.take_data())
}
