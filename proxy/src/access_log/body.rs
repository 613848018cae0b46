//! An answer's body with the record of its request, which ends with it.

use super::batch::Cut;
use super::entry::Entry;
use crate::body::{BodyError, ResponseBody};
use crate::upstream::Lines;
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// An answer's body on its way to a client, counted for the record of its request.
#[derive(Debug)]
pub(crate) struct Logged {
    body: ResponseBody,
    entry: Entry,
    lines: Option<Lines>,
    /// Why it goes no further, until that is said.
    broken: Option<BodyError>,
}

impl Logged {
    /// Puts an answer's status and, as it passes, its body on record.
    pub(crate) fn answer(response: Response<ResponseBody>, mut entry: Entry) -> Response<Logged> {
        entry.answered(response.status());
        response.map(|body| {
            if body.is_end_stream() || entry.has_no_answer_body() {
                entry.finish();
            }
            Logged {
                body,
                entry,
                lines: None,
                broken: None,
            }
        })
    }

    /// The same of an answer whose fields are not in its map.
    pub(crate) fn with_lines(self, lines: Option<Lines>) -> Logged {
        Logged { lines, ..self }
    }

    /// The fields of the answer, if they are not in its map.
    pub(crate) fn take_lines(&mut self) -> Option<Lines> {
        self.lines.take()
    }
}

impl Body for Logged {
    type Data = Bytes;
    type Error = <ResponseBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Logged {
            body,
            entry,
            broken,
            ..
        } = &mut *self;
        if let Some(error) = broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                entry.sent(frame.data_ref().map_or(0, Bytes::len));
                if body.is_end_stream() {
                    entry.finish();
                }
            }
            Some(Err(_)) => entry.cut(Cut::Upstream),
            None => entry.finish(),
        }
        if let Some(Err(error)) = frame {
            // Told a turn later: what came before it is written by then, and a stream that is reset would lose it.
            *broken = Some(error);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
