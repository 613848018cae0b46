//! `routes:*`: addresses of an app that lead to processes of another type, or to another app.

mod add;
mod remove;
mod report;

pub use add::Add;
pub use remove::Remove;
pub use report::Report;

use crate::commands::Platform;
use crate::model::{Address, App, Kind, Problem};

/// That the domain of an address, if it names one, is one of the app's.
async fn refuse_foreign_domain(
    platform: &Platform,
    app: &App,
    address: &Address,
) -> Result<(), Problem> {
    let Some(domain) = &address.domain else {
        return Ok(());
    };
    let exposure = platform.store.exposure(app.id).await?;
    let names = platform.reconciler.host_names(&app.name, &exposure);
    if names.contains(domain) || exposure.own.contains(domain) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::NotFound,
        format!("{domain} is not a domain of {}", app.name),
        "",
        format!("Add it first: `domains:add {} {domain}`", app.name),
    ))
}
