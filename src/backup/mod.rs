//! Owns backups: one encrypted archive of all that a server knows, made while it works, and a data directory made of one.
//! Must not know commands, nor what an app is beyond its name and the commits it needs.
//!
//! An archive is tar, compressed by zstd, encrypted as age has it. In order:
//!
//! ```text
//! mini-backup.json            what it is: format, versions, moment, host
//! mini.db, events.db          copies of one moment each
//! keys/config.key             opens what is encrypted in mini.db: without it config and certificates would be lost,
//! keys/ssh_host_ed25519       which is why an archive is always encrypted
//! settings/mini.toml          the file of settings, for whoever sets up the next machine
//! repositories/APP/head       each repository: its HEAD, its references, all they reach in pieces of a pack,
//! repositories/APP/refs       and where a history is cut off
//! repositories/APP/pack/0000000
//! repositories/APP/shallow
//! storage/NAME/0/0000000      by choice, folders of the storage: the tar that Docker makes of each, in pieces, and again
//!                             under the next number where a file changed too fast; the last number counts
//! manifest.json               the length and SHA-256 of each
//! ```
//!
//! Certificates and what an authority knows us by are rows of `mini.db`. Images are left out: they are built again from the
//! repositories. So are access logs.
//!
//! | what | file |
//! | --- | --- |
//! | one moment of everything, and its archive | `create`, `archive` |
//! | unpack, look, put in place | `part`, `unpack`, `inspect`, `restore` |
//! | by a schedule | `keeper` |
//! | folders of the storage | `storage` |
//! | the encryption | `envelope` |
//! | what an archive says of itself | `manifest` |
//! | where archives are kept, and which of them go | `archives`, `retention` |
//! | a bucket of an S3-compatible store | `s3` |

mod archive;
mod archives;
mod create;
mod envelope;
mod error;
mod inspect;
mod keeper;
mod manifest;
mod part;
mod restore;
mod retention;
mod s3;
mod storage;
mod unpack;

pub use archives::{ArchiveReader, ArchiveWriter, Archives, Kept, NewArchive, new_file};
pub use create::{Made, Source, create, remove_leftovers};
pub use error::BackupError;
pub use inspect::{AppInside, Inside};
pub use keeper::Backups;
pub use manifest::{FileFacts, Head, Manifest};
pub use restore::{Restored, restore, verify};
pub use s3::{Download, Failure, S3Access, Upload};
pub use storage::FolderInside;

#[cfg(test)]
mod tests;
