//! Steady requests while something else goes on, and a count of those that failed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{Answer, Connection};
use crate::wait::wait_until;

/// Threads.
const THREADS: u32 = 8;
/// Requests per second, all threads together.
const RATE: u32 = 200;
/// Between two requests of one thread.
const INTERVAL: Duration = Duration::from_millis(1000 * THREADS as u64 / RATE as u64);

/// How many threads keep their connection; the others open one per request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Half,
    None,
}

/// Requests that go on until they are stopped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    answered: AtomicUsize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    failures: Vec<String>,
    bodies: BTreeSet<String>,
}

/// What came of them.
pub(crate) struct Tally {
    pub(crate) requests: usize,
    /// One line for each that got no answer, or another than 200.
    pub(crate) failures: Vec<String>,
    /// The different bodies that were answered.
    pub(crate) bodies: BTreeSet<String>,
}

impl Load {
    /// Begins to ask `host` for `/`, [`RATE`] times per second.
    pub(crate) fn start(address: SocketAddr, host: &str, kept: Kept) -> Self {
        let shared = Arc::new(Shared::default());
        let begun = Instant::now();
        let threads = (0..THREADS)
            .map(|number| {
                let (shared, host) = (shared.clone(), host.to_owned());
                let is_kept_alive = kept == Kept::Half && number.is_multiple_of(2);
                let next = begun + INTERVAL * number / THREADS;
                std::thread::spawn(move || ask(&shared, address, &host, is_kept_alive, next))
            })
            .collect();
        Self { shared, threads }
    }

    /// Waits until `count` more requests were answered, so that what is measured has surely gone on under load.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let answered = || self.shared.answered.load(Ordering::Relaxed);
        let goal = answered() + count;
        wait_until(&format!("{count} requests"), || answered() >= goal);
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Tally {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a thread of the load does not panic");
        }
        let mut seen = self
            .shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let seen = std::mem::take(&mut *seen);
        Tally {
            requests: self.shared.answered.load(Ordering::Relaxed),
            failures: seen.failures,
            bodies: seen.bodies,
        }
    }
}

impl Tally {
    /// Not one request may have failed.
    #[track_caller]
    pub(crate) fn has_no_failure(&self) {
        let shown: Vec<&String> = self.failures.iter().take(10).collect();
        assert!(
            self.failures.is_empty(),
            "{} of {} requests failed:\n{shown:#?}",
            self.failures.len(),
            self.requests
        );
    }
}

fn ask(shared: &Shared, address: SocketAddr, host: &str, is_kept_alive: bool, mut next: Instant) {
    let begun = Instant::now();
    let mut kept = None;
    while !shared.is_over.load(Ordering::Relaxed) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // One that is late does not make up for it in a burst.
        next = (next + INTERVAL).max(Instant::now());
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(address),
        };
        let more = if is_kept_alive {
            ""
        } else {
            "connection: close\r\n"
        };
        let answered = connection.and_then(|mut connection| {
            let answer = connection.get(host, "/", more)?;
            let is_closed = answer
                .headers
                .get("connection")
                .is_some_and(|value| value == "close");
            if is_kept_alive && !is_closed {
                kept = Some(connection);
            }
            Ok(answer)
        });
        note(shared, answered, begun.elapsed(), is_kept_alive);
    }
}

fn note(shared: &Shared, answered: std::io::Result<Answer>, at: Duration, is_kept_alive: bool) {
    let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let connection = if is_kept_alive { "kept" } else { "new" };
    match answered {
        Ok(answer) if answer.status == 200 => {
            seen.bodies.insert(answer.body);
        }
        Ok(answer) => seen.failures.push(format!(
            "at {at:?}, {connection} connection: {} {}",
            answer.status, answer.body
        )),
        Err(error) => seen
            .failures
            .push(format!("at {at:?}, {connection} connection: {error}")),
    }
    shared.answered.fetch_add(1, Ordering::Relaxed);
}
