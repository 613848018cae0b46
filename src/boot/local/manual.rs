//! `mini manual`: the manual pages, made of the same declarations as the help.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

use super::all;
use crate::model::{Kind, Problem};

/// Write the manual pages to a folder: mini.1, and one for each command such as mini-apps-create.1
#[derive(Debug, Args)]
pub(super) struct Manual {
    /// The folder; made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Manual {
    pub(super) fn run(&self) -> Result<(), Problem> {
        write(&self.folder).map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "The manual pages could not be written",
                format!("{}: {error}", self.folder.display()),
                "Name a folder you may write",
            )
        })
    }
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, page) in pages()? {
        fs::write(folder.join(name), page)?;
    }
    Ok(())
}

/// File names and pages.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let all = all();
    let mut pages = vec![page(all.clone().disable_help_subcommand(true), "mini")?];
    for command in all.get_subcommands() {
        // A colon in a file name is none that `man` finds.
        let name = format!("mini-{}", command.get_name().replace(':', "-"));
        let line = format!("mini {}", command.get_name());
        pages.push(page(command.clone().bin_name(line), &name)?);
    }
    Ok(pages)
}

fn page(command: clap::Command, name: &str) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(command.version(crate::VERSION))
        .title(name.to_uppercase())
        .source(format!("mini {}", crate::VERSION))
        .manual("mini");
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok((format!("{name}.1"), page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::AnyCommand;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        for name in AnyCommand::NAMES.iter().chain(&["server", "upgrade"]) {
            let page = read(&format!("mini-{}.1", name.replace(':', "-")));
            assert!(
                page.contains(".SH SYNOPSIS") && page.contains(".SH DESCRIPTION"),
                "{name}"
            );
        }
        assert!(read("mini-server.1").contains("base\\-domain"));
        assert!(read("mini.1").contains("apps:create"));
    }
}
