use super::*;
use crate::commands::Format;

fn parsed(text: &str) -> Parsed {
    parse(words(text).unwrap(), Options::default())
}

#[track_caller]
fn command(text: &str) -> (serde_json::Value, Options) {
    match parsed(text) {
        Parsed::Command(command, options) => (serde_json::to_value(&command).unwrap(), options),
        Parsed::Text { text: said, .. } => panic!("{text:?} was refused: {said}"),
    }
}

#[track_caller]
fn same(one: &str, other: &str) {
    assert_eq!(command(one).0, command(other).0, "{one} / {other}");
}

#[track_caller]
fn refused(text: &str) -> (String, u8) {
    match parsed(text) {
        Parsed::Text {
            stream: Stream::Stderr,
            text,
            exit_code,
        } => (text, exit_code),
        other => panic!("{text:?} was not refused: {other:?}"),
    }
}

#[test]
fn quotes_and_backslashes_are_read_as_a_shell_reads_them() {
    assert_eq!(
        words(r#"a 'b c' "d e" f\ g"#).unwrap(),
        ["a", "b c", "d e", "f g"]
    );
    assert!(words("").unwrap().is_empty());
    let problem = words("config:set blog A='b").unwrap_err();
    assert_eq!(problem.exit_code(), 2);
    assert!(problem.why.contains("quote"));
}

#[test]
fn the_app_may_stand_before_or_behind_the_command() {
    same("config:set blog A=b", "--app blog config:set A=b");
    same("config:set blog A=b", "--app=blog config:set A=b");
    same("config:set blog A=b", "config:set --app blog A=b");
    same("config:set blog A=b", "config:set A=b --app blog");
    same("run blog ls -l", "--app blog run ls -l");
    same("run --env A=b blog ls", "run --app blog --env A=b ls");
    same("ps:report blog", "ps --app blog");
    same("logs blog -n 5", "apps:logs blog -n 5");
    assert!(
        refused("--app blog apps:list")
            .0
            .contains("not about one app")
    );
}

#[test]
fn flags_of_every_command_are_taken_out_wherever_they_stand() {
    let json = command("--format json apps:list").1;
    assert_eq!(json.format, Format::Json);
    assert_eq!(command("apps:list --format=json").1, json);
    assert_eq!(command("apps:list --json").1, json);
    assert_eq!(command("--json apps:list").1, json);
    same(
        "--json buildpacks:detect shop",
        "buildpacks:detect shop --json",
    );
    same(
        "config:export blog --json",
        "config:export blog --format json",
    );
    assert!(command("--quiet apps:list").1.quiet);
    assert!(command("apps:list --quiet --trace").1.trace);
    let (destroy, _) = command("--force apps:destroy blog");
    assert_eq!(destroy["arguments"]["force"], true);
    same("--force apps:destroy blog", "apps:destroy blog --force");
    same(
        "config:export blog --format json",
        "--format json config:export blog",
    );
    assert!(refused("--format xml apps:list").0.contains("not a format"));
    assert!(
        refused("--nonsense apps:list")
            .0
            .contains("not a flag of mini")
    );
    assert!(refused("apps:list --app").0.contains("needs a value"));
}

#[test]
fn the_command_of_run_is_left_as_it_is() {
    let (run, options) = command("run blog node --quiet --app x -e '1 + 1' -- --format json");
    assert_eq!(
        run["arguments"]["command"],
        serde_json::json!([
            "node", "--quiet", "--app", "x", "-e", "1 + 1", "--", "--format", "json"
        ])
    );
    assert_eq!(run["arguments"]["app"], "blog");
    assert_eq!(options, Options::default());
    let (run, _) = command("run blog --env A=b --no-tty env");
    assert_eq!(run["arguments"]["no_tty"], true);
    assert_eq!(run["arguments"]["command"], serde_json::json!(["env"]));
}

#[test]
fn options_of_a_command_are_its_own() {
    let (logs, options) = command("logs blog -n 5 -t -p web.1 -q");
    assert_eq!(
        logs["arguments"],
        serde_json::json!({"app": "blog", "num": 5, "tail": true, "ps": "web.1", "quiet": true})
    );
    assert!(!options.quiet);
    same("logs blog -n5", "logs blog --num=5");
    let (report, _) = command("ps:report blog --running");
    assert_eq!(report["arguments"]["flag"], "--running");
}

#[test]
fn a_group_and_its_help_ask_for_help() {
    same("apps", "help apps");
    same("apps:help", "help apps");
    same("builds", "help builds");
    same("apps:create:help", "help apps:create");
    same("config blog", "config:show blog");
    same("", "help");
    same("--version", "version");
}

#[test]
fn an_unknown_command_is_told_the_nearest_one() {
    let (text, exit_code) = refused("apps:lsit");
    insta::assert_snapshot!(text, @r"
     !     `apps:lsit` is not a mini command.
     !     Did you mean `apps:list`?
     !     See `mini help` for a list of available commands.
    ");
    assert_eq!(exit_code, 1);
    let (text, _) = refused("foo");
    insta::assert_snapshot!(text, @r"
     !     `foo` is not a mini command.
     !     See `mini help` for a list of available commands.
    ");
    assert!(refused("'\u{1b}[2Jx'").0.contains(r"\u{1b}[2Jx"));
}

#[test]
fn a_name_that_breaks_its_rule_is_refused_with_the_rule() {
    let (text, exit_code) = refused("apps:create 'Test;id'");
    assert!(
        text.contains("App name must begin with lowercase alphanumeric"),
        "{text}"
    );
    assert_eq!(exit_code, 2);
    let (text, _) = refused("config:set blog KEY");
    assert!(text.contains("KEY=VALUE"), "{text}");
    let (text, _) = refused("config:set blog 1A=hunter2");
    assert!(
        text.contains("1A=********") && !text.contains("hunter2"),
        "{text}"
    );
    let (text, _) = refused("apps:create");
    assert!(text.contains("<APP>"), "{text}");
}

#[test]
fn every_command_arrives_the_same_as_words_and_as_json() {
    for line in [
        "help",
        "version",
        "apps:create blog",
        "apps:list",
        "apps:report",
        "config:set blog A=b=c 'B=d e' --no-restart",
        "config:export blog --format envfile",
        "domains:add blog WWW.Example.com.",
        "ps:scale blog web=2 worker=0",
        "rollback blog v3",
        "run blog -e A=b echo hi",
        "ssh-keys:add me",
        "builds:output blog current",
    ] {
        let (json, _) = command(line);
        let back: AnyCommand = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&back).unwrap(), json, "{line}");
    }
    let (json, _) = command("domains:add blog WWW.Example.com.");
    assert_eq!(json["arguments"]["domains"][0], "www.example.com");
}

#[test]
fn wrong_words_are_told_in_the_form_of_all_refusals() {
    for line in [
        "apps:create 'Test;id'",
        "apps:list here",
        "apps:list --colour",
        "builds:list blog --nun 3",
        "builds:list blog --num many",
        "config:export blog --format yaml",
        "config:set blog",
        "ps:scale blog web=many",
        "config:set blog 1A=hunter2",
        "logs blog --num",
        "run",
    ] {
        let (text, exit_code) = refused(line);
        assert_eq!(exit_code, 2, "{line}");
        assert!(
            text.lines().all(|line| line.starts_with(" !     ")),
            "{text}"
        );
    }
    insta::assert_snapshot!(refused("ps:scale blog web=many").0);
    insta::assert_snapshot!(refused("config:export blog --format xml").0);
    insta::assert_snapshot!(refused("builds:list blog --nun 3").0);
    insta::assert_snapshot!(refused("apps:list here").0);
    insta::assert_snapshot!(refused("config:set blog").0);
    insta::assert_snapshot!(refused("logs blog --num").0);
}

#[test]
fn whoever_asks_for_json_is_refused_in_json() {
    for line in [
        "apps:create X --format json",
        "--json apps:create",
        "apps:lsit --json",
        "enter blog --format=json",
        "--nonsense --json apps:list",
    ] {
        let (text, exit_code) = refused(line);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value["error"]["message"].is_string(), "{line}: {text}");
        assert!(exit_code > 0, "{line}");
    }
}

#[test]
fn commands_of_dokku_lead_to_what_is_there() {
    insta::assert_snapshot!(refused("letsencrypt:enable blog").0, @r"
     !     `letsencrypt:enable` is not a mini command.
     !     next: `certs:auto APP on`; orders need `acme-email` in the settings of the server, and then are made for all apps by themselves
    ");
    // A slip is nearer than a whole group.
    assert!(
        refused("storage:lst blog")
            .0
            .contains("Did you mean `storage:list`?")
    );
}

#[test]
fn a_whole_server_may_stand_for_the_app() {
    let (set, _) = command("config:set --no-restart --global A=b");
    assert_eq!(set["arguments"]["app"], "--global");
    assert_eq!(set["arguments"]["no_restart"], true);
    same(
        "config:set --global A=b --no-restart",
        "config:set --no-restart --global A=b",
    );
    same("--app --global config:set A=b", "config:set --global A=b");
    same("config:get --quoted blog A", "config:get blog A --quoted");
    same("ps:restart --all", "--app --all ps:restart");
    let (restart, _) = command("ps:restart --all worker");
    assert_eq!(restart["arguments"]["process_type"], "worker");
}

#[test]
fn help_goes_to_standard_output() {
    match parsed("apps:create --help") {
        Parsed::Text {
            stream, exit_code, ..
        } => assert_eq!((stream, exit_code), (Stream::Stdout, 0)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_of_the_program_are_taken_from_where_they_stand() {
    let take =
        |words: Vec<String>| take_flags(words, [("--data-dir", "a folder"), ("--host", "h")]);
    let check = |line: &str, rest: &str, dir: Option<&str>, host: Option<&str>| {
        let (words, [data_dir, found]) = take(words(line).unwrap()).unwrap();
        let taken = (words.join(" "), data_dir.as_deref(), found.as_deref());
        assert_eq!(taken, (rest.to_owned(), dir, host), "{line}");
    };
    check("--data-dir d apps:list", "apps:list", Some("d"), None);
    check("apps:list --data-dir=d", "apps:list", Some("d"), None);
    check("--host=h --data-dir d x", "x", Some("d"), Some("h"));
    check("server --data-dir d --dev", "server --dev", Some("d"), None);
    check("run blog --data-dir d ls", "run blog ls", Some("d"), None);
    check(
        "--app blog run --host h ls",
        "--app blog run ls",
        None,
        Some("h"),
    );
    check(
        "--host h run blog ls --host i",
        "run blog ls --host i",
        None,
        Some("h"),
    );
    // The value of an option of `run` was taken for the app, and the end of mini's own words was found too early.
    check(
        "run -e A=b blog --host h ls",
        "run -e A=b blog ls",
        None,
        Some("h"),
    );
    check(
        "run --env A=b blog --host h ls",
        "run --env A=b blog ls",
        None,
        Some("h"),
    );
    for line in [
        "run blog ls --data-dir d",
        "--app blog run ls --data-dir d",
        "--app=blog run ls --data-dir d",
        "run --app blog ls --data-dir d",
        "run -e A=b blog ls --data-dir d",
        "--format json run blog ls --data-dir d",
        "apps:list -- --data-dir d",
    ] {
        check(line, line, None, None);
    }
    let problem = take(vec!["--data-dir".to_owned()]).unwrap_err();
    assert_eq!(problem.what, "`--data-dir` needs a folder");
}

#[test]
fn flags_may_stand_between_the_app_and_the_command_of_run() {
    same("run blog ls -l", "run blog --quiet ls -l");
    let (run, options) = command("run blog --trace ls --trace");
    assert_eq!(
        run["arguments"]["command"],
        serde_json::json!(["ls", "--trace"])
    );
    assert!(options.trace);
}
