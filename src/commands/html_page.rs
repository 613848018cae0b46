//! Pages that are given to an app: read from standard input, checked, stored.

use std::io::{Cursor, Read};

use serde::Serialize;

use super::{Dialog, Output, Page, Platform};
use crate::model::{App, AppName, Kind, PageName, Problem};

/// Largest page, bytes. It is held in memory while it is in force.
const PAGE_LIMIT: usize = 256 * 1024;
/// Largest input: a tar has a block around each file, and other files.
const INPUT_LIMIT: usize = 4 * 1024 * 1024;
/// The page in a tar, as the maintenance plugin of Dokku names it.
const IN_TAR: &str = "maintenance.html";
/// Where a tar says that it is one (POSIX.1, ustar), and what it says.
const MAGIC_AT: usize = 257;
const MAGIC: &[u8] = b"ustar";

/// What became of a page.
#[derive(Debug, Serialize)]
pub struct Given {
    app: AppName,
    page: String,
    /// Its size; none if it was taken away.
    bytes: Option<usize>,
    #[serde(skip)]
    has_changed: bool,
}

/// The page in `given`, or on standard input.
pub(super) async fn read(given: Option<String>, dialog: &mut Dialog) -> Result<String, Problem> {
    let input = match given {
        Some(html) => html.into_bytes(),
        None => dialog.read_all(INPUT_LIMIT).await?,
    };
    html(input)
}

/// Stores a page, or takes it away, and puts that in force.
pub(super) async fn set(
    platform: &Platform,
    app: &App,
    name: PageName,
    html: Option<String>,
) -> Result<Given, Problem> {
    let bytes = html.as_ref().map(String::len);
    let has_changed = platform.store.set_proxy_page(app.id, name, html).await?;
    platform.reconciler.wait_for(|_| true).await;
    Ok(Given {
        app: app.name.clone(),
        page: name.to_string(),
        bytes,
        has_changed,
    })
}

fn refused(why: impl Into<String>, next: impl Into<String>) -> Problem {
    Problem::new(Kind::Invalid, "The page was not taken", why, next)
}

/// The HTML in an input that is HTML or a tar.
fn html(input: Vec<u8>) -> Result<String, Problem> {
    let input = match input.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) {
        Some(MAGIC) => in_tar(&input)?,
        _ => input,
    };
    if input.len() > PAGE_LIMIT {
        return Err(refused(
            format!(
                "it has {} bytes, and {PAGE_LIMIT} at most are taken",
                input.len()
            ),
            "Leave out large pictures, or refer to them at another site",
        ));
    }
    let text = String::from_utf8(input).map_err(|_| {
        refused(
            "it is not text in UTF-8",
            "Give HTML, or a tar that is not compressed",
        )
    })?;
    if text.trim().is_empty() {
        return Err(refused(
            "nothing came on standard input",
            "Give the page, such as `... < page.html`",
        ));
    }
    Ok(text)
}

fn in_tar(input: &[u8]) -> Result<Vec<u8>, Problem> {
    let broken = |_| {
        refused(
            "the tar does not read",
            "Make it anew: `tar cf page.tar maintenance.html`",
        )
    };
    let mut archive = tar::Archive::new(Cursor::new(input));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let is_page = entry
            .path()
            .is_ok_and(|path| path.file_name().is_some_and(|name| name == IN_TAR));
        if is_page {
            let most = PAGE_LIMIT as u64 + 1;
            let wanted = entry.size().min(most);
            let mut html = Vec::new();
            entry
                .by_ref()
                .take(most)
                .read_to_end(&mut html)
                .map_err(broken)?;
            // A tar that was cut off ends without a word.
            if html.len() as u64 != wanted {
                return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            return Ok(html);
        }
    }
    Err(refused(
        format!("there is no {IN_TAR} in the tar"),
        format!("Name the page {IN_TAR}, or give it as it is: `... < page.html`"),
    ))
}

impl Output for Given {
    fn print(&self, page: &mut Page) {
        let (app, name) = (&self.app, &self.page);
        page.header(match (self.bytes, self.has_changed) {
            (Some(bytes), _) => format!("Set the {name} page of {app} ({bytes} bytes)"),
            (None, true) => format!("Removed the {name} page of {app}"),
            (None, false) => format!("Skipping: {app} has no {name} page of its own"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn why(input: Vec<u8>) -> String {
        html(input).unwrap_err().why
    }

    #[test]
    fn a_page_is_html_as_it_is_or_in_a_tar() {
        assert_eq!(html(b"<p>hi".to_vec()).unwrap(), "<p>hi");
        let files: [(&str, &[u8]); 2] = [("a.css", b"x"), ("./maintenance.html", b"<p>hi")];
        assert_eq!(html(tar_of(&files)).unwrap(), "<p>hi");
    }

    #[test]
    fn what_is_no_page_is_refused_with_the_reason() {
        assert_eq!(why(Vec::new()), "nothing came on standard input");
        assert_eq!(why(b" \n".to_vec()), "nothing came on standard input");
        assert_eq!(why(vec![0xff, 0xfe]), "it is not text in UTF-8");
        assert_eq!(
            why(tar_of(&[("index.html", b"x")])),
            "there is no maintenance.html in the tar"
        );
        assert_eq!(
            why(vec![b'a'; PAGE_LIMIT + 1]),
            "it has 262145 bytes, and 262144 at most are taken"
        );
        let large = vec![b'a'; PAGE_LIMIT * 2];
        assert!(why(tar_of(&[("maintenance.html", &large)])).contains("at most are taken"));
        let mut cut = tar_of(&[("maintenance.html", b"hello")]);
        cut.truncate(514);
        assert!(html(cut).is_err());
    }
}
