//! Requirements as Elixir, Gleam and Crystal write them, as npm's ranges.

use crate::template::is_harmless;

/// The same range for npm's rules: `~> 1.15` is `>=1.15.0 <2.0.0`, `and`, `,` and `or` join
/// (hexdocs.pm/elixir/Version.html#module-requirements). What is not understood fits no version.
pub(crate) fn as_npm(requirement: &str) -> String {
    let alternatives = requirement.split(" or ").map(|alternative| {
        let parts = alternative.split(" and ").flat_map(|part| part.split(','));
        parts.map(comparison).collect::<Vec<_>>().join(" ")
    });
    alternatives.collect::<Vec<_>>().join(" || ")
}

/// No version there is.
const NOTHING: &str = "<0.0.0-0";

fn comparison(part: &str) -> String {
    let part = part.trim_matches(['"', '\'', ' ']);
    let version = part.trim_start_matches(['~', '>', '<', '=', '!', '^']);
    let operator = part.strip_suffix(version).unwrap_or_default();
    // asdf writes the OTP that a build of Elixir is for behind its version.
    let version = version
        .trim_start()
        .split("-otp")
        .next()
        .unwrap_or_default();
    if version.is_empty() || !is_harmless(version) {
        return NOTHING.to_owned();
    }
    match operator {
        "==" => format!("={version}"),
        // npm's ranges have no such comparison, and releases that are left out are old ones.
        "!=" => "*".to_owned(),
        "~>" => {
            let numbers: Option<Vec<u64>> =
                version.split('.').map(|part| part.parse().ok()).collect();
            match numbers.as_deref() {
                Some([major] | [major, _]) => {
                    format!(">={version} <{}.0.0", major.saturating_add(1))
                }
                Some([_, _, _]) => format!("~{version}"),
                _ => NOTHING.to_owned(),
            }
        }
        _ => format!("{operator}{version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(requirement: &str, version: &str, expected: bool) {
        let range = as_npm(requirement);
        let range = nodejs_semver::Range::parse(&range);
        let version = nodejs_semver::Version::parse(version).unwrap();
        let is_satisfied = range.is_ok_and(|range| version.satisfies(&range));
        assert_eq!(is_satisfied, expected, "{requirement} and {version}");
    }

    #[test]
    fn requirements() {
        check("~> 1.15", "1.18.4", true);
        check("~> 1.15", "1.14.5", false);
        check("~> 1.15", "2.0.0", false);
        check("~> 1.15.2", "1.15.8", true);
        check("~> 1.15.2", "1.16.0", false);
        check(">= 1.13.0 and < 1.17.0", "1.16.3", true);
        check(">= 1.13.0 and < 1.17.0", "1.17.0", false);
        check("~> 1.10 or ~> 2.1", "2.3.0", true);
        check(">= 1.0, < 2.0.0", "1.14.0", true);
        check("== 1.15.7", "1.15.7", true);
        check("1.15.7-otp-26", "1.15.7", true);
        check(">= 1.14.0 and != 1.16.0", "1.18.0", true);
        check("1.18 AS x RUN evil", "1.18.0", false);
        check("~> x", "1.15.7", false);
        check("~> 1.15\nRUN evil", "1.15.7", false);
    }
}
