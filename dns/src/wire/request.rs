//! What a client sent.

use super::{HEADER_LEN, Header, Writer, walk};
use crate::edns::{self, Edns, ExtendedError, InfoCode, OptionError};
use crate::name::{NameError, NameRef};
use crate::rr::{Class, Opcode, Rcode, Rtype};

/// A well-formed message with opcode QUERY, NOTIFY or UPDATE.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Id, opcode and flags.
    pub header: Header,
    /// The question (the zone section of an UPDATE). `None` only in a query that asks for nothing
    /// but a server cookie: then [`Edns::cookie`] is there (RFC 7873 §5.4).
    pub question: Option<Question<'a>>,
    /// The OPT record.
    pub edns: Option<Edns<'a>>,
    /// A TSIG or SIG(0) record, not looked at.
    pub signature: Option<Signature>,
    /// The whole message.
    pub bytes: &'a [u8],
}

/// The question, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The name with the client's own case (0x20), which goes back unchanged.
    pub name: NameRef<'a>,
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: Class,
    /// Name, type and class in wire form.
    pub(super) wire: &'a [u8],
}

/// A transaction signature: always the last record (RFC 8945 §5.1, RFC 2931 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// TSIG or SIG.
    pub rtype: Rtype,
    /// Where the record starts in the message.
    pub start: usize,
}

/// A message that is not answered with data.
#[derive(Clone, Debug)]
pub enum Malformed<'a> {
    /// Say nothing: an answer could start a loop between two servers.
    Drop(DropReason),
    /// Answer with an error; [`Refusal::write`] does.
    Refuse(Refusal<'a>),
}

/// Why a message is dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Fewer than 12 octets: there is no id to answer to.
    ShorterThanHeader,
    /// QR is set: it is a response.
    Response,
}

/// An error reply, and all that is needed to write it.
#[derive(Clone, Debug)]
pub struct Refusal<'a> {
    /// The query's header.
    pub header: Header,
    /// What to answer.
    pub rcode: Rcode,
    /// What is wrong, for counters and logs.
    pub fault: Fault,
    /// The question, if it was read before the fault was found.
    pub question: Option<Question<'a>>,
    /// The OPT record of the query, as far as it was read: then the reply has one too (RFC 6891 §7).
    pub edns: Option<Edns<'a>>,
    /// The signature, if the message is well-formed enough to have one: who signed it is told in a
    /// reply that is signed too (RFC 8945 §5.3).
    pub signature: Option<Signature>,
}

/// What is wrong with a message. The client is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Opcode that we do not implement.
    #[error("opcode {0}")]
    Opcode(Opcode),
    /// More than one question (RFC 9619), or none and no cookie (RFC 7873 §5.4).
    #[error("{0} questions")]
    QuestionCount(u16),
    /// The question's name is not one.
    #[error("question: {0}")]
    QuestionName(NameError),
    /// The message ends inside the question.
    #[error("question ends early")]
    QuestionEnd,
    /// Records where a query has none: in the answer section, or in the authority section of
    /// anything but IXFR (RFC 1995 §3).
    #[error("records in the answer or authority section of a query")]
    Sections,
    /// A record is malformed: cut off, or its name is (compression that goes forward or loops).
    #[error("malformed record")]
    Record,
    /// Octets after the last record.
    #[error("octets after the last record")]
    Trailing,
    /// Two OPT records, one whose owner is not the root, or one outside the additional section
    /// (RFC 6891 §6.1.1).
    #[error("OPT record where none may be")]
    MisplacedOpt,
    /// A signature that is not the last record (RFC 8945 §5.1).
    #[error("TSIG record that is not the last")]
    MisplacedSignature,
    /// An option is malformed.
    #[error("{0}")]
    Option(OptionError),
    /// EDNS version over 0.
    #[error("EDNS version {0}")]
    EdnsVersion(u8),
    /// A type that must not be asked: OPT, TSIG, TKEY, NXNAME (RFC 9824 §3.5), MAILA, MAILB.
    #[error("query type {0}")]
    QueryType(Rtype),
}

impl<'a> Request<'a> {
    /// Reads a message as a server does; work and memory are bounded, nothing is allocated.
    ///
    /// Like NSD and unlike BIND we refuse records in the answer section of a query: no client
    /// sends them, and they would only be carried along.
    #[expect(clippy::result_large_err, reason = "what is refused is rare; a box would allocate")]
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed<'a>> {
        let Some(header) = Header::read(bytes) else {
            return Err(Malformed::Drop(DropReason::ShorterThanHeader));
        };
        if header.is_response() && !mutated!(ResponseIsAnswered) {
            return Err(Malformed::Drop(DropReason::Response));
        }
        let mut request = Request { header, question: None, edns: None, signature: None, bytes };
        match request.read() {
            Ok(()) => Ok(request),
            Err(fault) => Err(Malformed::Refuse(request.refuse(fault))),
        }
    }

    #[inline]
    fn read(&mut self) -> Result<(), Fault> {
        let opcode = self.header.opcode();
        if !matches!(opcode, Opcode::QUERY | Opcode::NOTIFY | Opcode::UPDATE) {
            self.read_what_can_be();
            return Err(Fault::Opcode(opcode));
        }
        let [questions, answers, authorities, _] = self.header.counts;
        let mut at = HEADER_LEN;
        match questions {
            0 if opcode == Opcode::QUERY => {}
            1 => {
                let question = Question::read(&self.bytes[HEADER_LEN..])?;
                at += question.wire.len();
                self.question = Some(question);
            }
            2 if mutated!(TwoQuestionsAreTaken) => {
                let first = Question::read(&self.bytes[HEADER_LEN..])?;
                at += first.wire.len();
                at += Question::read(self.bytes.get(at..).unwrap_or_default())?.wire.len();
                self.question = Some(first);
            }
            several => return Err(Fault::QuestionCount(several)),
        }
        if opcode == Opcode::QUERY {
            let ixfr = self.question.is_some_and(|question| question.qtype == Rtype::IXFR);
            if answers != 0 || (authorities != 0 && !ixfr) {
                return Err(Fault::Sections);
            }
        }
        self.read_records(at)?;
        self.check_question(opcode)
    }

    /// Reads question and OPT of a message whose opcode is unknown, so that the refusal can have
    /// them too. What is not as in a query is no fault: the opcode may well give it another form,
    /// as RFC 8490 §5.4 does.
    #[cold]
    fn read_what_can_be(&mut self) {
        let mut at = HEADER_LEN;
        match self.header.counts[0] {
            0 => {}
            1 => {
                let Ok(question) = Question::read(&self.bytes[HEADER_LEN..]) else { return };
                at += question.wire.len();
                self.question = Some(question);
            }
            _ => return,
        }
        if !matches!(self.read_records(at), Ok(()) | Err(Fault::EdnsVersion(_))) {
            self.edns = None;
        }
    }

    fn read_records(&mut self, mut at: usize) -> Result<(), Fault> {
        let [_, answers, authorities, additionals] = self.header.counts;
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            let record = walk::record(self.bytes, at).ok_or(Fault::Record)?;
            if record.rtype == Rtype::OPT.0 {
                return Err(Fault::MisplacedOpt);
            }
            at = record.end;
        }
        for left in (0..additionals).rev() {
            let record = walk::record(self.bytes, at).ok_or(Fault::Record)?;
            at = record.end;
            match Rtype(record.rtype) {
                Rtype::OPT => self.read_opt(&record)?,
                rtype @ (Rtype::TSIG | Rtype::SIG) if left == 0 => {
                    self.signature = Some(Signature { rtype, start: record.start });
                }
                Rtype::TSIG => return Err(Fault::MisplacedSignature),
                _ => {}
            }
        }
        if at != self.bytes.len() && !mutated!(TrailingOctetsAreTaken) {
            return Err(Fault::Trailing);
        }
        Ok(())
    }

    fn read_opt(&mut self, record: &walk::Record<'a>) -> Result<(), Fault> {
        if self.edns.is_some() && !mutated!(TwoOptsAreTaken) || !record.at_root {
            return Err(Fault::MisplacedOpt);
        }
        let edns = self.edns.insert(Edns::from_fixed(record.class, record.ttl));
        if edns.version > edns::VERSION {
            // What a later version means by its options we cannot know.
            return Err(Fault::EdnsVersion(edns.version));
        }
        edns.read_options(record.rdata).map_err(Fault::Option)
    }

    fn check_question(&self, opcode: Opcode) -> Result<(), Fault> {
        match (self.question, &self.edns) {
            (None, Some(Edns { cookie: Some(_), .. })) => Ok(()),
            (None, _) => Err(Fault::QuestionCount(0)),
            (Some(Question { qtype, .. }), _)
                if opcode == Opcode::QUERY
                    && matches!(
                        qtype,
                        Rtype::OPT
                            | Rtype::NXNAME
                            | Rtype::TKEY
                            | Rtype::TSIG
                            | Rtype::MAILA
                            | Rtype::MAILB
                    ) =>
            {
                Err(Fault::QueryType(qtype))
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn refuse(&self, fault: Fault) -> Refusal<'a> {
        let rcode = match fault {
            Fault::Opcode(_) if mutated!(UnknownOpcodeIsFormerr) => Rcode::FORMERR,
            Fault::Opcode(_) | Fault::QueryType(Rtype::MAILA | Rtype::MAILB) => Rcode::NOTIMP,
            Fault::EdnsVersion(_) if !mutated!(BadversIsFormerr) => Rcode::BADVERS,
            _ => Rcode::FORMERR,
        };
        Refusal {
            header: self.header,
            rcode,
            fault,
            question: self.question,
            edns: self.edns.clone().filter(|_| !mutated!(ErrorWithoutOpt)),
            signature: self.signature_of_all(),
        }
    }

    /// The signature of a message that may have been given up before its end: skips over all of it.
    /// `None` if it cannot be, or if there is a TSIG record elsewhere or anything behind the last one
    /// (RFC 8945 §5.1).
    fn signature_of_all(&self) -> Option<Signature> {
        let [questions, answers, authorities, additionals] = self.header.counts;
        if additionals == 0 {
            return None;
        }
        let mut at = HEADER_LEN;
        for _ in 0..questions {
            at = walk::name_end(self.bytes, at)? + Question::FIXED;
        }
        let mut last = None;
        let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
        for left in (0..records).rev() {
            let record = walk::record(self.bytes, at)?;
            at = record.end;
            match Rtype(record.rtype) {
                rtype @ (Rtype::TSIG | Rtype::SIG) if left == 0 => {
                    last = Some(Signature { rtype, start: record.start });
                }
                Rtype::TSIG => return None,
                _ => {}
            }
        }
        last.filter(|_| at == self.bytes.len())
    }
}

impl<'a> Question<'a> {
    /// Octets of name, type and class.
    pub(crate) fn wire_len(&self) -> usize {
        self.wire.len()
    }

    /// Type and class after the name.
    const FIXED: usize = 4;

    /// Reads a question from the start of `bytes`. Its name cannot be compressed: nothing stands
    /// before it.
    fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let name = NameRef::parse(bytes).map_err(Fault::QuestionName)?;
        let end = name.wire_len() + Self::FIXED;
        let wire = bytes.get(..end).ok_or(Fault::QuestionEnd)?;
        let [t0, t1, c0, c1] = wire[name.wire_len()..] else { return Err(Fault::QuestionEnd) };
        Ok(Question {
            name,
            qtype: Rtype(u16::from_be_bytes([t0, t1])),
            qclass: Class(u16::from_be_bytes([c0, c1])),
            wire,
        })
    }
}

impl<'a> Refusal<'a> {
    /// The message that is refused, as far as it was read; `bytes` are its octets.
    pub fn request(&self, bytes: &'a [u8]) -> Request<'a> {
        let Refusal { header, question, ref edns, signature, .. } = *self;
        Request { header, question, edns: edns.clone(), signature, bytes }
    }

    /// Writes the error reply into `out` and returns its length, or 0 if `out` cannot hold it
    /// (never, with 512 octets). `payload` is the UDP payload we announce.
    pub fn write(&self, out: &mut [u8], payload: u16) -> usize {
        let opt = self.edns.as_ref().map(|edns| {
            let do_bit = edns.do_bit;
            let mut opt = edns::Reply { payload, do_bit, ..edns::Reply::default() };
            if let Some(code) = self.info_code() {
                opt.errors.push(ExtendedError { code, text: "" });
            }
            opt
        });
        let reserve = opt.as_ref().map_or(0, edns::Reply::encoded_len);
        let limit = out.len();
        Writer::reply(out, limit, &self.header, self.question.as_ref(), reserve)
            .map_or(0, |writer| writer.finish(self.rcode, opt.as_ref()))
    }

    /// Whether the message itself is as it should be, and only what it asks is refused: then its
    /// options are answered as in any reply.
    pub fn is_well_formed(&self) -> bool {
        matches!(self.fault, Fault::Opcode(_) | Fault::QueryType(_))
    }

    /// The extended error that says more than the code, if one does.
    pub fn info_code(&self) -> Option<InfoCode> {
        matches!(self.fault, Fault::QueryType(Rtype::NXNAME))
            .then_some(InfoCode::INVALID_QUERY_TYPE)
    }
}
