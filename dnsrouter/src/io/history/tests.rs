//! Segments on a real disk.

use std::sync::Arc;

use super::*;
use crate::health::State;
use crate::history::{Base, Moment, PULSE, Unknown, Written};
use crate::monitor::Saved;

const SECOND: Duration = Duration::from_secs(1);

fn t(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn saved(state: State) -> Saved {
    Saved { address: "a:443".into(), region: "r".into(), state, since_unix_ms: 7 }
}

fn everything(state: State) -> Base {
    let plan = Arc::new(Written { text: "one".into(), ..Written::default() });
    Base { plan, verdicts: vec![saved(state)], overrides: Vec::new(), missed_since: None }
}

struct Place {
    folder: Folder,
    _place: tempfile::TempDir,
}

fn place() -> Place {
    let place = tempfile::tempdir().unwrap();
    Place { folder: Folder::open(place.path()).unwrap(), _place: place }
}

/// One run of a node: what `story` records is on disk when this returns.
fn run(folder: &Folder, story: impl FnOnce(&mut Recorder)) -> Reader {
    let (mut recorder, mut writer, reader) = open(folder);
    story(&mut recorder);
    let stop = CancellationToken::new();
    stop.cancel();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(writer.run(&stop));
    reader
}

fn state(reader: &Reader, seconds: u64) -> Result<State, Unknown> {
    match reader.moment(t(seconds)) {
        Ok(Moment { verdicts, .. }) => Ok(verdicts[0].state),
        Err(Missing::Unknown(unknown)) => Err(unknown),
        Err(Missing::Disk(error)) => panic!("{error}"),
    }
}

#[test]
fn two_runs_and_the_gap_between_them() {
    let Place { folder, _place } = place();
    run(&folder, |to| {
        to.verdict(t(0), || saved(State::Down));
        to.tick(t(1), || everything(State::Up));
        to.tick(t(2), || panic!("all is said"));
        to.verdict(t(10), || saved(State::Down));
        to.tick(t(10) + PULSE, || panic!("a pulse is enough"));
    });
    let reader = run(&folder, |to| to.tick(t(1000), || everything(State::Up)));
    assert_eq!(state(&reader, 9), Ok(State::Up));
    assert_eq!(state(&reader, 10), Ok(State::Down));
    let gap = |at| Err(Unknown::Gap { at: t(at), from: t(70), to: t(1000) });
    assert_eq!(state(&reader, 500), gap(500));
    assert_eq!(state(&reader, 1000), Ok(State::Up));
    assert_eq!(state(&reader, 0), Err(Unknown::Outside { at: t(0), from: t(1), to: t(1000) }));
    let late = Err(Unknown::Outside { at: t(5000), from: t(1), to: t(1000) });
    assert_eq!(state(&reader, 5000), late);
}

#[test]
fn a_full_queue_makes_nobody_wait_and_leaves_a_gap_that_is_known() {
    let Place { folder, _place } = place();
    let reader = run(&folder, |to| {
        to.tick(t(0), || everything(State::Up));
        for _ in 0..MAX_WAITING {
            to.verdict(t(5), || saved(State::Down));
        }
        to.verdict(t(6), || saved(State::Up));
        to.tick(t(7), || everything(State::Up));
    });
    assert_eq!(state(&reader, 5), Ok(State::Down));
    drop(reader);
    // As soon as there is room everything is said anew, and since when something was missed.
    let (mut recorder, mut writer, reader) = open(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    recorder.tick(t(20), || everything(State::Up));
    for _ in 0..MAX_WAITING {
        recorder.verdict(t(25), || saved(State::Down));
    }
    runtime.block_on(writer.run(&stop));
    recorder.tick(t(30), || everything(State::Up));
    runtime.block_on(writer.run(&stop));
    assert_eq!(state(&reader, 26), Err(Unknown::Gap { at: t(26), from: t(25), to: t(30) }));
    assert_eq!(state(&reader, 31), Ok(State::Up));
}

#[test]
fn segments_follow_each_other_and_old_ones_go() {
    let Place { folder, _place } = place();
    let days = 12;
    let day = SEGMENT_AGE.as_secs();
    let reader = run(&folder, |to| {
        to.tick(t(0), || everything(State::Up));
        for day_ in 1..=days {
            to.verdict(t(day_ * day), || {
                saved(if day_ % 2 == 0 { State::Up } else { State::Down })
            });
        }
    });
    let segments = Segments::in_folder(&folder).list().unwrap();
    let kept = 1 + history::MAX_AGE.as_secs() / day;
    assert_eq!(segments.len() as u64, kept + 1, "{segments:?}");
    assert_eq!(segments[0].from, t((days - kept) * day));
    assert_eq!(state(&reader, days * day), Ok(State::Up));
    assert_eq!(state(&reader, (days - 1) * day + 1), Ok(State::Down), "of the segment before");
}

#[test]
fn a_torn_tail_costs_what_was_torn() {
    let Place { folder, _place } = place();
    run(&folder, |to| {
        to.tick(t(0), || everything(State::Up));
        to.verdict(t(10), || saved(State::Down));
        to.verdict(t(20), || saved(State::Up));
    });
    let segments = Segments::in_folder(&folder);
    let file = segments.file(t(0));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let reader = Reader::new(segments);
    assert_eq!(state(&reader, 30), Ok(State::Down));
    let reader = run(&folder, |to| to.tick(t(40), || everything(State::Up)));
    assert_eq!((state(&reader, 30), state(&reader, 40)), (Ok(State::Down), Ok(State::Up)));
}

#[test]
fn a_clock_that_was_set_back_writes_no_past() {
    let Place { folder, _place } = place();
    run(&folder, |to| {
        to.tick(t(100), || everything(State::Up));
        to.verdict(t(50), || saved(State::Down));
    });
    let reader = run(&folder, |to| to.tick(t(20), || everything(State::Up)));
    assert_eq!(state(&reader, 100), Ok(State::Down));
    assert_eq!(state(&reader, 101), Ok(State::Up), "the second run begins a moment later");
    assert!(matches!(state(&reader, 50), Err(Unknown::Outside { .. })));
    let segments = Segments::in_folder(&folder).list().unwrap();
    assert_eq!(segments[1].from, t(100) + Duration::from_millis(1));
}

#[test]
fn a_disk_that_refuses_leaves_a_gap_and_stops_nothing() {
    let Place { folder, _place } = place();
    let blocked = folder.path().join(FOLDER);
    fs::write(&blocked, "in the way").unwrap();
    let (mut recorder, mut writer, reader) = open(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    recorder.tick(t(0), || everything(State::Up));
    runtime.block_on(writer.run(&stop));
    fs::remove_file(&blocked).unwrap();
    recorder.verdict(t(5), || saved(State::Down));
    runtime.block_on(writer.run(&stop));
    assert_eq!(state(&reader, 5), Ok(State::Down));
    assert!(matches!(state(&reader, 4), Err(Unknown::Outside { .. })));
    recorder.verdict(t(5) + SECOND, || saved(State::Up));
    runtime.block_on(writer.run(&stop));
    assert_eq!(state(&reader, 6), Ok(State::Up));
}
