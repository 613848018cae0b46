//! `git:*`: what an app is deployed from, where it does not come by a push.

mod allow_host;
mod archive;
mod auth;
mod auth_status;
mod deploy_key;
mod from_archive;
mod from_image;
mod given;
mod load_image;
mod report;
mod sync;

pub use allow_host::AllowHost;
pub use auth::Auth;
pub use auth_status::AuthStatus;
pub use deploy_key::{GenerateDeployKey, PublicKey};
pub use from_archive::FromArchive;
pub use from_image::FromImage;
pub use given::Given;
pub use load_image::LoadImage;
pub use report::Report;
pub use sync::Sync;
