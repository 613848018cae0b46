//! How long the engine has not answered: Docker is restarted now and then, and nothing fails by that.

use std::time::Duration;

use tokio::time::Instant;

/// For how long the engine is asked again before anything fails because it does not answer: a restart of Docker with its
/// containers takes some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the engine could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineProblem {
    /// What it, or the way to it, said.
    pub why: String,
    /// Whether it has been so for longer than a restart takes: until then it is only asked again.
    pub is_lasting: bool,
}

/// Since when the engine has not answered.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
}

impl Outage {
    /// Takes note that it did not answer what it was asked at that moment.
    pub(super) fn note(&mut self, asked_at: Instant, why: String) -> EngineProblem {
        let since = *self.since.get_or_insert(asked_at);
        EngineProblem {
            why,
            is_lasting: since.elapsed() >= PATIENCE,
        }
    }

    /// Takes note that it did.
    pub(super) fn end(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_does_not_answer_for_a_moment_is_asked_again() {
        let mut outage = Outage::default();
        let note = async |outage: &mut Outage, after: Duration| {
            tokio::time::advance(after).await;
            outage.note(Instant::now(), "refused".to_owned()).is_lasting
        };
        let second = Duration::from_secs(1);
        assert!(!note(&mut outage, second).await);
        assert!(!note(&mut outage, PATIENCE - second).await);
        assert!(note(&mut outage, second).await);
        outage.end();
        assert!(!note(&mut outage, PATIENCE).await);
        // One that accepts and says nothing has had its time when that is known.
        outage.end();
        let asked_at = Instant::now();
        tokio::time::advance(PATIENCE).await;
        assert!(outage.note(asked_at, "silent".to_owned()).is_lasting);
    }
}
