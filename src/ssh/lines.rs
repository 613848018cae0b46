//! Events as the lines a pusher sees.

use crate::events::{Event, EventBody};

/// The text of an event, one or more lines without the last line's end; `None` for what is not shown.
pub(super) fn of(event: &Event) -> Option<String> {
    match &event.body {
        EventBody::Header { text } => Some(format!("-----> {text}")),
        EventBody::Section { text } => Some(format!("=====> {text}")),
        EventBody::Line { text } => Some(format!("       {text}")),
        EventBody::Warning { text } => Some(format!(" !     {text}")),
        EventBody::Failed { problem } => Some(problem.to_terminal()),
        EventBody::StepStarted { .. } | EventBody::StepFinished { .. } | EventBody::Done => None,
    }
}
