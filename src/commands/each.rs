//! What is done to every app that is deployed, one after the other.

use super::progress::left;
use super::{Dialog, Platform};
use crate::model::{App, AppName, Kind, Problem};

/// What is done to an app.
pub(super) trait Act: Sync {
    /// What comes of it.
    type Done: Send;

    /// Does it to one that is deployed, or refuses one that is not.
    fn act(
        &self,
        platform: &Platform,
        app: &App,
        dialog: &mut Dialog,
    ) -> impl Future<Output = Result<Self::Done, Problem>> + Send;

    /// The problem where it has failed for these, each of which has said why.
    fn failed_for(&self, apps: String) -> Problem {
        Problem::new(
            Kind::AppFailed,
            format!("It failed for {apps}"),
            "what each said is above; all others are done",
            "`ps:report APP` and `logs APP` say more",
        )
    }
}

/// The apps for which it has failed.
#[derive(Default)]
pub(super) struct Failed(Vec<String>);

impl Failed {
    /// Says why it has failed for one.
    pub(super) async fn note(&mut self, app: &App, problem: &Problem, dialog: &Dialog) {
        dialog.warning(format!("{}: {problem}", app.name)).await;
        self.0.push(app.name.to_string());
    }

    /// The end of it all.
    pub(super) fn told(self, act: &impl Act) -> Result<(), Problem> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(act.failed_for(self.0.join(", "))),
        }
    }
}

/// Acts on each of `apps` that is deployed, in turn. One that fails keeps no other from it.
pub(super) async fn each<A: Act>(
    act: &A,
    apps: Vec<App>,
    platform: &Platform,
    dialog: &mut Dialog,
) -> Result<Vec<(AppName, A::Done)>, Problem> {
    let mut done = Vec::new();
    let mut failed = Failed::default();
    for app in apps {
        if app.current.is_none() {
            continue;
        }
        match act.act(platform, &app, dialog).await {
            Ok(result) => done.push((app.name, result)),
            Err(problem) => failed.note(&app, &problem, dialog).await,
        }
        // Without one who waits, all that are left would be begun at once.
        if dialog.is_gone() {
            return Err(left());
        }
    }
    failed.told(act)?;
    Ok(done)
}
