//! Owns settings, wiring, signals and the order of start and stop; also the `mini` program's command line.
//! Must not decide anything about apps; it knows everyone and calls them.

mod apart;
mod backups;
mod client;
mod code_pages;
mod control;
mod front;
mod listeners;
mod local;
mod log;
mod ready;
mod server;
mod settings;
mod shell;
mod signals;
mod successor;
mod systemd;
mod takeover;
mod terminal;
mod unserved;
mod wiring;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::buildpacks::{Local, local};
use crate::commands::{Options, take_flags};
use crate::engine::Stream;
use crate::model::{Kind, Problem};
use crate::ssh::hook_client;

/// What `mini help` adds on the server's own machine.
const LOCAL_HELP: &str = "
On this machine:

    deploy [DIR]               Send a folder to a server, which builds and runs it
    server                     Run the server
    backup:verify FILE         Read a backup whole and say what is in it
    backup:restore FILE        Make the data directory of a server from a backup
    backup:list --from PLACE   List the backups in a folder or a bucket
    upgrade [FILE]             Replace the server that runs by a new program, and go back if that is not well
    database:restore-copy      Go back to the database from before an upgrade
    uninstall [--purge]        Take mini and the processes of its apps away
    completions SHELL          Print what completes these words in bash, zsh or fish
    manual DIR                 Write the manual pages to a folder
    buildpacks:detect DIR      Say what a folder is and how it would be built and run
    buildpacks:dockerfile DIR  Print the Dockerfile it would be built with

Commands go to the server of --data-dir DIR, else of MINI_DATA_DIR, else of /var/lib/mini,
or without root of ~/.local/share/mini, where `mini server --dev` keeps its own. With --host HOST
or MINI_HOST they go over ssh to a server elsewhere, as ssh takes its name (`mini --host
ssh://mini@SERVER:2222 apps:list`), and without either, where no server is on this machine, to that
of the remote `mini` of the work tree.
";

/// The `mini` program.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // A push waits for this one: no runtime, no parser.
    if let [first, kind] = words.as_slice()
        && first == "hook"
    {
        return ExitCode::from(hook_client::run(&kind.to_string_lossy()));
    }
    if let [first, rest @ ..] = words.as_slice()
        && first == apart::WORD
    {
        return apart::run(rest);
    }
    ExitCode::from(run(words).unwrap_or_else(|problem| {
        say(Stream::Stderr, &problem.to_terminal());
        problem.exit_code()
    }))
}

fn run(words: Vec<OsString>) -> Result<u8, Problem> {
    let words = words
        .into_iter()
        .map(OsString::into_string)
        .collect::<Result<Vec<String>, OsString>>()
        .map_err(|word| {
            Problem::new(
                Kind::Usage,
                format!("`{}` is not UTF-8", word.to_string_lossy()),
                "",
                "mini reads words in UTF-8 only",
            )
        })?;
    let flags = [
        ("--data-dir", "a folder"),
        ("--host", "a host, such as ssh://mini@SERVER:2222"),
    ];
    let (mut words, [data_dir, host]) = take_flags(words, flags)?;
    if host.is_some() && data_dir.is_some() {
        return Err(Problem::new(
            Kind::Usage,
            "`--host` and `--data-dir` name two servers",
            "",
            "Give one of them",
        ));
    }
    if let Some(name) = words.first()
        && host.is_some()
        && is_of_this_machine(name)
    {
        return Err(Problem::new(
            Kind::Usage,
            format!("`{name}` is for this machine, so `--host` has no place"),
            "",
            "Leave it out, or type the command on that machine",
        ));
    }
    match words.first().map(String::as_str) {
        Some("server") => {
            if let Some(dir) = data_dir {
                words.extend(["--data-dir".to_owned(), dir]);
            }
            match settings::flags().try_get_matches_from(words) {
                Ok(flags) => server::run(&flags),
                Err(error) => Ok(clap_said(&error)),
            }
        }
        Some(name @ ("buildpacks:detect" | "buildpacks:dockerfile")) => {
            let is_dockerfile = name.ends_with("dockerfile");
            let line = LocalLine::command()
                .bin_name(format!("mini {name}"))
                .try_get_matches_from(&words)
                .and_then(|matches| LocalLine::from_arg_matches(&matches));
            match line {
                Ok(line) if line.local.is_folder() && host.is_none() => {
                    let answer = local(line.local, is_dockerfile)?;
                    Ok(client::show(&answer, Options::default()))
                }
                // No folder: an app of the server.
                Ok(line) => client::run(words, data_dir.map(PathBuf::from), host.as_deref())
                    .map_err(|problem| {
                        let dir = line.local.dir.display();
                        let why = format!(
                            "there is no folder {dir} here, and as an app: {}",
                            problem.why
                        );
                        Problem { why, ..problem }
                    }),
                Err(error) => Ok(clap_said(&error)),
            }
        }
        Some("backup:verify" | "backup:restore") => {
            backups::run(&words, data_dir.map(PathBuf::from))
        }
        Some(_) if host.is_none() && backups::is_list_from(&words) => backups::run(&words, None),
        Some(name) if local::is_known(name) => {
            // Only `deploy` comes here with one.
            words.extend(host.map(|host| format!("--host={host}")));
            local::run(words, data_dir.map(PathBuf::from))
        }
        Some("shell") => shell::run(
            words.get(1..).unwrap_or_default(),
            data_dir.map(PathBuf::from),
        ),
        Some("hook") => Err(Problem::new(
            Kind::Usage,
            "`mini hook` is for the hooks that git runs",
            "",
            "",
        )),
        _ => client::run(words, data_dir.map(PathBuf::from), host.as_deref()),
    }
}

/// `mini buildpacks:detect`, `mini buildpacks:dockerfile`
#[derive(Parser)]
#[command(about = "Say what a folder is and how it would be built and run; build nothing")]
struct LocalLine {
    #[command(flatten)]
    local: Local,
}

fn clap_said(error: &clap::Error) -> u8 {
    let stream = if error.use_stderr() {
        Stream::Stderr
    } else {
        Stream::Stdout
    };
    say(stream, &error.render().to_string());
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// Whether a command works on this machine only.
fn is_of_this_machine(name: &str) -> bool {
    match name {
        "deploy" => false,
        "server" | "shell" | "hook" | "backup:verify" | "backup:restore" => true,
        name => local::is_known(name),
    }
}

/// Prints; where nobody reads, nothing is lost.
fn say(stream: Stream, text: &str) {
    let _ = terminal::write(stream, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_on_this_machine_only_is_known() {
        assert!(is_of_this_machine("upgrade") && !is_of_this_machine("deploy"));
    }
}
