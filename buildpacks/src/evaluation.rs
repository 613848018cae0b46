//! One buildpack asked about one repository.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::buildpack::{Buildpack, Command, Remark};
use crate::condition::{Condition, Decision};
use crate::error::DetectError;
use crate::overrides::Overrides;
use crate::repository::Repository;
use crate::template;

/// A buildpack's facts about a repository, looked up once.
pub(crate) struct Evaluation<'a> {
    pub(crate) repository: &'a Repository<'a>,
    pub(crate) buildpack: &'a Buildpack,
    overrides: &'a Overrides,
    dependencies: BTreeSet<String>,
    facts: BTreeMap<String, Value>,
    manager: Option<&'a str>,
    /// Flags are asked for by many conditions and for every template.
    flags: RefCell<BTreeMap<&'a str, bool>>,
}

/// A command with the reason for it.
pub(crate) struct Chosen {
    pub(crate) command: String,
    pub(crate) because: String,
}

impl<'a> Evaluation<'a> {
    /// Before anything but files has been looked at: enough for [`Buildpack::detect`].
    pub(crate) fn new(
        repository: &'a Repository<'a>,
        buildpack: &'a Buildpack,
        overrides: &'a Overrides,
    ) -> Self {
        Self {
            repository,
            buildpack,
            overrides,
            dependencies: BTreeSet::new(),
            facts: BTreeMap::new(),
            manager: None,
            flags: RefCell::default(),
        }
    }

    pub(crate) fn is_detected(&self) -> Result<bool, DetectError> {
        self.buildpack.detect.holds(self)
    }

    /// Reads the manifests: dependencies, then facts.
    pub(crate) fn look_up(mut self) -> Result<Self, DetectError> {
        for source in &self.buildpack.dependencies {
            self.dependencies.extend(source.names(self.repository)?);
        }
        for (name, probe) in &self.buildpack.facts {
            let is_asked = match self.buildpack.facts_if.get(name) {
                Some(condition) => condition.holds(&self)?,
                None => true,
            };
            let found = if is_asked {
                probe.value(self.repository)?
            } else {
                None
            };
            let value = found.unwrap_or(Value::Null);
            self.facts.insert(name.clone(), value);
        }
        let buildpack = self.buildpack;
        let manager = self.first(&buildpack.package_managers, |manager| &manager.when)?;
        self.manager = manager.map(|manager| manager.name.as_str());
        // What was answered before the manager was known may be wrong now.
        self.flags.take();
        Ok(self)
    }

    /// Whether the repository is this language now that facts are known.
    pub(crate) fn is_confirmed(&self) -> Result<bool, DetectError> {
        self.buildpack.confirm.holds(self)
    }

    /// The program that installs dependencies.
    pub(crate) fn manager(&self) -> Option<&'a str> {
        self.manager
    }

    pub(crate) fn depends_on(&self, name: &str) -> bool {
        self.dependencies.contains(name)
    }

    /// Whether a lock file names a package, directly needed or not.
    pub(crate) fn has_locked(&self, name: &str) -> bool {
        self.dependencies.contains(&format!("locked:{name}"))
    }

    /// A fact, or a field of one: `cargo.others`.
    fn fact(&self, name: &str) -> Option<&Value> {
        let mut parts = name.split('.');
        let fact = self.facts.get(parts.next()?)?;
        parts.try_fold(fact, |value, part| value.get(part))
    }

    pub(crate) fn has_fact(&self, name: &str) -> bool {
        match self.fact(name) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(_) | Value::Bool(true) | Value::Number(_)) => true,
        }
    }

    pub(crate) fn is_single(&self, name: &str) -> bool {
        matches!(self.fact(name), Some(Value::Array(items)) if items.len() == 1)
    }

    pub(crate) fn fact_text(&self, name: &str) -> Option<&str> {
        self.fact(name)?.as_str()
    }

    pub(crate) fn is_decided(&self, what: Decision) -> bool {
        match what {
            Decision::Install => {
                self.overrides.install.is_some() || !self.overrides.install_around.is_empty()
            }
            Decision::Build => {
                self.overrides.build.is_some() || !self.overrides.build_around.is_empty()
            }
            Decision::WebRoot => self.overrides.web_root.is_some(),
            Decision::Start => self.overrides.processes.contains_key("web"),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, DetectError> {
        if let Some(known) = self.flags.borrow().get(name) {
            return Ok(*known);
        }
        match self.buildpack.flags.get_key_value(name) {
            Some((name, condition)) => {
                let holds = condition.holds(self)?;
                self.flags.borrow_mut().insert(name, holds);
                Ok(holds)
            }
            None => Err(self.broken(format!("there is no flag `{name}`"))),
        }
    }

    /// The first of several that applies.
    pub(crate) fn first<T>(
        &self,
        items: &'a [T],
        when: impl Fn(&T) -> &Condition,
    ) -> Result<Option<&'a T>, DetectError> {
        for item in items {
            if when(item).holds(self)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    pub(crate) fn command(&self, commands: &'a [Command]) -> Result<Option<Chosen>, DetectError> {
        let Some(found) = self.first(commands, |command| &command.when)? else {
            return Ok(None);
        };
        Ok(Some(Chosen {
            command: self.render(&found.command)?,
            because: self.render(&found.because)?,
        }))
    }

    pub(crate) fn remarks(&self, remarks: &[Remark]) -> Result<Vec<String>, DetectError> {
        let mut texts = Vec::new();
        for remark in remarks {
            if remark.when.holds(self)? {
                texts.push(self.render(&remark.text)?);
            }
        }
        Ok(texts)
    }

    /// Renders one of the buildpack's short templates: facts, nothing else.
    pub(crate) fn render(&self, text: &str) -> Result<String, DetectError> {
        if !text.contains('{') {
            return Ok(text.to_owned());
        }
        template::render(text, &self.values()?).map_err(|problem| self.broken(problem))
    }

    /// Facts and flags by name.
    pub(crate) fn values(&self) -> Result<BTreeMap<String, Value>, DetectError> {
        let mut values = self.facts.clone();
        for name in self.buildpack.flags.keys() {
            values.insert(name.clone(), Value::Bool(self.flag(name)?));
        }
        values.insert("manager".to_owned(), self.manager.into());
        Ok(values)
    }

    pub(crate) fn broken(&self, problem: String) -> DetectError {
        DetectError::BrokenBuildpack {
            name: self.buildpack.name.clone(),
            problem,
        }
    }
}
