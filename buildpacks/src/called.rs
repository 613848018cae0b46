//! The programs a Procfile's `web` calls: where several languages could be meant, they say which one is.

use crate::buildpack::Buildpack;

/// Words that stand before the program they start.
const BEFORE_A_PROGRAM: &[&str] = &["exec", "env", "nohup", "time", "sudo"];

/// The programs of one command line.
#[derive(Debug, Default)]
pub(crate) struct Called<'a> {
    /// All words, in which a path like `target/release/` is looked for.
    words: Vec<&'a str>,
    /// The program that runs last, which is the one that stays: of `cd api && exec gunicorn app`, gunicorn.
    last: Option<&'a str>,
}

impl<'a> Called<'a> {
    pub(crate) fn of(command: &'a str) -> Self {
        let words = command.split_whitespace().collect();
        let parts = command.split(['&', '|', ';', '\n']);
        let last = parts.filter_map(program).next_back();
        Self { words, last }
    }

    /// The buildpacks in the order to ask them: those with a Dockerfile of the app's own, those whose program is called, the rest.
    pub(crate) fn order<'b>(
        &'b self,
        buildpacks: &'b [Buildpack],
    ) -> impl Iterator<Item = &'b Buildpack> {
        let rank = |buildpack: &Buildpack| match buildpack.own_dockerfile {
            Some(_) => 0,
            None if self.by(buildpack).is_some() => 1,
            None => 2,
        };
        (0..=2).flat_map(move |wanted| {
            let fitting = move |buildpack: &&Buildpack| rank(buildpack) == wanted;
            buildpacks.iter().filter(fitting)
        })
    }

    /// The program of this language that is called, as its buildpack spells it.
    pub(crate) fn by<'b>(&self, buildpack: &'b Buildpack) -> Option<&'b str> {
        let mut programs = buildpack.procfile_programs.iter();
        let is_called = |program: &&String| match program.contains('/') {
            true => self
                .words
                .iter()
                .any(|word| word.contains(program.as_str())),
            false => self.last == Some(program.as_str()),
        };
        programs.find(is_called).map(String::as_str)
    }
}

/// The name of the program that a simple command starts: without its directories, and without what is set for it.
fn program(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let word = words.find(|word| !word.contains('=') && !BEFORE_A_PROGRAM.contains(word))?;
    word.trim_matches(['"', '\'', '(', ')']).rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, last: Option<&str>) {
        assert_eq!(Called::of(command).last, last, "{command}");
    }

    #[test]
    fn the_program_that_stays() {
        check("gunicorn app:app", Some("gunicorn"));
        check(
            "cd api && exec env A=1 B=2 ./venv/bin/gunicorn app",
            Some("gunicorn"),
        );
        check(
            "python manage.py migrate; python manage.py runserver",
            Some("python"),
        );
        check("A=1", None);
        check("", None);
    }
}
