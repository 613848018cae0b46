//! How much memory the steps of a build use, and when it is too much.
//!
//! Docker's API has no limit of memory for a build with BuildKit: 20.10 ignores `memory`, and so does every later one (its
//! `builder-next/builder.go` passes on ulimits and the size of /dev/shm only). So the steps are watched from outside: what
//! a cgroup uses is there for everyone to read. The kernel does not stop a step; we do, some tenths of a second later.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroups::Cgroups;

/// How often is looked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how many looks without a sign of a step it is told that it cannot be watched. On a busy machine seconds pass between
/// the name of a step and its first process.
const LOOKS_UNTIL_TOLD: u32 = 100;
/// At how many looks apart the places of steps are sought again while one is not found.
const LOOKS_APART: u32 = 5;

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
    cgroups: Cgroups,
    /// Where steps were found.
    places: Vec<PathBuf>,
    /// How many looks ago that was.
    age: u32,
    /// How often a step was looked for in vain; none once it was found.
    looks: HashMap<String, Option<u32>>,
}

impl StepMemory {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self::of(limit_bytes, Cgroups::of_system())
    }

    fn of(limit_bytes: u64, cgroups: Cgroups) -> Self {
        Self {
            limit_bytes,
            cgroups,
            places: Vec::new(),
            age: 0,
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
        self.seek(&running);
        let steps = self.places.iter().flat_map(|place| Cgroups::steps(place));
        for cgroup in steps {
            let Some(command) = self.command(&cgroup) else {
                continue;
            };
            let Some((name, _)) = running.iter().find(|(_, text)| text.contains(&command)) else {
                continue;
            };
            // One whose memory nobody counts is as good as not there.
            let Some(used) = used_bytes(&cgroup) else {
                continue;
            };
            self.looks.insert((*name).to_owned(), None);
            if used > self.limit_bytes {
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

    /// Whether any step was found so far.
    pub(super) fn has_found(&self) -> bool {
        self.looks.values().any(Option::is_none)
    }

    /// A step that was told to be nowhere, and was not found since.
    pub(super) fn unseen(&self) -> Option<&str> {
        let is_told = |count: &Option<u32>| count.is_some_and(|count| count >= LOOKS_UNTIL_TOLD);
        let mut told = self.looks.iter().filter(|(_, count)| is_told(count));
        told.next().map(|(name, _)| name.as_str())
    }

    /// Looks for the places of steps: the builder makes them with its first step, and may remove them with its last.
    fn seek(&mut self, running: &[(&str, String)]) {
        let is_found = |(name, _): &(&str, String)| self.looks.get(*name) == Some(&None);
        if !self.places.is_empty() && running.iter().all(is_found) {
            return;
        }
        if self.age == 0 {
            self.places = self.cgroups.places();
        }
        self.age = (self.age + 1) % LOOKS_APART;
    }

    /// The command of the first process of a step, as far as it is the same in the Dockerfile: the builder shows a step
    /// with its variables resolved, and the shell has them as they are.
    fn command(&self, cgroup: &Path) -> Option<String> {
        let words = self.cgroups.command_line(cgroup)?;
        let line = match words.as_slice() {
            [_shell, flag, line] if flag == "-c" => line.clone(),
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
            let [cgroups, processes] = ["cgroup", "proc"].map(|name| self.0.path().join(name));
            StepMemory::of(100, Cgroups::at(&cgroups, &processes))
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
            "system.slice/system.slice:docker:abc",
            &shell,
            "anon 101\nfile 1\n",
            too_much(),
        );
        check("memory/docker/buildkit/abc", &shell, v1, too_much());
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
        assert!(!watch.has_found());
        assert_eq!(watch.unseen(), Some(STEP));
        let shell = ["/bin/sh", "-c", "npm ci && echo \"done\""];
        machine.step("docker/buildkit/abc", 7, &shell, "anon 1\n");
        for _ in 0..LOOKS_APART {
            assert_eq!(watch.look([STEP].into_iter()), Seen::Within);
        }
        assert!(watch.has_found() && watch.unseen().is_none());
    }

    #[test]
    fn a_step_without_figures_is_told_as_one_that_is_nowhere() {
        let machine = Machine::new();
        let shell = ["/bin/sh", "-c", "npm ci && echo \"done\""];
        machine.step("docker/buildkit/abc", 7, &shell, "");
        let mut watch = machine.watch();
        let told = (1..=LOOKS_UNTIL_TOLD).map(|_| watch.look([STEP].into_iter()));
        assert_eq!(told.last(), Some(Seen::Nothing(STEP.to_owned())));
    }

    #[test]
    fn a_step_that_begins_later_is_found() {
        let machine = Machine::new();
        let mut watch = machine.watch();
        assert_eq!(watch.look([STEP].into_iter()), Seen::Within);
        let shell = ["/bin/sh", "-c", "npm ci && echo \"done\""];
        machine.step(
            "system.slice/system.slice:docker:abc",
            7,
            &shell,
            "anon 101\n",
        );
        let seen: Vec<Seen> = (0..LOOKS_APART)
            .map(|_| watch.look([STEP].into_iter()))
            .collect();
        assert!(seen.contains(&Seen::TooMuch(STEP.to_owned())), "{seen:?}");
        assert!(watch.has_found());
    }
}
