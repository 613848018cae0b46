//! `backup:*`

mod create;
mod inside;
mod passphrase;
pub(in crate::commands) mod report;
mod schedule;

pub use create::Create;
pub use inside::{PutBack, Whole};
pub use passphrase::checked as checked_passphrase;
pub use passphrase::read_file as read_passphrase_file;
pub use report::{KeptAt, List, Report, Run};
pub use schedule::{Schedule, Unschedule};
