//! What a journal keeps, whatever happens to it.

use super::*;
use dns::update::{Changes, Entry};
use std::os::unix::fs::PermissionsExt;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, rtype: Rtype, rdata: &str) -> Record {
    let rdata = dns::rdata::parse(rtype, rdata, &Name::root()).unwrap();
    Record { owner: name(owner), rtype, ttl: Ttl::from_secs(300), rdata, position: None }
}

/// Names in capitals, and data of every kind that somebody could change on the way.
fn zone() -> ZoneData {
    let records = vec![
        record("Example", Rtype::SOA, "Ns.example. h.example. 7 2 3 4 60"),
        record("example", Rtype::NS, "Ns.Example."),
        record("a.example", Rtype::MX, "10 Mail.example."),
        record("b.example", Rtype::TXT, "\"one\" \"two\""),
        record("b.example", Rtype::TXT, "\"\""),
        record("c.example", Rtype(65280), "\\# 3 c00c00"),
        record("c.example", Rtype::NULL, "\\# 0"),
        record("d.example", Rtype::HTTPS, "1 . alpn=h2 key65280=x"),
    ];
    ZoneData::new(name("example"), records).unwrap()
}

fn add(zone: &mut ZoneData, owner: &str, ttl: u32, text: &str) -> Edit {
    let rdata = dns::rdata::parse(Rtype::TXT, text, &Name::root()).unwrap();
    let entry = Entry { owner: name(owner), rtype: Rtype::TXT, class: Class::IN, ttl, rdata };
    change(zone, entry)
}

fn delete(zone: &mut ZoneData, owner: &str) -> Edit {
    let rdata = Box::default();
    let entry = Entry { owner: name(owner), rtype: Rtype::ANY, class: Class::ANY, ttl: 0, rdata };
    change(zone, entry)
}

fn change(zone: &mut ZoneData, entry: Entry) -> Edit {
    let changes = Changes::read(zone.apex(), vec![entry]).unwrap();
    let edit = zone.edit(&changes).unwrap().edit.unwrap();
    zone.apply(&edit);
    edit
}

fn same(kept: &Kept, zone: &ZoneData) {
    let lines = |zone: &ZoneData| -> Vec<String> {
        let line = |r: &Record| format!("{:?} {} {} {:?}", r.owner.wire(), r.ttl, r.rtype, r.rdata);
        zone.records().iter().map(line).collect()
    };
    assert_eq!(lines(&kept.data), lines(zone));
}

#[test]
fn what_was_kept_is_there_octet_by_octet() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("Example")).unwrap();
    assert!(read(&path, &name("example")).unwrap().is_none());
    let mut zone = zone();
    let before = zone.clone();
    let first = add(&mut zone, "New.example", 60, "x");
    let mut journal = Journal::begin(&path, &before, 77, &[first]).unwrap();
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
    // A record that is changed, one whose set takes another TTL, names that go.
    let edits = [
        add(&mut zone, "b.example", 5, "\"three\""),
        delete(&mut zone, "a.example"),
        delete(&mut zone, "c.example"),
    ];
    journal.append(&edits).unwrap();
    let kept = read(&path, &name("example")).unwrap().unwrap();
    same(&kept, &zone);
    assert_eq!((kept.origin, kept.data.serial()), (77, 11));
    // Another process goes on, where this one ended without a word.
    std::mem::forget(journal);
    let mut journal = Journal::open(&path).unwrap();
    let edit = add(&mut zone, "b.example", 5, "\"four\"");
    journal.append(&[edit]).unwrap();
    assert!(!journal.shorten(&zone).unwrap());
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
}

#[test]
fn an_acknowledged_update_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    let edit = add(&mut zone, "x.example", 60, "x");
    drop(Journal::begin(&path, &before, 0, &[edit]).unwrap());
    let journal = Journal::open(&path).unwrap();
    let conn = journal.inner.conn();
    let pragma = |pragma| conn.query_row(pragma, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("PRAGMA synchronous"), 2, "FULL");
    let mode = conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    assert_eq!(mode.unwrap(), "wal");
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
}

#[test]
fn what_cannot_be_written_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    let edit = add(&mut zone, "x.example", 60, "x");
    let mut journal = Journal::begin(&path, &before, 0, std::slice::from_ref(&edit)).unwrap();
    let known = zone.clone();
    let full = add(&mut zone, "y.example", 60, &"\"y\" ".repeat(20_000));
    // No page more: a full disk, as SQLite sees it.
    let limit = journal.inner.conn().query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0));
    journal.inner.conn().pragma_update(None, "max_page_count", limit.unwrap()).unwrap();
    let error = journal.append(&[full]).unwrap_err().to_string();
    assert!(error.contains("full"), "{error}");
    same(&read(&path, &name("example")).unwrap().unwrap(), &known);
    // The same journal goes on as soon as there is room.
    journal.inner.conn().pragma_update(None, "max_page_count", 1 << 30).unwrap();
    let mut zone = known;
    let edit = add(&mut zone, "z.example", 60, "z");
    journal.append(&[edit]).unwrap();
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
    // A file that was taken away, or is another one, takes no updates.
    fs::rename(&path, folder.path().join("away")).unwrap();
    let edit = add(&mut zone, "w.example", 60, "w");
    assert!(journal.append(std::slice::from_ref(&edit)).is_err());
    fs::copy(folder.path().join("away"), &path).unwrap();
    let error = journal.append(&[edit]).unwrap_err().to_string();
    assert!(error.contains("replaced"), "{error}");
    // Nobody begins anew where something is.
    let other = folder.path().join("other");
    drop(Journal::begin(&other, &zone, 0, &[]).unwrap());
    assert!(Journal::begin(&other, &zone, 0, &[]).is_err());
}

#[test]
fn a_beginning_that_was_cut_off_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    let edit = add(&mut zone, "x.example", 60, "x");
    // Killed right after the file was made, after the tables, and inside the transaction.
    fs::write(&path, "").unwrap();
    assert!(read(&path, &name("example")).unwrap().is_none());
    let conn = Connection::open(&path).unwrap();
    At(&path).prepare(&conn).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE; CREATE TABLE tdns_schema (version INTEGER NOT NULL)")
        .unwrap();
    std::mem::forget(conn);
    assert!(read(&path, &name("example")).unwrap().is_none());
    let other = folder.path().join("other");
    fs::copy(&path, &other).unwrap();
    drop(Journal::begin(&other, &before, 0, &[edit]).unwrap());
    same(&read(&other, &name("example")).unwrap().unwrap(), &zone);
}

#[test]
fn what_is_prepared_is_no_journal_until_the_first_update() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    // Another process prepared for another content, and nobody updated it.
    let mut other = before.clone();
    add(&mut other, "other.example", 60, "x");
    drop(Journal::prepare(&path, &other).unwrap());
    assert!(read(&path, &name("example")).unwrap().is_none() && !is_begun(&path));
    let prepared = Journal::prepare(&path, &before).unwrap();
    assert!(read(&path, &name("example")).unwrap().is_none() && !is_begun(&path));
    let edit = add(&mut zone, "x.example", 60, "x");
    let mut journal = prepared.begin(77, &[edit]).unwrap();
    let kept = read(&path, &name("example")).unwrap().unwrap();
    same(&kept, &zone);
    assert!(is_begun(&path) && kept.origin == 77);
    let edit = add(&mut zone, "y.example", 60, "y");
    journal.append(&[edit]).unwrap();
    let kept = read(&path, &name("example")).unwrap().unwrap();
    same(&kept, &zone);
    assert_eq!(journal.rows, Journal::open(&path).unwrap().rows);
    // Nothing is prepared where a journal is.
    drop(journal);
    assert!(Journal::prepare(&path, &before).is_err());
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
}

#[test]
fn what_was_prepared_and_taken_away_begins_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    let edit = add(&mut zone, "x.example", 60, "x");
    let prepared = Journal::prepare(&path, &before).unwrap();
    fs::rename(&path, folder.path().join("away")).unwrap();
    assert!(prepared.begin(7, std::slice::from_ref(&edit)).is_err());
    drop(Journal::begin(&path, &before, 7, std::slice::from_ref(&edit)).unwrap());
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
    // What was prepared does not stand in the way of who begins without it.
    let other = folder.path().join("other");
    drop(Journal::prepare(&other, &zone).unwrap());
    drop(Journal::begin(&other, &before, 7, &[edit]).unwrap());
    same(&read(&other, &name("example")).unwrap().unwrap(), &zone);
}

#[test]
fn what_is_none_of_ours_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    fs::write(&path, "not a database, and longer than nothing").unwrap();
    assert!(read(&path, &name("example")).is_err());
    fs::remove_file(&path).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    let edit = add(&mut zone, "x.example", 60, "x");
    let journal = Journal::begin(&path, &before, 0, &[edit]).unwrap();
    let row = |row: &[u8]| {
        let conn = journal.inner.conn();
        let sql = "INSERT INTO records VALUES (0, 0, '', ?1)";
        conn.execute(sql, [row]).unwrap();
        let error = read(&path, &name("example")).unwrap_err().to_string();
        conn.execute("DELETE FROM records WHERE _rowid_ = (SELECT max(_rowid_) FROM records)", [])
            .unwrap();
        error
    };
    let good = super::row(name("q.example").as_name(), Rtype::TXT, Class::IN, Ttl::ZERO, b"\x01q");
    for length in 0..good.len() {
        assert!(row(&good[..length]).contains("cannot be read"), "{length}");
    }
    let gone =
        super::row(name("q.example").as_name(), Rtype::TXT, Class::NONE, Ttl::ZERO, b"\x01q");
    assert!(row(&gone).contains("cannot be read"), "what was never there cannot go");
    let outside = super::row(name("q.net").as_name(), Rtype::TXT, Class::IN, Ttl::ZERO, b"\x01q");
    assert!(row(&outside).contains("no valid zone"));
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
    assert!(read(&path, &name("other")).is_err(), "another zone's");
}

#[test]
fn a_long_journal_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(folder.path(), &name("example")).unwrap();
    let mut zone = zone();
    let before = zone.clone();
    let edit = add(&mut zone, "x.example", 60, "x");
    let mut journal = Journal::begin(&path, &before, 9, &[edit]).unwrap();
    let mut rounds = 0;
    while !journal.shorten(&zone).unwrap() {
        // Each takes three rows: the SOA record's, old and new, and its own.
        let edits: Vec<Edit> = (0..200)
            .flat_map(|_| [add(&mut zone, "y.example", 60, "x"), delete(&mut zone, "y.example")])
            .collect();
        journal.append(&edits).unwrap();
        rounds += 1;
    }
    assert_eq!(rounds, SLACK / 1200 + 1);
    assert_eq!(journal.rows, 1 + zone.records().len() as u64);
    let kept = read(&path, &name("example")).unwrap().unwrap();
    same(&kept, &zone);
    assert_eq!(kept.origin, 9);
    let edit = add(&mut zone, "z.example", 60, "x");
    journal.append(&[edit]).unwrap();
    same(&read(&path, &name("example")).unwrap().unwrap(), &zone);
}

#[test]
fn names_of_files() {
    let of = |zone: &str| path_of(Path::new(""), &name(zone)).map(|p| p.display().to_string());
    assert_eq!(of("Dyn.Example.org").unwrap(), "dyn.example.org.journal");
    assert_eq!(of(".").unwrap(), "@.journal");
    assert_eq!(of("a\\/b.\\.\\..x\\@").unwrap(), "a%2fb.%2e%2e.x%40.journal");
    assert!(of(&format!("{0}.{0}.{0}", "\\001".repeat(60))).is_err());
}

#[test]
fn the_fingerprint_is_of_the_records_in_any_order() {
    let zone = zone();
    let mut records = zone.records().to_vec();
    records.reverse();
    let other = ZoneData::new(name("example"), records.clone()).unwrap();
    assert_eq!(fingerprint(&zone), fingerprint(&other));
    records[0].ttl = Ttl::from_secs(301);
    let other = ZoneData::new(name("example"), records).unwrap();
    assert_ne!(fingerprint(&zone), fingerprint(&other));
}
