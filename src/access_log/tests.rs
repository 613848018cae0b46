//! Logs in a folder of their own, written by hand or by a proxy.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::{AccessLogs, LogName, lock};
use crate::model::AppName;

/// Two lines of this length fit into a file of [`house`].
fn line(number: usize) -> String {
    format!("{number:0>99}\n")
}

fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(line).collect()
}

struct House {
    folder: tempfile::TempDir,
    logs: AccessLogs,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let logs = AccessLogs::open(folder.path(), 250).unwrap();
    House { folder, logs }
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

impl House {
    fn append(&self, name: &str, text: &str) {
        lock(&self.logs.files)
            .append(name, text.as_bytes())
            .unwrap();
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join("logs/access").join(name)).ok()
    }

    fn files(&self) -> HashSet<String> {
        let folder = fs::read_dir(self.folder.path().join("logs/access")).unwrap();
        folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    async fn last(&self, name: &str, num: usize) -> String {
        let name = LogName::App(app(name));
        String::from_utf8(self.logs.read(&name, num).await.unwrap().0).unwrap()
    }
}

#[test]
fn a_full_file_gives_way_and_two_are_kept() {
    let house = house();
    house.append("shop", &lines(1..=2));
    assert_eq!(house.file("shop.log"), Some(lines(1..=2)));
    assert_eq!(house.file("shop.log.1"), None);
    house.append("shop", &line(3));
    assert_eq!(house.file("shop.log.1"), Some(lines(1..=2)));
    assert_eq!(house.file("shop.log"), Some(line(3)));
    // Many lines at once are cut between two of them, and the oldest go.
    house.append("shop", &lines(4..=9));
    assert_eq!(house.file("shop.log.1"), Some(lines(7..=8)));
    assert_eq!(house.file("shop.log"), Some(line(9)));
    // A line longer than a file is a file of its own.
    let long = format!("{}\n", "x".repeat(1000));
    house.append("shop", &format!("{long}{}", line(10)));
    assert_eq!(house.file("shop.log.1"), Some(long));
    assert_eq!(house.file("shop.log"), Some(line(10)));
    let path = house.folder.path().join("logs/access/shop.log");
    assert_eq!(
        fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_file_is_gone_on_with_after_a_restart() {
    let house = house();
    house.append("shop", &line(1));
    let again = AccessLogs::open(house.folder.path(), 250).unwrap();
    lock(&again.files)
        .append("shop", lines(2..=3).as_bytes())
        .unwrap();
    assert_eq!(house.file("shop.log.1"), Some(lines(1..=2)));
    assert_eq!(house.file("shop.log"), Some(line(3)));
}

#[test]
fn two_servers_write_to_one_file_while_one_takes_over_from_the_other() {
    let house = house();
    house.append("shop", &lines(1..=2));
    let heir = AccessLogs::open(house.folder.path(), 250).unwrap();
    lock(&heir.files)
        .append("shop", line(3).as_bytes())
        .unwrap();
    // The one before finds its file full as well, and rotates no second time.
    house.append("shop", &line(4));
    assert_eq!(house.file("shop.log.1"), Some(lines(1..=2)));
    assert_eq!(house.file("shop.log"), Some(lines(3..=4)));
}

#[test]
fn a_name_that_is_no_apps_makes_no_file() {
    let house = house();
    for name in ["../x", "", "a/b", "_other", "a\0b"] {
        lock(&house.logs.files).append(name, b"x\n").unwrap_err();
    }
    house.append("_unrouted", "x\n");
    assert_eq!(house.files(), HashSet::from(["_unrouted.log".to_owned()]));
}

#[tokio::test]
async fn the_last_lines_come_from_both_files() {
    let house = house();
    assert_eq!(house.last("shop", 5).await, "");
    house.append("shop", &lines(1..=3));
    for (num, expected) in [
        (0, vec![]),
        (1, vec![3]),
        (2, vec![2, 3]),
        (3, vec![1, 2, 3]),
        (9, vec![1, 2, 3]),
    ] {
        assert_eq!(house.last("shop", num).await, lines(expected), "{num}");
    }
    assert_eq!(house.last("other", 5).await, "");
}

#[tokio::test]
async fn the_last_lines_of_a_long_file_are_found_from_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let house = House {
        logs: AccessLogs::open(folder.path(), 1 << 30).unwrap(),
        folder,
    };
    house.append("shop", &lines(0..5000));
    assert_eq!(house.last("shop", 2).await, lines(4998..5000));
    assert_eq!(house.last("shop", 2000).await, lines(3000..5000));
    assert_eq!(house.last("shop", 6000).await, lines(0..5000));
}

#[tokio::test]
async fn a_follower_gets_every_line_once_also_when_the_file_changes_under_it() {
    let house = house();
    let name = LogName::App(app("shop"));
    let (last, mut follower) = house.logs.read(&name, 10).await.unwrap();
    assert!(last.is_empty());
    let mut got = String::new();
    for number in 1..=20 {
        // Every other line finds its file full.
        house.append("shop", &line(number));
        got += &String::from_utf8(follower.next().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(got, lines(1..=20));
    // One that was away for a rotation reads the old file to its end first.
    house.append("shop", &lines(21..=22));
    let more = follower.next().await.unwrap().unwrap();
    assert_eq!(String::from_utf8(more).unwrap(), lines(21..=22));
    let (last, mut late) = house.logs.read(&name, 1).await.unwrap();
    assert_eq!(String::from_utf8(last).unwrap(), line(22));
    house.append("shop", &line(23));
    let more = late.next().await.unwrap().unwrap();
    assert_eq!(String::from_utf8(more).unwrap(), line(23));
}

#[tokio::test]
async fn following_waits_for_lines_and_ends_with_the_log() {
    let house = house();
    let (_, mut follower) = house
        .logs
        .read(&LogName::App(app("shop")), 1)
        .await
        .unwrap();
    let waiting = tokio::spawn(async move {
        let first = follower.next().await.unwrap();
        (first, follower.next().await.unwrap())
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    house.append("shop", "one\n");
    // The line may be read before the log goes, or with it.
    house
        .logs
        .rename(&app("shop"), &app("store"))
        .await
        .unwrap();
    let (first, second) = waiting.await.unwrap();
    assert!(second.is_none());
    assert!(first.is_none_or(|first| first == b"one\n"));
}

#[tokio::test]
async fn a_removed_log_stays_away_and_a_new_app_of_the_name_has_its_own() {
    let house = house();
    house.append("shop", &lines(1..=3));
    let before = SystemTime::now();
    house.logs.remove(&app("shop")).await.unwrap();
    assert!(house.files().is_empty());
    let files = lock(&house.logs.files);
    assert_eq!(
        files.owner("shop", before),
        None,
        "a late record of the old app"
    );
    let later = SystemTime::now() + Duration::from_secs(1);
    assert_eq!(files.owner("shop", later), Some("shop"));
    assert_eq!(files.owner("other", before), Some("other"));
}

#[tokio::test]
async fn a_renamed_log_goes_on_under_its_new_name() {
    let house = house();
    house.append("before", &lines(1..=3));
    house.append("after", "of an app that is no more\n");
    house
        .logs
        .rename(&app("before"), &app("after"))
        .await
        .unwrap();
    let now = SystemTime::now();
    assert_eq!(lock(&house.logs.files).owner("before", now), Some("after"));
    house.append("after", &line(4));
    assert_eq!(house.last("after", 9).await, lines(1..=4));
    // And again, with the records of the very first name.
    house
        .logs
        .rename(&app("after"), &app("third"))
        .await
        .unwrap();
    assert_eq!(lock(&house.logs.files).owner("before", now), Some("third"));
    assert_eq!(
        house.files(),
        HashSet::from(["third.log".to_owned(), "third.log.1".to_owned()])
    );
}

#[tokio::test]
async fn logs_of_apps_that_are_no_more_are_cleared_away() {
    let house = house();
    house.append("shop", &lines(1..=3));
    house.append("gone", &lines(1..=3));
    house.append("_unrouted", &line(1));
    house
        .logs
        .keep_only([app("shop")].into_iter())
        .await
        .unwrap();
    let kept = ["shop.log", "shop.log.1", "_unrouted.log"];
    assert_eq!(house.files(), kept.map(str::to_owned).into());
}
