//! Secrets of a build in a Dockerfile that is written for an app: mounted for each step that may fetch or build something, and put
//! into its environment there, where package managers look for them. No template has to think of it.
//!
//! BuildKit in Docker 20.10 mounts secrets as files only (`env=` came with front end 1.10), so the step's shell reads them.

use crate::overrides::is_variable;

/// Secrets that are files, by id: where the program that reads them looks. Steps of a build run as root.
const FILES: &[(&str, &str)] = &[
    ("npmrc", "/root/.npmrc"),
    ("netrc", "/root/.netrc"),
    ("pip.conf", "/etc/pip.conf"),
];

/// Where BuildKit mounts a secret that says nothing else.
const FOLDER: &str = "/run/secrets";

/// The Dockerfile with the secrets `ids` mounted: in every stage but the last, and in the steps of the last that fetch packages.
pub(crate) fn mounted(dockerfile: &str, ids: &[String]) -> String {
    if ids.is_empty() {
        return dockerfile.to_owned();
    }
    let stages = dockerfile.lines().filter(|line| is_from(line)).count();
    let (mut stage, mut is_root) = (0, true);
    let mut text = String::new();
    let mut lines = dockerfile.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let mut instruction = line.to_owned();
        while instruction.trim_end().ends_with('\\') {
            let Some(next) = lines.next() else { break };
            instruction.push_str(next);
        }
        if is_from(&instruction) {
            (stage, is_root) = (stage + 1, true);
        }
        if let Some(user) = instruction.strip_prefix("USER ") {
            is_root = user.trim() == "root";
        }
        match instruction.strip_prefix("RUN ") {
            // Only root may read a secret.
            Some(step) if is_root && (stage < stages || step.contains("--mount=type=cache")) => {
                text.push_str(&with_secrets(step, ids));
            }
            Some(_) | None => text.push_str(&instruction),
        }
    }
    text
}

fn is_from(line: &str) -> bool {
    line.starts_with("FROM ")
}

/// A step, without its `RUN`, as an instruction that has the secrets.
fn with_secrets(step: &str, ids: &[String]) -> String {
    let begin = step.len() - flags(step).len();
    let (flags, command) = step.split_at(begin);
    // Debian's packages need no secret of an app.
    if command.starts_with("apt-get ") {
        return format!("RUN {step}");
    }
    let mounts: String = ids
        .iter()
        .map(|id| match FILES.iter().find(|(file, _)| file == id) {
            Some((_, target)) => format!("--mount=type=secret,id={id},target={target} "),
            None => format!("--mount=type=secret,id={id} "),
        })
        .collect();
    let reads: Vec<String> = ids
        .iter()
        .filter(|id| is_variable(id) && !FILES.iter().any(|(file, _)| file == id))
        .map(|id| format!("{id}=\"$(cat {FOLDER}/{id})\""))
        .collect();
    if reads.is_empty() {
        return format!("RUN {mounts}{flags}{command}");
    }
    let reads = format!("export {}", reads.join(" "));
    let end = command.trim_end().len();
    let (command, rest) = command.split_at(end);
    let command = match serde_json::from_str::<Vec<String>>(command) {
        Ok(words) => in_a_shell(&reads, words),
        Err(_) => format!("{reads} && {command}"),
    };
    format!("RUN {mounts}{flags}{command}{rest}")
}

/// What follows the flags of a step.
fn flags(step: &str) -> &str {
    let mut rest = step;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\\', '\r', '\n']);
        match rest.strip_prefix("--") {
            Some(flag) => {
                let end = flag.find(char::is_whitespace).unwrap_or(flag.len());
                rest = flag.get(end..).unwrap_or_default();
            }
            None => return rest,
        }
    }
}

/// A command of words that begins with a read of the secrets.
fn in_a_shell(reads: &str, words: Vec<String>) -> String {
    let words: Vec<String> = match words.as_slice() {
        [shell, flag, line] if shell.ends_with("/sh") && flag == "-c" => {
            vec![shell.clone(), flag.clone(), format!("{reads} && {line}")]
        }
        _ => {
            let line = format!("{reads} && exec \"$0\" \"$@\"");
            ["/bin/sh".to_owned(), "-c".to_owned(), line]
                .into_iter()
                .chain(words)
                .collect()
        }
    };
    serde_json::Value::from(words).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = r#"export TOKEN="$(cat /run/secrets/TOKEN)" && "#;
    const MOUNT: &str = "--mount=type=secret,id=TOKEN ";

    fn check(ids: &[&str], dockerfile: &str, expected: &str) {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(mounted(dockerfile, &ids), expected);
    }

    #[test]
    fn steps_that_build_have_the_secrets_and_the_last_stage_has_not() {
        check(
            &["TOKEN"],
            "FROM a AS build\nRUN apt-get update \\\n    && x\nRUN --mount=type=cache,id=c,target=/c \\\n    --mount=type=cache,id=d,target=/d \\\n    npm ci \\\n    && y\nUSER app\nRUN z\nFROM b\nRUN useradd app\nUSER app\n",
            &format!(
                "FROM a AS build\nRUN apt-get update \\\n    && x\nRUN {MOUNT}--mount=type=cache,id=c,target=/c \\\n    --mount=type=cache,id=d,target=/d \\\n    {READ}npm ci \\\n    && y\nUSER app\nRUN z\nFROM b\nRUN useradd app\nUSER app\n"
            ),
        );
        check(
            &["TOKEN"],
            "FROM a\nRUN x\nRUN --mount=type=cache,id=c,target=/c y",
            &format!("FROM a\nRUN x\nRUN {MOUNT}--mount=type=cache,id=c,target=/c {READ}y"),
        );
    }

    #[test]
    fn commands_of_words_keep_their_words() {
        check(
            &["TOKEN"],
            "FROM a AS b\nRUN [\"/bin/sh\", \"-c\", \"x \\\"y\\\"\"]\nRUN [\"npm\", \"ci\"]\nFROM c\n",
            &format!(
                "FROM a AS b\nRUN {MOUNT}[\"/bin/sh\",\"-c\",\"export TOKEN=\\\"$(cat /run/secrets/TOKEN)\\\" && x \\\"y\\\"\"]\nRUN {MOUNT}[\"/bin/sh\",\"-c\",\"export TOKEN=\\\"$(cat /run/secrets/TOKEN)\\\" && exec \\\"$0\\\" \\\"$@\\\"\",\"npm\",\"ci\"]\nFROM c\n"
            ),
        );
    }

    #[test]
    fn files_are_where_their_program_looks() {
        check(
            &["npmrc", "a.b"],
            "FROM a AS b\nRUN npm ci\nFROM c\n",
            "FROM a AS b\nRUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=secret,id=a.b npm ci\nFROM c\n",
        );
        check(&[], "FROM a\nRUN b", "FROM a\nRUN b");
    }
}
