//! Owns the bare repositories: creating them, git's own receive-pack and upload-pack as child processes, reading trees.
//! Must not know apps beyond their names, nor what a push is good for.

mod attributes;
mod child;
mod claims;
mod cloned;
mod context;
mod copies;
mod deploy_key;
mod detection;
mod error;
mod fetched;
mod hooks;
mod host_keys;
mod intake;
mod large_files;
mod leftovers;
mod made;
mod repositories;
mod symlink;
mod taken;
mod tree;
mod tree_reader;
mod unpacked;
mod walk;
mod zipped;

pub use claims::Claim;
pub use copies::{Incoming, Outgoing, References, check_repository};
pub use deploy_key::DeployKey;
pub use error::GitError;
pub use fetched::{RemoteAccess, RemoteSource};
pub use host_keys::scan_host_keys;
pub use made::{CommitNote, CommitWriter};
pub use repositories::{OLDEST_GIT, Repositories, SetAside, TreeLimits};
pub use tree::CommitTree;
pub use tree_reader::TreeReader;
pub use zipped::is_zip;
