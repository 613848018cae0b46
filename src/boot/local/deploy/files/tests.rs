use std::os::unix::fs::symlink;

use super::*;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            tree.write(path, text);
        }
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, words: &[&str]) {
        let mut command = std::process::Command::new("git");
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.0.path().parent().unwrap())
            .current_dir(self.0.path())
            .args(identity)
            .args(words);
        assert!(command.status().unwrap().success(), "{words:?}");
    }

    fn chosen(&self) -> Result<Chosen, Problem> {
        choose(Folder::open(self.0.path())?)
    }

    fn names(&self) -> Vec<String> {
        let chosen = self.chosen().unwrap();
        let names = chosen.paths.iter();
        names
            .map(|path| String::from_utf8(path.clone()).unwrap())
            .collect()
    }
}

#[test]
fn a_folder_without_git_goes_without_what_nobody_wants() {
    let tree = Tree::new(&[
        ("Dockerfile", "FROM a"),
        ("node_modules/a/index.js", ""),
        ("web/node_modules/b.js", ""),
        ("src/main.js", "1"),
        (".mini/deploy.toml", ""),
        (".env", "A=b"),
    ]);
    fs::create_dir(tree.0.path().join("empty")).unwrap();
    symlink("src/main.js", tree.0.path().join("link")).unwrap();
    assert_eq!(tree.names(), [".env", "Dockerfile", "link", "src/main.js"]);
    let chosen = tree.chosen().unwrap();
    assert!(chosen.warnings[0].contains(".env is sent along"));
    assert_eq!(chosen.summary(), "4 files (1 KiB)");
}

#[test]
fn a_file_of_its_own_decides_what_is_left_out_but_for_what_says_how_to_build_it() {
    let tree = Tree::new(&[
        (".dockerignore", "*\n!src\nsrc/large\n"),
        ("Dockerfile", "FROM a"),
        ("Procfile", "web: a"),
        ("app.json", "{}"),
        ("notes.txt", ""),
        ("src/main.js", "1"),
        ("src/large/data.bin", "1"),
        ("vendor/node_modules/kept.js", ""),
    ]);
    let sent = [
        ".dockerignore",
        "Dockerfile",
        "Procfile",
        "app.json",
        "src/main.js",
    ];
    assert_eq!(tree.names(), sent);
    // What detection has to read to know what it is.
    let node = Tree::new(&[
        (".dockerignore", "package.json\n.node-version\nnotes.txt\n"),
        ("package.json", r#"{"scripts": {"start": "node a.js"}}"#),
        (".node-version", "22\n"),
        ("a.js", ""),
        ("notes.txt", ""),
    ]);
    let sent = [".dockerignore", ".node-version", "a.js", "package.json"];
    assert_eq!(node.names(), sent);
}

#[test]
fn a_work_tree_goes_as_git_sees_it() {
    let tree = Tree::new(&[
        ("Dockerfile", "FROM a"),
        (".gitignore", "*.log\n/dist\n"),
        ("debug.log", ""),
        ("dist/out.js", ""),
        ("forced.log", "1"),
        ("gone.txt", ""),
        ("changed.txt", "1"),
        ("node_modules/tracked.js", "1"),
        ("inner/app.js", "1"),
    ]);
    tree.git(&["init", "--quiet"]);
    tree.git(&["add", "."]);
    tree.git(&["add", "--force", "forced.log"]);
    tree.git(&["commit", "--quiet", "-m", "One"]);
    fs::remove_file(tree.0.path().join("gone.txt")).unwrap();
    tree.write("changed.txt", "changed");
    tree.write("new.txt", "");
    tree.write("below/new.log", "");
    // A repository inside, as a submodule that was fetched is one.
    tree.write("inner/sub/.keep", "");
    tree.git(&["init", "--quiet", "inner/sub"]);
    let sent = [
        ".gitignore",
        "Dockerfile",
        "changed.txt",
        "forced.log",
        "inner/app.js",
        "inner/sub/.keep",
        "new.txt",
        "node_modules/tracked.js",
    ];
    assert_eq!(tree.names(), sent);
    let below = choose(Folder::open(&tree.0.path().join("inner")).unwrap()).unwrap();
    assert!(below.paths.contains(&b"app.js"[..]), "{below:?}");
}

#[test]
fn what_cannot_be_sent_is_told() {
    let empty = Tree::new(&[("node_modules/a.js", "")]);
    let problem = empty.chosen().unwrap_err();
    assert!(problem.what.contains("nothing to deploy"), "{problem}");
    let wrong = Tree::new(&[("a", ""), (".dockerignore", "a\n[\n")]);
    let problem = wrong.chosen().unwrap_err();
    assert!(problem.why.contains("line 2"), "{problem}");
    let problem = Folder::open(&wrong.0.path().join("a")).unwrap_err();
    assert!(problem.why.contains("not a folder"), "{problem}");
}
