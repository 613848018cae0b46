//! Unix sockets at paths of any length: the kernel takes 107 bytes, a data directory may be deeper.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// `sun_path` has 108 bytes with its final zero (unix(7)).
const PATH_LIMIT_BYTES: usize = 107;

/// Listens at `path` for this user only, replacing the socket of a server that is gone.
///
/// # Errors
/// `AddrInUse` when something still listens there.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _folder) = shorten(path)?;
    let listener = UnixListener::bind(short)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to the socket at `path`.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (short, _folder) = shorten(path)?;
    UnixStream::connect(short)
}

/// The same place by a short path: through the open folder that is returned with it and must stay open while it is used.
fn shorten(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().as_bytes().len() <= PATH_LIMIT_BYTES {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok((short, Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join("hook.sock");
        let listener = bind(&path).unwrap();
        connect(&path).unwrap();
        let taken = bind(&path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_socket_is_bound_at_short_and_at_long_paths_and_a_stale_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        check(&folder.path().join("run"));
        check(&folder.path().join("long".repeat(40)).join("run"));
    }
}
