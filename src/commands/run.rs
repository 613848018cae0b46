//! `run`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::Assignment;
use super::problems::not_deployed;
use super::{Authorized, Command, Dialog, Output, Page, Platform, page};
use crate::engine::{OneOffSpec, Stream};
use crate::model::{
    App, AppName, ConfigKey, ConfigVars, ContainerPhase, Permission, Problem, ProcessType, Release,
    Secret,
};
use crate::reconcile;

/// Exit status of a shell command that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Run a command in a new container of the app, and exit with its status
///
/// The container has the image and the config vars of the present release and is removed afterwards. A process type of
/// the Procfile in place of the command runs that type's command. The words are run as they are; one quoted word with
/// blanks in it, as in `mini run blog 'echo $HOME; date'`, is run by a shell.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The app
    pub app: AppName,
    /// One more environment variable; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    #[serde(default)]
    pub env: Vec<Assignment>,
    /// Give it no terminal even where there is one
    #[arg(long)]
    #[serde(default)]
    pub no_tty: bool,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

/// How the command ended.
#[derive(Debug, Serialize)]
pub struct Ended {
    exit_code: u8,
}

impl Command for Run {
    type Output = Ended;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    fn needs_stream(&self) -> Option<&'static str> {
        Some("it reads its input and writes its output while it runs")
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Ended, Problem> {
        let app = authorized.app()?;
        let release = match app.current {
            Some(version) => platform.store.release(app.id, version).await?,
            None => None,
        };
        let release = release.ok_or_else(|| not_deployed(&app.name))?;
        let (command, from_procfile) = resolved(self.command, &release);
        if let Some(process_type) = from_procfile
            && !dialog.options().quiet
        {
            // On standard error, so that the output of the command can be piped.
            let line = format!("Found '{process_type}' in Procfile, running that command");
            dialog.write(Stream::Stderr, page::header(&line)).await;
        }
        let terminal = dialog.terminal().filter(|_| !self.no_tty);
        let spec = OneOffSpec {
            app: app.name.clone(),
            release: release.version,
            purpose: "run",
            image: release.image.clone(),
            command,
            environment: environment(app, &release, self.env)?,
            limits: platform.reconciler.rules().limits,
            terminal,
            has_stdin: true,
            mounts: platform.store.storage_mounts(app.id).await?,
            options: platform
                .store
                .container_options_of(app.id, ContainerPhase::Run)
                .await?,
        };
        let io = dialog.lend(terminal.is_some());
        let exit_code = tokio::select! {
            ended = platform.engine.run(&spec, io) => ended?,
            // The engine removes the container when it is no longer waited for.
            () = dialog.gone() => INTERRUPTED,
        };
        Ok(Ended { exit_code })
    }
}

/// The words to run, and the process type where its name stood for them.
fn resolved(words: Vec<String>, release: &Release) -> (Vec<String>, Option<ProcessType>) {
    let found = match words.as_slice() {
        [only] => only.parse::<ProcessType>().ok(),
        _ => None,
    };
    let line = found
        .as_ref()
        .and_then(|process_type| release.command(process_type));
    match line {
        Some(line) => (vec!["/bin/sh".to_owned(), "-c".to_owned(), line], found),
        // One word with blanks in it is a line for a shell: no program is named so.
        None if is_shell_line(&words) => {
            let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
            (shell.into_iter().chain(words).collect(), None)
        }
        None => (words, None),
    }
}

fn is_shell_line(words: &[String]) -> bool {
    matches!(words, [line] if line.trim().contains(char::is_whitespace))
}

/// The environment every process of the release has, the port, and what was given on the line, the last winning.
fn environment(
    app: &App,
    release: &Release,
    given: Vec<Assignment>,
) -> Result<ConfigVars, Problem> {
    let purpose: ProcessType = "run".parse()?;
    let mut environment =
        reconcile::environment(app, release, release.version, &purpose, purpose.as_str());
    // A command line of the Procfile counts on it, whatever type it is of.
    let port: ConfigKey = "PORT".parse()?;
    environment
        .entry(port)
        .or_insert_with(|| Secret::new(release.port.to_string()));
    environment.extend(
        given
            .into_iter()
            .map(|variable| (variable.key, variable.value)),
    );
    Ok(environment)
}

impl Output for Ended {
    fn print(&self, _page: &mut Page) {}

    fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

#[cfg(test)]
mod tests {
    use super::is_shell_line;

    fn check(words: &[&str], expected: bool) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(is_shell_line(&words), expected, "{words:?}");
    }

    #[test]
    fn one_word_with_blanks_is_for_a_shell() {
        check(&["echo $HOME; exit 7"], true);
        check(&["echo", "$HOME;", "exit 7"], false);
        check(&["ls"], false);
        check(&[" ls "], false);
    }
}
