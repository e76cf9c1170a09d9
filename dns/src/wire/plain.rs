//! The query that nearly all are, read and answered at once.
//!
//! One question of class IN for a type that records have, and at most an OPT record of version 0 that
//! has no option but a client subnet and a cookie. [`Plain::read`] takes no other, and no message that
//! [`Request`](super::Request) would refuse; [`Plain::reply`] and [`Plain::negative`] write what a
//! [`Writer`](super::Writer) would of one RRset, or nothing where that would have to leave
//! something out. So whoever takes this way for what is plain, and the other for all else, answers
//! as by the other alone, at a fraction of its cost: nothing is read into structures that have room
//! for everything a message can say.

use super::{AA, HEADER_LEN, MAX_MESSAGE, QR, RD, TC};
use crate::edns::{self, ClientSubnet, Cookie, MIN_PAYLOAD, OPT_LEN, code, cookie};
use crate::name::{LowerName, NameRef};
use crate::rr::{Class, Opcode, RRset, Rcode, Rtype, Ttl};

/// A plain query.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// Header and question.
    head: &'a [u8],
    flags: u16,
    /// The type asked for: one that records have, and not DS, which is its parent's to answer.
    pub qtype: Rtype,
    /// The OPT record.
    opt: Option<Opt<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Opt<'a> {
    payload: u16,
    do_bit: u16,
    /// The option in wire form too: but for the scope, that goes back as it came.
    subnet: Option<(ClientSubnet, &'a [u8])>,
    cookie: Option<Cookie<'a>>,
}

/// What the OPT record of a reply says, as far as that is not the query's.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The UDP payload we take.
    pub payload: u16,
    /// How far the answer is good, if a client subnet asks.
    pub scope: u8,
    /// The server's part of the cookie; none: the query has none, or the server gives none.
    pub cookie: Option<[u8; cookie::LEN]>,
}

/// Counts of a plain query: one question, and in the additional section nothing or one record.
const COUNTS: [[u8; 8]; 2] = [[0, 1, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 1]];
/// Flags that make another message of it: a response, or another opcode.
const NOT_A_QUERY: u16 = QR | 0x7800;
/// Owner and type of an OPT record.
const OPT_HEAD: [u8; 3] = [0, 0, Rtype::OPT.0 as u8];
/// Octets of an option's code and length.
const OPTION_HEAD: usize = 4;
/// Where the scope stands in a client subnet's option.
const SCOPE_AT: usize = OPTION_HEAD + 3;
/// Octets of our COOKIE option: its head, the client's part and ours.
const COOKIE_LEN: usize = OPTION_HEAD + 8 + cookie::LEN;
/// Octets of a record before its data: owner, type, class, TTL, length.
const RECORD_LEN: usize = 12;
/// Octets of a question behind its name: type and class.
const FIXED: usize = 4;
/// Where the header has the counts of sections.
const ANSWER: usize = 6;
const AUTHORITY: usize = 8;

/// Whether a type is one that records have, and that is answered from where its name stands: types
/// from 128 to 255 mean something else (RFC 6895 §3.1), so does OPT, and DS stands above.
#[inline]
fn is_plain(qtype: Rtype) -> bool {
    !matches!(qtype, Rtype(0 | 128..=255) | Rtype::OPT | Rtype::DS)
}

/// A record up to its data, whose length is still to be said; its owner is a pointer.
#[inline]
fn record_head(owner: usize, rtype: Rtype, ttl: Ttl) -> [u8; RECORD_LEN] {
    let mut head = [0; RECORD_LEN];
    head[..2].copy_from_slice(&pointer(owner));
    head[2..4].copy_from_slice(&rtype.0.to_be_bytes());
    head[4..6].copy_from_slice(&Class::IN.0.to_be_bytes());
    head[6..10].copy_from_slice(&ttl.as_secs().to_be_bytes());
    head
}

/// To a place in the question, all of which is in reach.
#[inline]
fn pointer(to: usize) -> [u8; 2] {
    (0xc000 | to as u16).to_be_bytes()
}

/// Where a reply is written, as far as there is room.
struct Room<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl Room<'_> {
    #[inline(always)]
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.at + octets.len();
        self.out.get_mut(self.at..end)?.copy_from_slice(octets);
        self.at = end;
        Some(())
    }

    #[inline(always)]
    fn put_array<const N: usize>(&mut self, octets: &[u8; N]) -> Option<()> {
        *self.out.get_mut(self.at..)?.first_chunk_mut()? = *octets;
        self.at += N;
        Some(())
    }

    /// Writes the name that `rdata` begins with; what of it is the apex points there. Returns what
    /// follows the name.
    fn put_name<'r>(&mut self, rdata: &'r [u8], apex: &[u8], at: usize) -> Option<&'r [u8]> {
        let (mut end, mut cut) = (0, None);
        loop {
            let rest = rdata.get(end..end + apex.len());
            if cut.is_none() && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(apex)) {
                cut = Some(end);
            }
            let length = usize::from(*rdata.get(end)?);
            end += 1 + length;
            if length == 0 {
                break;
            }
        }
        match cut {
            Some(cut) => {
                self.put(&rdata[..cut])?;
                self.put(&pointer(at))?;
            }
            None => self.put(&rdata[..end])?,
        }
        rdata.get(end..)
    }
}

impl<'a> Plain<'a> {
    /// Reads a plain query, and its name into `name`; none: it is something else.
    #[inline]
    pub fn read(bytes: &'a [u8], name: &mut LowerName) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let [_, _, high, low, counts @ ..] = *header;
        let flags = u16::from_be_bytes([high, low]);
        let has_opt = counts == COUNTS[1];
        if flags & NOT_A_QUERY != 0 || !(has_opt || counts == COUNTS[0]) {
            return None;
        }
        let name_len = name.read_wire(rest)?;
        let (fixed, additional) = rest[name_len..].split_first_chunk::<FIXED>()?;
        let [t0, t1, c0, c1] = *fixed;
        let (qtype, class) = (Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1]));
        // Nothing points to a name that is the root.
        if !is_plain(qtype) || Class(class) != Class::IN || name_len == 1 {
            return None;
        }
        let opt = match additional {
            [] if !has_opt => None,
            wire if has_opt => Some(Opt::read(wire)?),
            _ => return None,
        };
        let head = &bytes[..HEADER_LEN + name_len + fixed.len()];
        Some(Self { head, flags, qtype, opt })
    }

    /// The client subnet.
    #[inline]
    pub fn subnet(&self) -> Option<&ClientSubnet> {
        self.opt.as_ref()?.subnet.as_ref().map(|(subnet, _)| subnet)
    }

    /// The cookie.
    #[inline]
    pub fn cookie(&self) -> Option<&Cookie<'a>> {
        self.opt.as_ref()?.cookie.as_ref()
    }

    /// The longest reply over UDP that the client takes, of at most so many octets.
    #[inline]
    pub fn limit(&self, most: u16) -> usize {
        self.opt.map_or(MIN_PAYLOAD, |opt| opt.payload.min(most)).into()
    }

    /// Writes the authoritative answer of one RRset without names in it, of the question's name and
    /// type, with an OPT record if the query has one; returns its length. None: it does not fit
    /// into `limit` octets, or has no records; `out` then holds whatever it does.
    #[inline]
    pub fn reply<R: AsRef<[u8]>>(
        &self,
        out: &mut [u8],
        limit: usize,
        ttl: Ttl,
        rdatas: impl IntoIterator<Item = R>,
        told: &Told,
    ) -> Option<usize> {
        let mut room = self.begin(out, limit, told)?;
        let mut head = record_head(HEADER_LEN, self.qtype, ttl);
        let mut count = 0_u16;
        for rdata in rdatas {
            let rdata = rdata.as_ref();
            head[RECORD_LEN - 2..].copy_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
            room.put_array(&head)?;
            // Copies whose length is known are a move or two.
            match (<&[u8; 4]>::try_from(rdata), <&[u8; 16]>::try_from(rdata)) {
                (Ok(v4), _) => room.put_array(v4)?,
                (_, Ok(v6)) => room.put_array(v6)?,
                _ => room.put(rdata)?,
            }
            count = count.checked_add(1)?;
        }
        let at = room.at;
        (count > 0).then(|| self.end(out, at, (ANSWER, count), Rcode::NOERROR, told))
    }

    /// Writes that there is no such name, or no data of the type, with the SOA of the zone
    /// (RFC 2308 §3) whose apex is the question's name or above it; otherwise as
    /// [`reply`](Self::reply). Names in the SOA point to the apex in the question at most.
    pub fn negative(
        &self,
        out: &mut [u8],
        limit: usize,
        rcode: Rcode,
        (apex, soa): (NameRef<'_>, &RRset<'_>),
        told: &Told,
    ) -> Option<usize> {
        let apex = apex.wire();
        let question = self.head.len() - FIXED;
        let owner = question.checked_sub(apex.len()).filter(|_| apex.len() > 1)?;
        let mut room = self.begin(out, limit, told)?;
        room.put_array(&record_head(owner, Rtype::SOA, soa.ttl))?;
        let from = room.at;
        let mut rdata = soa.rdatas().next()?;
        for _ in 0..2 {
            rdata = room.put_name(rdata, apex, owner)?;
        }
        room.put(rdata)?;
        let at = room.at;
        out[from - 2..from].copy_from_slice(&u16::try_from(at - from).ok()?.to_be_bytes());
        Some(self.end(out, at, (AUTHORITY, 1), rcode, told))
    }

    /// Header and question, and what is left of `limit` but for the OPT record.
    #[inline(always)]
    fn begin<'b>(&self, out: &'b mut [u8], limit: usize, told: &Told) -> Option<Room<'b>> {
        let opt = self.opt.map_or(0, |opt| opt.reply_len(told));
        let end = limit.min(out.len()).min(MAX_MESSAGE).checked_sub(opt)?;
        let mut room = Room { out: &mut out[..end], at: 0 };
        room.put(self.head)?;
        Some(room)
    }

    /// What is ours to say in the header, and the OPT record at the end of what was written.
    #[inline(always)]
    fn end(
        &self,
        out: &mut [u8],
        at: usize,
        (section, count): (usize, u16),
        rcode: Rcode,
        told: &Told,
    ) -> usize {
        // Id, opcode (which is 0) and RD are the query's; the questions' count is.
        let flags = QR | AA | self.flags & RD | rcode.0;
        out[2..4].copy_from_slice(&flags.to_be_bytes());
        out[section..section + 2].copy_from_slice(&count.to_be_bytes());
        at + self.opt.map_or(0, |opt| opt.write(&mut out[at..], told))
    }

    /// Writes the reply that has nothing but TC, so that the client comes over TCP; returns its
    /// length. `out` has room for 512 octets.
    pub fn slip(&self, out: &mut [u8], told: &Told) -> usize {
        let at = self.head.len();
        out[..at].copy_from_slice(self.head);
        out[2..4].copy_from_slice(&(QR | TC | self.flags & RD).to_be_bytes());
        at + self.opt.map_or(0, |opt| opt.write(&mut out[at..], told))
    }
}

impl<'a> Opt<'a> {
    /// Reads the record that is all of `wire`.
    #[inline]
    fn read(wire: &'a [u8]) -> Option<Self> {
        let (fixed, mut rdata) = wire.split_first_chunk::<OPT_LEN>()?;
        let [o, t0, t1, p0, p1, _, version, f0, f1, l0, l1] = *fixed;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [o, t0, t1] != OPT_HEAD || version != edns::VERSION || length != rdata.len() {
            return None;
        }
        let payload = u16::from_be_bytes([p0, p1]).max(MIN_PAYLOAD);
        let do_bit = u16::from_be_bytes([f0, f1]) & edns::DO;
        let mut opt = Self { payload, do_bit, subnet: None, cookie: None };
        while !rdata.is_empty() {
            let &[c0, c1, l0, l1] = rdata.first_chunk::<OPTION_HEAD>()?;
            let end = OPTION_HEAD + usize::from(u16::from_be_bytes([l0, l1]));
            let (option, rest) = rdata.split_at_checked(end)?;
            let data = &option[OPTION_HEAD..];
            match u16::from_be_bytes([c0, c1]) {
                code::CLIENT_SUBNET if opt.subnet.is_none() => {
                    opt.subnet = Some((ClientSubnet::parse_query(data).ok()?, option));
                }
                code::COOKIE if opt.cookie.is_none() => {
                    opt.cookie = Some(Cookie::parse(data).ok()?);
                }
                _ => return None,
            }
            rdata = rest;
        }
        Some(opt)
    }

    /// Octets of the reply's.
    #[inline]
    fn reply_len(&self, told: &Told) -> usize {
        let cookie = if told.cookie.is_some() { COOKIE_LEN } else { 0 };
        OPT_LEN + cookie + self.subnet.map_or(0, |(_, option)| option.len())
    }

    /// Writes the reply's; returns its length.
    #[inline]
    fn write(&self, out: &mut [u8], told: &Told) -> usize {
        let record = &mut out[..self.reply_len(told)];
        let length = (record.len() - OPT_LEN) as u16;
        let (fixed, mut options) = record.split_at_mut(OPT_LEN);
        fixed[..3].copy_from_slice(&OPT_HEAD);
        fixed[3..5].copy_from_slice(&told.payload.to_be_bytes());
        fixed[5..7].copy_from_slice(&[0, edns::VERSION]);
        fixed[7..9].copy_from_slice(&self.do_bit.to_be_bytes());
        fixed[9..].copy_from_slice(&length.to_be_bytes());
        if let (Some(server), Some(Cookie { client, .. })) = (told.cookie, self.cookie) {
            let (cookie, rest) = options.split_at_mut(COOKIE_LEN);
            let head = [code::COOKIE, (COOKIE_LEN - OPTION_HEAD) as u16].map(u16::to_be_bytes);
            cookie[..OPTION_HEAD].copy_from_slice(head.as_flattened());
            cookie[OPTION_HEAD..][..8].copy_from_slice(&client);
            cookie[OPTION_HEAD + 8..].copy_from_slice(&server);
            options = rest;
        }
        if let Some((subnet, option)) = self.subnet {
            options.copy_from_slice(option);
            options[SCOPE_AT] = subnet.with_scope(told.scope).scope();
        }
        record.len()
    }
}

const _: () = assert!(Opcode::QUERY.0 == 0, "the mask of flags says so");
