//! A message beside what was expected.

use super::expect::{Expected, Product, Question, Reply, SECTIONS};
use super::message::{Message, flags_text, option_text, rcode_text};
use super::query::Query;
use super::record::Record;

/// Extended errors (RFC 8914).
const EDE: u16 = 15;

const RD: u16 = 0x0100;
const AA: u16 = 0x0400;
/// AA TC RA Z AD CD: what a case says of.
const SAID: u16 = 0x06f0;
/// QR and the opcode.
const KIND: u16 = 0xf800;
const QR: u16 = 0x8000;

/// Everything that is wrong with `reply`, the answer of `product` to `query`; nothing if it is
/// what was expected.
///
/// Ours is held to every word. Peers are free where the RFCs leave it free: they may send extended
/// errors or not, leave out additional records that no referral needs, and compress data that was
/// compressed before RFC 3597.
pub fn judge(
    expected: &Expected,
    query: &Query,
    reply: Option<&[u8]>,
    product: Product,
) -> Vec<String> {
    let (expected, bytes) = match (&expected.reply, reply) {
        (None, None) => return Vec::new(),
        (None, Some(_)) => return vec!["an answer, where silence was expected".to_owned()],
        (Some(_), None) => return vec!["no answer".to_owned()],
        (Some(expected), Some(bytes)) => (expected, bytes),
    };
    let got = match Message::parse(bytes) {
        Ok(got) => got,
        Err(error) => return vec![format!("malformed: {error}")],
    };
    let mut judge = Judge { expected, query, got: &got, product, wrong: Vec::new() };
    judge.header();
    judge.question();
    judge.sections();
    judge.opt();
    judge.wrong
}

struct Judge<'a> {
    expected: &'a Reply,
    query: &'a Query,
    got: &'a Message,
    product: Product,
    wrong: Vec<String>,
}

impl Judge<'_> {
    fn is_ours(&self) -> bool {
        self.product == Product::Dnsrouter
    }

    fn wrong(&mut self, what: &str, expected: impl Into<String>, got: impl Into<String>) {
        self.wrong.push(format!("{what}: {}, expected {}", got.into(), expected.into()));
    }

    fn header(&mut self) {
        let (expected, got) = (self.expected, self.got);
        if got.rcode() != expected.rcode {
            self.wrong("rcode", rcode_text(expected.rcode), rcode_text(got.rcode()));
        }
        if got.flags & SAID != expected.flags {
            self.wrong("flags", flags_text(expected.flags), flags_text(got.flags & SAID));
        }
        let sent = self.query.bytes.get(2..4).map_or(0, |word| u16::from(word[0]) << 8);
        if got.flags & RD != sent & RD {
            self.wrong("flags", flags_text(sent & RD), flags_text(got.flags & RD));
        }
        if got.flags & KIND != sent & KIND | QR {
            let text = |flags: u16| format!("QR and opcode {:05b}", flags >> 11);
            self.wrong("header", text(sent | QR), text(got.flags));
        }
    }

    fn question(&mut self) {
        let is_sent = |got: &Vec<u8>| match &self.query.question {
            Some(sent) => got == sent,
            None => self.query.bytes.get(12..).is_some_and(|sent| sent.starts_with(got)),
        };
        let ok = match (self.expected.question, &self.got.questions[..]) {
            (Question::Same | Question::SameOrNothing, [got]) => is_sent(got),
            (Question::Nothing | Question::SameOrNothing, got) => got.is_empty(),
            (Question::Same, _) => false,
        };
        if !ok {
            let got = format!("{} of {:02x?}", self.got.questions.len(), self.got.questions);
            self.wrong("question", format!("{:?} as sent", self.expected.question), got);
        }
    }

    fn sections(&mut self) {
        for (place, title) in SECTIONS.iter().enumerate() {
            let expected = canonical(&self.expected.sections[place]);
            let got = canonical(&self.got.sections[place]);
            let is_additional = place == 2;
            // Additional records that are not glue help, and nobody may rely on them.
            let may_lack = is_additional && !self.is_ours() && self.expected.flags & AA != 0;
            let may_have_more = is_additional && self.expected.more;
            for record in surplus(&expected, &got).into_iter().filter(|_| !may_lack) {
                self.wrong.push(format!("{title}: lacks {record}"));
            }
            for record in surplus(&got, &expected).into_iter().filter(|_| !may_have_more) {
                self.wrong.push(format!("{title}: has {record}"));
            }
        }
        let order = |records: &[Record]| {
            let mut sets: Vec<_> =
                canonical(records).into_iter().map(|record| (record.owner, record.rtype)).collect();
            sets.dedup();
            sets
        };
        if self.wrong.is_empty()
            && order(&self.expected.sections[0]) != order(&self.got.sections[0])
        {
            self.wrong.push("answer: RRsets in another order, or one in pieces".to_owned());
        }
        if self.is_ours() && !self.got.compressed.is_empty() {
            let types = &self.got.compressed;
            self.wrong.push(format!("compressed names in data of types {types:?} (RFC 3597 §4)"));
        }
    }

    fn opt(&mut self) {
        let (expected, got) = match (&self.expected.opt, &self.got.opt) {
            (None, None) => return,
            (Some(_), None) => return self.wrong.push("no OPT record".to_owned()),
            (None, Some(_)) => return self.wrong.push("an OPT record".to_owned()),
            (Some(expected), Some(got)) => (expected, got),
        };
        if got.size != expected.size {
            self.wrong("opt size", expected.size.to_string(), got.size.to_string());
        }
        if got.version != expected.version {
            self.wrong("opt version", expected.version.to_string(), got.version.to_string());
        }
        let flags = if expected.do_bit { 0x8000 } else { 0 };
        if got.flags != flags {
            self.wrong("opt flags", format!("{flags:04x}"), format!("{:04x}", got.flags));
        }
        let free = |code: u16| !self.is_ours() && code == EDE;
        let mut left: Vec<_> = got.options.iter().filter(|(code, _)| !free(*code)).collect();
        let mut lacks = Vec::new();
        for (code, pattern) in expected.options.iter().filter(|(code, _)| !free(*code)) {
            let fits = |(got, data): &&(u16, Vec<u8>)| got == code && pattern.matches(data);
            match left.iter().position(fits) {
                Some(place) => drop(left.remove(place)),
                None => lacks.push(format!("opt: lacks {code}={pattern}")),
            }
        }
        let has = left.iter().map(|(code, data)| format!("opt: has {}", option_text(*code, data)));
        lacks.extend(has);
        self.wrong.append(&mut lacks);
    }
}

fn canonical(records: &[Record]) -> Vec<Record> {
    records.iter().map(Record::canonical).collect()
}

/// Records of `one` that `other` has not, each as often as it has them too few.
fn surplus(one: &[Record], other: &[Record]) -> Vec<Record> {
    let mut left = other.to_vec();
    let mut surplus = Vec::new();
    for record in one {
        match left.iter().position(|candidate| candidate == record) {
            Some(place) => drop(left.swap_remove(place)),
            None => surplus.push(record.clone()),
        }
    }
    surplus
}

/// Whether the replies to one query over UDP and over TCP are the same but for id, TC and EDNS:
/// what comes over UDP is, octet by octet, how the reply over TCP begins. It may end earlier: with
/// TC anywhere, without it among the additional records, which are left out in silence if they do
/// not fit (RFC 2181 §9).
pub fn same(udp: &[u8], tcp: &[u8]) -> Result<(), String> {
    const TC: u16 = 0x0200;
    let (short, long) = (Message::parse(udp)?, Message::parse(tcp)?);
    if long.is_truncated() {
        return Err("TC over TCP".to_owned());
    }
    if short.flags & !TC != long.flags {
        return Err("UDP and TCP differ in the header".to_owned());
    }
    let counts = |message: &Message| message.sections.each_ref().map(Vec::len);
    let whole = counts(&short)[..2] == counts(&long)[..2];
    if !long.body.starts_with(&short.body) || !(whole || short.is_truncated()) {
        let (udp, tcp) = (&short.body, &long.body);
        return Err(format!("UDP and TCP differ:\n    {udp:02x?}\n    {tcp:02x?}"));
    }
    Ok(())
}
