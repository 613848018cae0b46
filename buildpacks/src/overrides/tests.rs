//! Who has the say, and what is refused.

use std::sync::Arc;

use crate::{DetectError, Detection, MapTree, Options, VersionTable, detect};

fn node() -> MapTree {
    MapTree::new()
        .with(
            "package.json",
            r#"{"scripts": {"start": "x", "build": "y"}}"#,
        )
        .with("package-lock.json", "")
}

fn variables(all: &[(&str, &str)]) -> Options {
    let pairs = all
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Options {
        variables: pairs.collect(),
        ..Options::default()
    }
}

fn detected(tree: &MapTree, options: &Options) -> Detection {
    detect(tree, options).unwrap_or_else(|error| panic!("{}: {}", error.what(), error.why()))
}

#[test]
fn the_stronger_source_has_the_say_value_by_value() {
    let convention = node();
    let nixpacks = node().with("nixpacks.toml", "[start]\ncmd = \"by nixpacks\"\n");
    let procfile = node().with("Procfile", "web: by procfile\nworker: w\n");
    let both = nixpacks
        .clone()
        .with("Procfile", "web: by procfile\nworker: w\n");
    let railpack = both.clone().with(
        "railpack.json",
        r#"{"deploy": {"startCommand": "by railpack"}}"#,
    );
    let mini = railpack
        .clone()
        .with("mini.toml", "[processes]\nweb = \"by mini.toml\"\n");
    let none = Options::default();
    let variable = variables(&[("MINI_START_COMMAND", "by variable"), ("OTHER", "x")]);
    for (tree, options, start) in [
        (&convention, &none, "npm start"),
        (&procfile, &none, "by procfile"),
        (&both, &none, "by nixpacks"),
        (&railpack, &none, "by railpack"),
        (&mini, &none, "by mini.toml"),
        (&mini, &variable, "by variable"),
    ] {
        assert_eq!(detected(tree, options).start.as_deref(), Some(start));
    }
    let detection = detected(&mini, &variable);
    assert_eq!(detection.processes["worker"].as_deref(), Some("w"));
    let said = "the command of web is that of MINI_START_COMMAND, which goes before Procfile:1";
    assert!(
        detection.evidence.iter().any(|line| line == said),
        "{:?}",
        detection.evidence
    );
}

#[test]
fn what_needs_a_start_has_one_by_a_decision() {
    let tree = MapTree::new()
        .with("package.json", "{}")
        .with("package-lock.json", "");
    assert!(matches!(
        detect(&tree, &Options::default()),
        Err(DetectError::NoStartCommand { .. })
    ));
    let options = variables(&[("MINI_START_COMMAND", "node x.js")]);
    assert_eq!(
        detected(&tree, &options).start.as_deref(),
        Some("node x.js")
    );
}

#[test]
fn versions_are_decided_exactly() {
    let go = MapTree::new()
        .with("go.mod", "module x\ngo 1.22\n")
        .with("main.go", "package main\n");
    let version = |options: &Options| detected(&go, options).version;
    assert_eq!(version(&Options::default()).as_deref(), Some("1.26"));
    let decided = variables(&[("MINI_GO_VERSION", "1.22.3")]);
    assert_eq!(version(&decided).as_deref(), Some("1.22"));
    let error = detect(&go, &variables(&[("MINI_GO_VERSION", "0.9")]));
    // What is older than all is the least that will do.
    assert!(error.is_ok());
    let error = detect(&node(), &variables(&[("MINI_NODE_VERSION", "99")])).unwrap_err();
    assert_eq!(error.why(), "MINI_NODE_VERSION asks for node 99");
    assert!(
        error
            .next()
            .starts_with("change MINI_NODE_VERSION to one of 10, 12,"),
        "{}",
        error.next()
    );
    let error = detect(
        &node().with("mini.toml", "[versions]\n\nnode = \"99\"\n"),
        &Options::default(),
    );
    assert_eq!(error.unwrap_err().location(), Some(("mini.toml", Some(3))));
}

#[test]
fn a_table_of_the_operator_goes_before_ours() {
    let text = "date = \"2026-11-20\"\nsource = \"our mirror\"\n\n[node]\ndefault = \"99\"\nlines = [{ version = \"99\", latest = \"99.1.0\" }]\n";
    let options = Options {
        versions: Some(Arc::new(VersionTable::parse(text).unwrap())),
        ..Options::default()
    };
    assert_eq!(detected(&node(), &options).base_images, ["node:99-slim"]);
    let tree = node().with(".nvmrc", "22");
    let error = detect(&tree, &options).unwrap_err();
    assert!(matches!(&error, DetectError::UnknownVersion { known, .. } if known == &["99"]));
}

#[test]
fn a_buildpack_is_chosen_or_refused() {
    let tree = node().with("Dockerfile", "FROM a\n").with("index.html", "");
    let choose = |name: &str| Options {
        selected: Some(name.to_owned()),
        ..Options::default()
    };
    assert_eq!(detected(&tree, &Options::default()).language, "dockerfile");
    assert_eq!(detected(&tree, &choose("node")).language, "node");
    let detection = detected(&tree, &choose("static"));
    assert_eq!(
        detection.evidence[0],
        "the app's setting `selected` chooses static"
    );
    let error = detect(&tree, &choose("fortran")).unwrap_err();
    assert!(matches!(error, DetectError::UnknownBuildpack { .. }) && error.next().contains("node"));
    let error = detect(&node(), &choose("dockerfile")).unwrap_err();
    assert_eq!(error.what(), "there is no Dockerfile in this repository");
    assert!(
        error.why().starts_with("the app's setting `selected`"),
        "{}",
        error.why()
    );
    // A language that a setting chooses is not undone by a Dockerfile that a file names.
    let named = tree.with("mini.toml", "[build]\ndockerfile = \"Dockerfile\"\n");
    assert_eq!(detected(&named, &choose("node")).language, "node");
    assert_eq!(detected(&named, &Options::default()).language, "dockerfile");
}

#[test]
fn a_stage_has_to_be_there() {
    let tree = MapTree::new().with("Dockerfile", "FROM a AS build\nFROM b AS Prod\nFROM c\n");
    let stage = |name: &str| Options {
        target: Some(name.to_owned()),
        ..Options::default()
    };
    assert_eq!(
        detected(&tree, &stage("prod")).target.as_deref(),
        Some("prod")
    );
    assert_eq!(detected(&tree, &stage("2")).target.as_deref(), Some("2"));
    let error = detect(&tree, &stage("test")).unwrap_err();
    assert_eq!(error.what(), "there is no stage `test` in Dockerfile");
    assert_eq!(
        error.why(),
        "the app's setting `target` asks for test; the stages are build, prod"
    );
}

#[test]
fn an_app_in_a_directory_is_all_that_is_seen() {
    let tree = MapTree::new()
        .with("Cargo.toml", "")
        .with(".nvmrc", "20\n")
        .with("apps/web/package.json", r#"{"scripts": {"start": "x"}}"#)
        .with("apps/web/Procfile", "web: here\n")
        .with("Procfile", "web: there\n");
    let inside = |path: &str| Options {
        build_dir: Some(path.to_owned()),
        ..Options::default()
    };
    for path in ["apps/web", "./apps//web/"] {
        let detection = detected(&tree, &inside(path));
        assert_eq!(
            (detection.directory.as_str(), detection.context.as_str()),
            ("apps/web", "apps/web")
        );
        assert_eq!(detection.start.as_deref(), Some("here"));
        assert_eq!(
            detection.version.as_deref(),
            Some("20"),
            "pinned at the root"
        );
    }
    let error = detect(&tree, &inside("apps/api")).unwrap_err();
    assert_eq!(
        error.what(),
        "there is no directory apps/api in this repository"
    );
    assert_eq!(
        error.why(),
        "the app's setting `build-dir` says that the app is in apps/api; it has apps/"
    );
    for outside in ["../x", "apps/../..", "a b", "$(x)"] {
        assert!(
            matches!(
                detect(&tree, &inside(outside)),
                Err(DetectError::Unusable { .. })
            ),
            "{outside}"
        );
    }
    let by_file = tree
        .clone()
        .with("mini.toml", "[build]\ndirectory = \"apps/web\"\n");
    assert_eq!(
        detected(&by_file, &Options::default()).directory,
        "apps/web"
    );
    let with_start = tree
        .clone()
        .with("apps/api/package.json", r#"{"scripts": {"start": "y"}}"#)
        .with(
            "mini.toml",
            "[build]\ndirectory = \"./apps/web\"\n[processes]\nweb = \"w\"\n",
        );
    assert_eq!(
        detected(&with_start, &Options::default()).start.as_deref(),
        Some("w")
    );
    // What the file says of one app is not about another.
    assert_eq!(
        detected(&with_start, &inside("apps/api")).start.as_deref(),
        Some("npm start")
    );
    let for_all = with_start.with("mini.toml", "[processes]\nweb = \"w\"\n");
    assert_eq!(
        detected(&for_all, &inside("apps/api")).start.as_deref(),
        Some("w")
    );
    let by_variable = variables(&[("MINI_BUILD_DIR", "apps")]);
    let error = detect(&by_file, &by_variable).unwrap_err();
    assert!(
        matches!(&error, DetectError::Unrecognised { directory, inside, .. } if directory == "apps" && inside == &["apps/web"]),
        "{error:?}"
    );
    assert!(error.next().contains("apps/web"), "{}", error.next());
}

#[test]
fn mistakes_name_file_and_line() {
    for (file, text, line) in [
        ("mini.toml", "[bild]\n", 1),
        ("mini.toml", "[build]\n\ncommand = 'x'\n", 3),
        ("mini.toml", "build = 1\n", 1),
        ("mini.toml", "[build]\npackages = 'x'\n", 2),
        ("mini.toml", "[build]\npackages = ['a b']\n", 2),
        ("mini.toml", "[build]\nbuild-command = \"a\\nb\"\n", 2),
        ("mini.toml", "[processes]\nweb = ''\n", 2),
        ("mini.toml", "[processes]\n'we b' = 'x'\n", 2),
        ("mini.toml", "[processes]\nrelease = 'x'\n", 2),
        ("mini.toml", "[release]\nrun = 'x'\n", 2),
        ("mini.toml", "[environment]\n'A-B' = 'x'\n", 2),
        ("mini.toml", "[versions]\nnode = []\n", 2),
        ("mini.toml", "x = = 1\n", 1),
        ("nixpacks.toml", "[start]\ncmd = []\n", 2),
        ("nixpacks.toml", "[variables]\n'A B' = '1'\n", 2),
        ("railpack.json", "{\n\"deploy\": 3}", 2),
        (
            "railpack.json",
            "{\n\"deploy\":\n{\"aptPackages\": [\"$x\"]}}",
            3,
        ),
        ("app.json", "{\n\"scripts\": {\"dokku\": 1}}", 2),
    ] {
        let error = detect(&node().with(file, text), &Options::default()).unwrap_err();
        assert_eq!(
            error.location(),
            Some((file, Some(line))),
            "{text}: {error:?}"
        );
        assert!(!error.why().contains(char::is_control) && !error.next().is_empty());
    }
}

#[test]
fn variables_are_refused_or_said_to_mean_nothing() {
    let detection = detected(
        &node(),
        &variables(&[("MINI_NOD_VERSION", "20"), ("MINI_BUILD_COMMAND", " ")]),
    );
    assert!(
        detection
            .warnings
            .iter()
            .any(|text| text.starts_with("MINI_NOD_VERSION has no effect"))
    );
    assert_eq!(detection.build.as_deref(), Some("npm run build"));
    let error = detect(&node(), &variables(&[("MINI_START_COMMAND", "a\nRUN b")])).unwrap_err();
    assert!(matches!(error, DetectError::Unusable { .. }));
    let detection = detected(&node(), &variables(&[("MINI_PACKAGES", "ffmpeg, jq")]));
    assert!(
        detection
            .dockerfile
            .contains("--no-install-recommends ffmpeg jq "),
        "{}",
        detection.dockerfile
    );
}

#[test]
fn predeploy_is_one_line_that_may_have_tabs() {
    let with = |scripts: &str| node().with("app.json", scripts);
    let tabs = with(r#"{"scripts": {"dokku": {"predeploy": "make\tassets\n"}}}"#);
    let detection = detected(&tabs, &Options::default());
    assert_eq!(detection.predeploy_command.as_deref(), Some("make\tassets"));
    for lines in ["a\\nb", "a\\rb"] {
        let scripts = format!(r#"{{"scripts": {{"dokku": {{"predeploy": "{lines}"}}}}}}"#);
        let refused = crate::detect(&with(&scripts), &Options::default()).unwrap_err();
        let why = refused.why();
        assert!(why.contains("one line of text"), "{why}");
    }
}

#[test]
fn predeploy_is_not_the_release_command() {
    let scripts = r#"{"scripts": {"dokku": {"predeploy": "a", "postdeploy": "c"}}}"#;
    let tree = node().with("app.json", scripts);
    let tree = tree.with("Procfile", "web: x\nrelease: b\n");
    let detection = detected(&tree, &Options::default());
    assert_eq!(detection.predeploy_command.as_deref(), Some("a"));
    assert_eq!(detection.release_command.as_deref(), Some("b"));
    let told = |warning: &String| warning.contains("app.json");
    assert!(!detection.warnings.iter().any(told), "{detection:?}");
    // Another release command takes nothing from it.
    let detection = detected(&tree, &variables(&[("MINI_RELEASE_COMMAND", "d")]));
    assert_eq!(detection.predeploy_command.as_deref(), Some("a"));
    assert_eq!(detection.release_command.as_deref(), Some("d"));
}

#[test]
fn an_own_dockerfile_says_what_has_no_effect() {
    let tree = MapTree::new().with("Dockerfile", "FROM a\n").with(
        "mini.toml",
        "[versions]\nnode = '20'\n[environment]\nA = '1'\n",
    );
    let warnings = detected(&tree, &Options::default()).warnings;
    assert_eq!(
        warnings,
        ["mini.toml:2, mini.toml:4 has no effect: the app's own Dockerfile says how it is built"]
    );
}
