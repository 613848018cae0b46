//! Processes, their logs and one-off processes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt};

use super::{Bench, within};
use crate::engine::{
    EngineError, LogLine, LogQuery, OneOffSpec, Process, ProcessId, ProcessState, Stream,
};

/// A process is started, seen, stopped, started again and removed; asking twice is fine.
pub async fn process_lives_and_goes(bench: &Bench<'_>) -> Result<()> {
    let engine = bench.engine;
    let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
    let first = engine.start(&group, 1).await?;
    let second = engine.start(&group, 2).await?;
    ensure!(first.id != second.id, "two processes, one id");
    ensure!(
        first.address != second.address,
        "two processes, one address"
    );
    ensure!(first.address.is_some() && first.started_at.is_some());
    ensure!(engine.start(&group, 1).await? == first, "started twice");
    for started in [&first, &second] {
        let seen = bench.find(&started.id).await?;
        ensure!(
            seen.as_ref() == Some(started),
            "{seen:?} is not {started:?}"
        );
    }

    engine.stop(&first.id, Duration::from_secs(5)).await?;
    let stopped = bench.find(&first.id).await?.context("stopped and gone")?;
    ensure!(
        matches!(
            stopped.state,
            ProcessState::Exited {
                code: 143,
                is_out_of_memory: false,
                at: Some(_)
            }
        ),
        "{stopped:?}"
    );
    ensure!(stopped.address.is_none(), "an ended process has an address");
    engine.restart(&first.id).await?;
    let again = bench.find(&first.id).await?.context("restarted and gone")?;
    ensure!(again.state == ProcessState::Running, "{again:?}");
    ensure!(again.address.is_some() && again.started_at > first.started_at);
    engine.restart(&first.id).await?;

    for id in [&first.id, &second.id] {
        engine.remove(id).await?;
        engine.remove(id).await?;
        ensure!(bench.find(id).await?.is_none(), "removed and still seen");
        engine.stop(id, Duration::ZERO).await?;
    }
    let restarted = engine.restart(&first.id).await;
    ensure!(
        matches!(restarted, Err(EngineError::Gone { .. })),
        "{restarted:?}"
    );
    Ok(())
}

/// The end of a process is told and seen, and a start replaces what has ended.
pub async fn exit_is_seen(bench: &Bench<'_>) -> Result<()> {
    let group = bench.group(&bench.image().await?, Some("exit 3"))?;
    let started = bench.engine.start(&group, 1).await?;
    let ended = bench
        .until("an exit with status 3", |process| {
            matches!(
                process.state,
                ProcessState::Exited {
                    code: 3,
                    is_out_of_memory: false,
                    ..
                }
            )
        })
        .await?;
    ensure!(ended.id == started.id);
    let stays = bench.group(&group.image, Some("sleep 1000"))?;
    let replaced = bench.engine.start(&stays, 1).await?;
    ensure!(replaced.id != ended.id && replaced.state == ProcessState::Running);
    ensure!(bench.find(&ended.id).await?.is_none(), "not replaced");
    Ok(())
}

/// The image's own command is run where none is given.
pub async fn image_command_is_run(bench: &Bench<'_>) -> Result<()> {
    let group = bench.group(&bench.image().await?, None)?;
    let process = bench.engine.start(&group, 1).await?;
    ensure!(process.state == ProcessState::Running, "{process:?}");
    Ok(())
}

/// Changes come for a start and for an end, to every listener.
pub async fn changes_are_told(bench: &Bench<'_>) -> Result<()> {
    let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
    let mut listeners = [bench.engine.changes(), bench.engine.changes()];
    for changes in &mut listeners {
        within("the first change", changes.next()).await?;
    }
    let process = bench.engine.start(&group, 1).await?;
    for changes in &mut listeners {
        within("the change of a start", changes.next()).await?;
    }
    bench.engine.remove(&process.id).await?;
    for changes in &mut listeners {
        within("the change of a removal", changes.next()).await?;
    }
    Ok(())
}

/// The log gives lines with stream and time; the end of it, what is newer, and what follows.
pub async fn log_is_kept(bench: &Bench<'_>) -> Result<()> {
    let line = "echo one; echo two >&2; echo three";
    let group = bench.group(&bench.image().await?, Some(line))?;
    let process = bench.engine.start(&group, 1).await?;
    let followed = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let all = read_log(bench, &process.id, followed).await?;
    // Two streams of one process arrive on two pipes: their order among each other is not fixed.
    let mut texts: Vec<_> = all.iter().map(|l| (l.stream, l.text.as_str())).collect();
    texts.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    ensure!(
        texts
            == [
                (Stream::Stdout, "one"),
                (Stream::Stdout, "three"),
                (Stream::Stderr, "two")
            ],
        "{all:?}"
    );
    let last = LogQuery {
        tail: Some(1),
        ..LogQuery::default()
    };
    ensure!(read_log(bench, &process.id, last).await? == all.get(2..).unwrap_or_default());
    let newer = LogQuery {
        since: all.first().map(|line| line.at),
        ..LogQuery::default()
    };
    ensure!(read_log(bench, &process.id, newer).await? == all.get(1..).unwrap_or_default());
    let nobody = ProcessId("0".repeat(64));
    let log = bench.engine.logs(&nobody, LogQuery::default()).await;
    ensure!(
        matches!(log, Err(EngineError::Gone { .. })),
        "a log of nobody"
    );
    Ok(())
}

async fn read_log(bench: &Bench<'_>, id: &ProcessId, query: LogQuery) -> Result<Vec<LogLine>> {
    let log = bench.engine.logs(id, query).await?;
    Ok(within("the end of the log", log.try_collect()).await??)
}

/// A one-off process has its streams apart, is given its input, and passes on its exit status.
pub async fn one_off_runs(bench: &Bench<'_>) -> Result<()> {
    let image = bench.image().await?;
    let (said, code) = bench
        .run(
            &bench.one_off(&image, "echo out; echo err >&2; exit 7"),
            &[],
        )
        .await?;
    ensure!(
        code == 7 && said.stdout == "out\n" && said.stderr == "err\n",
        "{code} {said:?}"
    );
    let spec = OneOffSpec {
        has_stdin: true,
        ..bench.one_off(&image, "cat")
    };
    let (said, code) = bench.run(&spec, &["first\n", "second"]).await?;
    ensure!(
        code == 0 && said.stdout == "first\nsecond",
        "{code} {said:?}"
    );
    let (said, code) = bench
        .run(&bench.one_off(&image, "cat; echo end"), &[])
        .await?;
    ensure!(
        code == 0 && said.stdout == "end\n",
        "input that is not given: {said:?}"
    );
    let is_seen = |p: &Process| p.app == bench.app;
    ensure!(
        !bench.engine.observe().await?.iter().any(is_seen),
        "a one-off is no process"
    );
    Ok(())
}
