//! The settings of the server: read completely, all mistakes reported together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::layers::{self, Given, Layer};
use crate::deploy::DiskFloor;
use crate::model::DomainName;

/// Where settings are read from when no file is named.
const FILE: &str = "/etc/mini/mini.toml";
/// Where everything is kept when nothing is said.
pub(super) const DATA_DIR: &str = "/var/lib/mini";

/// Every setting a file or a variable may hold.
const KNOWN: &[&str] = &[
    "authorized_key",
    "base_domain",
    "build_timeout",
    "builds_at_once",
    "check_timeout",
    "check_uptime",
    "creates_apps",
    "data_dir",
    "disk_floor",
    "disk_floor_percent",
    "docker_socket",
    "drain",
    "http_listen",
    "image_mirror",
    "keep_releases",
    "memory_limit",
    "pids_limit",
    "push_limit",
    "ssh_listen",
    "stop_grace",
];

/// Run the server: SSH, proxy and API in one process
///
/// Settings come from /etc/mini/mini.toml, then from MINI_* variables, then from these flags; a later one wins.
#[derive(Debug, Default, Parser)]
#[command(name = "mini server", disable_version_flag = true)]
pub struct ServerArguments {
    /// Folder for everything the server keeps [default: /var/lib/mini]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Settings file [default: /etc/mini/mini.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address for SSH; repeatable, port 0 picks a free one [default: 0.0.0.0:2222]
    #[arg(long, value_name = "ADDR:PORT")]
    pub ssh_listen: Vec<String>,
    /// Address for visitors; repeatable, port 0 picks a free one [default: 0.0.0.0:80]
    #[arg(long, value_name = "ADDR:PORT")]
    pub http_listen: Vec<String>,
    /// Apps answer at APP.NAME; repeatable
    #[arg(long, value_name = "NAME")]
    pub base_domain: Vec<String>,
    /// Let the keys in this file log in; repeatable
    #[arg(long, value_name = "FILE")]
    pub authorized_key: Vec<String>,
    /// Defaults for a workstation: 127.0.0.1, HTTP 8080, SSH 2222, base domain localhost
    #[arg(long)]
    pub dev: bool,
    /// Read the settings, print what is in force, and stop
    #[arg(long)]
    pub check_config: bool,
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Folder for everything the server keeps.
    pub data_dir: PathBuf,
    /// Where SSH listens.
    pub ssh_listen: Vec<SocketAddr>,
    /// Where the proxy listens.
    pub http_listen: Vec<SocketAddr>,
    /// Base domains.
    pub base_domains: Vec<DomainName>,
    /// Files with keys to let in.
    pub authorized_keys: Vec<PathBuf>,
    /// Docker's socket; none takes `DOCKER_HOST`, else the usual one.
    pub docker_socket: Option<String>,
    /// How long a build may take.
    pub build_timeout: Duration,
    /// How many builds go on at once.
    pub builds_at_once: usize,
    /// How long a web process may take to listen.
    pub check_timeout: Duration,
    /// How long any other process must stay up.
    pub check_uptime: Duration,
    /// Whether a push to an unknown app creates it.
    pub creates_apps: bool,
    /// Free space needed to build.
    pub disk_floor: DiskFloor,
    /// How long requests in flight may keep an old process.
    pub drain: Duration,
    /// Other names for base images.
    pub image_mirrors: BTreeMap<String, String>,
    /// How many images with their releases are kept per app.
    pub keep_releases: usize,
    /// Memory of a process, bytes; none is no limit.
    pub memory_limit: Option<u64>,
    /// Processes and threads in a container.
    pub pids_limit: u32,
    /// The largest push and the largest tree that is built, bytes.
    pub push_limit: u64,
    /// How long a process has to end after SIGTERM.
    pub stop_grace: Duration,
}

/// Reads file, variables and flags. An error is the list of all mistakes.
pub fn read(
    arguments: &ServerArguments,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Vec<String>> {
    let mut mistakes = Vec::new();
    let file = match &arguments.config {
        Some(path) => layers::from_file(path, KNOWN, &mut mistakes),
        None if std::path::Path::new(FILE).exists() => {
            layers::from_file(FILE.as_ref(), KNOWN, &mut mistakes)
        }
        None => Layer::new(),
    };
    let layer = layers::merge(file, layers::from_variables(variables, KNOWN));
    let layer = layers::merge(layer, flags(arguments));
    let settings = interpret(&layer, arguments.dev, &mut mistakes);
    if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
}

fn flags(arguments: &ServerArguments) -> Layer {
    let data_dir: Vec<String> = arguments.data_dir.iter().cloned().collect();
    [
        ("data_dir", "--data-dir", &data_dir),
        ("ssh_listen", "--ssh-listen", &arguments.ssh_listen),
        ("http_listen", "--http-listen", &arguments.http_listen),
        ("base_domain", "--base-domain", &arguments.base_domain),
        ("authorized_key", "--authorized-key", &arguments.authorized_key),
    ]
    .into_iter()
    .filter(|(_, _, texts)| !texts.is_empty())
    .map(|(name, flag, texts)| {
        (name.to_owned(), Given { place: flag.to_owned(), texts: texts.clone() })
    })
    .collect()
}

/// Takes settings out of a layer, one after the other, collecting what is wrong.
struct Reader<'a> {
    layer: &'a Layer,
    mistakes: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(given) = self.layer.get(name) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        for text in &given.texts {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(why) => self.mistakes.push(format!("{}: {text:?} {why}", given.place)),
            }
        }
        values
    }

    fn one<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if let Some(given) = self.layer.get(name)
            && given.texts.len() != 1
        {
            self.mistakes.push(format!("{} takes exactly one value", given.place));
            return None;
        }
        self.list(name, parse).pop()
    }
}

fn interpret(layer: &Layer, is_dev: bool, mistakes: &mut Vec<String>) -> Settings {
    let mut reader = Reader { layer, mistakes };
    let address = |text: &str| {
        text.parse::<SocketAddr>().map_err(|_| "is not ADDRESS:PORT, such as 0.0.0.0:80".to_owned())
    };
    let host = if is_dev { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
    let or_default = |given: Vec<SocketAddr>, port: u16| {
        if given.is_empty() { vec![SocketAddr::from((host, port))] } else { given }
    };
    let ssh_listen = or_default(reader.list("ssh_listen", address), 2222);
    let http_listen =
        or_default(reader.list("http_listen", address), if is_dev { 8080 } else { 80 });
    let mut base_domains = reader.list("base_domain", |text| {
        text.parse::<DomainName>().map_err(|error| format!("is no domain: {error}"))
    });
    if base_domains.is_empty() {
        base_domains.extend("localhost".parse::<DomainName>());
    }
    let path = |text: &str| Ok(PathBuf::from(text));
    Settings {
        data_dir: reader.one("data_dir", path).unwrap_or_else(|| DATA_DIR.into()),
        ssh_listen,
        http_listen,
        base_domains,
        authorized_keys: reader.list("authorized_key", path),
        docker_socket: reader.one("docker_socket", |text| Ok(text.to_owned())),
        build_timeout: reader.one("build_timeout", duration).unwrap_or(Duration::from_secs(900)),
        builds_at_once: reader.one("builds_at_once", count).unwrap_or_else(builds_at_once),
        check_timeout: reader.one("check_timeout", duration).unwrap_or(Duration::from_secs(30)),
        check_uptime: reader.one("check_uptime", duration).unwrap_or(Duration::from_secs(5)),
        creates_apps: reader.one("creates_apps", yes_or_no).unwrap_or(true),
        disk_floor: DiskFloor {
            bytes: reader.one("disk_floor", size).unwrap_or(1 << 30),
            percent: reader.one("disk_floor_percent", percent).unwrap_or(5),
        },
        drain: reader.one("drain", duration).unwrap_or(Duration::from_secs(60)),
        image_mirrors: reader.list("image_mirror", pair).into_iter().collect(),
        keep_releases: reader.one("keep_releases", count).unwrap_or(5),
        memory_limit: reader.one("memory_limit", size),
        pids_limit: reader
            .one("pids_limit", count)
            .map_or(1024, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        push_limit: reader.one("push_limit", size).unwrap_or(1 << 30),
        stop_grace: reader.one("stop_grace", duration).unwrap_or(Duration::from_secs(30)),
    }
}

/// One for every two cores.
fn builds_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    number
        .zip(seconds)
        .and_then(|(number, seconds)| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "is no duration: write 30s, 15m or 2h".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    number
        .zip(shift)
        .and_then(|(number, shift)| number.checked_mul(1 << shift))
        .ok_or_else(|| "is no size: write bytes, or 512m, or 1g".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "is no whole number above 0".to_owned())
}

fn percent(text: &str) -> Result<u8, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| *number < 100)
        .ok_or_else(|| "is no whole number from 0 to 99".to_owned())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, mirror)| (name.trim().to_owned(), mirror.trim().to_owned()))
        .filter(|(name, mirror)| !name.is_empty() && !mirror.is_empty())
        .ok_or_else(|| "is not IMAGE=OTHER".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str], variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let arguments =
            ServerArguments::try_parse_from(["mini server"].iter().chain(words)).unwrap();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        read(&arguments, variables)
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "build_timeout = \"2m\"\nkeep_releases = 7\nbase_domain = [\"a.test\"]\n[image_mirror]\n\"node:22\" = \"mirror/node:22\"\n",
        )
        .unwrap();
        let path = file.path().to_str().unwrap();
        let settings = parse(
            &["--dev", "--config", path, "--base-domain", "c.test", "--base-domain", "d.test"],
            &[("MINI_BASE_DOMAIN", "b.test"), ("MINI_KEEP_RELEASES", "3"), ("MINI_LOG", "debug")],
        )
        .unwrap();
        assert_eq!(settings.build_timeout, Duration::from_secs(120));
        assert_eq!(settings.keep_releases, 3);
        let names: Vec<&str> = settings.base_domains.iter().map(DomainName::as_str).collect();
        assert_eq!(names, ["c.test", "d.test"]);
        assert_eq!(settings.image_mirrors["node:22"], "mirror/node:22");
        assert_eq!(settings.http_listen, ["127.0.0.1:8080".parse().unwrap()]);
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "bild_timeout = 3\ndrain = \"soon\"\n").unwrap();
        let path = file.path().to_str().unwrap();
        let mistakes = parse(
            &["--config", path, "--http-listen", "80", "--data-dir", "/a"],
            &[("MINI_PUSH_LIMIT", "1x"), ("MINI_CREATES_APPS", "maybe")],
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
        assert!(mistakes.iter().any(|line| line.contains("`bild_timeout`")));
    }

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!(size("512m"), Ok(512 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        assert!(size("99999999999g").is_err());
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert!(duration("2d").is_err());
    }
}
