//! Several apps at once: `--all --parallel 4`.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::commands::each::{Act, Failed};
use crate::commands::progress::left;
use crate::commands::{Dialog, Platform};
use crate::engine::Stream;
use crate::model::{App, Problem};

/// Most at once: beyond that each only waits for the others.
const MOST: i64 = 64;

/// How many apps at once: one after the other unless it is said. Dokku has -1 for as many as there are processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub struct Parallel(i64);

impl Parallel {
    /// At least one.
    pub(super) fn number(self) -> usize {
        match usize::try_from(self.0) {
            Ok(number) => number.max(1),
            Err(_) => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    }
}

impl Default for Parallel {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<i64> for Parallel {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match number {
            -1 | 1..=MOST => Ok(Self(number)),
            _ => Err(format!(
                "How many at once is a number from 1 to {MOST}, or -1 for as many as there are processors"
            )),
        }
    }
}

impl FromStr for Parallel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is no number is none of them, and is told the same.
        text.parse().unwrap_or(0).try_into()
    }
}

impl From<Parallel> for i64 {
    fn from(parallel: Parallel) -> i64 {
        parallel.0
    }
}

impl fmt::Display for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What came of one app.
struct Acted {
    app: App,
    said: Vec<(Stream, Bytes)>,
    result: Result<(), Problem>,
}

/// Acts on each of `apps` that is deployed, `number` at once. What each says is said in one piece when it is done, so that the
/// lines of several do not mix. One that fails keeps no other from it.
pub(super) async fn each<A: Act<Done = ()>>(
    act: &A,
    number: usize,
    apps: Vec<App>,
    platform: &Platform,
    dialog: &mut Dialog,
) -> Result<(), Problem> {
    let mut waiting = apps.into_iter().filter(|app| app.current.is_some());
    let mut going = FuturesUnordered::new();
    let mut failed = Failed::default();
    loop {
        while going.len() < number
            && let Some(app) = waiting.next()
        {
            let (aside, said) = dialog.aside();
            going.push(one(act, platform, app, aside, said));
        }
        let acted = tokio::select! {
            acted = going.next() => acted,
            // Without one who waits, all that are left would be begun at once.
            () = dialog.gone() => return Err(left()),
        };
        let Some(Acted { app, said, result }) = acted else {
            return failed.told(act);
        };
        for (stream, bytes) in said {
            dialog.write(stream, String::from_utf8_lossy(&bytes)).await;
        }
        if let Err(problem) = result {
            failed.note(&app, &problem, dialog).await;
        }
    }
}

async fn one<A: Act<Done = ()>>(
    act: &A,
    platform: &Platform,
    app: App,
    mut aside: Dialog,
    mut said: mpsc::Receiver<(Stream, Bytes)>,
) -> Acted {
    let acting = async {
        let result = act.act(platform, &app, &mut aside).await;
        // The end of what it says.
        drop(aside);
        result
    };
    let hearing = async {
        let mut all = Vec::new();
        while let Some(piece) = said.recv().await {
            all.push(piece);
        }
        all
    };
    let (result, said) = tokio::join!(acting, hearing);
    Acted { app, said, result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_at_once_as_dokku_takes() {
        let number = |text: &str| text.parse().map(Parallel::number);
        assert_eq!(number("1"), Ok(1));
        assert_eq!(number("4"), Ok(4));
        assert!(number("-1").is_ok_and(|number| number >= 1));
        for wrong in ["0", "-2", "65", "x", "", "1.5"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Parallel::default().number(), 1);
    }
}
