//! Detected -> Built: from the files of a commit to an image.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mini_buildpacks::dockerignore::{self, BadPattern, Dockerignore};
use mini_buildpacks::{Detection, Subdirectory, Tree};

use super::mask::Mask;
use super::pipeline::{Built, Detected};
use super::run::Run;
use super::slots::{Next, Slot};
use super::source::Source;
use super::{DeploySettings, Deployer, given, predeploy, problem};
use crate::engine::{BuildContext, BuildEvent, BuildSpec, EngineError};
use crate::model::{AppName, ImageId, Kind, Problem, ReleaseVersion, Secret};

/// How much of a step's instruction is shown.
const STEP_CHARACTERS: usize = 140;
/// The largest `.dockerignore` that is read, bytes.
const IGNORE_LIMIT: usize = 1 << 20;

pub(super) async fn build(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    detected: Detected,
    release: ReleaseVersion,
) -> Result<Built, Problem> {
    let app = &run.app.name;
    let detection = &detected.detection;
    require_space(deployer, run).await?;
    let _slot = slot(deployer, run).await;
    run.header(match detection.builder.strip_prefix(given::BUILDER) {
        Some(image) => format!("Deploying {app} from the image {image}"),
        None => format!("Building {app} from {}", source_of(detection)),
    })
    .await;
    for line in &detection.evidence {
        run.line(line.clone()).await;
    }
    for image in &detection.base_images {
        pull(deployer, run, image).await?;
    }
    let mut spec = BuildSpec {
        app: app.clone(),
        deploy: run.id.clone(),
        release,
        tag: format!("mini/{app}:{}", run.id),
        dockerfile: without_syntax_line(&detection.dockerfile),
        arguments: detection.arguments.clone(),
        secrets: detected.terms.secrets.clone(),
        target: detection.target.clone(),
        memory_limit_bytes: detected.terms.limits.memory_bytes,
        is_without_cache: detected.terms.cache.is_cold,
        source: given::loaded(&detection.base_images).cloned(),
    };
    if detection.predeploy_command.is_some() {
        // Nothing of it is told yet: an engine that has no secrets says so now, and not when all is built.
        let id = predeploy::ENVIRONMENT.to_owned();
        spec.secrets.entry(id).or_insert_with(|| Secret::new(""));
    }
    let ignored = ignored(&detected)?;
    deployer.clearing.over().await;
    let source = Source::new(detected.tree.clone(), detection.context.clone(), ignored);
    let limit = detected.terms.limits.timeout;
    // What does not depend on the image is made while it is built.
    let (built, subject, prepared) = tokio::join!(
        tokio::time::timeout(limit, self::image(deployer, run, &spec, Arc::new(source))),
        deployer.repositories.subject(app, &detected.commit),
        deployer.engine.prepare(app),
    );
    if let Err(error) = prepared {
        // The start needs the same and fails with its reason, where it still cannot be had then.
        tracing::debug!(%app, %error, "the network could not be made ahead");
    }
    let mut image = built.unwrap_or_else(|_| Err(out_of_time(app, limit)))?;
    if let Some(line) = &detection.predeploy_command {
        let predeploy = predeploy::run(deployer, run, &spec, line, &detected.commit);
        let ran = tokio::time::timeout(limit, predeploy).await;
        image = ran.unwrap_or_else(|_| Err(out_of_time(app, limit)))?;
    }
    if detected.terms.cache.is_cold {
        deployer
            .store
            .warm_build_cache(run.app.id, detected.terms.cache)
            .await?;
    }
    let subject = subject.unwrap_or_default();
    let mut description = format!("Deploy {}", detected.commit.short());
    if !subject.is_empty() {
        description = format!(
            "{description}: {}",
            subject.chars().take(60).collect::<String>()
        );
    }
    Ok(Built {
        commit: Some(detected.commit),
        image,
        runnable: detected.runnable,
        description,
    })
}

fn out_of_time(app: &AppName, limit: Duration) -> Problem {
    Problem::new(
        Kind::TimedOut,
        format!(
            "{app} was not deployed: the build did not end within {}",
            problem::in_words(limit)
        ),
        "a build has that long (`builder:set APP build-timeout`, else the server's setting of that name)",
        "see which step hangs in the lines above, correct it, and push again",
    )
}

/// The image; built once more without the cache, where the cache has lost a part of it.
async fn image(
    deployer: &Deployer,
    run: &Run,
    spec: &BuildSpec,
    source: Arc<dyn BuildContext>,
) -> Result<ImageId, Problem> {
    let mut built = follow(deployer, run, spec, Arc::clone(&source)).await;
    if let Err(EngineError::CacheLost { said }) = &built
        && !spec.is_without_cache
    {
        run.warn(format!(
            "The build cache of Docker has lost a layer ({said}): building once more without the cache"
        ))
        .await;
        let spec = BuildSpec {
            is_without_cache: true,
            ..spec.clone()
        };
        built = follow(deployer, run, &spec, source).await;
    }
    built.map_err(|error| {
        let what = format!("{} was not deployed: its build failed", run.app.name);
        let problem = problem::engine(what, &error);
        Problem {
            why: Mask::new(&spec.secrets).masked(problem.why),
            ..problem
        }
    })
}

async fn follow(
    deployer: &Deployer,
    run: &Run,
    spec: &BuildSpec,
    source: Arc<dyn BuildContext>,
) -> Result<ImageId, EngineError> {
    let mask = Mask::new(&spec.secrets);
    let mut events = deployer.engine.build(spec, source).await?;
    while let Some(event) = events.next().await {
        match event? {
            BuildEvent::Step {
                name,
                is_cached: true,
            } => run.line(format!("{} (cached)", shortened(&name))).await,
            BuildEvent::Step {
                name,
                is_cached: false,
            } => run.line(shortened(&name)).await,
            BuildEvent::Line(text) => run.line(mask.masked(format!("  {text}"))).await,
            BuildEvent::Unwatched { step } => {
                run.warn(format!(
                    "The memory limit of builds does not hold for {}: what it uses cannot be seen on this server",
                    shortened(&step)
                ))
                .await;
            }
            BuildEvent::Done(image) => return Ok(image),
        }
    }
    Err(EngineError::Refused {
        said: "the build ended without an image".to_owned(),
    })
}

/// A step as a line to read: an instruction of many lines is told by its beginning.
fn shortened(step: &str) -> String {
    let mut characters = step.chars();
    let begin: String = characters.by_ref().take(STEP_CHARACTERS).collect();
    if characters.next().is_none() {
        begin
    } else {
        format!("{}...", begin.trim_end())
    }
}

async fn pull(deployer: &Deployer, run: &Run, image: &str) -> Result<(), Problem> {
    let what = || {
        format!(
            "{} was not deployed: its base image is missing",
            run.app.name
        )
    };
    if given::is_loaded(image) {
        let found = deployer.engine.image(image).await;
        let found = found.map_err(|error| problem::engine(what(), &error))?;
        return found.map(drop).ok_or_else(|| given::gone(&run.app.name));
    }
    let mut lines = deployer
        .engine
        .pull(image)
        .await
        .map_err(|error| problem::engine(what(), &error))?;
    while let Some(line) = lines.next().await {
        run.line(line.map_err(|error| problem::engine(what(), &error))?)
            .await;
    }
    Ok(())
}

/// Waits for one of the places in which builds go on at once, and says so.
async fn slot<'a>(deployer: &'a Deployer, run: &Run) -> Slot<'a> {
    let limit = deployer.slots.limit();
    let builds = match limit {
        1 => "1 build goes on".to_owned(),
        limit => format!("{limit} builds go on"),
    };
    let mut waiting = deployer.slots.enter(&run.id);
    loop {
        let place = match waiting.next().await {
            Next::Taken(slot) => return slot,
            Next::Ahead(0) => "this one is next".to_owned(),
            Next::Ahead(1) => "1 other is ahead in the line".to_owned(),
            Next::Ahead(ahead) => format!("{ahead} others are ahead in the line"),
        };
        run.header(format!(
            "Waiting to build: {builds}, as many as may at once; {place}"
        ))
        .await;
    }
}

/// Refuses to build on a disk that is nearly full, so that what runs keeps room for its logs and data.
async fn require_space(deployer: &Deployer, run: &Run) -> Result<(), Problem> {
    match scarcity(&deployer.settings).await {
        None => Ok(()),
        Some(why) => Err(Problem::new(
            Kind::Unavailable,
            format!(
                "{} was not deployed: the disk of the server is nearly full",
                run.app.name
            ),
            why,
            "free some space (`builds:prune` removes what mini no longer needs, `docker system df` shows what is used), then push again",
        )),
    }
}

/// What is missing of the free space that a build needs.
pub(super) async fn scarcity(settings: &DeploySettings) -> Option<String> {
    let floor = settings.disk_floor;
    let places = [settings.data_dir.clone(), "/var/lib/docker".into()];
    let scarce =
        tokio::task::spawn_blocking(move || places.iter().find_map(|place| shortage(place, floor)));
    // Fails only where the server ends.
    let (free_mib, place) = scarce.await.ok().flatten()?;
    Some(format!(
        "{free_mib} MiB are free at {place}; a build needs {} MiB and {} %",
        floor.bytes >> 20,
        floor.percent
    ))
}

fn shortage(place: &Path, floor: super::DiskFloor) -> Option<(u64, String)> {
    let disk = rustix::fs::statvfs(place).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let total = disk.f_blocks.saturating_mul(disk.f_frsize);
    let needed = floor.bytes.max(total / 100 * u64::from(floor.percent));
    (free < needed).then(|| (free >> 20, place.display().to_string()))
}

fn source_of(detection: &mini_buildpacks::Detection) -> String {
    match detection.builder.strip_prefix("buildpack:") {
        Some(name) => {
            let version = detection.version.as_deref().unwrap_or("");
            format!("source as {name} {version}").trim_end().to_owned()
        }
        None => detection
            .dockerfile_path
            .clone()
            .unwrap_or_else(|| "Dockerfile".to_owned()),
    }
}

/// What stays out of the context: as the app says, else what nobody wants in a generated image, else nothing.
fn ignored(detected: &Detected) -> Result<Dockerignore, Problem> {
    left_out(&detected.tree, &detected.detection)
}

fn left_out(tree: &dyn Tree, detection: &Detection) -> Result<Dockerignore, Problem> {
    let own = detection.dockerfile_path.as_deref();
    let dockerfile = own.map_or("Dockerfile", |path| {
        let inside = path.strip_prefix(detection.context.as_str());
        inside
            .and_then(|path| path.strip_prefix('/'))
            .unwrap_or(path)
    });
    let parse = |text: &[u8]| Dockerignore::parse(text);
    if let Some(found) = dockerignore_in(tree, &detection.context, dockerfile, parse)? {
        return Ok(found);
    }
    if own.is_some() {
        return Ok(Dockerignore::default());
    }
    if detection.directory != detection.context {
        // The app wrote it for a build of its directory; the build sees more only because the app needs it.
        let directory = detection.directory.as_str();
        let parse = |text: &[u8]| Dockerignore::parse_inside(text, directory);
        if let Some(found) = dockerignore_in(tree, directory, dockerfile, parse)? {
            return Ok(found);
        }
    }
    Ok(Dockerignore::sensible())
}

/// The patterns that a directory has for a build of its `dockerfile`.
fn dockerignore_in(
    tree: &dyn Tree,
    directory: &str,
    dockerfile: &str,
    parse: impl Fn(&[u8]) -> Result<Dockerignore, BadPattern>,
) -> Result<Option<Dockerignore>, Problem> {
    let files = Subdirectory::new(tree, directory);
    for path in dockerignore::candidates(dockerfile) {
        let invalid = |why: String| {
            let path = match directory {
                "." | "" => path.clone(),
                directory => format!("{directory}/{path}"),
            };
            Problem::new(
                Kind::AppFailed,
                format!("{path} cannot be read"),
                why,
                "correct the file, commit, and push again",
            )
        };
        match files.read(&path, IGNORE_LIMIT) {
            Ok(Some(text)) => {
                let parsed = parse(&text).map_err(|error| invalid(error.to_string()))?;
                return Ok(Some(parsed));
            }
            Ok(None) => {}
            Err(error) => return Err(invalid(error.to_string())),
        }
    }
    Ok(None)
}

/// A `# syntax=` line asks the builder to fetch another front end from a public registry; the built-in one does.
fn without_syntax_line(dockerfile: &str) -> String {
    let is_syntax = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim_start();
        line.strip_prefix('#').is_some_and(|rest| {
            rest.trim_start()
                .to_ascii_lowercase()
                .strip_prefix("syntax")
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        })
    };
    let mut lines = dockerfile.split_inclusive('\n');
    match lines.next() {
        // The line number of every other line stays.
        Some(first) if is_syntax(first) => format!("#\n{}", lines.collect::<String>()),
        Some(_) | None => dockerfile.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mini_buildpacks::{DirTree, Options};

    use super::*;

    #[test]
    fn what_a_directory_leaves_out_stays_out_of_a_larger_build() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("mini.toml", "[build]\ndirectory = 'api'\n");
        write("core/setup.py", "");
        write("api/main.py", "");
        write("api/requirements.txt", "-e ../core\n");
        write("api/.dockerignore", "/.env\ndata\n!data/seed\n");
        let left_out = || {
            let tree = DirTree::open(folder.path()).unwrap();
            let detection = mini_buildpacks::detect(&tree, &Options::default()).unwrap();
            assert_eq!(
                (detection.context.as_str(), detection.directory.as_str()),
                (".", "api")
            );
            left_out(&tree, &detection).unwrap()
        };
        let ignore = left_out();
        assert!(ignore.is_ignored("api/.env") && ignore.is_ignored("api/data/a"));
        assert!(!ignore.is_ignored("api/data/seed") && !ignore.is_ignored("core/data/a"));
        assert!(ignore.is_ignored("core/.git/config"));
        // The root's own file has the say.
        write(".dockerignore", "core/docs\n");
        let ignore = left_out();
        assert!(ignore.is_ignored("core/docs/a") && !ignore.is_ignored("api/.env"));
    }

    #[test]
    fn only_a_leading_syntax_line_is_taken_out() {
        assert_eq!(
            without_syntax_line("# syntax=docker/dockerfile:1\nFROM a\n"),
            "#\nFROM a\n"
        );
        assert_eq!(without_syntax_line("#SYNTAX = x\r\nFROM a"), "#\nFROM a");
        assert_eq!(
            without_syntax_line("# a syntax=x\nFROM a\n"),
            "# a syntax=x\nFROM a\n"
        );
        assert_eq!(
            without_syntax_line("FROM a\n# syntax=x\n"),
            "FROM a\n# syntax=x\n"
        );
    }
}
