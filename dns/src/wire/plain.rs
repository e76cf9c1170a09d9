//! The query that nearly all are, read and answered at once.
//!
//! One question for addresses, of class IN, and at most an OPT record of version 0 that says nothing but a client
//! subnet. [`Plain::read`] takes no other, and no message that [`Request`](super::Request) would
//! refuse; [`Plain::reply`] writes, octet by octet, what a [`Writer`](super::Writer) would of one
//! RRset, or nothing where that would have to leave something out. So whoever takes this way for
//! what is plain, and the other for all else, answers as by the other alone, at a fraction of its
//! cost: nothing is read into structures that have room for everything a message can say.

use super::{AA, HEADER_LEN, MAX_MESSAGE, QR, RD, TC};
use crate::edns::{self, ClientSubnet, MIN_PAYLOAD, OPT_LEN};
use crate::name::LowerName;
use crate::rr::{Class, Opcode, Rtype, Ttl};

/// A plain query.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// Header and question.
    head: &'a [u8],
    flags: u16,
    /// The type asked for: A or AAAA.
    pub qtype: Rtype,
    /// The OPT record.
    opt: Option<Opt<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Opt<'a> {
    wire: &'a [u8],
    payload: u16,
    do_bit: u16,
    subnet: Option<ClientSubnet>,
}

/// Counts of a plain query: one question, and in the additional section nothing or one record.
const COUNTS: [[u8; 8]; 2] = [[0, 1, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 1]];
/// Flags that make another message of it: a response, or another opcode.
const NOT_A_QUERY: u16 = QR | 0x7800;
/// Owner and type of an OPT record.
const OPT_HEAD: [u8; 3] = [0, 0, Rtype::OPT.0 as u8];
/// Octets of an option's code and length.
const OPTION_HEAD: usize = 4;
/// Where the scope stands behind an OPT record's begin, if a client subnet is its only option.
const SCOPE_AT: usize = OPT_LEN + OPTION_HEAD + 3;
/// The owner of records: a pointer to the question's name.
const QUESTION: [u8; 2] = [0xc0, HEADER_LEN as u8];
/// Octets of a record before its data: owner, type, class, TTL, length.
const RECORD_LEN: usize = 12;

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
        let (fixed, additional) = rest[name_len..].split_first_chunk::<4>()?;
        let [t0, t1, c0, c1] = *fixed;
        let (qtype, class) = (Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1]));
        // Nothing points to a name that is the root.
        if !matches!(qtype, Rtype::A | Rtype::AAAA) || Class(class) != Class::IN || name_len == 1 {
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
        self.opt.as_ref()?.subnet.as_ref()
    }

    /// The longest reply over UDP that the client takes, of at most so many octets.
    #[inline]
    pub fn limit(&self, most: u16) -> usize {
        self.opt.map_or(MIN_PAYLOAD, |opt| opt.payload.min(most)).into()
    }

    /// Writes the authoritative answer of one RRset of the question's name and type, with an OPT
    /// record that announces a payload and gives the scope back, if the query has them; returns
    /// its length. None: it does not fit into `limit` octets, or has no records; `out` then holds
    /// whatever it does.
    #[inline]
    pub fn reply<R: AsRef<[u8]>>(
        &self,
        out: &mut [u8],
        limit: usize,
        ttl: Ttl,
        rdatas: impl IntoIterator<Item = R>,
        (payload, scope): (u16, u8),
    ) -> Option<usize> {
        let opt = self.opt.map_or(&[][..], |opt| opt.wire);
        let room = limit.min(out.len()).min(MAX_MESSAGE).checked_sub(opt.len())?;
        let mut at = self.head.len();
        out.get_mut(..at)?.copy_from_slice(self.head);
        let mut fixed = [0; RECORD_LEN - 2];
        fixed[..2].copy_from_slice(&QUESTION);
        fixed[2..4].copy_from_slice(&self.qtype.0.to_be_bytes());
        fixed[4..6].copy_from_slice(&Class::IN.0.to_be_bytes());
        fixed[6..].copy_from_slice(&ttl.as_secs().to_be_bytes());
        let mut count = 0_u16;
        for rdata in rdatas {
            let rdata = rdata.as_ref();
            let end = at + RECORD_LEN + rdata.len();
            let record = out[..room].get_mut(at..end)?;
            let (head, data) = record.split_first_chunk_mut::<RECORD_LEN>()?;
            head[..10].copy_from_slice(&fixed);
            head[10..].copy_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
            data.copy_from_slice(rdata);
            count = count.checked_add(1)?;
            at = end;
        }
        if count == 0 {
            return None;
        }
        // Id, opcode (which is 0) and RD are the query's; the questions' count is.
        out[2..4].copy_from_slice(&(QR | AA | self.flags & RD).to_be_bytes());
        out[6..8].copy_from_slice(&count.to_be_bytes());
        Some(at + self.opt.map_or(0, |opt| opt.write(&mut out[at..], payload, scope)))
    }

    /// Writes the reply that has nothing but TC, so that the client comes over TCP; returns its
    /// length. `out` has room for 512 octets.
    pub fn slip(&self, out: &mut [u8], payload: u16) -> usize {
        let at = self.head.len();
        out[..at].copy_from_slice(self.head);
        out[2..4].copy_from_slice(&(QR | TC | self.flags & RD).to_be_bytes());
        at + self.opt.map_or(0, |opt| opt.write(&mut out[at..], payload, 0))
    }
}

impl<'a> Opt<'a> {
    /// Reads the record that is all of `wire`.
    #[inline]
    fn read(wire: &'a [u8]) -> Option<Self> {
        let (fixed, rdata) = wire.split_first_chunk::<OPT_LEN>()?;
        let [o, t0, t1, p0, p1, _, version, f0, f1, l0, l1] = *fixed;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [o, t0, t1] != OPT_HEAD || version != edns::VERSION || length != rdata.len() {
            return None;
        }
        let subnet = match rdata.split_first_chunk::<OPTION_HEAD>() {
            None if rdata.is_empty() => None,
            None => return None,
            Some((&[c0, c1, l0, l1], data)) => {
                let code = u16::from_be_bytes([c0, c1]);
                let length = usize::from(u16::from_be_bytes([l0, l1]));
                if code != edns::code::CLIENT_SUBNET || length != data.len() {
                    return None;
                }
                Some(ClientSubnet::parse_query(data).ok()?)
            }
        };
        let payload = u16::from_be_bytes([p0, p1]).max(MIN_PAYLOAD);
        let do_bit = u16::from_be_bytes([f0, f1]) & edns::DO;
        Some(Self { wire, payload, do_bit, subnet })
    }

    /// Writes the reply's: it differs from the query's in what is ours to say.
    #[inline]
    fn write(&self, out: &mut [u8], payload: u16, scope: u8) -> usize {
        let record = &mut out[..self.wire.len()];
        record.copy_from_slice(self.wire);
        record[3..5].copy_from_slice(&payload.to_be_bytes());
        record[5..7].copy_from_slice(&[0, edns::VERSION]);
        record[7..9].copy_from_slice(&self.do_bit.to_be_bytes());
        if let Some(subnet) = self.subnet {
            record[SCOPE_AT] = subnet.with_scope(scope).scope();
        }
        record.len()
    }
}

const _: () = assert!(Opcode::QUERY.0 == 0, "the mask of flags says so");
