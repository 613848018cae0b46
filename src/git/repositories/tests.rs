//! Against real git in a temporary folder.

use std::io::{Cursor, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::StreamExt;

use super::*;
use crate::model::SourceFileKind;

struct Fixture {
    folder: tempfile::TempDir,
    repositories: Repositories,
    app: AppName,
}

async fn fixture(limits: TreeLimits) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let repositories = Repositories::open(folder.path(), limits).unwrap();
    let app: AppName = "shop".parse().unwrap();
    repositories.create(&app).await.unwrap();
    Fixture {
        folder,
        repositories,
        app,
    }
}

/// Runs git on the bare repository and returns its output.
fn git(path: &Path, words: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("git")
        .arg("--git-dir")
        .arg(path)
        .args(words)
        .envs([
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@b.test"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@b.test"),
            ("GIT_AUTHOR_DATE", "1700000000 +0000"),
            ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {words:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a commit of `(mode, path, content)` without a work tree; a mode of 160000 takes its content as the commit id.
fn commit(fixture: &Fixture, files: &[(&str, &[u8], &[u8])]) -> CommitId {
    let path = fixture.repositories.path(&fixture.app);
    let mut index = Vec::new();
    for (mode, name, content) in files {
        let id = if *mode == "160000" {
            String::from_utf8(content.to_vec()).unwrap()
        } else {
            git(&path, &["hash-object", "-w", "--stdin"], content)
        };
        index.extend_from_slice(format!("{mode} {id}\t").as_bytes());
        index.extend_from_slice(name);
        index.push(0);
    }
    let _ = std::fs::remove_file(path.join("index"));
    git(&path, &["update-index", "-z", "--index-info"], &index);
    let tree = git(&path, &["write-tree", "--missing-ok"], b"");
    git(
        &path,
        &["commit-tree", &tree, "-m", "First line\n\nmore"],
        b"",
    )
    .parse()
    .unwrap()
}

async fn tar_of(
    tree: &CommitTree,
    directory: &str,
    keep: Box<dyn Fn(&str) -> bool + Send>,
    extra: Vec<(String, Vec<u8>)>,
) -> Vec<u8> {
    let mut stream = tree.context(directory, keep, extra);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

fn entries(bytes: Vec<u8>) -> Vec<(Vec<u8>, tar::EntryType, u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(target) = entry.link_name_bytes() {
            content = target.to_vec();
        }
        let mode = entry.header().mode().unwrap();
        let path = entry.path().unwrap().as_os_str().as_bytes().to_vec();
        found.push((path, entry.header().entry_type(), mode, content));
    }
    found
}

const ALL: fn(&str) -> bool = |_| true;

#[tokio::test]
async fn what_a_crash_left_is_removed_at_the_next_start() {
    let fixture = fixture(TreeLimits::default()).await;
    let root = fixture.folder.path().join("repos");
    let objects = fixture.repositories.path(&fixture.app).join("objects");
    let folders = [
        root.join(".shop.intake.0123456789abcdef"),
        objects.join("tmp_objdir-incoming-x1y2z3"),
        objects.join("pack"),
    ];
    for folder in &folders {
        std::fs::create_dir_all(folder.join("pack")).unwrap();
    }
    let [intake, quarantine, packs] = folders;
    std::fs::remove_dir(packs.join("pack")).unwrap();
    for name in ["tmp_pack_x1y2z3", ".tmp-1-pack-a.pack", "pack-a.pack"] {
        std::fs::write(packs.join(name), "").unwrap();
    }
    Repositories::open(fixture.folder.path(), TreeLimits::default()).unwrap();
    assert!(!intake.exists() && !quarantine.exists());
    let left: Vec<_> = std::fs::read_dir(packs).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_repository_is_made_once_renamed_and_removed() {
    let fixture = fixture(TreeLimits::default()).await;
    let Fixture {
        repositories, app, ..
    } = &fixture;
    repositories.create(app).await.unwrap();
    let head = std::fs::read_to_string(repositories.path(app).join("HEAD")).unwrap();
    assert_eq!(head, "ref: refs/heads/main\n");
    let other: AppName = "other".parse().unwrap();
    repositories.rename(app, &other).await.unwrap();
    assert!(repositories.path(&other).is_dir());
    let aside = repositories.set_aside(&other).await.unwrap().unwrap();
    assert!(!repositories.path(&other).exists());
    aside.put_back().await.unwrap();
    assert!(repositories.path(&other).is_dir());
    let aside = repositories.set_aside(&other).await.unwrap().unwrap();
    aside.remove().await.unwrap();
    assert!(repositories.set_aside(&other).await.unwrap().is_none());
    let left = std::fs::read_dir(fixture.folder.path().join("repos")).unwrap();
    assert_eq!(left.count(), 0);
    assert!(fixture.folder.path().join("hooks/proc-receive").is_file());
    Repositories::version().await.unwrap();
}

#[tokio::test]
async fn a_copy_has_all_that_branches_reach_and_nothing_that_is_being_written() {
    let fixture = fixture(TreeLimits::default()).await;
    let Fixture {
        repositories, app, ..
    } = &fixture;
    let id = commit(&fixture, &[("100644", b"a", b"1")]);
    let main: BranchName = "main".parse().unwrap();
    repositories
        .move_branch(app, &main, None, &id)
        .await
        .unwrap();
    let unfinished = [
        "objects/tmp_objdir-incoming-x1y2z3/pack/tmp_pack_x1",
        "objects/incoming-x1y2z3/pack/tmp_pack_x1",
        "objects/pack/tmp_pack_x1",
    ];
    for name in unfinished {
        let path = repositories.path(app).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    let other: AppName = "other".parse().unwrap();
    repositories.copy(app, &other).await.unwrap();
    assert_eq!(
        repositories.tip(&other, &main).await.unwrap(),
        Some(id.clone())
    );
    repositories.tree(&other, &id).await.unwrap();
    for name in unfinished {
        let folder = Path::new(name).parent().unwrap();
        let copied = repositories.path(&other);
        assert!(!copied.join(name).exists(), "{name}");
        let is_pack = folder.ends_with("objects/pack");
        assert_eq!(copied.join(folder).exists(), is_pack, "{name}");
        assert!(repositories.path(app).join(name).exists(), "{name}");
    }

    // An object that is gone, as one is that was packed while the rest was copied.
    let path = repositories.path(app);
    let blob = git(&path, &["rev-parse", "main:a"], b"");
    let (folder, rest) = blob.split_at(2);
    std::fs::remove_file(path.join("objects").join(folder).join(rest)).unwrap();
    let third: AppName = "third".parse().unwrap();
    let copied = repositories.copy(app, &third).await;
    assert!(matches!(copied, Err(GitError::Failed(_))), "{copied:?}");
    let left = std::fs::read_dir(fixture.folder.path().join("repos")).unwrap();
    assert_eq!(left.count(), 2, "something of the third is left");
}

#[tokio::test]
async fn tidying_and_opening_again_lose_nothing() {
    let fixture = fixture(TreeLimits::default()).await;
    let id = commit(&fixture, &[("100644", b"a", b"1")]);
    let half = fixture.folder.path().join("repos/.shop.old.1");
    std::fs::create_dir(&half).unwrap();
    let again = Repositories::open(fixture.folder.path(), TreeLimits::default()).unwrap();
    again.tidy(&fixture.app).await.unwrap();
    again.tree(&fixture.app, &id).await.unwrap();
    assert!(!half.exists());
}

#[tokio::test]
async fn a_branch_moves_only_from_where_it_is_believed_to_be() {
    let fixture = fixture(TreeLimits::default()).await;
    let Fixture {
        repositories, app, ..
    } = &fixture;
    let first = commit(&fixture, &[("100644", b"a", b"1")]);
    let second = commit(&fixture, &[("100644", b"a", b"2")]);
    let main: BranchName = "main".parse().unwrap();
    assert_eq!(repositories.tip(app, &main).await.unwrap(), None);
    repositories
        .move_branch(app, &main, None, &first)
        .await
        .unwrap();
    let again = repositories.move_branch(app, &main, None, &second).await;
    assert!(matches!(again, Err(GitError::Moved)), "{again:?}");
    repositories
        .move_branch(app, &main, Some(&first), &second)
        .await
        .unwrap();
    assert_eq!(
        repositories.tip(app, &main).await.unwrap(),
        Some(second.clone())
    );
    assert_eq!(
        repositories.subject(app, &second).await.unwrap(),
        "First line"
    );
    let nowhere: CommitId = "1".repeat(40).parse().unwrap();
    let missing = repositories.tree(app, &nowhere).await;
    assert!(matches!(missing, Err(GitError::NotFound(_))), "{missing:?}");
}

#[tokio::test]
async fn the_context_has_kept_files_links_long_names_and_raw_bytes() {
    let fixture = fixture(TreeLimits::default()).await;
    let long = format!("d/{}/{}", "x".repeat(120), "y".repeat(120));
    let id = commit(
        &fixture,
        &[
            ("100644", b"Procfile", b"web: ./run"),
            ("120000", b"away", b"../../etc/passwd"),
            ("100755", b"bin/run", b"#!/bin/sh"),
            ("100644", long.as_bytes(), b"long"),
            ("100644", b"n\xffme", b"raw"),
            ("100644", b"secret", b"no"),
        ],
    );
    let tree = fixture.repositories.tree(&fixture.app, &id).await.unwrap();
    assert_eq!(tree.warnings().len(), 1, "{:?}", tree.warnings());
    assert!(tree.warnings().iter().all(|w| w.contains("away")));
    assert!(tree.files().contains(&"n\u{fffd}me".to_owned()));
    assert_eq!(
        tree.read("Procfile", 100).unwrap().as_deref(),
        Some(b"web: ./run".as_slice())
    );
    assert_eq!(tree.read("away", 100).unwrap(), None);
    assert_eq!(tree.read("gone", 100).unwrap(), None);
    assert!(tree.read("Procfile", 3).is_err());

    let extra = vec![
        ("Procfile".to_owned(), b"replaced".to_vec()),
        (".mini/Dockerfile".to_owned(), b"FROM x".to_vec()),
    ];
    let keep = |path: &str| path != "secret";
    let bytes = tar_of(&tree, ".", Box::new(keep), extra.clone()).await;
    assert_eq!(bytes, tar_of(&tree, ".", Box::new(keep), extra).await);
    let found = entries(bytes);
    let find = |path: &[u8]| {
        let trimmed = |p: &[u8]| p.strip_suffix(b"/").unwrap_or(p).to_vec();
        found
            .iter()
            .filter(|e| trimmed(&e.0) == path)
            .collect::<Vec<_>>()
    };
    let one = |path: &[u8]| {
        let all = find(path);
        assert_eq!(all.len(), 1, "{}", String::from_utf8_lossy(path));
        (all[0].1, all[0].2, all[0].3.clone())
    };
    use tar::EntryType;
    assert_eq!(
        one(b"away"),
        (EntryType::Symlink, 0o777, b"../../etc/passwd".to_vec())
    );
    assert_eq!(
        one(b"bin/run"),
        (EntryType::Regular, 0o755, b"#!/bin/sh".to_vec())
    );
    assert_eq!(one(b"bin").0, EntryType::Directory);
    assert_eq!(
        one(long.as_bytes()),
        (EntryType::Regular, 0o644, b"long".to_vec())
    );
    assert_eq!(one(b"n\xffme").2, b"raw");
    assert_eq!(one(b"Procfile").2, b"replaced");
    assert_eq!(one(b".mini/Dockerfile").2, b"FROM x");
    assert!(find(b"secret").is_empty());
}

#[tokio::test]
async fn large_files_come_whole() {
    let fixture = fixture(TreeLimits::default()).await;
    let large: Vec<u8> = (0..(33_u32 << 20)).map(|n| (n >> 12) as u8).collect();
    let other: Vec<u8> = large.iter().rev().take(200_001).copied().collect();
    let id = commit(
        &fixture,
        &[
            ("100644", b"large", &large),
            ("100644", b"middle", b"small"),
            ("100755", b"other", &other),
            ("100644", b"z", b"z"),
        ],
    );
    let tree = fixture.repositories.tree(&fixture.app, &id).await.unwrap();
    let found = entries(tar_of(&tree, ".", Box::new(ALL), Vec::new()).await);
    assert_eq!(found.len(), 4);
    assert!(found[0].3 == large);
    assert_eq!(found[1].3, b"small");
    assert!(found[2].3 == other);
    assert_eq!(found[3].3, b"z");
    // A reader that leaves midway ends the thread; the runtime would wait for it at the end of this test.
    let mut stream = tree.context(".", Box::new(ALL), Vec::new());
    stream.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_context_of_a_directory_has_its_files_only() {
    let fixture = fixture(TreeLimits::default()).await;
    let large = vec![7; 200 << 10];
    let id = commit(
        &fixture,
        &[
            ("100644", b"web", b"a file"),
            ("100644", b"webs/a", b"other"),
            ("100755", b"apps/web/bin/run", b"run"),
            ("100644", b"apps/web/large", &large),
            ("120000", b"apps/web/link", b"bin/run"),
            ("100644", b"apps/web/left", b"out"),
            ("100644", b"apps/website/x", b"x"),
        ],
    );
    let tree = fixture.repositories.tree(&fixture.app, &id).await.unwrap();
    let keep: fn(&str) -> bool = |path| path != "left";
    let extra = vec![("Dockerfile".to_owned(), b"FROM a".to_vec())];
    let found = entries(tar_of(&tree, "apps/web", Box::new(keep), extra).await);
    let paths: Vec<&[u8]> = found
        .iter()
        .map(|entry| entry.0.strip_suffix(b"/").unwrap_or(&entry.0))
        .collect();
    assert_eq!(
        paths,
        [&b"bin"[..], b"bin/run", b"large", b"link", b"Dockerfile"]
    );
    assert!(found[2].3 == large);
    assert_eq!(found[3].3, b"bin/run");
}

#[tokio::test]
async fn the_files_of_a_directory_are_read_one_by_one() {
    let fixture = fixture(TreeLimits::default()).await;
    let large: Vec<u8> = (0..(700_u32 << 10)).map(|n| (n >> 9) as u8).collect();
    let id = commit(
        &fixture,
        &[
            ("100644", b"n\xffme", b"raw"),
            ("100755", b"web/bin/run", b"run"),
            ("100644", b"web/large", &large),
            ("100644", b"web/left", b"out"),
            ("120000", b"web/link", b"bin/run"),
        ],
    );
    let tree = fixture.repositories.tree(&fixture.app, &id).await.unwrap();
    let keep = |path: &str| path != "left";
    let listed = tree.source_files("web", keep).unwrap().unwrap();
    let listed: Vec<_> = listed
        .into_iter()
        .map(|file| (file.path, file.kind, file.size_bytes))
        .collect();
    assert_eq!(
        listed,
        [
            ("bin/run".to_owned(), SourceFileKind::Executable, 3),
            ("large".to_owned(), SourceFileKind::Plain, 700 << 10),
            (
                "link".to_owned(),
                SourceFileKind::Symlink("bin/run".to_owned()),
                7
            ),
        ]
    );
    assert!(tree.source_files(".", keep).unwrap().is_none(), "not UTF-8");
    let mut reader = tree.reader("web");
    // In any order, and more than once.
    for (path, content) in [("large", &*large), ("bin/run", b"run"), ("large", &*large)] {
        let mut found = Vec::new();
        let mut take = |piece: &[u8]| {
            found.extend_from_slice(piece);
            Ok(())
        };
        reader.read(path, &mut take).unwrap();
        assert!(found == content, "{path}");
    }
    assert!(reader.read("gone", &mut |_| Ok(())).is_err());
}

async fn check_unusable(limits: TreeLimits, files: &[(&str, &[u8], &[u8])], says: &[&str]) {
    let fixture = fixture(limits).await;
    let id = commit(&fixture, files);
    let refused = fixture.repositories.tree(&fixture.app, &id).await;
    let Err(GitError::Unusable { what, next }) = refused else {
        panic!("{refused:?}");
    };
    for words in says {
        assert!(what.contains(words), "{what} should say {words}");
    }
    assert!(!next.is_empty());
}

#[tokio::test]
async fn what_cannot_be_built_is_named() {
    let limits = TreeLimits {
        total_bytes: 3 << 20,
        entries: 3,
    };
    let id = "1".repeat(40);
    let modules = b"[submodule \"x\"]\n path = lib/x\n url = https://x.test/x\n";
    check_unusable(
        limits,
        &[
            ("100644", b".gitmodules", modules),
            ("160000", b"lib/x", id.as_bytes()),
        ],
        &["lib/x", "https://x.test/x", "submodule"],
    )
    .await;
    check_unusable(
        limits,
        &[
            ("100644", b"a", b""),
            ("100644", b"b", b""),
            ("100644", b"c/d", b""),
        ],
        &["more than 3"],
    )
    .await;
    let big = vec![0; 4 << 20];
    check_unusable(limits, &[("100644", b"big", &big)], &["`big`", "4 MiB"]).await;
    check_unusable(
        limits,
        &[
            ("100644", b".gitattributes", b"*.bin filter=lfs -text\n"),
            (
                "100644",
                b"x.bin",
                b"version https://git-lfs.github.com/spec/v1\n",
            ),
        ],
        &["x.bin", "LFS"],
    )
    .await;
}
