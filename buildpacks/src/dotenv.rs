//! Files such as `.env.example`: `KEY=value` lines, with `export`, quotes and comments.

/// The most variables that are read from one file.
const MAX_ENTRIES: usize = 500;

/// One variable of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    /// The comment above it, or behind it.
    pub(crate) description: Option<String>,
    /// From 1.
    pub(crate) line: usize,
}

/// The variables in order, each once (the first counts), and the numbers of lines that are none.
pub(crate) fn parse(text: &str) -> (Vec<Entry>, Vec<usize>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut strange = Vec::new();
    let mut comment: Vec<String> = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, raw)) = lines.next() {
        let line = raw.trim();
        if line.is_empty() {
            comment.clear();
            continue;
        }
        if let Some(text) = line.strip_prefix('#') {
            let text = text.trim_start_matches('#').trim();
            // A line of dashes or a variable that is commented out explains nothing.
            if text.contains(char::is_alphanumeric) && !is_assignment(text) {
                comment.push(text.to_owned());
            } else {
                comment.clear();
            }
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((key, rest)) = line.split_once('=') else {
            strange.push(index + 1);
            comment.clear();
            continue;
        };
        let (key, rest) = (key.trim(), rest.trim());
        if !crate::overrides::is_variable(key) {
            strange.push(index + 1);
            comment.clear();
            continue;
        }
        let (value, behind) = match rest.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => {
                let mut text = rest.to_owned();
                // A value in quotes may go on over lines, up to the end of the file.
                while closing(&text, quote).is_none() {
                    let Some((_, next)) = lines.next() else {
                        break;
                    };
                    text.push('\n');
                    text.push_str(next);
                }
                quoted(&text, quote)
            }
            _ => plain(rest),
        };
        let description = if comment.is_empty() {
            behind
        } else {
            Some(comment.join(" "))
        };
        comment.clear();
        if entries.len() < MAX_ENTRIES && !entries.iter().any(|entry| entry.key == key) {
            entries.push(Entry {
                key: key.to_owned(),
                value,
                description: description.map(|text| text.replace(char::is_control, " ")),
                line: index + 1,
            });
        }
    }
    (entries, strange)
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(key, _)| crate::overrides::is_variable(key.trim()))
}

/// Where the quote that opens `text` is closed.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return Some(at);
        }
        is_escaped = quote == '"' && c == '\\' && !is_escaped;
    }
    None
}

/// The value between quotes, and the comment behind it.
fn quoted(text: &str, quote: char) -> (String, Option<String>) {
    let end = closing(text, quote).unwrap_or(text.len());
    let inner = text.get(1..end).unwrap_or_default();
    let behind = text.get(end..).unwrap_or_default();
    let behind = behind.trim_start_matches(quote).trim();
    let behind = behind.strip_prefix('#').map(str::trim);
    let behind = behind.filter(|text| !text.is_empty()).map(str::to_owned);
    if quote != '"' {
        return (inner.to_owned(), behind);
    }
    let mut value = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    (value, behind)
}

/// A value without quotes: a comment begins with `#` behind a blank.
fn plain(text: &str) -> (String, Option<String>) {
    if let Some(comment) = text.strip_prefix('#') {
        return (String::new(), Some(comment.trim().to_owned()));
    }
    match text.split_once(" #") {
        Some((value, comment)) => {
            let comment = comment.trim();
            let comment = (!comment.is_empty()).then(|| comment.to_owned());
            (value.trim().to_owned(), comment)
        }
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[(&str, &str, Option<&str>, usize)]) {
        let (entries, _) = parse(text);
        let found: Vec<_> = entries
            .iter()
            .map(|entry| {
                let description = entry.description.as_deref();
                (
                    entry.key.as_str(),
                    entry.value.as_str(),
                    description,
                    entry.line,
                )
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn quotes_exports_and_comments() {
        check(
            "# The port\n# it listens on\nPORT=3000\n\nexport A = 'x # y' # why\nB=\"q\\\"\\n#\"\nC=a#b #  c\nD=\nD=2\nE= # empty",
            &[
                ("PORT", "3000", Some("The port it listens on"), 3),
                ("A", "x # y", Some("why"), 5),
                ("B", "q\"\n#", None, 6),
                ("C", "a#b", Some("c"), 7),
                ("D", "", None, 8),
                ("E", "", Some("empty"), 10),
            ],
        );
    }

    #[test]
    fn values_over_lines_and_what_explains_nothing() {
        check(
            "# -----\n# OLD=1\nKEY=\"a\nb\"\nX=1\n",
            &[("KEY", "a\nb", None, 3), ("X", "1", None, 5)],
        );
        check("K='open\nX=1\n", &[("K", "open\nX=1", None, 1)]);
        assert_eq!(parse("no\n1A=2\n=x\nB=1").1, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "([A-Z#'\"`=\\\\ \nä]){0,60}") {
            let _ = parse(&text);
        }
    }
}
