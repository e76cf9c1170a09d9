//! Messages that no library would write.

/// The class IN.
const IN: u16 = 1;

/// Flags of a query that wants no recursion.
pub(crate) const QUERY: u16 = 0;
/// The flag that makes a message a response.
pub(crate) const QR: u16 = 0x8000;
/// The types that are asked for.
pub(crate) const A: u16 = 1;
pub(crate) const SOA: u16 = 6;
pub(crate) const MX: u16 = 15;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const IXFR: u16 = 251;
pub(crate) const AXFR: u16 = 252;
pub(crate) const ANY: u16 = 255;

/// The flags of a query with another opcode.
pub(crate) fn opcode(number: u16) -> u16 {
    number << 11
}

/// A header; the counts are questions, answers, authorities, additionals.
pub(crate) fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34];
    for word in [flags].iter().chain(&counts) {
        octets.extend(word.to_be_bytes());
    }
    octets
}

/// A name in wire form; each dot ends a label.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        octets.push(u8::try_from(label.len()).expect("a label"));
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// A question of class IN.
pub(crate) fn question(of: &str, rtype: u16) -> Vec<u8> {
    let mut octets = name(of);
    octets.extend(rtype.to_be_bytes());
    octets.extend(IN.to_be_bytes());
    octets
}

/// A whole message with one question.
pub(crate) fn message(flags: u16, of: &str, rtype: u16) -> Vec<u8> {
    [header(flags, [1, 0, 0, 0]), question(of, rtype)].concat()
}

/// A plain query.
pub(crate) fn query(of: &str, rtype: u16) -> Vec<u8> {
    message(QUERY, of, rtype)
}

/// The same with one more record in the additional section.
pub(crate) fn with(mut message: Vec<u8>, record: &[u8]) -> Vec<u8> {
    message[11] += 1;
    message.extend(record);
    message
}

/// An OPT record that offers 1232 octets.
pub(crate) fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41, 0x04, 0xd0, 0, version, 0, 0];
    record.extend(u16::try_from(options.len()).expect("they fit").to_be_bytes());
    record.extend(options);
    record
}

/// An EDNS option.
pub(crate) fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("it fits");
    [&code.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}
