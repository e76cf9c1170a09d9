//! Databases in MaxMind's form (file format specification, version 2.0), written for servers under
//! test: from a handful of networks up to those of a whole city database.
//!
//! ```text
//!  tree       | node 0 | node 1 | … |      two links each: a node, a record, or nowhere
//!  16 zeros
//!  data       | record | record | … |      each distinct one once
//!  metadata
//! ```

use std::collections::HashMap;

use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;

/// Where the clients of a network are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The network.
    pub network: Ipv4Net,
    /// Its continent, in two letters.
    pub continent: String,
    /// Its country, in two letters.
    pub country: String,
    /// Latitude, longitude.
    pub location: Option<[f64; 2]>,
}

/// A file of cities. Of networks that nest, the wider ones come first in `places`.
pub fn city(places: &[Place]) -> Vec<u8> {
    let mut writer = Writer::v4();
    for place in places {
        // Networks of one place share its record, as in the databases that people buy.
        let record = writer.record(&place.record());
        writer.insert(place.network.into(), record);
    }
    writer.finish("GeoIP2-City")
}

impl Place {
    fn record(&self) -> Field<'_> {
        let mut fields = vec![
            ("continent", Field::Map(vec![("code", Field::Text(&self.continent))])),
            ("country", Field::Map(vec![("iso_code", Field::Text(&self.country))])),
        ];
        if let Some(location) = self.location {
            let [latitude, longitude] = location.map(Field::Double);
            let point = Field::Map(vec![("latitude", latitude), ("longitude", longitude)]);
            fields.push(("location", point));
        }
        Field::Map(fields)
    }
}

/// What a record of the data section is made of.
#[derive(Clone, Debug)]
pub enum Field<'a> {
    /// Names and what they hold.
    Map(Vec<(&'a str, Field<'a>)>),
    /// UTF-8.
    Text(&'a str),
    /// A number of 64 bits.
    Double(f64),
    /// Unsigned.
    U16(u16),
    /// Unsigned.
    U32(u32),
    /// Unsigned.
    U64(u64),
    /// An array without elements.
    Empty,
}

/// Where a record is: an offset in the data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data(u32);

/// Collects networks and their records.
///
/// Records of the tree have 32 bits, so nodes and octets of data together may be some four
/// thousand millions.
#[derive(Debug)]
pub struct Writer {
    ip_version: u16,
    /// Each side is a node's number, [`NOWHERE`], or [`IS_DATA`] and an offset.
    nodes: Vec<[u32; 2]>,
    data: Vec<u8>,
    known: HashMap<Vec<u8>, Data>,
}

const NOWHERE: u32 = u32::MAX;
const IS_DATA: u32 = 1 << 31;

/// Between tree and data.
const SEPARATOR: usize = 16;

impl Writer {
    /// Of a tree of IPv4 alone.
    pub fn v4() -> Writer {
        Writer::new(4)
    }

    /// Of a tree of IPv6 that holds IPv4 under `::/96`.
    pub fn v6() -> Writer {
        Writer::new(6)
    }

    fn new(ip_version: u16) -> Writer {
        let nodes = vec![[NOWHERE; 2]];
        Writer { ip_version, nodes, data: Vec::new(), known: HashMap::new() }
    }

    /// Adds a record, or finds the same one.
    ///
    /// # Panics
    ///
    /// When there are 2 GiB of records.
    pub fn record(&mut self, field: &Field<'_>) -> Data {
        let mut octets = Vec::new();
        field.encode(&mut octets);
        if let Some(&known) = self.known.get(&octets) {
            return known;
        }
        let offset = u32::try_from(self.data.len()).ok().filter(|offset| *offset < IS_DATA - 1);
        let at = Data(offset.expect("a test's records are few"));
        self.data.extend_from_slice(&octets);
        self.known.insert(octets, at);
        at
    }

    /// Gives a network a record. Where networks nest, the wider ones go before those inside.
    ///
    /// # Panics
    ///
    /// When an IPv6 network is put into a tree of IPv4.
    pub fn insert(&mut self, network: IpNet, record: Data) {
        let (bits, len) = match (network.trunc(), self.ip_version) {
            (IpNet::V4(net), 4) => (u128::from(net.addr().to_bits()) << 96, net.prefix_len()),
            (IpNet::V4(net), _) => (net.addr().to_bits().into(), 96 + net.prefix_len()),
            (IpNet::V6(net), 4) => panic!("{net} in a tree of IPv4"),
            (IpNet::V6(net), _) => (net.addr().to_bits(), net.prefix_len()),
        };
        let record = IS_DATA | record.0;
        let Some(last) = len.checked_sub(1) else {
            self.nodes[0] = [record; 2];
            return;
        };
        let side = |depth: u8| (bits >> (127 - depth) & 1) as usize;
        let mut node = 0;
        for depth in 0..last {
            let link = self.nodes[node][side(depth)];
            if link & IS_DATA == 0 {
                node = link as usize;
                continue;
            }
            // Nowhere, or a wider network, which goes on beside what is inside it.
            let next = self.nodes.len();
            self.nodes.push([link; 2]);
            self.nodes[node][side(depth)] = next as u32;
            node = next;
        }
        self.nodes[node][side(last)] = record;
    }

    /// The file's octets; `database_type` is what readers go by, such as `GeoIP2-City`.
    pub fn finish(self, database_type: &str) -> Vec<u8> {
        let count = self.nodes.len();
        let number = |link: u32| match link {
            NOWHERE => count,
            link if link & IS_DATA == 0 => link as usize,
            link => count + SEPARATOR + (link & !IS_DATA) as usize,
        };
        let mut file = Vec::with_capacity(8 * count + SEPARATOR + self.data.len() + 512);
        for link in self.nodes.iter().flatten() {
            file.extend((number(*link) as u32).to_be_bytes());
        }
        file.extend([0; SEPARATOR]);
        file.extend(self.data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        let metadata = Field::Map(vec![
            ("binary_format_major_version", Field::U16(2)),
            ("binary_format_minor_version", Field::U16(0)),
            ("build_epoch", Field::U64(1_750_000_000)),
            ("database_type", Field::Text(database_type)),
            ("description", Field::Map(vec![("en", Field::Text("written by a test"))])),
            ("ip_version", Field::U16(self.ip_version)),
            ("languages", Field::Empty),
            ("node_count", Field::U32(count as u32)),
            ("record_size", Field::U16(32)),
        ]);
        metadata.encode(&mut file);
        file
    }
}

impl Field<'_> {
    fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Field::Map(fields) => {
                head(7, fields.len(), into);
                for (name, value) in fields {
                    Field::Text(name).encode(into);
                    value.encode(into);
                }
            }
            Field::Text(text) => payload(2, text.as_bytes(), into),
            Field::Double(number) => payload(3, &number.to_be_bytes(), into),
            Field::U16(number) => payload(5, &number.to_be_bytes(), into),
            Field::U32(number) => payload(6, &number.to_be_bytes(), into),
            Field::U64(number) => payload(9, &number.to_be_bytes(), into),
            Field::Empty => head(11, 0, into),
        }
    }
}

fn payload(kind: u8, octets: &[u8], into: &mut Vec<u8>) {
    head(kind, octets.len(), into);
    into.extend_from_slice(octets);
}

/// Type and size before a value; types above 7 take a second octet, sizes above 28 another.
fn head(kind: u8, size: usize, into: &mut Vec<u8>) {
    let (short, long) = if size < 29 { (size as u8, None) } else { (29, Some(size - 29)) };
    into.push(if kind <= 7 { kind << 5 | short } else { short });
    into.extend((kind > 7).then(|| kind - 7));
    into.extend(long.map(|rest| u8::try_from(rest).expect("texts here are short")));
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use maxminddb::Reader;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Read {
        name: String,
        at: f64,
        number: u32,
    }

    fn file(mut writer: Writer, networks: &[(&str, &str)]) -> Reader<Vec<u8>> {
        for (network, name) in networks {
            let record = writer.record(&Field::Map(vec![
                ("name", Field::Text(name)),
                ("at", Field::Double(-95.86)),
                ("number", Field::U32(77)),
            ]));
            writer.insert(network.parse().unwrap(), record);
        }
        let reader = Reader::from_source(writer.finish("Test-City")).unwrap();
        reader.verify().unwrap();
        assert_eq!(reader.metadata().database_type, "Test-City");
        reader
    }

    /// The name of what is found, and the length of the prefix it was found for.
    fn look(reader: &Reader<Vec<u8>>, address: &str) -> Option<(String, u8)> {
        let address: IpAddr = address.parse().unwrap();
        let found = reader.lookup(address).unwrap();
        let read: Option<Read> = found.decode().unwrap();
        let len = found.network().unwrap().prefix();
        read.map(|Read { name, at, number }| {
            assert_eq!((at, number), (-95.86, 77));
            (name, len)
        })
    }

    #[test]
    fn what_is_written_is_read_back() {
        let long = "a name of more than twenty-eight octets";
        let networks = [
            ("192.0.2.0/24", "wide"),
            ("192.0.2.128/26", long),
            ("192.0.2.255/32", "host"),
            ("0.0.0.0/1", "half"),
        ];
        for writer in [Writer::v4(), Writer::v6()] {
            let is_v6 = writer.ip_version == 6;
            let reader = file(writer, &networks);
            let named = |name: &str, len| Some((name.to_owned(), len));
            assert_eq!(look(&reader, "192.0.2.1"), named("wide", 25));
            assert_eq!(look(&reader, "192.0.2.129"), named(long, 26));
            assert_eq!(look(&reader, "192.0.2.255"), named("host", 32));
            assert_eq!(look(&reader, "192.0.2.254"), named("wide", 32));
            assert_eq!(look(&reader, "100.0.0.1"), named("half", 1));
            assert_eq!(look(&reader, "203.0.113.1"), None);
            if is_v6 {
                assert_eq!(look(&reader, "2001:db8::"), None);
            }
        }
    }

    #[test]
    fn both_families_share_a_tree() {
        let networks =
            [("2001:db8::/32", "six"), ("2001:db8:8000::/48", "in"), ("10.0.0.0/8", "4")];
        let reader = file(Writer::v6(), &networks);
        assert_eq!(look(&reader, "2001:db8:8000::1"), Some(("in".to_owned(), 48)));
        assert_eq!(look(&reader, "2001:db8:1::1"), Some(("six".to_owned(), 33)));
        assert_eq!(look(&reader, "10.1.2.3"), Some(("4".to_owned(), 8)));
        assert_eq!(look(&reader, "11.0.0.0"), None);
    }

    #[test]
    fn equal_records_are_one() {
        let mut writer = Writer::v4();
        let [one, same, other] = ["a", "a", "b"].map(|name| writer.record(&Field::Text(name)));
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
