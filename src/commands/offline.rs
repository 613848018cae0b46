//! What the doors have to know of a command before it runs: whether it needs a server, whether it takes the terminal.

use super::dialog::Dialog;
use super::list::AnyCommand;
use super::words::{Parsed, parse, words};
use super::{Output, Page, version};
use crate::engine::Stream;
use crate::model::{Kind, Problem};
use crate::store::Store;

/// Whether a command works on the database alone, so that the first key can be added before any server runs.
pub fn works_offline(command: &AnyCommand) -> bool {
    matches!(
        command,
        AnyCommand::SshKeysAdd(_) | AnyCommand::SshKeysList(_) | AnyCommand::SshKeysRemove(_)
    )
}

fn text_of(output: &impl Output) -> String {
    let mut page = Page::new(false, false);
    output.print(&mut page);
    page.to_text()
}

/// The text of a command that needs neither server nor database.
pub fn answer_alone(command: &AnyCommand, columns: Option<u16>) -> Option<Result<String, Problem>> {
    match command {
        AnyCommand::Help(help) => Some(help.page(columns).map(|page| text_of(&page))),
        AnyCommand::Version(_) => Some(Ok(text_of(&version::VersionLine::this()))),
        _ => None,
    }
}

/// Runs a command that works offline; returns its exit status.
pub async fn run_offline(
    command: AnyCommand,
    store: &Store,
    dialog: &mut Dialog,
) -> Result<u8, Problem> {
    let text = match command {
        AnyCommand::SshKeysAdd(add) => text_of(&add.apply(store, dialog).await?),
        AnyCommand::SshKeysList(list) => text_of(&list.apply(store).await?),
        AnyCommand::SshKeysRemove(remove) => text_of(&remove.apply(store).await?),
        other => {
            let what = format!("`{}` needs a running server", other.name());
            return Err(Problem::new(
                Kind::Unavailable,
                what,
                "",
                "start it with `mini server`",
            ));
        }
    };
    dialog.write(Stream::Stdout, text).await;
    Ok(0)
}

/// Whether a command puts the caller's terminal through to a terminal of its own.
pub fn wants_terminal(command: &AnyCommand) -> bool {
    matches!(command, AnyCommand::Run(_))
}

/// The same of a line of words, as it came; false where it is no command.
pub fn takes_terminal(text: &str) -> bool {
    let screen = super::Options::default();
    match words(text).map(|words| parse(words, screen)) {
        Ok(Parsed::Command(command, _)) => wants_terminal(&command),
        Ok(Parsed::Text { .. }) | Err(_) => false,
    }
}
