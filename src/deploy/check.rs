//! Released -> Healthy: every process of the candidate must pass its checks before any of them gets a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;

use super::Deployer;
use super::http_check::{Expectation, get};
use super::pipeline::{Healthy, Released};
use super::run::Run;
use crate::engine::{LogQuery, Process, ProcessState};
use crate::model::{Check, CheckKind, Exposure, Kind, Problem, Release, size_in_words};
use crate::reconcile::{ProcessKey, View, wanted_quantities};

/// How many lines of a failed process's log are shown.
const LOG_LINES: usize = 20;

pub(super) async fn check(
    deployer: &Arc<Deployer>,
    run: &Arc<Run>,
    released: Released,
) -> Result<Healthy, Problem> {
    let Released {
        release,
        is_started,
    } = released;
    if !is_started {
        return Ok(Healthy { release });
    }
    let scale = match &release.formation {
        Some(formation) => formation.clone(),
        None => deployer.store.scale(release.app).await?,
    };
    let routed = deployer.store.routed_types(release.app).await?;
    let mut keys = Vec::new();
    for process_type in release.processes.keys() {
        let quantity = scale.quantity(process_type);
        if quantity > 0 {
            run.header(format!("Starting {process_type} (count={quantity})"))
                .await;
        }
        keys.extend((1..=quantity).map(|index| ProcessKey {
            app: run.app.name.clone(),
            release: release.version,
            process_type: process_type.clone(),
            index,
        }));
    }
    deployer.reconciler.wake();
    try_join_all(keys.iter().map(|key| {
        let process_type = &key.process_type;
        let takes_requests = process_type.is_web() || routed.contains(process_type);
        check_wanted(deployer, run, &release, key, takes_requests)
    }))
    .await?;
    Ok(Healthy { release })
}

/// Checks a process for as long as it is wanted: the app may be scaled down or stopped meanwhile, which ends the process, or
/// leaves it unmade, and says nothing about the release.
async fn check_wanted(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    key: &ProcessKey,
    takes_requests: bool,
) -> Result<(), Problem> {
    let checked = tokio::select! {
        checked = check_process(deployer, run, release, key, takes_requests) => Some(checked),
        () = unwanted(deployer, key) => None,
    };
    match checked {
        Some(Ok(())) => Ok(()),
        Some(Err(problem)) if is_wanted(deployer, key).await => Err(problem),
        Some(Err(_)) | None => {
            run.line(format!("{} is no longer wanted", name(key))).await;
            Ok(())
        }
    }
}

/// Resolves once a process is no longer wanted.
async fn unwanted(deployer: &Deployer, key: &ProcessKey) {
    let mut changes = deployer.store.desired_changes();
    while is_wanted(deployer, key).await {
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn is_wanted(deployer: &Deployer, key: &ProcessKey) -> bool {
    let Ok(desired) = deployer.store.desired().await else {
        // It fails elsewhere, and says so.
        return true;
    };
    let app = desired.apps.iter().find(|app| app.name == key.app);
    let quantities = app.and_then(|app| {
        let mut releases = desired.releases.iter();
        let release =
            releases.find(|release| release.app == app.id && release.version == key.release)?;
        Some(wanted_quantities(&desired, app, release))
    });
    quantities
        .into_iter()
        .flatten()
        .any(|(process_type, quantity)| process_type == key.process_type && key.index <= quantity)
}

async fn check_process(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    key: &ProcessKey,
    takes_requests: bool,
) -> Result<(), Problem> {
    let process = started(deployer, run, key).await?;
    let default = default_check(deployer, takes_requests);
    let declared = release
        .checks
        .get(&key.process_type)
        .filter(|checks| !checks.is_empty());
    let mut checks: Vec<&Check> = declared
        .map(|checks| checks.iter().collect())
        .unwrap_or_default();
    let is_listening_declared = checks
        .iter()
        .any(|check| matches!(check.kind, CheckKind::Listening));
    if checks.is_empty() || (takes_requests && !is_listening_declared) {
        checks.insert(0, &default);
    }
    for check in checks {
        tokio::select! {
            passed = pass(deployer, run, release, key, &process, check) => passed?,
            problem = ended(deployer, run, key) => return Err(problem),
        }
    }
    let name = name(key);
    let text = if takes_requests {
        format!("{name} is ready on port {}", release.port)
    } else {
        format!("{name} is running")
    };
    run.line(text).await;
    Ok(())
}

/// A process that takes requests must listen, any other stay up.
fn default_check(deployer: &Deployer, takes_requests: bool) -> Check {
    let policy = deployer.settings.checks;
    if takes_requests {
        Check::listening(policy.listen_within)
    } else {
        Check::uptime(policy.uptime)
    }
}

fn name(key: &ProcessKey) -> String {
    format!("{}.{}", key.process_type, key.index)
}

fn find<'a>(view: &'a View, key: &ProcessKey) -> Option<&'a Process> {
    view.processes
        .iter()
        .find(|process| ProcessKey::of(process) == *key)
}

/// Waits until the process runs, or its start was refused.
async fn started(deployer: &Deployer, run: &Run, key: &ProcessKey) -> Result<Process, Problem> {
    // Not what was seen before: Docker may have been away then.
    let seen = deployer
        .reconciler
        .wait_for(|view| {
            let is_there =
                || find(view, key).is_some_and(|process| process.state != ProcessState::Created);
            view.lasting_problem().is_some()
                || view.engine_problem.is_none() && (view.refusals.contains_key(key) || is_there())
        })
        .await
        .ok_or_else(super::run::lost)?;
    if let Some(why) = seen.lasting_problem() {
        return Err(Problem::new(
            Kind::Unavailable,
            format!(
                "{} was not deployed: {} could not be started",
                run.app.name,
                name(key)
            ),
            why,
            "see that Docker runs on the server, then push again; what served before still serves",
        ));
    }
    if let Some(refusal) = seen.refusals.get(key) {
        return Err(Problem::new(
            Kind::AppFailed,
            format!(
                "{} was not deployed: {} could not be started",
                run.app.name,
                name(key)
            ),
            refusal.why.clone(),
            "check the command in the Procfile or Dockerfile, commit, and push again",
        ));
    }
    find(&seen, key).cloned().ok_or_else(super::run::lost)
}

/// Resolves when the process has ended, with the problem that this is.
async fn ended(deployer: &Deployer, run: &Run, key: &ProcessKey) -> Problem {
    let mut view = deployer.reconciler.view();
    let seen = view
        .wait_for(|view| match find(view, key).map(|process| &process.state) {
            Some(ProcessState::Exited { .. } | ProcessState::Dead) => true,
            Some(ProcessState::Running | ProcessState::Created) | None => false,
        })
        .await
        .map(|view| view.clone());
    let Some(process) = seen.ok().and_then(|view| find(&view, key).cloned()) else {
        return super::run::lost();
    };
    show_log(deployer, run, &process).await;
    let why = match process.state {
        ProcessState::Exited {
            is_out_of_memory: true,
            ..
        } => match deployer.settings.limits.memory_bytes {
            Some(limit) => format!(
                "the kernel ended it: it needed more memory than its limit, {}",
                size_in_words(limit)
            ),
            None => "the kernel ended it: the machine has no more memory".to_owned(),
        },
        ProcessState::Exited { code, .. } => format!("it ended by itself with status {code}"),
        ProcessState::Created | ProcessState::Running | ProcessState::Dead => {
            "its container is being removed".to_owned()
        }
    };
    Problem::new(
        Kind::AppFailed,
        format!(
            "{} was not deployed: {} did not stay up",
            run.app.name,
            name(key)
        ),
        why,
        "its last lines are above; correct it, commit, and push again",
    )
}

async fn pass(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    key: &ProcessKey,
    process: &Process,
    check: &Check,
) -> Result<(), Problem> {
    tokio::time::sleep(check.initial_delay).await;
    match &check.kind {
        CheckKind::Uptime { duration } => {
            tokio::time::sleep(*duration).await;
            Ok(())
        }
        CheckKind::Listening => listening(deployer, run, release, key, process, whole(check)).await,
        CheckKind::Http {
            path,
            content,
            host,
        } => {
            let address = process.address.ok_or_else(super::run::lost)?;
            // The name it answers at whatever domains it is given.
            let exposure = Exposure {
                global: deployer.store.global_domains().await?,
                ..Exposure::default()
            };
            let hosts = deployer.reconciler.host_names(&run.app.name, &exposure);
            let host = host
                .clone()
                .or_else(|| hosts.first().map(ToString::to_string));
            let expectation = Expectation {
                address: SocketAddr::new(address, release.port),
                host: host.unwrap_or_else(|| "localhost".to_owned()),
                path: path.clone(),
                content: content.clone(),
            };
            let mut failure = String::new();
            for attempt in 1..=check.attempts {
                match tokio::time::timeout(check.timeout, get(&expectation)).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(why)) => failure = why,
                    Err(_) => {
                        failure = format!("no answer within {} s", check.timeout.as_secs_f32());
                    }
                }
                run.line(format!(
                    "{}: attempt {attempt}/{} {path}: {failure}",
                    name(key),
                    check.attempts
                ))
                .await;
                if attempt < check.attempts {
                    tokio::time::sleep(check.wait).await;
                }
            }
            show_log(deployer, run, process).await;
            Err(Problem::new(
                Kind::AppFailed,
                format!(
                    "{} was not deployed: {} failed its check",
                    run.app.name,
                    name(key)
                ),
                format!("GET {path}: {failure}"),
                "correct the app or its check in app.json, commit, and push again",
            ))
        }
    }
}

/// How long all attempts of a check take, with the waits between them. Repositories say what they like.
fn whole(check: &Check) -> Duration {
    let waits = check.wait.saturating_mul(check.attempts.saturating_sub(1));
    let attempts = check.timeout.saturating_mul(check.attempts);
    attempts.saturating_add(waits)
}

/// Waits until the process accepts connections on its port; says where it listens instead when it does not.
async fn listening(
    deployer: &Deployer,
    run: &Run,
    release: &Release,
    key: &ProcessKey,
    process: &Process,
    within: Duration,
) -> Result<(), Problem> {
    let mut view = deployer.reconciler.view();
    let ready = view.wait_for(|view| view.ready.contains(&process.id));
    if let Ok(Ok(_)) = tokio::time::timeout(within, ready).await {
        return Ok(());
    }
    let found = deployer
        .engine
        .listening(&process.id)
        .await
        .unwrap_or_default();
    show_log(deployer, run, process).await;
    let port = release.port;
    let why = where_instead(&found, port, within);
    Err(Problem::new(
        Kind::AppFailed,
        format!(
            "{} was not deployed: {} is not listening on $PORT ({port})",
            run.app.name,
            name(key)
        ),
        why,
        format!(
            "make it listen on 0.0.0.0 and the port in the environment variable PORT (now {port}); \
             one that takes longer to start says so in app.json: \
             {{\"healthchecks\": {{\"{}\": [{{\"listening\": true, \"timeout\": 120}}]}}}}",
            key.process_type
        ),
    ))
}

fn where_instead(found: &[SocketAddr], port: u16, within: Duration) -> String {
    // Docker's own resolver listens inside each container of a network, on a loopback address.
    let own: Vec<&SocketAddr> = found
        .iter()
        .filter(|address| address.ip() != std::net::Ipv4Addr::new(127, 0, 0, 11))
        .collect();
    let on_port: Vec<&&SocketAddr> = own
        .iter()
        .filter(|address| address.port() == port)
        .collect();
    if let Some(address) = on_port.first() {
        if address.ip().is_loopback() {
            return format!("it listens on {address}, which only its own container can reach");
        }
        return format!(
            "it listens on {address}, but accepted no connection within {} s",
            within.as_secs()
        );
    }
    if own.is_empty() {
        return format!("it listened on no port within {} s", within.as_secs());
    }
    let mut others: Vec<String> = own.iter().map(|address| address.to_string()).collect();
    others.sort();
    others.dedup();
    format!("it listens on {} instead", others.join(", "))
}

/// Puts the last lines of a process's log into the journal.
async fn show_log(deployer: &Deployer, run: &Run, process: &Process) {
    let name = format!("{}.{}", process.process_type, process.index);
    let query = LogQuery {
        tail: Some(LOG_LINES),
        ..LogQuery::default()
    };
    let Ok(mut lines) = deployer.engine.logs(&process.id, query).await else {
        return;
    };
    run.section(format!(
        "Start of {} container output ({name})",
        run.app.name
    ))
    .await;
    let mut is_silent = true;
    while let Some(Ok(line)) = lines.next().await {
        is_silent = false;
        run.line(line.text).await;
    }
    if is_silent {
        run.line("(it wrote nothing)").await;
    }
    run.section(format!("End of {} container output ({name})", run.app.name))
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `"timeout": 18446744073709551615` in an app.json made the deploy panic.
    #[test]
    fn a_check_may_take_as_long_as_it_says() {
        let mut check = Check::listening(Duration::from_secs(7));
        (check.attempts, check.timeout) = (3, Duration::from_secs(7));
        check.wait = Duration::from_secs(2);
        assert_eq!(whole(&check), Duration::from_secs(25));
        check.timeout = Duration::from_secs(u64::MAX);
        check.wait = Duration::from_secs(u64::MAX);
        assert_eq!(whole(&check), Duration::MAX);
    }

    #[test]
    fn the_reason_names_where_the_app_listens_instead() {
        let check = |found: &[&str], expected: &str| {
            let found: Vec<SocketAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(
                where_instead(&found, 5000, Duration::from_secs(30)),
                expected
            );
        };
        check(&["127.0.0.11:40001"], "it listened on no port within 30 s");
        check(
            &["0.0.0.0:3000", "127.0.0.11:40001"],
            "it listens on 0.0.0.0:3000 instead",
        );
        check(
            &["127.0.0.1:5000"],
            "it listens on 127.0.0.1:5000, which only its own container can reach",
        );
    }
}
