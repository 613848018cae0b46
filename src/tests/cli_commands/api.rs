//! The socket of the API, while its server lets go of it.

use std::sync::Arc;

use bytes::Bytes;
use mini::commands::Options;
use mini::engine::Stream;
use mini::http::{self, ApiSocket, Ends, Invocation};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::git::house_with;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_this_machine_is_waited_for() {
    let mut house = house_with("shop").await;
    let folder = tempfile::tempdir().unwrap();
    let socket = Arc::new(ApiSocket::bind(folder.path()).unwrap());
    let stop = CancellationToken::new();
    let serving = http::serve(socket.clone(), house.platform.clone(), stop.clone());
    let serving = tokio::spawn(serving);

    let mut builder = tar::Builder::new(Vec::new());
    let text = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    builder
        .append_data(&mut header, "Dockerfile", text.as_bytes())
        .unwrap();
    let mut archive = Bytes::from(builder.into_inner().unwrap());
    let (typed, stdin) = mpsc::channel(4);
    let (output, mut said) = mpsc::channel::<(Stream, Bytes)>(64);
    let command = r#"{"command": "git:from-archive", "arguments": {"app": "shop"}}"#;
    let invocation = Invocation {
        command: serde_json::from_str(command).unwrap(),
        options: Options::default(),
        terminal: None,
        is_typed: false,
    };
    let ends = Ends {
        stdin,
        output,
        terminal: watch::channel(None).1,
        hidden: watch::channel(false).0,
    };
    let data_dir = folder.path().to_owned();
    let asked = tokio::spawn(async move { http::run(&data_dir, invocation, ends).await });
    typed.send(archive.split_to(512)).await.unwrap();
    let (_, bytes) = said.recv().await.unwrap();
    assert_eq!(bytes, "-----> Reading the archive\n");
    let silence = tokio::spawn(async move { while said.recv().await.is_some() {} });

    stop.cancel();
    while Arc::strong_count(&socket) > 1 {
        tokio::task::yield_now().await;
    }
    // Long enough for a server that waits for nothing.
    house.types("apps:list").await;
    assert!(!serving.is_finished());
    typed.send(archive).await.unwrap();
    drop(typed);
    assert_eq!(asked.await.unwrap().unwrap(), 0);
    serving.await.unwrap();
    silence.await.unwrap();
}
