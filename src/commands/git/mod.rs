//! `git:*`: what an app is deployed from, where it does not come by a push.

mod archive;
mod auth;
mod from_archive;
mod from_image;
mod given;
mod load_image;
mod sync;

pub use auth::Auth;
pub use from_archive::FromArchive;
pub use from_image::FromImage;
pub use given::Given;
pub use load_image::LoadImage;
pub use sync::Sync;
