//! The file of a program, and another that is to take its place.
//!
//! The new one lies beside as `NAME.next` and is started from there; once it has served well it is renamed to the place. So
//! whatever is cut short, the file in the place is a program that has served.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::commands::{NEXT, place_of};
use crate::model::{Kind, Problem};
use crate::store::NewFile;

/// Where Debian's package manager lists the files of packages.
const PACKAGES: &str = "/var/lib/dpkg/info";

/// A program that is to take the place of another.
pub(super) struct Candidate {
    place: PathBuf,
    next: PathBuf,
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

impl Candidate {
    /// Lays a copy of `file` beside `place`.
    pub(super) fn lay(file: &Path, place: &Path) -> Result<Candidate, Problem> {
        if let Some(package) = package_of(place) {
            return Err(Problem::new(
                Kind::Forbidden,
                format!("{} belongs to the package {package}", place.display()),
                "its package manager would not know of another program there",
                "Install the new package: `apt install ./mini_VERSION_ARCH.deb`",
            ));
        }
        let candidate = Candidate::beside(place);
        replace(file, &candidate.next).map_err(|error| cannot_write(place, &error))?;
        Ok(candidate)
    }

    /// The one that `program` is, if it was started before it had its place: an upgrade was cut short after that.
    pub(super) fn left(program: &Path) -> Option<Candidate> {
        let place = place_of(program);
        (place != program && program.exists()).then(|| Candidate::beside(&place))
    }

    fn beside(place: &Path) -> Candidate {
        Candidate {
            place: place.to_owned(),
            next: with_ending(place, NEXT),
        }
    }

    /// Where it is until it has its place.
    pub(super) fn file(&self) -> &Path {
        &self.next
    }

    /// Gives it the place, and keeps what is there as `place.previous`. Another program that starts meanwhile finds one or the
    /// other, whole.
    pub(super) fn put(self) -> Result<(), Problem> {
        let put = || -> io::Result<()> {
            replace(&self.place, &with_ending(&self.place, ".previous"))?;
            fs::rename(&self.next, &self.place)?;
            sync_folder(&self.place)
        };
        put().map_err(|error| cannot_write(&self.place, &error))
    }

    /// Takes it away again.
    pub(super) fn withdraw(self) -> Result<(), Problem> {
        let withdrawn = fs::remove_file(&self.next).and_then(|()| sync_folder(&self.next));
        withdrawn.map_err(|error| cannot_write(&self.next, &error))
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

fn sync_folder(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new("/")))?.sync_all()
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
    fn a_program_has_its_place_once_it_is_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let (place, file) = (folder.path().join("mini"), folder.path().join("download"));
        let (next, previous) = (
            folder.path().join("mini.next"),
            folder.path().join("mini.previous"),
        );
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        fs::write(&place, "old").unwrap();
        fs::write(&file, "new").unwrap();
        let candidate = Candidate::lay(&file, &place).unwrap();
        assert_eq!(
            (candidate.file(), read(&place).as_str()),
            (next.as_path(), "old")
        );
        let mode = fs::metadata(&next).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        candidate.withdraw().unwrap();
        assert!(!next.exists());

        drop(Candidate::lay(&file, &place).unwrap());
        assert!(Candidate::left(&place).is_none());
        Candidate::left(&next).unwrap().put().unwrap();
        assert_eq!(
            (read(&place).as_str(), read(&previous).as_str()),
            ("new", "old")
        );
        assert!(!next.exists() && !folder.path().join("mini.previous.new").exists());
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
