//! What an entry of an archive is, by its path. Nothing else is ever taken.

use super::archive::PIECE_BYTES;
use super::manifest::{HEAD, MANIFEST};
use crate::model::{AppName, StorageName};

/// The name that the settings of the server get in a restored data directory.
pub(super) const SETTINGS: &str = "mini.toml.restored";
/// Longest head, bytes.
const HEAD_LIMIT: u64 = 64 << 10;
/// Longest key, settings file or HEAD, bytes.
const SMALL_LIMIT: u64 = 1 << 20;
/// Longest list that is held in memory: references of a repository, files of an archive; bytes.
const LIST_LIMIT: u64 = 256 << 20;

/// What an entry of an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    /// A file of the data directory: its name there, and the longest that is taken.
    File(&'static str, u64),
    RepositoryHead(AppName),
    References(AppName),
    Pack(AppName),
    Shallow(AppName),
    /// A piece of a folder of the storage, as it was read the so-manyth time.
    Storage(StorageName, u32),
    Manifest,
}

impl Part {
    /// The part that has this path, if one of ours has.
    pub(super) fn of(path: &str) -> Option<Part> {
        let part = match path {
            HEAD => Part::Head,
            MANIFEST => Part::Manifest,
            "mini.db" => Part::File("mini.db", u64::MAX),
            "events.db" => Part::File("events.db", u64::MAX),
            "keys/config.key" => Part::File("keys/config.key", SMALL_LIMIT),
            "keys/ssh_host_ed25519" => Part::File("keys/ssh_host_ed25519", SMALL_LIMIT),
            "settings/mini.toml" => Part::File(SETTINGS, SMALL_LIMIT),
            _ if path.starts_with("storage/") => {
                let mut parts = path.split('/').skip(1);
                let (name, tried) = (parts.next()?.parse().ok()?, parts.next()?);
                let number = parts.next()?;
                let is_try = tried.len() == 1 && is_number(tried);
                let is_piece = is_try && number.len() >= 7 && is_number(number);
                (is_piece && parts.next().is_none()).then_some(())?;
                Part::Storage(name, tried.parse().ok()?)
            }
            _ => {
                let (app, file) = path.strip_prefix("repositories/")?.split_once('/')?;
                let app: AppName = app.parse().ok()?;
                match file {
                    "head" => Part::RepositoryHead(app),
                    "refs" => Part::References(app),
                    "shallow" => Part::Shallow(app),
                    _ => {
                        let number = file.strip_prefix("pack/")?;
                        let is_piece = number.len() >= 7 && is_number(number);
                        is_piece.then_some(Part::Pack(app))?
                    }
                }
            }
        };
        Some(part)
    }

    /// The longest that mini writes it, bytes.
    pub(super) fn limit(&self) -> u64 {
        match self {
            Part::Head => HEAD_LIMIT,
            Part::File(_, limit) => *limit,
            Part::RepositoryHead(_) => SMALL_LIMIT,
            Part::References(_) | Part::Shallow(_) | Part::Manifest => LIST_LIMIT,
            Part::Pack(_) | Part::Storage(..) => u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX),
        }
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_known() {
        let app: AppName = "blog".parse().unwrap();
        let known = [
            ("mini-backup.json", Part::Head),
            ("manifest.json", Part::Manifest),
            ("repositories/blog/head", Part::RepositoryHead(app.clone())),
            ("repositories/blog/refs", Part::References(app.clone())),
            ("repositories/blog/pack/0000012", Part::Pack(app.clone())),
            ("repositories/blog/shallow", Part::Shallow(app)),
            (
                "storage/up_1.x/2/0000012",
                Part::Storage("up_1.x".parse().unwrap(), 2),
            ),
        ];
        for (path, part) in known {
            assert_eq!(Part::of(path), Some(part), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../mini.db",
            "keys/../../x",
            "keys/other",
            "repositories/../head",
            "repositories/blog/pack/../../x",
            "repositories/blog/config",
            "repositories/blog/hooks/post-receive",
            "repositories/BLOG!/head",
            "storage/data",
            "storage/data/0",
            "storage/data/00/0000000",
            "storage/data/x/0000000",
            "storage/data/0/12",
            "storage/data/0/0000000/x",
            "storage/../0/0000000",
            "storage/.data/0/0000000",
        ] {
            assert_eq!(Part::of(path), None, "{path}");
        }
    }
}
