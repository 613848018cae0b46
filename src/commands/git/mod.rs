//! `git:*`: what an app is deployed from, where it does not come by a push.

mod archive;
mod from_archive;
mod from_image;
mod given;
mod load_image;

pub use from_archive::FromArchive;
pub use from_image::FromImage;
pub use given::Given;
pub use load_image::LoadImage;
