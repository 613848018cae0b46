//! The pages of the program's own code that it has mapped, given back when many are.
//!
//! The program's file holds 28 MiB of code. A command or a push runs through all corners of it, and the kernel maps 64 KiB
//! around each place that is touched (`fault_around_bytes`): after one `apps:list` 12 MiB are resident, after a push 20,
//! and they stay, though what visitors ask needs 4. Given back, a page is not read from the disk again: the kernel
//! has it in its cache, and maps it anew when it is run next.

use std::fs;
use std::time::Duration;

use rustix::mm::{Advice, madvise};
use tokio::time::{MissedTickBehavior, interval};

/// How often is looked. A server that is at work all the time faults some 350 windows back in, less than 1 ms, so often.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// Of pages of files, in bytes: under visitors alone there are 9 MiB, of which the program's constants are 4.
const ENOUGH: u64 = 12 << 20;

/// Looks again and again, and gives them back when there are many. Never returns.
pub(super) async fn keep_few() {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        // Not on a thread that answers: files are read, if only those of /proc.
        let looked = tokio::task::spawn_blocking(|| {
            let before = resident()?;
            if before <= ENOUGH {
                return Some(());
            }
            give_back(&code()?)?;
            let after = resident()?;
            tracing::debug!(before, after, "pages of the program were given back");
            Some(())
        });
        if !matches!(looked.await, Ok(Some(()))) {
            tracing::debug!("pages of the program cannot be given back here");
            return std::future::pending().await;
        }
    }
}

/// Bytes of files this process has mapped and resident (`statm`, proc(5)).
fn resident() -> Option<u64> {
    let said = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = said.split(' ').nth(2)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

/// Where the code of this program is mapped.
#[derive(Debug, PartialEq, Eq)]
struct Code {
    start: usize,
    end: usize,
}

fn code() -> Option<Code> {
    code_around(
        &fs::read_to_string("/proc/self/maps").ok()?,
        code as *const () as usize,
    )
}

/// The mapping with this address (`maps`, proc(5)), if it is of a file, and cannot be written to by anybody.
fn code_around(maps: &str, address: usize) -> Option<Code> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        let is_code = fields.next()? == "r-xp";
        let inode = fields.nth(2)?;
        let found = (start..end).contains(&address) && is_code && inode != "0";
        found.then_some(Code { start, end })
    })
}

/// Takes these pages out of what is resident.
#[allow(unsafe_code)]
fn give_back(code: &Code) -> Option<()> {
    let start = code.start as *mut _;
    // SAFETY: a private mapping of a file that is readable and executable and was never writable (`code_around`): each of
    // its pages is as it is in the file, and is read from there when it is touched next, by whichever thread. Nothing that
    // Rust knows as a value lies in it. The file cannot have changed: the kernel lets nobody write to a program that runs
    // (ETXTBSY), and one that was replaced or removed stays until the last mapping of it is gone.
    unsafe { madvise(start, code.end - code.start, Advice::LinuxDontNeed) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_among_the_mappings() {
        let maps = "\
55d0c0000000-55d0c0700000 r--p 00000000 fe:00 123 /usr/bin/mini
55d0c0700000-55d0c2300000 r-xp 00700000 fe:00 123 /usr/bin/mini
55d0c2300000-55d0c2400000 rw-p 02300000 fe:00 123 /usr/bin/mini
7f0000000000-7f0000010000 r-xp 00000000 00:00 0
7f0000020000-7f0000030000 rwxp 00000000 fe:00 9 /opt/a b
";
        let found = Code {
            start: 0x55d0_c070_0000,
            end: 0x55d0_c230_0000,
        };
        assert_eq!(code_around(maps, 0x55d0_c070_0000), Some(found));
        for not_code in [
            0x55d0_c000_0000,
            0x55d0_c230_0000,
            0x7f00_0000_0000,
            0x7f00_0002_0000,
            1,
        ] {
            assert_eq!(code_around(maps, not_code), None, "{not_code:x}");
        }
    }

    #[test]
    fn what_was_given_back_is_run_again() {
        let code = code().unwrap();
        let before = resident().unwrap();
        give_back(&code).unwrap();
        let after = resident().unwrap();
        assert!(after < before, "{after} bytes resident, {before} before");
        // All of this is code that had to come back.
        assert_eq!(super::code(), Some(code));
    }
}
