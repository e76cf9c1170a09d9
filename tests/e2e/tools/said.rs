//! The common form into which every client's understanding of an answer is brought.

use std::collections::BTreeSet;

use dns::name::Name;
use dns::rr::Rtype;
use dns::zonefile::{self, Source};

/// The zone of all queries.
pub(crate) const ZONE: &str = "test-net.io.";

/// What a client understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The response code, extended part and all, by its mnemonic.
    pub(crate) rcode: String,
    /// Authoritative.
    pub(crate) aa: bool,
    /// Truncated.
    pub(crate) tc: bool,
    /// Answer, authority and additional section: `owner TTL type data`, the data in hexadecimal
    /// wire form. Order means nothing.
    pub(crate) sections: [BTreeSet<String>; 3],
    /// The scope of the client subnet.
    pub(crate) scope: Option<u8>,
    /// The server's identity, in hexadecimal.
    pub(crate) nsid: Option<String>,
    /// Octets of the cookie, the client's part included.
    pub(crate) cookie: Option<usize>,
}

/// Names as the data file has them, in full.
pub(crate) fn absolute(name: &str) -> String {
    match name {
        "@" => ZONE.to_owned(),
        name if name.ends_with('.') => name.to_owned(),
        name => format!("{name}.{ZONE}"),
    }
}

/// A record as master files have it, `owner TTL [IN] type data`, in the common form: a zone of
/// its own reads it.
///
/// # Panics
///
/// When it is none.
pub(crate) fn record(line: &str) -> String {
    let mut words = line.split_whitespace();
    let owner = words.next().unwrap_or_else(|| panic!("an empty line is no record"));
    // A SOA stands at the apex, a DS at a delegation; anything else may stand anywhere.
    let rtype = words.find(|word| matches!(*word, "SOA" | "DS"));
    let apex = if rtype == Some("SOA") { absolute(owner) } else { ".".to_owned() };
    let apex: Name = apex.parse().unwrap_or_else(|error| panic!("{apex}: {error}"));
    let mut text = format!("$ORIGIN {ZONE}\n{line}\n{apex} 0 IN NS apex.invalid.\n");
    if apex.is_root() {
        text.push_str(". 0 IN SOA apex.invalid. apex.invalid. 0 0 0 0 0\n");
    }
    if rtype == Some("DS") {
        text.push_str(&format!("{owner} 0 IN NS child.invalid.\n"));
    }
    let source = Source { name: line, text: text.as_bytes() };
    let loaded = zonefile::parse(&apex, source, &mut |_, _| Err("no includes".to_owned()))
        .unwrap_or_else(|errors| panic!("{line}: {errors:?}"));
    // What was added stands in other lines.
    let record = loaded.zone.records().iter().find(|record| {
        let line = record.position.as_ref().map(|position| position.line);
        line == Some(2)
    });
    let record = record.unwrap_or_else(|| panic!("{line} is no record"));
    row(&record.owner.to_string(), record.ttl.as_secs(), record.rtype, &record.rdata)
}

/// A record in the common form.
pub(crate) fn row(owner: &str, ttl: u32, rtype: Rtype, rdata: &[u8]) -> String {
    format!("{owner} {ttl} {rtype} {}", hex(rdata))
}

/// Octets in hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
