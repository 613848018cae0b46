//! The file of a program, and another in its place.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::model::{Kind, Problem};
use crate::store::NewFile;

/// Where Debian's package manager lists the files of packages.
const PACKAGES: &str = "/var/lib/dpkg/info";

/// A program that was put in the place of another.
pub(super) struct Installed {
    place: PathBuf,
    previous: PathBuf,
}

/// What a program says it is: `mini version 0.2.0`.
///
/// # Errors
/// Where it does not run, or is another program.
pub(super) fn version(file: &Path) -> Result<String, Problem> {
    let refused = |why: String| {
        Problem::new(
            Kind::Invalid,
            format!("{} is no mini that runs here", file.display()),
            why,
            "Take the one for this machine's processor and system; nothing was changed",
        )
    };
    let file = fs::canonicalize(file).map_err(|error| refused(error.to_string()))?;
    let said = Command::new(file)
        .arg("version")
        .output()
        .map_err(|error| refused(error.to_string()))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let version = text.trim().strip_prefix("mini version ");
    match version.filter(|_| said.status.success()) {
        Some(version) => Ok(version.to_owned()),
        None => Err(refused(format!("`version` ended with {}", said.status))),
    }
}

impl Installed {
    /// Puts a copy of `file` at `place`, and keeps what is there as `place.previous`. Another program that starts meanwhile finds
    /// one or the other, whole.
    pub(super) fn put(file: &Path, place: &Path) -> Result<Installed, Problem> {
        if let Some(package) = package_of(place) {
            return Err(Problem::new(
                Kind::Forbidden,
                format!("{} belongs to the package {package}", place.display()),
                "its package manager would not know of another program there",
                "Install the new package: `apt install ./mini_VERSION_ARCH.deb`",
            ));
        }
        let previous = with_ending(place, ".previous");
        let put = || -> io::Result<()> {
            replace(place, &previous)?;
            replace(file, place)
        };
        put().map_err(|error| cannot_write(place, &error))?;
        Ok(Installed {
            place: place.to_owned(),
            previous,
        })
    }

    /// Puts back what was there before.
    pub(super) fn put_back(self) -> Result<(), Problem> {
        replace(&self.previous, &self.place).map_err(|error| cannot_write(&self.place, &error))
    }
}

fn cannot_write(place: &Path, error: &io::Error) -> Problem {
    Problem::new(
        Kind::Forbidden,
        format!("{} cannot be replaced", place.display()),
        error.to_string(),
        "Run this as root: `sudo mini upgrade FILE`",
    )
}

/// Puts a copy of `from` at `to`, at one moment, on the disk.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut file = NewFile::begin(to)?;
    io::copy(&mut from, &mut file)?;
    file.file().set_permissions(Permissions::from_mode(0o755))?;
    file.finish()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The package of Debian that a file belongs to; ours is the only one asked for.
fn package_of(place: &Path) -> Option<&'static str> {
    let list = fs::read_to_string(Path::new(PACKAGES).join("mini.list")).ok()?;
    let place = place.to_str()?;
    list.lines().any(|line| line == place).then_some("mini")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_put_in_place_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let (place, file) = (folder.path().join("mini"), folder.path().join("download"));
        fs::write(&place, "old").unwrap();
        fs::write(&file, "new").unwrap();
        let installed = Installed::put(&file, &place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "new");
        let mode = fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        installed.put_back().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_is_no_mini_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other");
        fs::write(&file, "#!/bin/sh\necho other version 1\n").unwrap();
        assert!(version(&file).is_err(), "it may not be executed");
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        assert!(version(&file).is_err(), "it says that it is another");
        fs::write(&file, "#!/bin/sh\necho mini version 7\n").unwrap();
        assert_eq!(version(&file).unwrap(), "7");
        assert!(version(&folder.path().join("missing")).is_err());
    }
}
