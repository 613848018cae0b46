//! What `mini` does on its user's own machine: beside the server without asking it, or on a laptop.

mod completions;
mod deploy;
mod host;
mod manual;
mod remote;
mod restore_copy;
mod uninstall;
mod upgrade;

pub(super) use self::remote::Remote;

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Subcommand};

use super::{clap_said, client, settings};
use crate::commands::{Line, Options, refused};
use crate::model::Problem;

/// These commands.
#[derive(Debug, Subcommand)]
enum Local {
    #[command(name = "database:restore-copy")]
    RestoreCopy(restore_copy::RestoreCopy),
    #[command(name = "deploy")]
    Deploy(deploy::Deploy),
    #[command(name = "completions")]
    Completions(completions::Completions),
    #[command(name = "manual")]
    Manual(manual::Manual),
    #[command(name = "uninstall")]
    Uninstall(uninstall::Uninstall),
    #[command(name = "upgrade")]
    Upgrade(upgrade::Upgrade),
}

/// All of them as one clap command.
fn description() -> clap::Command {
    Local::augment_subcommands(clap::Command::new("mini").subcommand_required(true))
}

/// Everything that `mini` takes here: the commands of the server, these, and the server itself.
fn all() -> clap::Command {
    Local::augment_subcommands(Line::command())
        .subcommand(settings::flags())
        .version(crate::VERSION)
        .arg(
            clap::Arg::new("data-dir")
                .long("data-dir")
                .global(true)
                .value_name("DIR")
                .value_hint(clap::ValueHint::DirPath)
                .help("The data directory of the server that is meant"),
        )
}

/// Whether a word is the name of one of them.
pub(super) fn is_known(name: &str) -> bool {
    Local::has_subcommand(name)
}

/// Runs the one that `words` spell, and gives its exit status.
pub(super) fn run(words: Vec<String>, data_dir: Option<PathBuf>) -> Result<u8, Problem> {
    let name = words.first().cloned().unwrap_or_default();
    let words = std::iter::once("mini".to_owned()).chain(words);
    let parsed = description()
        .try_get_matches_from(words)
        .and_then(|matches| Local::from_arg_matches(&matches));
    let named = data_dir;
    let data_dir = client::chosen(named.clone());
    match parsed {
        Ok(Local::Deploy(deploy)) => deploy.run(named, &data_dir),
        Ok(Local::RestoreCopy(restore)) => {
            let answer = restore.run(&data_dir)?;
            Ok(client::show(&answer, Options::default()))
        }
        Ok(Local::Completions(completions)) => completions.run().map(|()| 0),
        Ok(Local::Manual(manual)) => manual.run().map(|()| 0),
        Ok(Local::Uninstall(uninstall)) => uninstall.run(&data_dir).map(|()| 0),
        Ok(Local::Upgrade(upgrade)) => upgrade.run(&data_dir).map(|()| 0),
        Err(error) => {
            let mut all = description();
            all.build();
            let command = all.find_subcommand_mut(&name);
            match command.and_then(|command| refused(&error, command)) {
                Some(problem) => Err(problem),
                None => Ok(clap_said(&error)),
            }
        }
    }
}

/// The help page of one of them, or of the server.
pub(super) fn help(name: &str) -> Option<String> {
    let mut all = description().subcommand(settings::flags());
    all.build();
    let command = all.find_subcommand_mut(name)?;
    Some(command.render_long_help().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_here_is_explained_and_refused_like_all_else() {
        assert!(help("deploy").unwrap().contains("Deploy a folder"));
        assert!(help("server").unwrap().contains("--base-domain"));
        assert_eq!(help("apps:list"), None);
        let words = ["deploy", "--app", "Bad_X"].map(str::to_owned).to_vec();
        let problem = run(words, None).unwrap_err();
        assert_eq!(problem.exit_code(), 2);
        assert!(
            problem.why.contains("`Bad_X` was given for --app"),
            "{problem:?}"
        );
    }
}
