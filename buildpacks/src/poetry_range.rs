//! Poetry's and npm-like ranges as PEP 440 specifiers: `^3.11`, `~3.11`, `3.*`, alternatives with `||`
//! (python-poetry.org/docs/dependency-specification).

/// The specifier sets any of which has to hold. What is PEP 440 already comes back as it is.
pub(crate) fn alternatives(range: &str) -> Vec<String> {
    range
        .split("||")
        .flat_map(|part| part.split(" or "))
        .map(|part| {
            // A blank separates like a comma, but not behind an operator.
            let mut joined = String::new();
            for word in part.split([' ', ',']).filter(|word| !word.is_empty()) {
                if !joined.is_empty() && !joined.ends_with(['<', '>', '=', '~', '^', '!']) {
                    joined.push(',');
                }
                joined.push_str(word);
            }
            let clauses = joined.split(',').map(clause);
            clauses.collect::<Vec<_>>().join(",")
        })
        .collect()
}

fn clause(clause: &str) -> String {
    let rest = clause.strip_prefix('^');
    if let Some(version) = rest.and_then(caret) {
        return version;
    }
    let tilde = clause
        .strip_prefix('~')
        .filter(|rest| !rest.starts_with('='));
    if let Some(version) = tilde.and_then(|rest| below_next(rest, 2)) {
        return version;
    }
    clause.to_owned()
}

/// `^1.2.3` is `>=1.2.3,<2`: the first part that is not zero stays.
fn caret(version: &str) -> Option<String> {
    let zeros = version.split('.').take_while(|part| *part == "0").count();
    below_next(version, zeros + 1)
}

/// `>=version` and below the next of its first `parts` parts.
fn below_next(version: &str, parts: usize) -> Option<String> {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    let mut upper: Vec<u32> = numbers?.into_iter().take(parts).collect();
    *upper.last_mut()? = upper.last()?.checked_add(1)?;
    let upper: Vec<String> = upper.iter().map(u32::to_string).collect();
    Some(format!(">={version},<{}", upper.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("^3.11", &[">=3.11,<4"][..]),
            ("^3.11.4", &[">=3.11.4,<4"]),
            ("^0.2.3", &[">=0.2.3,<0.3"]),
            ("~3.11", &[">=3.11,<3.12"]),
            ("~3.11.4", &[">=3.11.4,<3.12"]),
            ("~3", &[">=3,<4"]),
            ("~=3.11", &["~=3.11"]),
            (">=3.9, <3.13", &[">=3.9,<3.13"]),
            (">= 3.9 <3.13", &[">=3.9,<3.13"]),
            ("^3.9 || ~2.7", &[">=3.9,<4", ">=2.7,<2.8"]),
            ("3.*", &["3.*"]),
            ("", &[""]),
            ("^x", &["^x"]),
            ("^99999999999", &["^99999999999"]),
        ] {
            assert_eq!(alternatives(range), expected, "{range}");
        }
    }
}
