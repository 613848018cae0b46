//! One-off processes with a terminal, without a reader, and without anybody.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use mini::engine::contract::within;
use mini::engine::{ContainerEngine, OneOffIo, OneOffSpec, Stream, TerminalSize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::site::{on_docker, until};

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
