//! `docker-options:*`: of Dokku's options for the docker client, those that mean something here: arguments and secrets of builds.

mod add;
mod clear;
mod option;
mod remove;
mod report;

pub use add::Add;
pub use clear::Clear;
pub use remove::Remove;
pub use report::Report;
