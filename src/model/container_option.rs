//! Options of `docker run` that an app may have for its containers.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;

use super::typed_option::{flag_and_value, unquoted};
use super::value_kind::{Size, ValueKind};

/// What a limit of memory may be: Docker refuses less than 6 MiB.
const MEMORY: Size = Size {
    least: 6 << 20,
    most: 64 << 40,
};
/// What `--shm-size` may be.
const SHARED_MEMORY: Size = Size {
    least: 64 << 10,
    most: 64 << 30,
};
const NANOS: f64 = 1e9;
/// Longest value, bytes, as it is typed and as it is written out: a slip of the clipboard is none.
const LONGEST: usize = 1024;
/// What to do where an option is refused.
const KNOWN: &str = "See `help docker-options:add` for the options there are";

/// One option. Its text is that of the docker client: `--memory 512m`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerOption {
    /// Memory, bytes.
    Memory(u64),
    /// Processors, in billionths of one.
    Cpus(u64),
    /// Weight against other containers; 1024 by default.
    CpuShares(u32),
    /// Size of /dev/shm, bytes.
    SharedMemory(u64),
    /// A limit of the kernel: name, soft, hard.
    Ulimit(String, i64, i64),
    /// A file system in memory: path, and its options or nothing.
    Tmpfs(String, String),
    /// A line of /etc/hosts: `name:address`.
    AddHost(String),
    /// A server of the DNS.
    Dns(IpAddr),
    /// The name it has itself.
    Hostname(String),
    /// A label.
    Label(String, String),
    /// The user of its processes.
    User(String),
    /// Where its processes begin.
    Workdir(String),
    /// Which signal asks it to end.
    StopSignal(String),
    /// Whether nothing but mounts can be written.
    ReadOnly,
    /// All rights of the host.
    Privileged,
    /// A right of root that containers do not have.
    CapAdd(String),
    /// A device of the host: path there, and inside.
    Device(String, String),
    /// A path of the host: path there, path inside, read only.
    Volume(String, String, bool),
}

/// Why text is no option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOption {
    /// The flag, as it was typed.
    pub flag: String,
    /// Why, as a clause.
    pub why: String,
    /// What to do instead.
    pub next: String,
}

/// Flags that are known and refused: why, and what is in their place.
const OTHERS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "--network",
            "--net",
            "--network-alias",
            "--link",
            "--ip",
            "--ip6",
        ],
        "the proxy reaches the processes of an app in a network of its own",
        "To lead visitors to another app: routes:add APP PATH --to OTHER",
    ),
    (
        &[
            "--pid",
            "--ipc",
            "--uts",
            "--userns",
            "--cgroupns",
            "--cgroup-parent",
            "--volumes-from",
            "--runtime",
        ],
        "containers share no name space with the host or with each other",
        "To share files: storage:mount",
    ),
    (
        &["-p", "-P", "--publish", "--publish-all", "--expose"],
        "ports of the host are opened by the proxy, so that a deploy interrupts nobody",
        "Open one: ports:add APP http:8080:5000",
    ),
    (
        &["-e", "--env", "--env-file"],
        "the environment is that of the release",
        "Set a config var: config:set APP KEY=VALUE",
    ),
    (
        &["--restart"],
        "mini starts processes again by itself, so that no address changes hands without its knowing",
        "How often is a setting of the server: restart-limit",
    ),
    (
        &[
            "--name",
            "--rm",
            "-d",
            "--detach",
            "-i",
            "-t",
            "--entrypoint",
            "--init",
            "--stop-timeout",
        ],
        "that is decided by what the container is for",
        "A command is set with `ps:set APP start-cmd`, the time to end with `ps:set APP stop-timeout-seconds`",
    ),
    (
        &["--mount"],
        "mounts are known in the short form",
        "Give \"-v /path/on/host:/path\", or better a folder of the storage: storage:mount APP NAME:/path",
    ),
    (
        &["--log-driver", "--log-opt"],
        "`logs` reads what Docker keeps",
        "Leave it as it is",
    ),
];

impl ContainerOption {
    /// Whether it gives the containers a part of the host, so that whoever may push to the app has it too.
    pub fn is_dangerous(&self) -> bool {
        match self {
            Self::Privileged | Self::CapAdd(_) | Self::Device(..) | Self::Volume(..) => true,
            Self::Memory(_)
            | Self::Cpus(_)
            | Self::CpuShares(_)
            | Self::SharedMemory(_)
            | Self::Ulimit(..)
            | Self::Tmpfs(..)
            | Self::AddHost(_)
            | Self::Dns(_)
            | Self::Hostname(_)
            | Self::Label(..)
            | Self::User(_)
            | Self::Workdir(_)
            | Self::StopSignal(_)
            | Self::ReadOnly => false,
        }
    }

    fn read(flag: &str, value: &str) -> Result<Self, String> {
        let absolute =
            |path: &str| match path.starts_with('/') && !path.split('/').any(|part| part == "..") {
                true => Ok(path.to_owned()),
                false => Err(format!("`{}` is no absolute path", path.escape_debug())),
            };
        let word = |rule: &str, is_good: fn(char) -> bool| match !value.is_empty()
            && value.chars().all(is_good)
        {
            true => Ok(value.to_owned()),
            false => Err(rule.to_owned()),
        };
        Ok(match flag {
            "-m" | "--memory" => Self::Memory(MEMORY.read(value)?),
            "--cpus" => Self::Cpus(cpus(value)?),
            "-c" | "--cpu-shares" => Self::CpuShares(
                value
                    .parse()
                    .ok()
                    .filter(|shares| (2..=262_144).contains(shares))
                    .ok_or("it is a number from 2 to 262144")?,
            ),
            "--shm-size" => Self::SharedMemory(SHARED_MEMORY.read(value)?),
            "--ulimit" => {
                let rule = "it is NAME=SOFT or NAME=SOFT:HARD, such as nofile=4096:8192";
                let (name, limits) = value.split_once('=').ok_or(rule)?;
                let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
                let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= -1);
                let is_name =
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
                let limits = number(soft)
                    .zip(number(hard))
                    .filter(|_| is_name)
                    .ok_or(rule)?;
                Self::Ulimit(name.to_owned(), limits.0, limits.1)
            }
            "--tmpfs" => {
                let (path, options) = value.split_once(':').unwrap_or((value, ""));
                Self::Tmpfs(absolute(path)?, options.to_owned())
            }
            "--add-host" => {
                let rule = "it is NAME:ADDRESS, such as db.internal:10.0.0.5";
                let (name, address) = value.split_once([':', '=']).ok_or(rule)?;
                let is_address = address == "host-gateway" || address.parse::<IpAddr>().is_ok();
                if name.is_empty() || !is_address {
                    return Err(rule.to_owned());
                }
                Self::AddHost(format!("{name}:{address}"))
            }
            "--dns" => Self::Dns(value.parse().map_err(|_| "it is an IP address")?),
            "-h" | "--hostname" => {
                Self::Hostname(word("a name has letters, digits, `.` and `-`", |c| {
                    c.is_ascii_alphanumeric() || ".-".contains(c)
                })?)
            }
            "-l" | "--label" => {
                let (key, text) = value.split_once('=').unwrap_or((value, ""));
                let is_ours = key.starts_with("mini.") || key.starts_with("com.docker.");
                if key.contains(|c: char| c.is_whitespace() || "\"'".contains(c)) {
                    return Err("the key of a label has no blanks and no quotes".to_owned());
                }
                if key.is_empty() || is_ours {
                    return Err("a label is KEY=VALUE, and those that begin with `mini.` or `com.docker.` are taken".to_owned());
                }
                Self::Label(key.to_owned(), text.to_owned())
            }
            "-u" | "--user" => Self::User(word(
                "it is a user of the image, USER, UID or UID:GID",
                |c| c.is_ascii_alphanumeric() || "_-:.".contains(c),
            )?),
            "-w" | "--workdir" => Self::Workdir(absolute(value)?),
            "--stop-signal" => Self::StopSignal(word("it is a signal, such as SIGQUIT", |c| {
                c.is_ascii_uppercase() || c.is_ascii_digit()
            })?),
            "--read-only" => Self::ReadOnly,
            "--privileged" => Self::Privileged,
            "--cap-add" => {
                let name = value.to_ascii_uppercase();
                let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
                let is_name = !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                Self::CapAdd(
                    is_name
                        .then_some(name)
                        .ok_or("it is a capability, such as NET_ADMIN")?,
                )
            }
            "--device" => {
                let (host, inside) = value.split_once(':').unwrap_or((value, value));
                Self::Device(absolute(host)?, absolute(inside)?)
            }
            "-v" | "--volume" => {
                let mut parts = value.split(':');
                let (source, target) = parts
                    .next()
                    .zip(parts.next())
                    .ok_or("it is HOST-PATH:PATH or HOST-PATH:PATH:ro")?;
                let is_read_only = match (parts.next(), parts.next()) {
                    (None | Some("rw"), None) => false,
                    (Some("ro"), None) => true,
                    _ => return Err("it is HOST-PATH:PATH or HOST-PATH:PATH:ro".to_owned()),
                };
                Self::Volume(absolute(source)?, absolute(target)?, is_read_only)
            }
            _ => return Err("of Docker's options it is none that mini knows".to_owned()),
        })
    }

    fn takes_value(flag: &str) -> bool {
        !matches!(flag, "--read-only" | "--privileged")
    }

    /// What is typed, whether or not it can be written out again.
    fn typed(text: &str) -> Result<Self, InvalidOption> {
        let (flag, value) = flag_and_value(text.trim());
        let value = unquoted(value);
        let refused = |why: &str, next: &str| InvalidOption {
            flag: flag.escape_debug().take(100).collect(),
            why: why.to_owned(),
            next: next.to_owned(),
        };
        if let Some((_, why, next)) = OTHERS.iter().find(|(flags, _, _)| flags.contains(&flag)) {
            return Err(refused(why, next));
        }
        if value.contains(char::is_control) || value.len() > LONGEST {
            return Err(refused(
                "its value is one line of at most 1024 bytes",
                KNOWN,
            ));
        }
        let read = if Self::takes_value(flag) {
            Self::read(flag, value)
        } else if matches!(value, "" | "true") {
            Self::read(flag, "")
        } else {
            Err("it has no value".to_owned())
        };
        read.map_err(|why| refused(&why, KNOWN))
    }
}

/// As Docker reads it: a number of processors, of which a hundredth is the least.
fn cpus(value: &str) -> Result<u64, String> {
    let number: f64 = value.parse().map_err(|_| "it is a number such as 1.5")?;
    if !(0.01..=1024.0).contains(&number) {
        return Err("it is a number from 0.01 to 1024".to_owned());
    }
    // In range, and the rest of the digits is of no matter.
    Ok((number * NANOS).round() as u64)
}

impl FromStr for ContainerOption {
    type Err = InvalidOption;

    /// It is kept and shown as it is written out, so what would be read from that as something else is none.
    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let option = Self::typed(text)?;
        let written = option.to_string();
        if Self::typed(&written).as_ref() == Ok(&option) {
            return Ok(option);
        }
        let flag = written.split(' ').next().unwrap_or_default();
        Err(InvalidOption {
            flag: flag.to_owned(),
            why: "its value neither begins nor ends with blanks or quotes, and has at most 1024 bytes when it is written out in full".to_owned(),
            next: KNOWN.to_owned(),
        })
    }
}

impl fmt::Display for ContainerOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "--memory {}", MEMORY.write(bytes)),
            Self::Cpus(nanos) => write!(f, "--cpus {}", *nanos as f64 / NANOS),
            Self::CpuShares(shares) => write!(f, "--cpu-shares {shares}"),
            Self::SharedMemory(bytes) => write!(f, "--shm-size {}", SHARED_MEMORY.write(bytes)),
            Self::Ulimit(name, soft, hard) => write!(f, "--ulimit {name}={soft}:{hard}"),
            Self::Tmpfs(path, options) if options.is_empty() => write!(f, "--tmpfs {path}"),
            Self::Tmpfs(path, options) => write!(f, "--tmpfs {path}:{options}"),
            Self::AddHost(line) => write!(f, "--add-host {line}"),
            Self::Dns(address) => write!(f, "--dns {address}"),
            Self::Hostname(name) => write!(f, "--hostname {name}"),
            Self::Label(key, value) => write!(f, "--label {key}={value}"),
            Self::User(user) => write!(f, "--user {user}"),
            Self::Workdir(path) => write!(f, "--workdir {path}"),
            Self::StopSignal(signal) => write!(f, "--stop-signal {signal}"),
            Self::ReadOnly => f.write_str("--read-only"),
            Self::Privileged => f.write_str("--privileged"),
            Self::CapAdd(name) => write!(f, "--cap-add {name}"),
            Self::Device(host, inside) => write!(f, "--device {host}:{inside}"),
            Self::Volume(source, target, false) => write!(f, "--volume {source}:{target}"),
            Self::Volume(source, target, true) => write!(f, "--volume {source}:{target}:ro"),
        }
    }
}

impl Serialize for ContainerOption {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLAGS: &[&str] = &[
        "--memory",
        "--cpus",
        "--ulimit",
        "--tmpfs",
        "--add-host",
        "--hostname",
        "--label",
        "--user",
        "--workdir",
        "--device",
        "--volume",
        "--cap-add",
        "--read-only",
    ];

    proptest! {
        /// An option that was kept and could not be read again stopped the reconciler for all apps.
        #[test]
        fn whatever_is_taken_is_read_again_as_it_was(
            flag in proptest::sample::select(FLAGS),
            gap in "[ =]{1,2}",
            value in "[ =:/.,'\"a-c1-9\u{a0}]{0,24}",
        ) {
            if let Ok(option) = format!("{flag}{gap}{value}").parse::<ContainerOption>() {
                prop_assert_eq!(option.to_string().parse(), Ok(option));
            }
        }

        #[test]
        fn any_usual_label_and_any_number_is_taken(
            key in "[a-z][a-z0-9./-]{0,20}",
            text in "([ -~]{0,20}[!-~])?",
            bytes in MEMORY.least..=MEMORY.most,
            thousandths in 10_u32..=1_024_000,
        ) {
            prop_assume!(!key.starts_with("mini.") && !key.starts_with("com.docker."));
            let label = ContainerOption::Label(key, text);
            prop_assert_eq!(label.to_string().parse(), Ok(label));
            let memory = ContainerOption::Memory(bytes);
            prop_assert_eq!(format!("-m {bytes}").parse(), Ok(memory));
            let cpus = ContainerOption::Cpus(u64::from(thousandths) * 1_000_000);
            let typed = format!("--cpus {}", f64::from(thousandths) / 1000.0);
            prop_assert_eq!(typed.parse(), Ok(cpus));
        }
    }

    #[test]
    fn what_would_be_too_long_when_it_is_written_out_is_refused() {
        for (prefix, longest) in [
            ("--label a", 1022),
            ("--device /", 510),
            ("--label a=", 1022),
        ] {
            let typed = |length: usize| format!("{prefix}{}", "x".repeat(length));
            for (length, is_taken) in [(longest, true), (longest + 1, false)] {
                let read = typed(length).parse::<ContainerOption>();
                assert_eq!(read.is_ok(), is_taken, "{prefix} {length}: {read:?}");
            }
        }
    }

    #[test]
    fn options_are_read_as_the_docker_client_takes_them_and_written_in_one_form() {
        for (typed, written) in [
            ("--memory 512m", "--memory 512m"),
            ("-m=1g", "--memory 1g"),
            ("--memory=1073741824", "--memory 1g"),
            ("--cpus 1.5", "--cpus 1.5"),
            ("--cpu-shares=512", "--cpu-shares 512"),
            ("--shm-size 256m", "--shm-size 256m"),
            ("--ulimit nofile=4096", "--ulimit nofile=4096:4096"),
            ("--ulimit nofile=1:-1", "--ulimit nofile=1:-1"),
            ("--tmpfs /tmp", "--tmpfs /tmp"),
            (
                "--tmpfs=/run:size=8m,mode=700",
                "--tmpfs /run:size=8m,mode=700",
            ),
            ("--add-host 'db:10.0.0.5'", "--add-host db:10.0.0.5"),
            ("--add-host six:fd00::1", "--add-host six:fd00::1"),
            ("--dns 1.1.1.1", "--dns 1.1.1.1"),
            ("-h web.internal", "--hostname web.internal"),
            ("--label a.b=c d", "--label a.b=c d"),
            ("-u 1000:1000", "--user 1000:1000"),
            ("-w /srv", "--workdir /srv"),
            ("--stop-signal SIGQUIT", "--stop-signal SIGQUIT"),
            ("--read-only", "--read-only"),
            ("--privileged=true", "--privileged"),
            ("--cap-add cap_net_admin", "--cap-add NET_ADMIN"),
            ("--device=/dev/fuse", "--device /dev/fuse:/dev/fuse"),
            ("-v /srv/data:/data:ro", "--volume /srv/data:/data:ro"),
            ("--volume /a:/b:rw", "--volume /a:/b"),
        ] {
            let option: ContainerOption = typed.parse().unwrap();
            assert_eq!(option.to_string(), written, "{typed}");
            assert_eq!(written.parse(), Ok(option), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_is_in_its_place() {
        for (typed, part) in [
            ("--memory", "size"),
            ("--memory 1", "from"),
            ("--cpus 0", "from 0.01"),
            ("--cpus NaN", "from 0.01"),
            ("--cpus inf", "from 0.01"),
            ("--ulimit nofile", "NAME=SOFT"),
            ("--tmpfs tmp", "absolute"),
            ("--add-host db", "NAME:ADDRESS"),
            ("--label mini.app=x", "taken"),
            ("--volume data:/data", "absolute"),
            ("--volume /a/../b:/data", "absolute"),
            ("-v /a:/b:z", "HOST-PATH"),
            ("--privileged false", "no value"),
            ("--network host", "routes:add"),
            ("--pid=host", "name space"),
            ("-p 80:80", "ports:add"),
            ("--env A=1", "config:set"),
            ("--restart always", "restart-limit"),
            ("--nonsense", "none that mini knows"),
            ("", "none that mini knows"),
            ("--label a=b\nc", "one line"),
            ("--label ' '", "no blanks"),
            ("--label 'a b=c'", "no blanks"),
            ("--label \"'mini.app=x'\"", "no quotes"),
            ("--label 'a=b '", "nor ends with blanks"),
            ("--add-host ' db:10.0.0.5'", "begins nor ends"),
        ] {
            let refused = typed.parse::<ContainerOption>().unwrap_err();
            let told = format!("{} {}", refused.why, refused.next);
            assert!(told.contains(part), "{typed}: {told}");
        }
    }

    #[test]
    fn a_part_of_the_host_is_dangerous() {
        let is_dangerous = |text: &str| text.parse::<ContainerOption>().unwrap().is_dangerous();
        for text in [
            "--privileged",
            "--cap-add NET_ADMIN",
            "--device /dev/kvm",
            "-v /:/host",
        ] {
            assert!(is_dangerous(text), "{text}");
        }
        for text in ["--memory 64m", "--user 0", "--tmpfs /tmp", "--read-only"] {
            assert!(!is_dangerous(text), "{text}");
        }
    }
}
