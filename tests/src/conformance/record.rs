//! Names and records between text and octets, every type included.

use std::fmt;

use domain::base::Rtype;
use domain::base::name::Name as DomainName;
use domain::base::rdata::{ComposeRecordData, ParseAnyRecordData};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};

/// A name in uncompressed wire form, in the case it was written in.
pub type Name = Vec<u8>;

/// One record, names in its data uncompressed.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub owner: Name,
    /// 1 is IN.
    pub class: u16,
    /// Its type.
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// Its data.
    pub rdata: Vec<u8>,
}

/// Reads a name; without a dot at the end it is below `origin`, and `@` is `origin`.
pub fn name(text: &str, origin: &[u8]) -> Result<Name, String> {
    if text == "@" {
        return Ok(origin.to_vec());
    }
    let wrong = |error: &dyn fmt::Display| format!("{text:?} is no name: {error}");
    let absolute = text.ends_with('.') && !text.ends_with("\\.");
    let own: DomainName<Vec<u8>> = text.parse().map_err(|error| wrong(&error))?;
    let mut wire = own.into_octets();
    if !absolute {
        wire.pop();
        wire.extend_from_slice(origin);
    }
    if wire.len() > 255 {
        return Err(wrong(&format_args!("{} octets with its origin", wire.len())));
    }
    Ok(wire)
}

/// A name as text, with the dot at its end.
pub fn name_text(wire: &[u8]) -> String {
    match DomainName::from_octets(wire) {
        Ok(name) => {
            let text = name.to_string();
            if text.ends_with('.') { text } else { text + "." }
        }
        Err(_) => format!("{wire:02x?}"),
    }
}

/// A type's mnemonic, or its number as RFC 3597 writes it.
pub fn rtype(text: &str) -> Result<u16, String> {
    let rtype: Rtype = text.parse().map_err(|_| format!("{text:?} is no type"))?;
    Ok(rtype.to_int())
}

/// The class that `text` names, if it does.
pub fn class(text: &str) -> Option<u16> {
    match text {
        "IN" => Some(1),
        "CH" => Some(3),
        "HS" => Some(4),
        "NONE" => Some(254),
        "ANY" => Some(255),
        _ => text.strip_prefix("CLASS")?.parse().ok(),
    }
}

/// A class as text.
pub fn class_text(class: u16) -> String {
    let known =
        ["IN", "CH", "HS", "NONE"].into_iter().find(|text| self::class(text) == Some(class));
    known.map_or_else(|| format!("CLASS{class}"), str::to_owned)
}

/// What stands for the TTL of a record that is written without one; zones of cases have it too.
pub const DEFAULT_TTL: u32 = 3600;

impl Record {
    /// Reads `owner [ttl] [class] type data`.
    pub fn parse(text: &str, origin: &[u8]) -> Result<Record, String> {
        let mut rest = text.trim();
        let owner = name(word(&mut rest).ok_or("a record begins with its owner")?, origin)?;
        let (mut ttl, mut class) = (DEFAULT_TTL, 1);
        let rtype = loop {
            let word = word(&mut rest).ok_or_else(|| format!("no type in {text:?}"))?;
            if let Ok(number) = word.parse() {
                ttl = number;
            } else if let Some(number) = self::class(word) {
                class = number;
            } else {
                break rtype(word)?;
            }
        };
        Ok(Record { owner, class, rtype, ttl, rdata: data(rtype, rest, origin)? })
    }

    /// Equal records of different spelling: names compare without case (RFC 4343).
    #[must_use]
    pub fn canonical(&self) -> Record {
        let mut same = self.clone();
        same.owner.make_ascii_lowercase();
        for (start, end) in names_in(self.rtype, &self.rdata) {
            same.rdata[start..end].make_ascii_lowercase();
        }
        same
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = class_text(self.class);
        let rtype = Rtype::from_int(self.rtype);
        write!(f, "{} {} {class} {rtype} ", name_text(&self.owner), self.ttl)?;
        let mut parser = Parser::from_ref(self.rdata.as_slice());
        match AllRecordData::<_, domain::base::ParsedName<_>>::parse_any_rdata(rtype, &mut parser) {
            Ok(data) if parser.remaining() == 0 => write!(f, "{data}"),
            _ => {
                write!(f, "\\# {} ", self.rdata.len())?;
                self.rdata.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Takes the next word off.
fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    *rest = text[end..].trim_start();
    (end > 0).then(|| &text[..end])
}

/// Record data in wire form. The crate `domain` reads it: it knows the types, and RFC 3597.
fn data(rtype: u16, text: &str, origin: &[u8]) -> Result<Vec<u8>, String> {
    let origin_text = name_text(origin);
    let words: Vec<&str> =
        text.split(' ').map(|word| if word == "@" { &origin_text } else { word }).collect();
    let line = format!(". 0 IN {} {}\n", Rtype::from_int(rtype), words.join(" "));
    let mut file = Zonefile::from(line.as_str());
    file.set_origin(origin_text.parse().map_err(|error| format!("{origin_text}: {error}"))?);
    match file.next_entry() {
        Ok(Some(Entry::Record(record))) => {
            let mut rdata = Vec::new();
            record.data().compose_rdata(&mut rdata).unwrap_or_else(|never| match never {});
            Ok(rdata)
        }
        Ok(_) => Err(format!("no data in {text:?}")),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

/// Where names stand in the data of a type: how many octets are before them, and how many names
/// there are. RFC 4034 §6.2 lists the types; SVCB's target is a name as well (RFC 9460 §2.2).
pub(crate) fn name_layout(rtype: u16, rdata: &[u8]) -> Option<(usize, usize)> {
    let layout = match rtype {
        // NS MD MF CNAME MB MG MR PTR DNAME
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 1),
        // SOA MINFO RP
        6 | 14 | 17 => (0, 2),
        // MX AFSDB RT KX SVCB HTTPS
        15 | 18 | 21 | 36 | 64 | 65 => (2, 1),
        // PX
        26 => (2, 2),
        // SRV
        33 => (6, 1),
        // NAPTR: two numbers and three strings before the name
        35 => {
            let mut at = 4;
            for _ in 0..3 {
                at += 1 + usize::from(*rdata.get(at)?);
            }
            (at, 1)
        }
        _ => return None,
    };
    Some(layout)
}

/// From where to where names stand in uncompressed data.
fn names_in(rtype: u16, rdata: &[u8]) -> Vec<(usize, usize)> {
    let Some((skip, count)) = name_layout(rtype, rdata) else { return Vec::new() };
    let mut places = Vec::new();
    let mut at = skip;
    for _ in 0..count {
        let start = at;
        loop {
            let Some(&length) = rdata.get(at) else { return places };
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
        if at > rdata.len() {
            return places;
        }
        places.push((start, at));
    }
    places
}
