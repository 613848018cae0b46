//! `apps:*`: apps themselves.

mod create;
mod destroy;
mod exists;
mod list;
mod rename;
mod report;

pub use create::Create;
pub use destroy::Destroy;
pub use exists::Exists;
pub use list::List;
pub use rename::Rename;
pub use report::Report;
