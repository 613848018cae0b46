//! Packages of Nix by the names of Debian: `buildpacks/nix-packages.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    packages: BTreeMap<String, Vec<String>>,
    languages: BTreeMap<String, Vec<String>>,
}

// Part of the program: a test reads it, and an empty table only means that nothing is known.
static TABLE: LazyLock<Option<Table>> =
    LazyLock::new(|| toml::from_str(include_str!("../../nix-packages.toml")).ok());

/// What a package of Nix stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NixPackage {
    /// Packages of Debian.
    Debian(&'static [String]),
    /// A language, and its version where the name has one.
    Language(&'static str, Option<String>),
    /// A package manager: the app's own files say which one it gets.
    Manager,
}

/// Languages as Nix calls them: the name, ours, and whether the digits behind it are one number and then the rest (`python311`).
const LANGUAGES: &[(&str, &str, bool)] = &[
    ("nodejs", "node", false),
    ("python", "python", true),
    ("php", "php", true),
    ("ruby", "ruby", false),
    ("go", "go", false),
    ("jdk", "java", false),
    ("openjdk", "java", false),
    ("rustc", "rust", false),
    ("cargo", "rust", false),
];

/// Nothing for a name that is not known.
pub(super) fn named(name: &str) -> Option<NixPackage> {
    if let Some(packages) = TABLE.as_ref()?.packages.get(name) {
        return Some(NixPackage::Debian(packages));
    }
    let is_manager = ["npm", "yarn", "pnpm", "corepack", "poetry", "pipenv", "uv"]
        .iter()
        .any(|manager| is_version_of(name, manager));
    if is_manager {
        return Some(NixPackage::Manager);
    }
    LANGUAGES.iter().find_map(|(nix, language, is_joined)| {
        let rest = name.strip_prefix(nix)?;
        let rest = rest.trim_start_matches(['_', '-']);
        let rest = rest.strip_suffix("_x").unwrap_or(rest);
        let is_version = rest
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_');
        let version = match rest.split_at_checked(1) {
            _ if !is_version => return None,
            Some((major, minor)) if *is_joined && !minor.is_empty() => format!("{major}.{minor}"),
            Some(_) => rest.replace('_', "."),
            None => return Some(NixPackage::Language(language, None)),
        };
        Some(NixPackage::Language(language, Some(version)))
    })
}

/// `yarn`, `npm-9_x`, `pnpm_10`, `nodePackages.pnpm`.
fn is_version_of(name: &str, manager: &str) -> bool {
    let name = name.rsplit('.').next().unwrap_or_default();
    let rest = name.strip_prefix(manager);
    rest.is_some_and(|rest| {
        rest.is_empty()
            || rest.starts_with(['-', '_'])
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b"-_x".contains(&byte))
    })
}

/// Packages of Debian for a language; none where it has none.
pub(crate) fn of_language(language: &str) -> &'static [String] {
    let table = TABLE.as_ref();
    table
        .and_then(|table| table.languages.get(language))
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nix() {
        let debian = |name: &str| match named(name) {
            Some(NixPackage::Debian(packages)) => packages.join(" "),
            other => format!("{other:?}"),
        };
        assert_eq!(debian("poppler_utils"), "poppler-utils");
        assert_eq!(debian("gnumake"), "make");
        for (name, language, version) in [
            ("nodejs_20", "node", Some("20")),
            ("nodejs-18_x", "node", Some("18")),
            ("nodejs", "node", None),
            ("python3", "python", Some("3")),
            ("python311", "python", Some("3.11")),
            ("go_1_22", "go", Some("1.22")),
            ("php82", "php", Some("8.2")),
            ("jdk17", "java", Some("17")),
        ] {
            let expected = NixPackage::Language(language, version.map(str::to_owned));
            assert_eq!(named(name), Some(expected), "{name}");
        }
        for name in ["yarn", "npm-9_x", "nodePackages.pnpm"] {
            assert_eq!(named(name), Some(NixPackage::Manager), "{name}");
        }
        for name in ["gopls", "python311Packages.numpy", "npm-check", "$(x)"] {
            assert_eq!(named(name), None, "{name}");
        }
        assert!(!of_language("python").is_empty() && of_language("cobol").is_empty());
    }
}
