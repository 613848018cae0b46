//! Received -> Detected: what the commit is, what it can run, how it is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use mini_buildpacks::{DetectError, Detection, Options, Subdirectory};

use super::checks::declared_checks;
use super::formation::{self, Formation};
use super::pipeline::{BuildTerms, Detected, Received, Runnable};
use super::run::Run;
use super::scripts::Scripts;
use super::{BuildLimits, Deployer, Deploys, app_env, given, predeploy};
use crate::git::CommitTree;
use crate::model::{
    App, BuildSecretId, Builder, BuilderSetting, CommitId, ConfigVars, Kind, Problem, ProcessType,
    ReleaseVersion, Scale, Timestamp,
};

impl Deploys {
    /// What a commit of an app is, as a deploy of it would see it now.
    ///
    /// # Errors
    /// The commit cannot be read; the inner error is what the repository lacks.
    pub async fn detection(
        &self,
        app: &App,
        commit: &CommitId,
    ) -> Result<Result<Detection, DetectError>, Problem> {
        let tree = self
            .deployer
            .repositories
            .tree(&app.name, commit)
            .await
            .map_err(|error| super::problem::git(&app.name, &error))?;
        let (builder, config) = decided(&self.deployer, app).await?;
        let options = options(&self.deployer, app, &builder, &config);
        let found = tokio::task::spawn_blocking(move || detected(&tree, options));
        found.await.map_err(|_| super::run::lost())
    }
}

/// What a tree is. Blocks.
fn detected(tree: &CommitTree, options: Options) -> Result<Detection, DetectError> {
    let Some(image) = given::image_name(tree) else {
        return mini_buildpacks::detect(tree, &options);
    };
    let mut detection = mini_buildpacks::detect(tree, &given::options_of_image(options))?;
    given::told(&mut detection, &image);
    Ok(detection)
}

/// What was decided about the builds of an app outside of its repository.
async fn decided(deployer: &Deployer, app: &App) -> Result<(Builder, ConfigVars), Problem> {
    let (builder, config) = tokio::join!(
        deployer.store.builder(app.id),
        deployer.store.merged_config(app.id),
    );
    Ok((builder?, config?))
}

fn options(deployer: &Deployer, app: &App, builder: &Builder, config: &ConfigVars) -> Options {
    let set = |setting| builder.get(setting).map(str::to_owned);
    let variables = config
        .iter()
        .filter(|(key, _)| mini_buildpacks::is_build_variable(key.as_str()))
        .map(|(key, value)| (key.as_str().to_owned(), value.reveal().to_owned()));
    let arguments = builder.arguments.iter();
    let prefix = match builder.cache.generation {
        0 => app.name.to_string(),
        generation => format!("{}.{generation}", app.name),
    };
    let ids = builder.secrets.keys();
    Options {
        image_mirrors: deployer.settings.image_mirrors.clone(),
        cache_id_prefix: Some(prefix),
        selected: set(BuilderSetting::Selected),
        build_dir: set(BuilderSetting::BuildDir),
        dockerfile_path: set(BuilderSetting::DockerfilePath),
        target: set(BuilderSetting::Target),
        variables: variables.collect(),
        arguments: arguments
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        secrets: ids.map(BuildSecretId::to_string).collect(),
        versions: deployer.settings.versions.clone(),
        today: Some(Timestamp::now().strftime("%Y-%m-%d").to_string()),
    }
}

/// The terms of a build.
fn terms(
    deployer: &Deployer,
    app: &App,
    builder: &Builder,
    config: &ConfigVars,
) -> Result<BuildTerms, Problem> {
    let by_default = deployer.settings.build_limits;
    let mut secrets = BTreeMap::new();
    for (id, key) in &builder.secrets {
        let Some(value) = config.get(key) else {
            let name = &app.name;
            return Err(Problem::new(
                Kind::AppFailed,
                format!("{name} was not deployed: its build secret {id} has no value"),
                format!("it takes the value of the config var {key}, which is not set"),
                format!(
                    "set it with `config:set {name} {key}=VALUE`, or take the secret away with \
                     `docker-options:remove {name} build \"--secret id={id}\"`, and push again"
                ),
            ));
        };
        secrets.insert(id.to_string(), value.clone());
    }
    Ok(BuildTerms {
        cache: builder.cache,
        limits: BuildLimits {
            timeout: builder.timeout().unwrap_or(by_default.timeout),
            memory_bytes: builder.memory_limit_bytes().or(by_default.memory_bytes),
        },
        secrets,
    })
}

/// Looks at a commit of which the image of `release` is to be built.
pub(super) async fn detect(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    received: Received,
    release: ReleaseVersion,
) -> Result<Detected, Problem> {
    let app = &run.app.name;
    let commit = received.commit;
    let tree = deployer
        .repositories
        .tree(app, &commit)
        .await
        .map_err(|error| super::problem::git(app, &error))?;
    for warning in tree.warnings() {
        run.warn(warning.clone()).await;
    }
    let (builder, today) = decided(deployer, &run.app).await?;
    let config = predeploy::config(deployer, run, release).await?;
    let options = options(deployer, &run.app, &builder, &config);
    // A token that has been renewed since is the one that opens what the build needs.
    let mut secrets = config;
    secrets.extend(today);
    let terms = terms(deployer, &run.app, &builder, &secrets)?;
    let searched = tree.clone();
    let found = tokio::task::spawn_blocking(move || {
        let detection = detected(&searched, options);
        let directory = detection
            .as_ref()
            .map_or(".", |detection| detection.directory.as_str());
        let directory = Subdirectory::new(&searched, directory);
        let (checks, wanted) = (declared_checks(&directory), app_env::wanted(&directory));
        let (scripts, formation) = (Scripts::read(&directory), Formation::read(&directory));
        (detection, checks, wanted, scripts, formation)
    });
    let found = found.await.map_err(|_| super::run::lost())?;
    let (detection, checks, wanted, scripts, formation) = found;
    let detection = detection.map_err(|error| {
        let (what, why) = (error.what(), error.why());
        // Some say all of it in the first line.
        let why = if what.contains(&why) {
            String::new()
        } else {
            why
        };
        Problem::new(
            Kind::AppFailed,
            format!("{app} was not deployed: {what}"),
            why,
            error.next(),
        )
    })?;
    let declared = checks?;
    let (scripts, formation) = (scripts?, formation?);
    let warnings = detection.warnings.iter().chain(&declared.warnings);
    for warning in warnings.chain(&scripts.warnings).chain(&formation.warnings) {
        run.warn(warning.clone()).await;
    }

    let mut processes = BTreeMap::new();
    for (name, command) in &detection.processes {
        let process_type: ProcessType = name.parse()?;
        processes.insert(process_type, command.clone());
    }
    for unknown in formation.unknown(&processes) {
        run.warn(format!(
            "app.json: `formation` names `{unknown}`, which the Procfile does not have"
        ))
        .await;
    }
    let formation = formation.scale_of(&processes);
    if let Some(formation) = &formation
        && run.takes_config()
    {
        for warning in rescaled(deployer, run, formation).await? {
            run.warn(warning).await;
        }
    }
    require_web(
        deployer,
        run,
        &processes,
        formation.as_ref(),
        commit.short(),
    )
    .await?;
    let wanted = wanted?;
    if run.takes_config() {
        app_env::apply(deployer, run, wanted).await?;
    }
    let runnable = Runnable {
        processes,
        release_command: detection.release_command.clone(),
        postdeploy_command: scripts.postdeploy,
        setup_command: scripts.setup,
        formation,
        checks: declared.checks,
    };
    Ok(Detected {
        commit,
        tree,
        detection,
        runnable,
        terms,
    })
}

/// What a formation changes of the scale, where that was not the work of the one before.
async fn rescaled(
    deployer: &Deployer,
    run: &Run,
    formation: &Scale,
) -> Result<Vec<String>, Problem> {
    let app = deployer.app(&run.app.name).await?;
    if let Some(version) = app.current {
        let release = deployer.store.release(app.id, version).await?;
        if release.is_some_and(|release| release.formation.is_some()) {
            return Ok(Vec::new());
        }
    }
    let by_hand = deployer.store.scale(app.id).await?;
    Ok(formation::rescaled(formation, &by_hand))
}

/// An app needs a `web` process unless its owner has said that it runs none.
async fn require_web(
    deployer: &Deployer,
    run: &Run,
    processes: &BTreeMap<ProcessType, Option<String>>,
    formation: Option<&Scale>,
    commit: &str,
) -> Result<(), Problem> {
    let web = ProcessType::web();
    if processes.contains_key(&web) {
        return Ok(());
    }
    let quantity = match formation {
        Some(formation) => formation.quantity(&web),
        None => deployer.store.scale(run.app.id).await?.quantity(&web),
    };
    if quantity == 0 {
        return Ok(());
    }
    let app = &run.app.name;
    let names: Vec<String> = processes.keys().map(|name| format!("`{name}`")).collect();
    let defined = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    Err(Problem::new(
        Kind::AppFailed,
        format!("{app} was not deployed: no process type `web`"),
        format!("the Procfile at {commit} defines only {defined}"),
        format!(
            "add a line like `web: npm start`, commit, and push again; \
             if it is meant to have none, say so with `ps:scale {app} web=0`"
        ),
    ))
}
