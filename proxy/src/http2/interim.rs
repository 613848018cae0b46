//! Interim answers of one stream (RFC 9110 section 15.2), from whoever has them to the task that writes the stream.

use super::piece::Piece;
use h2::server::SendResponse;
use http::{Response, StatusCode};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// What is to be told before the answer.
#[derive(Debug, Default)]
pub(crate) struct Interims {
    /// The body is asked for.
    may_go_on: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Interims {
    pub(super) fn new() -> Rc<Interims> {
        Rc::default()
    }

    /// Tells the client that its body is wanted.
    pub(super) fn go_on(&self) {
        self.may_go_on.set(true);
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Writes what there is; wakes the task when there is more. Not for a stream that has been reset.
    pub(super) fn write(&self, respond: &mut SendResponse<Piece>, cx: &Context<'_>) {
        self.task.replace(Some(cx.waker().clone()));
        if self.may_go_on.take() {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // The stream has been reset meanwhile, which is seen where the answer is waited for.
            let _ = respond.send_informational(go_on);
        }
    }
}
