//! `certs:*`: certificates that an app's owner brings along, has made for a trial, or that mini orders.

mod add;
mod archive;
mod auto;
mod auto_global;
mod generate;
mod hosts;
mod installed;
mod remove;
mod renew;
mod report;
mod show;

pub use add::Add;
pub use auto::Auto;
pub use auto_global::AutoGlobal;
pub use generate::Generate;
pub(in crate::commands) use hosts::{Host, State, hosts};
pub use installed::Installed;
pub use remove::Remove;
pub use renew::Renew;
pub use report::Report;
pub use show::Show;

use std::sync::Arc;
use std::time::SystemTime;

use mini_proxy::Certificate;

use super::Platform;
use crate::model::{App, AppCertificate, AppName, Kind, Problem, Secret, Timestamp};
use crate::reconcile::preference;

/// A certificate of an app as it is now.
struct Kept {
    row: AppCertificate,
    /// What it says, or why it cannot be served.
    read: Result<Arc<Certificate>, String>,
    /// The private key, where it opens.
    key: Option<Secret>,
}

/// The certificates of an app, the one that is preferred first.
async fn kept(platform: &Platform, app: &App) -> Result<Vec<Kept>, Problem> {
    let rows = platform.store.certificates(app.id).await?;
    read(platform, rows).await
}

/// The certificates that may be shown for an app: its own and those of the server, the one that is preferred first.
async fn usable(platform: &Platform, app: &App) -> Result<Vec<Kept>, Problem> {
    let mut rows = platform.store.certificates(app.id).await?;
    rows.extend(platform.store.server_certificates().await?);
    read(platform, rows).await
}

async fn read(platform: &Platform, rows: Vec<AppCertificate>) -> Result<Vec<Kept>, Problem> {
    let ids = rows.iter().map(|row| row.id).collect();
    let mut pems = platform.store.certificate_pems(ids).await?;
    let mut kept: Vec<Kept> = rows
        .into_iter()
        .map(|row| {
            let found = pems.iter().position(|(id, _)| *id == row.id);
            let (read, key) = match found.map(|at| pems.swap_remove(at).1) {
                Some(Ok(pem)) => {
                    let read =
                        Certificate::from_pem(pem.chain.as_bytes(), pem.key.reveal().as_bytes());
                    let read = read.map(Arc::new).map_err(|error| error.to_string());
                    (read, Some(pem.key))
                }
                Some(Err(error)) => (Err(error.to_string()), None),
                None => (Err("it was removed just now".to_owned()), None),
            };
            Kept { row, read, key }
        })
        .collect();
    kept.sort_by_key(|kept| preference(kept.row.origin, kept.read.as_deref().ok()));
    Ok(kept)
}

/// The preferred one of an app's certificates.
async fn first(platform: &Platform, app: &App) -> Result<Kept, Problem> {
    let mut kept = kept(platform, app).await?;
    if kept.is_empty() {
        return Err(none(&app.name));
    }
    Ok(kept.swap_remove(0))
}

fn none(app: &AppName) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("{app} has no certificate"),
        "",
        format!("Add one: `tar c server.crt server.key | ssh mini certs:add {app}`"),
    )
}

/// A moment of a certificate; one beyond our calendar is its end.
fn moment(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}
