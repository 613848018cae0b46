//! Docker's path patterns: `*`, `?`, `[..]`, `**`, always matched against a whole path.
//!
//! The meaning is that of moby/patternmatcher, which the docker CLI and BuildKit apply to `.dockerignore`. Matching advances a
//! set of positions, token by token, so no pattern can make it slow (at most pattern length times path length).

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    /// A pattern without any special character is compared, not matched: the usual case.
    literal: Option<String>,
    /// `**suffix` without further special characters means "ends with": patternmatcher's own short cut, kept because it differs.
    suffix: Option<String>,
    /// How many `/` a path has to have, where the pattern says: most paths of a large repository are refused by it alone.
    slashes: Option<usize>,
    /// The characters a path has to end with: most of the rest are refused by them.
    tail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: one character other than `/`.
    One,
    /// `*`: any characters other than `/`.
    Segment,
    /// `**/` (or `**` before something): nothing, or anything that ends with `/`.
    Directories,
    /// `**` at the end: anything.
    Rest,
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// The pattern cannot be read: an open `[` or a `\` at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPattern;

impl Glob {
    /// Compiles a clean pattern (no leading `/`, no `.` or `..` components).
    pub(crate) fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    if chars.peek().is_none() {
                        Token::Rest
                    } else {
                        Token::Directories
                    }
                }
                '*' => Token::Segment,
                '?' => Token::One,
                '[' => class(&mut chars)?,
                '\\' => Token::Char(chars.next().ok_or(BadPattern)?),
                other => Token::Char(other),
            });
        }
        let is_char = |token: &Token| matches!(token, Token::Char(_));
        let text = |tokens: &[Token]| {
            tokens
                .iter()
                .filter_map(|token| {
                    if let Token::Char(c) = token {
                        Some(*c)
                    } else {
                        None
                    }
                })
                .collect::<String>()
        };
        let literal = tokens.iter().all(is_char).then(|| text(&tokens));
        let suffix = match tokens.split_first() {
            Some((Token::Directories, rest)) if rest.iter().all(is_char) => {
                let slash = if pattern.starts_with("**/") { "/" } else { "" };
                Some(format!("{slash}{}", text(rest)))
            }
            _ => None,
        };
        let is_any_depth = tokens
            .iter()
            .any(|token| matches!(token, Token::Directories | Token::Rest));
        let slashes = (!is_any_depth).then(|| {
            tokens
                .iter()
                .filter(|token| **token == Token::Char('/'))
                .count()
        });
        let tail_length = tokens
            .iter()
            .rev()
            .take_while(|token| is_char(token))
            .count();
        let tail = text(tokens.get(tokens.len() - tail_length..).unwrap_or_default());
        Ok(Self {
            tail,
            tokens,
            literal,
            suffix,
            slashes,
        })
    }

    /// How many `/` a path has to have, where the pattern says.
    pub(crate) fn depth(&self) -> Option<usize> {
        self.slashes
    }

    /// Whether the whole of `path` matches.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        if let Some(literal) = &self.literal {
            return literal == path;
        }
        if let Some(suffix) = &self.suffix {
            return path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path);
        }
        if !path.ends_with(&self.tail) {
            return false;
        }
        let has_other_depth =
            |slashes| path.bytes().filter(|byte| *byte == b'/').count() != slashes;
        if self.slashes.is_some_and(has_other_depth) {
            return false;
        }
        let path: Vec<char> = path.chars().collect();
        let mut reached = vec![false; path.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for token in &self.tokens {
            reached = advance(token, &path, &reached);
            if !reached.contains(&true) {
                return false;
            }
        }
        reached.last().copied().unwrap_or_default()
    }
}

/// The positions in `path` reachable by one token from the positions `from` (position n: before the n-th character).
fn advance(token: &Token, path: &[char], from: &[bool]) -> Vec<bool> {
    let mut to = Vec::with_capacity(from.len());
    let mut is_inside = false;
    let mut previous: Option<(bool, char)> = None;
    let mut characters = path.iter().copied();
    for &was_reached in from {
        to.push(match token {
            Token::Rest => {
                is_inside |= was_reached;
                is_inside
            }
            Token::Segment => {
                is_inside = was_reached || (is_inside && previous.is_some_and(|(_, c)| c != '/'));
                is_inside
            }
            Token::Directories => {
                let after_slash = is_inside && previous.is_some_and(|(_, c)| c == '/');
                is_inside |= was_reached;
                was_reached || after_slash
            }
            Token::Char(wanted) => previous.is_some_and(|(reached, c)| reached && c == *wanted),
            Token::One => previous.is_some_and(|(reached, c)| reached && c != '/'),
            Token::Class { is_negated, ranges } => previous.is_some_and(|(reached, c)| {
                reached
                    && c != '/'
                    && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *is_negated
            }),
        });
        previous = characters.next().map(|c| (was_reached, c));
    }
    to
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, BadPattern> {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next().ok_or(BadPattern)? {
            ']' if !ranges.is_empty() => return Ok(Token::Class { is_negated, ranges }),
            ']' | '-' => return Err(BadPattern),
            '\\' => chars.next().ok_or(BadPattern)?,
            other => other,
        };
        let mut high = low;
        if chars.next_if_eq(&'-').is_some() {
            high = match chars.next().ok_or(BadPattern)? {
                ']' | '-' => return Err(BadPattern),
                '\\' => chars.next().ok_or(BadPattern)?,
                other => other,
            };
        }
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("a", "a", true),
            ("a", "b/a", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("*.md", "x.md", true),
            ("*.md", "d/x.md", false),
            ("*/x", "d/x", true),
            ("*/x", "d/e/x", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("**", "a/b/c", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "a/bx", false),
            ("**x", "a/bx", true),
            ("**/*.go", "a/b/c.go", true),
            ("**/*.go", "c.go", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/bc", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a.b", "axb", false),
        ] {
            assert_eq!(
                Glob::new(pattern).unwrap().is_match(path),
                expected,
                "{pattern} {path}"
            );
        }
        for bad in ["[", "[]", "a\\", "[a-", "[-a]"] {
            assert_eq!(Glob::new(bad), Err(BadPattern), "{bad}");
        }
    }
}
