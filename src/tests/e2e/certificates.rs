//! HTTPS with certificates of the owner's own, asked by a real `curl` that trusts a test authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http;
use crate::process::{Ran, run};
use crate::repository::Repository;
use crate::server::Server;

/// `CURLE_SSL_CONNECT_ERROR`: the handshake was refused.
const HANDSHAKE_REFUSED: i32 = 35;
/// `CURLE_PEER_FAILED_VERIFICATION`: the certificate is none this client trusts for the host.
const NOT_TRUSTED: i32 = 60;

/// A certificate authority in a folder.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(server: &Server) -> Self {
        let folder = server.scratch().join("authority");
        fs::create_dir(&folder).unwrap();
        let authority = Self { folder };
        authority.openssl(&[
            "-x509",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-subj",
            "/CN=A test authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign",
        ]);
        authority
    }

    /// Issues `NAME.crt` and `NAME.key` for some hosts.
    fn issue(&self, name: &str, hosts: &[&str]) {
        let names: Vec<String> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
        self.openssl(&[
            "-x509",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
            "-subj",
            &format!("/CN={}", hosts[0]),
            "-addext",
            &format!("subjectAltName={}", names.join(",")),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
    }

    fn openssl(&self, words: &[&str]) {
        run(Command::new("openssl")
            .current_dir(&self.folder)
            .args([
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(words))
        .succeeds();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What `tar c NAME.crt NAME.key` writes.
    fn archive(&self, name: &str) -> Vec<u8> {
        let output = Command::new("tar")
            .arg("c")
            .arg("-C")
            .arg(&self.folder)
            .args([format!("{name}.crt"), format!("{name}.key")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// Asks a host over HTTPS, trusting this authority only.
    fn asks(&self, server: &Server, host: &str) -> Ran {
        curl(server, host, &self.path("ca.crt"))
    }
}

/// The body, then the status and the version of HTTP.
fn curl(server: &Server, host: &str, authority: &Path) -> Ran {
    let port = server.https().port();
    run(Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
        .arg(authority)
        .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
        .args(["--write-out", "%{http_code} %{http_version}"])
        .arg(format!("https://{host}:{port}/")))
}

#[test]
fn a_certificate_of_its_own_serves_an_app_over_https_until_it_is_removed() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "shop", "one");
    server.ssh(&["apps:create", "other"]).succeeds();
    server
        .ssh(&["domains:add", "shop", "www.example.com"])
        .succeeds();
    server
        .ssh(&["domains:add", "other", "b.example.com"])
        .succeeds();
    let authority = Authority::new(&server);
    // The certificate covers the domain of another app as well.
    authority.issue("server", &["www.example.com", "*.example.com"]);
    authority.issue("stranger", &["www.example.com"]);
    authority
        .asks(&server, "www.example.com")
        .ends_with(HANDSHAKE_REFUSED);

    let added = server.ssh_with_input(&["certs:add", "shop"], &authority.archive("server"));
    added
        .says(&["www.example.com is served with it"])
        .says_not("b.example.com is served")
        .succeeds();
    let https = format!("https://www.example.com:{}", server.https().port());
    let answer = authority.asks(&server, "www.example.com");
    assert_eq!(answer.succeeds(), "version one\n200 2");
    for refused in [
        "b.example.com",
        "nobody.example.com",
        "shop.localhost",
        "other.localhost",
    ] {
        authority
            .asks(&server, refused)
            .ends_with(HANDSHAKE_REFUSED);
    }

    // HTTP goes to HTTPS where there is a certificate, and serves where there is none.
    let plain = http::get(server.http(), "www.example.com", "/a?b=c").unwrap();
    assert_eq!(plain.status, 308);
    assert_eq!(plain.headers["location"], format!("{https}/a?b=c"));
    assert_eq!(server.body("shop", "/"), "version one\n");
    let local = format!("http://shop.localhost:{}", server.http().port());
    assert_eq!(
        server.ssh(&["url", "shop"]).succeeds(),
        format!("{https}\n")
    );
    assert_eq!(
        server.ssh(&["urls", "shop"]).succeeds(),
        format!("{https}\n{local}\n")
    );
    repository.set_version("two");
    repository.push().says(&[&https]).succeeds();
    let report = server.json(&["certs:report", "shop"]);
    assert_eq!(report["ssl-origin"], "custom");
    assert_eq!(report["ssl-self-signed"], "false");
    assert_eq!(report["ssl-issuer"], "CN=A test authority");
    assert_eq!(report["ssl-served-hostnames"], "www.example.com");

    // Both are served where the redirect is off, and the plain address is the one to show.
    let redirect = |value: &str| {
        let words = ["proxy:set", "shop", "https-redirect", value];
        server.ssh(&words).succeeds();
        let status = http::get(server.http(), "www.example.com", "/")
            .unwrap()
            .status;
        let url = server.ssh(&["url", "shop"]).succeeds().to_owned();
        (status, url.starts_with("https://"))
    };
    assert_eq!(redirect("off"), (200, false));
    assert_eq!(redirect("on"), (308, true));

    // What is refused changes nothing, and neither does a new start.
    fs::copy(authority.path("stranger.key"), authority.path("mixed.key")).unwrap();
    fs::copy(authority.path("server.crt"), authority.path("mixed.crt")).unwrap();
    let mixed = server.ssh_with_input(&["certs:add", "shop"], &authority.archive("mixed"));
    mixed
        .ends_with(1)
        .says(&["the private key does not belong to the certificate"]);
    server.stop();
    server.launch();
    let answer = authority.asks(&server, "www.example.com");
    assert_eq!(answer.succeeds(), "version two\n200 2");

    server.ssh(&["certs:remove", "shop"]).succeeds();
    authority
        .asks(&server, "www.example.com")
        .ends_with(HANDSHAKE_REFUSED);
    let plain = http::get(server.http(), "www.example.com", "/").unwrap();
    assert_eq!((plain.status, plain.body.as_str()), (200, "version two\n"));
}

#[test]
fn the_program_takes_two_files_and_ssh_does_not() {
    let server = Server::start();
    let authority = Authority::new(&server);
    authority.issue("server", &["shop.localhost"]);
    server.ssh(&["apps:create", "shop"]).succeeds();
    let (certificate, key) = (authority.path("server.crt"), authority.path("server.key"));
    let words = [
        "certs:add",
        "shop",
        certificate.to_str().unwrap(),
        key.to_str().unwrap(),
    ];
    server
        .ssh(&words)
        .ends_with(1)
        .says(&["The server does not read files by name"]);
    authority
        .asks(&server, "shop.localhost")
        .ends_with(HANDSHAKE_REFUSED);
    let missing = ["certs:add", "shop", "/no/such.crt", "/no/such.key"];
    server
        .mini(&missing)
        .ends_with(1)
        .says(&["/no/such.crt cannot be read"]);

    server
        .mini(&words)
        .says(&["shop.localhost is served with it"])
        .succeeds();
    // Nothing is deployed, and that is what is said, over HTTPS.
    authority
        .asks(&server, "shop.localhost")
        .says(&["502"])
        .succeeds();
    server
        .mini(&["certs:show", "shop", "key"])
        .says(&["PRIVATE KEY"])
        .succeeds();

    // A certificate that nobody signed.
    server.mini(&["certs:remove", "shop"]).succeeds();
    server
        .ssh(&["certs:generate", "shop", "shop.localhost"])
        .succeeds();
    authority
        .asks(&server, "shop.localhost")
        .ends_with(NOT_TRUSTED);
    let own = server.scratch().join("own.crt");
    fs::write(&own, server.ssh(&["certs:show", "shop", "crt"]).succeeds()).unwrap();
    curl(&server, "shop.localhost", &own)
        .says(&["502"])
        .succeeds();

    // No key lies in the open.
    let key = server.ssh(&["certs:show", "shop", "key"]);
    let line = key.succeeds().lines().nth(1).unwrap().as_bytes().to_vec();
    server.stop();
    let database = fs::read(server.data_dir().join("mini.db")).unwrap();
    assert!(!database.windows(line.len()).any(|window| window == line));
    assert!(!server.log().contains("PRIVATE KEY"));
}
