//! A network of its own for a test, in which nobody else's interfaces come and go.

use rustix::process::geteuid;
use std::process::Command;

/// Tells the test that it is in one.
const IS_OWN: &str = "MINI_TEST_NETWORK_IS_OWN";

/// Runs this test, by its name, once more in a network of its own, where it answers false. Fails as the test does there.
/// Where that may not be made, which is told, the test runs where it is.
///
/// Chromium breaks off all it is at with `ERR_NETWORK_CHANGED` when an address of the machine comes or goes, as with every
/// container that another test starts or ends: of six runs beside networks of Docker that came and went, six failed so, and
/// none of 25 in a network of its own.
pub(crate) fn is_left_to_own(test: &str) -> bool {
    if std::env::var_os(IS_OWN).is_some() {
        return false;
    }
    if !matches!(unshared("true", &[]).status(), Ok(status) if status.success()) {
        eprintln!(
            "no network of its own for Chromium (see above): addresses that change disturb it"
        );
        return false;
    }
    let exe = std::env::current_exe().unwrap();
    let words = [exe.to_str().unwrap(), "--exact", test, "--nocapture"];
    let status = unshared("exec \"$0\" \"$@\"", &words).status().unwrap();
    assert!(
        status.success(),
        "it failed in a network of its own: see above"
    );
    true
}

fn unshared(script: &str, words: &[&str]) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    if !geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare
        .args(["--", "sh", "-c", &format!("ip link set lo up && {script}")])
        .args(words)
        .env(IS_OWN, "1");
    unshare
}
