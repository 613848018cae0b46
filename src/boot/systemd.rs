//! What systemd is told (sd_notify(3)), where it started the server. Everywhere else this does nothing.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Whether systemd listens to this process.
pub(super) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The server serves.
pub(super) fn ready() {
    notify("READY=1");
}

/// The server has begun to stop.
pub(super) fn stopping() {
    notify("STOPPING=1");
}

/// A line that `systemctl status` shows.
pub(super) fn status(line: &str) {
    notify(&format!("STATUS={line}"));
}

/// Another server takes over, so the next word is to be awaited.
pub(super) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// Which process is the server from now on. Said by the one systemd trusts so far, and before the other one has said that it
/// is ready.
pub(super) fn successor(pid: Option<i32>) {
    match pid {
        Some(pid) => notify(&format!("MAINPID={pid}\nREADY=1")),
        None => {
            tracing::warn!("the process id of the new server is not known, systemd is not told")
        }
    }
}

/// Says again and again that this process is alive, if the unit has a `WatchdogSec=` (sd_watchdog_enabled(3)). Never returns.
///
/// It runs on the threads that answer SSH and the API: if those hang, systemd hears nothing and starts the server anew.
pub(super) async fn keep_watchdog() {
    let variable = |name| std::env::var_os(name);
    let Some(pause) = watchdog_pause(
        variable("WATCHDOG_USEC").as_deref(),
        variable("WATCHDOG_PID").as_deref(),
        std::process::id(),
    ) else {
        return std::future::pending().await;
    };
    let mut beat = interval(pause);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        notify("WATCHDOG=1");
    }
}

/// Half of what systemd allows, as its manual advises. `None` where it does not watch this process.
fn watchdog_pause(usec: Option<&OsStr>, pid: Option<&OsStr>, own_pid: u32) -> Option<Duration> {
    let usec: u64 = usec?.to_str()?.parse().ok()?;
    if pid.is_some_and(|pid| pid.to_str() != Some(own_pid.to_string().as_str())) {
        return None;
    }
    let half = Duration::from_micros(usec / 2);
    (!half.is_zero()).then_some(half)
}

fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = address(Path::new(&path)).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd could not be told that the server is {state}");
    }
}

fn address(path: &Path) -> io::Result<SocketAddr> {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_at_half_its_time_by_the_process_it_watches() {
        let check = |usec: Option<&str>, pid: Option<&str>, expected: Option<u64>| {
            let pause = watchdog_pause(usec.map(OsStr::new), pid.map(OsStr::new), 7);
            assert_eq!(pause, expected.map(Duration::from_secs), "{usec:?} {pid:?}");
        };
        check(None, None, None);
        check(Some("30000000"), None, Some(15));
        check(Some("30000000"), Some("7"), Some(15));
        check(Some("30000000"), Some("8"), None);
        check(Some("0"), None, None);
        check(Some("soon"), None, None);
    }
}
