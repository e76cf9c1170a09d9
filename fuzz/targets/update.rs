//! Arbitrary octets as an UPDATE with a signature: what is refused changes nothing, what is applied
//! leaves a zone that is as good as one from a file.

#![no_main]

use std::sync::LazyLock;

use dns::name::Name;
use dns::tsig;
use dns::update::{Changes, Message, Prerequisites};
use dns::wire::Request;
use dns::zone::{Edited, Record, ZoneData, Zones};
use dns::zonefile::{self, Source};
use libfuzzer_sys::fuzz_target;

static ZONE: LazyLock<ZoneData> = LazyLock::new(|| {
    let text = include_bytes!("../world/example.zone");
    let source = Source { name: "example.zone", text };
    let loaded = zonefile::parse(&apex(), source, &mut |_, _| Err(String::new()));
    loaded.unwrap_or_else(|errors| panic!("{errors:?}")).zone
});

fuzz_target!(init: LazyLock::force(&ZONE), |octets: &[u8]| {
    let Ok(request) = Request::parse(octets) else { return };
    if let Ok(Some(signature)) = tsig::Request::read(&request) {
        signed_again(octets, &signature);
    }
    let Some(message) = Message::read(&request) else { return };
    let Ok(prerequisites) = Prerequisites::read(&apex(), message.prerequisites) else { return };
    let _ = prerequisites.hold(&ZONE, &|_| &[]);
    let Ok(changes) = Changes::read(&apex(), message.changes) else { return };
    assert!(changes.touched().all(|(name, _)| name.is_subdomain_of(&apex())));
    if let Ok(Edited { edit: Some(edit), .. }) = ZONE.edit(&changes) {
        let mut zone = ZONE.clone();
        zone.apply(&edit);
        valid(&zone);
        later(ZONE.serial(), zone.serial());
        // Exactly what it says has gone and come.
        let (before, after) = (sorted(ZONE.records()), sorted(zone.records()));
        let kept = before.into_iter().filter(|record| !edit.removed().contains(record));
        let expected: Vec<Record> = kept.chain(edit.added().iter().cloned()).collect();
        assert_eq!(sorted(&expected), after);
    }
});

fn apex() -> Name {
    "example.".parse().expect("a name")
}

/// The zone passes the checks it would have to pass in a file, and can be served.
fn valid(zone: &ZoneData) {
    let again = ZoneData::new(apex(), zone.records().to_vec());
    let again = again.unwrap_or_else(|errors| panic!("an update made an invalid zone: {errors:?}"));
    assert!(again.notices().is_empty(), "{:?}", again.notices());
    assert_eq!(again.records(), zone.records(), "out of order");
    let frozen = Zones::freeze(std::slice::from_ref(zone), &[], [1, 2]);
    assert!(frozen.is_ok(), "an update made a zone that cannot be frozen");
}

/// RFC 1982 §3.2.
fn later(before: u32, after: u32) {
    let ahead = after.wrapping_sub(before);
    assert!(ahead != 0 && ahead <= 1 << 31, "serial {before}, then {after}");
}

fn sorted(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    records.sort_by_key(|record| (record.owner.to_string(), record.rtype, record.rdata.clone()));
    records
}

/// A signature that was read is written as it was.
fn signed_again(octets: &[u8], signature: &tsig::Request<'_>) {
    let mut message = signature.unsigned();
    assert!(octets.starts_with(&message[..2]) && message.len() < octets.len());
    signature.variables.write(&mut message, signature.mac);
    let again = Request::parse(&message).expect("it was a query before");
    let again = tsig::Request::read(&again).expect("it was well-formed").expect("and signed");
    assert_eq!((&again.variables, again.mac), (&signature.variables, signature.mac));
    assert_eq!(
        again.variables.encoded_len(again.mac.len()),
        message.len() - signature.unsigned().len()
    );
    assert!(!signature.signed().is_empty());
}
