//! Arbitrary text as a master file: read, frozen and resolved, or refused with places in the text.

#![no_main]

use dns::name::{LowerName, Name};
use dns::resolve::Resolution;
use dns::rr::{Rcode, Rtype};
use dns::zone::{Record, ZoneData, Zones};
use dns::zonefile::{self, Included, Source};
use libfuzzer_sys::fuzz_target;

/// What a text may include; one includes itself.
const FILES: [(&str, &str); 3] = [
    ("a", "$ORIGIN a\nwww A 192.0.2.1\n$TTL 5\nx TXT \"y\"\n"),
    ("b", "w A 1.2.3\n"),
    ("c", "$INCLUDE c\n"),
];

/// Each may make 65,536 records, which is right and slow.
const MAX_GENERATE: usize = 1;

fuzz_target!(|text: &[u8]| {
    let generate = b"$generate";
    let lines = text.windows(generate.len()).filter(|w| w.eq_ignore_ascii_case(generate));
    if lines.count() > MAX_GENERATE {
        return;
    }
    let apex: Name = "example.".parse().expect("a name");
    match parse(&apex, text) {
        Ok(zone) => serve(&apex, &zone),
        Err(errors) => {
            assert!(!errors.is_empty() && errors.len() <= dns::zone::MAX_ERRORS);
            errors.iter().for_each(|error| placed(error, text));
        }
    }
});

fn parse(apex: &Name, text: &[u8]) -> Result<ZoneData, Vec<zonefile::Error>> {
    let mut include = |path: &str, _: &str| {
        let found = FILES.iter().find(|(name, _)| *name == path);
        let (name, text) = found.ok_or("no such file")?;
        Ok(Included { name: (*name).to_owned(), text: text.as_bytes().to_vec() })
    };
    let loaded = zonefile::parse(apex, Source { name: "text", text }, &mut include)?;
    Ok(loaded.zone)
}

/// An error's place is inside its file, and can be shown.
fn placed(error: &zonefile::Error, text: &[u8]) {
    let position = &error.position;
    let included = FILES.iter().find(|(name, _)| *name == &*position.file);
    let text = match included {
        Some((_, text)) => text.as_bytes(),
        None => {
            assert_eq!(&*position.file, "text");
            text
        }
    };
    let line = text.split(|&octet| octet == b'\n').nth(position.line as usize - 1);
    let line = line.unwrap_or_else(|| panic!("no line {}: {error}", position.line));
    let (column, length) = (position.column as usize, position.length as usize);
    // Something missing at the end is right after it.
    assert!(column >= 1 && length >= 1 && column + length - 1 <= line.len() + 1, "{error:?}");
    assert!(error.caret().contains('^'));
    assert!(!error.message.is_empty());
}

/// Every record is found again, and written out and read again it is the same zone.
fn serve(apex: &Name, zone: &ZoneData) {
    let zones = Zones::freeze(std::slice::from_ref(zone), &[], [1, 2])
        .unwrap_or_else(|errors| panic!("a checked zone cannot be frozen: {errors:?}"));
    let mut name = LowerName::new();
    for record in zone.records() {
        for rtype in [record.rtype, Rtype::ANY, Rtype(65_000)] {
            name.read(record.owner.as_name());
            let mut found = Resolution::new();
            zones.resolve(&name, rtype, &mut found);
            assert!(
                !matches!(found.rcode(), Rcode::REFUSED | Rcode::NXDOMAIN | Rcode::SERVFAIL)
                    || found.answer().count() > 0,
                "{} of {record:?}",
                found.rcode()
            );
        }
    }
    let text: String = zone.records().iter().map(line).collect();
    let again = parse(apex, text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}: {text}"));
    let plain = |zone: &ZoneData| -> Vec<Record> {
        zone.records().iter().map(|record| Record { position: None, ..record.clone() }).collect()
    };
    assert_eq!(plain(zone), plain(&again));
}

/// A record as RFC 3597 has it.
fn line(record: &Record) -> String {
    let Record { owner, ttl, rtype, rdata, .. } = record;
    let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{owner} {} IN TYPE{} \\# {} {hex}\n", ttl.as_secs(), rtype.0, rdata.len())
}
