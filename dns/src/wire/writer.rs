//! Writing a reply into the caller's buffer.

use super::compress::{self, Table};
use super::{AA, HEADER_LEN, Header, MAX_MESSAGE, Question, TC};
use crate::edns;
use crate::name::NameRef;
use crate::rr::{Class, RRset, Rcode, Rtype, Ttl};

/// Writes one reply. Sections go in order; whatever happens, what [`finish`](Writer::finish)
/// leaves is a valid message within the limit.
///
/// ```
/// # use dns::{edns, rr::{Rcode, Rtype, Ttl}, wire::{Owner, Request, Section, Writer}};
/// # let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03geo\x07Example\0\0\x01\0\x01";
/// let request = Request::parse(query).unwrap();
/// let mut out = [0; 512];
/// let mut writer = Writer::reply(&mut out, 512, &request.header, request.question.as_ref(), 0)?;
/// writer.set_authoritative(true);
/// writer.rrset_with(
///     Section::Answer, Owner::Question, Rtype::A, Ttl::from_secs(60), [[192, 0, 2, 1]],
/// );
/// let length = writer.finish(Rcode::NOERROR, None);
/// assert_eq!(length, query.len() + 16);
/// # Ok::<(), dns::wire::NoRoom>(())
/// ```
pub struct Writer<'b> {
    /// The caller's buffer, cut to the limit.
    out: &'b mut [u8],
    at: usize,
    /// Octets at the end that are kept for the OPT record.
    reserve: usize,
    flags: u16,
    counts: [u16; 4],
    /// Once something needed did not fit, nothing more is written.
    full: bool,
    /// Length of the question's name; 0 without a question.
    question_name: usize,
    /// The question enters the table with the first name that could use it: most replies have
    /// none but the question's own.
    question_known: bool,
    table: Table,
}

/// Where an RRset goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Must fit, or TC is set.
    Answer,
    /// Must fit, or TC is set.
    Authority,
    /// The additional section, and must fit: addresses of name servers below the cut, without
    /// which a referral cannot be followed (RFC 9471 §3.1).
    Glue,
    /// The additional section; left out in silence if it does not fit (RFC 2181 §9).
    Additional,
}

impl Section {
    /// The place of its count in the header.
    fn count(self) -> usize {
        match self {
            Section::Answer => 1,
            Section::Authority => 2,
            Section::Glue | Section::Additional => 3,
        }
    }
}

/// The owner name of an RRset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The question's name with the client's case: a pointer of two octets.
    Question,
    /// Another name.
    Name(NameRef<'a>),
}

/// What became of an RRset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// It is in the message.
    Written,
    /// It was optional, and is not in the message.
    Omitted,
    /// It was needed, and is not in the message: TC is set.
    Truncated,
}

/// The buffer cannot hold header, question and the reserved octets. With 512 octets and an OPT
/// record of up to 229 it always can. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("buffer too small for header, question and OPT record")]
pub struct NoRoom;

/// The message is full; internal.
struct Overflow;

impl<'b> Writer<'b> {
    /// Starts a reply in `out`, of at most `limit` octets, `reserve` of them kept for the OPT
    /// record ([`edns::Reply::encoded_len`], or 0). Id, opcode, RD and the question are copied.
    pub fn reply(
        out: &'b mut [u8],
        limit: usize,
        header: &Header,
        question: Option<&Question<'_>>,
        reserve: usize,
    ) -> Result<Self, NoRoom> {
        let limit = limit.min(out.len()).min(MAX_MESSAGE);
        let out = &mut out[..limit];
        let question_wire = question.map_or(&[][..], |question| question.wire);
        let at = HEADER_LEN + question_wire.len();
        if at + reserve > limit {
            return Err(NoRoom);
        }
        out[..2].copy_from_slice(&header.id.to_be_bytes());
        out[HEADER_LEN..at].copy_from_slice(question_wire);
        if mutated!(CaseIsLost) {
            let name = question.map_or(0, |question| question.name.wire_len());
            out[HEADER_LEN..HEADER_LEN + name].make_ascii_lowercase();
        }
        Ok(Writer {
            out,
            at,
            reserve,
            flags: header.reply_flags(),
            counts: [u16::from(question.is_some()), 0, 0, 0],
            full: false,
            question_name: question.map_or(0, |question| question.name.wire_len()),
            question_known: false,
            table: Table::default(),
        })
    }

    /// Sets or clears AA.
    pub fn set_authoritative(&mut self, authoritative: bool) {
        self.flags = if authoritative { self.flags | AA } else { self.flags & !AA };
    }

    /// Sets TC and writes nothing more: for replies that want the client to come over TCP, as
    /// rate limiting's slip does.
    pub fn truncate(&mut self) {
        if !mutated!(TruncationUntold) {
            self.flags |= TC;
        }
        self.full = true;
    }

    /// The RRset did not fit, or nothing more may be written.
    fn missing(&mut self, section: Section) -> Fit {
        if section == Section::Additional {
            return Fit::Omitted;
        }
        self.truncate();
        Fit::Truncated
    }

    /// Whether TC is set.
    pub fn is_truncated(&self) -> bool {
        self.flags & TC != 0
    }

    /// Adds a static RRset, whole or not at all (RFC 2181 §9).
    pub fn rrset(&mut self, section: Section, owner: Owner<'_>, rrset: &RRset<'_>) -> Fit {
        self.rrset_with(section, owner, rrset.rtype, rrset.ttl, rrset.rdatas())
    }

    /// Adds an RRset of class IN whose RDATA the caller makes: whole or not at all. Names inside
    /// RDATA come uncompressed.
    pub fn rrset_with<I>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl: Ttl,
        rdatas: I,
    ) -> Fit
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.rrset_of_class(section, owner, rtype, Class::IN, ttl, rdatas)
    }

    /// As [`rrset_with`](Self::rrset_with), for classes like CHAOS.
    pub fn rrset_of_class<I>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        class: Class,
        ttl: Ttl,
        rdatas: I,
    ) -> Fit
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        // Counts say which record is of which section by place alone.
        let late = self.counts[section.count() + 1..].iter().any(|&count| count > 0);
        debug_assert!(!late, "sections go in order");
        if self.full || late {
            return self.missing(section);
        }
        let (at, mark) = (self.at, self.table.mark());
        match self.put_rrset(owner, rtype, class, ttl, rdatas) {
            Ok(count) if self.counts[section.count()].checked_add(count).is_some() => {
                self.counts[section.count()] += count;
                Fit::Written
            }
            _ => {
                self.at = at;
                self.table.back(mark);
                self.missing(section)
            }
        }
    }

    /// Writes the OPT record, if the query had one, and the header. Returns the message's length.
    ///
    /// `opt` may have grown past what was reserved: then it takes what room is left, and options
    /// that still do not fit are left out.
    pub fn finish(mut self, rcode: Rcode, opt: Option<&edns::Reply<'_>>) -> usize {
        if let Some(opt) = opt {
            let end = opt.write(self.out, self.at, rcode);
            self.counts[3] += u16::from(end > self.at);
            self.at = end;
        }
        let flags = self.flags | u16::from(rcode.low());
        self.out[2..4].copy_from_slice(&flags.to_be_bytes());
        for (place, count) in self.out[4..HEADER_LEN].chunks_exact_mut(2).zip(self.counts) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        self.at
    }

    fn put_rrset<I>(
        &mut self,
        owner: Owner<'_>,
        rtype: Rtype,
        class: Class,
        ttl: Ttl,
        rdatas: I,
    ) -> Result<u16, Overflow>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let [t0, t1] = rtype.0.to_be_bytes();
        let [c0, c1] = class.0.to_be_bytes();
        let [l0, l1, l2, l3] = ttl.as_secs().to_be_bytes();
        let mut owner_at = None;
        let mut count = 0u16;
        for rdata in rdatas {
            match owner_at {
                // Later records of the set point at the first one's owner.
                Some(offset) => self.put(&pointer(offset))?,
                None => owner_at = self.put_owner(owner)?,
            }
            self.put(&[t0, t1, c0, c1, l0, l1, l2, l3])?;
            self.put_rdata(rtype, rdata.as_ref())?;
            count = count.checked_add(1).ok_or(Overflow)?;
        }
        Ok(count)
    }

    /// Writes the owner; says where later records can point to, if that saves octets.
    fn put_owner(&mut self, owner: Owner<'_>) -> Result<Option<u16>, Overflow> {
        let name = match owner {
            Owner::Question if self.question_name > 1 => {
                self.put(&pointer(HEADER_LEN as u16))?;
                return Ok(Some(HEADER_LEN as u16));
            }
            Owner::Question => NameRef::ROOT,
            Owner::Name(name) => name,
        };
        let at = self.at;
        self.put_name(name.wire())?;
        if self.out[at] & 0xc0 == 0xc0 {
            return Ok(Some(u16::from_be_bytes([self.out[at] & 0x3f, self.out[at + 1]])));
        }
        Ok((name.wire_len() > 1 && at < 0x4000).then_some(at as u16))
    }

    /// Writes RDLENGTH and RDATA. Names are compressed in the types of RFC 1035 only (RFC 3597
    /// §4); elsewhere they stand as they are.
    fn put_rdata(&mut self, rtype: Rtype, rdata: &[u8]) -> Result<(), Overflow> {
        let Some(names) = Names::of(rtype) else {
            let length = u16::try_from(rdata.len()).map_err(|_| Overflow)?;
            self.put(&length.to_be_bytes())?;
            return self.put(rdata);
        };
        let length_at = self.at;
        self.put(&[0, 0])?;
        let (before, mut rest) = rdata.split_at_checked(names.skip).unwrap_or((rdata, &[]));
        self.put(before)?;
        for _ in 0..names.count {
            let Ok(name) = NameRef::parse(rest) else { break };
            self.put_name(name.wire())?;
            rest = &rest[name.wire_len()..];
        }
        self.put(rest)?;
        let length = u16::try_from(self.at - length_at - 2).map_err(|_| Overflow)?;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn put_name(&mut self, name: &[u8]) -> Result<(), Overflow> {
        if !self.question_known {
            self.question_known = true;
            if self.question_name > 1 {
                let end = HEADER_LEN + self.question_name;
                self.table.add_question(&self.out[HEADER_LEN..end], HEADER_LEN);
            }
        }
        let start = self.at;
        let known = compress::starts(name).find_map(|cut| {
            self.table.find(&self.out[..start], &name[cut..]).map(|offset| (cut, offset))
        });
        let fresh = match known {
            Some((cut, offset)) => {
                self.put(&name[..cut])?;
                self.put(&pointer(offset))?;
                cut
            }
            None => {
                self.put(name)?;
                name.len()
            }
        };
        for label in compress::starts(name).take_while(|&label| label < fresh) {
            self.table.add(start + label, name.len() - label);
        }
        Ok(())
    }

    #[inline]
    fn put(&mut self, octets: &[u8]) -> Result<(), Overflow> {
        let end = self.at + octets.len();
        if end + self.reserve > self.out.len() {
            return Err(Overflow);
        }
        self.out[self.at..end].copy_from_slice(octets);
        self.at = end;
        Ok(())
    }
}

fn pointer(offset: u16) -> [u8; 2] {
    (0xc000 | offset).to_be_bytes()
}

/// Where the compressible names of a type's RDATA stand.
struct Names {
    /// Octets before the first name.
    skip: usize,
    count: usize,
}

impl Names {
    fn of(rtype: Rtype) -> Option<Names> {
        let (skip, count) = match rtype {
            Rtype::NS
            | Rtype::MD
            | Rtype::MF
            | Rtype::CNAME
            | Rtype::MB
            | Rtype::MG
            | Rtype::MR
            | Rtype::PTR => (0, 1),
            Rtype::SOA | Rtype::MINFO => (0, 2),
            Rtype::MX => (2, 1),
            Rtype::SRV if mutated!(SrvIsCompressed) => (6, 1),
            _ => return None,
        };
        Some(Names { skip, count })
    }
}
