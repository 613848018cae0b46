//! What an entry of an archive is, by its path. Nothing else is ever taken.

use super::archive::PIECE_BYTES;
use super::manifest::{HEAD, MANIFEST};
use crate::model::AppName;

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
            _ => {
                let (app, file) = path.strip_prefix("repositories/")?.split_once('/')?;
                let app: AppName = app.parse().ok()?;
                match file {
                    "head" => Part::RepositoryHead(app),
                    "refs" => Part::References(app),
                    "shallow" => Part::Shallow(app),
                    _ => {
                        let number = file.strip_prefix("pack/")?;
                        let is_number =
                            number.len() >= 7 && number.bytes().all(|b| b.is_ascii_digit());
                        is_number.then_some(Part::Pack(app))?
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
            Part::Pack(_) => u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX),
        }
    }
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
        ] {
            assert_eq!(Part::of(path), None, "{path}");
        }
    }
}
