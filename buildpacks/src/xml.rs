//! XML as far as build files need it: elements with their texts and attributes, nothing that is fetched or expanded. Maven's
//! `pom.xml` and the project files of .NET are read with it.

use crate::error::DetectError;
use crate::repository::Repository;

/// Deeper than any build file; what is deeper is no build file.
const MAX_DEPTH: usize = 64;

/// All names from the root together.
const MAX_PATH_BYTES: usize = 1 << 10;
/// Far more than a build file has; with the length of a path it bounds what a file can make us hold.
const MAX_ELEMENTS: usize = 50_000;

/// One element of a document, in the order they begin.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Names from the root, without the prefixes of namespaces: `project/properties/java.version`.
    pub(crate) path: String,
    /// The text directly inside, trimmed.
    pub(crate) text: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// From 1.
    pub(crate) line: usize,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Its own name.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The elements of a file, none where there is no such file.
///
/// # Errors
/// The file is too large, or not XML.
pub(crate) fn of_file(
    repository: &Repository<'_>,
    file: &str,
) -> Result<Vec<Element>, DetectError> {
    let Some(text) = repository.text(file)? else {
        return Ok(Vec::new());
    };
    elements(&text).map_err(|(line, problem)| DetectError::InvalidManifest {
        file: repository.from_root(file),
        line: Some(line),
        problem: format!("not XML: {problem}"),
    })
}

/// The text of the first element at one of the paths, paths in order, with Maven's `${name}` replaced by the property of that
/// name, and its line.
pub(crate) fn text_at(elements: &[Element], paths: &[String]) -> Option<(String, usize)> {
    let found = paths.iter().find_map(|path| {
        elements
            .iter()
            .find(|element| element.path == *path && !element.text.is_empty())
    })?;
    let mut text = found.text.clone();
    // A property may name another one; one that names itself ends here.
    for _ in 0..8 {
        let Some(name) = text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            break;
        };
        let path = format!("project/properties/{name}");
        text = elements
            .iter()
            .find(|element| element.path == path)?
            .text
            .clone();
    }
    (!text.is_empty() && !text.contains("${")).then_some((text, found.line))
}

/// # Errors
/// The line where it stops being XML, and why.
pub(crate) fn elements(text: &str) -> Result<Vec<Element>, (usize, &'static str)> {
    let mut found: Vec<Element> = Vec::new();
    // The elements that are open, by their place in `found`.
    let mut open: Vec<usize> = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut is_rooted = false;
    while !rest.is_empty() {
        let (token, behind, content) = next(rest).map_err(|problem| (line, problem))?;
        match token {
            Token::Text | Token::Characters => {
                match open.last().and_then(|at| found.get_mut(*at)) {
                    Some(element) if matches!(token, Token::Text) => {
                        element.text += &unescaped(content)
                    }
                    Some(element) => element.text += content,
                    None if content.trim_start_matches('\u{feff}').trim().is_empty() => {}
                    None => return Err((line, "there is text outside of the root element")),
                }
            }
            Token::Aside => {}
            Token::End => {
                let name = local(content.trim());
                let is_open = open
                    .last()
                    .and_then(|at| found.get(*at))
                    .is_some_and(|element| element.name() == name);
                if !is_open {
                    return Err((line, "an element ends that was not begun"));
                }
                open.pop();
            }
            Token::Begin { is_empty } => {
                let parent = open.last().and_then(|at| found.get(*at));
                if parent.is_none() && is_rooted {
                    return Err((line, "there is a second root element"));
                }
                is_rooted = true;
                let end = content.find(char::is_whitespace).unwrap_or(content.len());
                let (name, attributes) = content.split_at(end);
                let name = local(name);
                if name.is_empty() {
                    return Err((line, "an element has no name"));
                }
                let path = match parent {
                    Some(parent) => format!("{}/{name}", parent.path),
                    None => name.to_owned(),
                };
                if path.len() > MAX_PATH_BYTES || found.len() >= MAX_ELEMENTS {
                    return Err((line, "it is too large for a build file"));
                }
                let attributes = attributes_in(attributes)
                    .ok_or((line, "an attribute has no value in quotes"))?;
                found.push(Element {
                    path,
                    attributes,
                    line,
                    text: String::new(),
                });
                if !is_empty {
                    open.push(found.len() - 1);
                }
                if open.len() > MAX_DEPTH {
                    return Err((line, "elements are nested too deeply"));
                }
            }
        }
        let taken = rest.len() - behind.len();
        line += rest
            .get(..taken)
            .map_or(0, |text| text.matches('\n').count());
        rest = behind;
    }
    if !open.is_empty() {
        return Err((line, "an element has no end"));
    }
    if !is_rooted {
        return Err((1, "there is no element in it"));
    }
    for element in &mut found {
        element.text = element.text.trim().to_owned();
    }
    Ok(found)
}

enum Token {
    Text,
    /// `<![CDATA[...]]>`
    Characters,
    /// A comment, an instruction or a document type: it means nothing here, and its entities are never expanded.
    Aside,
    Begin {
        is_empty: bool,
    },
    End,
}

/// What comes next, the text behind it, and what is inside.
fn next(text: &str) -> Result<(Token, &str, &str), &'static str> {
    let Some(tag) = text.strip_prefix('<') else {
        let end = text.find('<').unwrap_or(text.len());
        let (content, behind) = text.split_at(end);
        return Ok((Token::Text, behind, content));
    };
    for (begin, end, is_text) in [
        ("!--", "-->", false),
        ("![CDATA[", "]]>", true),
        ("?", "?>", false),
    ] {
        if let Some(inside) = tag.strip_prefix(begin) {
            let (content, behind) = inside
                .split_once(end)
                .ok_or("a comment or section has no end")?;
            let token = if is_text {
                Token::Characters
            } else {
                Token::Aside
            };
            return Ok((token, behind, content));
        }
    }
    if tag.starts_with('!') {
        // A document type may have declarations in brackets.
        let (content, behind) = tag.split_once('>').ok_or("a document type has no end")?;
        if !content.contains('[') {
            return Ok((Token::Aside, behind, ""));
        }
        let (_, behind) = tag.split_once("]>").ok_or("a document type has no end")?;
        return Ok((Token::Aside, behind, ""));
    }
    let mut quote = None;
    let end = tag
        .char_indices()
        .find(|(_, c)| match (quote, c) {
            (None, '>') => true,
            (None, '"' | '\'') => {
                quote = Some(*c);
                false
            }
            (Some(begun), c) if begun == *c => {
                quote = None;
                false
            }
            _ => false,
        })
        .map(|(at, _)| at)
        .ok_or("a tag has no end")?;
    let content = tag.get(..end).unwrap_or_default();
    let behind = tag.get(end + 1..).unwrap_or_default();
    Ok(
        match (content.strip_prefix('/'), content.strip_suffix('/')) {
            (Some(name), _) => (Token::End, behind, name),
            (None, Some(inside)) => (Token::Begin { is_empty: true }, behind, inside),
            (None, None) => (Token::Begin { is_empty: false }, behind, content),
        },
    )
}

fn attributes_in(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, behind) = value.get(1..)?.split_once(quote)?;
        found.push((local(name.trim()).to_owned(), unescaped(value)));
        rest = behind.trim_start();
    }
    Some(found)
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or_default()
}

fn unescaped(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_paths_texts_and_lines() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- <a> -->\n<p:project xmlns:p='x>y'>\n  <a b = \"1 &amp; 2\"/>\n  <c>x<![CDATA[<y>]]></c>\n</p:project>\n";
        let found = elements(text).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|element| (element.path.as_str(), element.text.as_str(), element.line))
            .collect();
        assert_eq!(
            shown,
            [
                ("project", "", 3),
                ("project/a", "", 4),
                ("project/c", "x<y>", 5)
            ]
        );
        assert_eq!(found.get(1).and_then(|a| a.attribute("b")), Some("1 & 2"));
    }

    #[test]
    fn what_is_no_xml_is_named_with_its_line() {
        for (text, expected) in [
            ("", 1),
            ("hello", 1),
            ("<a>\n<b>\n</a>", 3),
            ("<a>\n", 2),
            ("<a/>\n<b/>", 2),
            ("<a>\n<b c=d/></a>", 2),
            ("<a>\n<!-- x", 2),
            ("<a\n", 1),
            ("<!DOCTYPE a [\n", 1),
        ] {
            let found = elements(text).map_err(|(line, _)| line);
            assert_eq!(found, Err(expected), "{text}");
        }
        assert!(elements(&"<a>".repeat(100_000)).is_err());
        assert!(elements(&format!("<{}/>", "a".repeat(100_000))).is_err());
        assert!(elements(&format!("<a>{}</a>", "<b/>".repeat(100_000))).is_err());
        // Entities are left alone, so they cannot multiply.
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxx\">]><a>&x;</a>";
        assert_eq!(
            elements(bomb).unwrap().first().map(|a| a.text.as_str()),
            Some("&x;")
        );
    }

    #[test]
    fn properties_stand_for_values() {
        let check = |text: &str, expected: Option<&str>| {
            let found = elements(text).unwrap();
            let paths = ["project/r".to_owned()];
            let value = text_at(&found, &paths).map(|(value, _)| value);
            assert_eq!(value.as_deref(), expected, "{text}");
        };
        check("<project><r>17</r></project>", Some("17"));
        check(
            "<project><r>${v}</r><properties><v>21</v></properties></project>",
            Some("21"),
        );
        check("<project><r>${v}</r></project>", None);
        check(
            "<project><r>${v}</r><properties><v>${v}</v></properties></project>",
            None,
        );
    }
}
