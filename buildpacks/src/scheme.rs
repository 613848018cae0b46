//! How versions are compared, and which release line answers to what an app asks for.

use serde::Deserialize;

use crate::hex_range;
use crate::known_versions::{KnownRuntime, ReleaseLine};
use crate::poetry_range;

/// How a version is compared, by the rules of its ecosystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    /// npm's ranges: `>=18 <21`, `20.x`, `^20.1`.
    NodeSemver,
    /// Hex's requirements: `~> 1.15`, `>= 1.13.0 and < 2.0.0`.
    Hex,
    /// Python's specifiers: `>=3.9,<3.13`, and plain versions.
    Pep440,
    /// The least version that will do; anything newer does as well.
    Minimum,
    /// One version, whole (`1.75.0`) or its line (`1.75`).
    Exact,
    /// Ranges of RubyGems and Composer, where a tilde leaves the last part it names free: `~> 3.2` and `~8.1` are below the next
    /// major version, `~> 3.2.0` is below the next minor one.
    Pessimistic,
    /// The line of a version, or where there is none the next newer one: for tools whose old releases nobody provides any more.
    NextLine,
    /// Only the first number counts, whoever built it: `17.0.9`, `temurin-21.0.1+12`, `1.8`. A line that is missing is answered
    /// by the next newer one, which compiles for it too.
    Major,
}

impl Scheme {
    /// The line for `wanted`; the default one for no wish at all.
    pub(crate) fn choose<'k>(
        self,
        known: &'k KnownRuntime,
        wanted: &str,
    ) -> Option<&'k ReleaseLine> {
        let wanted = if self == Self::Pep440 {
            without_interpreter(wanted)
        } else {
            wanted
        };
        let lower = wanted.to_ascii_lowercase();
        // `nightly-2025-01-31` is as good as `nightly`.
        let alias = known.aliases.get(&lower).or_else(|| {
            let (name, _) = lower.split_once('-')?;
            known.aliases.get(name)
        });
        let wanted = alias.map_or(wanted, String::as_str);
        if lower == "latest" && alias.is_none() {
            let mut newest = known.lines.iter().rev();
            return newest.find(|line| !line.is_short_lived);
        }
        // Without the lock that builds with a `t` do without there is no official image; what runs on them runs with it.
        let starred = (self == Self::Pep440)
            .then(|| wanted.strip_suffix(".x"))
            .flatten()
            .map(|line| format!("{line}.*"));
        let wanted = starred.as_deref().unwrap_or(wanted);
        let wanted = if self == Self::Pep440 {
            without_threads(wanted)
        } else {
            wanted
        };
        if wanted.is_empty() || wanted == "*" {
            return known.line(&known.default);
        }
        if self == Self::Minimum {
            let least = numbers(wanted)?;
            let is_enough =
                |line: &&ReleaseLine| numbers(&line.latest).is_some_and(|have| have >= least);
            // The default if it will do, else the oldest that does. A line of a whole major version moves on by itself, and has
            // releases this table has not heard of.
            let moves_on = |line: &&ReleaseLine| {
                let major = numbers(&line.version);
                major
                    .as_ref()
                    .is_some_and(|major| major.len() == 1 && major.first() == least.first())
            };
            let default = known.line(&known.default);
            let enough = default.filter(is_enough);
            return enough
                .or_else(|| known.lines.iter().find(is_enough))
                .or_else(|| default.filter(moves_on));
        }
        if self == Self::NextLine {
            let wanted = wanted.trim_start_matches(|c: char| !c.is_ascii_digit());
            let least = numbers(wanted)?;
            let is_enough =
                |line: &&ReleaseLine| numbers(&line.version).is_some_and(|have| have >= least);
            return known.lines.iter().find(is_enough);
        }
        if self == Self::Major {
            let least = major(wanted)?;
            let of_line =
                |line: &&ReleaseLine| major(&line.version).is_some_and(|have| have >= least);
            return known.lines.iter().find(of_line);
        }
        let rewritten = (self == Self::Pessimistic).then(|| npm_range(wanted));
        let wanted = rewritten.as_deref().unwrap_or(wanted);
        if let Some(line) = known.line(wanted) {
            return Some(line);
        }
        if self == Self::Exact {
            let line = numbers(wanted).filter(|parts| parts.len() > 1)?;
            // A line of a whole major version has what came out since this table was written.
            let whole = || {
                let major = line.first()?.to_string();
                known
                    .line(&major)
                    .filter(|whole| numbers(&whole.latest).is_some_and(|latest| line > latest))
            };
            return known
                .lines
                .iter()
                .find(|known| numbers(&known.version).as_ref() == Some(&line))
                .or_else(whole);
        }
        let by_latest = known
            .preferred()
            .find(|line| self.is_satisfied(wanted, &line.latest));
        // `20.11.1` or `~3.11.4`: no newest release satisfies it, but it names its line. Images of a line move on with it.
        by_latest.or_else(|| {
            let named = wanted.trim_start_matches(|c: char| !c.is_ascii_digit());
            let named: String = named
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .collect();
            let of_line = |line: &&ReleaseLine| {
                named
                    .strip_prefix(&line.version)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            known
                .lines
                .iter()
                .find(of_line)
                .filter(|_| self.is_satisfied(wanted, &named))
        })
    }

    /// Whether a whole version is one of those that are wanted.
    pub(crate) fn is_satisfied(self, wanted: &str, version: &str) -> bool {
        match self {
            Self::NodeSemver | Self::Pessimistic => {
                let range = nodejs_semver::Range::parse(wanted);
                let version = nodejs_semver::Version::parse(full(version));
                matches!((range, version), (Ok(range), Ok(version)) if version.satisfies(&range))
            }
            Self::Hex => Self::NodeSemver.is_satisfied(&hex_range::as_npm(wanted), version),
            Self::Pep440 => {
                // A plain `3.12` means the line, as pyenv and uv read it.
                let is_plain = wanted.starts_with(|c: char| c.is_ascii_digit());
                let specifiers = if is_plain
                    && !wanted.contains(['*', ','])
                    && wanted.matches('.').count() < 2
                {
                    format!("=={wanted}.*")
                } else if is_plain {
                    format!("=={wanted}")
                } else {
                    wanted.to_owned()
                };
                let Ok(version) = version.parse::<pep440_rs::Version>() else {
                    return false;
                };
                poetry_range::alternatives(&specifiers)
                    .iter()
                    .any(|specifiers| {
                        let specifiers = specifiers.parse::<pep440_rs::VersionSpecifiers>();
                        specifiers.is_ok_and(|specifiers| specifiers.contains(&version))
                    })
            }
            Self::Minimum | Self::Exact | Self::NextLine | Self::Major => false,
        }
    }
}

/// `22` and `22.1` as a whole version, which is what semver compares.
fn full(version: &str) -> String {
    let missing = 2usize.saturating_sub(version.matches('.').count());
    format!("{version}{}", ".0".repeat(missing))
}

/// The leading numbers of a version, at most two: what a line is made of.
fn numbers(version: &str) -> Option<Vec<u32>> {
    let parts = version.split('.').take(2).map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    parts.collect()
}

/// The first number in a version, the second behind Java's old `1.`: `8` for `1.8`, `VERSION_1_8` and `zulu-8.72`.
fn major(version: &str) -> Option<u32> {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok());
    match (numbers.next()?, numbers.next()) {
        (1, Some(second)) => Some(second),
        (first, _) => Some(first),
    }
}

/// A range of RubyGems or Composer in the words of npm, which are the same but for the tilde, commas and a single bar.
fn npm_range(wanted: &str) -> String {
    let wanted = wanted.split(['@', '(']).next().unwrap_or_default();
    let wanted = wanted
        .replace("||", "|")
        .replace("~>", "~")
        .replace(',', " ");
    let alternatives = wanted.split('|').map(|alternative| {
        let mut parts: Vec<String> = Vec::new();
        for word in alternative.split_whitespace() {
            // `~ 3.2` and `>= 3.2`: the operator belongs to the number behind it.
            match parts
                .last_mut()
                .filter(|last| last.ends_with(['~', '<', '>', '=', '^', '!']))
            {
                Some(last) => last.push_str(word),
                None => parts.push(word.to_owned()),
            }
        }
        let parts = parts.iter().map(|part| match part.strip_prefix('~') {
            Some(version) if version.matches('.').count() < 2 => format!("^{version}"),
            _ => without_patch_level(part).to_owned(),
        });
        parts.collect::<Vec<_>>().join(" ")
    });
    alternatives.collect::<Vec<_>>().join(" || ")
}

/// `3.2.2p53` is 3.2.2.
pub(crate) fn without_patch_level(version: &str) -> &str {
    match version.split_once('p') {
        Some((number, level))
            if number.ends_with(|c: char| c.is_ascii_digit())
                && level
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'-') =>
        {
            number
        }
        _ => version,
    }
}

/// `3.14t` is Python 3.14, free-threaded.
fn without_threads(wanted: &str) -> &str {
    match wanted.strip_suffix('t') {
        Some(version) if version.ends_with(|c: char| c.is_ascii_digit()) => version,
        _ => wanted,
    }
}

/// `cpython-3.12` and `python3.12` name the usual interpreter; `pypy3.10` names another one and stays as it is.
fn without_interpreter(wanted: &str) -> &str {
    let rest = wanted.strip_prefix('c').unwrap_or(wanted);
    rest.strip_prefix("python").map_or(wanted, |version| {
        version.trim_start_matches(['-', '@', ' '])
    })
}
