//! What `app.json` says of a deploy beside the build: commands that are run once (`scripts`), and how many processes there are
//! (`formation`). The release command of the Procfile is run here as well.
//!
//! The order is Dokku's: predeploy in the image, the release command, at the first deploy of the app `scripts.postdeploy`, the
//! processes with their checks, the switch, `scripts.dokku.postdeploy`.

use std::collections::BTreeMap;

use bytes::Bytes;
use mini_buildpacks::Tree;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::checks::{read, wrong_app_json};
use super::mask::Mask;
use super::run::Run;
use super::{Deployer, problem};
use crate::engine::{EngineError, Lines, OneOffIo, OneOffSpec, Stream};
use crate::model::{ContainerPhase, Kind, Problem, ProcessType, Release, Scale};
use crate::reconcile::environment;

/// Most processes of one type, as `ps:scale` has it.
const MOST: i64 = 100;

/// A command that is run once in a deploy, in a container of its own with the environment of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// The Procfile's `release`.
    Release,
    /// `scripts.postdeploy` of app.json, at the first deploy only.
    SetUp,
    /// `scripts.dokku.postdeploy` of app.json.
    Postdeploy,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Task::Release => "release",
            Task::SetUp | Task::Postdeploy => "postdeploy",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Task::Release => "release command",
            Task::SetUp => "postdeploy command of the first deploy",
            Task::Postdeploy => "postdeploy command",
        }
    }
}

/// What a repository declares.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// Run at the first deploy of the app only, before its processes start.
    pub(super) setup: Option<String>,
    /// Run once a release serves.
    pub(super) postdeploy: Option<String>,
    /// The types with a quantity; none where scaling is left to `ps:scale`.
    pub(super) formation: BTreeMap<ProcessType, u16>,
    /// What is not acted on.
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
struct AppJson {
    #[serde(default)]
    scripts: Option<Scripts>,
    #[serde(default)]
    formation: Option<BTreeMap<String, Group>>,
}

#[derive(Deserialize, Default)]
struct Scripts {
    #[serde(default)]
    postdeploy: Option<Value>,
    #[serde(default)]
    dokku: Option<DokkuScripts>,
}

#[derive(Deserialize, Default)]
struct DokkuScripts {
    #[serde(default)]
    postdeploy: Option<Value>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    quantity: Option<i64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Declared {
    /// Reads what `tree` declares.
    ///
    /// # Errors
    /// app.json is broken, or has what cannot be.
    pub(super) fn read(tree: &dyn Tree) -> Result<Self, Problem> {
        let Some(text) = read(tree, "app.json")? else {
            return Ok(Self::default());
        };
        let text = text.trim_start_matches('\u{feff}');
        let parsed: AppJson = serde_json::from_str(text).map_err(|error| wrong_app_json(&error))?;
        let scripts = parsed.scripts.unwrap_or_default();
        let mut declared = Self::default();
        let dokku = scripts.dokku.unwrap_or_default();
        let warnings = &mut declared.warnings;
        declared.setup = command(scripts.postdeploy, "scripts", warnings);
        declared.postdeploy = command(dokku.postdeploy, "scripts.dokku", warnings);
        for (name, group) in parsed.formation.unwrap_or_default() {
            let process_type: ProcessType = name.parse().map_err(|_| {
                let name = name.escape_debug();
                wrong(format!("`{name}` in `formation` is no process type"))
            })?;
            if process_type.as_str() == "release" {
                let why =
                    "`release` in `formation` is no process type: it is run once in each deploy";
                return Err(wrong(why.to_owned()));
            }
            for other in group.others.keys() {
                declared.warnings.push(format!(
                    "app.json: not acted on: `{}` of `{process_type}` in `formation`",
                    other.escape_debug()
                ));
            }
            let Some(quantity) = group.quantity else {
                continue;
            };
            let quantity = u16::try_from(quantity)
                .ok()
                .filter(|quantity| i64::from(*quantity) <= MOST)
                .ok_or_else(|| {
                    wrong(format!(
                        "the quantity of `{process_type}` in `formation` is {quantity}, and may be from 0 to {MOST}"
                    ))
                })?;
            declared.formation.insert(process_type, quantity);
        }
        Ok(declared)
    }

    /// The scale that goes with these process types, where the repository has one: types it does not name do not run, but for
    /// `web`, which runs once.
    pub(super) fn formation_of(
        &self,
        processes: &BTreeMap<ProcessType, Option<String>>,
    ) -> Option<Scale> {
        if self.formation.is_empty() {
            return None;
        }
        let unscaled = Scale::default();
        let each = processes.keys().map(|process_type| {
            let quantity = self.formation.get(process_type).copied();
            let quantity = quantity.unwrap_or_else(|| unscaled.quantity(process_type));
            (process_type.clone(), quantity)
        });
        Some(Scale(each.collect()))
    }

    /// What is said where the formation puts an end to what was scaled by hand.
    pub(super) fn rescaled(formation: &Scale, by_hand: &Scale) -> Vec<String> {
        let changed = formation.0.iter().filter_map(|(process_type, quantity)| {
            let before = by_hand.0.get(process_type)?;
            (before != quantity).then(|| {
                format!(
                    "app.json: `formation` sets `{process_type}` to {quantity}; it was scaled to {before}"
                )
            })
        });
        changed.collect()
    }

    /// The types that are to run and that there are not.
    pub(super) fn unknown(
        &self,
        processes: &BTreeMap<ProcessType, Option<String>>,
    ) -> impl Iterator<Item = &str> {
        let named = self.formation.iter().filter(|(_, quantity)| **quantity > 0);
        let named = named.map(|(process_type, _)| process_type);
        named
            .filter(|process_type| !processes.contains_key(*process_type))
            .map(ProcessType::as_str)
    }
}

/// The command of `postdeploy`: text, or a table with it (the schema of Heroku has one with a size besides).
fn command(value: Option<Value>, table: &str, warnings: &mut Vec<String>) -> Option<String> {
    let text = match value? {
        Value::Null => return None,
        Value::String(text) => text,
        Value::Object(mut keys) if keys.get("command").is_some_and(Value::is_string) => {
            let command = keys.remove("command");
            for key in keys.keys() {
                warnings.push(format!(
                    "app.json: not acted on: `{}` of `postdeploy` in `{table}`",
                    key.escape_debug()
                ));
            }
            command?.as_str()?.to_owned()
        }
        _ => {
            let warning = "is run only where it is text, or a table with such a `command`";
            warnings.push(format!("app.json: `postdeploy` in `{table}` {warning}"));
            return None;
        }
    };
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn wrong(why: String) -> Problem {
    Problem::new(
        Kind::AppFailed,
        "app.json is not what it should be",
        why,
        "correct it, commit, and push again",
    )
}

/// Why a command did not do what it is for.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing of it was done.
    NotBegun(Problem),
    /// It may have done some of it.
    Failed(Problem),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotBegun(problem) | Failure::Failed(problem) => problem,
        }
    }
}

/// Whether the engine could not start it. An engine that cannot be reached says nothing of that: it may have gone in the middle.
fn is_not_begun(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::CannotStart { .. } | EngineError::ImageMissing { .. }
    )
}

/// Runs a command to its end. What it says is heard between two lines of its own, without the values of config vars.
///
/// # Errors
/// It ends with another status than 0, does not end in time, or cannot be started.
pub(super) async fn run(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    task: Task,
    line: &str,
) -> Result<(), Failure> {
    let spec = spec(deployer, run, release, task.name(), line);
    let spec = spec.await.map_err(Failure::NotBegun)?;
    let app = &run.app.name;
    let (name, title) = (task.name(), task.title());
    run.header(format!("Running the {title}: {line}")).await;
    let (_stdin, stdin) = mpsc::channel(1);
    let (output, lines) = mpsc::channel(64);
    let (_size, resize) = watch::channel(None);
    let io = OneOffIo {
        stdin,
        output,
        resize,
    };
    let limit = deployer.settings.build_limits.timeout;
    run.section(format!("Start of {app} {name} task output"))
        .await;
    let mask = Mask::of(&release.config);
    let ran = tokio::time::timeout(limit, async {
        tokio::join!(deployer.engine.run(&spec, io), relay(run, lines, &mask)).0
    })
    .await;
    run.section(format!("End of {app} {name} task output"))
        .await;
    let failed = match task {
        Task::Release | Task::SetUp => format!("{app} was not deployed: its {title} failed"),
        Task::Postdeploy => format!("The {title} of {app} failed"),
    };
    let next = match task {
        Task::Release => "the lines above say more; correct it, commit, and push again",
        Task::SetUp => {
            "the lines above say more; it is not run again by itself: once the app is deployed, `run` does what is missing"
        }
        Task::Postdeploy => "the lines above say more; the new release serves all the same",
    };
    match ran {
        Ok(Ok(0)) => Ok(()),
        Ok(Ok(code)) => Err(Failure::Failed(Problem::new(
            Kind::AppFailed,
            failed,
            format!("`{line}` ended with status {code}"),
            next,
        ))),
        Ok(Err(error)) => {
            let problem = problem::engine(failed, &error);
            Err(if is_not_begun(&error) {
                Failure::NotBegun(problem)
            } else {
                Failure::Failed(problem)
            })
        }
        Err(_) => Err(Failure::Failed(Problem::new(
            Kind::TimedOut,
            failed,
            format!("`{line}` did not end within {}", problem::in_words(limit)),
            "see what it waits for, correct it, and push again",
        ))),
    }
}

async fn spec(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    name: &'static str,
    line: &str,
) -> Result<OneOffSpec, Problem> {
    let process_type: ProcessType = name.parse()?;
    Ok(OneOffSpec {
        app: run.app.name.clone(),
        release: release.version,
        purpose: name,
        image: release.image.clone(),
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()],
        environment: environment(
            &run.app,
            release,
            release.version,
            &process_type,
            &format!("{name}.1"),
        ),
        limits: deployer.settings.limits,
        terminal: None,
        has_stdin: false,
        mounts: deployer.store.storage_mounts(run.app.id).await?,
        options: deployer
            .store
            .container_options_of(run.app.id, ContainerPhase::Deploy)
            .await?,
    })
}

/// Turns chunks of output into lines of the journal.
async fn relay(run: &Run, mut chunks: mpsc::Receiver<(Stream, Bytes)>, mask: &Mask) {
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    while let Some((stream, chunk)) = chunks.recv().await {
        let lines = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        for line in lines.push(&chunk) {
            run.line(mask.masked(line.trim_end().to_owned())).await;
        }
    }
    for line in [stdout.finish(), stderr.finish()].into_iter().flatten() {
        run.line(mask.masked(line.trim_end().to_owned())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::StreamExt;
    use mini_buildpacks::MapTree;

    use super::*;
    use crate::events::{EventBody, Journal};
    use crate::model::{App, AppId, DeployId, Timestamp, Trigger};

    fn read_of(text: &str) -> Result<Declared, Problem> {
        Declared::read(&MapTree::new().with("app.json", text))
    }

    fn quantities(pairs: &[(&str, u16)]) -> BTreeMap<ProcessType, u16> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, quantity)| (name.parse().unwrap(), *quantity))
            .collect()
    }

    #[test]
    fn scripts_and_formation_are_read() {
        let text = r#"{"scripts": {"postdeploy": "seed", "test": "x", "dokku": {"predeploy": "a", "postdeploy": " tell \n"}},
            "formation": {"web": {"quantity": 2}, "worker": {"quantity": 1, "max_parallel": 2}, "clock": {}}}"#;
        let declared = read_of(text).unwrap();
        assert_eq!(declared.setup.as_deref(), Some("seed"));
        assert_eq!(declared.postdeploy.as_deref(), Some("tell"));
        assert_eq!(declared.formation, quantities(&[("web", 2), ("worker", 1)]));
        assert_eq!(
            declared.warnings,
            ["app.json: not acted on: `max_parallel` of `worker` in `formation`"]
        );
        for nothing in [
            "{}",
            r#"{"scripts": {"postdeploy": " "}}"#,
            r#"{"scripts": null, "formation": null}"#,
        ] {
            let declared = read_of(nothing).unwrap();
            assert_eq!(
                (declared.setup, declared.postdeploy),
                (None, None),
                "{nothing}"
            );
            assert!(declared.formation.is_empty() && declared.warnings.is_empty());
        }
    }

    #[test]
    fn a_command_may_stand_in_a_table_and_what_is_none_is_told() {
        let text = r#"{"scripts": {"postdeploy": {"command": "seed", "size": "large"}, "dokku": {"postdeploy": ["a"]}}}"#;
        let declared = read_of(text).unwrap();
        assert_eq!(declared.setup.as_deref(), Some("seed"));
        assert_eq!(declared.postdeploy, None);
        assert_eq!(
            declared.warnings,
            [
                "app.json: not acted on: `size` of `postdeploy` in `scripts`",
                "app.json: `postdeploy` in `scripts.dokku` is run only where it is text, or a table with such a `command`"
            ]
        );
        let declared = read_of(r#"{"scripts": {"postdeploy": {"command": 3}}}"#).unwrap();
        assert_eq!((declared.setup, declared.warnings.len()), (None, 1));
    }

    #[test]
    fn what_was_scaled_by_hand_is_not_changed_in_silence() {
        let formation = Scale(quantities(&[("web", 1), ("worker", 0), ("clock", 1)]));
        let by_hand = Scale(quantities(&[("web", 1), ("worker", 2), ("gone", 3)]));
        assert_eq!(
            Declared::rescaled(&formation, &by_hand),
            ["app.json: `formation` sets `worker` to 0; it was scaled to 2"]
        );
    }

    #[test]
    fn only_what_never_ran_counts_as_not_begun() {
        let said = || "no such file".to_owned();
        assert!(is_not_begun(&EngineError::CannotStart { said: said() }));
        assert!(!is_not_begun(&EngineError::Gone { what: said() }));
        let lost = EngineError::Unavailable {
            socket: "docker.sock".to_owned(),
            source: said().into(),
        };
        assert!(!is_not_begun(&lost));
    }

    #[test]
    fn what_cannot_be_run_or_scaled_is_refused() {
        for (text, part) in [
            (
                r#"{"formation": {"web": {"quantity": 101}}}"#,
                "from 0 to 100",
            ),
            (
                r#"{"formation": {"web": {"quantity": -1}}}"#,
                "from 0 to 100",
            ),
            (r#"{"formation": {"a b": {"quantity": 1}}}"#, "a b"),
            (r#"{"formation": {"release": {"quantity": 1}}}"#, "release"),
            ("{", "EOF"),
        ] {
            let problem = read_of(text).unwrap_err();
            let told = format!("{} {}", problem.what, problem.why);
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn a_formation_counts_for_all_types_there_are() {
        let processes = |names: &[&str]| {
            let names = names.iter().map(|name| (name.parse().unwrap(), None));
            names.collect::<BTreeMap<ProcessType, Option<String>>>()
        };
        let text = r#"{"formation": {"worker": {"quantity": 2}, "gone": {"quantity": 1}}}"#;
        let declared = read_of(text).unwrap();
        let formation = declared.formation_of(&processes(&["web", "worker", "clock"]));
        let expected = quantities(&[("web", 1), ("worker", 2), ("clock", 0)]);
        assert_eq!(formation, Some(Scale(expected)));
        assert_eq!(
            declared
                .unknown(&processes(&["web", "worker"]))
                .collect::<Vec<_>>(),
            ["gone"]
        );
        assert_eq!(
            read_of("{}").unwrap().formation_of(&processes(&["web"])),
            None
        );
    }

    /// A progress bar without line feeds was gathered in memory, and all of it searched for one at each piece.
    #[tokio::test]
    async fn what_a_release_command_says_without_line_feeds_is_not_held_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let app = App {
            id: AppId(1),
            name: "shop".parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            deploy_branch: None,
            is_stopped: false,
            current: None,
        };
        let id = DeployId::new(Timestamp::UNIX_EPOCH, 1);
        let actor = "me".to_owned();
        let run = Run::new(id, app, Trigger::Push, actor, None, journal.clone());
        let (output, lines) = mpsc::channel(8);
        for (stream, piece) in [
            (Stream::Stdout, "10 %\r".repeat(10_000)),
            (Stream::Stderr, "x".repeat(100_000)),
            (Stream::Stdout, "100 %\nmigrated".to_owned()),
        ] {
            output.send((stream, Bytes::from(piece))).await.unwrap();
        }
        drop(output);
        relay(&run, lines, &Mask::default()).await;
        run.set_ended(Ok(())).await;
        let events: Vec<_> = journal.follow(&run.subject(), 1).collect().await;
        let said: Vec<String> = events
            .into_iter()
            .filter_map(|event| match event.body {
                EventBody::Line { text } => Some(text),
                _ => None,
            })
            .collect();
        let lengths: Vec<usize> = said.iter().map(String::len).collect();
        let cut = 16 * 1024;
        let rest = 100_000 - 6 * cut;
        assert_eq!(lengths, [cut, cut, cut, cut, cut, cut, 5, 8, rest]);
    }
}
