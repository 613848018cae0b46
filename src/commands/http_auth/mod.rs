//! `http-auth:*`: an app that asks its visitors for a password.

mod add_user;
mod off;
mod on;
mod remove_user;
mod report;

pub use add_user::AddUser;
pub use off::Off;
pub use on::On;
pub use remove_user::RemoveUser;
pub use report::Report;
