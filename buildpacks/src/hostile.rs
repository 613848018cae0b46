//! Input that is broken or means harm: always an answer, never a panic, never a line in the Dockerfile that we did not write.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use crate::{DetectError, DirTree, MapTree, Options, detect, dockerfile};

fn error_of(tree: &MapTree) -> DetectError {
    detect(tree, &Options::default()).unwrap_err()
}

#[test]
fn a_huge_manifest_is_named_with_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("package.json")).unwrap();
    file.set_len(100 << 20).unwrap();
    let error = detect(&DirTree::open(dir.path()).unwrap(), &Options::default()).unwrap_err();
    assert!(
        matches!(&error, DetectError::FileTooLarge { file, size_bytes: 104_857_600, .. } if file == "package.json")
    );
    assert!(error.why().contains("104857600"), "{}", error.why());
}

#[test]
fn links_out_of_the_tree_do_not_count_as_files() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(
        outside.path().join("package.json"),
        r#"{"scripts":{"start":"x"}}"#,
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    for name in ["package.json", "Procfile", "Dockerfile"] {
        symlink(outside.path().join("package.json"), dir.path().join(name)).unwrap();
    }
    symlink(".", dir.path().join("loop")).unwrap();
    fs::write(dir.path().join("index.html"), "").unwrap();
    let detection = detect(&DirTree::open(dir.path()).unwrap(), &Options::default()).unwrap();
    assert_eq!(detection.language, "static");
}

#[test]
fn deeply_nested_values_are_refused_with_a_line() {
    let json = format!("{{\"a\":\n{}", "[".repeat(100_000));
    let error = error_of(&MapTree::new().with("package.json", json));
    assert_eq!(error.location(), Some(("package.json", Some(2))));
    let toml = format!("a = 1\nb = {}", "[".repeat(100_000));
    let error = error_of(
        &MapTree::new()
            .with("pyproject.toml", toml)
            .with("main.py", ""),
    );
    assert_eq!(error.location(), Some(("pyproject.toml", Some(2))));
}

#[test]
fn every_wrong_manifest_names_its_file() {
    for (file, content) in [
        (
            "package.json",
            &b"{\"scripts\": {\"start\": \"x\"}, \"name\": \"\xff\"}"[..],
        ),
        ("package.json", b"[]"),
        ("package.json", b""),
        ("package.json", b"\"x\""),
        ("requirements.txt", b"flask\n\xff\xff\n"),
        ("pyproject.toml", b"\xff"),
        ("pyproject.toml", b"[project]\ndependencies = [\"a\\nb\"]\n"),
        ("go.mod", b"module x\n\xff"),
        ("composer.json", b"[]"),
        ("pom.xml", b"<project>\n<a></b>"),
        ("pom.xml", b"\xff"),
        ("Shop.csproj", b"<Project Sdk=x>"),
        ("Gemfile", b"gem 'x'\n\xff"),
        ("Procfile", b"web: \xff"),
        ("Dockerfile", b"FROM \xff"),
    ] {
        let error = error_of(&MapTree::new().with(file, content));
        let (named, line) = error.location().unwrap();
        assert!(named == file && line.is_some(), "{file}: {error:?}");
        assert!(
            !error.next().is_empty() && !error.why().contains(char::is_control),
            "{error:?}"
        );
    }
}

#[test]
fn versions_cannot_carry_instructions() {
    for version in ["22\nRUN evil", "22 AS x", "$(evil)", "22-slim"] {
        let json = serde_json::json!({"engines": {"node": version}, "scripts": {"start": "x"}});
        let tree = MapTree::new().with("package.json", json.to_string());
        match detect(&tree, &Options::default()) {
            Ok(detection) => assert_eq!(detection.base_images, ["node:22-slim"]),
            Err(error) => assert!(
                matches!(
                    error,
                    DetectError::UnknownVersion { .. } | DetectError::InvalidManifest { .. }
                ),
                "{error:?}"
            ),
        }
    }
}

#[test]
fn names_of_files_cannot_carry_instructions() {
    let tree = MapTree::new()
        .with("requirements.txt", "flask\n-r x y.txt\n-r $(evil).txt\n")
        .with("x y.txt", "")
        .with("$(evil).txt", "")
        .with("a b';evil\nRUN evil.py", "app = Flask(x)\n")
        .with("c d';evil.py", "app = Flask(x)\n");
    let detection = detect(&tree, &Options::default()).unwrap();
    assert_eq!(
        detection.start.as_deref(),
        Some(r"flask --app 'c d'\'';evil' run --host 0.0.0.0 --port $PORT")
    );
    assert!(
        !detection.dockerfile.contains("\nRUN evil") && !detection.dockerfile.contains("$(evil)")
    );
}

#[test]
fn options_are_checked_too() {
    let tree = MapTree::new().with("index.html", "");
    let bad = [
        Options {
            cache_id_prefix: Some("a,target=/".into()),
            ..Options::default()
        },
        Options {
            arguments: [("A=1\nRUN x".to_owned(), String::new())].into(),
            ..Options::default()
        },
        Options {
            image_mirrors: [("nginx".to_owned(), "x\nRUN y".to_owned())].into(),
            ..Options::default()
        },
    ];
    for options in bad {
        assert!(
            matches!(
                detect(&tree, &options),
                Err(DetectError::InvalidOption { .. })
            ),
            "{options:?}"
        );
    }
    let missing = Options {
        dockerfile_path: Some("docker/Dockerfile".into()),
        ..Options::default()
    };
    assert!(matches!(
        detect(&tree, &missing),
        Err(DetectError::MissingDockerfile { .. })
    ));
    let tree = tree.with("docker/Dockerfile", "FROM a");
    assert_eq!(
        detect(&tree, &missing).unwrap().dockerfile_path.as_deref(),
        Some("docker/Dockerfile")
    );
}

#[test]
fn options_reach_the_dockerfile() {
    let options = Options {
        image_mirrors: [("node".to_owned(), "mirror.example:5000/node".to_owned())].into(),
        cache_id_prefix: Some("shop".into()),
        arguments: [("API_URL".to_owned(), "x".to_owned())].into(),
        ..Options::default()
    };
    let tree = MapTree::new()
        .with("package.json", r#"{"scripts":{"start":"x"}}"#)
        .with("package-lock.json", "");
    let detection = detect(&tree, &options).unwrap();
    assert_eq!(detection.base_images, ["mirror.example:5000/node:22-slim"]);
    for line in [
        "id=shop-npm",
        "\nARG API_URL\n",
        "FROM mirror.example:5000/node:22-slim AS build\n",
    ] {
        assert!(
            detection.dockerfile.contains(line),
            "{line}\n{}",
            detection.dockerfile
        );
    }
    let stages: Vec<&str> = detection.dockerfile.split("\nFROM").collect();
    assert!(
        !stages[1].contains("ARG"),
        "build arguments stay in the build stage"
    );
}

#[test]
fn a_hundred_thousand_files_are_no_obstacle() {
    for (manifest, ending, main) in [
        ("go.mod", "go", "package main\n"),
        ("requirements.txt", "py", ""),
    ] {
        let many = (0..100_000).map(|n| format!("src/d{}/f{n}.{ending}", n % 500));
        let tree = many.fold(MapTree::new(), |tree, path| tree.with(path, "package x\n"));
        let tree = tree
            .with(manifest, "module x\n")
            .with(format!("main.{ending}"), main);
        assert!(
            detect(&tree, &Options::default()).unwrap().start.is_some(),
            "{manifest}"
        );
    }
}

/// Instructions a Dockerfile of ours may have; anything else came from the repository.
fn is_ours(line: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "FROM ",
        "RUN ",
        "COPY ",
        "ENV ",
        "WORKDIR ",
        "USER ",
        "CMD [",
        "ARG ",
        "STOPSIGNAL ",
        "ENTRYPOINT [",
        "#",
        " ",
    ];
    line.is_empty() || KEYWORDS.iter().any(|keyword| line.starts_with(keyword))
}

const NAMES: &[&str] = &[
    "package.json",
    "package-lock.json",
    ".nvmrc",
    "server.js",
    "requirements.txt",
    "pyproject.toml",
    "manage.py",
    "shop/wsgi.py",
    "app.py",
    ".python-version",
    "go.mod",
    "main.go",
    "cmd/a b/main.go",
    "index.html",
    "Procfile",
    "Dockerfile",
    "runtime.txt",
    "odd\nname/app.py",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    ".yarnrc.yml",
    "bun.lock",
    "next.config.mjs",
    "vite.config.ts",
    "tsconfig.json",
    "angular.json",
    "nx.json",
    "project.json",
    "deno.json",
    "index.ts",
    "packages/a/package.json",
    "packages/b c/package.json",
    "mini.toml",
    "nixpacks.toml",
    "railpack.json",
    "app.json",
    "mise.toml",
    ".tool-versions",
    ".env.example",
    "a/package.json",
];

fn content() -> impl Strategy<Value = Vec<u8>> {
    let known = prop_oneof![
        Just(
            r#"{"scripts": {"start": "x", "build": "y"}, "main": "a;b", "engines": {"node": ">=18"}}"#
        ),
        Just(r#"{"main": "server.js", "dependencies": {"express": "*"}}"#),
        Just("{\"scripts\": 1, \"engines\": [], \"main\": {}}"),
        Just("flask\ngunicorn\n-r app.py\n"),
        Just("app = Flask(x)\nget_wsgi_application\n"),
        Just("[project]\nrequires-python = '>=3.11'\ndependencies = ['fastapi', 'uvicorn']\n"),
        Just("module x/\"y\\nz\ngo 1.23\n"),
        Just("package main\n"),
        Just("web: a \"b\" \\\nworker: c\n"),
        Just("FROM a\nFROM b"),
        Just(
            "lockfileVersion: '9.0'\nversion: 8\n__metadata:\nyarnPath: .yarn/releases/yarn-1 x.cjs\n"
        ),
        Just("packages: ['packages/*', '../..', '**', '!', '[']\n"),
        Just(
            r#"{"workspaces": ["packages/*", "/", "*"], "name": "a b", "packageManager": "pnpm@9; RUN x", "dependencies": {"next": "15", "a b": "*"}, "scripts": {"build": "npm run build"}}"#
        ),
        Just(
            r#"{"name": "a b", "scripts": {"start": "npm start", "build": "tsc"}, "dependencies": {"a b": "*", "vite": "5"}}"#
        ),
        Just("c = { output: 'standalone', distDir: 'a b', outDir: \"x;y\", ssr: false"),
        Just(
            r#"{"projects": {"a b": {"architect": {"build": {"options": {"outputPath": "x y"}}}}}, "targets": {"build": {"executor": "@nx/web:build", "options": {"outputPath": "$(x)"}}}}"#
        ),
        Just(
            r#"{"tasks": {"start": "deno run -A 'x y.ts'", "build": "a"}, "compilerOptions": {"outDir": "$x"}}"#
        ),
        Just("[build]\ndirectory = 'a'\npackages = ['b']\n[environment]\nA = \"x\\nRUN evil\"\n"),
        Just(
            "[build]\ninstall-command = 'a'\nbuild-command = 'b; $(c)'\n[processes]\nweb = 'd \\\\'\n"
        ),
        Just("[environment]\nA = '\"\\$(evil)'\n[versions]\nnode = '20'\n"),
        Just(
            "[variables]\nA = '1'\nNIXPACKS_NODE_VERSION = 'x'\n[phases.setup]\naptPkgs = ['a', '...']\n[start]\ncmd = 'e'\n"
        ),
        Just(
            r#"{"packages": {"node": "22"}, "steps": {"build": {"commands": ["a", {"cmd": "b"}, {"path": "c"}]}}, "deploy": {"aptPackages": ["d"], "variables": {"E": "f\ng"}}}"#
        ),
        Just(r#"{"scripts": {"dokku": {"predeploy": "a"}}}"#),
        Just("[tools]\nnode = ['20', '18']\npython = { version = '3.12' }\n"),
        Just("nodejs 20\npython 3.12\ngolang ref:x\n"),
    ];
    prop_oneof![
        4 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => "[\\[\\]{}\"':=a-z0-9.\\- \n]{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_trees(files in proptest::collection::btree_map(proptest::sample::select(NAMES), content(), 0..7)) {
        let tree = files.into_iter().fold(MapTree::new(), |tree, (name, content)| tree.with(name, content));
        match detect(&tree, &Options::default()) {
            Ok(detection) if detection.dockerfile_path.is_none() => {
                let strays: Vec<&str> = detection.dockerfile.split('\n').filter(|line| !is_ours(line)).collect();
                prop_assert!(strays.is_empty(), "{strays:?}\n{}", detection.dockerfile);
                prop_assert_eq!(dockerfile::read(&detection.dockerfile).base_images, detection.base_images);
            }
            Ok(_) => {}
            Err(DetectError::BrokenBuildpack { name, problem }) => prop_assert!(false, "{name}: {problem}"),
            Err(error) => {
                for text in [error.what(), error.why(), error.next()] {
                    prop_assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
                }
            }
        }
    }
}
