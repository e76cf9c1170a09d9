//! A zone's journal: the zone as it was before its first update, and every change since.
//!
//! ```text
//!   AXFR │ record record … │ -old SOA +new SOA -record +record │ -old SOA +new SOA … │ …
//!   └ the whole zone ──────┘ └ one accepted update ────────────┘
//! ```
//!
//! The file is an SQLite database in the form of hickory-server's `Journal`, which makes its tables:
//! one row is one record, with class IN for what came and class NONE for what went, and a row of
//! type AXFR where everything begins anew. One small table is ours: the fingerprint of the master
//! file that the zone began with.
//!
//! hickory's own reading and writing are not used, for reasons that were found in version 0.26.3:
//!
//! * it commits each record by itself, so that a crash leaves half of an update; here an update is
//!   one transaction, and so is the making of the tables, which hickory cannot take up again once
//!   it was interrupted;
//! * reading stops in silence at the first row that cannot be read, and serves what came before;
//!   here that is an error;
//! * it writes the commands of an update and carries them out again when it reads, with all the
//!   rules of the version that reads; here what came of it is written, octet by octet;
//! * it never shrinks; here it is written anew once it is many times as long as the zone.
//!
//! **Durable** means: in the write-ahead log, and that synced (`journal_mode=WAL`,
//! `synchronous=FULL`), when [`Journal::append`] returns. The folder is synced when the file is
//! made, which SQLite leaves to its caller.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dns::name::{Name, NameRef};
use dns::rr::{Class, Rtype, Ttl};
use dns::zone::{Edit, Record, ZoneData};
use hickory_server::store::sqlite;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

/// How long another process that reads or writes the file is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// Rows that a journal may have besides those of the zone itself, before it is written anew.
const SLACK: u64 = 10_000;
/// Longest name of a journal's file: what file systems take, less SQLite's endings.
const MAX_FILE_NAME: usize = 240;

/// A prepared journal: everything of a zone that its first update would have to write, and no sign that
/// there was one. Whoever reads it finds nothing.
pub(super) struct Prepared(Journal);

/// An open journal; one writer.
pub(super) struct Journal {
    inner: sqlite::Journal,
    path: PathBuf,
    /// Of the file: whoever replaces it under a running server takes its updates with it.
    inode: u64,
    rows: u64,
}

/// What a journal holds.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The zone after every update.
    pub data: Arc<ZoneData>,
    /// A fingerprint of the master file that it began with.
    pub origin: u64,
}

/// Why a journal cannot be read or written. The zone goes on as it is.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct JournalError {
    path: String,
    message: String,
}

/// Where the journal of a zone is; an error for names that no file can have.
pub(super) fn path_of(folder: &Path, zone: &Name) -> Result<PathBuf, JournalError> {
    let mut name = String::new();
    for (i, label) in NameRef::labels(zone.as_name()).enumerate() {
        name.push_str(if i > 0 { "." } else { "" });
        for octet in label.iter().map(u8::to_ascii_lowercase) {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(octet)),
                _ => name.push_str(&format!("%{octet:02x}")),
            }
        }
    }
    if name.is_empty() {
        name.push('@');
    }
    let path = folder.join(format!("{name}.journal"));
    if name.len() > MAX_FILE_NAME - ".journal".len() {
        return Err(JournalError {
            path: path.display().to_string(),
            message: "the zone's name is too long for a file".to_owned(),
        });
    }
    Ok(path)
}

/// What the journal at `path` holds; none if there is no file, or nothing in it yet. Changes
/// nothing.
///
/// # Errors
///
/// The file cannot be read, or is none of ours, or holds no valid zone.
pub(super) fn read(path: &Path, zone: &Name) -> Result<Option<Kept>, JournalError> {
    let at = At(path);
    match at.existing()? {
        Some(conn) => at.content(&conn, zone),
        None => Ok(None),
    }
}

/// Whether there is a file at `path` that updates were written to, or that nobody can read.
pub(super) fn is_begun(path: &Path) -> bool {
    let at = At(path);
    let is_begun = |conn: Connection| Ok(at.has_rows(&conn)? && at.origin(&conn)?.is_some());
    let found = at.existing().and_then(|conn| conn.map_or(Ok(false), is_begun));
    found.unwrap_or(true)
}

impl Journal {
    /// Opens a journal for writing.
    ///
    /// # Errors
    ///
    /// There is none, or none of ours, or it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let at = At(path);
        let inode = at.inode()?;
        let conn = at.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        at.prepare(&conn)?;
        if !at.has_rows(&conn)? {
            return Err(at.error("the journal is empty: it held the zone a moment ago"));
        }
        let rows = at.rows(&conn)?;
        let inner = sqlite::Journal::new(conn).map_err(|error| at.error(error))?;
        if inner.schema_version() != sqlite::persistence::CURRENT_VERSION {
            return Err(at.error("a journal of another version"));
        }
        Ok(Self { inner, path: path.to_owned(), inode, rows })
    }

    /// Begins a journal: `zone` as it is, the fingerprint of where it comes from, and the first
    /// updates, all of it or nothing.
    ///
    /// # Errors
    ///
    /// Nothing was kept.
    pub(super) fn begin(
        path: &Path,
        zone: &ZoneData,
        origin: u64,
        edits: &[Edit],
    ) -> Result<Self, JournalError> {
        let mut journal = Self::blank(path)?;
        journal.finish(|conn| {
            write_origin(conn, origin)?;
            Ok(write_zone(conn, zone)? + write_edits(conn, edits)?)
        })?;
        Ok(journal)
    }

    /// Writes what [`begin`](Self::begin) would, but for what makes a journal of it.
    ///
    /// # Errors
    ///
    /// There is a journal, or it cannot be written.
    pub(super) fn prepare(path: &Path, zone: &ZoneData) -> Result<Prepared, JournalError> {
        let mut journal = Self::blank(path)?;
        journal.finish(|conn| write_zone(conn, zone))?;
        Ok(Prepared(journal))
    }

    /// A file with empty tables and a transaction that is to be finished: new, or what was prepared.
    fn blank(path: &Path) -> Result<Self, JournalError> {
        let at = At(path);
        at.make_file()?;
        let conn = at.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        at.prepare(&conn)?;
        let inode = at.inode()?;
        conn.execute_batch("BEGIN IMMEDIATE").map_err(|error| at.error(error))?;
        if at.has_rows(&conn)? && at.origin(&conn)?.is_some() {
            return Err(at.error("there is a journal already, which nobody has read"));
        }
        let mut inner = sqlite::Journal::new(conn).map_err(|error| at.error(error))?;
        inner.schema_up().map_err(|error| at.error(error))?;
        let emptied = inner.conn().execute_batch(
            "CREATE TABLE IF NOT EXISTS geoping (origin INTEGER NOT NULL); DELETE FROM records",
        );
        emptied.map_err(|error| at.error(error))?;
        Ok(Self { inner, path: path.to_owned(), inode, rows: 0 })
    }

    /// Adds updates; on disk when this returns.
    ///
    /// # Errors
    ///
    /// Nothing was kept.
    pub(super) fn append(&mut self, edits: &[Edit]) -> Result<(), JournalError> {
        self.start()?;
        self.finish(|conn| write_edits(conn, edits))
    }

    /// Writes the journal anew if it is many times as long as the zone; says whether it was.
    ///
    /// # Errors
    ///
    /// The journal is as it was.
    pub(super) fn shorten(&mut self, zone: &ZoneData) -> Result<bool, JournalError> {
        let length = zone.records().len() as u64;
        if self.rows <= 2 * length + SLACK {
            return Ok(false);
        }
        self.start()?;
        self.rows = 0;
        self.finish(|conn| {
            conn.execute("DELETE FROM records", [])?;
            write_zone(conn, zone)
        })?;
        Ok(true)
    }

    /// Octets on disk, with the write-ahead log.
    pub(super) fn size(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
        size(&self.path) + size(Path::new(&log))
    }

    fn start(&self) -> Result<(), JournalError> {
        let at = At(&self.path);
        if at.inode()? != self.inode {
            return Err(at.error("the file was replaced while this server runs"));
        }
        let begun = self.inner.conn().execute_batch("BEGIN IMMEDIATE");
        begun.map_err(|error| at.error(error))
    }

    /// Ends the transaction that was begun with what `write` writes, or takes it back.
    fn finish(
        &mut self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<(), JournalError> {
        let conn = self.inner.conn();
        let written = write(&conn).and_then(|rows| {
            conn.execute_batch("COMMIT")?;
            Ok(rows)
        });
        match written {
            Ok(rows) => {
                self.rows += rows;
                Ok(())
            }
            Err(error) => {
                // SQLite may have rolled back by itself (a full disk); then this does nothing.
                let _ = conn.execute_batch("ROLLBACK");
                Err(At(&self.path).error(error))
            }
        }
    }
}

impl Prepared {
    /// Begins the journal of the zone that it was prepared with: the fingerprint of where it comes from, and
    /// the first updates.
    ///
    /// # Errors
    ///
    /// Nothing was kept.
    pub(super) fn begin(self, origin: u64, edits: &[Edit]) -> Result<Journal, JournalError> {
        let Self(mut journal) = self;
        journal.start()?;
        journal.finish(|conn| {
            write_origin(conn, origin)?;
            write_edits(conn, edits)
        })?;
        Ok(journal)
    }
}

/// Names the file in errors.
struct At<'a>(&'a Path);

impl At<'_> {
    fn error(&self, error: impl std::fmt::Display) -> JournalError {
        JournalError { path: self.0.display().to_string(), message: error.to_string() }
    }

    /// The file, to be read; none if there is none, or nothing in it.
    fn existing(&self) -> Result<Option<Connection>, JournalError> {
        match fs::metadata(self.0) {
            Ok(meta) if meta.len() == 0 => Ok(None),
            Ok(_) => self.open(OpenFlags::SQLITE_OPEN_READ_ONLY).map(Some),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    fn inode(&self) -> Result<u64, JournalError> {
        fs::metadata(self.0).map(|meta| meta.ino()).map_err(|error| self.error(error))
    }

    fn open(&self, access: OpenFlags) -> Result<Connection, JournalError> {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(self.0, flags);
        let conn = opened.map_err(|error| self.error(error))?;
        conn.busy_timeout(BUSY).map_err(|error| self.error(error))?;
        Ok(conn)
    }

    /// An empty file for this user only, and its name on disk.
    fn make_file(&self) -> Result<(), JournalError> {
        let made =
            File::options().write(true).create(true).truncate(false).mode(0o600).open(self.0);
        made.map_err(|error| self.error(error))?;
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| self.error(error))
    }

    fn prepare(&self, conn: &Connection) -> Result<(), JournalError> {
        let mode: String = conn
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(|error| self.error(error))?;
        if mode != "wal" {
            return Err(self.error("this file system takes no write-ahead log"));
        }
        conn.pragma_update(None, "synchronous", "FULL").map_err(|error| self.error(error))
    }

    fn has_rows(&self, conn: &Connection) -> Result<bool, JournalError> {
        let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'records'";
        let tables: i64 =
            conn.query_row(table, [], |row| row.get(0)).map_err(|error| self.error(error))?;
        Ok(tables > 0 && self.rows(conn)? > 0)
    }

    fn rows(&self, conn: &Connection) -> Result<u64, JournalError> {
        let count = conn.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0));
        count.map(i64::cast_unsigned).map_err(|error| self.error(error))
    }

    /// The fingerprint that it was begun with; none: it was only prepared.
    fn origin(&self, conn: &Connection) -> Result<Option<u64>, JournalError> {
        let origin = conn.query_row("SELECT origin FROM geoping", [], |row| row.get::<_, i64>(0));
        let origin = origin.optional().map_err(|error| self.error(error))?;
        Ok(origin.map(i64::cast_unsigned))
    }

    fn content(&self, conn: &Connection, zone: &Name) -> Result<Option<Kept>, JournalError> {
        if !self.has_rows(conn)? {
            return Ok(None);
        }
        // What was prepared is no journal yet.
        let Some(origin) = self.origin(conn)? else { return Ok(None) };
        let records = self.records(conn)?;
        let data = ZoneData::new(zone.clone(), records).map_err(|errors| {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            self.error(format!("what it holds is no valid zone: {first}"))
        })?;
        Ok(Some(Kept { data: Arc::new(data), origin }))
    }

    fn records(&self, conn: &Connection) -> Result<Vec<Record>, JournalError> {
        let mut replay = Replay::default();
        let mut read = || -> rusqlite::Result<Result<(), i64>> {
            let mut statement =
                conn.prepare("SELECT _rowid_, record FROM records ORDER BY _rowid_")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if replay.row(row.get_ref(1)?.as_blob()?).is_none() {
                    return Ok(Err(row.get(0)?));
                }
            }
            Ok(Ok(()))
        };
        match read() {
            Ok(Ok(())) => Ok(replay.finish()),
            Ok(Err(row)) => Err(self.error(format!("row {row} cannot be read"))),
            Err(error) => Err(self.error(error)),
        }
    }
}

/// Owner, type and RDATA of a record.
type Identity = (Name, Rtype, Box<[u8]>);

/// Rows carried out one after another.
#[derive(Default)]
struct Replay {
    /// With each record's place in the order of their coming, so that RRsets keep theirs.
    records: HashMap<Identity, (u64, Ttl)>,
    count: u64,
}

impl Replay {
    /// `None` if the row is no record, or goes against what came before.
    fn row(&mut self, row: &[u8]) -> Option<()> {
        let owner = NameRef::parse(row).ok()?;
        let (fixed, rdata) = row[owner.wire_len()..].split_first_chunk::<10>()?;
        let [t0, t1, c0, c1, l0, l1, l2, l3, r0, r1] = *fixed;
        if usize::from(u16::from_be_bytes([r0, r1])) != rdata.len() {
            return None;
        }
        let rtype = Rtype(u16::from_be_bytes([t0, t1]));
        let ttl = Ttl::from_secs(u32::from_be_bytes([l0, l1, l2, l3]));
        let identity = || (owner.to_name(), rtype, rdata.into());
        self.count += 1;
        match Class(u16::from_be_bytes([c0, c1])) {
            _ if rtype == Rtype::AXFR => self.records.clear(),
            Class::IN => {
                self.records.insert(identity(), (self.count, ttl));
            }
            Class::NONE => {
                self.records.remove(&identity())?;
            }
            _ => return None,
        }
        Some(())
    }

    fn finish(self) -> Vec<Record> {
        let mut records: Vec<_> = self.records.into_iter().collect();
        records.sort_by_key(|(_, (place, _))| *place);
        let record =
            |((owner, rtype, rdata), (_, ttl))| Record { owner, rtype, ttl, rdata, position: None };
        records.into_iter().map(record).collect()
    }
}

fn write_origin(conn: &Connection, origin: u64) -> rusqlite::Result<()> {
    conn.execute("INSERT INTO geoping (origin) VALUES (?1)", [origin.cast_signed()]).map(drop)
}

fn write_zone(conn: &Connection, zone: &ZoneData) -> rusqlite::Result<u64> {
    // As hickory marks it: everything before counts no more.
    let marker = row(NameRef::ROOT, Rtype::AXFR, Class::ANY, Ttl::ZERO, &[]);
    let records = zone.records().iter().map(came);
    insert(conn, zone.serial(), std::iter::once(marker).chain(records))
}

fn write_edits(conn: &Connection, edits: &[Edit]) -> rusqlite::Result<u64> {
    let mut count = 0;
    for edit in edits {
        let went = edit.removed().iter().map(|record| {
            row(record.owner.as_name(), record.rtype, Class::NONE, Ttl::ZERO, &record.rdata)
        });
        count += insert(conn, edit.serial(), went.chain(edit.added().iter().map(came)))?;
    }
    Ok(count)
}

fn insert(
    conn: &Connection,
    serial: u32,
    rows: impl Iterator<Item = Vec<u8>>,
) -> rusqlite::Result<u64> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO records (client_id, soa_serial, timestamp, record) \
         VALUES (0, ?1, datetime('now'), ?2)",
    )?;
    let mut count = 0;
    for row in rows {
        count += statement.execute(params![serial, row])? as u64;
    }
    Ok(count)
}

fn came(record: &Record) -> Vec<u8> {
    row(record.owner.as_name(), record.rtype, Class::IN, record.ttl, &record.rdata)
}

/// A record in wire form, no name compressed.
fn row(owner: NameRef<'_>, rtype: Rtype, class: Class, ttl: Ttl, rdata: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(owner.wire_len() + 10 + rdata.len());
    octets.extend_from_slice(owner.wire());
    octets.extend_from_slice(&rtype.0.to_be_bytes());
    octets.extend_from_slice(&class.0.to_be_bytes());
    octets.extend_from_slice(&ttl.as_secs().to_be_bytes());
    // A checked record's RDATA has at most 65,535 octets.
    octets.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    octets.extend_from_slice(rdata);
    octets
}

/// Of a zone's records, whatever their order: tells a changed master file from the same one.
pub(crate) fn fingerprint(zone: &ZoneData) -> u64 {
    use std::hash::Hasher;
    let of = |record: &Record| {
        let mut hasher = siphasher::sip::SipHasher13::new();
        let octets =
            row(record.owner.as_name(), record.rtype, Class::IN, record.ttl, &record.rdata);
        hasher.write(&octets);
        hasher.finish()
    };
    zone.records().iter().map(of).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests;
