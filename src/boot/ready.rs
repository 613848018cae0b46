//! Telling the world that the server is ready, and where it is.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::commands::ServerFacts;
use crate::store::NewFile;

/// `<data_dir>/run/server.json`: where the server is, for scripts. Removed when this is dropped, unless it was left.
pub(super) struct ServerFile {
    path: PathBuf,
    is_left: bool,
}

impl ServerFile {
    /// Writes it.
    pub(super) fn write(facts: &ServerFacts) -> io::Result<ServerFile> {
        let folder = facts.data_dir.join("run");
        let content = json!({
            "pid": std::process::id(),
            "version": crate::VERSION,
            "ssh": facts.ssh,
            "http": facts.http,
            "metrics": facts.metrics,
            "https": facts.https,
            "base_domains": facts.base_domains,
            "urls": urls(facts),
            "started_at": facts.started_at,
        });
        let path = folder.join("server.json");
        let mut file = NewFile::begin(&path)?;
        // Scripts of others than the server's user read it, where they may look into the folder.
        file.file().set_permissions(Permissions::from_mode(0o644))?;
        writeln!(file, "{content}")?;
        file.finish()?;
        Ok(ServerFile {
            path,
            is_left: false,
        })
    }

    /// Leaves it to the next server to replace.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
    }
}

impl Drop for ServerFile {
    fn drop(&mut self) {
        if !self.is_left {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The lines on standard output.
pub(super) fn lines(facts: &ServerFacts) -> String {
    let mut text = format!("mini {} is ready\n", crate::VERSION);
    let listening = [
        ("ssh", &facts.ssh),
        ("http", &facts.http),
        ("https", &facts.https),
        ("metrics", &facts.metrics),
    ];
    for (name, addresses) in listening {
        for address in addresses {
            text.push_str(&format!("{name:<5} {address}\n"));
        }
    }
    for url in urls(facts) {
        text.push_str(&format!("apps  {url}\n"));
    }
    text
}

fn urls(facts: &ServerFacts) -> Vec<String> {
    let port = match facts.http.first().map(SocketAddr::port) {
        None | Some(80) => String::new(),
        Some(port) => format!(":{port}"),
    };
    facts
        .base_domains
        .iter()
        .map(|base| format!("http://<app>.{base}{port}"))
        .collect()
}

/// Writes the lines; a standard output that is closed is no reason to stop.
pub(super) fn announce(facts: &ServerFacts) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(lines(facts).as_bytes());
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Timestamp;

    fn facts(data_dir: &Path) -> ServerFacts {
        ServerFacts {
            data_dir: data_dir.to_owned(),
            settings_file: None,
            ssh: vec!["127.0.0.1:2222".parse().unwrap()],
            http: vec![
                "127.0.0.1:8080".parse().unwrap(),
                "[::1]:8080".parse().unwrap(),
            ],
            metrics: vec!["127.0.0.1:9100".parse().unwrap()],
            https: vec!["127.0.0.1:8443".parse().unwrap()],
            base_domains: vec!["localhost".parse().unwrap()],
            certificate_authority: None,
            creates_apps: true,
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_ready_lines_say_where() {
        insta::assert_snapshot!(lines(&facts(Path::new("/x"))).replace(crate::VERSION, "VERSION"), @r"
        mini VERSION is ready
        ssh   127.0.0.1:2222
        http  127.0.0.1:8080
        http  [::1]:8080
        https 127.0.0.1:8443
        metrics 127.0.0.1:9100
        apps  http://<app>.localhost:8080
        ");
    }

    #[test]
    fn the_file_is_there_while_the_server_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let path = folder.path().join("run/server.json");
        let file = ServerFile::write(&facts(folder.path())).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(value["ssh"][0], "127.0.0.1:2222");
        assert_eq!(value["pid"], std::process::id());
        drop(file);
        assert!(!path.exists());
    }
}
