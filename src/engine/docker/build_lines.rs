//! What Buildah, with which Podman builds, says of a build: lines of prose, in pieces (its `imagebuildah/stage_executor.go`;
//! those below were seen from 1.28, that of Podman 4.3).

use crate::engine::BuildEvent;
use crate::engine::lines::Lines;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct BuildLines {
    open: Lines,
    /// The step that runs.
    step: Option<String>,
    /// Whether what comes may be about the image that a stage has become.
    is_committing: bool,
}

impl BuildLines {
    /// Takes in a piece and gives what is new in it.
    pub(super) fn take(&mut self, piece: &str) -> Vec<BuildEvent> {
        let lines = self.open.push(piece.as_bytes());
        let events = lines.into_iter().filter_map(|line| self.line(line));
        events.collect()
    }

    /// The line that had no end yet.
    pub(super) fn finish(&mut self) -> Option<BuildEvent> {
        let line = self.open.finish()?;
        self.line(line)
    }

    /// The step that `said` is about, and what it says beside that.
    pub(super) fn failure(&self, said: String) -> (Option<String>, String) {
        let text = said.strip_prefix("error ").unwrap_or(&said);
        if !text.starts_with("building at STEP \"") {
            return (None, said);
        }
        // The instruction may have any of these characters, and the step is known by now.
        let why = text.rsplit_once("\": ").map_or(text, |(_, why)| why);
        let why = why.strip_prefix("error ").unwrap_or(why);
        let why = why.strip_prefix("while running runtime: ").unwrap_or(why);
        (self.step.clone(), why.trim().to_owned())
    }

    fn line(&mut self, line: String) -> Option<BuildEvent> {
        if let Some(name) = step(&line) {
            self.is_committing = false;
            self.step = Some(name.clone());
            return Some(BuildEvent::Step {
                name,
                is_cached: false,
            });
        }
        let text = unstaged(&line).map_or(line.as_str(), |(_, text)| text);
        if text == "COMMIT" || text.starts_with("COMMIT ") {
            self.is_committing = true;
            return None;
        }
        if is_id(&line) || (self.is_committing && is_of_image(text)) {
            return None;
        }
        // What a step says itself may look like that, too: psql says `COMMIT`.
        self.is_committing = false;
        Some(BuildEvent::Line(
            match line.strip_prefix("--> Using cache ") {
                Some(_) => "from the cache".to_owned(),
                None => line,
            },
        ))
    }
}

/// `STEP 2/7: RUN make`, behind `[1/2] ` where there are more stages than one; as BuildKit names it: `[1/2 2/7] RUN make`.
fn step(line: &str) -> Option<String> {
    let (stage, rest) = unstaged(line)?;
    let (number, instruction) = rest.strip_prefix("STEP ")?.split_once(": ")?;
    is_number(number).then(|| {
        format!(
            "[{}] {instruction}",
            format!("{stage} {number}").trim_start()
        )
    })
}

/// The number of the stage in front of a line, if there is one, and the rest.
fn unstaged(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").filter(|(stage, _)| is_number(stage)),
        None => Some(("", line)),
    }
}

/// `2/7`.
fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b == b'/')
}

/// `--> 0929c987750`, the layer that a step has become.
fn is_id(line: &str) -> bool {
    let id = line.strip_prefix("--> ");
    id.is_some_and(|id| id.len() >= 11 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What is said of an image behind `COMMIT`: its name, and its id as a line of its own.
fn is_of_image(text: &str) -> bool {
    let is_whole_id = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_end = ["Successfully tagged ", "Successfully built "];
    is_whole_id || is_end.iter().any(|begin| text.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> Vec<String> {
        let mut lines = BuildLines::default();
        let mut events: Vec<BuildEvent> =
            pieces.iter().flat_map(|piece| lines.take(piece)).collect();
        events.extend(lines.finish());
        let told = events.into_iter().map(|event| match event {
            BuildEvent::Step { name, .. } => format!("step {name}"),
            BuildEvent::Line(line) => format!("line {line}"),
            other => format!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn steps_and_output_are_told_and_ids_are_not() {
        let said = [
            "STEP 1/3: FROM debian:trixie-slim\n",
            "STEP 2/3: COPY . .\n",
            "--> Using cache da195c1cd4d684b9bc393ba57b7ab2ac77ca41cc2cfd83a595e00c679467ae4b\n",
            "--> da195c1cd4d\n",
            "STEP 3/3: RUN echo: a; printf b\n",
            "[a] a",
            "\n--> b",
            "\nCOMMIT docker.io/mini/shop:mem\n",
            "--> e743126e0fb\n",
            "Successfully tagged docker.io/mini/shop:mem\n",
            "e743126e0fbd894969654be04a604ccea457ecbfec4161a866886819c6804e82\n",
        ];
        assert_eq!(
            told(&said),
            [
                "step [1/3] FROM debian:trixie-slim",
                "step [2/3] COPY . .",
                "line from the cache",
                "step [3/3] RUN echo: a; printf b",
                "line [a] a",
                "line --> b",
            ]
        );
        let stages = ["[1/2] STEP 1/2: FROM a AS b\n[1/2] COMMIT\n[2/2] STEP 1/1: FROM b\nend"];
        assert_eq!(
            told(&stages),
            [
                "step [1/2 1/2] FROM a AS b",
                "step [2/2 1/1] FROM b",
                "line end"
            ]
        );
    }

    #[test]
    fn what_a_step_says_of_its_own_commit_ends_nothing() {
        let id = "e743126e0fbd894969654be04a604ccea457ecbfec4161a866886819c6804e82";
        let said = [
            "STEP 1/1: RUN psql -f seed.sql; sha256sum seed.sql\n",
            "BEGIN\nINSERT 0 1\nCOMMIT\nVACUUM\n",
            "Successfully tagged 3 rows\nCOMMITTED\n",
            id,
            "\nCOMMIT docker.io/mini/shop:mem\n--> e743126e0fb\n",
            "Successfully tagged docker.io/mini/shop:mem\n",
            id,
            "\n[Warning] one or more build args were not consumed: [A]\n",
        ];
        assert_eq!(
            told(&said),
            [
                "step [1/1] RUN psql -f seed.sql; sha256sum seed.sql",
                "line BEGIN",
                "line INSERT 0 1",
                "line VACUUM",
                "line Successfully tagged 3 rows",
                "line COMMITTED",
                &format!("line {id}"),
                "line [Warning] one or more build args were not consumed: [A]",
            ]
        );
    }

    #[test]
    fn the_failure_is_told_with_its_step() {
        let mut lines = BuildLines::default();
        lines.take("STEP 2/2: RUN echo \": \"; exit 3\n");
        for said in [
            "building at STEP \"RUN echo \": \"; exit 3\": while running runtime: exit status 3\n",
            "error building at STEP \"RUN echo \": \"; exit 3\": error while running runtime: exit status 3",
        ] {
            let (step, why) = lines.failure(said.to_owned());
            assert_eq!(step.as_deref(), Some("[2/2] RUN echo \": \"; exit 3"));
            assert_eq!(why, "exit status 3");
        }
        let other = "creating build container: no such host";
        assert_eq!(lines.failure(other.to_owned()), (None, other.to_owned()));
    }
}
