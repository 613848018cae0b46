//! The files of a build, which BuildKit asks for over the build's session: the sending side of `DiffCopy`
//! (<https://github.com/tonistiigi/fsutil>, `send.go` and `receive.go`, as BuildKit 0.8 and later speak it).
//!
//! What a folder holds is told first, in the order of a walk. BuildKit asks by number for what it has not, is given it in
//! pieces, an empty one for the end, and says when it is done. The Dockerfile is a folder of its own, so that no image has it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::fsutil::types::packet::PacketType;
use bollard::fsutil::types::{Packet, Stat};
use bollard::moby::filesync::packet::file_sync_server::FileSync;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::engine::{BuildContext, MemoryContext};
use crate::model::{SourceFile, SourceFileKind};

/// The Dockerfile's name in the folder it is sent in, which is also what BuildKit looks for unasked.
pub(super) const DOCKERFILE: &str = "Dockerfile";
/// Bytes of a file in one packet: as many as fsutil sends.
const PIECE_BYTES: usize = 32 * 1024;
/// Packets between the thread that reads and the connection: 512 KiB.
const PACKETS: usize = 16;
/// Kinds of files in a mode, as Go has them (`io/fs`, `FileMode`).
const FOLDER: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;

type Sender = mpsc::Sender<Result<Packet, Status>>;
type Packets = BoxStream<'static, Result<Packet, Status>>;

/// What a build is made of, ready to be sent.
pub(super) struct Files {
    context: Arc<Folder>,
    dockerfile: Arc<Folder>,
    /// Why something could not be sent; BuildKit's own words for that are about the connection.
    unread: Arc<Mutex<Option<String>>>,
}

/// A folder: what is in it, and who reads it.
struct Folder {
    entries: Vec<Stat>,
    source: Arc<dyn BuildContext>,
}

impl Files {
    /// `listed` are the files of `context`.
    pub(super) fn new(
        context: Arc<dyn BuildContext>,
        listed: Vec<SourceFile>,
        dockerfile: &str,
        unread: Arc<Mutex<Option<String>>>,
    ) -> Self {
        let alone = MemoryContext(vec![(
            DOCKERFILE.to_owned(),
            dockerfile.as_bytes().to_vec(),
        )]);
        let name = SourceFile {
            path: DOCKERFILE.to_owned(),
            kind: SourceFileKind::Plain,
            size_bytes: dockerfile.len() as u64,
            modified_at: 0,
        };
        let folder = |listed: Vec<SourceFile>, source: Arc<dyn BuildContext>| {
            Arc::new(Folder {
                entries: entries(listed),
                source,
            })
        };
        Self {
            context: folder(listed, context),
            dockerfile: folder(vec![name], Arc::new(alone)),
            unread,
        }
    }

    /// The folder that is asked for, if there is one of that name.
    fn asked_for(&self, request: &MetadataMap) -> Option<Arc<Folder>> {
        match request.get("dir-name")?.to_str().ok()? {
            // What is to be ignored is not among the files: BuildKit is to leave out nothing more.
            "context" if is_of_rules(request) => Some(Arc::new(Folder {
                entries: Vec::new(),
                source: Arc::new(MemoryContext::default()),
            })),
            "context" => Some(Arc::clone(&self.context)),
            "dockerfile" => Some(Arc::clone(&self.dockerfile)),
            _ => None,
        }
    }
}

/// Whether nothing but a `.dockerignore` is wanted.
fn is_of_rules(request: &MetadataMap) -> bool {
    let mut wanted = request.get_all("followpaths").iter().peekable();
    wanted.peek().is_some()
        && wanted.all(|path| {
            path.to_str()
                .is_ok_and(|path| path.ends_with(".dockerignore"))
        })
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = Packets;
    type TarStreamStream = Packets;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Packets>, Status> {
        let Some(folder) = self.asked_for(request.metadata()) else {
            return Err(Status::not_found("a build has a context and a dockerfile"));
        };
        let mut asked = request.into_inner();
        let (sender, packets) = mpsc::channel(PACKETS);
        let (runtime, unread) = (Handle::current(), Arc::clone(&self.unread));
        tokio::task::spawn_blocking(move || {
            // Whoever left or fails has reasons of their own.
            let next = || runtime.block_on(asked.message()).ok().flatten();
            match send(&folder, next, &sender) {
                Ok(()) | Err(Cut::Left) => {}
                Err(Cut::Unread(why)) => {
                    tracing::debug!(%why, "the files of a build were not sent whole");
                    let said = packet(PacketType::PacketErr, 0, why.to_string().as_bytes());
                    unread
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert_with(|| why.to_string());
                    let _ = sender.blocking_send(Ok(said));
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(packets).boxed()))
    }

    async fn tar_stream(
        &self,
        _request: Request<Streaming<Packet>>,
    ) -> Result<Response<Packets>, Status> {
        Err(Status::unimplemented("files are sent by DiffCopy"))
    }
}

/// Why a folder was not sent whole.
#[derive(Debug)]
enum Cut {
    /// Whoever asked is gone.
    Left,
    /// A file cannot be read, or something is asked for that cannot be had.
    Unread(io::Error),
}

/// Sends a folder: all that is in it, then what `next` asks for until it says that it is done or is gone.
fn send(
    folder: &Folder,
    mut next: impl FnMut() -> Option<Packet>,
    sender: &Sender,
) -> Result<(), Cut> {
    let give = |packet| sender.blocking_send(Ok(packet)).map_err(|_| Cut::Left);
    for entry in &folder.entries {
        give(Packet {
            stat: Some(entry.clone()),
            ..packet(PacketType::PacketStat, 0, &[])
        })?;
    }
    give(packet(PacketType::PacketStat, 0, &[]))?;
    let mut reader = folder.source.reader();
    loop {
        let Some(asked) = next() else {
            return Err(Cut::Left);
        };
        match asked.r#type() {
            PacketType::PacketReq => {
                let wanted = usize::try_from(asked.id).ok();
                let wanted = wanted.and_then(|at| folder.entries.get(at));
                let wanted = wanted.filter(|entry| entry.mode & (FOLDER | SYMLINK) == 0);
                let Some(entry) = wanted else {
                    let (id, count) = (asked.id, folder.entries.len());
                    let why = format!("the builder asked for file {id} of {count}");
                    return Err(Cut::Unread(io::Error::other(why)));
                };
                // What reads may have a broken pipe of its own.
                let has_left = Cell::new(false);
                let read = reader.read(&entry.path, &mut |content| {
                    let mut pieces = content.chunks(PIECE_BYTES);
                    let given = pieces.try_for_each(|piece| {
                        give(packet(PacketType::PacketData, asked.id, piece))
                    });
                    given.map_err(|_| {
                        has_left.set(true);
                        io::ErrorKind::BrokenPipe.into()
                    })
                });
                read.map_err(|why| match has_left.get() {
                    true => Cut::Left,
                    false => Cut::Unread(why),
                })?;
                give(packet(PacketType::PacketData, asked.id, &[]))?;
            }
            PacketType::PacketFin => return give(packet(PacketType::PacketFin, 0, &[])),
            PacketType::PacketErr => return Err(Cut::Left),
            PacketType::PacketStat | PacketType::PacketData => {}
        }
    }
}

fn packet(kind: PacketType, id: u32, data: &[u8]) -> Packet {
    Packet {
        r#type: kind.into(),
        stat: None,
        id,
        data: data.to_vec(),
    }
}

/// All entries of a folder, each folder before what is in it: by the bytes of their paths, where `/` is less than any other
/// (fsutil, `ComparePath`). The receiver refuses another order.
fn entries(files: Vec<SourceFile>) -> Vec<Stat> {
    let mut entries = BTreeMap::new();
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            let folder = file.path.get(..at).unwrap_or_default();
            entries
                .entry(key(folder))
                .or_insert_with(|| stat(folder.to_owned(), FOLDER | 0o755, file.modified_at));
        }
        let (mode, target) = match file.kind {
            SourceFileKind::Plain => (0o644, String::new()),
            SourceFileKind::Executable => (0o755, String::new()),
            SourceFileKind::Symlink(target) => (SYMLINK | 0o777, target),
        };
        let sized = Stat {
            size: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
            linkname: target,
            ..stat(file.path, mode, file.modified_at)
        };
        entries.insert(key(&sized.path), sized);
    }
    entries.into_values().collect()
}

/// No name has a NUL in it.
fn key(path: &str) -> String {
    path.replace('/', "\0")
}

fn stat(path: String, mode: u32, modified_at: u64) -> Stat {
    Stat {
        path,
        mode,
        mod_time: i64::try_from(modified_at.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX),
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ContextReader, ContextStream, Take};

    fn file(path: &str, content: &str) -> (String, Vec<u8>) {
        (path.to_owned(), content.as_bytes().to_vec())
    }

    fn folder(files: &[(&str, &str)]) -> Folder {
        let source = MemoryContext(
            files
                .iter()
                .map(|(path, content)| file(path, content))
                .collect(),
        );
        Folder {
            entries: entries(source.files().unwrap().unwrap()),
            source: Arc::new(source),
        }
    }

    /// What is sent to one who asks so, and how it ends.
    fn sent(folder: &Folder, asks: &[(PacketType, u32)]) -> (Vec<Packet>, Result<(), Cut>) {
        let (sender, mut packets) = mpsc::channel(1000);
        let mut asks = asks.iter();
        let next = || asks.next().map(|(kind, id)| packet(*kind, *id, &[]));
        let end = send(folder, next, &sender);
        drop(sender);
        let mut all = Vec::new();
        while let Some(packet) = packets.blocking_recv() {
            all.push(packet.unwrap());
        }
        (all, end)
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_before_longer_names() {
        let folder = folder(&[("a.txt", ""), ("a/z", ""), ("a/b/c", ""), ("a-b/x", "")]);
        let paths: Vec<&str> = folder.entries.iter().map(|entry| &*entry.path).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/z", "a-b", "a-b/x", "a.txt"]);
        assert_eq!(folder.entries[0].mode, FOLDER | 0o755);
    }

    #[test]
    fn links_and_modes_are_kept() {
        let listed = [
            SourceFileKind::Executable,
            SourceFileKind::Symlink("../x".to_owned()),
        ];
        let listed = listed.into_iter().enumerate().map(|(at, kind)| SourceFile {
            path: at.to_string(),
            kind,
            size_bytes: 4,
            modified_at: 3,
        });
        let entries = entries(listed.collect());
        assert_eq!(
            (entries[0].mode, entries[0].mod_time),
            (0o755, 3_000_000_000)
        );
        assert_eq!(
            (entries[1].mode, &*entries[1].linkname),
            (SYMLINK | 0o777, "../x")
        );
    }

    #[test]
    fn what_is_asked_for_is_sent() {
        let large = "x".repeat(PIECE_BYTES + 1);
        let folder = folder(&[("a/b", "hello"), ("c", &large)]);
        let asks = [
            (PacketType::PacketReq, 2),
            (PacketType::PacketReq, 1),
            (PacketType::PacketFin, 0),
        ];
        let (packets, end) = sent(&folder, &asks);
        end.unwrap();
        let said: Vec<(PacketType, u32, usize)> = packets
            .iter()
            .map(|packet| (packet.r#type(), packet.id, packet.data.len()))
            .collect();
        let stat = (PacketType::PacketStat, 0, 0);
        assert_eq!(said[..4], [stat, stat, stat, stat]);
        assert!(packets[3].stat.is_none(), "the end of the list");
        assert_eq!(
            said[4..],
            [
                (PacketType::PacketData, 2, PIECE_BYTES),
                (PacketType::PacketData, 2, 1),
                (PacketType::PacketData, 2, 0),
                (PacketType::PacketData, 1, 5),
                (PacketType::PacketData, 1, 0),
                (PacketType::PacketFin, 0, 0),
            ]
        );
    }

    #[test]
    fn only_files_can_be_asked_for() {
        let folder = folder(&[("a/b", "hello")]);
        for (ask, expected) in [
            (0, "the builder asked for file 0 of 2"),
            (7, "the builder asked for file 7 of 2"),
        ] {
            let (_, end) = sent(&folder, &[(PacketType::PacketReq, ask)]);
            assert!(matches!(end, Err(Cut::Unread(why)) if why.to_string() == expected));
        }
        let (_, end) = sent(&folder, &[]);
        assert!(matches!(end, Err(Cut::Left)));
    }

    /// Files that break off as a child does that has ended.
    struct Broken;

    impl BuildContext for Broken {
        fn archive(&self, _extra: &[(&str, &str)]) -> ContextStream {
            futures_util::stream::empty().boxed()
        }

        fn files(&self) -> io::Result<Option<Vec<SourceFile>>> {
            Ok(None)
        }

        fn reader(&self) -> Box<dyn ContextReader + '_> {
            Box::new(Broken)
        }
    }

    impl ContextReader for Broken {
        fn read(&mut self, _path: &str, take: &mut Take<'_>) -> io::Result<()> {
            take(b"half")?;
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_file_that_breaks_off_is_not_taken_for_a_builder_that_left() {
        let folder = Folder {
            source: Arc::new(Broken),
            ..folder(&[("a", "half and more")])
        };
        let (packets, end) = sent(&folder, &[(PacketType::PacketReq, 0)]);
        assert!(matches!(end, Err(Cut::Unread(_))), "{end:?}");
        assert_eq!(
            packets.last().map(|packet| &*packet.data),
            Some(&b"half"[..])
        );

        let (sender, receiver) = mpsc::channel(3);
        let mut receiver = Some(receiver);
        let next = || {
            receiver = None;
            Some(packet(PacketType::PacketReq, 0, &[]))
        };
        let end = send(&folder, next, &sender);
        assert!(matches!(end, Err(Cut::Left)), "{end:?}");
    }

    #[test]
    fn the_rules_of_what_is_ignored_are_not_sent_again() {
        let files = Files::new(
            Arc::new(MemoryContext::default()),
            vec![SourceFile {
                path: ".dockerignore".to_owned(),
                kind: SourceFileKind::Plain,
                size_bytes: 0,
                modified_at: 0,
            }],
            "FROM a",
            Arc::default(),
        );
        let asked = |name: &'static str, paths: &[&'static str]| {
            let mut request = MetadataMap::new();
            request.insert("dir-name", name.parse().unwrap());
            for path in paths {
                request.append("followpaths", path.parse().unwrap());
            }
            files.asked_for(&request).map(|folder| folder.entries.len())
        };
        assert_eq!(asked("context", &[".dockerignore"]).unwrap(), 0);
        assert_eq!(asked("context", &[".dockerignore", "src"]).unwrap(), 1);
        assert_eq!(asked("context", &[]).unwrap(), 1);
        assert_eq!(asked("dockerfile", &["Dockerfile"]).unwrap(), 1);
        assert!(asked("elsewhere", &[]).is_none());
    }
}
