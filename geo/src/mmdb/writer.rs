//! Writes small database files for the tests: a search tree, a data section, metadata.
//!
//! After the format's specification, version 2.0. It knows nothing of what it writes, so that
//! broken schemas and trees can be written too.

use std::collections::HashMap;

use ipnet::IpNet;

/// A value of the data section.
#[derive(Clone, Debug)]
pub(super) enum Field {
    Map(Vec<(&'static str, Field)>),
    Array(Vec<Field>),
    Text(String),
    Double(f64),
    Float(f32),
    U16(u16),
    U32(u32),
    U64(u64),
    Bool(bool),
}

/// Where half a node leads.
#[derive(Clone, Copy)]
pub(super) enum Link {
    Nowhere,
    Node(usize),
    /// An offset in the data section.
    Data(usize),
}

pub(super) struct Writer {
    ip_version: u16,
    record_size: u16,
    pub(super) nodes: Vec<[Link; 2]>,
    data: Vec<u8>,
    offsets: HashMap<Vec<u8>, usize>,
}

impl Writer {
    pub(super) fn new(ip_version: u16, record_size: u16) -> Writer {
        Writer {
            ip_version,
            record_size,
            nodes: vec![[Link::Nowhere; 2]],
            data: Vec::new(),
            offsets: HashMap::new(),
        }
    }

    /// Gives a network a record; shorter prefixes go before longer ones.
    pub(super) fn insert(&mut self, prefix: &str, record: &Field) {
        let (bits, len) = self.key(prefix.parse().unwrap());
        let record = self.record(record);
        self.link(bits, len, Link::Data(record));
    }

    /// Lets a prefix lead to where `::/96` leads.
    pub(super) fn alias(&mut self, prefix: &str) {
        let v4 = (0..96).fold(Link::Node(0), |at, _| match at {
            Link::Node(node) => self.nodes[node][0],
            end => end,
        });
        let (bits, len) = self.key(prefix.parse().unwrap());
        self.link(bits, len, v4);
    }

    pub(super) fn record(&mut self, record: &Field) -> usize {
        let mut bytes = Vec::new();
        encode(record, &mut bytes);
        *self.offsets.entry(bytes).or_insert_with_key(|bytes| {
            self.data.extend_from_slice(bytes);
            self.data.len() - bytes.len()
        })
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut file = Vec::new();
        for [left, right] in &self.nodes {
            self.node(self.number(*left), self.number(*right), &mut file);
        }
        file.extend([0; 16]);
        file.extend_from_slice(&self.data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        let metadata = Field::Map(vec![
            ("binary_format_major_version", Field::U16(2)),
            ("binary_format_minor_version", Field::U16(0)),
            ("build_epoch", Field::U64(1_750_000_000)),
            ("database_type", Field::Text("Test".into())),
            ("description", Field::Map(vec![])),
            ("ip_version", Field::U16(self.ip_version)),
            ("languages", Field::Array(vec![])),
            ("node_count", Field::U32(self.nodes.len() as u32)),
            ("record_size", Field::U16(self.record_size)),
        ]);
        encode(&metadata, &mut file);
        file
    }

    fn key(&self, prefix: IpNet) -> (u128, u8) {
        match (prefix, self.ip_version) {
            (IpNet::V4(net), 4) => (u128::from(u32::from(net.network())) << 96, net.prefix_len()),
            (IpNet::V4(net), _) => (u32::from(net.network()).into(), 96 + net.prefix_len()),
            (IpNet::V6(net), _) => (net.network().into(), net.prefix_len()),
        }
    }

    fn link(&mut self, bits: u128, len: u8, target: Link) {
        let mut node = 0;
        for depth in 0..len {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == len {
                self.nodes[node][side] = target;
                return;
            }
            node = match self.nodes[node][side] {
                Link::Node(next) => next,
                end => {
                    self.nodes.push([end; 2]);
                    self.nodes[node][side] = Link::Node(self.nodes.len() - 1);
                    self.nodes.len() - 1
                }
            };
        }
        self.nodes[0] = [target; 2];
    }

    fn number(&self, link: Link) -> u32 {
        let nodes = self.nodes.len();
        match link {
            Link::Nowhere => nodes as u32,
            Link::Node(node) => node as u32,
            Link::Data(offset) => (nodes + 16 + offset) as u32,
        }
    }

    fn node(&self, left: u32, right: u32, file: &mut Vec<u8>) {
        let ([a, l @ ..], [b, r @ ..]) = (left.to_be_bytes(), right.to_be_bytes());
        match self.record_size {
            24 => file.extend([l, r].concat()),
            28 => {
                file.extend(l);
                file.push(a << 4 | b);
                file.extend(r);
            }
            _ => file.extend([left.to_be_bytes(), right.to_be_bytes()].concat()),
        }
    }
}

fn encode(field: &Field, into: &mut Vec<u8>) {
    match field {
        Field::Map(fields) => {
            head(7, fields.len(), into);
            for (name, value) in fields {
                encode(&Field::Text((*name).to_owned()), into);
                encode(value, into);
            }
        }
        Field::Array(values) => {
            head(11, values.len(), into);
            values.iter().for_each(|value| encode(value, into));
        }
        Field::Text(text) => payload(2, text.as_bytes(), into),
        Field::Double(number) => payload(3, &number.to_be_bytes(), into),
        Field::Float(number) => payload(15, &number.to_be_bytes(), into),
        Field::U16(number) => payload(5, &number.to_be_bytes(), into),
        Field::U32(number) => payload(6, &number.to_be_bytes(), into),
        Field::U64(number) => payload(9, &number.to_be_bytes(), into),
        Field::Bool(yes) => head(14, usize::from(*yes), into),
    }
}

fn payload(kind: u8, bytes: &[u8], into: &mut Vec<u8>) {
    head(kind, bytes.len(), into);
    into.extend_from_slice(bytes);
}

/// The type and size in front of a value; types above 7 take a second byte.
fn head(kind: u8, size: usize, into: &mut Vec<u8>) {
    let (short, long) = if size < 29 { (size as u8, None) } else { (29, Some(size - 29)) };
    into.push(if kind <= 7 { kind << 5 | short } else { short });
    into.extend((kind > 7).then(|| kind - 7));
    into.extend(long.map(|rest| u8::try_from(rest).unwrap()));
}
