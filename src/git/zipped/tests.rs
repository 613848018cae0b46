use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::*;
use crate::git::{CommitNote, Repositories, TreeLimits};
use crate::model::AppName;

const LIMITS: TreeLimits = TreeLimits {
    total_bytes: 2000,
    entries: 40,
};

/// One entry as the archive has it; what a test spoils is changed before it is written.
#[derive(Clone)]
struct Written {
    name: &'static [u8],
    /// In the header in front of the content.
    other_name: Option<&'static [u8]>,
    content: Vec<u8>,
    packed: Vec<u8>,
    size: u32,
    sum: u32,
    method: u16,
    flags: u16,
    made_by: u8,
    mode: u16,
}

impl Written {
    fn of(name: &'static str, content: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        let mut sum = Crc::new();
        sum.update(content);
        Self {
            name: name.as_bytes(),
            other_name: None,
            content: content.to_vec(),
            packed: encoder.finish().unwrap(),
            size: u32::try_from(content.len()).unwrap(),
            sum: sum.sum(),
            method: 8,
            flags: 0,
            made_by: 3,
            mode: 0o100_644,
        }
    }

    fn with_mode(self, mode: u16) -> Self {
        Self { mode, ..self }
    }

    fn stored(self) -> Self {
        let packed = self.content.clone();
        Self {
            method: 0,
            packed,
            ..self
        }
    }
}

/// An archive of these entries.
fn zip(entries: &[Written]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let at = u32::try_from(archive.len()).unwrap();
        let name = entry.other_name.unwrap_or(entry.name);
        let lengths = |name: &[u8]| {
            let mut bytes = Vec::new();
            bytes.extend(entry.sum.to_le_bytes());
            bytes.extend(u32::try_from(entry.packed.len()).unwrap().to_le_bytes());
            bytes.extend(entry.size.to_le_bytes());
            bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            bytes.extend([0; 2]);
            bytes
        };
        archive.extend(FILE.to_le_bytes());
        for number in [20, entry.flags, entry.method, 0, 0] {
            archive.extend(number.to_le_bytes());
        }
        archive.extend(lengths(name));
        archive.extend(name);
        archive.extend(&entry.packed);

        directory.extend(ENTRY.to_le_bytes());
        directory.extend([20, entry.made_by]);
        for number in [20, entry.flags, entry.method, 0, 0] {
            directory.extend(number.to_le_bytes());
        }
        directory.extend(lengths(entry.name));
        directory.extend([0; 6]);
        directory.extend([0; 2]);
        directory.extend(entry.mode.to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(entry.name);
    }
    let count = u16::try_from(entries.len()).unwrap();
    let (at, length) = (archive.len(), directory.len());
    archive.extend(directory);
    archive.extend(END.to_le_bytes());
    archive.extend([0; 4]);
    archive.extend([count, count].map(u16::to_le_bytes).concat());
    for number in [length, at] {
        archive.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    archive.extend([0; 2]);
    archive
}

/// Many headers and one content, which each of them reaches by an extra field as long as all that is between.
fn overlapping() -> Vec<u8> {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    // Blocks with nothing in them, stored (RFC 1951, 3.2.4), the last of which is marked as such.
    let mut nothing = b"\x00\x00\x00\xff\xff".repeat(200);
    nothing.extend(b"\x01\x00\x00\xff\xff");
    let mut entries = NAMES.map(|name| Written {
        packed: Vec::new(),
        ..Written::of(name, b"")
    });
    entries[2].packed = nothing.clone();
    let mut archive = zip(&entries);
    let directory = archive.len() - END_BYTES - NAMES.len() * (ENTRY_BYTES + 1);
    for index in 0..NAMES.len() {
        let between = (NAMES.len() - 1 - index) * (FILE_BYTES + 1);
        let extra_at = index * (FILE_BYTES + 1) + 28;
        let extra = u16::try_from(between).unwrap().to_le_bytes();
        archive[extra_at..extra_at + 2].copy_from_slice(&extra);
        let packed_at = directory + index * (ENTRY_BYTES + 1) + 20;
        let packed = u32::try_from(nothing.len()).unwrap().to_le_bytes();
        archive[packed_at..packed_at + 4].copy_from_slice(&packed);
    }
    archive
}

async fn committed(archive: Vec<u8>) -> Result<Vec<String>, String> {
    committed_within(LIMITS, archive).await
}

/// The files of the commit, each with its mode and what is in it.
async fn committed_within(limits: TreeLimits, archive: Vec<u8>) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let repositories = Repositories::open(folder.path(), limits).unwrap();
    let app: AppName = "shop".parse().unwrap();
    repositories.create(&app).await.unwrap();
    let note = CommitNote {
        message: "An archive".to_owned(),
        actor: "ann".to_owned(),
        at: "2026-08-21T10:00:00Z".parse().unwrap(),
        parent: None,
    };
    let reader = io::Cursor::new(archive);
    let made = repositories.commit_archive(&app, note, reader, false).await;
    let left = std::fs::read_dir(folder.path().join("repos")).unwrap();
    assert_eq!(left.count(), 1, "something is left beside the repository");
    let commit = made.map_err(|error| error.to_string())?;
    let listed = Command::new("git")
        .arg("--git-dir")
        .arg(folder.path().join("repos/shop.git"))
        .args(["ls-tree", "-r", commit.as_str()])
        .output()
        .unwrap();
    let tree = repositories.tree(&app, &commit).await.unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines = listed.lines().map(|line| {
        let (mode, path) = line.split_once('\t').unwrap();
        let mode = mode.split(' ').next().unwrap();
        let content = match mode {
            "120000" => "->".to_owned(),
            _ => String::from_utf8(tree.read(path, 2000).unwrap().unwrap()).unwrap(),
        };
        format!("{mode} {path} {content}")
    });
    Ok(lines.collect())
}

#[tokio::test]
async fn files_links_and_modes_become_a_commit() {
    let entries = [
        Written::of("shop/", b"").stored().with_mode(0o040_755),
        Written::of("shop/a", b"one"),
        Written::of("shop/run", b"two")
            .stored()
            .with_mode(0o100_755),
        Written::of("shop/b/link", b"../a").with_mode(0o120_777),
        Written::of("shop/.git/config", b"x"),
        Written {
            made_by: 0,
            mode: 0,
            ..Written::of("shop\\c\\d", b"three")
        },
    ];
    assert_eq!(
        committed(zip(&entries)).await.unwrap(),
        [
            "100644 a one",
            "120000 b/link ->",
            "100644 c/d three",
            "100755 run two"
        ]
    );
}

/// What Python's own library writes: a stream with sizes behind the contents, and wide fields.
#[tokio::test]
async fn what_other_programs_write_is_read() {
    let write = "
import sys, io, zipfile
class Pipe(io.RawIOBase):
    def writable(self): return True
    def write(self, data): return sys.stdout.buffer.write(data)
with zipfile.ZipFile(Pipe(), 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.comment = b'PK\\x05\\x06 a comment'
    archive.writestr('a', 'one' * 100)
    with archive.open('b/c', 'w', force_zip64=True) as wide:
        wide.write(b'two')
";
    let ran = Command::new("python3")
        .args(["-c", write])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let files = committed(ran.stdout).await.unwrap();
    assert_eq!(
        files,
        [
            &*format!("100644 a {}", "one".repeat(100)),
            "100644 b/c two"
        ]
    );
}

#[tokio::test]
async fn the_end_may_be_in_the_wide_form() {
    let mut archive = zip(&[Written::of("a", b"one"), Written::of("b", b"two")]);
    let end = archive.split_off(archive.len() - END_BYTES);
    let at = archive.len() as u64;
    let [length, directory] = [12, 16].map(|place| number(&end, place, 4).unwrap());
    archive.extend(WIDE_END.to_le_bytes());
    archive.extend(44_u64.to_le_bytes());
    archive.extend([0; 12]);
    for number in [2, 2, length, directory] {
        archive.extend(number.to_le_bytes());
    }
    archive.extend(WIDE_LOCATOR.to_le_bytes());
    archive.extend([0; 4]);
    archive.extend(at.to_le_bytes());
    archive.extend(1_u32.to_le_bytes());
    archive.extend(END.to_le_bytes());
    archive.extend([0; 4]);
    archive.extend([0xff; 12]);
    archive.extend([0; 2]);
    assert_eq!(
        committed(archive).await.unwrap(),
        ["100644 a one", "100644 b two"]
    );
}

/// The most entries that the narrow end can tell of, which is also how it says that there is a wide one.
#[tokio::test]
async fn as_many_entries_as_the_narrow_end_has_room_for_are_read_from_it() {
    let mut entries = vec![Written::of("folder/", b"").stored(); 0xfffe];
    entries.push(Written::of("a", b"one"));
    let limits = TreeLimits {
        entries: 40_000,
        ..LIMITS
    };
    let files = committed_within(limits, zip(&entries)).await.unwrap();
    assert_eq!(files, ["100644 a one"]);
}

#[tokio::test]
async fn what_leads_out_lies_or_is_too_much_is_refused() {
    let a = || Written::of("a", b"1");
    let with = |entry: Written| zip(&[a(), entry]);
    let whole = zip(&[a(), Written::of("b", b"2")]);
    let link = |target: &[u8]| with(Written::of("b", target).with_mode(0o120_777));
    let bomb = Written::of("bomb", &[0; 1_000_000]);
    let many: Vec<Written> = (0..81)
        .map(|_| Written::of("folder/", b"").stored())
        .collect();
    let mut counted = whole.clone();
    let at = counted.len() - END_BYTES + 10;
    counted[at..at + 2].copy_from_slice(&60_000_u16.to_le_bytes());
    let behind_another = [&whole[..], &whole[..]].concat();
    for (archive, why) in [
        (with(Written::of("../x", b"")), "the path `../x`"),
        (with(Written::of("b/../../x", b"")), "does not stay inside"),
        (with(Written::of("/etc/x", b"")), "the path `/etc/x`"),
        (with(Written::of("../", b"").stored()), "the path `../`"),
        (
            with(Written {
                made_by: 0,
                ..Written::of("..\\x", b"")
            }),
            "the path `../x`",
        ),
        (link(b"../x"), "leads to `../x`"),
        (link(b"/etc/passwd"), "leads to `/etc/passwd`"),
        (link(&[b'x'; 1500].repeat(3)), "is too long"),
        (with(a()), "it has `a` twice"),
        (with(Written::of("./a", b"")), "it has `a` twice"),
        (
            with(Written::of("a/b", b"")),
            "`a` as a file and as a folder",
        ),
        (
            zip(&[
                Written::of("b/c", b""),
                Written::of("b-c", b""),
                Written::of("b", b""),
            ]),
            "`b` as a file and as a folder",
        ),
        (overlapping(), "its entries overlap"),
        (
            with(Written::of("b", b"").with_mode(0o010_644)),
            "neither a file",
        ),
        (
            with(Written {
                flags: 1,
                ..Written::of("b", b"")
            }),
            "needs a password",
        ),
        (
            with(Written {
                method: 12,
                ..Written::of("b", b"")
            }),
            "packed in a way",
        ),
        (
            with(Written {
                sum: 0,
                ..Written::of("b", b"2")
            }),
            "`b` is damaged",
        ),
        (
            with(Written {
                size: 1,
                ..Written::of("b", b"22")
            }),
            "another size",
        ),
        (
            with(Written {
                size: 3,
                ..Written::of("b", b"22")
            }),
            "ends too early",
        ),
        (
            with(Written {
                size: 1,
                ..Written::of("b", b"22").stored()
            }),
            "another size",
        ),
        (
            with(Written {
                size: 2,
                ..bomb.clone()
            }),
            "another size",
        ),
        (with(bomb), "more than 0 MiB"),
        (
            with(Written {
                other_name: Some(b"c"),
                ..Written::of("b", b"2")
            }),
            "`b` is not where it says",
        ),
        (zip(&many), "more than 40 files"),
        (counted, "more than 40 files"),
        (zip(&[]), "there is no file"),
        (whole[..60].to_vec(), "ends too early"),
        (whole[4..].to_vec(), "cannot be read"),
        ([&whole[..], b"x"].concat(), "ends too early"),
        (behind_another, "its directory is not where it says"),
        (
            zip(&[Written::of("b", &[b'x'; 1 << 16]).stored()]),
            "more than 0 MiB",
        ),
    ] {
        let refused = committed(archive).await.expect_err(why);
        assert!(refused.contains(why), "{why}: {refused}");
    }
}
