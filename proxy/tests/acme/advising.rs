//! An authority that says when to renew (RFC 9773), which Debian's pebble does not: its directory, that one answer, and
//! 404 for everything else. A proxy of ours speaks TLS before it.

use mini_proxy::acme::KeptAccount;
use mini_proxy::{
    Certificate, Certificates, Listeners, Proxy, ProxySettings, RouteTable, Service, Upstream,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

/// An account as instant-acme writes it; the key is one of its own tests.
const CREDENTIALS: &str = r#"{"id":"https://localhost/account/1","key_pkcs8":"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJVWC_QzOTCS5vtsJp2IG-UDc8cdDfeoKtxSZxaznM-mhRANCAAQenCPoGgPFTdPJ7VLLKt56RxPlYT1wNXnHc54PEyBg3LxKaH0-sJkX0mL8LyPEdsfL_Oz4TxHkWLJGrXVtNhfH","directory":"DIRECTORY"}"#;

pub(crate) struct Advising {
    pub(crate) directory: String,
    pub(crate) roots: PathBuf,
    _folder: tempfile::TempDir,
    _proxy: Proxy,
}

impl Advising {
    /// One that advises this window, as RFC 3339 times, for any certificate.
    pub(crate) async fn start(start: &'static str, end: &'static str) -> Advising {
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 1)
            .unwrap()
            .tls();
        let directory = format!("https://localhost:{}", listeners.local_address().port());
        let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream {
            id: "authority".into(),
            address: behind.local_addr().unwrap(),
        };
        let base = directory.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = behind.accept().await {
                tokio::spawn(answer(stream, base.clone(), start, end));
            }
        });
        let settings = ProxySettings {
            threads: 1,
            ..ProxySettings::default()
        };
        let proxy = Proxy::start(vec![listeners], settings).unwrap();
        let own = Certificate::self_signed(
            &["localhost"],
            SystemTime::now(),
            Duration::from_secs(24 * 60 * 60),
        )
        .unwrap();
        let mut certificates = Certificates::default();
        certificates.insert("localhost", Arc::new(own.certificate));
        proxy.handle().set_certificates(certificates);
        let mut table = RouteTable::default();
        let service = Service::serving("authority", [upstream]);
        table.insert("localhost".parse().unwrap(), service.into());
        proxy.handle().set_table(table);
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("https.pem");
        std::fs::write(&roots, own.chain_pem).unwrap();
        Advising {
            directory,
            roots,
            _folder: folder,
            _proxy: proxy,
        }
    }

    /// An account that is there already.
    pub(crate) fn account(&self) -> KeptAccount {
        KeptAccount {
            email: "ops@example.com".to_owned(),
            credentials: Zeroizing::new(CREDENTIALS.replace("DIRECTORY", &self.directory)),
        }
    }
}

async fn answer(stream: TcpStream, base: String, start: &str, end: &str) {
    let mut stream = BufReader::new(stream);
    let mut path = String::new();
    let mut line = String::new();
    while stream
        .read_line(&mut line)
        .await
        .is_ok_and(|bytes| bytes > 2)
    {
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        line.clear();
    }
    let (status, more, body) = match path.as_str() {
        "/" => (
            "200 OK",
            "",
            format!(
                r#"{{"newNonce": "{base}/nonce", "newAccount": "{base}/account", "newOrder": "{base}/order", "renewalInfo": "{base}/renewal"}}"#
            ),
        ),
        "/renewal/aki.serial" => (
            "200 OK",
            "Retry-After: 21600\r\n",
            format!(r#"{{"suggestedWindow": {{"start": "{start}", "end": "{end}"}}}}"#),
        ),
        _ => ("404 Not Found", "", "<html>".to_owned()),
    };
    let kind = if body.starts_with('{') {
        "application/json"
    } else {
        "text/html"
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{more}Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}
