//! Any updates come to what a model says that knows no shortcuts, and damaged ones to nothing bad.

use super::*;

fn any_change() -> impl Strategy<Value = Entry> {
    let owner =
        prop::sample::select(vec!["a", "b.a", "c.b.a", "*.a", "d", "e.d", "example.", "f", "g.f"]);
    let data = prop::sample::select(vec![
        "A 192.0.2.1",
        "A 192.0.2.2",
        "TXT x",
        "CNAME t.",
        "CNAME u.",
        "NS ns.net.",
        "NS o.net.",
        "DNAME t.",
        "DS 1 8 250 00",
        "KEY 512 3 8 AQAB",
        "WKS 192.0.2.1 TCP 25",
        "WKS 192.0.2.1 TCP 80",
        "SOA 9",
        "SOA 20",
    ]);
    (owner, data, 0..6).prop_map(|(owner, data, kind)| {
        let rtype = data.split(' ').next().unwrap();
        change(&match kind {
            0 => format!("del {owner}"),
            1 => format!("del {owner} {rtype}"),
            2 => format!("del {owner} {data}"),
            ttl => format!("add {owner} {ttl} {data}"),
        })
    })
}

/// What the changes come to, by RFC 2136 §3.4.2.7 over a plain list, then checked as a whole; the
/// serial is not looked at. `None`: refused.
fn model(zone: &ZoneData, entries: &[Entry]) -> Option<Vec<Record>> {
    let mut records = zone.records().to_vec();
    let gives_way = |old: &[u8], entry: &Entry| match entry.rtype {
        Rtype::SOA | Rtype::CNAME | Rtype::DNAME => true,
        Rtype::WKS => old[..5] == entry.rdata[..5],
        _ => *old == *entry.rdata,
    };
    for entry in entries {
        let at_apex = entry.owner == *zone.apex();
        let there: Vec<Rtype> =
            records.iter().filter(|r| r.owner == entry.owner).map(|r| r.rtype).collect();
        let count = |rtype| there.iter().filter(|&&other| other == rtype).count();
        let same_set = |r: &Record| r.owner == entry.owner && r.rtype == entry.rtype;
        match (entry.class, entry.rtype) {
            (Class::ANY, Rtype::ANY) => records.retain(|r| {
                r.owner != entry.owner || (at_apex && matches!(r.rtype, Rtype::SOA | Rtype::NS))
            }),
            (Class::ANY, Rtype::SOA | Rtype::NS) | (Class::NONE, Rtype::SOA) if at_apex => {}
            (Class::ANY, _) => records.retain(|r| !same_set(r)),
            (Class::NONE, Rtype::NS) if at_apex && count(Rtype::NS) == 1 => {}
            (Class::NONE, _) => records.retain(|r| !(same_set(r) && r.rdata == entry.rdata)),
            _ => {
                let apart =
                    |&rtype: &Rtype| !matches!(rtype, Rtype::CNAME | Rtype::KEY | Rtype::SOA);
                let ignored = match entry.rtype {
                    Rtype::CNAME => at_apex || there.iter().any(apart),
                    Rtype::SOA => {
                        let serial = |rdata: &[u8]| rdata[rdata.len() - 20..][..4].to_vec();
                        let newer = |r: &Record| serial(&entry.rdata) > serial(&r.rdata);
                        !records.iter().any(|r| same_set(r) && newer(r))
                    }
                    other => apart(&other) && count(Rtype::CNAME) > 0,
                };
                if ignored {
                    continue;
                }
                records.retain(|r| !(same_set(r) && gives_way(&r.rdata, entry)));
                records.push(Record {
                    owner: entry.owner.clone(),
                    rtype: entry.rtype,
                    ttl: Ttl::from_secs(entry.ttl),
                    rdata: entry.rdata.clone(),
                    position: None,
                });
                let ttl = Ttl::from_secs(entry.ttl);
                records.iter_mut().filter(|r| same_set(r)).for_each(|r| r.ttl = ttl);
            }
        }
    }
    let valid = ZoneData::new(zone.apex().clone(), records).ok()?;
    Some(valid.records().to_vec())
}

/// Records as a set, wherever they were written.
fn lines(records: &[Record]) -> Vec<String> {
    let line = |r: &Record| format!("{} {} {} {:02x?}", r.owner, r.ttl, r.rtype, r.rdata);
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

/// The same without the serial.
pub(super) fn content(records: &[Record]) -> Vec<String> {
    let mut records = records.to_vec();
    for soa in records.iter_mut().filter(|record| record.rtype == Rtype::SOA) {
        let at = soa.rdata.len() - 20;
        soa.rdata[at..at + 4].fill(0);
    }
    lines(&records)
}

/// A record as an UPDATE has it.
fn octets(entry: &Entry) -> Vec<u8> {
    let head = [entry.rtype.0.to_be_bytes(), entry.class.0.to_be_bytes()].concat();
    let length = (entry.rdata.len() as u16).to_be_bytes();
    [entry.owner.wire(), &head, &entry.ttl.to_be_bytes(), &length, &entry.rdata].concat()
}

proptest! {
    #[test]
    fn damaged_messages_are_good_updates_or_none(
        demands in prop::collection::vec(any_change(), 0..3),
        changes in prop::collection::vec(any_change(), 0..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let head = [0, 7, 0x28, 0, 0, 1, 0, demands.len() as u8, 0, changes.len() as u8, 0, 0];
        let records: Vec<u8> = demands.iter().chain(&changes).flat_map(octets).collect();
        let mut bytes = [&head[..], b"\x07example\0\0\x06\0\x01", &records].concat();
        for (at, octet) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *octet;
        }
        let message = match dns::wire::Request::parse(&bytes) {
            Ok(request) => {
                let _ = dns::tsig::Request::read(&request);
                Message::read(&request)
            }
            Err(_) => None,
        };
        if damage.is_empty() {
            let expected = Message { prerequisites: demands, changes };
            prop_assert_eq!(message.as_ref(), Some(&expected));
        }
        let Some(message) = message else { return Ok(()) };
        let zone = zone("example.", ZONE);
        let held = Prerequisites::read(zone.apex(), message.prerequisites);
        let _ = held.and_then(|all| all.hold(&zone, &|_| &[]));
        let Ok(changes) = Changes::read(zone.apex(), message.changes) else { return Ok(()) };
        if let Ok(Edited { edit: Some(edit), .. }) = zone.edit(&changes) {
            let mut changed = zone.clone();
            changed.apply(&edit);
            let again = ZoneData::new(zone.apex().clone(), changed.records().to_vec());
            prop_assert!(again.is_ok(), "{again:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn many_updates_come_to_what_the_model_says(
        updates in prop::collection::vec(prop::collection::vec(any_change(), 1..5), 1..8)
    ) {
        let mut zone = zone("example.", "a A 192.0.2.1\ne.d NS ns.net.\n");
        for entries in updates {
            let expected = model(&zone, &entries);
            let changes = Changes::read(zone.apex(), entries.clone()).unwrap();
            let before = zone.clone();
            match (zone.edit(&changes), expected) {
                (Ok(Edited { edit, .. }), Some(expected)) => {
                    prop_assert_eq!(edit.is_none(), lines(zone.records()) == lines(&expected));
                    if let Some(edit) = edit {
                        zone.apply(&edit);
                        prop_assert_ne!(zone.serial(), before.serial());
                    }
                    prop_assert_eq!(content(zone.records()), content(&expected));
                    let again = ZoneData::new(zone.apex().clone(), zone.records().to_vec()).unwrap();
                    prop_assert_eq!(again.records(), zone.records());
                }
                (Err(_), None) => {}
                (edit, expected) => prop_assert!(false, "{entries:?}: {edit:?}, not {expected:?}"),
            }
        }
    }
}
