use super::*;
use crate::tree::MapTree;

fn found(files: &[(&str, &str)]) -> Value {
    let tree = files
        .iter()
        .fold(MapTree::new(), |tree, (path, text)| tree.with(*path, *text));
    let repository = Repository::new(&tree).unwrap();
    sbt_app(&repository).unwrap().unwrap_or_default()
}

/// `directory script packs`.
fn check(plugin: &str, build: &str, expected: &str) {
    let app = found(&[("project/plugins.sbt", plugin), ("build.sbt", build)]);
    let word = |key: &str| app[key].as_str().unwrap_or("-").to_owned();
    let summary = format!("{} {} {}", word("directory"), word("script"), word("packs"));
    assert_eq!(summary, expected, "{build}");
}

const PACKAGER: &str = "addSbtPlugin(\"com.github.sbt\" % \"sbt-native-packager\" % \"1.11.1\")";

#[test]
fn the_project_that_is_packed_is_the_app() {
    check(
        PACKAGER,
        "name := \"My Shop\"\nenablePlugins(JavaAppPackaging)\n",
        ". my-shop stage",
    );
    check(
        PACKAGER,
        "// name := \"no\"\nlazy val core = project\n  .settings(name := \"core\")\n\nlazy val root = project\n  .in(file(\".\"))\n  .aggregate(core, web)\n\n\
         lazy val web = (project in file(\"modules/web\"))\n  .enablePlugins(JavaAppPackaging) // /* the app */\n  .dependsOn(core)\n  .settings(\n    \
         url := \"https://x\",\n    name := \"web-server\"\n  )\nname := \"all\"\n",
        "modules/web web-server stage",
    );
    check(
        PACKAGER,
        "lazy val `web` = project.enablePlugins(JavaAppPackaging)\n",
        "web web stage",
    );
    check(PACKAGER, "enablePlugins(DockerPlugin)\n", ". - stage");
    check(
        PACKAGER,
        "enablePlugins(DockerPlugin)\nexecutableScriptName := \"go\"\nmoduleName := \"x\"\n",
        ". go stage",
    );
    check("", "name := \"x\"\n", "- - ");
    check(
        "addSbtPlugin(\"com.eed3si9n\" % \"sbt-assembly\" % \"2.3.1\")",
        "lazy val lib = project\nlazy val app = project.settings(assembly / assemblyJarName := \"app.jar\")\n",
        "app app assembly",
    );
    check(
        PACKAGER,
        "lazy val a = (project in file(\"../a\")).enablePlugins(JavaAppPackaging)",
        "- - ",
    );
}

#[test]
fn the_newest_java_that_a_build_runs_on() {
    let check = |sbt: &str, scala: &str, java: Option<&str>| {
        let app = found(&[
            (
                "project/build.properties",
                &format!("sbt.version = {sbt}\n"),
            ),
            ("build.sbt", scala),
        ]);
        assert_eq!(app["java"].as_str(), java, "{sbt} {scala}");
    };
    check("1.10.7", "scalaVersion := \"2.13.16\"", None);
    check("0.13.18", "scalaVersion := \"2.12.18\"", Some("sbt-8"));
    check(
        "1.9.0",
        "val s = \"2.13.8\"\nThisBuild / scalaVersion := s",
        Some("scala-17"),
    );
    check("1.4.9", "scalaVersion := \"2.13.8\"", Some("sbt-11"));
    check("2.0.6", "scalaVersion := \"3.3.0\"", Some("scala-17"));
    check("x", "scalaVersion := buildVersion", None);
}

#[test]
fn modules_of_mill() {
    let check = |build: &str, expected: Option<&str>| {
        let tree = MapTree::new().with("build.mill", build);
        let repository = Repository::new(&tree).unwrap();
        let found = mill_module(&repository).unwrap();
        assert_eq!(found.as_ref().and_then(Value::as_str), expected, "{build}");
    };
    check(
        "package build\nimport mill.*\n\nobject Versions {\n  val x = 1\n}\n\nobject app extends ScalaModule {\n  object test extends ScalaTests\n}\n",
        Some("app"),
    );
    check("object `package` extends ScalaModule {}\n", Some(""));
    check("trait Shared extends ScalaModule\n", None);
}

#[test]
fn text_in_quotes_is_no_comment_and_no_bracket() {
    let text = "a := \"// no ( \\\" \"\nb := \"\"\" { \"\"\" /* c := { */\nd := 1\n";
    let text = statements::without_comments(text);
    let found = statements(&text);
    assert_eq!(
        found,
        ["a := \"// no ( \\\" \"", "b := \"\"\" { \"\"\"", "d := 1"]
    );
    // Nothing of this is closed.
    assert_eq!(statements("x := \"(\ny := (\nz"), ["x := \"(\ny := (\nz"]);
}
