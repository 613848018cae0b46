//! The SSH server against real `ssh` and `git` clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "ssh/harness.rs"]
mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{World, feed, finish, spawn, succeed, text, wait};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_key_logs_in_and_a_command_gets_its_exit_status() {
    let world = World::start().await;
    world.make_key("ecdsa", &["-t", "ecdsa"], true).await;
    world
        .make_key("rsa", &["-t", "rsa", "-b", "2048"], true)
        .await;
    for key in ["ed25519", "ecdsa", "rsa"] {
        let output = finish(&mut world.ssh(key, &[], "say  'x y'")).await;
        assert_eq!(text(&output.stdout), format!("{key} said say  'x y'\n"));
        assert_eq!(text(&output.stderr), "to stderr\n");
        assert_eq!(output.status.code(), Some(7));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_weak_keys_are_refused() {
    let world = World::start().await;
    world.make_key("stranger", &["-t", "ed25519"], false).await;
    world
        .make_key("weak", &["-t", "rsa", "-b", "1024"], true)
        .await;
    for key in ["stranger", "weak"] {
        let output = finish(&mut world.ssh(key, &[], "x")).await;
        assert_eq!(output.status.code(), Some(255), "{key}");
        assert!(text(&output.stderr).contains("Permission denied (publickey)"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_removed_has_no_connection_left() {
    let world = World::start().await;
    world.make_key("kept", &["-t", "ed25519"], true).await;
    let mut client = spawn(&mut world.ssh("ed25519", &[], "hold"));
    let mut line = [0; 8];
    client
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .await
        .unwrap();
    world.remove_key("ed25519");
    let output = wait(client).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("the key was removed"));
    let other = finish(&mut world.ssh("kept", &[], "x")).await;
    assert_eq!(other.status.code(), Some(7));
}

/// Whoever was logged in stayed so when the store failed at the moment of the removal.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_has_no_connection_left_where_the_store_fails_for_a_moment() {
    let world = World::start().await;
    let mut client = spawn(&mut world.ssh("ed25519", &[], "hold"));
    let mut line = [0; 8];
    let stdout = client.stdout.as_mut().unwrap();
    stdout.read_exact(&mut line).await.unwrap();
    world.fail_lookups(2);
    world.remove_key("ed25519");
    let output = wait(client).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("the key was removed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_gets_a_clear_answer() {
    let world = World::start().await;
    let check = |line: &'static str, status: i32, says: &'static str| {
        let mut ssh = world.ssh("ed25519", &[], line);
        async move {
            let output = finish(&mut ssh).await;
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{line}: {said}");
            assert!(said.contains(says), "{line}: {said}");
        }
    };
    let rule = "App name must begin with lowercase alphanumeric";
    check("git-receive-pack 'Test;id'", 1, rule).await;
    check("git-upload-pack '../x'", 1, rule).await;
    check("git-upload-pack 'shop'", 20, "App shop does not exist").await;
    check("git-upload-archive 'shop'", 2, "not offered").await;
    check("panic", 1, "fault of the server").await;
    let mut shell = world.ssh("ed25519", &[], "");
    let output = finish(&mut shell).await;
    assert_eq!(text(&output.stdout), "usage\n");
    assert!(output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn input_nobody_reads_stops_neither_its_channel_nor_another_on_the_connection() {
    let world = World::start().await;
    let control = format!("ControlPath={}", world.path("control").display());
    let master = ["-o", "ControlMaster=yes", "-o", &control];
    let slave = ["-o", "ControlMaster=no", "-o", &control];
    let mut first = spawn(&mut world.ssh("ed25519", &master, "hold"));
    let mut line = [0; 8];
    first
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .await
        .unwrap();
    let second = feed(&mut world.ssh("ed25519", &slave, "x"), vec![b'x'; 3 << 20]).await;
    assert_eq!(second.status.code(), Some(7));
    let held = feed(
        &mut world.ssh("ed25519", &slave, "cat"),
        vec![b'y'; 3 << 20],
    )
    .await;
    assert_eq!(held.stdout.len(), 3 << 20);
    let mut stdin = first.stdin.take().unwrap();
    stdin.write_all(&vec![b'z'; 3 << 20]).await.unwrap();
    succeed(world.ssh("ed25519", &slave, "release")).await;
    drop(stdin);
    assert_eq!(wait(first).await.status.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_round_trip_comes_back_whole() {
    let world = World::start().await;
    let input: Vec<u8> = (0..(64_u32 << 20)).map(|n| (n >> 10) as u8).collect();
    let output = feed(&mut world.ssh("ed25519", &[], "cat"), input.clone()).await;
    assert!(output.stdout == input);
    assert!(output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sees_that_its_client_left() {
    let world = World::start().await;
    let mut client = spawn(&mut world.ssh("ed25519", &[], "until-left"));
    let mut line = [0; 5];
    client
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .await
        .unwrap();
    client.kill().await.unwrap();
    let held = finish(&mut world.ssh("ed25519", &[], "hold")).await;
    assert_eq!(held.status.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_returns_and_its_interrupt_ends_a_command() {
    let world = World::start().await;
    let output = finish(&mut world.ssh("ed25519", &["-tt"], "x")).await;
    assert!(text(&output.stdout).contains("said x\r\n"), "{output:?}");
    let output = feed(&mut world.ssh("ed25519", &["-tt"], "until-left"), vec![3]).await;
    assert_eq!(output.status.code(), Some(130));
    let output = finish(&mut world.ssh("ed25519", &["-tt"], "raw")).await;
    assert!(text(&output.stdout).contains("said raw\n"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_typed_at_a_terminal_that_does_not_show_it() {
    let world = World::start().await;
    let mut client = spawn(&mut world.ssh("ed25519", &["-tt"], "secret"));
    let (mut typed, mut shown) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    let mut prompt = [0; 7];
    shown.read_exact(&mut prompt).await.unwrap();
    assert_eq!(&prompt, b"which? ");
    typed.write_all(b"hunter2\r").await.unwrap();
    let mut rest = String::new();
    shown.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "\r\n7 characters\r\n");
    assert!(client.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_leaves_the_branch_and_the_same_commit_is_pushed_again() {
    let world = World::start().await;
    let client = world.client("client", 2).await;
    let refused = finish(&mut world.git(&client, &["push", "-o", "fail", "mini", "main"])).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("-----> Creating shop..."), "{said}");
    assert!(said.contains("remote: -----> Building shop"), "{said}");
    assert!(
        said.contains("! [remote rejected] main -> main (the build failed)"),
        "{said}"
    );
    assert_eq!(said.matches("exit status 9").count(), 1, "{said}");
    assert_eq!(world.tip().await, None);

    let locked =
        finish(&mut world.git(&client, &["push", "-o", "not-admitted", "mini", "main"])).await;
    let said = text(&locked.stderr);
    assert!(said.contains("unlock it"), "{said}");
    assert!(said.contains("pre-receive hook declined"), "{said}");

    let accepted = succeed(world.git(&client, &["push", "mini", "main"])).await;
    assert!(text(&accepted.stderr).contains("remote:        Ready"));
    assert_eq!(world.tip().await, Some(world.head(&client).await));
    world.called("commit 1").await;

    let url = world.url("/shop.git");
    succeed(world.git(world.folder.path(), &["clone", "-q", &url, "back"])).await;
    let back = world.path("back");
    assert_eq!(world.head(&back).await, world.head(&client).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_pushes_and_a_full_one_goes_on_from_there() {
    let world = World::start().await;
    let full = world.client("full", 3).await;
    let from = format!("file://{}", full.display());
    let words = ["clone", "-q", "--depth=1", &from, "shallow"];
    succeed(world.git(world.folder.path(), &words)).await;
    let shallow = world.path("shallow");
    let url = world.url("shop");
    succeed(world.git(&shallow, &["push", &url, "main"])).await;
    assert_eq!(world.tip().await, Some(world.head(&full).await));
    world.commit(&full, "more").await;
    succeed(world.git(&full, &["push", "mini", "main"])).await;
    assert_eq!(world.tip().await, Some(world.head(&full).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_force_pushes_and_deletions_go_through() {
    let world = World::start().await;
    let client = world.client("client", 3).await;
    succeed(world.git(&client, &["push", "mini", "main"])).await;
    succeed(world.git(&client, &["tag", "v1"])).await;
    let before = world.calls().len();
    succeed(world.git(&client, &["push", "mini", "v1"])).await;
    let calls = world.calls();
    let mut of_tag = calls[before..].iter();
    assert!(!of_tag.any(|call| call.starts_with("prepare")), "{calls:?}");

    succeed(world.git(&client, &["reset", "-q", "--hard", "HEAD~1"])).await;
    let plain = finish(&mut world.git(&client, &["push", "mini", "main"])).await;
    assert!(!plain.status.success());
    succeed(world.git(&client, &["push", "-f", "mini", "main"])).await;
    assert_eq!(world.tip().await, Some(world.head(&client).await));
    succeed(world.git(&client, &["push", "mini", ":main"])).await;
    assert_eq!(world.tip().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_could_not_go_live_says_so_with_its_exit_status() {
    let world = World::start().await;
    let client = world.client("client", 1).await;
    let mut push = world.git(&client, &["push", "-o", "fail-commit", "mini", "main"]);
    let output = finish(&mut push).await;
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("the routes stayed"));
    world.called("settle shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_does_not_stop_its_push() {
    let world = World::start().await;
    let client = world.client("client", 1).await;
    let mut push = world.git(&client, &["push", "-o", "wait", "mini", "main"]);
    let child = spawn(push.process_group(0));
    let group = rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap();
    world.called("prepare refs/heads/main").await;
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    wait(child).await;
    world.release();
    world.called("settle shop").await;
    world.called("commit 1").await;
    assert_eq!(world.tip().await, Some(world.head(&client).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_suspended_does_not_hold_up_its_push() {
    let world = World::start().await;
    let client = world.client("client", 1).await;
    let words = ["push", "-o", "wait", "-o", "chatty", "mini", "main"];
    let child = spawn(world.git(&client, &words).process_group(0));
    let group = rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap();
    world.called("prepare refs/heads/main").await;
    rustix::process::kill_process_group(group, rustix::process::Signal::STOP).unwrap();
    world.release();
    world.called("settle shop").await;
    assert_eq!(world.tip().await, Some(world.head(&client).await));
    rustix::process::kill_process_group(group, rustix::process::Signal::CONT).unwrap();
    let output = wait(child).await;
    assert!(output.status.success());
    assert!(output.stderr.len() > 20_000_000);
}

/// A push to the new name of an app that was being cloned took the place of its repository, and both failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_an_app_that_is_being_made_waits_for_its_repository() {
    let world = World::start().await;
    let client = world.client("client", 1).await;
    let claim = world.repositories.claim(&"shop".parse().unwrap()).await;
    let mut push = spawn(&mut world.git(&client, &["push", "mini", "main"]));
    let mut lines = BufReader::new(push.stderr.take().unwrap()).lines();
    let mut first = lines.next_line().await.unwrap().unwrap();
    while !first.contains("shop") {
        first = lines.next_line().await.unwrap().unwrap();
    }
    assert!(
        first.contains("Waiting for the repository of shop"),
        "{first}"
    );
    assert!(!world.repositories.path(&"shop".parse().unwrap()).exists());
    drop(claim);
    while lines.next_line().await.unwrap().is_some() {}
    assert!(push.wait().await.unwrap().success());
    assert_eq!(world.tip().await, Some(world.head(&client).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_do_not_create_apps_when_that_is_turned_off() {
    let world = World::start_with(|settings| settings.creates_apps = false).await;
    let client = world.client("client", 1).await;
    let output = finish(&mut world.git(&client, &["push", "mini", "main"])).await;
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("apps:create shop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_log_in_or_idles_is_sent_away() {
    let world = World::start_with(|settings| {
        settings.login_grace = Duration::from_millis(300);
        settings.idle = Duration::from_millis(600);
    })
    .await;
    let address = world.server.addresses()[0];
    for greeting in ["", "SSH-2.0-slow\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        // Ends, in whatever way, because the server closes it.
        let _ = stream.read_to_end(&mut said).await;
        assert!(said.starts_with(b"SSH-2.0-mini\r\n"));
    }
    let idle = finish(&mut world.ssh("ed25519", &["-N"], "")).await;
    assert_eq!(idle.status.code(), Some(255));
}

/// What had come until Ctrl-C, or until the client was gone, was taken for all there is: `apps:destroy` for its answer, and
/// `config:import --replace` for the whole file.
#[tokio::test(flavor = "multi_thread")]
async fn input_that_is_cut_short_is_not_taken_for_whole() {
    let world = World::start().await;
    for (options, is_killed) in [(&["-tt"][..], false), (&[][..], true), (&["-tt"], true)] {
        world.released.send_replace(false);
        let mut client = spawn(&mut world.ssh("ed25519", options, "cut"));
        let stdin = client.stdin.as_mut().unwrap();
        let mut line = [0; 7];
        let stdout = client.stdout.as_mut().unwrap();
        stdout.read_exact(&mut line).await.unwrap();
        stdin.write_all(b"shop").await.unwrap();
        if is_killed {
            client.start_kill().unwrap();
        } else {
            stdin.write_all(b"\x03").await.unwrap();
        }
        let mut released = world.released.subscribe();
        let is_told = released.wait_for(|is_released| *is_released);
        let told = tokio::time::timeout(Duration::from_secs(60), is_told).await;
        assert!(told.is_ok(), "{options:?} {is_killed}");
    }
    // A client that has sent everything is heard.
    world.released.send_replace(true);
    let output = feed(&mut world.ssh("ed25519", &[], "cut"), b"shop".to_vec()).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(!*world.released.borrow());
}

/// A session that asked for nothing was waited for without an end, also by a server that gives way to its successor.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_for_nothing_is_closed() {
    struct Trusting;
    impl russh::client::Handler for Trusting {
        type Error = russh::Error;
        async fn check_server_key(
            &mut self,
            _key: &russh::keys::PublicKeyOrCertificate,
        ) -> Result<bool, russh::Error> {
            Ok(true)
        }
    }
    let world = World::start_with(|settings| settings.login_grace = Duration::from_secs(4)).await;
    let key = russh::keys::load_secret_key(world.path("ed25519"), None).unwrap();
    let key = russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let stream = TcpStream::connect(world.server.addresses()[0])
        .await
        .unwrap();
    let session = russh::client::connect_stream(Arc::default(), stream, Trusting);
    let mut session = session.await.unwrap();
    let login = session.authenticate_publickey("anyone", key).await;
    assert!(login.unwrap().success());
    let mut channel = session.channel_open_session().await.unwrap();
    let mut said = String::new();
    let mut status = None;
    let all = async {
        while let Some(message) = channel.wait().await {
            match message {
                russh::ChannelMsg::ExtendedData { data, .. } => said.push_str(&text(&data)),
                russh::ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all)
        .await
        .expect("it hangs");
    assert_eq!(status, Some(2));
    assert!(said.contains("no command was sent in it"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_so_many_connections() {
    let world = World::start_with(|settings| settings.connections.per_address = 1).await;
    let address = world.server.addresses()[0];
    let mut first = TcpStream::connect(address).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'S');
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(second.read_u8().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_without_a_push_is_refused() {
    let world = World::start().await;
    let mut hook = tokio::process::Command::new(env!("CARGO_BIN_EXE_mini"));
    hook.args(["hook", "pre-receive"])
        .env("MINI_PUSH", "0".repeat(32))
        .env("MINI_HOOK_SOCKET", world.hook_socket());
    let update = format!("{} {} refs/heads/main\n", "0".repeat(40), "1".repeat(40));
    let output = feed(&mut hook, update.into_bytes()).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("knows nothing of this push"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_lets_what_runs_finish() {
    let world = World::start().await;
    let mut client = spawn(&mut world.ssh("ed25519", &[], "hold"));
    let mut line = [0; 8];
    client
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .await
        .unwrap();
    let mut late = world.ssh("ed25519", &[], "x");
    let World {
        server,
        released,
        folder,
        ..
    } = world;
    let stopping = tokio::spawn(server.shutdown(Duration::from_secs(100)));
    // The listener goes at once, so this ends only when nobody listens any more.
    while finish(&mut late).await.status.code() != Some(255) {}
    released.send_replace(true);
    assert!(stopping.await.unwrap());
    assert_eq!(wait(client).await.status.code(), Some(5));
    drop(folder);
}
