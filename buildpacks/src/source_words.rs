//! Names in files of build tools that are programs of their own (`CMakeLists.txt`, `mix.exs`, `build.zig`), and the keys of YAML
//! tables. No parser: a name that is computed is not found, and a Procfile overrules what is.

use serde::Deserialize;

use crate::error::DetectError;
use crate::repository::Repository;

/// A build file that names more programs than this is not written by hand.
const MAX_WORDS: usize = 100;

/// Which words to look for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    /// Files or patterns, in order.
    of: Vec<String>,
    /// What stands before a word. Spaces and new lines count nowhere, quotes around the word neither.
    behind: Vec<String>,
    /// What begins a comment that goes to the end of the line.
    #[serde(default)]
    comment: Option<String>,
    /// Only at the start of a line, without any space before it.
    #[serde(default)]
    line_start: bool,
    /// A word with one of these in it is not meant: `test`.
    #[serde(default)]
    except: Vec<String>,
    /// What stands before the value of a variable `${NAME}`, `{}` being its name.
    #[serde(default)]
    assigned: Vec<String>,
}

impl Words {
    /// The words, each once, in the order of `of`, then of `behind`, then of the file.
    ///
    /// # Errors
    /// One of the files cannot be read as text.
    pub(crate) fn all(&self, repository: &Repository<'_>) -> Result<Vec<String>, DetectError> {
        let mut found: Vec<String> = Vec::new();
        for path in self.of.iter().flat_map(|of| repository.matching(of)) {
            let text = self.without_comments(&repository.source(path)?);
            for before in &self.behind {
                for rest in self.places(&text, before) {
                    let Some(word) = self.word(&text, rest) else {
                        continue;
                    };
                    let lower = word.to_ascii_lowercase();
                    let is_meant = !self.except.iter().any(|part| lower.contains(part.as_str()));
                    if is_meant && !found.contains(&word) && found.len() < MAX_WORDS {
                        found.push(word);
                    }
                }
            }
        }
        Ok(found)
    }

    fn without_comments(&self, text: &str) -> String {
        let Some(comment) = self.comment.as_deref() else {
            return text.to_owned();
        };
        let lines = text.lines().map(|line| {
            // An address in quotes is no comment.
            let is_comment =
                |at: &usize| line.get(..*at).is_some_and(|before| !before.ends_with(':'));
            let mut starts = line.match_indices(comment).map(|(at, _)| at);
            let end = starts.find(is_comment).unwrap_or(line.len());
            line.get(..end).unwrap_or(line)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What follows each place where `before` stands.
    fn places<'t>(&self, text: &'t str, before: &str) -> Vec<&'t str> {
        let first = before.chars().next().unwrap_or_default();
        let starts = text.match_indices(first).map(|(at, _)| at);
        let fits = starts.filter(|at| {
            let previous = text.get(..*at).and_then(|text| text.chars().next_back());
            if self.line_start {
                previous.is_none_or(|c| c == '\n')
            } else {
                !is_word(first) || previous.is_none_or(|c| !is_word(c))
            }
        });
        fits.filter_map(|at| behind(text.get(at..)?, before))
            .take(MAX_WORDS)
            .collect()
    }

    /// The word `rest` begins with, the value of the variable it names.
    fn word(&self, text: &str, rest: &str) -> Option<String> {
        let unquoted = rest.trim_start().trim_start_matches(['"', '\'']);
        let Some(variable) = unquoted.strip_prefix("${") else {
            return whole_word(rest);
        };
        let (name, rest) = variable.split_once('}')?;
        // `${NAME}-server` is that, too.
        let end = rest.find(|c: char| !is_word(c) && !"-.".contains(c));
        let (suffix, rest) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        if rest.starts_with(['$', '/', '{', '%']) {
            return None;
        }
        self.assigned.iter().find_map(|form| {
            let before = form.replace("{}", name);
            let value = self
                .places(text, &before)
                .into_iter()
                .find_map(whole_word)?;
            Some(value + suffix)
        })
    }
}

/// The rest of `text` once `before` was read from its beginning, spaces aside.
fn behind<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    let mut rest = text;
    for wanted in before.chars().filter(|c| !c.is_whitespace()) {
        rest = rest.trim_start().strip_prefix(wanted)?;
    }
    // `set(NAME` is not the beginning of `set(NAMES`.
    let ends_in_word = before.ends_with(is_word);
    (!ends_in_word || !rest.starts_with(is_word)).then_some(rest)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The word at the beginning, in quotes or not; nothing where the quotes hold more than a word.
fn whole_word(text: &str) -> Option<String> {
    let text = text.trim_start();
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return plain_word(text);
    };
    let (quoted, _) = text.get(1..)?.split_once(quote)?;
    plain_word(quoted).filter(|word| word == quoted)
}

/// Letters, digits and `_.-` that begin with none of the latter two.
fn plain_word(text: &str) -> Option<String> {
    let word: String = text
        .chars()
        .take_while(|c| is_word(*c) || "-.".contains(*c))
        .collect();
    // What goes on with a `$` or a path is not the whole name.
    let goes_on = text
        .get(word.len()..)
        .is_some_and(|rest| rest.starts_with(['$', '/', '{', '%']));
    (word.starts_with(is_word) && !goes_on).then_some(word)
}

/// The keys one level below the top-level key `key` of a YAML file, in order. Only plain keys in the usual block form.
///
/// # Errors
/// The file cannot be read as text.
pub(crate) fn yaml_keys(
    repository: &Repository<'_>,
    file: &str,
    key: &str,
) -> Result<Vec<String>, DetectError> {
    let text = repository.beginning(file)?;
    let mut inside = false;
    let mut indent = None;
    let mut keys = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let depth = line.len() - content.len();
        if depth == 0 {
            inside = content
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with(':'));
            indent = None;
        } else if inside && *indent.get_or_insert(depth) == depth && keys.len() < MAX_WORDS {
            let name = content.split(':').next().unwrap_or_default();
            let name = name.trim().trim_matches(['"', '\'']);
            let is_key = content.contains(':');
            if let Some(word) = plain_word(name).filter(|word| is_key && word == name) {
                keys.push(word);
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(text: &str, behind: &[&str], expected: &[&str]) {
        let tree = MapTree::new().with("file", text);
        let repository = Repository::new(&tree).unwrap();
        let words = Words {
            of: vec!["file".to_owned()],
            behind: behind.iter().map(|text| (*text).to_owned()).collect(),
            comment: Some("#".to_owned()),
            line_start: false,
            except: vec!["test".to_owned()],
            assigned: vec!["set({}".to_owned(), "project(".to_owned()],
        };
        assert_eq!(words.all(&repository).unwrap(), expected, "{text}");
    }

    #[test]
    fn words_behind_a_text() {
        let programs = &["add_executable("];
        check("add_executable(shop main.cc)", programs, &["shop"]);
        check("add_executable (\n  shop\n  main.cc)", programs, &["shop"]);
        check("# add_executable(shop)\nxadd_executable(b)", programs, &[]);
        check(
            "add_executable(a) add_executable(a) add_executable(unit_tests)",
            programs,
            &["a"],
        );
        check(
            "set(NAMES x)\nset(NAME \"shop\")\nadd_executable(${NAME} a.c)",
            programs,
            &["shop"],
        );
        check(
            "project(shop C)\nadd_executable(${PROJECT_NAME} a.c)",
            programs,
            &["shop"],
        );
        check(
            "set(NAME shop)\nadd_executable(${NAME}-server a.c)\nadd_executable(${NAME}/x a.c)",
            programs,
            &["shop-server"],
        );
        check("add_executable(${NAME}", programs, &[]);
        check("add_executable(shop$(evil) x)", programs, &[]);
        check("add_executable(../x y)\nadd_executable(", programs, &[]);
        check("add_executable(\"a b\" x)", programs, &[]);
        check("add_executable(\"shop\" x)", programs, &["shop"]);
        check("app: :shop,", &["app::"], &["shop"]);
        check(
            ".executableTarget(\n name: \"Run\",",
            &[".executableTarget(name:"],
            &["Run"],
        );
    }

    #[test]
    fn keys_of_a_yaml_table() {
        let text = "name: x\ntargets:\n  # no\n  shop:\n    main: a.cr\n  \"b c\": 1\n  d:\n - e\nend:\n  f:\n";
        let tree = MapTree::new().with("shard.yml", text);
        let repository = Repository::new(&tree).unwrap();
        let keys = |key| yaml_keys(&repository, "shard.yml", key).unwrap();
        assert_eq!(keys("targets"), ["shop", "d"]);
        assert_eq!(keys("name"), [""; 0]);
        assert_eq!(keys("end"), ["f"]);
    }
}
