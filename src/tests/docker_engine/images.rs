//! What only Docker can show of builds and images.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};
use futures_util::StreamExt;
use mini::engine::contract::{Bench, within};
use mini::engine::{
    BuildContext, BuildEvent, ContextReader, ContextStream, DockerEngine, DockerSettings,
    EngineError, MemoryContext,
};
use mini::model::{ImageId, ReleaseVersion, Secret, SourceFile};

use super::site::{on_docker, until};

#[tokio::test]
async fn a_build_that_is_dropped_leaves_nothing() -> Result<()> {
    on_docker("dropped-build", async |_site, bench| {
        let seconds = format!("9{}", std::process::id());
        let lines = format!("RUN echo begun; sleep {seconds}");
        let spec = bench.build_spec("dropped", &lines)?;
        let context = Arc::new(MemoryContext::default());
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

/// Passes connections on to Docker; the count is of those that are open.
async fn counting_door(path: &std::path::Path, docker: String) -> Result<Arc<AtomicUsize>> {
    let door = tokio::net::UnixListener::bind(path)?;
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = door.accept().await {
            let (docker, count) = (docker.clone(), Arc::clone(&count));
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                if let Ok(mut outside) = tokio::net::UnixStream::connect(docker).await {
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                }
                count.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok(open)
}

#[tokio::test]
async fn builds_leave_no_connections() -> Result<()> {
    on_docker("connections", async |site, bench| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("docker.sock");
        let open = counting_door(&path, site.engine.socket().to_owned()).await?;
        let engine = DockerEngine::connect(DockerSettings {
            socket: Some(path.display().to_string()),
            ..DockerSettings::new(site.instance.clone())
        });
        let bench = Bench {
            engine: &engine,
            app: bench.app.clone(),
            base: bench.base,
        };
        for number in 0..3 {
            bench.build(&format!("b{number}"), "").await?.1?;
        }
        // One that asks and one that listens may be kept.
        until("the end of the builds' connections", async || {
            Ok(open.load(Ordering::Relaxed) <= 2)
        })
        .await
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
async fn a_secret_of_a_build_is_there_for_its_step_and_nowhere_else() -> Result<()> {
    on_docker("build-secret", async |site, bench| {
        let value = format!("hush-{}", std::process::id());
        let lines = "RUN --mount=type=secret,id=TOKEN --mount=type=secret,id=none wc -c < /run/secrets/TOKEN; ls /run/secrets\nRUN ls /run/secrets | wc -l";
        let mut spec = bench.build_spec("secret", lines)?;
        spec.is_without_cache = true;
        spec.secrets.insert("TOKEN".to_owned(), Secret::new(&*value));
        let (said, image) = bench.build_of(&spec, MemoryContext::default()).await?;
        image?;
        let length = BuildEvent::Line(value.len().to_string());
        ensure!(said.contains(&length), "{said:?}");
        ensure!(said.contains(&BuildEvent::Line("TOKEN".into())), "{said:?}");
        ensure!(!format!("{said:?}").contains("none\")"), "{said:?}");

        let history = site.docker.image_history(&spec.tag).await?;
        ensure!(
            format!("{history:?}").contains("/run/secrets/TOKEN"),
            "the history has the steps: {history:?}"
        );
        ensure!(!format!("{history:?}").contains(&value), "in the history");
        let mut saved = site.docker.export_image(&spec.tag);
        let mut all = Vec::new();
        while let Some(chunk) = saved.next().await {
            all.extend_from_slice(&chunk?);
        }
        let holds = |word: &str| all.windows(word.len()).any(|part| part == word.as_bytes());
        ensure!(holds("/run/secrets/TOKEN"), "the image is not what was saved");
        ensure!(!holds(&value), "in the layers or the configuration");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_build_that_needs_too_much_memory_is_stopped() -> Result<()> {
    on_docker("build-memory", async |_site, bench| {
        // A shell that doubles a word until it is stopped, or has some GiB.
        let lines = "RUN x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do x=$x$x; done; echo never";
        let mut spec = bench.build_spec("memory", lines)?;
        spec.memory_limit_bytes = Some(64 << 20);
        let (_, ended) = bench.build_of(&spec, MemoryContext::default()).await?;
        ensure!(
            matches!(&ended, Err(EngineError::BuildOutOfMemory { step, limit_bytes })
                if step.contains("RUN x=0123456789abcdef") && *limit_bytes == 64 << 20),
            "{ended:?}"
        );
        spec.tag = format!("{}-small", spec.tag);
        spec.dockerfile = bench.build_spec("small", "RUN echo small; sleep 1")?.dockerfile;
        bench.build_of(&spec, MemoryContext::default()).await?.1?;
        Ok(())
    })
    .await
}

/// Files that cannot be sent one by one, as where a name is not UTF-8.
struct InOneArchive(MemoryContext);

impl BuildContext for InOneArchive {
    fn archive(&self, extra: &[(&str, &str)]) -> ContextStream {
        self.0.archive(extra)
    }

    fn files(&self) -> std::io::Result<Option<Vec<SourceFile>>> {
        Ok(None)
    }

    fn reader(&self) -> Box<dyn ContextReader + '_> {
        self.0.reader()
    }
}

#[tokio::test]
async fn an_image_that_copies_all_files_has_all_but_the_dockerfile() -> Result<()> {
    on_docker("copied", async |site, bench| {
        // More than a packet, than a connection takes unread, and than there are of ASCII.
        let large = site.instance.repeat(40_000);
        let context = MemoryContext(
            [
                ("a/b/c.txt", "deep"),
                ("a-b", ""),
                (".dockerignore", "a-b\n"),
                ("gr\u{fc}n", "x"),
                ("large", &*large),
            ]
            .map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec()))
            .into(),
        );
        let sum = format!("{} /app/large", large.len());
        let lines = "COPY . /app\nRUN cd /app; find . -type f | sort; wc -c /app/large; cat a/b/c.txt; stat -c '%a %u:%g' a a-b";
        let files = ["./a-b", "./a/b/c.txt", "./.dockerignore", "./gr\u{fc}n", "./large"];
        let spec = bench.build_spec("sent", lines)?;
        for (archived, own) in [(false, None), (true, Some("./.mini.Dockerfile"))] {
            let (said, end) = match archived {
                false => bench.build_of(&spec, context.clone()).await?,
                true => bench.build_of(&spec, InOneArchive(context.clone())).await?,
            };
            end?;
            let said: Vec<String> = said
                .into_iter()
                .filter_map(|event| match event {
                    BuildEvent::Line(line) => Some(line),
                    _ => None,
                })
                .collect();
            let mut found: Vec<&str> = said
                .iter()
                .map(String::as_str)
                .filter(|line| line.starts_with("./"))
                .collect();
            found.sort_unstable();
            let mut expected: Vec<&str> = files.into_iter().chain(own).collect();
            expected.sort_unstable();
            ensure!(found == expected, "{said:?}");
            for line in [&*sum, "deep755 0:0", "644 0:0"] {
                ensure!(said.iter().any(|said| said == line), "{line}: {said:?}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn files_of_equal_size_are_told_apart() -> Result<()> {
    on_docker("equal-size", async |site, bench| {
        let lines = format!("COPY a /a\nRUN echo {} is $(cat /a)", site.instance);
        for content in ["one", "two"] {
            let spec = bench.build_spec(content, &lines)?;
            let context = MemoryContext(vec![("a".to_owned(), content.as_bytes().to_vec())]);
            let (said, end) = bench.build_of(&spec, context).await?;
            end?;
            let line = BuildEvent::Line(format!("{} is {content}", site.instance));
            ensure!(said.contains(&line), "{said:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_names_its_app_and_release_and_is_not_made_twice() -> Result<()> {
    on_docker("labels", async |site, bench| {
        let labels = async |image: &ImageId| -> Result<(String, String)> {
            let found = site.docker.inspect_image(image.as_str()).await?;
            let labels = found.config.and_then(|config| config.labels);
            let labels = labels.context("no labels")?;
            let label = |name: &str| labels.get(name).cloned().context("a label is missing");
            Ok((label("mini.app")?, label("mini.release")?))
        };
        let build = async |release: u32, lines: &str| -> Result<(Vec<BuildEvent>, ImageId)> {
            let mut spec = bench.build_spec(&format!("r{release}"), lines)?;
            spec.release = ReleaseVersion(release);
            let (said, image) = bench.build_of(&spec, MemoryContext::default()).await?;
            Ok((said, image?))
        };
        let run = format!("RUN echo {}", site.instance);
        let (_, first) = build(1, &run).await?;
        let app = bench.app.to_string();
        ensure!(labels(&first).await? == (app.clone(), "1".to_owned()));

        let (said, again) = build(2, &run).await?;
        let is_cached = |event: &BuildEvent| matches!(event, BuildEvent::Step { name, is_cached: true } if name.contains("RUN"));
        ensure!(said.iter().any(is_cached), "the label costs the cache: {said:?}");
        ensure!(again == first, "nothing changed, two images");
        for tag in ["r1", "r2"] {
            let found = bench.engine.image(&format!("mini/{app}:{tag}")).await?;
            ensure!(found.is_some_and(|image| image.id == first), "{tag}");
        }
        ensure!(bench.engine.images(Some(&bench.app)).await?.len() == 1);

        let (_, changed) = build(3, &format!("{run}\nENV A=1")).await?;
        ensure!(labels(&changed).await? == (app, "3".to_owned()));
        let (_, back) = build(4, &run).await?;
        ensure!(back == first, "what was there before the last one");
        ensure!(bench.engine.prune_images(&bench.app, &[changed]).await? == 1);
        ensure!(bench.engine.image(first.as_str()).await?.is_none(), "is left");
        Ok(())
    })
    .await
}
