//! What only Docker can show of processes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt};
use mini::engine::contract::{LIMITS, within};
use mini::engine::{EngineError, Limits, LogQuery, ProcessState};
use mini::model::Secret;

use super::site::on_docker;

#[tokio::test]
async fn a_container_is_hardened_and_shows_no_secret() -> Result<()> {
    on_docker("hardened", async |site, bench| {
        let mut group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
        group
            .environment
            .insert("TOKEN".parse()?, Secret::new("s3cret"));
        let process = bench.engine.start(&group, 1).await?;
        let facts = site.inspect(&process.id.0).await?;
        let host = facts.host_config.context("no host config")?;
        ensure!(host.cap_drop == Some(vec!["ALL".to_owned()]));
        ensure!(
            !host
                .cap_add
                .unwrap_or_default()
                .iter()
                .any(|c| c.contains("NET_RAW"))
        );
        ensure!(host.security_opt == Some(vec!["no-new-privileges".to_owned()]));
        ensure!(host.init == Some(true) && host.privileged == Some(false));
        ensure!(host.pids_limit == Some(64));
        ensure!(host.memory == Some(64 << 20) && host.memory_swap == Some(64 << 20));
        ensure!(
            host.port_bindings.unwrap_or_default().is_empty(),
            "a published port"
        );
        ensure!(host.binds.unwrap_or_default().is_empty(), "a mount");
        let log = host.log_config.context("no log config")?;
        ensure!(log.typ.as_deref() == Some("json-file") && log.config.is_some());
        let config = facts.config.context("no config")?;
        ensure!(config.stop_timeout == Some(5));
        ensure!(
            config
                .env
                .unwrap_or_default()
                .contains(&"TOKEN=s3cret".to_owned())
        );
        let labels = config.labels.context("no labels")?;
        ensure!(labels.get("mini.kind").map(String::as_str) == Some("process"));
        ensure!(!format!("{labels:?}{:?}", facts.name).contains("s3cret"));
        let name = format!("/{}.web.1.v1.{}", bench.app, site.instance);
        ensure!(facts.name == Some(name), "{:?}", facts.name);

        // What the kernel says, from inside: no new privileges, and seven capabilities.
        let status = bench.one_off(
            &group.image,
            "grep -E 'NoNewPrivs|CapBnd' /proc/self/status",
        );
        let (said, _) = bench.run(&status, &[]).await?;
        ensure!(said.stdout.contains("NoNewPrivs:\t1"), "{said:?}");
        ensure!(
            said.stdout.contains("CapBnd:\t00000000000004eb"),
            "{said:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_cannot_start_says_why() -> Result<()> {
    on_docker("no-command", async |site, bench| {
        let image = bench.image().await?;
        // The init process starts first, so this is an exit with a line in the log, as a shell would have it.
        let group = bench.group(&image, Some("nothing-of-the-kind --port 1"))?;
        let process = bench.engine.start(&group, 1).await?;
        let is_ended =
            |state: &ProcessState| matches!(state, ProcessState::Exited { code: 127, .. });
        bench.until("status 127", |p| is_ended(&p.state)).await?;
        let log = bench.engine.logs(&process.id, LogQuery::default()).await?;
        let log: Vec<_> = log.try_collect().await?;
        ensure!(
            log.iter()
                .any(|line| line.text.contains("exec nothing-of-the-kind failed")),
            "{log:?}"
        );
        bench.engine.remove(&process.id).await?;

        let mut tiny = bench.group(&image, Some("sleep 1"))?;
        tiny.limits = Limits {
            memory_bytes: Some(1),
            ..LIMITS
        };
        let error = bench
            .engine
            .start(&tiny, 1)
            .await
            .err()
            .context("it started")?;
        ensure!(
            matches!(&error, EngineError::CannotStart { .. }),
            "{error:?}"
        );
        let lines = "WORKDIR /srv/here\nRUN cd / && rmdir /srv/here && touch /srv/here";
        let (_, image) = bench.build("folder", lines).await?;
        let wrong = bench.group(&image?, Some("sleep 1"))?;
        let error = bench
            .engine
            .start(&wrong, 1)
            .await
            .err()
            .context("it started")?;
        ensure!(
            matches!(&error, EngineError::CannotStart { .. }),
            "{error:?}"
        );
        ensure!(site.containers().await?.is_empty(), "the container is left");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_shell_line_gets_sigterm_and_the_variables() -> Result<()> {
    on_docker("shell-line", async |_site, bench| {
        let line = "trap 'echo bye; exit 4' TERM; echo port $PORT; while :; do sleep 0.1; done";
        let mut group = bench.group(&bench.image().await?, Some(line))?;
        group
            .environment
            .insert("PORT".parse()?, Secret::new("5000"));
        let process = bench.engine.start(&group, 1).await?;
        let follow = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let mut log = bench.engine.logs(&process.id, follow).await?;
        let first = within("the first line", log.next())
            .await?
            .context("no line")??;
        ensure!(first.text == "port 5000", "{first:?}");
        bench
            .engine
            .stop(&process.id, Duration::from_secs(30))
            .await?;
        let last = within("the last line", log.next())
            .await?
            .context("no line")??;
        ensure!(last.text == "bye", "{last:?}");
        let is_ended = |state: &ProcessState| matches!(state, ProcessState::Exited { code: 4, .. });
        bench.until("the end", |p| is_ended(&p.state)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_entry_point_gets_the_command_as_arguments() -> Result<()> {
    on_docker("entry-point", async |_site, bench| {
        let (_, image) = bench
            .build("entry", "ENTRYPOINT [\"echo\", \"entered\"]")
            .await?;
        let group = bench.group(&image?, Some("with words"))?;
        let process = bench.engine.start(&group, 1).await?;
        let follow = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let log: Vec<_> = bench
            .engine
            .logs(&process.id, follow)
            .await?
            .try_collect()
            .await?;
        ensure!(
            log.first()
                .is_some_and(|line| line.text == "entered with words"),
            "{log:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn long_and_broken_lines_of_a_log_are_put_together() -> Result<()> {
    on_docker("long-lines", async |_site, bench| {
        let line = r"head -c 40000 /dev/zero | tr '\0' x; echo; printf 'a\377b\r\nend'";
        let group = bench.group(&bench.image().await?, Some(line))?;
        let process = bench.engine.start(&group, 1).await?;
        let follow = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let log = bench.engine.logs(&process.id, follow).await?;
        let log: Vec<_> = within("the log", log.try_collect()).await??;
        let texts: Vec<&str> = log.iter().map(|line| line.text.as_str()).collect();
        let (whole, rest): (Vec<&str>, Vec<&str>) =
            texts.into_iter().partition(|t| t.starts_with('x'));
        ensure!(
            whole.concat() == "x".repeat(40000),
            "{} pieces",
            whole.len()
        );
        ensure!(rest == ["a\u{fffd}b", "end"], "{rest:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_that_takes_too_much_memory_is_seen_as_that() -> Result<()> {
    on_docker("memory", async |_site, bench| {
        let group = bench.group(&bench.image().await?, Some("tail /dev/zero"))?;
        bench.engine.start(&group, 1).await?;
        let is_out = |state: &ProcessState| {
            matches!(
                state,
                ProcessState::Exited {
                    code: 137,
                    is_out_of_memory: true,
                    ..
                }
            )
        };
        bench
            .until("the end for want of memory", |p| is_out(&p.state))
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_a_process_listens_is_found_out() -> Result<()> {
    on_docker("listening", async |_site, bench| {
        let listen = "perl -e 'use Socket; $|=1; socket(S,PF_INET,SOCK_STREAM,0); \
            bind(S,sockaddr_in(8123,INADDR_LOOPBACK)); listen(S,5); print \"ready\\n\"; sleep 1000'";
        let group = bench.group(&bench.image().await?, Some(listen))?;
        let process = bench.engine.start(&group, 1).await?;
        let follow = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let mut log = bench.engine.logs(&process.id, follow).await?;
        let line = within("the first line", log.next()).await?.context("no line")??;
        ensure!(line.text == "ready", "{line:?}");
        let found = bench.engine.listening(&process.id).await?;
        ensure!(found == ["127.0.0.1:8123".parse()?], "{found:?}");
        Ok(())
    })
    .await
}
