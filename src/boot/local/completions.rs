//! `mini completions`: what a shell completes.

use clap::{Args, ValueEnum};
use clap_complete::aot::{Shell as Generator, generate};

use super::all;
use crate::boot::say;
use crate::engine::Stream;
use crate::model::Problem;

/// Print the script that completes the words of `mini` in a shell
///
/// Packages install it. By hand: `mini completions bash > /etc/bash_completion.d/mini`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells there is a script for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Problem> {
        say(Stream::Stdout, &script(self.shell));
        Ok(())
    }
}

fn script(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    let mut script = Vec::new();
    generate(generator, &mut all(), "mini", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::AnyCommand;

    #[test]
    fn every_command_is_in_every_script() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            // Zsh and fish take a colon for the end of a word.
            let plain = script.replace('\\', "");
            for name in AnyCommand::NAMES
                .iter()
                .chain(&["server", "upgrade", "uninstall"])
            {
                assert!(plain.contains(name), "{shell:?} has no {name}");
            }
            assert!(
                plain.contains("base-domain"),
                "{shell:?}: flags of the server"
            );
        }
    }
}
