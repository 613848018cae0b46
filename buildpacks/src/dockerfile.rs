//! The little that has to be known of a Dockerfile's own language: which images it starts from.

use std::collections::BTreeMap;

/// What reading a Dockerfile shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerfileFacts {
    /// Images of `FROM`, `COPY --from` and `RUN --mount=from=`, in order, once each. References to earlier stages and `scratch`
    /// are left out, build arguments with a default are resolved; what stays unresolved (`$X`) is left out.
    pub base_images: Vec<String>,
    /// The value of a `# syntax=` line. The daemon fetches that image before it does anything else.
    pub syntax: Option<String>,
    /// Ports of `EXPOSE`, as written, without `/tcp`.
    pub exposed: Vec<String>,
    /// Whether there is any `FROM`.
    pub has_stage: bool,
    /// The names of stages, lower case, in order.
    pub stages: Vec<String>,
    /// How many stages there are; a stage may also be called by its number, from 0.
    pub stage_count: usize,
}

/// Reads a Dockerfile. Never fails: lines that are not understood are the daemon's to complain about.
#[must_use]
pub fn read(text: &str) -> DockerfileFacts {
    let mut facts = DockerfileFacts::default();
    let (directives, escape) = directives(text);
    facts.syntax = directives;
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: Vec<String> = Vec::new();
    for instruction in instructions(text, escape) {
        let mut words = instruction.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        match keyword.as_str() {
            "ARG" if !facts.has_stage => {
                for word in words {
                    if let Some((name, value)) = word.split_once('=') {
                        let value = value.trim_matches(['"', '\'']);
                        arguments.insert(
                            name.to_owned(),
                            resolve(value, &arguments).unwrap_or_default(),
                        );
                    }
                }
            }
            "FROM" => {
                facts.has_stage = true;
                let mut rest = words.skip_while(|word| word.starts_with("--"));
                if let Some(image) = rest.next().and_then(|image| resolve(image, &arguments)) {
                    facts.add(image, &stages);
                }
                stages.push(rest.nth(1).unwrap_or_default().to_ascii_lowercase());
                facts.stage_count += 1;
            }
            "COPY" | "ADD" | "RUN" => {
                for flag in words.take_while(|word| word.starts_with("--")) {
                    if let Some(image) =
                        image_of_flag(flag).and_then(|image| resolve(image, &arguments))
                    {
                        facts.add(image, &stages);
                    }
                }
            }
            "EXPOSE" => facts
                .exposed
                .extend(words.map(|word| word.trim_end_matches("/tcp").to_owned())),
            _ => {}
        }
    }
    stages.retain(|name| !name.is_empty());
    facts.stages = stages;
    facts
}

impl DockerfileFacts {
    fn add(&mut self, image: String, stages: &[String]) {
        let is_stage =
            stages.contains(&image.to_ascii_lowercase()) || image.parse::<usize>().is_ok();
        let is_image = !image.is_empty() && image != "scratch" && !image.contains('$');
        if is_image && !is_stage && !self.base_images.contains(&image) {
            self.base_images.push(image);
        }
    }
}

/// `--from=IMAGE`, or the `from=IMAGE` of a `--mount=`.
fn image_of_flag(flag: &str) -> Option<&str> {
    match flag.strip_prefix("--mount=") {
        Some(mount) => mount.split(',').find_map(|part| part.strip_prefix("from=")),
        None => flag.strip_prefix("--from="),
    }
}

/// The parser directives at the very top: `# syntax=` and the escape character.
fn directives(text: &str) -> (Option<String>, char) {
    let (mut syntax, mut escape) = (None, '\\');
    for line in text.trim_start_matches('\u{feff}').lines() {
        let Some((name, value)) = line
            .trim()
            .strip_prefix('#')
            .and_then(|line| line.split_once('='))
        else {
            break;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "syntax" => syntax = Some(value.trim().to_owned()),
            "escape" if value.trim() == "`" => escape = '`',
            "escape" | "check" => {}
            _ => break,
        }
    }
    (syntax, escape)
}

/// Instructions with their continuation lines joined; comments, empty lines and here-documents are left out.
fn instructions(text: &str, escape: char) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut heredocs: Vec<String> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        if let Some(end) = heredocs.first() {
            if line.trim() == end {
                heredocs.remove(0);
            }
            continue;
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        current.push_str(line);
        if current.ends_with(escape) {
            current.pop();
            current.push(' ');
            continue;
        }
        heredocs = heredoc_ends(&current);
        found.push(std::mem::take(&mut current));
    }
    if !current.is_empty() {
        found.push(current);
    }
    found
}

/// The words that end the here-documents a `RUN` or `COPY` instruction opens.
fn heredoc_ends(instruction: &str) -> Vec<String> {
    let keyword = instruction.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|word| keyword.eq_ignore_ascii_case(word))
    {
        return Vec::new();
    }
    let opened = instruction.split("<<").skip(1);
    let words = opened.filter_map(|rest| {
        let word = rest
            .trim_start_matches('-')
            .split([' ', '\t', ';', '&', '|', '>'])
            .next()?
            .trim_matches(['"', '\'']);
        let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        is_word.then(|| word.to_owned())
    });
    words.collect()
}

/// Replaces `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME-default}`. `None` if a name is unknown or the form is another one.
fn resolve(value: &str, arguments: &BTreeMap<String, String>) -> Option<String> {
    let mut resolved = String::new();
    let mut rest = value.trim_matches(['"', '\'']);
    while let Some((before, after)) = rest.split_once('$') {
        resolved.push_str(before);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(braced) = after.strip_prefix('{') {
            let (inner, tail) = braced.split_once('}')?;
            let name_end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
            let (name, form) = inner.split_at_checked(name_end)?;
            let known = arguments
                .get(name)
                .filter(|known| !known.is_empty())
                .map(String::as_str);
            let fallback = form.strip_prefix(":-").or_else(|| form.strip_prefix('-'));
            resolved.push_str(if form.is_empty() {
                known?
            } else {
                known.or(fallback)?
            });
            rest = tail;
        } else {
            let name_end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            let (name, tail) = after.split_at_checked(name_end)?;
            resolved.push_str(arguments.get(name).filter(|known| !known.is_empty())?);
            rest = tail;
        }
    }
    resolved.push_str(rest);
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, images: &[&str]) {
        assert_eq!(read(text).base_images, images, "{text}");
    }

    #[test]
    fn base_images() {
        check("FROM node:22-slim\n", &["node:22-slim"]);
        check(
            "from node:22 as Build\nFROM --platform=linux/amd64 debian:trixie-slim\nCOPY --from=build /a /b\nCOPY --from=0 a b",
            &["node:22", "debian:trixie-slim"],
        );
        check(
            "ARG V=3.13\nARG TAG=$V-slim\nFROM python:${TAG}\nFROM x:${NONE:-1}\nFROM y:$NONE\nFROM scratch",
            &["python:3.13-slim", "x:1"],
        );
        check(
            "FROM a\nCOPY --chown=1:1 --from=ghcr.io/x/uv:1 /uv /bin/\nRUN --mount=type=bind,from=b:2,target=/x true",
            &["a", "ghcr.io/x/uv:1", "b:2"],
        );
        check(
            "FROM a AS b\nRUN <<EOF\nFROM nonsense\nEOF\nFROM c",
            &["a", "c"],
        );
        check("# escape=`\nFROM `\n  a", &["a"]);
        check("FROM \\\n# comment\n  a", &["a"]);
        check("", &[]);
    }

    #[test]
    fn syntax_and_ports() {
        let facts = read("# syntax=docker/dockerfile:1\n# escape=\\\nFROM a\nEXPOSE 80/tcp 53/udp");
        assert_eq!(facts.syntax.as_deref(), Some("docker/dockerfile:1"));
        assert_eq!(facts.exposed, ["80", "53/udp"]);
        assert_eq!(
            read("\n# syntax=x\nFROM a").syntax,
            None,
            "only the top counts"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "((FROM|ARG|RUN|COPY|#)[ =$\\{\\}:<a-z\\-\\\\\n]{0,20}){0,5}") {
            let _ = read(&text);
        }
    }
}
