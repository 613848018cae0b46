//! A certificate authority for tests: `pebble` with its DNS server, both of Debian's package `pebble`, on ports that are
//! free. Also used by the end-to-end tests of mini.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Starting takes well under a second; a machine that is busy gets more.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority that validates on ports of this machine.
pub(crate) struct Pebble {
    /// Where its directory is.
    pub(crate) directory: String,
    /// The file with the root of its own HTTPS.
    pub(crate) roots: PathBuf,
    /// Its DNS server.
    pub(crate) dns: SocketAddr,
    /// Where records of its DNS server are changed.
    pub(crate) dns_management: SocketAddr,
    management: SocketAddr,
    folder: tempfile::TempDir,
    authority: Option<Server>,
    _dns_server: Server,
}

/// How an authority behaves.
pub(crate) struct Pebbled {
    /// Where it validates HTTP-01 and TLS-ALPN-01.
    pub(crate) http_port: u16,
    pub(crate) tls_port: u16,
    /// How long its certificates are valid.
    pub(crate) validity: Duration,
    /// Of a hundred good nonces, so many are refused.
    pub(crate) refused_nonces: u8,
    /// Key id and key of the one account that others have to be bound to, if they have to.
    pub(crate) binding: Option<(&'static str, &'static str)>,
}

impl Pebbled {
    pub(crate) fn validating(http_port: u16, tls_port: u16) -> Pebbled {
        Pebbled {
            http_port,
            tls_port,
            validity: Duration::from_secs(90 * 24 * 60 * 60),
            refused_nonces: 5,
            binding: None,
        }
    }

    pub(crate) fn start(&self) -> Pebble {
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("https.pem");
        let own = mini_proxy::Certificate::self_signed(
            &["localhost"],
            SystemTime::now(),
            Duration::from_secs(24 * 60 * 60),
        )
        .unwrap();
        std::fs::write(&roots, own.chain_pem).unwrap();
        let key = folder.path().join("https.key");
        std::fs::write(&key, own.key_pem).unwrap();
        // Neither program says which port it was given, so ports are looked for; others may be quicker.
        for _ in 0..5 {
            let [dns, dns_management, own, management] = free_ports();
            let challtestsrv = start_dns(dns, dns_management);
            let config = folder.path().join("pebble.json");
            let text = self.config(&roots, &key, own, management);
            std::fs::write(&config, text).unwrap();
            let pebble = self.start_authority(&config, dns, &[own, management]);
            if let (Some(challtestsrv), Some(pebble)) = (challtestsrv, pebble) {
                return Pebble {
                    directory: format!("https://localhost:{}/dir", own.port()),
                    roots,
                    dns,
                    dns_management,
                    management,
                    folder,
                    authority: Some(pebble),
                    _dns_server: challtestsrv,
                };
            }
        }
        panic!("pebble did not start; is Debian's package `pebble` installed?");
    }

    fn config(
        &self,
        certificate: &Path,
        key: &Path,
        own: SocketAddr,
        management: SocketAddr,
    ) -> String {
        let (required, keys) = match self.binding {
            None => (false, String::new()),
            Some((id, key)) => (true, format!("\"{id}\": \"{key}\"")),
        };
        format!(
            r#"{{"pebble": {{
                "listenAddress": "{own}",
                "managementListenAddress": "{management}",
                "certificate": "{}",
                "privateKey": "{}",
                "httpPort": {},
                "tlsPort": {},
                "ocspResponderURL": "",
                "certificateValidityPeriod": {},
                "externalAccountBindingRequired": {required},
                "externalAccountMACKeys": {{{keys}}},
                "domainBlocklist": ["blocked.test"]
            }}}}"#,
            certificate.display(),
            key.display(),
            self.http_port,
            self.tls_port,
            self.validity.as_secs(),
        )
    }

    fn start_authority(
        &self,
        config: &Path,
        dns: SocketAddr,
        listens: &[SocketAddr],
    ) -> Option<Server> {
        let mut command = Command::new("pebble");
        command.arg("-config").arg(config);
        command.args(["-dnsserver", &dns.to_string()]);
        command.env("PEBBLE_VA_NOSLEEP", "1");
        command.env("PEBBLE_WFE_NONCEREJECT", self.refused_nonces.to_string());
        // Each order is to be proved, as tests are about that.
        command.env("PEBBLE_AUTHZREUSE", "0");
        Server::start(command, "ACME directory available at", listens)
    }
}

impl Pebble {
    /// Lets a name point to this address, in place of 127.0.0.1, where all names point.
    pub(crate) fn point(&self, name: &str, address: &str) {
        let body = format!(r#"{{"host": "{name}.", "addresses": ["{address}"]}}"#);
        self.post("/add-a", &body);
    }

    /// Ends the authority, for good; its DNS server goes on.
    pub(crate) fn stop(&mut self) {
        self.authority = None;
    }

    /// Takes back [`Pebble::point`].
    pub(crate) fn point_here(&self, name: &str) {
        self.post("/clear-a", &format!(r#"{{"host": "{name}."}}"#));
    }

    fn post(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect(self.dns_management).unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }

    /// The file with the root that the certificates it issues lead to.
    pub(crate) fn issuing_root(&self) -> PathBuf {
        let path = self.folder.path().join("issuing.pem");
        let fetched = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--cacert"])
            .arg(&self.roots)
            .arg("--output")
            .arg(&path)
            .arg(format!(
                "https://localhost:{}/roots/0",
                self.management.port()
            ))
            .status()
            .unwrap();
        assert!(fetched.success());
        path
    }

    /// Writes a DNS hook that sets records of its DNS server, and notes each call in the file beside it.
    pub(crate) fn dns_hook(&self) -> (PathBuf, PathBuf) {
        let (hook, log) = (
            self.folder.path().join("hook"),
            self.folder.path().join("hook.log"),
        );
        let script = format!(
            r#"#!/bin/sh
set -eu
case $1 in present) call=set-txt ;; cleanup) call=clear-txt ;; esac
curl --silent --show-error --fail --data "{{\"host\": \"$2.\", \"value\": \"$3\"}}" http://{}/$call
echo "$1 $2" >> "{}"
"#,
            self.dns_management,
            log.display()
        );
        std::fs::write(&hook, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&hook, mode).unwrap();
        (hook, log)
    }
}

fn start_dns(dns: SocketAddr, management: SocketAddr) -> Option<Server> {
    let mut command = Command::new("pebble-challtestsrv");
    command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
    command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
    command.args(["-dns01", &dns.to_string()]);
    command.args(["-management", &management.to_string()]);
    Server::start(command, "Starting management server", &[management])
}

/// Ports that were free a moment ago, for TCP and UDP.
fn free_ports() -> [SocketAddr; 4] {
    let mut held = Vec::new();
    [(); 4].map(|()| {
        loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = tcp.local_addr().unwrap();
            let udp = UdpSocket::bind(address);
            held.push((tcp, udp.ok()));
            if held.last().unwrap().1.is_some() {
                return address;
            }
        }
    })
}

/// A program that serves, ended when this is dropped.
struct Server(Child);

impl Server {
    /// Starts it and waits until it has printed this and then listens; `None` if it ends before, as it does where
    /// another has been quicker to take a port.
    fn start(mut command: Command, ready: &str, listens: &[SocketAddr]) -> Option<Server> {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(Stdio::piped()).process_group(0);
        let child = command.spawn().ok()?;
        let mut server = Server(child);
        let mut output = BufReader::new(server.0.stdout.take()?);
        let mut line = String::new();
        while !line.contains(ready) {
            line.clear();
            if output.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        // It would stop at a full pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        // Both programs say so before they do so.
        let start = std::time::Instant::now();
        for address in listens {
            while TcpStream::connect(address).is_err() {
                if start.elapsed() > PATIENCE || !matches!(server.0.try_wait(), Ok(None)) {
                    return None;
                }
                std::thread::yield_now();
            }
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
