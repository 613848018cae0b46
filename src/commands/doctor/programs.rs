//! Docker and git.

use super::{Finding, Status};
use crate::engine::ContainerEngine;
use crate::git::{OLDEST_GIT, Repositories};

/// Oldest API that has what we use (DECISIONS.md, Containers).
const DOCKER_API: (u64, u64) = (1, 41);

/// Whether Docker answers and is new enough.
pub(super) async fn docker(engine: &dyn ContainerEngine) -> Finding {
    const CHECK: &str = "docker";
    match engine.version().await {
        Err(error) => Finding::new(
            CHECK,
            Status::Failed,
            error.to_string(),
            "start it with `systemctl start docker`, and let the user of mini use its socket (`usermod -aG docker mini`)",
        ),
        Ok(version) => {
            let found = format!("{} {}, API {}", version.name, version.version, version.api);
            match numbers(&version.api) {
                Some(api) if api < DOCKER_API => Finding::new(
                    CHECK,
                    Status::Failed,
                    found,
                    format!(
                        "install a Docker with API {}.{} or later",
                        DOCKER_API.0, DOCKER_API.1
                    ),
                ),
                Some(_) | None => Finding::ok(CHECK, found),
            }
        }
    }
}

/// Whether git is there and new enough.
pub(super) async fn git() -> Finding {
    const CHECK: &str = "git";
    match Repositories::version().await {
        // It is not there, or too old.
        Err(error) => Finding::new(
            CHECK,
            Status::Failed,
            error.to_string(),
            format!("install git {}.{} or later", OLDEST_GIT.0, OLDEST_GIT.1),
        ),
        Ok(version) => Finding::ok(CHECK, version),
    }
}

/// The first two numbers of a version, wherever it begins: `git version 2.47.1` -> (2, 47).
fn numbers(text: &str) -> Option<(u64, u64)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text.get(start..)?.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(numbers("git version 2.47.1"), Some((2, 47)));
        assert_eq!(numbers("1.41"), Some((1, 41)));
        assert_eq!(numbers("2.9.0 (Apple)"), Some((2, 9)));
        assert_eq!(numbers("none"), None);
        assert!((1, 9) < DOCKER_API && (1, 41) >= DOCKER_API);
    }
}
