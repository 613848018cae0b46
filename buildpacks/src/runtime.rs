//! Which version of a runtime an app asks for, and which image line answers to that.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::condition::Condition;
use crate::error::DetectError;
use crate::evaluation::Evaluation;
use crate::known_versions::{KnownRuntime, ReleaseLine};
use crate::manifest::line_of_pointer;
use crate::repository::Repository;
use crate::said::{Origin, Said};
use crate::scheme::{Scheme, without_patch_level};
use crate::template::is_harmless;
use crate::tools;
use crate::xml;

/// The longest range anyone writes is far shorter; a longer text is not one, and would fill the build log.
const MAX_VERSION_BYTES: usize = 120;

/// A runtime of a language, as `buildpack.toml` describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runtime {
    /// Its name in `versions.toml` and in templates.
    pub(crate) name: String,
    /// The image, `{version}` standing for the line, `{release}` for the whole version, or the line's newest, `{exact}` for the
    /// whole version only where one is asked for; none for a tool that is installed into the image of another runtime.
    pub(crate) image: Option<String>,
    /// When the app needs it.
    #[serde(default)]
    pub(crate) when: Condition,
    /// A whole version is taken as it is, not the line it belongs to.
    #[serde(default)]
    pub(crate) is_exact: bool,
    pub(crate) scheme: Scheme,
    /// Where an app pins it; the first that does counts. After them `.tool-versions` and `mise.toml` are looked into.
    #[serde(default)]
    pub(crate) sources: Vec<VersionSource>,
    /// Its names there; by default its own.
    #[serde(default)]
    pub(crate) tools: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionSource {
    /// Empty where `file_fact` names the fact that holds the path.
    #[serde(default)]
    file: String,
    /// `.tool-versions` and `mise.toml` are asked here, and not after all sources.
    #[serde(default)]
    is_tools: bool,
    file_fact: Option<String>,
    /// Paths of elements of an XML file; the first that has a text counts.
    #[serde(default)]
    xml: Vec<String>,
    /// The first line with this text in it, whole.
    contains: Option<String>,
    /// What is in quotes on the line, several joined by a comma; what is no version by its first letter is no pin.
    #[serde(default)]
    is_quoted: bool,
    /// Left out at the beginning of the value: the first of these that it begins with.
    #[serde(default)]
    without: Vec<String>,
    /// What does not begin with a digit is no pin.
    #[serde(default)]
    is_number: bool,
    /// A JSON pointer.
    json: Option<String>,
    /// A dotted key of a TOML file.
    toml: Option<String>,
    /// The line to look for; without it, the first line that is no comment.
    prefix: Option<String>,
    /// What stands around the version in the value: `["yarn-", ".cjs"]`. A value without both is no pin.
    between: Option<(String, String)>,
    /// The version each value stands for: the format of a lock file tells who wrote it. Any other value is no pin.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// The version meant wherever the source has any value.
    means: Option<String>,
    #[serde(default)]
    when: Condition,
    /// It says what the app can do with: a later source that names a version out of it has the say.
    #[serde(default)]
    is_range: bool,
    /// How this pin is compared, where it is not as the runtime says.
    scheme: Option<Scheme>,
}

/// A version as an app pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) wanted: String,
    pub(crate) origin: Origin,
    /// Whether the version itself is meant, also where the language's own files state the least that will do.
    pub(crate) is_exact: bool,
    /// How it is compared, where its source says so.
    pub(crate) scheme: Option<Scheme>,
}

impl Pin {
    /// A version that was decided or that a tool installs.
    pub(crate) fn exact(said: Said) -> Self {
        Self {
            wanted: said.value,
            origin: said.origin,
            is_exact: true,
            scheme: None,
        }
    }
}

impl Runtime {
    /// The first pin in the repository; of a range and a version that is out of it further down, the version.
    pub(crate) fn pin(
        &self,
        known: &KnownRuntime,
        evaluation: &Evaluation<'_>,
    ) -> Result<Option<Pin>, DetectError> {
        let repository = evaluation.repository;
        let mut range: Option<Pin> = None;
        for source in &self.sources {
            if !source.when.holds(evaluation)? {
                continue;
            }
            let found = if source.is_tools {
                self.tool_pin(repository)?
            } else {
                let file = match source.file_fact.as_deref() {
                    Some(fact) => evaluation.fact_text(fact).unwrap_or_default(),
                    None => source.file.as_str(),
                };
                source.read(repository, file)?
            };
            let Some(pin) = found else {
                continue;
            };
            if source.is_range && self.whole_version(Some(&pin)).is_none() {
                range.get_or_insert(pin);
            } else {
                return Ok(Some(self.narrower(known, range, pin)));
            }
        }
        Ok(match (range, self.tool_pin(repository)?) {
            (range, Some(pin)) => Some(self.narrower(known, range, pin)),
            (range, None) => range,
        })
    }

    /// The pin where the range allows it, else the range.
    fn narrower(&self, known: &KnownRuntime, range: Option<Pin>, pin: Pin) -> Pin {
        let Some(range) = range else {
            return pin;
        };
        let named = pin.wanted.trim_start_matches('v');
        let is_whole = nodejs_semver::Version::parse(named).is_ok();
        let version = if is_whole {
            Some(named)
        } else {
            let line = self.resolve(known, Some(&pin)).ok();
            line.map(|line| line.latest.as_str())
        };
        let scheme = range.scheme.unwrap_or(self.scheme);
        match version {
            Some(version) if scheme.is_satisfied(&range.wanted, version) => pin,
            _ => range,
        }
    }

    /// What `.tool-versions` or `mise.toml` says.
    fn tool_pin(&self, repository: &Repository<'_>) -> Result<Option<Pin>, DetectError> {
        let own = std::slice::from_ref(&self.name);
        let names = if self.tools.is_empty() {
            own
        } else {
            &self.tools
        };
        Ok(tools::version(repository, names)?.map(Pin::exact))
    }

    /// The version a pin names to its last number, where such a one is taken as it is.
    pub(crate) fn whole_version(&self, pin: Option<&Pin>) -> Option<String> {
        let wanted = pin
            .filter(|_| self.is_exact)?
            .wanted
            .trim_start_matches('v');
        let wanted = if self.scheme == Scheme::Pessimistic {
            without_patch_level(wanted)
        } else {
            wanted
        };
        let parsed = nodejs_semver::Version::parse(wanted).map(|version| version.to_string());
        // A package manager knows its lines itself: `11.5.x` is installed by that name, whatever the newest 11 is.
        let minor = || minor_line(wanted).filter(|_| self.image.is_none());
        parsed.ok().or_else(minor).filter(|_| is_harmless(wanted))
    }

    /// The line of releases that satisfies the pin.
    ///
    /// # Errors
    /// [`DetectError::UnknownVersion`] if none does.
    pub(crate) fn resolve<'k>(
        &self,
        known: &'k KnownRuntime,
        pin: Option<&Pin>,
    ) -> Result<&'k ReleaseLine, DetectError> {
        let wanted = pin.map(|pin| pin.wanted.as_str()).unwrap_or_default();
        let scheme = pin.and_then(|pin| pin.scheme).unwrap_or(self.scheme);
        let named = pin
            .filter(|pin| pin.is_exact)
            .and_then(|pin| known.line_of(pin.wanted.trim_start_matches('v')));
        named
            .or_else(|| scheme.choose(known, wanted))
            .ok_or_else(|| DetectError::UnknownVersion {
                runtime: self.name.clone(),
                wanted: wanted.to_owned(),
                origin: pin
                    .map_or_else(|| Origin::Variable(String::new()), |pin| pin.origin.clone()),
                known: known
                    .lines
                    .iter()
                    .filter(|line| !line.is_short_lived)
                    .map(|line| line.version.clone())
                    .collect(),
            })
    }
}

impl VersionSource {
    fn read(&self, repository: &Repository<'_>, file: &str) -> Result<Option<Pin>, DetectError> {
        let file = &repository.here_or_at_root(file);
        let found = if !self.xml.is_empty() {
            let found = xml::text_at(&xml::of_file(repository, file)?, &self.xml);
            found.map(|(value, line)| (value, Some(line)))
        } else if let Some(text) = &self.contains {
            let source = repository.beginning(file)?;
            let mut lines = source.lines().zip(1..);
            lines
                .find(|(line, _)| line.contains(text.as_str()))
                .map(|(line, number)| (line.to_owned(), Some(number)))
        } else if let Some(pointer) = &self.json {
            let value = repository
                .json(file)?
                .and_then(|json| Some(json.pointer(pointer)?.as_str()?.to_owned()));
            let text = repository.text(file)?;
            value.map(|value| (value, text.and_then(|text| line_of_pointer(&text, pointer))))
        } else if let Some(key) = &self.toml {
            let value = repository.toml(file, key)?;
            value.and_then(|(value, line)| Some((version_text(&value)?.to_owned(), Some(line))))
        } else {
            let prefix = self.prefix.as_deref().unwrap_or_default();
            let text = repository.beginning(file)?;
            let mut lines = text.lines().enumerate().map(|(index, line)| {
                let line = line.split('#').next().unwrap_or_default();
                let line = line.split(" //").next().unwrap_or_default();
                (line.trim(), index + 1)
            });
            lines.find_map(|(line, number)| {
                // `channel = "1.75"` is read like `channel 1.75`.
                let rest = line.strip_prefix(prefix)?.trim();
                let rest = rest.trim_end_matches(',');
                let rest = rest.trim_matches(['=', '"', '\'', ' ']);
                let is_operator = line.contains("==") || line.starts_with('=');
                let rest = if self.is_quoted || is_operator {
                    line.strip_prefix(prefix)?.trim()
                } else {
                    rest
                };
                (!rest.is_empty()).then(|| (rest.to_owned(), Some(number)))
            })
        };
        let found = found.and_then(|(value, line)| Some((self.version_in(&value)?, line)));
        let Some((wanted, line)) = found.filter(|(wanted, _)| !wanted.trim().is_empty()) else {
            return Ok(None);
        };
        // What version managers call the one that is installed anyway.
        if wanted.trim() == "system" {
            return Ok(None);
        }
        // `elixir: @version` names what a program works out.
        if self.scheme == Some(Scheme::Hex) && !wanted.contains(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let file = repository.from_root(file);
        check_length(&wanted, &file, line)?;
        Ok(Some(Pin {
            wanted: wanted.trim().to_owned(),
            origin: Origin::File { file, line },
            is_exact: false,
            scheme: self.scheme,
        }))
    }
}

impl VersionSource {
    /// The version in a value that was found, by `between`, `values` and `means`.
    fn version_in(&self, value: &str) -> Option<String> {
        if let Some(meant) = &self.means {
            return Some(meant.clone());
        }
        if self.is_quoted {
            let quoted = quoted_versions(value)?;
            return if self.values.is_empty() {
                Some(quoted)
            } else {
                self.values.get(&quoted).cloned()
            };
        }
        let value = match &self.between {
            Some((before, behind)) => {
                let (_, rest) = value.split_once(before.as_str())?;
                if behind.is_empty() {
                    rest
                } else {
                    rest.split_once(behind.as_str())?.0
                }
            }
            None => value,
        };
        // Corepack writes a checksum behind the version; YAML may have quotes around it.
        let value = value.split('+').next().unwrap_or_default();
        let value = value.trim().trim_matches(['"', '\'']);
        let mut prefixes = self.without.iter();
        let value = prefixes
            .find_map(|prefix| value.strip_prefix(prefix.as_str()))
            .unwrap_or(value);
        if self.is_number && !value.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if self.values.is_empty() {
            Some(value.to_owned())
        } else {
            self.values.get(value).cloned()
        }
    }
}

/// `11.5` for `11.5`, `11.5.x` and `11.5.*`.
fn minor_line(wanted: &str) -> Option<String> {
    let mut parts = wanted.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_open = matches!(parts.next(), None | Some("x" | "X" | "*")) && parts.next().is_none();
    (is_number(major) && is_number(minor) && is_open).then(|| format!("{major}.{minor}"))
}

/// `"~> 3.2", ">= 3.2.1"` as `~> 3.2, >= 3.2.1`; nothing for `file: ".ruby-version"`, which is a source of its own.
fn quoted_versions(value: &str) -> Option<String> {
    let value = value.split(" if ").next().unwrap_or_default();
    let quoted = value.split(['"', '\'']).skip(1).step_by(2);
    let versions: Vec<&str> = quoted
        .take_while(|text| text.starts_with(|c: char| c.is_ascii_digit() || "~<>=!".contains(c)))
        .collect();
    (!versions.is_empty()).then(|| versions.join(", "))
}

/// A version in TOML: `"3.12"`, `{ version = "3.12" }`, or a list of which the first counts (mise.toml).
fn version_text(value: &serde_json::Value) -> Option<&str> {
    let value = value
        .as_array()
        .and_then(|items| items.first())
        .unwrap_or(value);
    value.get("version").unwrap_or(value).as_str()
}

/// Refuses what is no version: it would fill the build log.
pub(crate) fn check_length(
    wanted: &str,
    file: &str,
    line: Option<usize>,
) -> Result<(), DetectError> {
    if wanted.contains(char::is_control) || wanted.len() > MAX_VERSION_BYTES {
        return Err(DetectError::InvalidManifest {
            file: file.to_owned(),
            line,
            problem: "a version has to be one short line of text".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
