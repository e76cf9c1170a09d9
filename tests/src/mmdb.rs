//! A city or country database in MaxMind's form (file format specification 2.0), that several name
//! servers read alike: IPv4, records of 32 bits.

use std::collections::HashMap;

use ipnet::Ipv4Net;
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

/// What a record of the data section is made of.
enum Field<'a> {
    Map(Vec<(&'a str, Field<'a>)>),
    Text(&'a str),
    Double(f64),
    U16(u16),
    U32(u32),
    U64(u64),
    Array,
}

/// A side of a node.
#[derive(Clone, Copy)]
enum Link {
    Nowhere,
    Node(usize),
    /// An offset in the data section.
    Data(usize),
}

/// The file's octets. The networks of `places` may not nest.
pub fn city(places: &[Place]) -> Vec<u8> {
    let mut nodes = vec![[Link::Nowhere; 2]];
    let mut data: Vec<u8> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    for place in places {
        let mut octets = Vec::new();
        record(place).encode(&mut octets);
        // Networks of one place share its record, as in the databases that people buy.
        let offset = *known.entry(octets).or_insert_with_key(|octets| {
            data.extend(octets);
            data.len() - octets.len()
        });
        let bits = u32::from(place.network.network());
        let mut node = 0;
        for depth in 0..place.network.prefix_len() {
            let side = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == place.network.prefix_len() {
                nodes[node][side] = Link::Data(offset);
            } else if let Link::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Link::Nowhere; 2]);
                nodes[node][side] = Link::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let number = |link: Link| match link {
        Link::Nowhere => count,
        Link::Node(node) => node,
        Link::Data(offset) => count + 16 + offset,
    };
    let mut file: Vec<u8> =
        nodes.iter().flatten().flat_map(|link| (number(*link) as u32).to_be_bytes()).collect();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Field::Map(vec![
        ("binary_format_major_version", Field::U16(2)),
        ("binary_format_minor_version", Field::U16(0)),
        ("build_epoch", Field::U64(1_750_000_000)),
        ("database_type", Field::Text("GeoIP2-City")),
        ("description", Field::Map(vec![])),
        ("ip_version", Field::U16(4)),
        ("languages", Field::Array),
        ("node_count", Field::U32(count as u32)),
        ("record_size", Field::U16(32)),
    ]);
    metadata.encode(&mut file);
    file
}

fn record(place: &Place) -> Field<'_> {
    let mut fields = vec![
        ("continent", Field::Map(vec![("code", Field::Text(&place.continent))])),
        ("country", Field::Map(vec![("iso_code", Field::Text(&place.country))])),
    ];
    if let Some(location) = place.location {
        let [latitude, longitude] = location.map(Field::Double);
        let point = Field::Map(vec![("latitude", latitude), ("longitude", longitude)]);
        fields.push(("location", point));
    }
    Field::Map(fields)
}

impl Field<'_> {
    fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Map(fields) => {
                head(7, fields.len(), into);
                for (name, value) in fields {
                    Field::Text(name).encode(into);
                    value.encode(into);
                }
            }
            Self::Text(text) => payload(2, text.as_bytes(), into),
            Self::Double(number) => payload(3, &number.to_be_bytes(), into),
            Self::U16(number) => payload(5, &number.to_be_bytes(), into),
            Self::U32(number) => payload(6, &number.to_be_bytes(), into),
            Self::U64(number) => payload(9, &number.to_be_bytes(), into),
            Self::Array => head(11, 0, into),
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
