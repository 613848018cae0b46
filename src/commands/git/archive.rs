//! An archive on standard input, passed on piece by piece.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use crate::commands::{Dialog, Input, Platform};
use crate::deploy::Deploys;
use crate::engine::ContextStream;
use crate::git::is_zip;
use crate::model::{Kind, Problem};

/// Where a tar archive says that it is one (POSIX.1-2017, pax, "ustar Header Block": `magic`).
const MAGIC_AT: usize = 257;
const MAGIC: &[u8] = b"ustar";
/// How archives begin that went through a compressor: gzip, bzip2, xz, zstd.
const PACKED: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];
/// After how many bytes the disk is looked at again.
const LOOK_EVERY_BYTES: usize = 64 << 20;

/// What a command takes.
pub(super) struct Expected<'a> {
    /// What writes such an archive.
    pub(super) what: &'a str,
    /// The whole of what is typed.
    pub(super) line: &'a str,
    /// Whether a zip archive will do as well.
    pub(super) is_zip_read: bool,
}

/// An archive of which the beginning is there.
pub(super) struct Incoming {
    head: Bytes,
    rest: Input,
}

impl Incoming {
    /// Waits for the beginning.
    ///
    /// # Errors
    /// Nothing is sent, it is no archive, or the disk of the server is nearly full.
    pub(super) async fn begin(
        platform: &Platform,
        dialog: &mut Dialog,
        expected: Expected<'_>,
    ) -> Result<Self, Problem> {
        let Expected { what, line, .. } = expected;
        let next = format!("Send what `{what}` writes: `{line}`");
        let refused =
            |title: &str, why: String| Problem::new(Kind::Invalid, title, why, next.clone());
        if dialog.terminal().is_some() {
            let why = "it would come from your keyboard".to_owned();
            return Err(refused("The archive is read from standard input", why));
        }
        if let Some(why) = platform.deploys.disk_shortage().await {
            return Err(Problem::new(
                Kind::Unavailable,
                "The archive was not taken: the disk of the server is nearly full",
                why,
                "Free some space (`builds:prune` removes what mini no longer needs), and send it again",
            ));
        }
        let mut rest = dialog.input();
        let mut head = BytesMut::new();
        while head.len() < MAGIC_AT + MAGIC.len() {
            match rest.next().await {
                Some(Ok(piece)) => head.extend_from_slice(&piece),
                Some(Err(cut)) => return Err(refused("There is no archive", cut.to_string())),
                None => break,
            }
        }
        if head.is_empty() {
            let why = "nothing came on standard input".to_owned();
            return Err(refused("There is no archive", why));
        }
        if !(is_archive(&head) || expected.is_zip_read && is_zip(&head)) {
            let why = match expected.is_zip_read {
                true => "what came is neither a tar archive, packed or not, nor a zip archive",
                false => "what came is neither a tar archive nor a packed one",
            };
            let why = why.to_owned();
            return Err(refused("That is no archive", why));
        }
        Ok(Self {
            head: head.freeze(),
            rest,
        })
    }

    /// All of it. Ends with an error as soon as the disk is nearly full.
    pub(super) fn into_stream(self, deploys: Deploys) -> ContextStream {
        let head = stream::iter([Ok(self.head)]);
        let state = (self.rest, deploys, 0_usize);
        let rest = stream::unfold(state, async |(mut rest, deploys, mut unwatched)| {
            let piece = match rest.next().await? {
                Ok(piece) => piece,
                // An archive may look whole where it was cut off between two files.
                Err(cut) => {
                    let cut = Err(std::io::Error::other(cut));
                    return Some((cut, (rest, deploys, unwatched)));
                }
            };
            unwatched = unwatched.saturating_add(piece.len());
            if unwatched < LOOK_EVERY_BYTES {
                return Some((Ok(piece), (rest, deploys, unwatched)));
            }
            let item = match deploys.disk_shortage().await {
                None => Ok(piece),
                Some(why) => Err(std::io::Error::other(format!(
                    "it is too large for the disk of the server: {why}"
                ))),
            };
            Some((item, (rest, deploys, 0)))
        });
        head.chain(rest).boxed()
    }
}

fn is_archive(head: &[u8]) -> bool {
    let is_tar = head.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) == Some(MAGIC);
    is_tar || PACKED.iter().any(|magic| head.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_known_by_how_they_begin() {
        let tar = tar::Header::new_gnu();
        let old = tar::Header::new_old();
        for (head, expected) in [
            (tar.as_bytes().as_slice(), true),
            (b"\x1f\x8b\x08\x00", true),
            (b"\x28\xb5\x2f\xfd", true),
            (old.as_bytes().as_slice(), false),
            (b"PK\x03\x04", false),
            (b"hello", false),
        ] {
            assert_eq!(is_archive(head), expected, "{head:?}");
        }
    }
}
