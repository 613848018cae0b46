//! What an owner wants in every image of the app, whatever its language: Debian packages and environment. Written behind the
//! `FROM` lines of a Dockerfile of ours, so that no template has to think of it.

use std::collections::BTreeMap;

/// What is to be added.
#[derive(Debug, Default)]
pub(crate) struct Additions<'a> {
    /// Packages for every stage.
    pub(crate) packages: Vec<&'a str>,
    /// Packages for every stage but the last.
    pub(crate) build_packages: Vec<&'a str>,
    /// Environment of every stage.
    pub(crate) environment: BTreeMap<&'a str, &'a str>,
}

impl Additions<'_> {
    /// The Dockerfile with the additions. A stage that starts from another one has them from there.
    pub(crate) fn add_to(&self, dockerfile: &str) -> String {
        let last = dockerfile.lines().filter(|line| is_from(line)).count();
        let mut stages: Vec<&str> = Vec::new();
        let mut text = String::new();
        let mut number = 0;
        for line in dockerfile.split_inclusive('\n') {
            text.push_str(line);
            if !is_from(line) {
                continue;
            }
            number += 1;
            let mut words = line.split_whitespace().skip(1);
            let image = words.next().unwrap_or_default();
            let is_stage = stages.contains(&image);
            stages.extend(words.nth(1));
            if !is_stage {
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&self.lines(number == last));
            }
        }
        text
    }

    fn lines(&self, is_last: bool) -> String {
        let mut lines = String::new();
        let build_packages = if is_last {
            &[]
        } else {
            self.build_packages.as_slice()
        };
        let mut packages: Vec<&str> = self
            .packages
            .iter()
            .chain(build_packages)
            .copied()
            .collect();
        packages.sort_unstable();
        packages.dedup();
        if !packages.is_empty() {
            lines.push_str(&format!(
                "RUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*\n",
                packages.join(" ")
            ));
        }
        for (name, value) in &self.environment {
            lines.push_str(&format!("ENV {name}={}\n", quoted(value)));
        }
        lines
    }
}

fn is_from(line: &str) -> bool {
    line.starts_with("FROM ")
}

/// A value as `ENV` takes it: nothing in it is a variable, and it is one line because it was read as one.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(if c.is_control() { ' ' } else { c });
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_gets_what_it_needs_once() {
        let additions = Additions {
            packages: vec!["ffmpeg"],
            build_packages: vec!["libpq-dev"],
            environment: BTreeMap::from([("A", r#"x "$y" \"#)]),
        };
        let text = additions.add_to("FROM a AS base\nFROM base AS build\nRUN x\n\nFROM b\nCMD y\n");
        let install = |names: &str| {
            format!(
                "RUN apt-get update && apt-get install -y --no-install-recommends {names} && rm -rf /var/lib/apt/lists/*\n"
            )
        };
        let env = "ENV A=\"x \\\"\\$y\\\" \\\\\"\n";
        let expected = format!(
            "FROM a AS base\n{}{env}FROM base AS build\nRUN x\n\nFROM b\n{}{env}CMD y\n",
            install("ffmpeg libpq-dev"),
            install("ffmpeg")
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_to_add_changes_nothing() {
        let text = "FROM a\nRUN b";
        assert_eq!(Additions::default().add_to(text), format!("{text}"));
    }
}
