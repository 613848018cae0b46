//! An option as it is typed: `build "--build-arg KEY=VALUE"`, `build "--secret id=ID,env=KEY"`, `deploy,run "--memory 1g"`.

use crate::model::{
    BuildSecretId, ConfigKey, ContainerOption, ContainerPhase, Kind, Problem, flag_and_value,
    unquoted,
};

/// The phase of builds.
pub(super) const BUILD: &str = "build";

/// What options are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phases {
    /// Builds.
    Build,
    /// Containers, of one phase or of several.
    Containers(Vec<ContainerPhase>),
}

impl Phases {
    /// As they are typed, with commas.
    pub(super) fn text(&self) -> String {
        match self {
            Phases::Build => BUILD.to_owned(),
            Phases::Containers(phases) => {
                let names: Vec<&str> = phases.iter().map(|phase| phase.as_str()).collect();
                names.join(",")
            }
        }
    }
}

/// An option of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BuildOption {
    /// `--build-arg NAME=VALUE`; the value is none where it was left out.
    Argument(ConfigKey, Option<String>),
    /// `--secret id=ID,env=KEY`; the config var is none where there can be none of the id's name.
    Secret(BuildSecretId, Option<ConfigKey>),
}

/// The words of an option as one.
pub(super) fn one(option: &[String]) -> Result<String, Problem> {
    // Dokku takes the option as one word; without quotes a shell makes two of it, and more are a mistake.
    if option.len() > 2 {
        return Err(Problem::new(
            Kind::Usage,
            "The option was not understood",
            "it is one option of at most two words, and what stands behind it belongs to it",
            "Quote it, and give flags of the command itself in front: --format json docker-options:add blog build \"--build-arg A=b c\"",
        ));
    }
    Ok(option.join(" ").trim().to_owned())
}

/// The option of containers that was typed.
pub(super) fn container_option(option: &[String]) -> Result<ContainerOption, Problem> {
    let option = one(option)?;
    if ["--build-arg", "--secret"]
        .iter()
        .any(|flag| option.starts_with(flag))
    {
        return Err(Problem::new(
            Kind::Invalid,
            "The option is not supported for containers",
            "arguments and secrets are given to builds",
            format!("Name that phase: docker-options:add APP build \"{option}\""),
        ));
    }
    option
        .parse()
        .map_err(|refused: crate::model::InvalidOption| {
            Problem::new(
                Kind::Invalid,
                format!("The option `{}` is not supported", refused.flag),
                refused.why,
                refused.next,
            )
        })
}

/// The option of builds that was typed.
pub(super) fn build_option(option: &[String]) -> Result<BuildOption, Problem> {
    let option = one(option)?;
    let (flag, value) = flag_and_value(&option);
    match flag {
        "--build-arg" => argument(value),
        "--secret" => secret(value),
        "--memory" | "-m" | "--memory-swap" => Err(Problem::new(
            Kind::Invalid,
            format!("The option `{flag}` is not supported"),
            "Docker ignores it for builds with BuildKit; mini watches what the steps of a build use instead",
            "Set a limit such as: builder:set APP build-memory-limit 2g",
        )),
        "--cpu-quota" | "--cpu-period" | "--cpu-shares" | "-c" | "--cpuset-cpus"
        | "--cpuset-mems" | "--cgroup-parent" => Err(Problem::new(
            Kind::Invalid,
            format!("The option `{flag}` is not supported"),
            "Docker's API gives builds with BuildKit no limit of CPU time, whatever a request says",
            "Have fewer builds at once with the setting `builds-at-once` of the server",
        )),
        flag => Err(Problem::new(
            Kind::Invalid,
            format!("The option `{}` is not supported", flag.escape_debug()),
            "of Docker's options for a build there are `--build-arg` and `--secret`; limits, networks and volumes have commands of their own",
            "Give one such as \"--build-arg API_URL=https://api.example.com\" or \"--secret id=NPM_TOKEN\"",
        )),
    }
}

fn argument(argument: &str) -> Result<BuildOption, Problem> {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(unquoted(value).to_owned())),
        None => (argument, None),
    };
    if value
        .as_deref()
        .is_some_and(|value| value.contains(char::is_control))
    {
        return Err(Problem::new(
            Kind::Invalid,
            format!("The build argument {} was not set", name.escape_debug()),
            "its value has more than one line",
            "Give a value of one line",
        ));
    }
    let name = name.parse().map_err(|_| {
        Problem::new(
            Kind::Invalid,
            format!(
                "`{}` is not the name of a build argument",
                name.escape_debug()
            ),
            "a name has letters, digits and `_`, and begins with no digit",
            "Give one such as \"--build-arg API_URL=https://api.example.com\"",
        )
    })?;
    Ok(BuildOption::Argument(name, value))
}

/// `id=NPM_TOKEN`, `id=npmrc,env=NPMRC`, `type=env,id=A`: as the docker client takes it, but for files.
fn secret(fields: &str) -> Result<BuildOption, Problem> {
    let wrong = |why: String, next: &str| {
        Problem::new(
            Kind::Invalid,
            "The build secret was not set",
            why,
            next.to_owned(),
        )
    };
    let form = "Give one such as \"--secret id=NPM_TOKEN\", or \"--secret id=npmrc,env=NPMRC\"";
    let (mut id, mut key) = (None, None);
    for field in fields.split(',') {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        match (name.trim(), unquoted(value.trim())) {
            ("id", value) => {
                let parsed: Result<BuildSecretId, _> = value.parse();
                id = Some(parsed.map_err(|error| wrong(error.rule.to_owned(), form))?);
            }
            ("env", value) => {
                let parsed: Result<ConfigKey, _> = value.parse();
                key = Some(parsed.map_err(|error| wrong(error.rule.to_owned(), form))?);
            }
            ("type", "env") => {}
            ("type", _) | ("src" | "source", _) => {
                let why = "builds are given no files of the server";
                let next =
                    "Put the value into a config var and name it: \"--secret id=npmrc,env=NPMRC\"";
                return Err(wrong(why.to_owned(), next));
            }
            (name, _) => {
                let why = format!("it has no field `{}`", name.escape_debug());
                return Err(wrong(why, form));
            }
        }
    }
    let Some(id) = id else {
        return Err(wrong("it has no id".to_owned(), form));
    };
    let key = key.or_else(|| id.as_str().parse().ok());
    Ok(BuildOption::Secret(id, key))
}

/// The phases that were typed, with commas as Dokku has it.
pub(super) fn phases(text: &str) -> Result<Phases, Problem> {
    let mut phases = Vec::new();
    let mut is_build = false;
    for name in text.split(',').map(str::trim) {
        match name.parse() {
            Ok(phase) => phases.push(phase),
            Err(()) if name == BUILD => is_build = true,
            Err(()) => {
                return Err(Problem::new(
                    Kind::Invalid,
                    format!("There is no phase `{}`", name.escape_debug()),
                    "an option is for builds (build), for the processes of the app (deploy), or for `run` (run)",
                    "Name one of them, or deploy,run",
                ));
            }
        }
    }
    phases.sort_unstable();
    phases.dedup();
    match (is_build, phases.is_empty()) {
        (true, true) => Ok(Phases::Build),
        (false, _) => Ok(Phases::Containers(phases)),
        (true, false) => Err(Problem::new(
            Kind::Invalid,
            "No option is for builds and for containers",
            "builds take arguments and secrets, containers take limits and the like",
            "Name either build, or deploy,run",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: Option<BuildOption>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(build_option(&words).ok(), expected, "{words:?}");
    }

    #[test]
    fn build_arguments_as_they_are_typed() {
        let argument = |name: &str, value: Option<&str>| {
            Some(BuildOption::Argument(
                name.parse().unwrap(),
                value.map(str::to_owned),
            ))
        };
        check(&["--build-arg A=b c"], argument("A", Some("b c")));
        check(&["--build-arg", "A=b"], argument("A", Some("b")));
        check(&["--build-arg=A=\"b=c\""], argument("A", Some("b=c")));
        check(&["--build-arg", "A="], argument("A", Some("")));
        check(&["--build-arg", "A"], argument("A", None));
        check(&["--build-arg", "A-B=1"], None);
        check(&["--build-arg", "A=1\nRUN x"], None);
        check(&["--memory 1g"], None);
        check(&["--build-arg", "A=1", "--format"], None);
        check(&["--build-argument", "A=1"], None);
        assert!(container_option(&["--build-arg A=1".to_owned()]).is_err());
    }

    #[test]
    fn phases_are_those_of_builds_or_of_containers() {
        let (deploy, run) = (ContainerPhase::Deploy, ContainerPhase::Run);
        let containers = |phases: &[ContainerPhase]| Some(Phases::Containers(phases.to_vec()));
        for (text, expected) in [
            ("build", Some(Phases::Build)),
            ("deploy", containers(&[deploy])),
            ("run, deploy,run", containers(&[deploy, run])),
            ("build,deploy", None),
            ("", None),
            ("start", None),
        ] {
            assert_eq!(phases(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn build_secrets_as_the_docker_client_takes_them() {
        let secret = |id: &str, key: Option<&str>| {
            Some(BuildOption::Secret(
                id.parse().unwrap(),
                key.map(|key| key.parse().unwrap()),
            ))
        };
        check(
            &["--secret id=NPM_TOKEN"],
            secret("NPM_TOKEN", Some("NPM_TOKEN")),
        );
        check(
            &["--secret", "id=npmrc,env=NPMRC"],
            secret("npmrc", Some("NPMRC")),
        );
        check(&["--secret=type=env,id=A"], secret("A", Some("A")));
        check(&["--secret id=pip.conf"], secret("pip.conf", None));
        check(&["--secret id=a,src=/etc/shadow"], None);
        check(&["--secret type=file,id=a"], None);
        check(&["--secret NPM_TOKEN"], None);
        check(&["--secret env=A"], None);
        check(&["--secret id=a/b"], None);
        check(&["--secret id=a,mode=1"], None);
    }
}
