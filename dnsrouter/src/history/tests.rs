//! Records there and back, moments, gaps and what is forgotten.

use proptest::prelude::*;

use super::*;
use crate::health::State;
use crate::overrides::{Order, Subject};

const SECOND: Duration = Duration::from_secs(1);

fn t(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + seconds * SECOND
}

fn saved(state: State) -> Saved {
    Saved { address: "a:443".into(), region: "r".into(), state, since_unix_ms: 7 }
}

fn said(until: Option<SystemTime>) -> Override {
    Override {
        subject: Subject::Region("r".into()),
        order: Order::Down,
        who: "ada".into(),
        why: String::new(),
        made: t(0),
        until,
    }
}

fn base(state: State) -> Entry {
    let plan = Arc::new(Written { text: "one".into(), ..Written::default() });
    let (verdicts, overrides) = (vec![saved(state)], Vec::new());
    Entry::Base(Base { plan, verdicts, overrides, missed_since: None })
}

/// What a change of plan leaves, made of what is there.
fn plan(text: &str, state: State, overrides: Vec<Override>) -> Entry {
    let plan = Arc::new(Written { text: text.into(), ..Written::default() });
    Entry::Base(Base { plan, verdicts: vec![saved(state)], overrides, missed_since: None })
}

fn story() -> Vec<Record> {
    let at = |seconds, entry| Record { at: t(seconds), entry };
    vec![
        at(0, base(State::Up)),
        at(60, Entry::Pulse),
        at(90, Entry::Verdict(saved(State::Down))),
        at(100, Entry::Overrides(vec![said(Some(t(130)))])),
        at(120, plan("two", State::Down, vec![said(Some(t(130)))])),
        at(150, Entry::Verdict(saved(State::Up))),
    ]
}

fn seen(seconds: u32) -> Result<(String, State, usize), Unknown> {
    let moment = Moment::find(story(), t(seconds))?;
    Ok((moment.plan.text.clone(), moment.verdicts[0].state, moment.overrides.len()))
}

#[test]
fn a_moment_is_what_was_last_said_before_it() {
    let of = |text: &str, state, overrides| Ok((text.to_owned(), state, overrides));
    assert_eq!(seen(0), of("one", State::Up, 0));
    assert_eq!(seen(89), of("one", State::Up, 0));
    assert_eq!(seen(90), of("one", State::Down, 0));
    assert_eq!(seen(119), of("one", State::Down, 1));
    assert_eq!(seen(120), of("two", State::Down, 1));
    assert_eq!(seen(130), of("two", State::Down, 0), "it is over by itself");
    assert_eq!(seen(151), of("two", State::Up, 0));
}

#[test]
fn before_and_long_after_is_outside() {
    let before = SystemTime::UNIX_EPOCH;
    let found = Moment::find(story(), before).unwrap_err();
    assert_eq!(found, Unknown::Outside { at: before, from: t(0), to: t(0) });
    let outside = |at| Err(Unknown::Outside { at, from: t(0), to: t(150) });
    assert_eq!(seen(150 + 151), outside(t(301)));
    assert!(seen(150 + 150).is_ok());
    assert_eq!(Moment::find([], t(0)).unwrap_err(), Unknown::Empty);
    let told = seen(301).unwrap_err().to_string();
    assert_eq!(
        told,
        "2023-11-14T22:18:21Z is outside the history, which reaches from 2023-11-14T22:13:20Z to \
         2023-11-14T22:15:50Z"
    );
}

#[test]
fn where_nobody_wrote_nothing_is_known() {
    let mut records = story();
    records.push(Record { at: t(1000), entry: base(State::Down) });
    let find = |records: &[Record], seconds| Moment::find(records.to_vec(), t(seconds));
    let gap = Unknown::Gap { at: t(500), from: t(150), to: t(1000) };
    assert_eq!(find(&records, 500), Err(gap));
    assert!(find(&records, 1000).is_ok() && find(&records, 200).is_ok());
    // Nobody was silent, but what was said did not reach the disk.
    let Entry::Base(whole) = base(State::Down) else { unreachable!() };
    let missed = Base { missed_since: Some(t(160)), ..whole };
    records.truncate(6);
    records.push(Record { at: t(200), entry: Entry::Base(missed) });
    assert!(find(&records, 159).is_ok());
    let gap = Unknown::Gap { at: t(160), from: t(160), to: t(200) };
    assert_eq!(find(&records, 160), Err(gap));
}

fn on_disk() -> Vec<u8> {
    story().iter().flat_map(|record| encode(record).unwrap()).collect()
}

#[test]
fn a_base_holds_what_was_known() {
    let mut known = Known::default();
    story().iter().for_each(|record| known.take(&record.entry));
    let again = [Record { at: t(151), entry: Entry::Base(known.base(None)) }];
    assert_eq!(Moment::find(again, t(151)), Moment::find(story(), t(151)));
}

proptest! {
    /// Wherever a crash cuts, and whichever octet a disk turns: what is read was written.
    #[test]
    fn torn_and_damaged_segments_give_a_beginning_of_what_was_written(
        cut in 0.0..1.0_f64, flip in proptest::option::of((0.0..1.0_f64, 0..8_u8)),
    ) {
        let (whole, story) = (on_disk(), story());
        let place = |share: f64, of: usize| (share * of as f64) as usize;
        let mut octets = whole[..place(cut, whole.len() + 1)].to_vec();
        if let Some((at, bit)) = flip && !octets.is_empty() {
            let at = place(at, octets.len());
            octets[at] ^= 1 << bit;
        }
        let read: Vec<Record> = decode(&octets).collect();
        prop_assert!(story.starts_with(&read));
        if flip.is_none() {
            let written: usize = read.iter().map(|record| encode(record).unwrap().len()).sum();
            let next = story.get(read.len()).map_or(0, |record| encode(record).unwrap().len());
            prop_assert!(next == 0 || octets.len() < written + next, "all that is whole is read");
        }
    }

    /// Nothing makes reading panic.
    #[test]
    fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&octets).count() < 17);
    }

    /// Whatever lies there: the newest stays, and what stays is small and young enough.
    #[test]
    fn what_is_kept_is_bounded(
        sizes in proptest::collection::vec((0..40_000_000_u64, 0..200_000_u32), 1..30),
    ) {
        let mut from = t(0);
        let segments: Vec<Segment> = sizes.iter().map(|(octets, seconds)| {
            from += *seconds * SECOND;
            Segment { from, octets: *octets }
        }).collect();
        let gone = outdated(&segments, from);
        let left = &segments[gone..];
        prop_assert!(!left.is_empty());
        let total: u64 = left.iter().map(|segment| segment.octets).sum();
        prop_assert!(total <= MAX_BYTES || left.len() == 1);
        prop_assert!(left.len() == 1 || from.duration_since(left[1].from).unwrap() <= MAX_AGE);
        if gone > 0 {
            let with_one_more: u64 = segments[gone - 1..].iter().map(|s| s.octets).sum();
            let old = from.duration_since(segments[gone].from).unwrap() > MAX_AGE;
            prop_assert!(old || with_one_more > MAX_BYTES, "nothing goes without need");
        }
    }
}

#[test]
fn a_record_that_is_no_longer_understood_ends_a_segment() {
    let json = br#"{"at":1,"entry":{"prophecy":1}}"#;
    let mut octets = on_disk();
    octets.extend(u32::try_from(json.len()).unwrap().to_le_bytes());
    octets.extend(sum(json).to_le_bytes());
    octets.extend(json);
    octets.extend(on_disk());
    assert_eq!(decode(&octets).count(), story().len());
}
