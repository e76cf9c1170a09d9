//! A message parser of its own, slow and strict, to judge what the writer writes.

use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// Octets of each question.
    pub(crate) questions: Vec<Vec<u8>>,
    /// Answer, authority, additional.
    pub(crate) sections: [Vec<Record>; 3],
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Uncompressed, as found.
    pub(crate) owner: Vec<u8>,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    /// With names expanded in the types that may compress them.
    pub(crate) rdata: Vec<u8>,
}

impl Message {
    pub(crate) fn rcode(&self) -> u16 {
        let high = self.opt().map_or(0, |opt| (opt.ttl >> 24) as u16);
        high << 4 | self.flags & 0xf
    }

    pub(crate) fn truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(crate) fn opt(&self) -> Option<&Record> {
        self.sections[2].iter().find(|record| record.rtype == 41)
    }

    /// Options of the OPT record.
    pub(crate) fn options(&self) -> Vec<(u16, Vec<u8>)> {
        let mut options = Vec::new();
        let mut rest = self.opt().map_or(&[][..], |opt| &opt.rdata);
        while !rest.is_empty() {
            let code = u16::from_be_bytes([rest[0], rest[1]]);
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            options.push((code, rest[4..4 + length].to_vec()));
            rest = &rest[4 + length..];
        }
        options
    }
}

/// Parses a whole message; a pointer may only lead to where a name was read before.
pub(crate) fn parse(bytes: &[u8]) -> Result<Message, String> {
    if bytes.len() < 12 {
        return Err("short".into());
    }
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut reader = Reader { bytes, at: 12, names: BTreeSet::new() };
    let mut questions = Vec::new();
    for _ in 0..word(4) {
        let start = reader.at;
        reader.name()?;
        reader.take(4)?;
        questions.push(bytes[start..reader.at].to_vec());
    }
    let mut sections = [Vec::new(), Vec::new(), Vec::new()];
    for (i, section) in sections.iter_mut().enumerate() {
        for _ in 0..word(6 + 2 * i) {
            section.push(reader.record()?);
        }
    }
    if reader.at != bytes.len() {
        return Err(format!("{} octets after the end", bytes.len() - reader.at));
    }
    Ok(Message { id: word(0), flags: word(2), questions, sections })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where labels of names start that were read.
    names: BTreeSet<usize>,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        let taken = self.bytes.get(self.at..self.at + length).ok_or("cut off")?;
        self.at += length;
        Ok(taken.to_vec())
    }

    fn name(&mut self) -> Result<Vec<u8>, String> {
        let (mut name, mut at, mut jumped) = (Vec::new(), self.at, false);
        let mut fresh = Vec::new();
        loop {
            let length = usize::from(*self.bytes.get(at).ok_or("name cut off")?);
            if length >= 0xc0 {
                let target = (length & 0x3f) << 8 | usize::from(self.bytes[at + 1]);
                if !self.names.contains(&target) {
                    return Err(format!("pointer at {at} to {target}, where no name is"));
                }
                if !jumped {
                    self.at = at + 2;
                }
                jumped = true;
                at = target;
                continue;
            }
            if length > 63 {
                return Err("label type".into());
            }
            if !jumped && length > 0 {
                fresh.push(at);
            }
            name.extend_from_slice(self.bytes.get(at..=at + length).ok_or("label cut off")?);
            at += 1 + length;
            if length == 0 {
                if !jumped {
                    self.at = at;
                }
                break;
            }
        }
        self.names.extend(fresh);
        if name.len() > 255 { Err("name too long".into()) } else { Ok(name) }
    }

    fn record(&mut self) -> Result<Record, String> {
        let owner = self.name()?;
        let fixed = self.take(10)?;
        let rtype = u16::from_be_bytes([fixed[0], fixed[1]]);
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let end = self.at + length;
        let mut rdata = Vec::new();
        let (skip, names) = match rtype {
            2 | 5 | 12 => (0, 1),
            6 => (0, 2),
            15 => (2, 1),
            _ => (length, 0),
        };
        rdata.extend(self.take(skip)?);
        for _ in 0..names {
            rdata.extend(self.name()?);
        }
        let rest = end.checked_sub(self.at).ok_or("name past its RDATA")?;
        rdata.extend(self.take(rest)?);
        Ok(Record {
            owner,
            rtype,
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
            ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            rdata,
        })
    }
}

#[test]
fn the_judge_refuses_pointers_to_nowhere() {
    let mut message = vec![0; 12];
    message[5] = 1;
    message.extend_from_slice(b"\x01a\xc0\x0c\0\x01\0\x01");
    assert!(parse(&message).is_err());
}
