//! The journal against a real file: numbering, following, falling behind, starting again.

use std::fs;
use std::path::Path;

use futures_util::{FutureExt, StreamExt};
use tempfile::TempDir;

use super::writer::{KEPT_BYTES, KEPT_EVENTS};
use super::*;
use crate::model::{Kind, Timestamp};
use crate::store::{dumped_events, laid_out_events};

fn open() -> (TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    (folder, journal)
}

async fn reopen(folder: &Path, journal: Journal) -> Journal {
    journal.close().await;
    Journal::open(folder).unwrap()
}

fn subject(number: i64) -> Subject {
    Subject::Deploy(DeployId::new(Timestamp::from_second(number).unwrap(), 0))
}

fn line(text: impl Into<String>) -> EventBody {
    EventBody::Line { text: text.into() }
}

async fn emit_lines(journal: &Journal, subject: &Subject, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        journal.emit(subject, line(number.to_string())).await;
    }
}

/// All events of a stream that ends.
async fn all(journal: &Journal, subject: &Subject, from: u64) -> Vec<Event> {
    journal.follow(subject, from).collect().await
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

/// That `events` are the lines whose text is their number, from `from` on, and then the end with the number `last`.
fn check_whole(events: &[Event], from: u64, last: u64) {
    for (expected, event) in (from..).zip(events) {
        assert_eq!(event.seq, expected);
        if expected == last {
            assert!(event.body.is_last(), "{event:?}");
        } else {
            assert_eq!(event.body, line(expected.to_string()));
        }
    }
    assert_eq!(events.last().map(|event| event.seq), Some(last));
}

fn bodies() -> Vec<EventBody> {
    let text = || "text with \"quotes\", \u{1b}[31mcolour\u{1b}[0m and ü".to_owned();
    let problem = Problem::new(Kind::AppFailed, "what", "why", "next");
    vec![
        EventBody::StepStarted { step: Step::Build },
        EventBody::Header { text: text() },
        EventBody::Section { text: text() },
        line(""),
        line(text()),
        EventBody::Warning { text: text() },
        EventBody::StepFinished {
            step: Step::Build,
            duration_ms: 1234,
        },
        EventBody::Failed { problem },
    ]
}

#[tokio::test]
async fn every_body_comes_back_live_stored_and_after_a_restart() {
    let (folder, journal) = open();
    let deploy = subject(1);
    journal.emit(&deploy, bodies().remove(0)).await;
    let live = journal.follow(&deploy, 1);
    for body in bodies().drain(1..) {
        journal.emit(&deploy, body).await;
    }
    let live: Vec<Event> = live.collect().await;
    let received: Vec<EventBody> = live.iter().map(|event| event.body.clone()).collect();
    assert_eq!(received, bodies());
    assert_eq!(seqs(&live), (1..=8).collect::<Vec<_>>());
    assert_eq!(all(&journal, &deploy, 1).await, live);
    let journal = reopen(folder.path(), journal).await;
    assert_eq!(all(&journal, &deploy, 0).await, live);
    assert_eq!(all(&journal, &deploy, 7).await, live[6..]);
    assert_eq!(all(&journal, &deploy, 9).await, []);
}

#[tokio::test]
async fn a_subject_nobody_emitted_for_has_no_events() {
    let (_folder, journal) = open();
    assert_eq!(all(&journal, &subject(1), 1).await, []);
}

#[tokio::test]
async fn a_subject_that_has_begun_is_waited_for() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    journal.begin(&deploy);
    let mut reader = journal.follow(&deploy, 1);
    assert!(reader.next().now_or_never().is_none());
    emit_lines(&journal, &deploy, 1..=1).await;
    journal.emit(&deploy, EventBody::Done).await;
    check_whole(&reader.collect::<Vec<_>>().await, 1, 2);

    journal.begin(&subject(2));
    let reader = journal.follow(&subject(2), 1);
    journal.close_subject(&subject(2)).await;
    assert_eq!(reader.collect::<Vec<_>>().await, []);
}

#[tokio::test]
async fn an_event_is_seen_while_its_subject_goes_on() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    journal.emit(&deploy, line("1")).await;
    let mut reader = journal.follow(&deploy, 1);
    for number in 1..=5_u64 {
        assert_eq!(reader.next().await.unwrap().seq, number);
        assert!(
            reader.next().now_or_never().is_none(),
            "nothing more so far"
        );
        journal.emit(&deploy, line((number + 1).to_string())).await;
    }
}

#[tokio::test]
async fn a_stream_from_a_later_number_waits_for_it() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    journal.emit(&deploy, line("1")).await;
    let reader = journal.follow(&deploy, 4);
    emit_lines(&journal, &deploy, 2..=5).await;
    journal.emit(&deploy, EventBody::Done).await;
    check_whole(&reader.collect::<Vec<_>>().await, 4, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_readers_see_one_order() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 250;
    let (_folder, journal) = open();
    let subjects = [subject(1), subject(2)];
    for subject in &subjects {
        journal.emit(subject, line("first")).await;
    }
    let readers: Vec<_> = (0..12)
        .map(|number| {
            let stream = journal.follow(&subjects[number % 2], 1);
            tokio::spawn(stream.collect::<Vec<Event>>())
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (journal, subjects) = (journal.clone(), subjects.clone());
            tokio::spawn(async move {
                for number in 0..EACH {
                    for subject in &subjects {
                        journal
                            .emit(subject, line(format!("{writer} {number}")))
                            .await;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for subject in &subjects {
        journal.emit(subject, EventBody::Done).await;
    }
    let stored = [
        all(&journal, &subjects[0], 1).await,
        all(&journal, &subjects[1], 1).await,
    ];
    for events in &stored {
        assert_eq!(seqs(events), (1..=WRITERS * EACH + 2).collect::<Vec<_>>());
        for writer in 0..WRITERS {
            let start = format!("{writer} ");
            let own = events.iter().filter_map(|event| match &event.body {
                EventBody::Line { text } => text.strip_prefix(&start)?.parse().ok(),
                _ => None,
            });
            assert_eq!(own.collect::<Vec<u64>>(), (0..EACH).collect::<Vec<_>>());
        }
    }
    for (number, reader) in readers.into_iter().enumerate() {
        assert_eq!(reader.await.unwrap(), stored[number % 2], "reader {number}");
    }
}

#[tokio::test]
async fn readers_that_come_at_any_moment_miss_nothing() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    let mut readers = Vec::new();
    for number in 1..=400_u64 {
        journal.emit(&deploy, line(number.to_string())).await;
        if number % 20 == 0 {
            readers.push(tokio::spawn(journal.follow(&deploy, 1).collect::<Vec<_>>()));
        }
    }
    journal.emit(&deploy, EventBody::Done).await;
    for reader in readers {
        check_whole(&reader.await.unwrap(), 1, 401);
    }
}

#[tokio::test]
async fn a_slow_reader_reads_the_store_and_delays_nobody() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    emit_lines(&journal, &deploy, 1..=1).await;
    let mut slow = journal.follow(&deploy, 1);
    let mut events = vec![slow.next().await.unwrap()];
    // It waits at the channel, then does not look for far longer than the channel holds.
    assert!(slow.next().now_or_never().is_none());
    emit_lines(&journal, &deploy, 2..=3000).await;
    let watching = journal.follow(&deploy, 3000);
    journal.emit(&deploy, EventBody::Done).await;
    check_whole(&watching.collect::<Vec<_>>().await, 3000, 3001);
    events.extend(slow.collect::<Vec<_>>().await);
    check_whole(&events, 1, 3001);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart_and_an_interrupted_subject_is_not_live() {
    let (folder, journal) = open();
    let deploy = subject(1);
    emit_lines(&journal, &deploy, 1..=3).await;
    let journal = reopen(folder.path(), journal).await;
    assert_eq!(seqs(&all(&journal, &deploy, 1).await), [1, 2, 3]);
    emit_lines(&journal, &deploy, 4..=4).await;
    let reader = journal.follow(&deploy, 2);
    journal.emit(&deploy, EventBody::Done).await;
    check_whole(&reader.collect::<Vec<_>>().await, 2, 5);
}

#[tokio::test]
async fn nothing_follows_the_last_event() {
    let (folder, journal) = open();
    let deploy = subject(1);
    emit_lines(&journal, &deploy, 1..=1).await;
    journal.emit(&deploy, EventBody::Done).await;
    emit_lines(&journal, &deploy, 3..=3).await;
    check_whole(&all(&journal, &deploy, 1).await, 1, 2);
    let journal = reopen(folder.path(), journal).await;
    emit_lines(&journal, &deploy, 3..=3).await;
    check_whole(&all(&journal, &deploy, 1).await, 1, 2);
}

#[tokio::test]
async fn closing_a_subject_ends_its_streams_and_keeps_its_events() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    emit_lines(&journal, &deploy, 1..=3).await;
    let reader = journal.follow(&deploy, 1);
    journal.close_subject(&deploy).await;
    assert_eq!(seqs(&reader.collect::<Vec<_>>().await), [1, 2, 3]);
    assert_eq!(seqs(&all(&journal, &deploy, 1).await), [1, 2, 3]);
    emit_lines(&journal, &deploy, 4..=4).await;
    let mut again = journal.follow(&deploy, 4);
    assert_eq!(again.next().await.unwrap().seq, 4);
}

#[tokio::test]
async fn a_forgotten_subject_is_gone_and_begins_at_one() {
    let (_folder, journal) = open();
    let (gone, other) = (subject(1), subject(2));
    emit_lines(&journal, &gone, 1..=3).await;
    emit_lines(&journal, &other, 1..=1).await;
    let reader = journal.follow(&gone, 4);
    journal.forget(&gone).await;
    assert_eq!(reader.collect::<Vec<_>>().await, []);
    assert_eq!(all(&journal, &gone, 1).await, []);
    emit_lines(&journal, &gone, 1..=1).await;
    journal.emit(&gone, EventBody::Done).await;
    check_whole(&all(&journal, &gone, 1).await, 1, 2);
    assert_eq!(journal.follow(&other, 1).next().await.unwrap().seq, 1);
}

#[tokio::test]
async fn the_oldest_of_too_many_events_go_and_a_warning_stands_for_them() {
    let (folder, journal) = open();
    let deploy = subject(1);
    let many = KEPT_EVENTS as u64 + 50;
    emit_lines(&journal, &deploy, 1..=many - 1).await;
    let journal = reopen(folder.path(), journal).await;
    journal.emit(&deploy, EventBody::Done).await;
    // Stored and trimmed once it is seen.
    check_whole(&all(&journal, &deploy, many).await, many, many);
    let events = all(&journal, &deploy, 1).await;
    check_whole(&events[1..], 51, many);
    assert_eq!(events[0].seq, 50);
    let text = "50 earlier lines are no longer kept".to_owned();
    assert_eq!(events[0].body, EventBody::Warning { text });
    check_whole(&all(&journal, &deploy, 51).await, 51, many);
}

#[tokio::test]
async fn the_oldest_of_too_many_bytes_go() {
    let (folder, journal) = open();
    let deploy = subject(1);
    let long = "x".repeat(16 * 1024);
    for _ in 0..300 {
        journal.emit(&deploy, line(long.clone())).await;
    }
    journal.emit(&deploy, EventBody::Done).await;
    journal.close().await;
    let journal = Journal::open(folder.path()).unwrap();
    let events = all(&journal, &deploy, 1).await;
    let kept = (events.len() - 2) * long.len();
    assert!(
        kept as u64 <= KEPT_BYTES && kept as u64 > KEPT_BYTES - 2 * 16 * 1024,
        "{kept}"
    );
    assert_eq!(events.last().unwrap().seq, 301);
}

#[tokio::test]
async fn a_long_line_is_cut_between_characters() {
    let (_folder, journal) = open();
    let deploy = subject(1);
    journal
        .emit(&deploy, line(format!("a{}", "ü".repeat(10_000))))
        .await;
    let event = journal.follow(&deploy, 1).next().await.unwrap();
    let expected = format!("a{} ... (3618 bytes cut)", "ü".repeat(8191));
    assert_eq!(event.body, line(expected));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_begun_anew() {
    let (folder, journal) = open();
    emit_lines(&journal, &subject(1), 1..=500).await;
    journal.close().await;
    let path = folder.path().join("events.db");
    let aside = folder.path().join("events.db.damaged");
    let whole = fs::read(&path).unwrap();
    for damaged in [
        b"no database at all, ".repeat(300),
        whole[..whole.len() / 2].to_vec(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(fs::read(&aside).unwrap()[100..], damaged[100..]);
        assert_eq!(all(&journal, &subject(1), 1).await, []);
        emit_lines(&journal, &subject(1), 1..=1).await;
        assert_eq!(journal.follow(&subject(1), 1).next().await.unwrap().seq, 1);
        journal.close().await;
    }
}

#[tokio::test]
async fn closing_stores_what_is_queued_and_ends_streams() {
    let (folder, journal) = open();
    let deploy = subject(1);
    emit_lines(&journal, &deploy, 1..=1).await;
    let mut reader = journal.follow(&deploy, 1);
    assert_eq!(reader.next().await.unwrap().seq, 1);
    emit_lines(&journal, &deploy, 2..=600).await;
    let other = journal.clone();
    let journal = reopen(folder.path(), journal).await;
    other.emit(&deploy, line("dropped")).await;
    other.close().await;
    assert!(reader.next().await.is_none_or(|event| event.seq <= 600));
    assert_eq!(
        seqs(&all(&journal, &deploy, 1).await),
        (1..=600).collect::<Vec<_>>()
    );
}

/// Journals as released minis have left them: the schema, and the database as SQL. Before a release with another schema or other
/// bodies run `MINI_WRITE_FIXTURE=1 cargo nextest run -p mini events::tests::a_fixture`, and add the file here and to the store's
/// tests.
const FIXTURES: [(usize, &str); 2] = [
    (1, include_str!("fixtures/001.sql")),
    (2, include_str!("fixtures/002.sql")),
];

#[tokio::test]
async fn every_released_journal_reads_as_it_was_written() {
    for (schema, sql) in FIXTURES {
        let folder = laid_out_events(sql);
        let journal = Journal::open(folder.path()).unwrap();
        let events = all(&journal, &subject(1), 1).await;
        let found: Vec<EventBody> = events.iter().map(|event| event.body.clone()).collect();
        assert_eq!(found, bodies(), "schema {schema}");
        // And it goes on.
        journal.emit(&subject(2), EventBody::Done).await;
        assert_eq!(seqs(&all(&journal, &subject(2), 1).await), [1]);
    }
}

#[tokio::test]
async fn a_fixture_is_made_of_a_journal_as_it_is() {
    let (folder, journal) = open();
    for body in bodies() {
        journal.emit(&subject(1), body).await;
    }
    journal.close().await;
    drop(journal);
    let (schema, sql) = dumped_events(folder.path());
    let again = laid_out_events(&sql);
    let journal = Journal::open(again.path()).unwrap();
    assert_eq!(all(&journal, &subject(1), 1).await.len(), bodies().len());
    if std::env::var_os("MINI_WRITE_FIXTURE").is_some() {
        let file = format!("src/events/fixtures/{schema:03}.sql");
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), sql).unwrap();
    }
}
