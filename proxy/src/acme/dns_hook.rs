//! DNS-01 by a program that sets the record (RFC 8555 section 8.4).

use super::settings::DnsHook;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How much is kept of what the program says on stderr.
const MAX_STDERR_BYTES: usize = 2048;

/// Why the program did not set or remove a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("the DNS hook {program} cannot be started")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("the DNS hook did not end within {} s and was killed{said}", .limit.as_secs())]
    TooSlow { limit: Duration, said: Said },
    #[error("the DNS hook failed ({status}){said}")]
    Failed { status: ExitStatus, said: Said },
}

/// What the program said, if anything, to be put behind a sentence.
#[derive(Debug)]
pub(crate) struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            said => write!(f, ": {said}"),
        }
    }
}

/// Removals that go on in the background.
#[derive(Debug, Default)]
pub(crate) struct Removals(Mutex<Vec<JoinHandle<()>>>);

impl Removals {
    /// Waits until those begun so far have ended.
    pub(crate) async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await;
        }
    }

    fn begin(&self, removal: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain(|task| !task.is_finished());
            tasks.push(runtime.spawn(removal));
        }
    }
}

/// A record that was set.
///
/// To be ended with [`Record::remove`]; one that is dropped is removed in the background.
#[derive(Debug)]
#[must_use]
pub(crate) struct Record {
    hook: DnsHook,
    removals: Arc<Removals>,
    name: String,
    value: String,
    is_set: bool,
}

impl Record {
    /// Sets the TXT record that proves `domain`, and waits until the program says it can be seen.
    pub(crate) async fn set(
        hook: &DnsHook,
        removals: &Arc<Removals>,
        domain: &str,
        value: String,
    ) -> Result<Record, HookError> {
        // Made first: a program that was cut short may have set the record all the same.
        let record = Record {
            hook: hook.clone(),
            removals: Arc::clone(removals),
            name: format!("_acme-challenge.{domain}"),
            value,
            is_set: true,
        };
        record.call("present").await?;
        Ok(record)
    }

    /// Removes it. A failure only leaves a record that proves nothing to anybody, so it is logged.
    pub(crate) async fn remove(mut self) {
        self.is_set = false;
        self.clean().await;
    }

    async fn clean(&self) {
        if let Err(error) = self.call("cleanup").await {
            tracing::warn!(record = %self.name, %error, "a DNS record was not removed");
        }
    }

    async fn call(&self, verb: &str) -> Result<(), HookError> {
        let DnsHook {
            program,
            time_limit,
        } = &self.hook;
        let child = command(program, verb, &self.name, &self.value)
            .spawn()
            .map_err(|source| HookError::Start {
                program: program.display().to_string(),
                source,
            })?;
        let mut running = Running(child);
        let mut said = Vec::new();
        let stderr = running.0.stderr.take();
        let ended = tokio::time::timeout(*time_limit, async {
            if let Some(stderr) = stderr {
                read_stderr(stderr, &mut said).await;
            }
            running.0.wait().await
        });
        let ended = ended.await;
        let said = Said(text(&said));
        match ended {
            Err(_) => Err(HookError::TooSlow {
                limit: *time_limit,
                said,
            }),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(HookError::Failed { status, said }),
            Ok(Err(source)) => Err(HookError::Start {
                program: program.display().to_string(),
                source,
            }),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_set {
            return;
        }
        self.is_set = false;
        let record = Record {
            hook: self.hook.clone(),
            removals: Arc::clone(&self.removals),
            name: self.name.clone(),
            value: self.value.clone(),
            is_set: false,
        };
        self.removals.begin(async move { record.clean().await });
    }
}

/// A program with all it has started, which are killed together when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Without an id it has ended, and its number may be another's by now.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

fn command(program: &Path, verb: &str, name: &str, value: &str) -> Command {
    let mut command = Command::new(program);
    command.args([verb, name, value]);
    command.env_clear();
    for kept in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::null());
    command.stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command
}

/// Reads to the end, so that the program never waits for us, and keeps the last part.
async fn read_stderr(mut stderr: impl AsyncRead + Unpin, said: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        said.extend(buffer.iter().take(count));
        let excess = said.len().saturating_sub(MAX_STDERR_BYTES);
        said.drain(..excess);
    }
}

/// One line of printable text.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut line = lines.join(" ").trim().to_owned();
    line.retain(|c| !c.is_control());
    line
}

#[cfg(test)]
mod tests;
