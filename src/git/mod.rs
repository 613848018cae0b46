//! Owns the bare repositories: creating them, git's own receive-pack and upload-pack as child processes, reading trees.
//! Must not know apps beyond their names, nor what a push is good for.

mod attributes;
mod child;
mod context;
mod copies;
mod detection;
mod error;
mod fetched;
mod hooks;
mod intake;
mod large_files;
mod made;
mod repositories;
mod symlink;
mod tree;
mod tree_reader;
mod unpacked;
mod walk;

pub use copies::{Incoming, Outgoing, References, check_repository};
pub use error::GitError;
pub use fetched::RemoteSource;
pub use made::{CommitNote, CommitWriter};
pub use repositories::{Repositories, SetAside, TreeLimits};
pub use tree::CommitTree;
pub use tree_reader::TreeReader;
