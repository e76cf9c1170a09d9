//! Takes what the answering threads record of clients, adds it up, and keeps it in `[state] dir`.
//!
//! ```text
//!   rings ──each tenth of a second──▶ records ──a batch, or 5 s──▶ Tally ──5 min, stop──▶ clients.txt
//!                                                                    └──▶ people, `load`
//! ```
//!
//! The work is done beside the runtime's threads. What cannot be written is kept in memory, told once
//! a try, and tried again; nothing else waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daemon::files::{self, ReadError};
use geo::{Population, TooMany};
use ipnet::IpNet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::census::{Figures, Prefix, Reader, Recorder, Settings, Tally, ring};

use super::state::Folder;

/// The file in the folder; what `geoip plan --clients` reads.
const FILE: &str = "clients.txt";
/// As many of the longest lines as there may be prefixes, and some.
const MAX_SIZE: u64 = 128 << 20;
/// Before a ring of the busiest thread is full.
const TAKE: Duration = Duration::from_millis(100);
/// Records wait at most so long to be counted: people who look see what happens.
const COUNT: Duration = Duration::from_secs(5);
/// Records that are counted at once: 2 MiB, sorted in some milliseconds, so that a pass over all that
/// is kept serves many.
const BATCH: usize = 1 << 18;
/// From one writing to the next: a crash costs so much. A million prefixes are 20 MB.
const WRITE: Duration = Duration::from_secs(300);

/// What this node knows of its clients.
#[derive(Debug)]
pub struct Census {
    settings: Settings,
    readers: Mutex<Vec<Reader>>,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    tally: Tally,
    /// Until when the past has faded.
    at: Instant,
}

/// What is known, for people.
#[derive(Debug)]
pub struct Seen {
    /// With what it is counted.
    pub settings: Settings,
    /// IPv4 and IPv6.
    pub figures: [Figures; 2],
    /// The prefixes with most answers, the largest first.
    pub largest: Vec<(IpNet, u64)>,
}

impl Census {
    /// Goes on from what the last run left in the folder.
    pub fn open(settings: Settings, folder: Option<&Folder>) -> Self {
        let mut tally = Tally::new(settings);
        if let Some(kept) = folder.and_then(read) {
            tally.restore(kept.iter());
        }
        let counted = Counted { tally, at: Instant::now() };
        Self { settings, readers: Mutex::default(), counted: Mutex::new(counted) }
    }

    /// For one more thread that answers.
    pub fn recorder(&self) -> Recorder {
        let (recorder, reader) = ring();
        self.readers().push(reader);
        recorder
    }

    /// With what it counts.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// All counts. Takes as long as a copy of them.
    ///
    /// # Errors
    ///
    /// There are more than fit a population.
    pub fn population(&self) -> Result<Population, TooMany> {
        let tally = self.now().tally.clone();
        Population::new(tally.counts())
    }

    /// The figures, and so many prefixes.
    pub fn look(&self, most: usize) -> Seen {
        let counted = self.now();
        let Counted { tally, .. } = &*counted;
        let (figures, largest) = (tally.figures(), tally.largest(most));
        Seen { settings: self.settings, figures, largest }
    }

    /// Moves what is recorded to `records`; returns how many were lost for want of room in a ring.
    fn take(&self, records: &mut Vec<Prefix>) -> u64 {
        let mut readers = self.readers();
        let lost = readers.iter_mut().map(|reader| {
            reader.take(records, BATCH);
            reader.lost()
        });
        let lost = lost.sum();
        readers.retain_mut(|reader| !reader.is_done());
        lost
    }

    /// Counts records; none are left.
    fn count(&self, records: &mut Vec<Prefix>) {
        let mut counted = self.counted();
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut counted.at, now));
        counted.tally.add(records, passed);
    }

    /// As it is at this moment.
    fn now(&self) -> MutexGuard<'_, Counted> {
        let mut counted = self.counted();
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut counted.at, now));
        counted.tally.forget(passed);
        counted
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts, and keeps the counts of `node` in the folder, until told to stop; then once more.
pub async fn run(
    census: Arc<Census>,
    node: String,
    folder: Option<Folder>,
    stop: CancellationToken,
) {
    let keeping = async {
        let Some(folder) = &folder else { return };
        let mut tick = tokio::time::interval_at((Instant::now() + WRITE).into(), WRITE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => write(&census, &node, folder).await,
                () = stop.cancelled() => return,
            }
        }
    };
    tokio::join!(count(&census, &stop), keeping);
    if let Some(folder) = &folder {
        write(&census, &node, folder).await;
    }
}

async fn count(census: &Arc<Census>, stop: &CancellationToken) {
    let mut records = Vec::new();
    let mut last = Instant::now();
    let mut tick = tokio::time::interval(TAKE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stopped = tokio::select! {
            _ = tick.tick() => false,
            () = stop.cancelled() => true,
        };
        let before = records.len();
        let lost = census.take(&mut records);
        metrics::counter!("dnsrouter_client_answers_lost_total").increment(lost);
        let new = records.len() - before;
        metrics::counter!("dnsrouter_client_answers_total").increment(new as u64);
        let due = records.len() >= BATCH / 2 || last.elapsed() >= COUNT;
        if due || stopped {
            last = Instant::now();
            records = counted(Arc::clone(census), records).await;
        }
        if stopped {
            return;
        }
    }
}

/// Counts the records, and gives their room back.
async fn counted(census: Arc<Census>, mut records: Vec<Prefix>) -> Vec<Prefix> {
    let counting = tokio::task::spawn_blocking(move || {
        census.count(&mut records);
        tell(census.counted().tally.figures());
        records
    });
    counting.await.unwrap_or_else(|_| {
        tracing::error!("answers to some clients were not counted, by a defect of ours; going on");
        Vec::new()
    })
}

fn tell(figures: [Figures; 2]) {
    for (family, figures) in ["ipv4", "ipv6"].into_iter().zip(figures) {
        let Figures { prefixes, short, evicted, .. } = figures;
        metrics::gauge!("dnsrouter_client_prefixes", "family" => family).set(prefixes as f64);
        metrics::gauge!("dnsrouter_client_count_error", "family" => family).set(short);
        metrics::counter!("dnsrouter_client_prefixes_evicted_total", "family" => family)
            .absolute(evicted);
    }
}

async fn write(census: &Arc<Census>, node: &str, folder: &Folder) {
    let (census, folder) = (Arc::clone(census), folder.clone());
    let about = about(node, census.settings());
    let writing = tokio::task::spawn_blocking(move || {
        let text = census.population().map(|population| text(&population, &about));
        let text = text.map_err(|many| many.to_string())?;
        folder.replace(FILE, text.as_bytes()).map_err(|error| error.to_string())
    });
    let failed = writing.await.unwrap_or_else(|panicked| Err(panicked.to_string())).err();
    metrics::gauge!("dnsrouter_client_counts_unsaved").set(f64::from(u8::from(failed.is_some())));
    if let Some(error) = failed {
        tracing::warn!(
            error,
            "the counts of clients were not written; counting goes on, a restart would lose what \
             is new"
        );
    }
}

/// What is said of the counts in their first line.
pub fn about(node: &str, settings: Settings) -> String {
    let half_life = humantime::format_duration(settings.half_life);
    format!("answers of {node} by client prefix, half forgotten in {half_life}")
}

/// In the form that is kept.
pub fn text(population: &Population, about: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = population.write(&mut text, about);
    text
}

/// What the last run left, if that can be read; else it is put aside.
fn read(folder: &Folder) -> Option<Population> {
    let path = folder.path().join(FILE);
    let octets = match files::read(&path, MAX_SIZE) {
        Ok(content) => Ok(content.octets),
        Err(ReadError::System(missing)) if missing.kind() == std::io::ErrorKind::NotFound => {
            return None;
        }
        Err(error) => Err(error.to_string()),
    };
    let text = octets.and_then(|octets| String::from_utf8(octets).map_err(|e| e.to_string()));
    let read = text.and_then(|text| {
        Population::parse(&text).map_err(|error| format!("line {}: {error}", error.line))
    });
    match read {
        Ok(population) => Some(population),
        Err(reason) => {
            let aside = folder.path().join(format!("{FILE}.unreadable"));
            let moved = std::fs::rename(&path, &aside).is_ok();
            tracing::error!(
                file = %path.display(), reason, moved, aside = %aside.display(),
                "the kept counts of clients cannot be read; beginning without them"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SETTINGS: Settings = Settings { most: 1000, half_life: Duration::from_secs(86_400) };

    async fn run_once(census: Arc<Census>, folder: &Folder) {
        let stop = CancellationToken::new();
        stop.cancel();
        run(census, "ns1".into(), Some(folder.clone()), stop).await;
    }

    #[tokio::test]
    async fn what_was_recorded_is_written_at_the_end_and_read_at_the_beginning() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        for round in 1..=2 {
            let census = Arc::new(Census::open(SETTINGS, Some(&folder)));
            let mut recorder = census.recorder();
            for address in ["192.0.2.1", "192.0.2.9", "2001:db8::1"] {
                recorder.record(address.parse().unwrap());
            }
            // Also what a thread recorded that is gone.
            drop(recorder);
            run_once(Arc::clone(&census), &folder).await;
            assert!(census.readers().is_empty());
            let written = fs::read_to_string(place.path().join(FILE)).unwrap();
            let expected = format!(
                "# answers of ns1 by client prefix, half forgotten in 1day\n192.0.2.0/24 {}\n2001:db8::/48 {round}\n",
                2 * round
            );
            assert_eq!(written, expected);
            assert_eq!(census.look(1).largest[0].1, 2 * round);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_stays_in_memory_and_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let in_the_way = place.path().join(FILE);
        fs::create_dir(&in_the_way).unwrap();
        fs::write(in_the_way.join("x"), "").unwrap();
        let census = Arc::new(Census::open(SETTINGS, None));
        let mut recorder = census.recorder();
        recorder.record("192.0.2.1".parse().unwrap());
        run_once(Arc::clone(&census), &folder).await;
        assert_eq!(census.population().unwrap().total(), 1);
        assert!(!place.path().join("clients.txt.new").exists());
        recorder.record("192.0.2.1".parse().unwrap());
        fs::remove_dir_all(&in_the_way).unwrap();
        run_once(Arc::clone(&census), &folder).await;
        assert!(fs::read_to_string(&in_the_way).unwrap().ends_with("\n192.0.2.0/24 2\n"));
    }

    #[test]
    fn a_file_that_is_none_is_put_aside() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        for content in [&b"192.0.2.0/24 many\n"[..], b"\xff\xfe", b"192.0.2.0/24"] {
            fs::write(place.path().join(FILE), content).unwrap();
            let census = Census::open(SETTINGS, Some(&folder));
            assert!(census.population().unwrap().is_empty());
            let aside = fs::read(place.path().join("clients.txt.unreadable")).unwrap();
            assert_eq!(aside, content);
            assert!(!place.path().join(FILE).exists());
        }
    }
}
