//! An archive as a commit: read once from its beginning to its end, and never unpacked. What is taken is bounded, and no path
//! of it ever becomes a path on the disk.

use std::io::{self, BufRead, BufReader, Read};

use tar::{Entry, EntryType, PaxExtensions};

use super::made::CommitNote;
use super::repositories::{blocking, find_commit, open};
use super::taken::{AGAIN, Taken, inside, other_kind, trimmed, unreadable};
use super::{GitError, Repositories, child, zipped};
use crate::model::{AppName, CommitId};

/// Longest extended header, bytes: two paths and some times have room in it many times over.
const EXTENSION_LIMIT_BYTES: u64 = 64 << 10;
/// zstd's window, as a power of two: what its highest levels ask for is memory that others make us take.
const WINDOW_LOG: u32 = 27;

/// What stands in front of an entry and belongs to it.
#[derive(Default)]
struct Named {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Repositories {
    /// Makes a commit of what a tar archive, also one packed by gzip or zstd, or a zip archive holds. Folders named `.git` stay out, and
    /// where everything is in one folder, that folder is the root unless the archive is to be taken `as_is`.
    ///
    /// # Errors
    /// `Unusable` when it is no such archive, holds more than may be built, or something that leads out of it.
    pub async fn commit_archive(
        &self,
        app: &AppName,
        note: CommitNote,
        archive: impl Read + Send + 'static,
        as_is: bool,
    ) -> Result<CommitId, GitError> {
        let begin = (self.clone(), app.clone(), note.clone());
        let commit = blocking(move || {
            let (repositories, app, note) = begin;
            let mut writer = repositories.begin_commit(&app, &note)?;
            let limits = repositories.limits();
            let mut archive = BufReader::new(archive);
            let is_zip = zipped::is_zip(archive.fill_buf().map_err(unreadable)?);
            let mut taken = Taken::new(&mut writer, limits);
            if is_zip {
                zipped::unpack(&mut archive, &mut taken)?;
            } else {
                unpack(&mut plain(archive)?, &mut taken)?;
            }
            taken.finish()?;
            writer.finish()
        })
        .await?;
        if as_is {
            return Ok(commit);
        }
        match self.only_folder(app, &commit).await? {
            None => Ok(commit),
            Some(tree) => self.commit_tree(app, &note, &tree).await,
        }
    }

    /// The tree of the one folder that is all there is in a commit.
    async fn only_folder(
        &self,
        app: &AppName,
        commit: &CommitId,
    ) -> Result<Option<String>, GitError> {
        let (path, commit) = (self.path(app), commit.clone());
        blocking(move || {
            let repository = open(&path)?;
            let tree = find_commit(&repository, &commit)?
                .tree()
                .map_err(GitError::reading)?;
            let mut entries = tree.iter();
            let only = match (entries.next(), entries.next()) {
                (Some(only), None) => only.map_err(GitError::reading)?,
                _ => return Ok(None),
            };
            Ok(only.mode().is_tree().then(|| only.oid().to_string()))
        })
        .await
    }

    async fn commit_tree(
        &self,
        app: &AppName,
        note: &CommitNote,
        tree: &str,
    ) -> Result<CommitId, GitError> {
        let name = format!("user.name={}", note.actor);
        let address = format!("user.email={}@mini", note.actor);
        let mut words = vec!["-c", &name, "-c", &address, "commit-tree", tree, "-m"];
        words.push(&note.message);
        if let Some(parent) = &note.parent {
            words.extend(["-p", parent.as_str()]);
        }
        let said = child::output(Some(&self.path(app)), words).await?;
        let id = said.trim().parse();
        id.map_err(|_| GitError::Failed("git did not take the commit".to_owned()))
    }
}

/// The archive without its packing.
fn plain(mut archive: BufReader<impl Read + 'static>) -> Result<Box<dyn Read>, GitError> {
    let head = archive.fill_buf().map_err(unreadable)?;
    if head.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(archive)));
    }
    if head.starts_with(b"\x28\xb5\x2f\xfd") {
        let mut decoder = zstd::Decoder::with_buffer(archive).map_err(unreadable)?;
        decoder.window_log_max(WINDOW_LOG).map_err(unreadable)?;
        return Ok(Box::new(decoder));
    }
    if head.starts_with(b"BZh") || head.starts_with(b"\xfd7zXZ") {
        return Err(GitError::unusable(
            "the archive is packed in a way that is not read: tar is, alone or with gzip or zstd, and zip",
            "unpack it, and send it as `tar cz . | ssh mini git:from-archive APP`",
        ));
    }
    Ok(Box::new(archive))
}

fn unpack(archive: &mut dyn Read, taken: &mut Taken<'_>) -> Result<(), GitError> {
    let mut source = Source {
        archive,
        is_over: false,
    };
    let mut archive = tar::Archive::new(&mut source);
    let mut named = Named::default();
    // Raw, for what is in front of an entry would be read into memory whole, however long it is.
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        taken.count()?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XHeader => named = extended(&short(&mut entry)?)?,
            EntryType::GNULongName => named.path = Some(short(&mut entry)?),
            EntryType::GNULongLink => named.link = Some(short(&mut entry)?),
            EntryType::XGlobalHeader | EntryType::Directory => named = Named::default(),
            EntryType::Regular | EntryType::Continuous | EntryType::Symlink | EntryType::Link => {
                let Named { path, link } = std::mem::take(&mut named);
                let path = path.unwrap_or_else(|| entry.path_bytes().into_owned());
                let link = link.or_else(|| entry.link_name_bytes().map(|name| name.into_owned()));
                if path.ends_with(b"/") {
                    continue;
                }
                let Some(path) = inside(&path)? else {
                    continue;
                };
                let link = trimmed(link.unwrap_or_default());
                match kind {
                    EntryType::Symlink => taken.symlink(path, &link)?,
                    EntryType::Link => taken.link(path, &link)?,
                    _ => {
                        let size_bytes = entry.header().entry_size().map_err(unreadable)?;
                        let is_executable =
                            entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                        taken.file(path, is_executable, size_bytes, &mut entry)?;
                    }
                }
            }
            _ => return Err(other_kind(&entry.path_bytes())),
        }
    }
    // Where it breaks off behind an entry, nothing else tells that there was more (POSIX.1-2017, pax, "ustar Interchange
    // Format": two blocks of zeros end it; as GNU tar, we make do with one).
    if source.is_over {
        return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// An archive without its packing, and whether it was read to where nothing follows.
struct Source<'a> {
    archive: &'a mut dyn Read,
    is_over: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.archive.read(into)?;
        self.is_over |= length == 0 && !into.is_empty();
        Ok(length)
    }
}

/// What is in front of an entry, which is short.
fn short(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, GitError> {
    let mut bytes = Vec::new();
    let mut limited = entry.take(EXTENSION_LIMIT_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > EXTENSION_LIMIT_BYTES {
        return Err(GitError::unusable(
            format!("the archive has a header of more than {EXTENSION_LIMIT_BYTES} bytes"),
            AGAIN,
        ));
    }
    Ok(trimmed(bytes))
}

/// The records of an extended header that are about names. A size of its own is that of a file too large to be taken, or of
/// one with holes.
fn extended(bytes: &[u8]) -> Result<Named, GitError> {
    let mut named = Named::default();
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(unreadable)?;
        match record.key_bytes() {
            b"path" => named.path = Some(record.value_bytes().to_vec()),
            b"linkpath" => named.link = Some(record.value_bytes().to_vec()),
            key if key == b"size" || key.starts_with(b"GNU.sparse.") => {
                return Err(GitError::unusable(
                    "the archive has a file that is very large or has holes",
                    "leave it out, and send it again",
                ));
            }
            _ => {}
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tar::Header;

    use super::*;
    use crate::git::TreeLimits;

    const LIMITS: TreeLimits = TreeLimits {
        total_bytes: 1000,
        entries: 40,
    };

    struct Archive(tar::Builder<Vec<u8>>);

    impl Archive {
        fn new() -> Self {
            Self(tar::Builder::new(Vec::new()))
        }

        /// An entry whose path is not looked at on its way in.
        fn with(mut self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> Self {
            let mut header = Header::new_gnu();
            let fields = header.as_gnu_mut().unwrap();
            fields.name[..path.len()].copy_from_slice(path.as_bytes());
            fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            header.set_cksum();
            self.0.append(&header, content).unwrap();
            self
        }

        fn file(self, path: &str, content: &[u8]) -> Self {
            self.with(EntryType::Regular, path, "", content)
        }

        fn bytes(self) -> Vec<u8> {
            self.0.into_inner().unwrap()
        }
    }

    async fn committed(archive: Vec<u8>) -> Result<Vec<String>, String> {
        committed_as(archive, false).await
    }

    async fn committed_as(archive: Vec<u8>, as_is: bool) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(folder.path(), LIMITS).unwrap();
        let app: AppName = "shop".parse().unwrap();
        repositories.create(&app).await.unwrap();
        let note = CommitNote {
            message: "An archive".to_owned(),
            actor: "ann".to_owned(),
            at: "2026-08-21T10:00:00Z".parse().unwrap(),
            parent: None,
        };
        let reader = io::Cursor::new(archive);
        let made = repositories.commit_archive(&app, note, reader, as_is).await;
        let references = repositories.references(&app).await.unwrap().unwrap();
        assert!(references.at.is_empty(), "{references:?}");
        let commit = made.map_err(|error| error.to_string())?;
        let subject = repositories.subject(&app, &commit).await.unwrap();
        assert_eq!(subject, "An archive");
        let tree = repositories.tree(&app, &commit).await.unwrap();
        Ok(tree.files())
    }

    #[tokio::test]
    async fn files_become_a_commit_and_one_folder_around_all_is_left_out() {
        let long = format!("{}x", "folder/".repeat(30));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, &long, &b"one"[..])
            .unwrap();
        builder
            .append_data(&mut header, "top", &b"two"[..])
            .unwrap();
        let with_long = builder.into_inner().unwrap();
        let plain = Archive::new()
            .with(EntryType::Directory, "./", "", b"")
            .file("./a", b"1")
            .file("./.git/config", b"x")
            .file("./b/c", b"22")
            .with(EntryType::Symlink, "b/link", "../a", b"")
            .with(EntryType::Link, "b/hard", "./a", b"")
            .bytes();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&plain).unwrap();
        let files = ["a", "b/c", "b/hard", "b/link"];
        for (archive, expected) in [
            (packed.finish().unwrap(), files.to_vec()),
            (
                zstd::encode_all(plain.as_slice(), 3).unwrap(),
                files.to_vec(),
            ),
            (plain, files.to_vec()),
            (
                Archive::new()
                    .file("shop-1.0/a", b"1")
                    .file("shop-1.0/b/c", b"2")
                    .bytes(),
                vec!["a", "b/c"],
            ),
            (with_long, vec![long.as_str(), "top"]),
        ] {
            assert_eq!(committed(archive).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn one_folder_around_all_stays_where_the_archive_is_taken_as_it_is() {
        let archive = Archive::new().file("public/index.html", b"1").bytes();
        let files = committed_as(archive, true).await.unwrap();
        assert_eq!(files, ["public/index.html"]);
    }

    /// As `tar --append` writes it.
    #[tokio::test]
    async fn the_later_of_two_files_of_a_path_is_taken() {
        let archive = Archive::new()
            .file("a", b"1")
            .file("a-b", b"2")
            .file("a", b"3");
        assert_eq!(committed(archive.bytes()).await.unwrap(), ["a", "a-b"]);
    }

    #[tokio::test]
    async fn what_leads_out_or_is_too_much_is_refused() {
        let regular = |path: &str| Archive::new().file("a", b"1").file(path, b"2").bytes();
        let link = |kind, target| {
            let archive = Archive::new().file("a", b"1");
            archive.with(kind, "b", target, b"").bytes()
        };
        let whole = regular("b");
        // A header and one block for each of the two files: behind them it looks whole.
        let without_end = whole[..2048].to_vec();
        let mut many = Archive::new();
        for number in 0..60 {
            many = many.file(&format!("file{number}"), b"");
        }
        let huge = Archive::new().with(EntryType::XHeader, "x", "", &[b'1'; 70_000]);
        for (archive, why) in [
            (regular("../x"), "the path `../x`"),
            (regular("b/../../x"), "does not stay inside"),
            (regular("/etc/x"), "the path `/etc/x`"),
            (link(EntryType::Symlink, "../x"), "leads to `../x`"),
            (
                link(EntryType::Symlink, "/etc/passwd"),
                "leads to `/etc/passwd`",
            ),
            (link(EntryType::Link, "nothing"), "leads to `nothing`"),
            (link(EntryType::Link, "../a"), "the path `../a`"),
            (link(EntryType::Fifo, ""), "neither a file nor a folder"),
            (regular("a/b"), "`a` as a file and as a folder"),
            (
                Archive::new()
                    .file("b/c/d", b"1")
                    .file("b-c", b"2")
                    .with(EntryType::Symlink, "b", "b-c", b"")
                    .bytes(),
                "`b` as a file and as a folder",
            ),
            (
                Archive::new()
                    .file("a", b"1")
                    .file("a-b", b"2")
                    .file("a.b", b"3")
                    .with(EntryType::Link, "a/b/c", "a-b", b"")
                    .bytes(),
                "`a` as a file and as a folder",
            ),
            (
                Archive::new().file("a", &[0; 1001]).bytes(),
                "more than 0 MiB",
            ),
            (many.bytes(), "more than 40 files"),
            (huge.bytes(), "a header of more than"),
            (Archive::new().bytes(), "there is no file"),
            (whole[..700].to_vec(), "cannot be read"),
            (without_end, "it ends too early"),
            (b"BZh9".to_vec(), "packed in a way"),
            (b"PK\x03\x04".to_vec(), "it ends too early"),
            (b"hello".to_vec(), "cannot be read"),
        ] {
            let refused = committed(archive).await.expect_err(why);
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }
}
