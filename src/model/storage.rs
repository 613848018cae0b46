//! Storage: folders of the server that outlive the containers that see them. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AppId, InvalidName, StorageName};

/// Where the containers of an app see a folder of the storage. Written as `NAME:/PATH` or `NAME:/PATH:ro`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorageMount {
    /// The folder.
    pub name: StorageName,
    /// The path in the containers.
    pub target: ContainerPath,
    /// Whether they may only read.
    pub is_read_only: bool,
}

/// A mount of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppMount {
    /// The app.
    pub app: AppId,
    /// What it sees.
    pub mount: StorageMount,
}

/// An absolute path in a container that something may be mounted at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerPath(String);

/// What a container cannot do without, or what is the kernel's.
const KEPT: [&str; 8] = ["proc", "sys", "dev", "run", "bin", "sbin", "lib", "etc"];

impl ContainerPath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || invalid("path", PATH_RULE);
        let rest = text
            .trim_end_matches('/')
            .strip_prefix('/')
            .ok_or_else(wrong)?;
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_clean = text.chars().all(|c| !c.is_control() && !":,\\".contains(c));
        // Only these themselves: a folder within one of them is the image's own business.
        if rest.len() > 1024 || !is_clean || !rest.split('/').all(is_plain) || KEPT.contains(&rest)
        {
            return Err(wrong());
        }
        let first = rest.split('/').next().unwrap_or_default();
        if ["proc", "sys", "dev"].contains(&first) {
            return Err(wrong());
        }
        Ok(ContainerPath(format!("/{rest}")))
    }
}

const PATH_RULE: &str = "A path in a container begins with `/`, has no `.`, `..`, `:` or `,` in it, and is no part of the system such as /etc or /proc";
const MOUNT_RULE: &str = "A mount is NAME:/PATH or NAME:/PATH:ro, such as uploads:/app/uploads; `storage:ensure-directory NAME` makes the folder";

fn invalid(what: &'static str, rule: &'static str) -> InvalidName {
    InvalidName { what, rule }
}

impl FromStr for StorageMount {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || invalid("mount", MOUNT_RULE);
        let (name, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (target, is_read_only) = match rest.split_once(':') {
            None => (rest, false),
            Some((target, "rw")) => (target, false),
            Some((target, "ro")) => (target, true),
            Some(_) => return Err(wrong()),
        };
        Ok(StorageMount {
            name: name.parse()?,
            target: target.parse()?,
            is_read_only,
        })
    }
}

impl fmt::Display for ContainerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StorageMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.target)?;
        match self.is_read_only {
            true => f.write_str(":ro"),
            false => Ok(()),
        }
    }
}

impl TryFrom<String> for StorageMount {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<StorageMount> for String {
    fn from(mount: StorageMount) -> String {
        mount.to_string()
    }
}

impl TryFrom<String> for ContainerPath {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ContainerPath> for String {
    fn from(path: ContainerPath) -> String {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_as_they_are_written() {
        for (text, shown) in [
            ("data:/data", "data:/data"),
            ("up-loads.2:/app/uploads/", "up-loads.2:/app/uploads"),
            ("data:/data:ro", "data:/data:ro"),
            ("data:/data:rw", "data:/data"),
            (
                "data:/var/lib/postgresql/data",
                "data:/var/lib/postgresql/data",
            ),
        ] {
            let mount: StorageMount = text.parse().unwrap();
            assert_eq!(mount.to_string(), shown);
            assert_eq!(mount.to_string().parse::<StorageMount>().unwrap(), mount);
        }
        for text in [
            "",
            "data",
            "/data",
            ":/data",
            "data:",
            "data:data",
            "data:/",
            "data:/a/../b",
            "data:/a//b",
            "data:/./a",
            "data:/proc",
            "data:/proc/1",
            "data:/sys/fs",
            "data:/etc",
            "data:/a:z",
            "data:/a,b",
            "data:/a\nb",
            "../x:/data",
            "a/b:/data",
            "/etc:/data",
            ".:/data",
            "-x:/data",
        ] {
            assert!(text.parse::<StorageMount>().is_err(), "{text}");
        }
    }
}
