//! What a command is: its arguments are its fields, its help page is its doc comment, and this is the rest.

use std::future::Future;

use serde::Serialize;

use super::{Authorized, Dialog, Page, Platform};
use crate::model::{Permission, Problem};

/// One user intention.
pub trait Command: Send + Sized {
    /// What it answers.
    type Output: Output;

    /// What the caller must be allowed. The check loads the app that is named here.
    fn permission(&self) -> Permission;

    /// What the caller must be allowed besides, where it is about a second app too: [`Authorized::further_app`].
    fn further_permission(&self) -> Option<Permission> {
        None
    }

    /// Why it cannot be answered by one HTTP request and one JSON value: it needs a terminal, a stream of input, or it
    /// goes on until the reader leaves. `None` where one answer is enough.
    fn needs_stream(&self) -> Option<&'static str> {
        None
    }

    /// Does it. Lines that should be seen while it works go to `dialog`; the answer is what it returns.
    fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> impl Future<Output = Result<Self::Output, Problem>> + Send;
}

/// The answer of a command: a value that is JSON as it is and knows its text form.
pub trait Output: Serialize + Send {
    /// Writes the text form.
    fn print(&self, page: &mut Page);

    /// The exit status; not zero where the answer itself is "no" (`apps:exists`, `doctor`) or is another's (`run`).
    fn exit_code(&self) -> u8 {
        0
    }
}

/// The answer of commands that have said all while they worked.
#[derive(Debug, Serialize)]
pub struct Done {
    /// Always true; a failure is a problem instead.
    ok: bool,
}

impl Done {
    /// The only value.
    pub(super) fn new() -> Self {
        Self { ok: true }
    }
}

impl Output for Done {
    fn print(&self, _page: &mut Page) {}
}
