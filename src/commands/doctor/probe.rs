//! Whether an address that is none of this machine leads here all the same, as behind a router: it is asked for what only this
//! server knows.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use mini_proxy::{HttpChallenges, ProxyHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ours is shorter; another server's answer may be anything.
const MOST_BYTES: u64 = 4096;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Us,
    Another,
    /// Also a router that does not lead its own public address back inside.
    Nobody,
}

/// A path that this server alone answers, and its answer. The same for the life of the process.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    token: String,
    answer: String,
    port: u16,
}

impl Probe {
    /// Has the proxy answer it, at `port` of the outside. `None` without random numbers. The answers to challenges are replaced as
    /// a whole, so this is not for a server that orders certificates; there each name's order says where it leads.
    pub(super) fn show(proxy: &ProxyHandle, port: u16) -> Option<Probe> {
        static OURS: OnceLock<Option<(String, String)>> = OnceLock::new();
        let random = || {
            let number = getrandom::u64().ok()?;
            Some(format!("mini-doctor-{number:016x}"))
        };
        let (token, answer) = OURS.get_or_init(|| random().zip(random())).clone()?;
        let mut shown = HttpChallenges::clone(&proxy.http_challenges());
        if shown.insert(token.clone(), answer.clone()).is_none() {
            proxy.set_http_challenges(shown);
        }
        Some(Probe {
            token,
            answer,
            port,
        })
    }

    /// Asks the addresses of a name, in their order, until one is connected.
    pub(super) async fn ask(&self, name: &str, addresses: &[IpAddr]) -> Answer {
        for address in addresses {
            let connecting = TcpStream::connect(SocketAddr::new(*address, self.port));
            let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, connecting).await else {
                continue;
            };
            return match tokio::time::timeout(PATIENCE, self.said(name, stream)).await {
                Ok(Ok(text)) if text.ends_with(self.answer.as_bytes()) => Answer::Us,
                _ => Answer::Another,
            };
        }
        Answer::Nobody
    }

    async fn said(&self, name: &str, mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
        let request = format!(
            "GET /.well-known/acme-challenge/{} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n",
            self.token
        );
        stream.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        stream.take(MOST_BYTES).read_to_end(&mut text).await?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn check(says: Option<&'static str>, expected: Answer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe = Probe {
            token: "token".to_owned(),
            answer: "ours".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let server = async {
            let Some(says) = says else {
                drop(listener);
                return;
            };
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(
                request.starts_with(
                    "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: shop.test\r\n"
                ),
                "{request}"
            );
            stream.write_all(says.as_bytes()).await.unwrap();
        };
        let addresses = [IpAddr::from([127, 0, 0, 1])];
        let (answer, ()) = match says {
            Some(_) => tokio::join!(probe.ask("shop.test", &addresses), server),
            None => {
                server.await;
                (probe.ask("shop.test", &addresses).await, ())
            }
        };
        assert_eq!(answer, expected, "{says:?}");
    }

    #[tokio::test]
    async fn only_our_own_answer_is_ours() {
        check(Some("HTTP/1.1 200 OK\r\n\r\nours"), Answer::Us).await;
        check(Some("HTTP/1.1 404 Not Found\r\n\r\n"), Answer::Another).await;
        check(Some(""), Answer::Another).await;
        check(None, Answer::Nobody).await;
    }
}
