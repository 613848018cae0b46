//! Where settings come from: the file, credentials of systemd, variables, flags, the later one winning.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches};

use super::catalogue::{SETTINGS, Setting};
use super::in_force::{self, Origin};
use super::values::yes_or_no;
use super::{FILE, Settings};
use crate::backup::S3Access;
use crate::commands::nearest;
use crate::model::{Kind, Problem};

/// What is read.
pub(in crate::boot) struct Sources<'a> {
    /// The flags of `mini server`.
    pub flags: &'a ArgMatches,
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The content of a file.
    pub file: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

/// Everything that is wrong with the settings, one line each.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::boot) struct Mistakes(pub Vec<String>);

impl From<Mistakes> for Problem {
    fn from(mistakes: Mistakes) -> Self {
        let what = match mistakes.0.len() {
            1 => "There is a mistake in the settings".to_owned(),
            number => format!("There are {number} mistakes in the settings"),
        };
        let next = "Correct them; `mini server --check-config` checks without starting, `mini server --help` names all settings";
        Problem::new(Kind::Usage, what, mistakes.0.join("\n"), next)
    }
}

/// The flags of `mini server`: one for each setting, and those that say where the others are.
pub(in crate::boot) fn flags() -> clap::Command {
    let mut command = clap::Command::new("server")
        .bin_name("mini server")
        .about("Run the server: SSH, builds, processes and proxy in one")
        .after_help(
            "Each setting is also a key in the file (`ssh-listen = [\"0.0.0.0:2222\"]`) and a variable \
             (MINI_SSH_LISTEN, several values with commas). Flags win over variables, variables over the file. \
             Secrets, acme-eab-hmac-key and backup-s3-secret-key, are no flags; they are also taken from credentials of systemd: mini.acme-eab-hmac-key.",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help(format!("The file with the settings [default: {FILE}]")),
        )
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Check the settings, print what is in force, and do not start"),
        )
        .arg(
            Arg::new("takeover")
                .long("takeover")
                .action(ArgAction::SetTrue)
                .help(
                    "Take over from the server that runs on this data directory, without losing a connection: \
                     it finishes what it has begun, hands over and ends. Without one this is an ordinary start",
                ),
        )
        .arg(
            Arg::new("dev")
                .long("dev")
                .action(ArgAction::SetTrue)
                .help("Defaults that need no root: 127.0.0.1, ports 2222, 8080 and 8443, base domain localhost, data in ~/.local/share/mini"),
        );
    for setting in SETTINGS.iter().filter(|setting| !setting.is_secret) {
        command = command.arg(
            Arg::new(setting.name)
                .long(setting.name)
                .value_name(setting.value)
                .action(if setting.is_list {
                    ArgAction::Append
                } else {
                    ArgAction::Set
                })
                .help(setting.help),
        );
    }
    command
}

/// Reads all sources and reports all mistakes together.
pub(in crate::boot) fn read(sources: &Sources<'_>) -> Result<Settings, Mistakes> {
    read_with_origins(sources).map(|(settings, _)| settings)
}

/// Every setting as it is in force and where it comes from, as text; all mistakes together.
pub(in crate::boot) fn in_force(sources: &Sources<'_>) -> Result<String, Mistakes> {
    read_with_origins(sources).map(|(settings, origins)| in_force::lines(&settings, &origins))
}

/// The way to buckets alone, for commands that need no server: the mistakes of other settings are none of their business, and
/// a file that may not be read is none for them.
pub(in crate::boot) fn backup_access(sources: &Sources<'_>) -> Result<S3Access, Mistakes> {
    let mut mistakes = Vec::new();
    let file = file_values(sources, &mut Vec::new());
    let mut settings = Settings::new(false);
    let own = |setting: &&Setting| setting.name.starts_with("backup-s3-");
    for setting in SETTINGS.iter().filter(own) {
        let sourced = [
            from_file(&file, setting),
            from_credential(sources, setting, &mut mistakes),
            from_variable(sources, setting, &mut mistakes),
        ];
        for (place, values) in sourced.into_iter().flatten() {
            if let Err(mistake) = (setting.apply)(&mut settings, &values) {
                mistakes.push(format!("{place}: {mistake}"));
            }
        }
    }
    match mistakes.is_empty() {
        true => Ok(settings.backup_access),
        false => Err(Mistakes(mistakes)),
    }
}

fn read_with_origins(sources: &Sources<'_>) -> Result<(Settings, Vec<Origin>), Mistakes> {
    let mut mistakes = Vec::new();
    let mut origins = Vec::new();
    let file = file_values(sources, &mut mistakes);
    let dev = is_dev(sources, &file, &mut mistakes);
    let mut settings = Settings::new(dev);
    if dev && !rustix::process::geteuid().is_root() {
        let home = super::home_data_dir(|name| (sources.variable)(name));
        settings.data_dir = home.unwrap_or(settings.data_dir);
    }
    settings.file = file.is_there.then(|| file.path.clone());
    for setting in SETTINGS {
        let sourced = [
            from_file(&file, setting),
            from_credential(sources, setting, &mut mistakes),
            from_variable(sources, setting, &mut mistakes),
            from_flags(sources, setting),
        ];
        for (place, values) in sourced.into_iter().flatten() {
            if values.is_empty() {
                mistakes.push(format!("{place}: no value is given"));
            } else if !setting.is_list && values.len() > 1 {
                mistakes.push(format!("{place}: there can be only one value"));
            } else if let Err(mistake) = (setting.apply)(&mut settings, &values) {
                mistakes.push(format!("{place}: {mistake}"));
            } else {
                origins.push(Origin {
                    name: setting.name,
                    place,
                    values,
                });
            }
        }
    }
    if settings.data_dir.as_os_str().is_empty() {
        mistakes.push("data-dir: a folder is needed".to_owned());
    }
    mistakes.extend(settings.mistakes());
    if mistakes.is_empty() {
        Ok((settings, origins))
    } else {
        Err(Mistakes(mistakes))
    }
}

type Sourced = Option<(String, Vec<String>)>;

/// The keys of the file, or none where there is no file.
struct FileValues {
    path: PathBuf,
    is_there: bool,
    keys: Vec<(String, Vec<String>)>,
}

fn file_values(sources: &Sources<'_>, mistakes: &mut Vec<String>) -> FileValues {
    let named = sources
        .flags
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| (sources.variable)("MINI_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
    let shown = path.display().to_string();
    let mut values = FileValues {
        path: path.clone(),
        is_there: false,
        keys: Vec::new(),
    };
    let text = match (sources.file)(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return values;
        }
        Err(error) => {
            mistakes.push(format!("{shown}: {error}"));
            return values;
        }
    };
    values.is_there = true;
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            mistakes.push(format!("{shown}: {}", error.to_string().trim_end()));
            return values;
        }
    };
    for (key, value) in table {
        let is_known = key == "dev" || SETTINGS.iter().any(|setting| setting.name == key);
        if !is_known {
            let names = SETTINGS.iter().map(|setting| setting.name);
            let hint = nearest(&key, names)
                .map(|name| format!(", did you mean `{name}`?"))
                .unwrap_or_default();
            mistakes.push(format!(
                "{shown}: there is no setting `{}`{hint}",
                key.escape_debug()
            ));
        } else if let Some(texts) = texts(&key, &value) {
            values.keys.push((key, texts));
        } else {
            mistakes.push(format!(
                "{shown}: `{key}` is a text, a number, true or false, or a list of these"
            ));
        }
    }
    values
}

/// A value of the file as the texts a flag would have. `image-mirror` may also be a table.
fn texts(key: &str, value: &toml::Value) -> Option<Vec<String>> {
    let scalar = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    };
    match value {
        toml::Value::Array(values) => values.iter().map(scalar).collect(),
        toml::Value::Table(table) if key == "image-mirror" => table
            .iter()
            .map(|(image, other)| scalar(other).map(|other| format!("{image}={other}")))
            .collect(),
        value => scalar(value).map(|text| vec![text]),
    }
}

fn from_file(file: &FileValues, setting: &Setting) -> Sourced {
    let (_, values) = file.keys.iter().find(|(key, _)| key == setting.name)?;
    let place = format!("{}: {}", file.path.display(), setting.name);
    Some((place, values.clone()))
}

fn variable_name(setting: &str) -> String {
    format!("MINI_{}", setting.replace('-', "_").to_uppercase())
}

fn from_variable(sources: &Sources<'_>, setting: &Setting, mistakes: &mut Vec<String>) -> Sourced {
    let name = variable_name(setting.name);
    let Ok(text) = (sources.variable)(&name)?.into_string() else {
        mistakes.push(format!("{name}: the value is not UTF-8"));
        return None;
    };
    let values = if setting.is_list {
        text.split(',')
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    } else {
        vec![text]
    };
    Some((name, values))
}

fn from_flags(sources: &Sources<'_>, setting: &Setting) -> Sourced {
    if setting.is_secret {
        return None;
    }
    let values = sources.flags.get_many::<String>(setting.name)?;
    Some((format!("--{}", setting.name), values.cloned().collect()))
}

/// `dev` decides the defaults, so it is read before all else.
fn is_dev(sources: &Sources<'_>, file: &FileValues, mistakes: &mut Vec<String>) -> bool {
    if sources.flags.get_flag("dev") {
        return true;
    }
    let variable = (sources.variable)("MINI_DEV").map(|text| {
        let text = text.to_string_lossy().into_owned();
        ("MINI_DEV".to_owned(), text)
    });
    let key = file.keys.iter().find(|(key, _)| key == "dev");
    let key = key.map(|(_, texts)| (format!("{}: dev", file.path.display()), texts.concat()));
    let Some((place, text)) = variable.or(key) else {
        return false;
    };
    yes_or_no(&text).unwrap_or_else(|mistake| {
        mistakes.push(format!("{place}: {mistake}"));
        false
    })
}

/// A secret that systemd hands to the service as a credential (`LoadCredential=mini.acme-eab-hmac-key`): only the service sees
/// the file, and no variable holds it (<https://systemd.io/CREDENTIALS/>).
fn from_credential(
    sources: &Sources<'_>,
    setting: &Setting,
    mistakes: &mut Vec<String>,
) -> Sourced {
    if !setting.is_secret {
        return None;
    }
    let folder = PathBuf::from((sources.variable)("CREDENTIALS_DIRECTORY")?);
    let place = format!("the credential mini.{}", setting.name);
    match (sources.file)(&folder.join(format!("mini.{}", setting.name))) {
        Ok(text) => Some((place, vec![text.trim_end().to_owned()])),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        // In a container systemd 252 may hand nothing over, and leaves a folder that only root enters. Where the secret is needed,
        // that it is not there is a mistake of its own.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => {
            mistakes.push(format!("{place}: {error}"));
            None
        }
    }
}
