//! Checks that a repository declares: `healthchecks` in `app.json`, and Dokku's older `CHECKS` file.

use std::collections::BTreeMap;
use std::time::Duration;

use mini_buildpacks::Tree;
use serde::Deserialize;

use crate::model::{Check, CheckKind, Kind, Problem, ProcessType};

/// The largest file that is read, bytes.
const FILE_LIMIT: usize = 1 << 20;
/// Dokku's defaults for a check of `app.json`: three attempts, 5 s each, 5 s apart.
const ATTEMPTS: u32 = 3;
const SECONDS: u64 = 5;

/// Parts of `app.json` that are not acted on, and what is to be done instead (RFC 6901 pointers).
const UNREAD: &[(&str, &str)] = &[("/cron", "`cron`")];

/// Checks by process type, and what of the declaration is not acted on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) checks: BTreeMap<ProcessType, Vec<Check>>,
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
struct AppJson {
    #[serde(default)]
    healthchecks: BTreeMap<String, Vec<HealthCheck>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthCheck {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    command: Option<serde_json::Value>,
    #[serde(default)]
    uptime: Option<u64>,
    #[serde(default)]
    listening: Option<bool>,
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    wait: Option<u64>,
    #[serde(default)]
    initial_delay: Option<u64>,
    #[serde(default)]
    port: Option<u16>,
}

/// Reads what `tree` declares. `app.json` wins over `CHECKS`.
pub(super) fn declared_checks(tree: &dyn Tree) -> Result<Declared, Problem> {
    let mut unread = None;
    if let Some(text) = read(tree, "app.json")? {
        let mut declared = from_app_json(&text)?;
        unread = unread_in(&text);
        if !declared.checks.is_empty() || !declared.warnings.is_empty() {
            declared.warnings.extend(unread);
            return Ok(declared);
        }
    }
    let mut declared = match read(tree, "CHECKS")? {
        Some(text) => from_checks_file(&text)?,
        None => Declared::default(),
    };
    declared.warnings.extend(unread);
    Ok(declared)
}

/// What Dokku or Heroku would act on in `app.json` and mini does not: silence would be taken for consent.
fn unread_in(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}');
    let all: serde_json::Value = serde_json::from_str(text).ok()?;
    let unread: Vec<&str> = UNREAD
        .iter()
        .filter(|(pointer, _)| all.pointer(pointer).is_some_and(|part| !is_empty(part)))
        .map(|(_, what)| *what)
        .collect();
    match unread.is_empty() {
        true => None,
        false => Some(format!("app.json: not acted on yet: {}", unread.join("; "))),
    }
}

fn is_empty(part: &serde_json::Value) -> bool {
    match part {
        serde_json::Value::Null => true,
        serde_json::Value::Array(parts) => parts.is_empty(),
        serde_json::Value::Object(parts) => parts.is_empty(),
        serde_json::Value::String(text) => text.trim().is_empty(),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}

/// The text of a file at the root of `tree`, if it is there.
pub(super) fn read(tree: &dyn Tree, path: &str) -> Result<Option<String>, Problem> {
    let invalid = |why: String| {
        Problem::new(
            Kind::AppFailed,
            format!("{path} cannot be read"),
            why,
            "correct the file, commit, and push again",
        )
    };
    match tree.read(path, FILE_LIMIT) {
        Ok(Some(bytes)) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| invalid("it is not UTF-8".to_owned())),
        Ok(None) => Ok(None),
        Err(error) => Err(invalid(error.to_string())),
    }
}

fn from_app_json(text: &str) -> Result<Declared, Problem> {
    let parsed: AppJson = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| wrong_app_json(&error))?;
    let mut declared = Declared::default();
    for (name, checks) in parsed.healthchecks {
        let process_type: ProcessType = name.parse()?;
        for check in checks {
            match check.r#type.as_deref() {
                None | Some("startup") => {}
                Some(other) => {
                    declared.warnings.push(format!(
                        "app.json: healthcheck of type `{other}` for {process_type} is not acted on yet, only `startup`"
                    ));
                    continue;
                }
            }
            if check.command.is_some() || check.port.is_some() {
                let field = if check.command.is_some() {
                    "command"
                } else {
                    "port"
                };
                declared.warnings.push(format!(
                    "app.json: a healthcheck of {process_type} with `{field}` is not acted on yet"
                ));
                continue;
            }
            declared
                .checks
                .entry(process_type.clone())
                .or_default()
                .push(to_check(check)?);
        }
    }
    Ok(declared)
}

/// `app.json` is no JSON, or has something else where a check or a variable ought to be.
pub(super) fn wrong_app_json(error: &serde_json::Error) -> Problem {
    Problem::new(
        Kind::AppFailed,
        "app.json is not what it should be",
        error.to_string(),
        "correct that line, commit, and push again",
    )
}

fn to_check(check: HealthCheck) -> Result<Check, Problem> {
    let kind = if let Some(uptime) = check.uptime {
        CheckKind::Uptime {
            duration: Duration::from_secs(uptime),
        }
    } else if check.listening == Some(true) {
        CheckKind::Listening
    } else {
        let path = check.path.unwrap_or_else(|| "/".to_owned());
        require_path("app.json", &path)?;
        CheckKind::Http {
            path,
            content: check.content,
            host: None,
        }
    };
    Ok(Check {
        kind,
        attempts: check.attempts.unwrap_or(ATTEMPTS).max(1),
        timeout: Duration::from_secs(check.timeout.unwrap_or(SECONDS)),
        wait: Duration::from_secs(check.wait.unwrap_or(SECONDS)),
        initial_delay: Duration::from_secs(check.initial_delay.unwrap_or(0)),
    })
}

fn require_path(file: &str, path: &str) -> Result<(), Problem> {
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::AppFailed,
        format!("{file}: the check's path {path:?} is not a path"),
        "a path begins with `/` and has no spaces",
        "correct it, commit, and push again",
    ))
}

/// `WAIT=5`, `TIMEOUT=30`, `ATTEMPTS=5`, then lines of a path (or `//host/path`) and the content expected there.
fn from_checks_file(text: &str) -> Result<Declared, Problem> {
    let (mut wait, mut timeout, mut attempts) = (5, 30, 5);
    let mut paths = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((key, value)) = line.split_once('=')
            && matches!(key.trim(), "WAIT" | "TIMEOUT" | "ATTEMPTS")
        {
            let value: u64 = value.trim().parse().map_err(|_| {
                Problem::new(
                    Kind::AppFailed,
                    "CHECKS is not what it should be",
                    format!(
                        "line {}: {} needs a whole number of at most 9 digits",
                        number + 1,
                        key.trim()
                    ),
                    "correct that line, commit, and push again",
                )
            })?;
            match key.trim() {
                "WAIT" => wait = value,
                "TIMEOUT" => timeout = value,
                _ => attempts = value,
            }
            continue;
        }
        let (target, content) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let target = target.strip_prefix("http:").unwrap_or(target);
        let (host, path) = match target.strip_prefix("//") {
            Some(rest) => match rest.split_once('/') {
                Some((host, path)) => (Some(host.to_owned()), format!("/{path}")),
                None => (Some(rest.to_owned()), "/".to_owned()),
            },
            None => (None, target.to_owned()),
        };
        require_path("CHECKS", &path)?;
        let content = content.trim();
        let content = (!content.is_empty()).then(|| content.to_owned());
        paths.push(CheckKind::Http {
            path,
            content,
            host,
        });
    }
    let checks: Vec<Check> = paths
        .into_iter()
        .map(|kind| Check {
            kind,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX).clamp(1, 1000),
            timeout: Duration::from_secs(timeout.min(86_400)),
            wait: Duration::from_secs(wait.min(86_400)),
            initial_delay: Duration::ZERO,
        })
        .collect();
    let mut declared = Declared::default();
    if !checks.is_empty() {
        declared.checks.insert(ProcessType::web(), checks);
        declared.warnings.push(
            "The CHECKS file still works, but `healthchecks` in app.json is what is documented"
                .to_owned(),
        );
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mini_buildpacks::MapTree;

    fn declared(path: &str, text: &str) -> Result<Declared, Problem> {
        declared_checks(&MapTree::new().with(path, text))
    }

    #[test]
    fn app_json_checks_get_dokkus_defaults() {
        let text = r#"{"healthchecks":{"web":[{"path":"/up","content":"ok"},{"type":"startup","uptime":3},{"listening":true,"timeout":9}]}}"#;
        let found = declared("app.json", text).unwrap();
        let checks = &found.checks[&ProcessType::web()];
        assert_eq!(
            checks[0].kind,
            CheckKind::Http {
                path: "/up".to_owned(),
                content: Some("ok".to_owned()),
                host: None
            }
        );
        assert_eq!(
            (checks[0].attempts, checks[0].timeout, checks[0].wait),
            (3, Duration::from_secs(5), Duration::from_secs(5))
        );
        assert_eq!(
            checks[1].kind,
            CheckKind::Uptime {
                duration: Duration::from_secs(3)
            }
        );
        assert_eq!(
            (&checks[2].kind, checks[2].timeout),
            (&CheckKind::Listening, Duration::from_secs(9))
        );
    }

    #[test]
    fn what_is_not_acted_on_is_said() {
        let text = r#"{"healthchecks":{"web":[{"type":"liveness","path":"/"},{"command":["a"]}]}}"#;
        let found = declared("app.json", text).unwrap();
        assert!(found.checks.is_empty());
        assert_eq!(found.warnings.len(), 2);
    }

    #[test]
    fn parts_of_app_json_that_change_nothing_are_named() {
        let text = r#"{"name":"x","formation":{"web":{"quantity":2}},"cron":[{"command":"x","schedule":"@daily"}],"scripts":{"postdeploy":"rake seed","test":"x"}}"#;
        let tree = MapTree::new().with("app.json", text).with("CHECKS", "/up");
        let found = declared_checks(&tree).unwrap();
        assert_eq!(found.checks.len(), 1);
        assert_eq!(
            found.warnings.last().map(String::as_str),
            Some("app.json: not acted on yet: `cron`")
        );
        assert!(
            declared("app.json", r#"{"cron":[]}"#)
                .unwrap()
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn a_checks_file_is_read_and_other_files_are_not_needed() {
        let text = "# c\nWAIT=1\nATTEMPTS = 2\n/a  hello world\n//x.test/b\n";
        let found = declared("CHECKS", text).unwrap();
        let checks = &found.checks[&ProcessType::web()];
        assert_eq!(checks.len(), 2);
        assert_eq!(
            (checks[0].attempts, checks[0].wait),
            (2, Duration::from_secs(1))
        );
        assert_eq!(
            checks[1].kind,
            CheckKind::Http {
                path: "/b".to_owned(),
                content: None,
                host: Some("x.test".to_owned())
            }
        );
        assert_eq!(declared("README", "x").unwrap(), Declared::default());
    }

    #[test]
    fn mistakes_name_the_place() {
        for (path, text, expected) in [
            ("app.json", "{\n\"healthchecks\": 3}", "line 2"),
            (
                "app.json",
                r#"{"healthchecks":{"web":[{"path":"x y"}]}}"#,
                "",
            ),
            ("CHECKS", "WAIT=soon\n", "line 1"),
            ("CHECKS", "WAIT=99999999999999999999999\n", "line 1"),
        ] {
            let problem = declared(path, text).unwrap_err();
            assert!(problem.why.contains(expected), "{problem:?}");
        }
    }
}
