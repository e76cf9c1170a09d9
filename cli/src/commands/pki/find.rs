//! Which certificate a person means by a name, a path, a serial number or an identity. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pki::folder::Target;
use pki::index::{Entry, Status};
use pki::{Identity, Role, Serial};

/// What files of that identity are called.
pub(crate) fn name(identity: &Identity) -> &str {
    match &identity.role {
        Role::Node { node, .. } => node,
        Role::User(name) => name,
        Role::Member(id) => id,
    }
}

/// The newest certificate in each place, unless it was revoked.
fn in_place(entries: &[Entry]) -> BTreeMap<&Path, &Entry> {
    let mut newest = BTreeMap::new();
    // Oldest first, so that the last one stays.
    for entry in entries {
        if let Some(cert) = &entry.cert {
            newest.insert(cert.as_path(), entry);
        }
    }
    newest.retain(|_, entry| entry.revoked.is_none());
    newest
}

/// Where `NAME` or `PATH` says.
///
/// # Errors
/// A sentence: nothing by that name, or several.
pub(crate) fn target(entries: &[Entry], which: &str) -> Result<Target, String> {
    let path = Path::new(which);
    let identity = which.parse::<Identity>().is_ok();
    if !identity && (which.contains('/') || path.extension().is_some_and(|end| end == "crt")) {
        let cert = std::path::absolute(path).map_err(|error| format!("{which}: {error}"))?;
        let known = entries.iter().rev().find(|entry| entry.cert.as_ref() == Some(&cert));
        let key = known.and_then(|entry| entry.key.clone());
        return Ok(Target { key: key.unwrap_or_else(|| cert.with_extension("key")), cert });
    }
    let in_place = in_place(entries);
    let named: Vec<&Entry> =
        in_place.into_values().filter(|entry| is_called(entry, which)).collect();
    match named.as_slice() {
        [] => Err(format!("no certificate here is called {which}: `geoip pki show` lists them")),
        [entry] => place(entry).ok_or_else(|| {
            format!("the key of {which} is held elsewhere: its holder asks for a new certificate")
        }),
        several => Err(ambiguous(which, several)),
    }
}

fn ambiguous(which: &str, entries: &[&Entry]) -> String {
    let mut places: Vec<String> = entries
        .iter()
        .map(|entry| match &entry.cert {
            Some(cert) => cert.display().to_string(),
            None => entry.identity.to_string(),
        })
        .collect();
    places.dedup();
    format!("several are called {which}: name one of {}", places.join(", "))
}

fn place(entry: &Entry) -> Option<Target> {
    Some(Target { cert: entry.cert.clone()?, key: entry.key.clone()? })
}

/// By the name of its file, or of its holder, or by the identity in full.
fn is_called(entry: &Entry, which: &str) -> bool {
    let stem = entry.cert.as_ref().and_then(|cert: &PathBuf| cert.file_stem());
    stem.is_some_and(|stem| stem == which)
        || name(&entry.identity) == which
        || entry.identity.to_string() == which
}

/// The places whose certificate ends within that time, or has ended.
pub(crate) fn ending(entries: &[Entry], within: Duration, now: SystemTime) -> Vec<Target> {
    in_place(entries)
        .into_values()
        .filter(|entry| match entry.status(now) {
            Status::Valid { left } => left <= within,
            Status::Expired { .. } => true,
            Status::Revoked(_) => false,
        })
        .filter_map(place)
        // What was deleted is not to be brought back.
        .filter(|target| target.cert.exists())
        .collect()
}

/// The serial number, or all numbers of the one holder of that name that are still accepted:
/// after a renewal the old certificate is as good as the new one.
///
/// # Errors
/// A sentence: nothing by that name, or several holders.
pub(crate) fn revocable(
    entries: &[Entry],
    which: &str,
    now: SystemTime,
) -> Result<Vec<Serial>, String> {
    if let Ok(serial) = which.parse::<Serial>() {
        return Ok(vec![serial]);
    }
    let valid = |entry: &&Entry| matches!(entry.status(now), Status::Valid { .. });
    let named: Vec<&Entry> =
        entries.iter().filter(valid).filter(|entry| is_called(entry, which)).collect();
    let Some(first) = named.first() else {
        return Err(format!(
            "nothing called {which} is valid, so there is nothing to revoke; `geoip pki show` \
             lists what was issued"
        ));
    };
    if named.iter().any(|entry| entry.identity != first.identity) {
        return Err(ambiguous(which, &named));
    }
    Ok(named.iter().map(|entry| entry.serial).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn entry(number: u8, identity: &str, file: Option<&str>, left: Duration) -> Entry {
        Entry {
            serial: format!("{number:032x}").replacen('0', "f", 1).parse().unwrap(),
            identity: identity.parse().unwrap(),
            not_before: now() - HOUR,
            not_after: now() + left,
            revoked: None,
            cert: file.map(|file| format!("/pki/{file}.crt").into()),
            key: file.map(|file| format!("/pki/{file}.key").into()),
        }
    }

    const ADA: &str = "spiffe://test-net.io/user/ada";
    const NS1: &str = "spiffe://test-net.io/region/us-central1/dnsrouter/ns1";
    const OTHER_NS1: &str = "spiffe://test-net.io/region/us-east1/dnsrouter/ns1";

    #[test]
    fn a_name_is_that_of_the_file_or_the_holder() {
        let entries = [entry(1, ADA, Some("me"), HOUR), entry(2, NS1, Some("ns1"), HOUR)];
        let expected = Target { cert: "/pki/me.crt".into(), key: "/pki/me.key".into() };
        for which in ["me", "ada", ADA] {
            assert_eq!(target(&entries, which).unwrap(), expected, "{which}");
        }
        assert!(target(&entries, "bob").unwrap_err().contains("is called bob"));
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let mut entries = [entry(1, ADA, Some("me"), HOUR)];
        entries[0].key = Some("/secret/me.pem".into());
        let known = target(&entries, "/pki/me.crt").unwrap();
        assert_eq!(known.key, PathBuf::from("/secret/me.pem"));
        let unknown = target(&entries, "/etc/x.crt").unwrap();
        assert_eq!(unknown.key, PathBuf::from("/etc/x.key"));
    }

    #[test]
    fn one_name_of_two_holders_must_be_told_apart() {
        let entries =
            [entry(1, NS1, Some("a/ns1"), HOUR), entry(2, OTHER_NS1, Some("b/ns1"), HOUR)];
        let told = "several are called ns1: name one of /pki/a/ns1.crt, /pki/b/ns1.crt";
        assert_eq!(target(&entries, "ns1").unwrap_err(), told);
        assert_eq!(revocable(&entries, "ns1", now()).unwrap_err(), told);
        assert_eq!(revocable(&entries, NS1, now()).unwrap(), [entries[0].serial]);
    }

    #[test]
    fn revoking_a_name_takes_back_every_valid_certificate_of_it() {
        let mut entries = [
            entry(1, ADA, Some("ada"), HOUR),
            entry(2, ADA, Some("ada"), 2 * HOUR),
            entry(3, ADA, None, 3 * HOUR),
        ];
        entries[0].not_after = now() - HOUR;
        let serials = revocable(&entries, "ada", now()).unwrap();
        assert_eq!(serials, [entries[1].serial, entries[2].serial]);
        let by_number = revocable(&entries, &entries[0].serial.to_string(), now()).unwrap();
        assert_eq!(by_number, [entries[0].serial]);
        assert!(revocable(&entries, "bob", now()).is_err());
    }

    #[test]
    fn only_the_newest_in_each_place_that_ends_soon_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |mut entry: Entry, file: &str| {
            let cert = dir.path().join(file);
            std::fs::write(&cert, "").unwrap();
            entry.key = Some(cert.with_extension("key"));
            entry.cert = Some(cert);
            entry
        };
        let mut revoked = at(entry(5, OTHER_NS1, Some(""), HOUR), "revoked.crt");
        revoked.revoked = Some(pki::index::Revocation { at: now(), reason: None });
        let entries = [
            at(entry(1, ADA, Some(""), HOUR), "ada.crt"),
            at(entry(2, ADA, Some(""), 20 * HOUR), "ada.crt"),
            at(entry(3, NS1, Some(""), HOUR), "ns1.crt"),
            entry(4, NS1, Some("deleted"), HOUR),
            revoked,
        ];
        let found = ending(&entries, 8 * HOUR, now());
        let certs: Vec<PathBuf> = found.into_iter().map(|target| target.cert).collect();
        assert_eq!(certs, [dir.path().join("ns1.crt")]);
        assert_eq!(ending(&entries, 30 * HOUR, now()).len(), 2);
    }
}
