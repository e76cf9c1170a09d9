//! Queries with OPT records of every kind, and what must become of them.

use std::net::IpAddr;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::world::ZONES;

/// Labels that lead somewhere in the zones, and some that do not.
const LABELS: [&str; 50] = [
    "ns1", "mail", "www", "WwW2", "*", "wild", "a", "b", "alias", "lost", "x", "y", "cut", "ns",
    "beside", "bare", "tree", "loop", "long", "out", "svc", "chain1", "chain9", "chain12",
    "hosted", "mixed", "round1", "self", "nowhere", "abroad", "below", "viatree", "big", "mid",
    "fat", "many", "host-7", "_udp", "_sip", "_tcp", "_443", "svcb", "odd", "geo", "GEO", "any",
    "all", "inner", "up", "7",
];

/// Types that stand there, that stand nowhere, and that must not be asked.
const TYPES: [u16; 24] = [
    1, 2, 5, 6, 12, 13, 15, 16, 28, 29, 33, 35, 39, 43, 44, 46, 52, 64, 65, 255, 257, 65280, 41,
    252,
];

/// A query.
#[derive(Debug)]
pub struct Query {
    /// Who asks.
    pub peer: [u8; 5],
    /// RD, AD and CD, which an authoritative server does not care about.
    pub flags: u16,
    /// Name, type and class in wire form.
    pub question: Vec<u8>,
    /// Records of the additional section.
    pub opts: Vec<Opt>,
}

/// An OPT record.
#[derive(Arbitrary, Debug)]
pub struct Opt {
    /// The class: how much the client takes.
    pub payload: u16,
    /// One in four has another version than 0.
    pub version: Rare<u8>,
    /// DO, CO, and those that mean nothing yet.
    pub flags: u16,
    /// The owner is not the root.
    pub owned: Rare<bool>,
    /// The options.
    pub options: Vec<Choice>,
    /// Octets after the last option, too few for another.
    pub junk: Rare<[u8; 3]>,
}

/// Mostly the default.
#[derive(Debug, Default)]
pub struct Rare<T>(pub T);

impl<'a, T: Arbitrary<'a> + Default> Arbitrary<'a> for Rare<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.ratio(1, 4)? { u.arbitrary().map(Rare) } else { Ok(Rare::default()) }
    }
}

/// An option.
#[derive(Arbitrary, Debug)]
pub enum Choice {
    /// A client subnet, whose parts go together or not.
    Subnet { family: Family, source: u8, scope: Rare<u8>, address: [u8; 17], length: Length },
    /// A cookie of any length up to 63.
    Cookie { octets: [u8; 32], length: u8 },
    /// NSID, keep-alive, padding, extended error, those of the private range: with any data.
    Other { code: Code, data: Vec<u8> },
}

/// Mostly one that exists.
#[derive(Arbitrary, Debug)]
pub enum Family {
    V4,
    V6,
    None,
    Any(u16),
}

/// How many octets of the address are sent.
#[derive(Arbitrary, Debug)]
pub enum Length {
    /// As many as hold the prefix, the bits past it cleared.
    Right,
    /// As many as hold the prefix.
    Dirty,
    /// Any number.
    Any(u8),
}

/// An option code that is neither a subnet's nor a cookie's.
#[derive(Arbitrary, Debug)]
pub enum Code {
    Nsid,
    Keepalive,
    Padding,
    Error,
    Private(u8),
}

/// What must become of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// FORMERR.
    Malformed,
    /// BADVERS.
    Version,
    /// Anything else, and a reply that says this much.
    Fine(Wanted),
}

/// What the OPT record of a reply has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// This client subnet again.
    pub subnet: Option<Subnet>,
    /// A server cookie for this client.
    pub cookie: Option<[u8; 8]>,
    /// Who answers.
    pub nsid: bool,
    /// How long the connection may idle.
    pub keepalive: bool,
}

/// A well-formed client subnet: family, source prefix and the address's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// 0, 1 or 2.
    pub family: u16,
    /// The prefix's length.
    pub source: u8,
    /// Its address, as far as it was sent.
    pub address: [u8; 16],
}

impl<'a> Arbitrary<'a> for Query {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut question = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            let label = u.choose(&LABELS)?;
            question.push(label.len() as u8);
            question.extend_from_slice(label.as_bytes());
        }
        let zone = if u.ratio(1, 16)? { "example." } else { u.choose(&ZONES)? };
        for label in zone.split('.') {
            question.push(label.len() as u8);
            question.extend_from_slice(label.as_bytes());
        }
        question.extend(u.choose(&TYPES)?.to_be_bytes());
        let class = if u.ratio(1, 16)? { u.arbitrary()? } else { 1_u16 };
        question.extend(class.to_be_bytes());
        let count = if u.ratio(1, 8)? { u.int_in_range(0..=3)? } else { 1 };
        let opts = (0..count).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        Ok(Query { peer: u.arbitrary()?, flags: u.arbitrary()?, question, opts })
    }
}

impl Query {
    /// In wire form.
    pub fn wire(&self) -> Vec<u8> {
        const RD_AD_CD: u16 = 0x0130;
        let mut wire = vec![0xab, 0xcd];
        wire.extend((self.flags & RD_AD_CD).to_be_bytes());
        wire.extend([0, 1, 0, 0, 0, 0, 0, self.opts.len() as u8]);
        wire.extend(&self.question);
        for opt in &self.opts {
            wire.extend(if opt.owned.0 { &b"\x01x\0"[..] } else { b"\0" });
            wire.extend([0, 41]);
            wire.extend(opt.payload.to_be_bytes());
            wire.extend([0, opt.version.0]);
            wire.extend(opt.flags.to_be_bytes());
            let rdata = opt.rdata();
            wire.extend((rdata.len() as u16).to_be_bytes());
            wire.extend(rdata);
        }
        wire
    }

    /// What must become of it, by the texts of RFC 6891 §6.1, RFC 7871 §6 and RFC 7873
    /// §5.2.2 alone.
    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict::Fine(Wanted::default());
        for (place, opt) in self.opts.iter().enumerate() {
            if place > 0 || opt.owned.0 {
                return Verdict::Malformed;
            }
            if opt.version.0 > 0 {
                return Verdict::Version;
            }
            verdict = opt.judge();
            if verdict == Verdict::Malformed {
                return verdict;
            }
        }
        verdict
    }
}

impl Opt {
    fn rdata(&self) -> Vec<u8> {
        let mut rdata = Vec::new();
        for option in &self.options {
            let (code, data) = option.encoded();
            rdata.extend(code.to_be_bytes());
            rdata.extend((data.len() as u16).to_be_bytes());
            rdata.extend(data);
        }
        rdata.extend(self.junk.0.into_iter().take_while(|&octet| octet != 0));
        rdata
    }

    fn judge(&self) -> Verdict {
        let mut wanted = Wanted::default();
        for option in &self.options {
            let (code, data) = option.encoded();
            match code {
                3 => wanted.nsid = true,
                // Of several the first counts.
                8 if wanted.subnet.is_none() => match Subnet::judge(&data) {
                    Some(found) => wanted.subnet = Some(found),
                    None => return Verdict::Malformed,
                },
                10 if wanted.cookie.is_none() => match (data.len(), data.first_chunk()) {
                    (8 | 16..=40, Some(client)) => wanted.cookie = Some(*client),
                    _ => return Verdict::Malformed,
                },
                11 => wanted.keepalive = true,
                _ => {}
            }
        }
        if self.junk.0[0] != 0 { Verdict::Malformed } else { Verdict::Fine(wanted) }
    }
}

impl Subnet {
    fn judge(data: &[u8]) -> Option<Subnet> {
        let (&[high, low, source, scope], rest) = data.split_first_chunk()?;
        let family = u16::from_be_bytes([high, low]);
        let bits = [0, 32, 128].get(usize::from(family))?;
        let fits = u32::from(source) <= *bits && rest.len() * 8 >= usize::from(source);
        if !fits || scope != 0 || rest.len() * 8 >= usize::from(source) + 8 {
            return None;
        }
        let set = |bit: usize| rest[bit / 8] & (0x80 >> (bit % 8)) != 0;
        if (usize::from(source)..rest.len() * 8).any(set) {
            return None;
        }
        let mut address = [0; 16];
        address[..rest.len()].copy_from_slice(rest);
        Some(Subnet { family, source, address })
    }

    /// The address; of an option without one 0.0.0.0.
    pub fn address(&self) -> IpAddr {
        let [a, b, c, d, ..] = self.address;
        if self.family == 2 { self.address.into() } else { [a, b, c, d].into() }
    }
}

impl Choice {
    fn encoded(&self) -> (u16, Vec<u8>) {
        match self {
            Choice::Subnet { family, source, scope, address, length } => {
                let (family, bits) = match family {
                    Family::V4 => (1, 32),
                    Family::V6 => (2, 128),
                    Family::None => (0, 0),
                    Family::Any(family) => (*family, 255),
                };
                let source = match length {
                    Length::Right | Length::Dirty => source % (bits as u8).saturating_add(1).max(1),
                    Length::Any(_) => *source,
                };
                let [high, low] = u16::to_be_bytes(family);
                let mut data = vec![high, low, source, scope.0];
                data.extend(cut(address, source, length));
                (8, data)
            }
            Choice::Cookie { octets, length } => {
                let whole = [*octets, *octets].concat();
                (10, whole[..usize::from(length % 64)].to_vec())
            }
            Choice::Other { code, data } => {
                let code = match code {
                    Code::Nsid => 3,
                    Code::Keepalive => 11,
                    Code::Padding => 12,
                    Code::Error => 15,
                    Code::Private(low) => 0xff00 | u16::from(*low),
                };
                (code, data.clone())
            }
        }
    }
}

fn cut(address: &[u8; 17], source: u8, length: &Length) -> Vec<u8> {
    let octets = match length {
        Length::Any(octets) => usize::from(*octets),
        _ => usize::from(source).div_ceil(8),
    };
    let mut out = address[..octets.min(address.len())].to_vec();
    if let (Length::Right, Some(last), spare @ 1..) = (length, out.last_mut(), (8 - source % 8) % 8)
    {
        *last &= 0xff << spare;
    }
    out
}
