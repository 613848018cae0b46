//! What Docker's refusals mean. Docker says it in prose, so this reads prose; every sentence it looks for was seen from
//! 20.10 or is in the source of later ones, and what is not recognised becomes `Refused` with the text as it is.

use bollard::errors::Error;

use crate::engine::EngineError;

/// What a call was about, for the variant and the text of its failure.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    /// An image that has to be there.
    Image(&'a str),
    /// A container that has to be there.
    Container(&'a str),
    /// The creation or the start of a container from an image.
    Start(&'a str),
    /// The session of a build.
    Session,
    /// Something else.
    Call,
}

/// Turns bollard's error into ours.
pub(super) fn translate(socket: &str, error: Error, about: About<'_>) -> EngineError {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => refusal(status_code, message, about),
        Error::DockerStreamError { error } => refusal(500, error, about),
        Error::DockerContainerWaitError { error, code } => {
            refusal(500, format!("{error} (exit status {code})"), about)
        }
        error @ (Error::JsonDataError { .. }
        | Error::JsonSerdeError { .. }
        | Error::URLParseError { .. }
        | Error::URLEncodedError { .. }
        | Error::InvalidURIError { .. }
        | Error::InvalidURIPartsError { .. }) => EngineError::Refused {
            said: error.to_string(),
        },
        // Sockets, time limits and connections that end in the middle of an answer.
        error => unavailable(socket, error),
    }
}

/// The error for a socket at which nobody answers.
pub(super) fn unavailable(
    socket: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> EngineError {
    EngineError::Unavailable {
        socket: socket.to_owned(),
        source: source.into(),
    }
}

/// Whether the answer was that the thing does not exist.
pub(super) fn is_not_found(error: &Error) -> bool {
    has_status(error, 404)
}

/// Whether the answer was that the thing is in use, exists already, or is on its way out.
pub(super) fn is_conflict(error: &Error) -> bool {
    has_status(error, 409)
}

/// Whether a start failed because the network of the container is gone.
pub(super) fn is_network_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. }
        if message.contains("network") && message.contains("not found"))
}

fn has_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// Reads the sentence of a refusal.
pub(super) fn refusal(status: u16, message: String, about: About<'_>) -> EngineError {
    let said = plain(&message);
    if message.contains("no space left on device") {
        return EngineError::DiskFull { said };
    }
    match (status, about) {
        (404, About::Image(image)) => EngineError::ImageMissing {
            image: image.to_owned(),
            said,
        },
        (404, About::Start(image)) if message.contains("No such image") => {
            EngineError::ImageMissing {
                image: image.to_owned(),
                said,
            }
        }
        (404, About::Container(container)) => EngineError::Gone {
            what: format!("the container {container}"),
        },
        (404, About::Session) => EngineError::Gone {
            what: "the session of builds".to_owned(),
        },
        // 409 at a start is another's doing (the container is being removed), not the command's.
        (409, About::Start(_)) => EngineError::Refused { said },
        (_, About::Start(_)) => EngineError::CannotStart { said },
        (_, About::Image(_) | About::Container(_) | About::Session | About::Call) => {
            EngineError::Refused { said }
        }
    }
}

/// Docker's sentence without the layers it passed through.
pub(super) fn plain(message: &str) -> String {
    let mut text = message.trim();
    // runc's reason comes last, after "starting container process caused:" (1.0 and 1.1) or "runc create failed:".
    for layer in [
        "starting container process caused: ",
        "starting container process caused \"",
        "runc create failed: ",
        "OCI runtime create failed: ",
        "Error response from daemon: ",
    ] {
        if let Some((_, rest)) = text.split_once(layer) {
            text = rest;
        }
    }
    // The builder's own layers, which stack: cut them from the front as long as there are any.
    'layers: loop {
        for layer in [
            "failed to solve with frontend dockerfile.v0: ",
            "failed to solve with frontend gateway.v0: ",
            "failed to solve: ",
            "failed to create LLB definition: ",
            "rpc error: code = Unknown desc = ",
        ] {
            if let Some(rest) = text.strip_prefix(layer) {
                text = rest;
                continue 'layers;
            }
        }
        break;
    }
    text.trim_end_matches(": unknown").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, message: &str, about: About<'_>, expected: &str) {
        assert_eq!(
            format!("{:?}", refusal(status, message.into(), about)),
            expected
        );
    }

    #[test]
    fn refusals_become_situations() {
        check(
            400,
            "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": executable file not found in $PATH: unknown",
            About::Start("sha256:1"),
            r#"CannotStart { said: "exec: \"nope\": executable file not found in $PATH" }"#,
        );
        check(
            500,
            "write /var/lib/docker/x: no space left on device",
            About::Call,
            r#"DiskFull { said: "write /var/lib/docker/x: no space left on device" }"#,
        );
        check(
            404,
            "No such image: sha256:1",
            About::Start("sha256:1"),
            r#"ImageMissing { image: "sha256:1", said: "No such image: sha256:1" }"#,
        );
        check(
            404,
            "No such container: 77",
            About::Container("77"),
            r#"Gone { what: "the container 77" }"#,
        );
        check(
            404,
            "Not Found",
            About::Session,
            r#"Gone { what: "the session of builds" }"#,
        );
        check(
            500,
            "something new",
            About::Call,
            r#"Refused { said: "something new" }"#,
        );
    }

    #[test]
    fn the_builders_layers_are_cut() {
        assert_eq!(
            plain(
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: CPOY"
            ),
            "dockerfile parse error line 2: unknown instruction: CPOY"
        );
    }
}
