//! The engine on a real Docker: the contract every engine keeps, and what only Docker can show.
//!
//! Needs Docker and the stand-in base image; without them these tests fail and say so. Each test is an installation of
//! its own and removes what it made.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerSummary, Network};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    RemoveImageOptions, TagImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use mini::engine::contract::{self, Bench, LIMITS, within};
use mini::engine::{
    BuildEvent, ContainerEngine, DockerEngine, DockerSettings, EngineError, Limits, LogQuery,
    OneOffIo, OneOffSpec, ProcessState, Stream, TerminalSize,
};
use mini::model::Secret;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

const BASE: &str = "debian:trixie-slim";

/// One test's installation.
struct Site {
    engine: DockerEngine,
    instance: String,
    docker: Docker,
}

impl Site {
    async fn new(test: &str) -> Result<Self> {
        let instance = format!("t{}-{}", std::process::id(), test.replace('_', "-"));
        let instance = instance
            .get(..40)
            .unwrap_or(&instance)
            .trim_end_matches('-')
            .to_owned();
        let engine = DockerEngine::connect(DockerSettings::new(instance.clone()));
        if let Err(error) = engine.version().await {
            bail!(
                "these tests need Docker, and it does not answer at {}: {error:?}",
                engine.socket()
            );
        }
        let base = engine.image(BASE).await?;
        ensure!(
            base.is_some(),
            "these tests need the image {BASE}; `.ci/base-images` makes it"
        );
        let socket = format!("unix://{}", engine.socket());
        let docker = Docker::connect_with_unix(&socket, 120, bollard::API_DEFAULT_VERSION)?;
        Ok(Self {
            engine,
            instance,
            docker,
        })
    }

    fn bench(&self, app: &str) -> Result<Bench<'_>> {
        Ok(Bench {
            engine: &self.engine,
            app: app.parse()?,
            base: BASE,
        })
    }

    async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse> {
        Ok(self
            .docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await?)
    }

    fn ours(&self) -> HashMap<String, Vec<String>> {
        let label = format!("mini.instance={}", self.instance);
        HashMap::from([("label".to_owned(), vec![label])])
    }

    async fn containers(&self) -> Result<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&self.ours())
            .build();
        Ok(self.docker.list_containers(Some(options)).await?)
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        let options = ListNetworksOptionsBuilder::default()
            .filters(&self.ours())
            .build();
        Ok(self.docker.list_networks(Some(options)).await?)
    }
}

/// Runs a test on a site whose apps are `app` and whatever `app-<number>` it makes, and cleans up whatever came of it.
async fn on_docker(
    name: &str,
    test: impl AsyncFnOnce(&Site, &Bench<'_>) -> Result<()>,
) -> Result<()> {
    let site = Site::new(name).await?;
    let bench = site.bench("shop")?;
    let outcome = test(&site, &bench).await;
    let apps: BTreeSet<String> = site
        .networks()
        .await?
        .into_iter()
        .filter_map(|network| network.labels?.remove("mini.app"))
        .chain(["shop".to_owned()])
        .collect();
    for app in apps {
        site.engine.remove_app(&app.parse()?).await?;
    }
    outcome?;
    ensure!(site.containers().await?.is_empty(), "containers are left");
    ensure!(site.networks().await?.is_empty(), "networks are left");
    Ok(())
}

/// Asks again until the answer is yes.
async fn until<F>(what: &str, mut ask: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            if ask().await? {
                return Ok(());
            }
        }
    };
    within(what, asking).await?
}

macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $test() -> Result<()> {
            on_docker(stringify!($test), async |_site, bench| contract::$test(bench).await).await
        })+
    };
}

contract!(
    process_lives_and_goes,
    exit_is_seen,
    image_command_is_run,
    changes_are_told,
    log_is_kept,
    missing_image_is_said,
    build_makes_an_image,
    build_failure_is_told,
    one_off_runs,
    removal_is_whole,
);

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
        let name = format!("/shop.web.1.v1.{}", site.instance);
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

#[tokio::test]
async fn a_build_that_is_dropped_leaves_nothing() -> Result<()> {
    on_docker("dropped-build", async |_site, bench| {
        let seconds = format!("9{}", std::process::id());
        let spec = bench.build_spec("dropped")?;
        let context = bench.context(&format!("RUN echo begun; sleep {seconds}"))?;
        let mut events = bench.engine.build(&spec, context).await?;
        loop {
            let event = within("the step", events.next())
                .await?
                .context("no step")??;
            if event == BuildEvent::Line("begun".to_owned()) {
                break;
            }
        }
        let is_running = || {
            let command = format!("sleep\0{seconds}\0");
            std::fs::read_dir("/proc").is_ok_and(|entries| {
                entries.flatten().any(|entry| {
                    std::fs::read(entry.path().join("cmdline"))
                        .is_ok_and(|line| line == command.as_bytes())
                })
            })
        };
        until("the sleep in the build", async || Ok(is_running())).await?;
        drop(events);
        until("the end of the sleep", async || Ok(!is_running())).await?;
        ensure!(
            bench.engine.image(&spec.tag).await?.is_none(),
            "an image is left"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_build_finds_its_steps_in_the_cache() -> Result<()> {
    on_docker("cache", async |site, bench| {
        let lines = format!("RUN echo {}", site.instance);
        let (first, image) = bench.build("one", &lines).await?;
        let (second, again) = bench.build("two", &lines).await?;
        let is_cached = |events: &[BuildEvent]| {
            events.iter().any(|event| {
                matches!(event, BuildEvent::Step { name, is_cached: true } if name.contains("RUN"))
            })
        };
        ensure!(
            !is_cached(&first) && is_cached(&second),
            "{first:?} {second:?}"
        );
        ensure!(image? == again?, "the same source, two images");
        Ok(())
    })
    .await
}

/// A one-off process that goes on in the background of a test.
struct Terminal {
    typed: mpsc::Sender<Bytes>,
    output: mpsc::Receiver<(Stream, Bytes)>,
    sizes: watch::Sender<Option<TerminalSize>>,
}

impl Terminal {
    fn new() -> (Self, OneOffIo) {
        let (typed, stdin) = mpsc::channel(1);
        let (output_end, output) = mpsc::channel(1);
        let (sizes, resize) = watch::channel(None);
        let io = OneOffIo {
            stdin,
            output: output_end,
            resize,
        };
        let terminal = Self {
            typed,
            output,
            sizes,
        };
        (terminal, io)
    }

    /// Reads until the text was said.
    async fn expect(&mut self, text: &[u8]) -> Result<()> {
        let mut said = Vec::new();
        while !said.windows(text.len()).any(|window| window == text) {
            let piece = within(&format!("{text:?} after {said:?}"), self.output.recv()).await?;
            said.extend(piece.with_context(|| format!("it ended after {said:?}"))?.1);
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_terminal_has_its_size_and_passes_every_byte() -> Result<()> {
    on_docker("terminal", async |_site, bench| {
        let script = r#"until [ "$(stty size)" = "40 120" ]; do sleep 0.05; done
            printf '\000\001\002raw>'
            until [ "$(stty size)" = "50 99" ]; do sleep 0.05; done
            printf 'name? '; read name; echo "hello $name"; exit 7"#;
        let spec = OneOffSpec {
            terminal: Some(TerminalSize {
                columns: 120,
                rows: 40,
            }),
            has_stdin: true,
            ..bench.one_off(&bench.image().await?, script)
        };
        let (mut terminal, io) = Terminal::new();
        let talk = async {
            terminal.expect(b"\0\x01\x02raw>").await?;
            let size = TerminalSize {
                columns: 99,
                rows: 50,
            };
            terminal.sizes.send_replace(Some(size));
            // No line end after the prompt: it has to come all the same.
            terminal.expect(b"name? ").await?;
            terminal.typed.send("you\n".into()).await?;
            terminal.expect(b"hello you\r\n").await
        };
        let run = within("the end", bench.engine.run(&spec, io));
        let (code, talked) = tokio::join!(run, talk);
        talked?;
        ensure!(code?? == 7);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_one_off_that_is_dropped_or_left_behind_is_removed() -> Result<()> {
    on_docker("dropped-run", async |site, bench| {
        let spec = bench.one_off(&bench.image().await?, "echo begun; sleep 1000");
        let begin = async || -> Result<JoinSet<()>> {
            let (mut terminal, io) = Terminal::new();
            let (engine, spec) = (site.engine.clone(), spec.clone());
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let _ = engine.run(&spec, io).await;
            });
            terminal.expect(b"begun\n").await?;
            Ok(tasks)
        };
        let is_clean = async || Ok(site.containers().await?.is_empty());

        let tasks = begin().await?;
        ensure!(!is_clean().await?, "it runs");
        drop(tasks);
        until("the removal", is_clean).await?;

        let _tasks = begin().await?;
        site.engine.remove_leftovers().await?;
        ensure!(is_clean().await?, "a leftover");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn much_output_waits_for_a_slow_reader() -> Result<()> {
    on_docker("much-output", async |_site, bench| {
        let spec = bench.one_off(&bench.image().await?, "head -c 5000000 /dev/zero; exit 3");
        let (mut terminal, io) = Terminal::new();
        let count = async {
            let mut bytes = 0;
            while let Some((_, piece)) = terminal.output.recv().await {
                bytes += piece.len();
                tokio::task::yield_now().await;
            }
            bytes
        };
        let run = within("the end", bench.engine.run(&spec, io));
        let (code, bytes) = tokio::join!(run, count);
        ensure!(code?? == 3 && bytes == 5_000_000, "{bytes}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn forty_apps_have_networks_of_their_own() -> Result<()> {
    on_docker("forty", async |site, bench| {
        let image = bench.image().await?;
        let starts = (1..=40).map(|number| {
            let image = &image;
            async move {
                let bench = site.bench(&format!("app-{number}"))?;
                let group = bench.group(image, Some("sleep 1000"))?;
                let one = bench.engine.start(&group, 1);
                if number <= 3 {
                    // Two at once, so that both want to make the network.
                    let (one, two) = tokio::join!(one, bench.engine.start(&group, 2));
                    ensure!(one?.address.is_some() && two?.address.is_some());
                } else {
                    ensure!(one.await?.address.is_some());
                }
                Ok(())
            }
        });
        let starts: Vec<_> = starts.collect();
        stream::iter(starts)
            .buffer_unordered(4)
            .try_collect::<()>()
            .await?;
        let subnets: BTreeSet<String> = site
            .networks()
            .await?
            .into_iter()
            .filter_map(|network| network.ipam?.config?.pop()?.subnet)
            .collect();
        ensure!(subnets.len() == 40, "{subnets:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_network_that_was_pruned_is_made_again() -> Result<()> {
    on_docker("pruned", async |site, bench| {
        let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
        let process = bench.engine.start(&group, 1).await?;
        bench.engine.stop(&process.id, Duration::ZERO).await?;
        let prune = async || -> Result<()> {
            for network in site.networks().await? {
                site.docker
                    .remove_network(&network.id.context("no id")?)
                    .await?;
            }
            Ok(())
        };
        prune().await?;
        bench.engine.restart(&process.id).await?;
        let is_running = |state: &ProcessState| *state == ProcessState::Running;
        let process = bench.until("the restart", |p| is_running(&p.state)).await?;
        ensure!(process.address.is_some());
        bench.engine.remove(&process.id).await?;
        prune().await?;
        let process = bench.engine.start(&group, 1).await?;
        ensure!(process.address.is_some());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn processes_find_each_other_by_name() -> Result<()> {
    on_docker("alias", async |_site, bench| {
        let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
        let process = bench.engine.start(&group, 1).await?;
        let spec = bench.one_off(&group.image, "getent hosts shop.web");
        let (said, code) = bench.run(&spec, &[]).await?;
        let address = process.address.context("no address")?.to_string();
        ensure!(code == 0 && said.stdout.starts_with(&address), "{said:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_somebody_else_tagged_is_left() -> Result<()> {
    on_docker("tagged", async |site, bench| {
        let (_, image) = bench.build("one", "ENV A=1").await?;
        let image = image?;
        let (repo, tag) = ("somebody/copy", site.instance.as_str());
        let options = TagImageOptionsBuilder::default()
            .repo(repo)
            .tag(tag)
            .build();
        site.docker.tag_image(image.as_str(), Some(options)).await?;
        let pruned = bench.engine.prune_images(&bench.app, &[]).await;
        let is_here = bench.engine.image(image.as_str()).await?.is_some();
        let name = format!("{repo}:{tag}");
        site.docker
            .remove_image(&name, None::<RemoveImageOptions>, None)
            .await?;
        ensure!(pruned? == 0 && is_here);
        ensure!(bench.engine.prune_images(&bench.app, &[]).await? == 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn docker_may_come_later_and_go_again() -> Result<()> {
    let site = Site::new("comes-and-goes").await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("docker.sock");
    let engine = DockerEngine::connect(DockerSettings {
        socket: Some(path.to_string_lossy().into_owned()),
        ..DockerSettings::new(site.instance.clone())
    });
    let is_down = async || {
        let answer = engine.observe().await;
        matches!(answer, Err(EngineError::Unavailable { socket, .. }) if socket == engine.socket())
    };
    ensure!(is_down().await);
    let mut changes = engine.changes();

    // A socket of our own that leads to Docker stands for a Docker that comes and goes.
    let listener = UnixListener::bind(&path)?;
    let docker = site.engine.socket().to_owned();
    let mut gate = JoinSet::new();
    gate.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let docker = docker.clone();
            connections.spawn(async move {
                if let Ok(mut far) = UnixStream::connect(docker).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    within("the change when Docker came", changes.next()).await?;
    ensure!(engine.observe().await?.is_empty());
    gate.shutdown().await;
    within("the change when Docker went", changes.next()).await?;
    ensure!(is_down().await);
    Ok(())
}
