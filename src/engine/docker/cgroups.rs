//! Where the kernel counts what the steps of builds use: the cgroups of Docker's builder, in either version and whoever keeps
//! them.
//!
//! BuildKit names the cgroup of a step after Docker's (`executor/oci/spec_linux.go`, `GenerateSpec`; Docker's
//! `cmd/dockerd/daemon.go`, `newCgroupParent`): `/docker/buildkit/ID` where Docker keeps cgroups itself, and
//! `system.slice:docker:ID`, or `PARENT.slice:docker:ID`, where systemd does. That second one is meant for systemd, but runc is
//! called without it and takes it for a path: below the cgroup of dockerd with version 1, beside it with version 2
//! (`libcontainer/cgroups/fs/paths.go`, `fs2/defaultpath.go`). So steps are looked for in the whole tree, by these names.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the tree is mounted, and where processes are seen.
const MOUNT: &str = "/sys/fs/cgroup";
const PROCESSES: &str = "/proc";
/// The folder of steps where Docker keeps cgroups itself.
const FOLDER: &str = "buildkit";
/// What is in the names of steps where systemd does.
const INFIX: &str = ".slice:docker:";
/// How deep folders of steps are looked for: `system.slice/docker.service/` is two down, a Docker inside another some more.
const DEEPEST: usize = 6;
/// How many folders are looked at, so that a machine with very many is not kept busy.
const MOST_FOLDERS: usize = 4000;

/// The cgroups of this system.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    version: u8,
    /// The tree in which memory is counted.
    root: PathBuf,
    processes: PathBuf,
}

impl Cgroups {
    pub(super) fn of_system() -> Self {
        Self::at(Path::new(MOUNT), Path::new(PROCESSES))
    }

    /// With version 1 each resource has a tree of its own; the unified one that may stand beside them counts no memory.
    pub(super) fn at(mount: &Path, processes: &Path) -> Self {
        let memory = mount.join("memory");
        let (version, root) = match memory.is_dir() {
            true => (1, memory),
            false => (2, mount.to_owned()),
        };
        Self {
            version,
            root,
            processes: processes.to_owned(),
        }
    }

    /// 1 or 2.
    pub(super) fn version(&self) -> u8 {
        self.version
    }

    /// What keeps us from seeing what steps use, and what to do about it.
    pub(super) fn trouble(&self) -> Option<(String, &'static str)> {
        let root = self.root.display();
        let counted = match self.version {
            1 => fs::read_to_string(self.root.join("memory.stat")).map(drop),
            _ => fs::read_to_string(self.root.join("cgroup.controllers")).and_then(|names| {
                let has_memory = names.split_whitespace().any(|name| name == "memory");
                let missing = || std::io::Error::other("the controller `memory` is switched off");
                has_memory.then_some(()).ok_or_else(missing)
            }),
        };
        if let Err(error) = counted {
            return Some((
                format!("memory is not counted at {root}: {error}"),
                "mount the cgroups of the host there, and switch memory on with `cgroup_enable=memory` on the kernel's command line",
            ));
        }
        // Process 1 is another's wherever /proc hides those of others.
        let first = self.processes.join("1/cmdline");
        if let Err(error) = fs::read(&first) {
            return Some((
                format!("{} cannot be read: {error}", first.display()),
                "mount /proc without `hidepid`, or run mini as root and in the PID namespace of the host",
            ));
        }
        None
    }

    /// The folders that have steps in them, ours and others'.
    pub(super) fn places(&self) -> Vec<PathBuf> {
        let mut places = Vec::new();
        let mut next = vec![self.root.clone()];
        let mut seen = 0;
        for _ in 0..DEEPEST {
            let mut below = Vec::new();
            for folder in next {
                seen += 1;
                if seen > MOST_FOLDERS {
                    return places;
                }
                let mut has_steps = false;
                for inner in folders(&folder) {
                    let name = name_of(&inner);
                    if name == FOLDER {
                        places.push(inner);
                    } else if name.contains(INFIX) {
                        has_steps = true;
                    } else if !is_of_container(&name) {
                        below.push(inner);
                    }
                }
                if has_steps {
                    places.push(folder);
                }
            }
            next = below;
        }
        places
    }

    /// The steps in a folder of [`Cgroups::places`].
    pub(super) fn steps(place: &Path) -> Vec<PathBuf> {
        let is_folder_of_steps = name_of(place) == FOLDER;
        let mut steps = folders(place);
        steps.retain(|step| is_folder_of_steps || name_of(step).contains(INFIX));
        steps
    }

    /// The words of the first process of a step.
    pub(super) fn command_line(&self, step: &Path) -> Option<Vec<String>> {
        let inside = folders(step);
        let mut folders = std::iter::once(step).chain(inside.iter().map(PathBuf::as_path));
        let first = folders.find_map(|folder| {
            let processes = fs::read_to_string(folder.join("cgroup.procs")).ok()?;
            processes.lines().find_map(|line| line.parse::<u32>().ok())
        })?;
        let words = fs::read(self.processes.join(first.to_string()).join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).into_owned();
        let words = words.trim_end_matches('\0').split('\0');
        Some(words.map(str::to_owned).collect())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Nothing below a container is a step of the builder beside it.
fn is_of_container(name: &str) -> bool {
    name.ends_with(".scope")
        || (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
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

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(files: &[(&str, &str)]) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = machine.0.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            machine
        }

        fn cgroups(&self) -> Cgroups {
            Cgroups::at(&self.0.path().join("cgroup"), &self.0.path().join("proc"))
        }
    }

    #[test]
    fn trouble_is_told_with_its_remedy() {
        let init = ("proc/1/cmdline", "/sbin/init\0");
        for (files, expected) in [
            (vec![("cgroup/memory/memory.stat", "rss 1\n"), init], None),
            (
                vec![("cgroup/cgroup.controllers", "cpu io memory pids\n"), init],
                None,
            ),
            (
                vec![("cgroup/cgroup.controllers", "cpu io memory\n")],
                Some("1/cmdline cannot be read"),
            ),
            (
                vec![("cgroup/cgroup.controllers", "cpu io\n"), init],
                Some("the controller `memory` is switched off"),
            ),
            (vec![init], Some("memory is not counted at")),
            (
                vec![("cgroup/memory/tasks", ""), init],
                Some("memory is not counted at"),
            ),
        ] {
            let machine = Machine::new(&files);
            let trouble = machine.cgroups().trouble();
            assert_eq!(
                trouble.is_some(),
                expected.is_some(),
                "{files:?}: {trouble:?}"
            );
            if let (Some((why, remedy)), Some(expected)) = (trouble, expected) {
                assert!(why.contains(expected) && !remedy.is_empty(), "{why}");
            }
        }
    }

    #[test]
    fn steps_are_found_wherever_docker_puts_them_and_containers_are_none() {
        let container = "0123456789abcdef".repeat(4);
        for (folder, is_step) in [
            // Docker keeps cgroups, versions 1 and 2.
            ("memory/docker/buildkit/abc", true),
            ("docker/buildkit/abc", true),
            // systemd does; version 1, version 2, a parent of the operator's, a Docker that was started by hand.
            (
                "memory/system.slice/docker.service/system.slice:docker:abc",
                true,
            ),
            ("system.slice/system.slice:docker:abc", true),
            ("system.slice/builds.slice:docker:abc", true),
            ("system.slice:docker:abc", true),
            // Neither.
            ("system.slice/docker-abc.scope", false),
            (&format!("docker/{container}/buildkit/abc"), false),
            ("system.slice/ssh.service", false),
        ] {
            let machine = Machine::new(&[(&format!("cgroup/{folder}/memory.stat"), "anon 1\n")]);
            let cgroups = machine.cgroups();
            let places = cgroups.places();
            let steps: Vec<PathBuf> = places
                .iter()
                .flat_map(|place| Cgroups::steps(place))
                .collect();
            let expected = match is_step {
                true => vec![machine.0.path().join("cgroup").join(folder)],
                false => Vec::new(),
            };
            assert_eq!(steps, expected, "{folder}");
        }
    }
}
