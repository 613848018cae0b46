//! `.dockerignore` with Docker's own meaning (not gitignore's).
//!
//! Patterns are anchored at the root, the last match wins, a match of a parent directory counts for everything below it, `!`
//! takes back, `#` is a comment only in the first column. See docs.docker.com/build/concepts/context/#dockerignore-files and
//! moby/patternmatcher. The daemon does not apply the file to a context that is sent to it: the sender has to.

use crate::glob::Glob;

/// Why a `.dockerignore` could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{pattern}` is not a pattern")]
pub struct BadPattern {
    /// The line's number, from 1.
    pub line: usize,
    /// The pattern as written, shortened.
    pub pattern: String,
}

/// The patterns of one `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct Dockerignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// As it is matched: without `!` and a leading `/`.
    pattern: String,
    glob: Glob,
    is_exception: bool,
}

/// The files that may hold the patterns for a build of `dockerfile_path`, best first; only the first that exists counts.
#[must_use]
pub fn candidates(dockerfile_path: &str) -> [String; 2] {
    [
        format!("{dockerfile_path}.dockerignore"),
        ".dockerignore".to_owned(),
    ]
}

impl Dockerignore {
    /// Reads the file's content. Bytes that are not UTF-8 are replaced, as Docker does.
    ///
    /// # Errors
    /// The first pattern Docker would refuse too.
    pub fn parse(text: &[u8]) -> Result<Self, BadPattern> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut ignore = Self::default();
        for (index, line) in String::from_utf8_lossy(text).split('\n').enumerate() {
            let line = line.trim_end_matches('\r');
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let bad = || BadPattern {
                line: index + 1,
                pattern: line.chars().take(80).filter(|c| !c.is_control()).collect(),
            };
            ignore.rules.push(Rule::parse(line.trim()).ok_or_else(bad)?);
        }
        Ok(ignore)
    }

    /// The patterns of `text`, the file of a `directory`, for a build that sees what is around the directory too: what they say holds in
    /// the directory and nowhere else. Around it [`Dockerignore::sensible`] holds.
    ///
    /// # Errors
    /// As of [`Dockerignore::parse`].
    pub fn parse_inside(text: &[u8], directory: &str) -> Result<Self, BadPattern> {
        let own = Self::parse(text)?;
        let mut ignore = Self::sensible();
        ignore.always_keep(directory);
        let place = escaped(directory.trim_matches('/'));
        let rules = own.rules.into_iter().filter_map(|rule| {
            let pattern = match rule.pattern.as_str() {
                // They fit nothing in a build of the directory either.
                "." | ".." => return None,
                pattern if pattern.starts_with("../") => return None,
                pattern => format!("{place}/{pattern}"),
            };
            Rule::new(pattern, rule.is_exception)
        });
        ignore.rules.extend(rules);
        Ok(ignore)
    }

    /// What is left out where an app without its own Dockerfile has no `.dockerignore`: version control, installed packages,
    /// caches. An app with its own Dockerfile gets Docker's meaning, an absent file ignores nothing:
    /// `Dockerignore::default()`.
    #[must_use]
    pub fn sensible() -> Self {
        #[expect(clippy::expect_used, reason = "a text of ours, read by a test")]
        Self::parse(include_bytes!("../default.dockerignore"))
            .expect("default.dockerignore has good patterns only")
    }

    /// Keeps `path` whatever the patterns say. The docker CLI does so for the Dockerfile and the `.dockerignore`.
    pub fn always_keep(&mut self, path: &str) {
        self.rules.extend(Rule::new(escaped(path), true));
    }

    /// Whether `path` (relative, `/` between components, no `.` or `..`) is left out of the build.
    #[must_use]
    pub fn is_ignored(&self, path: &str) -> bool {
        let path = path.trim_matches('/');
        let last = self.rules.iter().rev().find(|rule| rule.is_match(path));
        last.is_some_and(|rule| !rule.is_exception)
    }

    /// Whether some pattern takes paths back with `!`; without one, an ignored directory need not be entered.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_exception)
    }
}

impl Rule {
    /// `None` for a pattern Docker refuses.
    fn parse(pattern: &str) -> Option<Self> {
        let (is_exception, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, pattern),
        };
        Self::new(clean(pattern)?, is_exception)
    }

    fn new(pattern: String, is_exception: bool) -> Option<Self> {
        Some(Self {
            glob: Glob::new(&pattern).ok()?,
            pattern,
            is_exception,
        })
    }

    /// The path itself or one of its parents.
    fn is_match(&self, path: &str) -> bool {
        let parents = path
            .match_indices('/')
            .filter_map(|(end, _)| path.get(..end));
        parents.chain([path]).any(|part| self.glob.is_match(part))
    }
}

/// A path as the pattern that it alone fits.
fn escaped(path: &str) -> String {
    let escaped = path
        .chars()
        .flat_map(|c| ["*?[\\".contains(c).then_some('\\'), Some(c)]);
    escaped.flatten().collect()
}

/// Go's `filepath.Clean`, then without the leading `/`: `./a//b/../c/` is `a/c`. `None` for nothing at all.
fn clean(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return None;
    }
    let is_rooted = pattern.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            other => parts.push(other),
        }
    }
    Some(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, ignored: &[&str], kept: &[&str]) {
        let ignore = Dockerignore::parse(text.as_bytes()).unwrap();
        for path in ignored {
            assert!(ignore.is_ignored(path), "{text:?} should ignore {path}");
        }
        for path in kept {
            assert!(!ignore.is_ignored(path), "{text:?} should keep {path}");
        }
    }

    #[test]
    fn dockers_meaning() {
        check(
            "node_modules",
            &["node_modules", "node_modules/a/b"],
            &["sub/node_modules", "node_modules2"],
        );
        check(
            "**/node_modules\r\n",
            &["node_modules/a", "x/y/node_modules/z"],
            &["x/node_modules2/z"],
        );
        check("/dist/\n./tmp//x/..", &["dist/a", "tmp/q"], &["a/dist"]);
        check("*.md\n!README.md", &["x.md"], &["README.md", "d/x.md"]);
        check("!README.md\n*.md", &["README.md"], &[]);
        check(
            "docs\n!docs/keep\n",
            &["docs/x", "docs"],
            &["docs/keep", "docs/keep/deep"],
        );
        check("# all\n  # not a comment\n*", &["a", "b/c"], &[]);
        check("\u{feff}a\n! b", &["a"], &["b"]);
        check("[^a]x", &["bx"], &["ax"]);
        check("", &[], &["a", ".git/config"]);
        check("*\n!src", &["a"], &["src/a/b"]);
    }

    #[test]
    fn patterns_of_a_directory_hold_in_it() {
        let text = b"# own\n.env\n/data\n**/*.log\ndocs\n!docs/keep\n../core\n!/build/./x\n";
        let ignore = Dockerignore::parse_inside(text, "apps/[web]").unwrap();
        for path in [".env", "data/a", "x/y.log", "docs/b"] {
            assert!(ignore.is_ignored(&format!("apps/[web]/{path}")), "{path}");
            assert!(!ignore.is_ignored(path), "{path}");
        }
        // Around the directory what nobody wants is left out; in it only what its own file says.
        for path in [".git/config", "apps/api/node_modules/x"] {
            assert!(ignore.is_ignored(path), "{path}");
        }
        for path in [
            "apps/[web]/docs/keep/a",
            "apps/[web]/node_modules/x",
            "apps/w/.env",
            "apps/core/a",
            "core",
        ] {
            assert!(!ignore.is_ignored(path), "{path}");
        }
        let whole = Dockerignore::parse_inside(b"*\n.\n!src\n", "web").unwrap();
        assert!(whole.is_ignored("web/a") && !whole.is_ignored("web/src/a"));
        assert!(!whole.is_ignored("a"));
        assert_eq!(
            Dockerignore::parse_inside(b"a\n[", "web").unwrap_err().line,
            2
        );
    }

    #[test]
    fn bad_patterns_name_the_line() {
        for text in ["a\n[", "a\n!", "a\n! "] {
            assert_eq!(
                Dockerignore::parse(text.as_bytes()).unwrap_err().line,
                2,
                "{text:?}"
            );
        }
    }

    #[test]
    fn sensible_defaults_and_kept_files() {
        let mut ignore = Dockerignore::sensible();
        for path in [".git/config", "node_modules/x", "a/__pycache__/b.pyc"] {
            assert!(ignore.is_ignored(path), "{path}");
        }
        for path in ["vendor/x", "src/main.rs", ".env", "build/x"] {
            assert!(!ignore.is_ignored(path), "{path}");
        }
        ignore.always_keep("node_modules/[x]");
        assert!(!ignore.is_ignored("node_modules/[x]"));
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..120), path in "[a-c./*]{0,20}") {
            if let Ok(ignore) = Dockerignore::parse(&text) {
                let _ = ignore.is_ignored(&path);
            }
        }

        #[test]
        fn below_an_ignored_directory_all_is_ignored(text in "([a-c*?/]{1,6}\n){1,4}", path in "[a-c]{1,2}(/[a-c]{1,2}){0,3}") {
            let ignore = Dockerignore::parse(text.as_bytes()).unwrap();
            if ignore.is_ignored(&path) {
                let below = format!("{path}/x");
                prop_assert!(ignore.is_ignored(&below));
            }
        }
    }
}
