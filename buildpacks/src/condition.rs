//! The `when` of a `buildpack.toml`.

use serde::Deserialize;

use crate::error::DetectError;
use crate::evaluation::Evaluation;

/// Everything that is stated has to hold; an empty condition holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Condition {
    /// A file (or a pattern of Docker's form) exists.
    file: Option<String>,
    /// One of several files exists.
    any_file: Vec<String>,
    /// A JSON file has a value at a pointer.
    json: Option<Key>,
    /// A TOML file has a value at a dotted key.
    toml: Option<Key>,
    /// A manifest contains a text.
    text: Option<Text>,
    /// The app depends on a package.
    dependency: Option<String>,
    /// The app depends on one of several packages.
    any_dependency: Vec<String>,
    /// A fact was found (and is neither false nor empty); `workspace.name` is a part of one.
    fact: Option<String>,
    /// A fact is this text.
    equals: Option<Equals>,
    /// Two facts are the same text.
    same: Option<(String, String)>,
    /// A fact is a text with one of these in front.
    begins: Option<Affix>,
    /// A fact is a text with one of these behind.
    ends: Option<Affix>,
    /// The dependencies are installed by this program.
    manager: Option<String>,
    /// A fact is a list of exactly one item.
    single: Option<String>,
    /// A flag of this buildpack holds.
    flag: Option<String>,
    /// The owner of the app decided this command.
    decided: Option<Decision>,
    /// The app is a directory of a larger repository.
    inside: Option<bool>,
    /// One of these holds.
    any: Vec<Condition>,
    /// This does not hold.
    not: Option<Box<Condition>>,
}

/// A command that an owner may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    Install,
    Build,
    /// That of `web`, in a Procfile too.
    Start,
    /// No command, but the directory that is served.
    WebRoot,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    file: String,
    key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    file: String,
    contains: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Equals {
    fact: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Affix {
    fact: String,
    with: Vec<String>,
}

impl Affix {
    fn holds(&self, evaluation: &Evaluation<'_>, fits: impl Fn(&str, &str) -> bool) -> bool {
        let text = evaluation.fact_text(&self.fact);
        text.is_some_and(|text| self.with.iter().any(|affix| fits(text, affix)))
    }
}

impl Condition {
    /// Whether the condition holds for a repository.
    ///
    /// # Errors
    /// A manifest that has to be looked into is broken.
    pub(crate) fn holds(&self, evaluation: &Evaluation<'_>) -> Result<bool, DetectError> {
        let repository = evaluation.repository;
        let files_hold = self
            .file
            .iter()
            .all(|file| repository.first_of([file]).is_some())
            && (self.any_file.is_empty() || repository.first_of(&self.any_file).is_some());
        let dependencies_hold = self
            .dependency
            .iter()
            .all(|name| evaluation.depends_on(name))
            && (self.any_dependency.is_empty()
                || self
                    .any_dependency
                    .iter()
                    .any(|name| evaluation.depends_on(name)));
        if !files_hold
            || !dependencies_hold
            || !self.fact.iter().all(|name| evaluation.has_fact(name))
            || !self
                .equals
                .iter()
                .all(|Equals { fact, value }| evaluation.fact_text(fact) == Some(value))
            || !self.same.iter().all(|(one, other)| {
                let text = evaluation.fact_text(one);
                text.is_some() && text == evaluation.fact_text(other)
            })
            || !self
                .begins
                .iter()
                .all(|begins| begins.holds(evaluation, |text, affix| text.starts_with(affix)))
            || !self
                .ends
                .iter()
                .all(|ends| ends.holds(evaluation, |text, affix| text.ends_with(affix)))
            || !self
                .manager
                .iter()
                .all(|name| evaluation.manager() == Some(name))
            || !self.single.iter().all(|name| evaluation.is_single(name))
            || self
                .inside
                .is_some_and(|inside| inside == repository.directory().is_empty())
            || !self.decided.is_none_or(|what| evaluation.is_decided(what))
        {
            return Ok(false);
        }
        if let Some(Key { file, key }) = &self.json
            && repository
                .json(file)?
                .is_none_or(|json| json.pointer(key).is_none_or(serde_json::Value::is_null))
        {
            return Ok(false);
        }
        if let Some(Key { file, key }) = &self.toml
            && repository.toml(file, key)?.is_none()
        {
            return Ok(false);
        }
        if let Some(Text { file, contains }) = &self.text
            && repository
                .text(file)?
                .is_none_or(|text| !text.contains(contains))
        {
            return Ok(false);
        }
        if let Some(name) = &self.flag
            && !evaluation.flag(name)?
        {
            return Ok(false);
        }
        if let Some(condition) = &self.not
            && condition.holds(evaluation)?
        {
            return Ok(false);
        }
        for condition in &self.any {
            if condition.holds(evaluation)? {
                return Ok(true);
            }
        }
        Ok(self.any.is_empty())
    }

    /// The facts and flags this condition and those inside it name.
    pub(crate) fn names(&self) -> Vec<&str> {
        let own = self
            .fact
            .iter()
            .chain(&self.flag)
            .chain(&self.single)
            .chain(self.equals.iter().map(|equals| &equals.fact))
            .chain(self.same.iter().flat_map(|(one, other)| [one, other]))
            .chain(self.begins.iter().map(|begins| &begins.fact))
            .chain(self.ends.iter().map(|ends| &ends.fact))
            .map(|name| name.split('.').next().unwrap_or_default());
        let inner = self
            .any
            .iter()
            .chain(self.not.as_deref())
            .flat_map(Condition::names);
        own.chain(inner).collect()
    }
}
