//! Messages, read strictly: counts are right, nothing is left over, pointers lead back.

use std::fmt;

use super::record::{self, Name, Record, name_layout};

/// Octets of a header.
const HEADER: usize = 12;

/// OPT (RFC 6891).
const OPT: u16 = 41;

/// A reply as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// Echoed.
    pub id: u16,
    /// The second word of the header, response code included.
    pub flags: u16,
    /// Questions in wire form, as sent.
    pub questions: Vec<Vec<u8>>,
    /// Answer, authority, additional without OPT.
    pub sections: [Vec<Record>; 3],
    /// The OPT record.
    pub opt: Option<Opt>,
    /// The octets after the header, without the OPT record.
    pub body: Vec<u8>,
    /// Types outside RFC 1035 whose data was compressed nevertheless (RFC 3597 §4).
    pub compressed: Vec<u16>,
}

/// An OPT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// UDP payload size.
    pub size: u16,
    /// The upper eight bits of the response code.
    pub rcode_high: u8,
    /// EDNS version.
    pub version: u8,
    /// DO and the rest.
    pub flags: u16,
    /// Code and data, in order.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// Flags of a header, by their masks.
pub const FLAGS: [(&str, u16); 7] = [
    ("aa", 0x0400),
    ("tc", 0x0200),
    ("rd", 0x0100),
    ("ra", 0x0080),
    ("z", 0x0040),
    ("ad", 0x0020),
    ("cd", 0x0010),
];

/// Response codes (RFC 6895 §2.3), by their numbers.
pub const RCODES: [(&str, u16); 13] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];

impl Message {
    /// Reads a whole message.
    pub fn parse(bytes: &[u8]) -> Result<Message, String> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut message = Message {
            id,
            flags,
            questions: Vec::new(),
            sections: Default::default(),
            opt: None,
            body: bytes[reader.at..].to_vec(),
            compressed: Vec::new(),
        };
        for _ in 0..counts[0] {
            let start = reader.at;
            let (_, compressed) = reader.name()?;
            if compressed {
                return Err("the question's name is compressed".to_owned());
            }
            reader.take(4)?;
            message.questions.push(bytes[start..reader.at].to_vec());
        }
        for (section, count) in counts[1..].iter().enumerate() {
            for _ in 0..*count {
                let start = reader.at;
                let record = reader.record(&mut message.compressed)?;
                if record.rtype != OPT {
                    message.sections[section].push(record);
                    continue;
                }
                if message.opt.is_some() || section != 2 || record.owner != [0] {
                    return Err("an OPT record where none may be".to_owned());
                }
                message.opt = Some(Opt::read(&record)?);
                message.body.drain(start - HEADER..reader.at - HEADER);
            }
        }
        match bytes.len() - reader.at {
            0 => Ok(message),
            left => Err(format!("{left} octets after the last record")),
        }
    }

    /// The response code with its upper bits.
    pub fn rcode(&self) -> u16 {
        let high = self.opt.as_ref().map_or(0, |opt| u16::from(opt.rcode_high));
        high << 4 | self.flags & 0x0f
    }

    /// Whether TC is set.
    pub fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }
}

impl Opt {
    fn read(record: &Record) -> Result<Opt, String> {
        let [rcode_high, version, high, low] = record.ttl.to_be_bytes();
        let mut options = Vec::new();
        let mut reader = Reader { bytes: &record.rdata, at: 0 };
        while reader.at < record.rdata.len() {
            let code = reader.u16()?;
            let length = reader.u16()?;
            options.push((code, reader.take(usize::from(length))?.to_vec()));
        }
        let flags = u16::from_be_bytes([high, low]);
        Ok(Opt { size: record.class, rcode_high, version, flags, options })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes.get(self.at..self.at + count);
        self.at += count;
        taken.ok_or_else(|| format!("ends early, after {} octets", self.bytes.len()))
    }

    fn u16(&mut self) -> Result<u16, String> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A name, and whether there was a pointer in it.
    fn name(&mut self) -> Result<(Name, bool), String> {
        let mut name = Name::new();
        let mut compressed = false;
        // Where to go on reading labels, once a pointer was followed.
        let mut away: Option<usize> = None;
        let mut earliest = self.at;
        loop {
            let at = away.unwrap_or(self.at);
            let mut here = Reader { bytes: self.bytes, at };
            let length = here.take(1)?[0];
            match length {
                0..=63 => name.extend_from_slice(&[&[length], here.take(length.into())?].concat()),
                192.. => {
                    compressed = true;
                    let low = here.take(1)?[0];
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    if target >= earliest {
                        return Err(format!("a pointer at octet {at} leads on to {target}"));
                    }
                    earliest = target;
                    if away.is_none() {
                        self.at = here.at;
                    }
                    away = Some(target);
                    continue;
                }
                _ => return Err(format!("a label of type {length:#x} at octet {at}")),
            }
            match away.as_mut() {
                Some(away) => *away = here.at,
                None => self.at = here.at,
            }
            if name.len() > 255 {
                return Err(format!("a name of more than 255 octets ends at octet {at}"));
            }
            if length == 0 {
                return Ok((name, compressed));
            }
        }
    }

    fn record(&mut self, compressed: &mut Vec<u16>) -> Result<Record, String> {
        let (owner, _) = self.name()?;
        let rtype = self.u16()?;
        let class = self.u16()?;
        let ttl = self.take(4)?;
        let ttl = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]);
        let length = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(length)?;
        let mut rdata = data.to_vec();
        // OPT has no names; empty data is an update's, not a record of its type.
        if let Some((skip, count)) = name_layout(rtype, data).filter(|_| length > 0) {
            let mut inner = Reader { bytes: &self.bytes[..self.at], at: start };
            rdata = inner.take(skip)?.to_vec();
            for _ in 0..count {
                let (name, was_compressed) = inner.name()?;
                rdata.extend_from_slice(&name);
                if was_compressed && !may_be_compressed(rtype) {
                    compressed.push(rtype);
                }
            }
            rdata.extend_from_slice(&self.bytes[inner.at..self.at]);
        }
        Ok(Record { owner, class, rtype, ttl, rdata })
    }
}

/// Names in the data of the types of RFC 1035 only (RFC 3597 §4).
fn may_be_compressed(rtype: u16) -> bool {
    matches!(rtype, 2..=9 | 12 | 14 | 15)
}

/// The flags that are set, as dig names them.
pub fn flags_text(flags: u16) -> String {
    let set = FLAGS.iter().filter(|(_, mask)| flags & mask != 0).map(|(name, _)| *name);
    set.collect::<Vec<_>>().join(" ")
}

/// A response code's name.
pub fn rcode_text(rcode: u16) -> String {
    let known = RCODES.iter().find(|(_, number)| *number == rcode);
    known.map_or_else(|| format!("RCODE{rcode}"), |(name, _)| (*name).to_owned())
}

/// The octets of an option, and as text where they are text.
pub fn option_text(code: u16, data: &[u8]) -> String {
    let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
    match code {
        3 => format!("nsid={}", String::from_utf8_lossy(data)),
        8 if data.len() >= 4 => format!("{}={hex}", "ecs"),
        10 => format!("cookie={hex}"),
        11 => format!("keepalive={hex}"),
        15 if data.len() >= 2 => {
            let text = String::from_utf8_lossy(&data[2..]);
            format!("ede={} {text:?}", u16::from_be_bytes([data[0], data[1]]))
        }
        _ => format!("{code}={hex}"),
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", rcode_text(self.rcode()), flags_text(self.flags))?;
        for question in &self.questions {
            let (name, tail) = question.split_at(question.len() - 4);
            let rtype = domain::base::Rtype::from_int(u16::from_be_bytes([tail[0], tail[1]]));
            let class = record::class_text(u16::from_be_bytes([tail[2], tail[3]]));
            writeln!(f, "question    {} {class} {rtype}", record::name_text(name))?;
        }
        for (title, records) in super::expect::SECTIONS.iter().zip(&self.sections) {
            for record in records {
                writeln!(f, "{title:<11} {record}")?;
            }
        }
        let Some(opt) = &self.opt else { return Ok(()) };
        write!(f, "opt         size={} version={}", opt.size, opt.version)?;
        if opt.flags != 0 {
            write!(f, " flags={:04x}", opt.flags)?;
        }
        for (code, data) in &opt.options {
            write!(f, " {}", option_text(*code, data))?;
        }
        writeln!(f)
    }
}
