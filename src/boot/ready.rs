//! Telling the world that the server is ready: lines on standard output, a file for programs, a note to systemd.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::commands::ServerFacts;

/// What `run/server.json` holds while a server runs.
#[derive(Serialize)]
struct ServerFile<'a> {
    pid: u32,
    version: &'a str,
    ssh: &'a [SocketAddr],
    http: &'a [SocketAddr],
    base_domains: Vec<&'a str>,
}

/// The file; removed when this is dropped.
pub(super) struct Announced {
    file: PathBuf,
}

impl Drop for Announced {
    fn drop(&mut self) {
        // A file left behind names a process that is gone; the next start replaces it.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Announces the server. The lines come last: whoever waits for them finds the file.
pub(super) fn announce(facts: &ServerFacts, fingerprint: &str) -> io::Result<Announced> {
    let content = ServerFile {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        ssh: &facts.ssh,
        http: &facts.http,
        base_domains: facts.base_domains.iter().map(|name| name.as_str()).collect(),
    };
    let file = facts.data_dir.join("run/server.json");
    replace(&file, &serde_json::to_vec(&content)?)?;
    notify_systemd();
    let mut lines = format!("mini {} is ready\n", env!("CARGO_PKG_VERSION"));
    for address in &facts.ssh {
        lines.push_str(&format!("  ssh   {address}  host key {fingerprint}\n"));
    }
    for address in &facts.http {
        lines.push_str(&format!("  http  {address}\n"));
    }
    let port = facts.http.first().map(SocketAddr::port).filter(|port| *port != 80);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    for base in &facts.base_domains {
        lines.push_str(&format!("  apps  http://<app>.{base}{port}\n"));
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines.as_bytes())?;
    stdout.flush()?;
    Ok(Announced { file })
}

fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("json.new");
    std::fs::write(&beside, content)?;
    std::fs::rename(&beside, file)
}

/// sd_notify(3): one datagram to the socket systemd names; nothing where it names none.
fn notify_systemd() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        let address = match path.as_bytes() {
            [b'@', name @ ..] => std::os::unix::net::SocketAddr::from_abstract_name(name)?,
            _ => std::os::unix::net::SocketAddr::from_pathname(&path)?,
        };
        socket.send_to_addr(b"READY=1", &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd could not be told that mini is ready");
    }
}
