//! The passphrase of a backup, which nobody can give back to whoever loses it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::model::{Kind, Problem, Secret};

/// A passphrase of fewer characters is refused: whoever has the archive can try as many as they like.
const SHORTEST: usize = 12;
/// The longest file that is read, bytes.
const FILE_LIMIT: u64 = 4096;

/// The passphrase in the first line of a file.
///
/// # Errors
/// Where the file cannot be read, or its first line is no passphrase.
pub fn read_file(path: &Path) -> Result<Secret, Problem> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text));
    read.map_err(|error| {
        Problem::new(
            Kind::Invalid,
            format!("The passphrase in {} could not be read", path.display()),
            error.to_string(),
            "Give a file with the passphrase in its first line",
        )
    })?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    Ok(Secret::new(line))
}

/// A passphrase that a backup may be made with.
///
/// # Errors
/// Where it is none, or too short.
pub fn checked(passphrase: Option<Secret>) -> Result<Secret, Problem> {
    let passphrase = passphrase.filter(|given| !given.reveal().is_empty());
    let Some(passphrase) = passphrase else {
        return Err(Problem::new(
            Kind::Invalid,
            "A backup needs a passphrase",
            "it holds the keys of this server, so it is always encrypted, and none was given",
            "Name a file that has it in its first line (`--passphrase-file FILE`), or give it on standard input",
        ));
    };
    if passphrase.reveal().chars().count() < SHORTEST {
        return Err(Problem::new(
            Kind::Invalid,
            "The passphrase is too short",
            format!(
                "it needs {SHORTEST} characters: whoever has the file can try as often as they like"
            ),
            "Take several words, or let a password manager make one, and keep it apart from the backup",
        ));
    }
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_and_not_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        std::fs::write(&path, "correct horse battery\nnot this\n").unwrap();
        let read = read_file(&path).unwrap();
        assert_eq!(read.reveal(), "correct horse battery");
        assert!(checked(Some(read)).is_ok());
        assert!(checked(Some(Secret::new("too short"))).is_err());
        assert!(checked(Some(Secret::new(""))).is_err());
        assert!(checked(None).is_err());
        assert!(read_file(&folder.path().join("no")).is_err());
    }
}
