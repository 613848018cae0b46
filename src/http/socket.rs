//! The socket of the API: `<data_dir>/run/api.sock`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, open, unlinkat};
use rustix::io::Errno;
use tokio::net::{UnixListener, UnixStream};

const FOLDER: &str = "run";
const NAME: &str = "api.sock";

/// The bound socket; its file goes when this is dropped, unless it was passed on.
#[derive(Debug)]
pub struct ApiSocket {
    folder: OwnedFd,
    /// Where connections arrive.
    pub listener: UnixListener,
    is_passed_on: AtomicBool,
}

impl ApiSocket {
    /// Binds it in `data_dir`, for its owner only. A file of that name is taken to be left over from a server that did not
    /// come to removing it: whoever calls holds the lock of the data directory.
    pub fn bind(data_dir: &Path) -> io::Result<ApiSocket> {
        let path = data_dir.join(FOLDER);
        std::fs::create_dir_all(&path)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700))?;
        let folder = open_folder(&path)?;
        match unlinkat(&folder, NAME, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let short = short_path(&folder);
        let listener = UnixListener::bind(&short)?;
        std::fs::set_permissions(&short, PermissionsExt::from_mode(0o600))?;
        Ok(ApiSocket {
            folder,
            listener,
            is_passed_on: AtomicBool::new(false),
        })
    }

    /// Takes over one that another process has bound in `data_dir` and passed on.
    pub fn from_passed(data_dir: &Path, listener: OwnedFd) -> io::Result<ApiSocket> {
        let listener = std::os::unix::net::UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        Ok(ApiSocket {
            folder: open_folder(&data_dir.join(FOLDER))?,
            listener: UnixListener::from_std(listener)?,
            is_passed_on: AtomicBool::new(false),
        })
    }

    /// Says that another process serves on it from now on: its file stays.
    pub fn set_passed_on(&self) {
        self.is_passed_on.store(true, Ordering::Relaxed);
    }
}

impl Drop for ApiSocket {
    fn drop(&mut self) {
        if !self.is_passed_on.load(Ordering::Relaxed) {
            let _ = unlinkat(&self.folder, NAME, AtFlags::empty());
        }
    }
}

/// Connects to the server of `data_dir`.
pub async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let folder = open_folder(&data_dir.join(FOLDER))?;
    UnixStream::connect(short_path(&folder)).await
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// The path of a socket has 108 bytes at most (unix(7)), and data directories may lie deeper; the open folder has a short
/// name.
fn short_path(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deep_folder_and_a_file_left_over_are_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("d".repeat(120)).join("e".repeat(120));
        let first = ApiSocket::bind(&deep).unwrap();
        std::mem::forget(first);
        let second = ApiSocket::bind(&deep).unwrap();
        let (accepted, connected) = tokio::join!(second.listener.accept(), connect(&deep));
        accepted.unwrap();
        connected.unwrap();
        let mode = std::fs::metadata(deep.join("run/api.sock"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(second);
        assert_eq!(
            connect(&deep).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
