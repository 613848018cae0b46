//! Variables an app is likely to want: by what it depends on, and by its own `.env.example`.

use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::dotenv::{self, Entry};
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::repository::Repository;
use crate::said::place;

/// In the order they are looked for; the first that exists counts.
const EXAMPLES: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "env.example",
    ".env.local.example",
];

/// A variable to set, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Its name.
    pub key: String,
    /// A value that does for a start; empty where only the owner knows one, and always for a secret.
    pub value: String,
    /// Why it is suggested.
    pub reason: String,
    /// What the app's own example says about it.
    pub description: Option<String>,
    /// Whether its value has to be kept secret.
    pub is_secret: bool,
    /// The example file it is in, from the root of the repository.
    pub file: Option<String>,
    /// The line there, from 1.
    pub line: Option<usize>,
}

/// A set of variables to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentTemplate {
    /// What it is called by.
    pub name: String,
    /// What it is for.
    pub title: String,
    /// Its variables.
    pub variables: Vec<Suggestion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Templates {
    templates: Vec<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    name: String,
    title: String,
    variables: Vec<Variable>,
}

/// The sets of variables there are, in order.
///
/// # Errors
/// [`DetectError::BrokenBuildpack`] if our own file cannot be read, which a test does.
pub fn environment_templates() -> Result<Vec<EnvironmentTemplate>, DetectError> {
    let file: Templates =
        toml::from_str(include_str!("../environment-templates.toml")).map_err(|error| {
            DetectError::BrokenBuildpack {
                name: "environment-templates.toml".to_owned(),
                problem: error.to_string(),
            }
        })?;
    let templates = file.templates.into_iter().map(|template| {
        let reason = format!("in the template {}", template.name);
        let variables = template.variables.into_iter();
        EnvironmentTemplate {
            variables: variables
                .map(|variable| variable.suggested(&reason))
                .collect(),
            name: template.name,
            title: template.title,
        }
    });
    Ok(templates.collect())
}

/// The form of a language's `environment.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    #[serde(default)]
    pub(crate) suggest: Vec<Rule>,
}

/// What one kind of app wants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(default)]
    pub(crate) when: Condition,
    pub(crate) reason: String,
    pub(crate) variables: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

impl Variable {
    fn suggested(&self, reason: &str) -> Suggestion {
        Suggestion {
            key: self.key.clone(),
            value: self.value.clone(),
            reason: reason.to_owned(),
            description: None,
            is_secret: is_secret(&self.key, &self.value),
            file: None,
            line: None,
        }
    }
}

/// What the rules of one buildpack suggest; of two rules for one variable the first counts.
///
/// # Errors
/// A manifest that has to be looked into is broken.
pub(crate) fn by_rules(
    evaluation: &Evaluation<'_>,
    suggestions: &mut Vec<Suggestion>,
) -> Result<(), DetectError> {
    for rule in &evaluation.buildpack.environment.suggest {
        if !rule.when.holds(evaluation)? {
            continue;
        }
        for variable in &rule.variables {
            if suggestions.iter().any(|known| known.key == variable.key) {
                continue;
            }
            suggestions.push(variable.suggested(&rule.reason));
        }
    }
    Ok(())
}

/// Adds what the app's own example names. Its value goes before a rule's. Returns warnings.
///
/// # Errors
/// The repository cannot be read.
pub(crate) fn by_example(
    repository: &Repository<'_>,
    suggestions: &mut Vec<Suggestion>,
) -> Result<Vec<String>, DetectError> {
    let Some(path) = EXAMPLES.iter().find(|path| repository.has(path)) else {
        return Ok(Vec::new());
    };
    let (entries, strange) = dotenv::parse(&repository.source(path)?);
    let file = repository.from_root(path);
    merge_all(suggestions, entries, &file);
    let strange = strange.first().map(|line| {
        let place = place(&file, Some(*line));
        format!("{place} is not `KEY=value` and is passed over")
    });
    Ok(strange.into_iter().collect())
}

fn merge_all(suggestions: &mut Vec<Suggestion>, mut entries: Vec<Entry>, file: &str) {
    let is_database = is_of_database(&entries);
    for entry in &mut entries {
        if is_own_address(&entry.key, &entry.value) && !(is_database && entry.key == "HOST") {
            entry.value = "0.0.0.0".to_owned();
        }
    }
    for entry in entries {
        merge(suggestions, entry, file);
    }
}

fn merge(suggestions: &mut Vec<Suggestion>, entry: Entry, file: &str) {
    let is_secret = is_secret(&entry.key, &entry.value);
    let value = if is_secret || is_placeholder(&entry.value) {
        String::new()
    } else {
        entry.value
    };
    let line = Some(entry.line);
    if let Some(known) = suggestions.iter_mut().find(|known| known.key == entry.key) {
        known.is_secret |= is_secret;
        if known.is_secret {
            known.value = String::new();
        } else if !value.is_empty() {
            known.value = value;
        }
        known.description = entry.description;
        known.file = Some(file.to_owned());
        known.line = line;
        return;
    }
    suggestions.push(Suggestion {
        key: entry.key,
        value,
        reason: format!("named in {file}"),
        description: entry.description,
        is_secret,
        file: Some(file.to_owned()),
        line,
    });
}

/// Whether a variable says to listen to the own machine alone: right on a developer's, where a container would answer nobody.
fn is_own_address(key: &str, value: &str) -> bool {
    let names_the_listener = [
        "HOST",
        "HOSTNAME",
        "BIND",
        "BIND_ADDRESS",
        "LISTEN_HOST",
        "SERVER_HOST",
    ];
    names_the_listener.contains(&key) && matches!(value, "localhost" | "127.0.0.1" | "::1")
}

/// Whether `HOST` may be where the database is: it stands beside a name or a password for one that has no host of its own.
fn is_of_database(entries: &[Entry]) -> bool {
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let is_plain = ["USER", "USERNAME", "PASSWORD", "PASS", "DATABASE"];
    let is_prefixed = [
        "DB_USER",
        "DB_USERNAME",
        "DB_PASSWORD",
        "DB_PASS",
        "DB_NAME",
    ];
    is_plain.into_iter().any(has) || (is_prefixed.into_iter().any(has) && !has("DB_HOST"))
}

/// Whether a variable of that name, or a value like that one, is to be kept from others.
fn is_secret(key: &str, value: &str) -> bool {
    const WORDS: &[&str] = &[
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "TOKEN",
        "CREDENTIAL",
        "CREDENTIALS",
        "SALT",
        "APIKEY",
        "KEY",
        "KEYS",
        "PRIVATE",
    ];
    let key = key.to_ascii_uppercase();
    let words: Vec<&str> = key.split('_').collect();
    let is_public = words
        .iter()
        .any(|word| matches!(*word, "PUBLIC" | "PUBLISHABLE" | "SITE" | "VITE"));
    let has_word = words
        .iter()
        .any(|word| WORDS.contains(word) || word.ends_with("PASSWORD") || word.ends_with("SECRET"));
    (has_word && !is_public) || has_credentials(value) || value.starts_with("-----BEGIN")
}

/// `scheme://user:password@host`
fn has_credentials(value: &str) -> bool {
    value
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next()?.rsplit_once('@'))
        .is_some_and(|(user, _)| user.contains(':'))
}

/// A value that only says that one is wanted.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    (lower.starts_with('<') && lower.ends_with('>'))
        || [
            "your",
            "changeme",
            "change-me",
            "change_me",
            "replace",
            "todo",
            "xxx",
            "...",
        ]
        .iter()
        .any(|word| lower.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn secrets_are_known_by_name_and_by_value() {
        for key in [
            "SECRET_KEY",
            "DB_PASSWORD",
            "GITHUB_TOKEN",
            "STRIPE_API_KEY",
            "PGPASSWORD",
            "JWT_SECRET",
        ] {
            assert!(is_secret(key, ""), "{key}");
        }
        for key in [
            "PORT",
            "NEXT_PUBLIC_STRIPE_KEY",
            "KEYCLOAK_URL",
            "COMPASS",
            "MONKEY",
            "DEBUG",
        ] {
            assert!(!is_secret(key, "x"), "{key}");
        }
        assert!(is_secret("DATABASE_URL", "postgres://me:pw@localhost/db"));
        assert!(!is_secret("DATABASE_URL", "postgres://localhost:5432/db"));
    }

    #[test]
    fn an_example_for_one_machine_does_not_shut_the_app_in() {
        for (example, expected) in [
            (
                "HOST=localhost\nDB_HOST=localhost\nBIND=10.0.0.1\n",
                ["0.0.0.0", "localhost", "10.0.0.1"].as_slice(),
            ),
            // That of the database.
            (
                "HOST=localhost\nUSER=root\nPASSWORD=\nDATABASE=shop\nBIND=::1\n",
                &["localhost", "root", "", "shop", "0.0.0.0"],
            ),
            ("DB_USER=shop\nHOST=127.0.0.1\n", &["shop", "127.0.0.1"]),
            (
                "DB_USER=shop\nHOST=127.0.0.1\nDB_HOST=localhost\n",
                &["shop", "0.0.0.0", "localhost"],
            ),
        ] {
            let (entries, _) = dotenv::parse(example);
            let mut suggestions = Vec::new();
            merge_all(&mut suggestions, entries, ".env.example");
            let values: Vec<&str> = suggestions
                .iter()
                .map(|found| found.value.as_str())
                .collect();
            assert_eq!(values, expected, "{example}");
        }
    }

    #[test]
    fn templates_are_read_and_give_no_secret_a_value() {
        let templates = environment_templates().unwrap();
        let names: Vec<&str> = templates
            .iter()
            .map(|template| template.name.as_str())
            .collect();
        assert_eq!(names, ["node-express", "python-django", "database"]);
        for variable in templates.iter().flat_map(|template| &template.variables) {
            assert!(
                !variable.is_secret || variable.value.is_empty(),
                "{variable:?}"
            );
        }
    }

    #[test]
    fn no_rule_gives_a_secret_a_value() {
        for buildpack in &Catalogue::embedded().unwrap().buildpacks {
            for variable in buildpack
                .environment
                .suggest
                .iter()
                .flat_map(|rule| &rule.variables)
            {
                assert!(
                    variable.value.is_empty() || !is_secret(&variable.key, &variable.value),
                    "{}: {}",
                    buildpack.name,
                    variable.key
                );
            }
        }
    }
}
