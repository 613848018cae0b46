//! Threads that own the connections to a database file. Callers send them closures and await the answer, so no SQLite
//! call runs on an async thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::StoreError;
use super::changes::Changes;
use super::connection::{self, Durability};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;
type Finish = Box<dyn FnOnce(Connection) + Send>;

/// How many closures wait before senders have to.
const QUEUE: usize = 256;

/// What a transaction is for.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Read,
    Write(Durability),
}

/// One or more threads that take closures from one queue, each with a connection of its own.
pub(super) struct Worker {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    /// What is written, where that is watched.
    changes: Option<Arc<Changes>>,
    /// Errs once every thread has ended.
    ended: watch::Receiver<()>,
}

impl Worker {
    /// Starts a thread for each connection. When the queue is closed and empty, `finish` gets the connection.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: &str,
        seats: Vec<(Connection, Finish)>,
        changes: Option<Arc<Changes>>,
    ) -> io::Result<Worker> {
        let (sender, receiver) = mpsc::channel::<Job>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let (alive, ended) = watch::channel(());
        let alive = Arc::new(alive);
        for (mut connection, finish) in seats {
            let receiver = Arc::clone(&receiver);
            let alive = Arc::clone(&alive);
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    // Whoever waits for a job holds the lock; it is free again before the job begins.
                    let next = || {
                        receiver
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .blocking_recv()
                    };
                    while let Some(job) = next() {
                        // A panic rolls the transaction back as it unwinds, and drops the caller's answer. The other
                        // callers are served on.
                        if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
                            tracing::error!("a database closure panicked");
                        }
                    }
                    finish(connection);
                    drop(alive);
                })?;
        }
        Ok(Worker {
            jobs: Mutex::new(Some(sender)),
            changes,
            ended,
        })
    }

    /// Runs a closure in a transaction that takes the write lock at once, and commits if it returns `Ok`. It runs, and
    /// commits, even when the caller stops waiting. What it wrote, and all that was written before, is on the disk when
    /// this returns.
    ///
    /// # Errors
    /// What the closure returns; `Closed`; a database error of the commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(Mode::Write(Durability::Full), job).await
    }

    /// The same without waiting for the disk: others see what was written, and the end of this process takes nothing
    /// back, but a loss of power may, until a later [`Worker::write`] has returned.
    ///
    /// # Errors
    /// As [`Worker::write`].
    pub(super) async fn write_soon<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(Mode::Write(Durability::Relaxed), job).await
    }

    /// Runs a closure in a read transaction: all its queries see one moment.
    ///
    /// # Errors
    /// What the closure returns; `Closed`.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(Mode::Read, job).await
    }

    async fn transact<T: Send + 'static>(
        &self,
        mode: Mode,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let changes = self.changes.clone();
        let run = move |connection: &mut Connection| {
            let outcome = begin(connection, mode).and_then(|transaction| {
                let value = job(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
            // Before the caller is answered, who may read at once.
            if let Some(changes) = &changes {
                changes.settle();
            }
            // The caller may have gone; what was done is done.
            let _ = answer.send(outcome);
        };
        let sender = self.sender().ok_or(StoreError::Closed)?;
        sender
            .send(Box::new(run))
            .await
            .map_err(|_| StoreError::Closed)?;
        drop(sender);
        answered.await.map_err(|_| StoreError::Closed)?
    }

    fn sender(&self) -> Option<mpsc::Sender<Job>> {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes no more closures, and returns when those that wait are done and every connection is closed.
    pub(super) async fn close(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let mut ended = self.ended.clone();
        // Nothing is ever sent: this resolves when the last thread drops its end.
        while ended.changed().await.is_ok() {}
    }
}

fn begin(connection: &mut Connection, mode: Mode) -> Result<Transaction<'_>, StoreError> {
    let behavior = match mode {
        Mode::Read => TransactionBehavior::Deferred,
        Mode::Write(durability) => {
            // Each time, so that no write depends on how the one before it ended.
            connection::set_durability(connection, durability)?;
            TransactionBehavior::Immediate
        }
    };
    Ok(connection.transaction_with_behavior(behavior)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(folder: &std::path::Path) -> Worker {
        let path = folder.join("test.db");
        let connection = connection::open_writer(&path, Durability::Full).unwrap();
        let finish: Finish = Box::new(drop);
        Worker::start("test", vec![(connection, finish)], None).unwrap()
    }

    /// 1 is NORMAL and 2 is FULL (<https://sqlite.org/pragma.html#pragma_synchronous>).
    fn synchronous(tx: &Transaction<'_>) -> Result<i64, StoreError> {
        Ok(tx.pragma_query_value(None, "synchronous", |row| row.get(0))?)
    }

    #[tokio::test]
    async fn only_what_is_written_soon_does_not_wait_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let worker = worker(folder.path());
        assert_eq!(worker.write_soon(synchronous).await.unwrap(), 1);
        assert_eq!(worker.write(synchronous).await.unwrap(), 2);
        let panics = worker.write_soon::<()>(|_| panic!("a test of panics"));
        assert!(matches!(panics.await, Err(StoreError::Closed)));
        assert_eq!(worker.write(synchronous).await.unwrap(), 2);
    }
}
