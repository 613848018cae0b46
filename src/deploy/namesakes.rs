//! Processes of an app that had the same name before. It was renamed or destroyed, may still finish requests, and its numbers began
//! with 1 as well: what is left of it would be taken for processes of a new release.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::run::{Run, lost};
use super::{Deployer, problem};
use crate::engine::Process;
use crate::model::{AppName, Kind, Problem, ReleaseVersion};
use crate::reconcile::View;

/// How long the engine may take with one that has not ended in its time.
const KILLED_WITHIN: Duration = Duration::from_secs(30);

/// Waits until nothing runs any more under the number that a release gets.
///
/// # Errors
/// `Busy` if something still does once it has had all the time that it is given to finish requests and to end.
pub(super) async fn gone(
    deployer: &Deployer,
    run: &Run,
    version: ReleaseVersion,
) -> Result<(), Problem> {
    let app = &run.app.name;
    let mut view = deployer.reconciler.view();
    if left(&view.borrow(), app, version).is_none() {
        return Ok(());
    }
    run.header("Waiting for an app that had this name before to finish its requests")
        .await;
    // What the reconciler gives to a process of this name: the settings of the app that has it now count.
    let settings = deployer.store.process_settings(run.app.id).await?;
    let rules = deployer.reconciler.rules();
    let grace = settings.stop_grace().unwrap_or(rules.stop_grace);
    gone_within(&mut view, app, version, rules.drain + grace + KILLED_WITHIN).await
}

async fn gone_within(
    view: &mut watch::Receiver<Arc<View>>,
    app: &AppName,
    version: ReleaseVersion,
    limit: Duration,
) -> Result<(), Problem> {
    let gone = view.wait_for(|view| left(view, app, version).is_none());
    match tokio::time::timeout(limit, gone).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(_)) => return Err(lost()),
        Err(_) => {}
    }
    let view = view.borrow();
    let Some(process) = left(&view, app, version) else {
        return Ok(());
    };
    let name = format!("{}.{}", process.process_type, process.index);
    let id = process.id.short();
    let why = match view.stuck.get(&process.id) {
        Some(stuck) => format!(
            "its {name} (container {id}) could not be {}: {}",
            stuck.change, stuck.why
        ),
        None => format!(
            "its {name} (container {id}) has not ended within {}",
            problem::in_words(limit)
        ),
    };
    Err(Problem::new(
        Kind::Busy,
        format!("{app} was not deployed: an app that had this name before still runs"),
        why,
        format!("end it with `docker rm --force {id}` on the server, then deploy again"),
    ))
}

/// A process that would be taken for one of the release.
fn left<'a>(view: &'a View, app: &AppName, version: ReleaseVersion) -> Option<&'a Process> {
    let mut processes = view.processes.iter();
    processes.find(|process| process.app == *app && process.release == version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ProcessId, ProcessState};
    use crate::model::ProcessType;
    use crate::reconcile::Stuck;

    fn view() -> View {
        let process = Process {
            id: ProcessId("0123456789abcdef".to_owned()),
            app: "shop".parse().unwrap(),
            release: ReleaseVersion(1),
            process_type: ProcessType::web(),
            index: 1,
            state: ProcessState::Running,
            address: None,
            started_at: None,
        };
        View {
            processes: vec![process],
            ..View::default()
        }
    }

    /// A deploy waited without an end for a process that Docker could not end.
    #[tokio::test(start_paused = true)]
    async fn a_namesake_that_does_not_end_is_waited_for_as_long_as_it_is_given() {
        let app: AppName = "shop".parse().unwrap();
        let (sender, mut view_of) = watch::channel(Arc::new(view()));
        let limit = Duration::from_secs(120);
        let mut waited = async |version| {
            let version = ReleaseVersion(version);
            gone_within(&mut view_of, &app, version, limit).await
        };
        assert_eq!(waited(2).await, Ok(()));
        let problem = waited(1).await.unwrap_err();
        assert!(problem.why.contains("web.1"), "{problem}");
        assert!(problem.why.contains("within 2 min"), "{problem}");
        assert!(problem.next.contains("docker rm --force 0123456789ab"));
        let mut stuck = view();
        let why = Stuck {
            change: "stopped",
            why: "it is a zombie".to_owned(),
            is_left_over: true,
        };
        stuck.stuck.insert(stuck.processes[0].id.clone(), why);
        sender.send_replace(Arc::new(stuck));
        let problem = waited(1).await.unwrap_err();
        assert!(
            problem.why.contains("not be stopped: it is a zombie"),
            "{problem}"
        );
        let (ended, ()) = tokio::join!(waited(1), async {
            sender.send_replace(Arc::default());
        });
        assert_eq!(ended, Ok(()));
    }
}
