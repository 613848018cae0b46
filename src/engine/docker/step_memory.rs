//! How much memory the steps of a build use, and when it is too much.
//!
//! Docker's API has no limit of memory for a build with BuildKit: 20.10 ignores `memory`, and so does every later one (its
//! `builder-next/builder.go` passes on ulimits and the size of /dev/shm only). So the steps are watched from outside: what
//! a cgroup uses is there for everyone to read. The kernel does not stop a step; we do, some tenths of a second later.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often is looked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how many looks without a sign of a step it is told that it cannot be watched.
const LOOKS_UNTIL_TOLD: u32 = 20;
/// The cgroups of steps: below `docker/buildkit` where Docker keeps cgroups itself; where systemd does, BuildKit makes one
/// whose name is what was meant as a path for systemd (`buildkit/executor/oci/spec_linux.go`).
const FOLDER: &str = "docker/buildkit";
const WITH_SYSTEMD: &str = "system.slice:docker:";

/// What was found out about the steps that run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing to tell.
    Within,
    /// This step uses more than it may.
    TooMuch(String),
    /// This step cannot be watched.
    Nothing(String),
}

/// Watches the steps of one build.
pub(super) struct StepMemory {
    limit_bytes: u64,
    cgroups: PathBuf,
    processes: PathBuf,
    /// How often a step was looked for in vain; none once it was found.
    looks: HashMap<String, Option<u32>>,
}

impl StepMemory {
    pub(super) fn new(limit_bytes: u64) -> Self {
        let memory = Path::new("/sys/fs/cgroup/memory");
        // With version 1 each resource has a tree of its own.
        let cgroups = match memory.is_dir() {
            true => memory,
            false => Path::new("/sys/fs/cgroup"),
        };
        Self::at(limit_bytes, cgroups, Path::new("/proc"))
    }

    fn at(limit_bytes: u64, cgroups: &Path, processes: &Path) -> Self {
        Self {
            limit_bytes,
            cgroups: cgroups.to_owned(),
            processes: processes.to_owned(),
            looks: HashMap::new(),
        }
    }

    /// Looks at the steps that run. Reads some files of /sys and /proc, which block no longer than a call takes.
    pub(super) fn look<'a>(&mut self, running: impl Iterator<Item = &'a str>) -> Seen {
        let running: Vec<(&str, String)> = running
            .filter_map(|name| Some((name, joined(instruction(name)?))))
            .collect();
        if running.is_empty() {
            return Seen::Within;
        }
        for cgroup in self.steps() {
            let Some(command) = self.command(&cgroup) else {
                continue;
            };
            let Some((name, _)) = running.iter().find(|(_, text)| text.contains(&command)) else {
                continue;
            };
            self.looks.insert((*name).to_owned(), None);
            if used_bytes(&cgroup).is_some_and(|used| used > self.limit_bytes) {
                return Seen::TooMuch((*name).to_owned());
            }
        }
        for (name, _) in running {
            let looks = self.looks.entry(name.to_owned()).or_insert(Some(0));
            if let Some(count) = looks {
                *count += 1;
                if *count == LOOKS_UNTIL_TOLD {
                    return Seen::Nothing(name.to_owned());
                }
            }
        }
        Seen::Within
    }

    /// The cgroups of all steps of Docker's builder, ours and others'.
    fn steps(&self) -> Vec<PathBuf> {
        let below = folders(&self.cgroups.join(FOLDER));
        let beside = folders(&self.cgroups).into_iter().filter(|folder| {
            let name = folder.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(WITH_SYSTEMD)
        });
        below.into_iter().chain(beside).collect()
    }

    /// The command of the first process of a step, as far as it is the same in the Dockerfile: the builder shows a step
    /// with its variables resolved, and the shell has them as they are.
    fn command(&self, cgroup: &Path) -> Option<String> {
        let inside = folders(cgroup);
        let mut places = std::iter::once(cgroup).chain(inside.iter().map(PathBuf::as_path));
        let first = places.find_map(|place| {
            let processes = fs::read_to_string(place.join("cgroup.procs")).ok()?;
            processes.lines().find_map(|line| line.parse::<u32>().ok())
        })?;
        let words = fs::read(self.processes.join(first.to_string()).join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).into_owned();
        let words: Vec<&str> = words.trim_end_matches('\0').split('\0').collect();
        let line = match words.as_slice() {
            [_shell, "-c", line] => (*line).to_owned(),
            words => words.join(","),
        };
        let same = line.split('$').next().unwrap_or_default();
        Some(joined(same)).filter(|same| !same.is_empty())
    }
}

/// The command of a step `[build 2/3] RUN npm ci`.
fn instruction(name: &str) -> Option<&str> {
    name.split_once("] RUN ").map(|(_, command)| command)
}

/// What of a command does not depend on how it was broken into lines and quoted.
fn joined(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !"\\\"'[]".contains(*c))
        .collect()
}

/// Memory that cannot be given back: neither files nor what the kernel keeps for speed. Version 1 has the sums of a tree as
/// `total_*`, version 2 counts trees always (Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
fn used_bytes(cgroup: &Path) -> Option<u64> {
    let text = fs::read_to_string(cgroup.join("memory.stat")).ok()?;
    let figures = text.lines().filter_map(|line| line.split_once(' '));
    let counted = figures
        .filter(|(name, _)| matches!(*name, "total_rss" | "total_shmem" | "anon" | "shmem"))
        .filter_map(|(name, figure)| Some((name, figure.trim().parse::<u64>().ok()?)));
    let figures: HashMap<&str, u64> = counted.collect();
    let of = |name: &str| figures.get(name).copied();
    let anonymous = of("total_rss").or_else(|| of("anon"))?;
    let shared = of("total_shmem").or_else(|| of("shmem"));
    Some(anonymous.saturating_add(shared.unwrap_or_default()))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = "[build 2/3] RUN --mount=type=cache,target=/c npm ci && echo \"done\"";

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn step(&self, folder: &str, process: u32, words: &[&str], stat: &str) {
            let cgroup = self.0.path().join("cgroup").join(folder);
            fs::create_dir_all(&cgroup).unwrap();
            fs::write(
                cgroup.join("cgroup.procs"),
                format!("{process}\n9{process}\n"),
            )
            .unwrap();
            fs::write(cgroup.join("memory.stat"), stat).unwrap();
            let processes = self.0.path().join("proc").join(process.to_string());
            fs::create_dir_all(&processes).unwrap();
            fs::write(processes.join("cmdline"), words.join("\0") + "\0").unwrap();
        }

        fn watch(&self) -> StepMemory {
            StepMemory::at(
                100,
                &self.0.path().join("cgroup"),
                &self.0.path().join("proc"),
            )
        }
    }

    fn check(folder: &str, words: &[&str], stat: &str, expected: Seen) {
        let machine = Machine::new();
        machine.step(folder, 7, words, stat);
        let seen = machine.watch().look([STEP].into_iter());
        assert_eq!(seen, expected, "{folder} {words:?} {stat:?}");
    }

    #[test]
    fn a_step_that_uses_too_much_is_found_by_its_command() {
        let shell = ["/bin/sh", "-c", "npm ci && echo \"done\""];
        let too_much = || Seen::TooMuch(STEP.to_owned());
        let v1 = "cache 900\nrss 1\ntotal_cache 900\ntotal_rss 90\ntotal_shmem 11\n";
        check("docker/buildkit/abc", &shell, v1, too_much());
        check(
            "system.slice:docker:abc",
            &shell,
            "anon 101\nfile 1\n",
            too_much(),
        );
        check(
            "docker/buildkit/abc",
            &shell,
            "anon 100\nfile 900\n",
            Seen::Within,
        );
        check("docker/abc", &shell, "anon 101\n", Seen::Within);
        let others = ["/bin/sh", "-c", "npm install"];
        check("docker/buildkit/abc", &others, "anon 101\n", Seen::Within);
        let with_variable = ["/bin/sh", "-c", "npm ci && echo $X"];
        check(
            "docker/buildkit/abc",
            &with_variable,
            "anon 101\n",
            too_much(),
        );
        check(
            "docker/buildkit/abc",
            &["/bin/sh", "-c", "$X"],
            "anon 101\n",
            Seen::Within,
        );
    }

    #[test]
    fn a_step_that_is_nowhere_is_told_once() {
        let machine = Machine::new();
        let mut watch = machine.watch();
        let told: Vec<u32> = (1..=2 * LOOKS_UNTIL_TOLD)
            .filter(|_| watch.look([STEP].into_iter()) != Seen::Within)
            .collect();
        assert_eq!(told, [LOOKS_UNTIL_TOLD]);
        assert_eq!(watch.look(["[1/2] FROM a"].into_iter()), Seen::Within);
    }
}
