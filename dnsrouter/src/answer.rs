//! The seam: one query in, one reply out, the same for every transport.
//!
//! ```text
//!   bytes ─▶ parse ─▶ opcode, class ─▶ resolve ─▶ what stands there ─▶ write ─▶ bytes
//!              │            │             │         static RRset: copy
//!              │            │             │         service: Asker ─▶ Policy::choose ─▶ addresses
//!              ▼            ▼             ▼
//!           FORMERR      NOTIMP        REFUSED (not our zone)
//!           BADVERS
//!           or silence
//! ```
//!
//! Nothing here waits or allocates. What would have to (updates, signed messages; transfers and
//! signing to come) is [`Reply::Deferred`], carried out elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns::edns::{self, ExtendedError, InfoCode, MIN_PAYLOAD};
use dns::name::LowerName;
use dns::resolve::Resolution;
use dns::rr::{Class, Opcode, Rcode, Rtype, Ttl};
use dns::wire::{Malformed, Owner, Question, Refusal, Request, Section, Writer};
use dns::zone::ServiceId;

use crate::client::Asker;
use crate::counters::{Counters, Event};
use crate::plan::Snapshot;
use crate::policy::{Address, Family, Policy};
use crate::random::Random;

/// The UDP payload we announce and never exceed: fits every path without fragments (RFC 9715).
pub const PAYLOAD: u16 = 1232;

/// One message from a client.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// As received, without a transport's framing.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to.
    pub local: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// When it came; one reading may serve a batch.
    pub now: SystemTime,
}

/// How a query came. What more there will be (DoT, DoH, DoQ) are streams like TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams: the source address may be forged, and the answer has to be short.
    Udp,
    /// A connection.
    Tcp {
        /// How long it may be silent, which the client is told if it asks (RFC 7828).
        idle: Duration,
    },
}

/// What becomes of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// So many octets of the output are the answer.
    Bytes(usize),
    /// Say nothing.
    Drop,
    /// An update, or a message with a transaction signature: to be answered where one may wait
    /// ([`crate::io::deferred`]).
    Deferred,
}

/// What one thread answers with; nobody else touches it.
#[derive(Debug)]
pub struct Worker {
    random: Random,
    counters: Arc<Counters>,
}

impl Worker {
    /// A worker with a random sequence of its own.
    pub fn new(counters: Arc<Counters>) -> Self {
        Self::with_random(counters, Random::from_system())
    }

    /// A worker whose draws can be repeated.
    pub fn with_random(counters: Arc<Counters>, random: Random) -> Self {
        Self { random, counters }
    }

    /// The transport could not send an answer.
    pub fn send_failed(&self) {
        self.counters.count(Event::SendError);
    }

    /// The transport dropped a query over UDP whose source is ourselves.
    pub fn forged(&self) {
        self.counters.count(Event::Udp);
        self.counters.count(Event::Dropped);
    }

    /// The transport could not hand over what [`Reply::Deferred`] stands for.
    pub fn queue_full(&self) {
        self.counters.count(Event::QueueFull);
    }
}

/// [`answer`], and SERVFAIL to the one query on which it panics: a defect then costs one answer
/// and is counted, not a thread.
pub fn answer_or_servfail(
    snapshot: &Snapshot,
    worker: &mut Worker,
    query: Query<'_>,
    out: &mut [u8],
) -> Reply {
    // Worker and output hold no invariant that an abandoned answer could break.
    let answered = catch_unwind(AssertUnwindSafe(|| answer(snapshot, worker, query, out)));
    answered.unwrap_or_else(|_| {
        worker.counters.count(Event::Panic);
        let Ok(request) = Request::parse(query.bytes) else { return Reply::Drop };
        let limit = out.len();
        let question = request.question.as_ref();
        match Writer::reply(out, limit, &request.header, question, 0) {
            Ok(writer) => Reply::Bytes(writer.finish(Rcode::SERVFAIL, None)),
            Err(_) => Reply::Drop,
        }
    })
}

/// Answers one query from one snapshot.
///
/// `out` must hold at least 512 octets, and 65,535 for a transport without truncation.
pub fn answer(snapshot: &Snapshot, worker: &mut Worker, query: Query<'_>, out: &mut [u8]) -> Reply {
    worker.counters.count(match query.transport {
        Transport::Udp => Event::Udp,
        Transport::Tcp { .. } => Event::Tcp,
    });
    match Request::parse(query.bytes) {
        Ok(request) if is_signed(&request) => Reply::Deferred,
        Ok(request) => Answering { snapshot, query, request: &request }.reply(worker, out),
        Err(Malformed::Drop(_)) => {
            worker.counters.count(Event::Dropped);
            Reply::Drop
        }
        Err(Malformed::Refuse(refusal)) => refuse(&refusal, worker, query.transport, out),
    }
}

/// Whether a transaction signature has to be verified before anything else (RFC 8945 §5.2). A
/// SIG(0) authenticates nobody here: its message is answered as if it had none.
fn is_signed(request: &Request<'_>) -> bool {
    request.signature.is_some_and(|signature| signature.rtype == Rtype::TSIG)
}

fn refuse(refusal: &Refusal<'_>, worker: &Worker, transport: Transport, out: &mut [u8]) -> Reply {
    let limit = match transport {
        Transport::Udp => out.len().min(usize::from(MIN_PAYLOAD)),
        Transport::Tcp { .. } => out.len(),
    };
    worker.counters.responded(refusal.rcode.0);
    match refusal.write(&mut out[..limit], PAYLOAD) {
        0 => Reply::Drop,
        length => Reply::Bytes(length),
    }
}

/// One well-formed query on its way.
struct Answering<'a> {
    snapshot: &'a Snapshot,
    query: Query<'a>,
    request: &'a Request<'a>,
}

impl Answering<'_> {
    fn reply(&self, worker: &mut Worker, out: &mut [u8]) -> Reply {
        let mut opt = self.opt(worker);
        let Some(question) = &self.request.question else {
            // Only a cookie was asked for (RFC 7873 §5.4), and this version gives none: then it is a
            // query without a question.
            return self.status(worker, out, Rcode::FORMERR, opt.as_ref());
        };
        match self.request.header.opcode() {
            Opcode::QUERY => {}
            Opcode::UPDATE => return self.unsigned_update(worker, out, question, opt.as_ref()),
            _ => return self.status(worker, out, Rcode::NOTIMP, opt.as_ref()),
        }
        if question.qclass != Class::IN || matches!(question.qtype, Rtype::AXFR | Rtype::IXFR) {
            extended(&mut opt, InfoCode::PROHIBITED);
            return self.status(worker, out, Rcode::REFUSED, opt.as_ref());
        }
        let mut name = LowerName::new();
        name.read(question.name);
        let mut found = Resolution::new();
        self.snapshot.inputs.zones.resolve(&name, question.qtype, &mut found);
        if found.rcode() == Rcode::REFUSED {
            extended(&mut opt, InfoCode::NOT_AUTHORITATIVE);
        }
        self.write(worker, out, question, &found, opt)
    }

    /// Nobody changes a zone without a key (RFC 2136 §3.1 and §3.3).
    fn unsigned_update(
        &self,
        worker: &Worker,
        out: &mut [u8],
        zone: &Question<'_>,
        opt: Option<&edns::Reply<'_>>,
    ) -> Reply {
        let mut name = LowerName::new();
        name.read(zone.name);
        let ours = self.snapshot.inputs.zones.zone_at(&name).is_some();
        self.status(worker, out, if ours { Rcode::REFUSED } else { Rcode::NOTAUTH }, opt)
    }

    /// What our OPT record will say; none when the query had none.
    fn opt(&self, worker: &Worker) -> Option<edns::Reply<'static>> {
        let edns = self.request.edns.as_ref()?;
        if edns.subnet.is_some() {
            worker.counters.count(Event::WithSubnet);
        }
        Some(edns::Reply {
            payload: PAYLOAD,
            do_bit: edns.do_bit,
            // /0 unless a service's answer depends on it.
            subnet: edns.subnet.map(|subnet| subnet.with_scope(0)),
            ..edns::Reply::default()
        })
    }

    fn limit(&self, out: &[u8]) -> usize {
        let most = match (self.query.transport, &self.request.edns) {
            (Transport::Tcp { .. }, _) => usize::from(u16::MAX),
            (Transport::Udp, Some(edns)) => usize::from(edns.payload.min(PAYLOAD)),
            (Transport::Udp, None) => usize::from(MIN_PAYLOAD),
        };
        most.min(out.len())
    }

    /// A reply without records.
    fn status(
        &self,
        worker: &Worker,
        out: &mut [u8],
        rcode: Rcode,
        opt: Option<&edns::Reply<'_>>,
    ) -> Reply {
        let limit = self.limit(out);
        let reserve = opt.map_or(0, edns::Reply::encoded_len);
        let question = self.request.question.as_ref();
        let writer = Writer::reply(out, limit, &self.request.header, question, reserve);
        let Ok(writer) = writer else { return Reply::Drop };
        worker.counters.responded(rcode.0);
        Reply::Bytes(writer.finish(rcode, opt))
    }

    fn write(
        &self,
        worker: &mut Worker,
        out: &mut [u8],
        question: &Question<'_>,
        found: &Resolution<'_>,
        mut opt: Option<edns::Reply<'_>>,
    ) -> Reply {
        let limit = self.limit(out);
        let reserve = opt.as_ref().map_or(0, edns::Reply::encoded_len);
        let header = &self.request.header;
        let Ok(mut writer) = Writer::reply(out, limit, header, Some(question), reserve) else {
            return Reply::Drop;
        };
        let mut scope = 0;
        found.write(&mut writer, |writer, section, owner, service, rtype| {
            // A service's addresses are one client's; in the additional section they would make
            // the whole reply that client's (RFC 7871 §7.4), and nobody needs them there.
            if section == Section::Answer
                && let Some(family) = Family::of(rtype)
            {
                scope = self.service(writer, owner, service, family, worker);
            }
        });
        if let Some(subnet) = opt.as_mut().and_then(|opt| opt.subnet.as_mut()) {
            *subnet = subnet.with_scope(scope);
        }
        if writer.is_truncated() {
            worker.counters.count(Event::Truncated);
        }
        worker.counters.responded(found.rcode().0);
        Reply::Bytes(writer.finish(found.rcode(), opt.as_ref()))
    }

    /// Writes a service's addresses for this client; returns the scope they are good for.
    fn service(
        &self,
        writer: &mut Writer<'_>,
        owner: Owner<'_>,
        service: ServiceId,
        family: Family,
        worker: &mut Worker,
    ) -> u8 {
        let Snapshot { inputs, health } = self.snapshot;
        let policy: &Policy = &inputs.services.services[service.0 as usize].1;
        let asker = self.asker();
        let client = asker.client(&inputs.geo, policy, self.unix_seconds(), worker.random.next());
        let choice = policy.choose(family, &client, health, &mut ());
        let addresses = policy.addresses(family, &choice, health).map(Address::rdata);
        let ttl = Ttl::from_secs(policy.ttl());
        // Did it not fit, the writer has set TC.
        let _ = writer.rrset_with(Section::Answer, owner, family.rtype(), ttl, addresses);
        worker.counters.count(Event::Service);
        if choice.fail_open {
            worker.counters.count(Event::FailOpen);
        }
        asker.scope(policy, family, &client)
    }

    fn asker(&self) -> Asker {
        let subnet = self.request.edns.as_ref().and_then(|edns| edns.subnet);
        let subnet: Option<(IpAddr, u8)> =
            subnet.and_then(|subnet| Some((subnet.to_ip()?, subnet.source())));
        Asker::of_query(&self.snapshot.inputs.geo, self.query.peer.ip(), subnet)
    }

    fn unix_seconds(&self) -> u64 {
        let since = self.query.now.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    }
}

impl Family {
    /// The family of an address type.
    fn of(rtype: Rtype) -> Option<Self> {
        match rtype {
            Rtype::A => Some(Self::V4),
            Rtype::AAAA => Some(Self::V6),
            _ => None,
        }
    }

    fn rtype(self) -> Rtype {
        match self {
            Self::V4 => Rtype::A,
            Self::V6 => Rtype::AAAA,
        }
    }
}

/// Says more than the code, to those who can read it (RFC 8914).
fn extended(opt: &mut Option<edns::Reply<'_>>, code: InfoCode) {
    if let Some(opt) = opt {
        // Full only if we said two things already.
        let _ = opt.errors.try_push(ExtendedError { code, text: "" });
    }
}
