//! The history on disk: segments in `[state] dir`/history, one writer, any number of readers.
//!
//! ```text
//!  keeper ──Recorder──▶ bounded queue ──▶ Writer ──▶ 0001700000000000.history, …
//!            never waits: what finds the queue full is counted, and followed by a Base
//! ```
//!
//! Records are handed to the system one by one and synced with each pulse: a killed process loses
//! none, a power failure a minute.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::history::{self, Entry, Known, Record, SEGMENT_AGE, SEGMENT_BYTES, Segment};
use crate::monitor::unix_ms;

use super::state::Folder;

mod reader;
mod recorder;

pub use reader::{Missing, Reader};
pub use recorder::Recorder;

/// Records that may wait for the disk. All targets of a large plan may flip at once.
const MAX_WAITING: usize = 4096;
/// Records written in one go.
const BATCH: usize = 256;
const FOLDER: &str = "history";
const EXTENSION: &str = "history";

/// The folder of segments.
#[derive(Debug, Clone)]
struct Segments(PathBuf);

impl Segments {
    fn in_folder(folder: &Folder) -> Self {
        Self(folder.path().join(FOLDER))
    }

    fn file(&self, from: SystemTime) -> PathBuf {
        self.0.join(format!("{:016}.{EXTENSION}", unix_ms(from)))
    }

    /// What is there, in the order of their beginnings. What is called otherwise is not ours.
    fn list(&self) -> io::Result<Vec<Segment>> {
        let mut segments = Vec::new();
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(segments),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(from) = name.to_str().and_then(began) else { continue };
            let octets = entry.metadata()?.len();
            segments.push(Segment { from, octets });
        }
        segments.sort_by_key(|segment| segment.from);
        Ok(segments)
    }

    fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }
}

fn began(name: &str) -> Option<SystemTime> {
    let ms = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}

/// Where the keeper puts records, and what writes them.
pub fn open(folder: &Folder) -> (Recorder, Writer, Reader) {
    let (to, records) = mpsc::channel(MAX_WAITING);
    let segments = Segments::in_folder(folder);
    let writer = Writer {
        records: Some(records),
        disk: Some(Disk {
            segments: segments.clone(),
            known: Known::default(),
            current: None,
            last: SystemTime::UNIX_EPOCH,
            missed_since: None,
        }),
    };
    (Recorder::new(to), writer, Reader::new(segments))
}

/// Writes records down.
pub struct Writer {
    records: Option<mpsc::Receiver<Record>>,
    /// Out while a batch is written on another thread.
    disk: Option<Disk>,
}

impl Writer {
    /// Writes until told to stop, then what still waits.
    pub async fn run(&mut self, stop: &CancellationToken) {
        let (Some(mut records), Some(mut disk)) = (self.records.take(), self.disk.take()) else {
            // A run that panicked took them along; the keeper counts what it cannot hand over.
            return tracing::error!("the history ended with a fault; nothing is recorded any more");
        };
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = tokio::select! {
                received = records.recv_many(&mut batch, BATCH) => received,
                () = stop.cancelled(), if records.is_empty() => break,
            };
            if received == 0 {
                break;
            }
            let full = std::mem::take(&mut batch);
            let writing = tokio::task::spawn_blocking(move || {
                disk.write_all(&full);
                disk
            });
            disk = match writing.await {
                Ok(disk) => disk,
                Err(error) => return tracing::error!(%error, "the history ended with a fault"),
            };
        }
        (self.records, self.disk) = (Some(records), Some(disk));
    }
}

/// The segment being written, and what its successor would begin with.
struct Disk {
    segments: Segments,
    known: Known,
    current: Option<Current>,
    /// Of the last record: times on disk never go back, whatever the clock does.
    last: SystemTime,
    /// The disk refused since then.
    missed_since: Option<SystemTime>,
}

struct Current {
    file: File,
    from: SystemTime,
    /// Beside its base.
    octets: u64,
}

impl Disk {
    fn write_all(&mut self, records: &[Record]) {
        for record in records {
            let at = record.at.max(self.last);
            self.known.take(&record.entry);
            if let Err(error) = self.write(at, &record.entry) {
                if self.missed_since.is_none() {
                    let folder = self.segments.0.display();
                    tracing::error!(%error, %folder, "the history cannot be written");
                }
                self.missed_since.get_or_insert(at);
                self.current = None;
                metrics::counter!("dnsrouter_history_dropped_total", "cause" => "disk")
                    .increment(1);
            }
            self.last = at;
        }
    }

    fn write(&mut self, at: SystemTime, entry: &Entry) -> io::Result<()> {
        let age = |from| at.duration_since(from).unwrap_or_default();
        let goes_on = |current: &&mut Current| {
            current.octets < SEGMENT_BYTES && age(current.from) < SEGMENT_AGE
        };
        let Some(current) = self.current.as_mut().filter(goes_on) else {
            return self.begin(at, entry);
        };
        let octets = history::encode(&Record { at, entry: entry.clone() })?;
        current.file.write_all(&octets)?;
        current.octets += octets.len() as u64;
        if matches!(entry, Entry::Pulse) {
            current.file.sync_data()?;
        }
        metrics::counter!("dnsrouter_history_records_total").increment(1);
        Ok(())
    }

    /// A new segment, which begins with everything that is known; `entry` is part of that.
    fn begin(&mut self, at: SystemTime, entry: &Entry) -> io::Result<()> {
        self.segments.make()?;
        let missed = match entry {
            Entry::Base(base) => base.missed_since,
            _ => None,
        };
        let newest = self.segments.list()?.last().map(|segment| segment.from);
        // Two of one millisecond, or of a clock that was set back, still follow each other.
        let after = newest.and_then(|newest| newest.checked_add(Duration::from_millis(1)));
        let at = after.map_or(at, |after| at.max(after));
        let base = self.known.base([self.missed_since, missed].into_iter().flatten().min());
        let octets = history::encode(&Record { at, entry: Entry::Base(base) })?;
        let path = self.segments.file(at);
        let mut file = File::options().append(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&octets)?;
        file.sync_all()?;
        File::open(&self.segments.0)?.sync_all()?;
        self.last = at;
        self.missed_since = None;
        self.current = Some(Current { file, from: at, octets: 0 });
        metrics::counter!("dnsrouter_history_records_total").increment(1);
        self.forget(at);
        Ok(())
    }

    fn forget(&self, now: SystemTime) {
        let Ok(segments) = self.segments.list() else { return };
        let gone = history::outdated(&segments, now);
        for segment in &segments[..gone] {
            if let Err(error) = fs::remove_file(self.segments.file(segment.from)) {
                tracing::warn!(%error, "an old segment of the history stays");
            }
        }
        let octets: u64 = segments[gone..].iter().map(|segment| segment.octets).sum();
        metrics::gauge!("dnsrouter_history_bytes").set(octets as f64);
    }
}

/// Whether `path` is small enough to be read whole, and its content.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    daemon::files::read(path, history::MAX_BYTES).map(|content| content.octets).map_err(|error| {
        match error {
            daemon::files::ReadError::System(error) => error,
            other => io::Error::other(other.to_string()),
        }
    })
}

#[cfg(test)]
mod tests;
