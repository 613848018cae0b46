//! Events as the lines of a terminal, in Dokku's shape.

use super::{Event, EventBody};

/// The line, or lines, an event is shown as, without the last line's end; `None` for those that are not shown.
pub fn render(event: &Event) -> Option<String> {
    match &event.body {
        EventBody::Header { text } => Some(format!("-----> {text}")),
        EventBody::Section { text } => Some(format!("=====> {text}")),
        EventBody::Line { text } => Some(format!("       {text}")),
        EventBody::Warning { text } => Some(format!(" !     {text}")),
        EventBody::Failed { problem } => {
            let mut text = problem.to_terminal();
            text.truncate(text.trim_end_matches('\n').len());
            Some(text)
        }
        EventBody::StepStarted { .. } | EventBody::StepFinished { .. } | EventBody::Done => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Subject;
    use crate::model::{DeployId, Kind, Problem, Step, Timestamp};

    fn check(body: EventBody, expected: Option<&str>) {
        let event = Event {
            subject: Subject::Deploy(DeployId::new(Timestamp::UNIX_EPOCH, 1)),
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            body,
        };
        assert_eq!(render(&event).as_deref(), expected);
    }

    #[test]
    fn each_body_has_dokkus_prefix_or_none() {
        let text = || "Building shop".to_owned();
        check(
            EventBody::Header { text: text() },
            Some("-----> Building shop"),
        );
        check(
            EventBody::Section { text: text() },
            Some("=====> Building shop"),
        );
        check(
            EventBody::Line { text: text() },
            Some("       Building shop"),
        );
        check(
            EventBody::Warning { text: text() },
            Some(" !     Building shop"),
        );
        check(EventBody::StepStarted { step: Step::Build }, None);
        check(
            EventBody::StepFinished {
                step: Step::Build,
                duration_ms: 5,
            },
            None,
        );
        check(EventBody::Done, None);
    }

    #[test]
    fn a_failure_is_its_problem_without_the_last_line_end() {
        let problem = Problem::new(
            Kind::AppFailed,
            "shop was not deployed",
            "no `web`",
            "add one",
        );
        check(
            EventBody::Failed { problem },
            Some(" !     shop was not deployed\n !     why:  no `web`\n !     next: add one"),
        );
    }
}
