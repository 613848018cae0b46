//! Asks an upstream that cannot be reached whether it can again, so that it comes back soon.
//!
//! One task for each such upstream, on the thread that found it so. It only connects; whether the upstream is
//! well again is for the request to say that tries it then. Upstreams that are well are not asked.

use crate::pool::LocalUpstream;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Begins to probe an upstream, unless that is under way.
pub(crate) fn start(upstream: &Rc<LocalUpstream>) {
    if !upstream.health.begin_probing() {
        return;
    }
    let probing = Probing(Rc::clone(upstream));
    spawn_local(async move { probing.run().await });
}

struct Probing(Rc<LocalUpstream>);

impl Probing {
    async fn run(&self) {
        let upstream = &self.0;
        let mut pause = FIRST_PAUSE;
        while upstream.health.is_unreachable() && !upstream.is_retired() {
            let again = (pause + ATTEMPT) * 2;
            // Until it has been reached, no request is made to try it.
            upstream.health.due_at(upstream.now_ms() + millis(again));
            sleep(pause).await;
            let attempt = timeout(ATTEMPT, TcpStream::connect(upstream.upstream.address)).await;
            if matches!(attempt, Ok(Ok(_))) {
                upstream.health.due_at(upstream.now_ms());
                upstream.announce_revived();
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.health.end_probing();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
