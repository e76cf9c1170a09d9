//! The seam: one query in, one reply out, the same for every transport.
//!
//! ```text
//!   bytes ─▶ parse ─▶ opcode, class ─▶ resolve ─▶ what stands there ─▶ write ─▶ bytes
//!              │            │             │         static RRset: copy
//!              │            │             │         service: Asker ─▶ Policy::choose ─▶ records
//!              ▼            ▼             ▼
//!           FORMERR      NOTIMP        REFUSED (not our zone)
//!           BADVERS
//!           or silence
//! ```
//!
//! Nothing here waits or allocates. What would have to (updates, signed messages; transfers and
//! signing to come) is [`Reply::Deferred`], carried out elsewhere.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrayvec::{ArrayString, ArrayVec};
use dns::edns::{self, ExtendedError, InfoCode, MIN_PAYLOAD};
use dns::mutated;
use dns::name::{LowerName, NameRef};
use dns::resolve::Resolution;
use dns::rr::{Class, Opcode, Rcode, Rtype, Ttl};
use dns::wire::{Malformed, Owner, Question, Refusal, Request, Section, Writer};
use dns::zone::ServiceId;

use crate::binding;
use crate::client::Asker;
use crate::counters::{Counters, Event};
use crate::explain::Reason;
use crate::plan::Snapshot;
use crate::policy::{self, Choice, Policy};
use crate::random::Random;
use crate::service::Form;

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
        let other_class = question.qclass != Class::IN && !mutated!(ClassIsIgnored);
        if other_class || matches!(question.qtype, Rtype::AXFR | Rtype::IXFR) {
            extended(&mut opt, InfoCode::PROHIBITED);
            return self.status(worker, out, Rcode::REFUSED, opt.as_ref());
        }
        let mut name = LowerName::new();
        name.read(question.name);
        self.write(worker, out, question, &mut name, opt)
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
            do_bit: edns.do_bit && !mutated!(DoIsLost),
            // /0 unless a service's answer depends on it.
            subnet: (edns.subnet)
                .filter(|_| !mutated!(SubnetIsNotEchoed))
                .map(|subnet| subnet.with_scope(0)),
            ..edns::Reply::default()
        })
    }

    fn limit(&self, out: &[u8]) -> usize {
        let most = match (self.query.transport, &self.request.edns) {
            (Transport::Tcp { .. }, _) => usize::from(u16::MAX),
            (Transport::Udp, Some(edns)) if mutated!(PayloadIsUnbounded) => edns.payload.into(),
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
        name: &mut LowerName,
        mut opt: Option<edns::Reply<'_>>,
    ) -> Reply {
        let limit = self.limit(out);
        let reserve = opt.as_ref().map_or(0, edns::Reply::encoded_len);
        let header = &self.request.header;
        let Ok(mut writer) = Writer::reply(out, limit, header, Some(question), reserve) else {
            return Reply::Drop;
        };
        let zones = &self.snapshot.inputs.zones;
        let mut found = Resolution::new();
        zones.resolve(name, question.qtype, &mut found);
        let mut rcode = found.rcode();
        if rcode == Rcode::REFUSED && mutated!(OutsideIsNxdomain) {
            rcode = Rcode::NXDOMAIN;
        }
        if rcode == Rcode::REFUSED {
            extended(&mut opt, InfoCode::NOT_AUTHORITATIVE);
        }
        let authoritative = found.authoritative();
        let mut chosen = Chosen::new(self, worker);
        let mut target = chosen.write(&found, Owner::Question, &mut writer, question.qtype);
        while let Some(host) = target {
            name.read(host);
            zones.resolve(name, question.qtype, &mut found);
            if found.rcode() == Rcode::REFUSED {
                // Not ours: the resolver goes on by itself.
                break;
            }
            rcode = found.rcode();
            target = chosen.write(&found, Owner::Name(host), &mut writer, question.qtype);
        }
        // The bit speaks of the chain's start (RFC 1035 §4.1.1).
        writer.set_authoritative(authoritative);
        let Chosen { scope, last, .. } = chosen;
        if let Some(subnet) = opt.as_mut().and_then(|opt| opt.subnet.as_mut()) {
            *subnet = subnet.with_scope(if mutated!(ScopeIsAlwaysZero) { 0 } else { scope });
        }
        if writer.is_truncated() {
            worker.counters.count(Event::Truncated);
        }
        worker.counters.responded(rcode.0);
        let mut text = ReasonText::new();
        if let Some(reason) = last.filter(|_| self.wants_reason()) {
            // What is longer than its room is cut there.
            let _ = write!(text, "{reason}");
        }
        if let Some(opt) = opt.as_mut().filter(|_| !text.is_empty()) {
            let said = ExtendedError { code: InfoCode::OTHER, text: &text };
            return Reply::Bytes(writer.finish(rcode, Some(&opt.with_error(said))));
        }
        Reply::Bytes(writer.finish(rcode, opt.as_ref()))
    }

    fn wants_reason(&self) -> bool {
        self.request.edns.as_ref().is_some_and(|edns| edns.why)
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

/// Host names that services lead on to in one answer; resolvers follow few more by themselves.
const MAX_HOSTS: usize = 4;

/// What is said about a service's choice at most: an extended error is not to fill the message.
const MAX_REASON: usize = 160;

type ReasonText = ArrayString<MAX_REASON>;

/// What services contribute to one answer.
struct Chosen<'a, 'w> {
    asked: &'a Answering<'a>,
    worker: &'w mut Worker,
    asker: Option<Asker>,
    /// The finest scope of all that was chosen.
    scope: u8,
    /// Why the last choice is as it is.
    last: Option<Reason<'a>>,
    /// Services whose host name was followed: nobody twice.
    followed: ArrayVec<ServiceId, MAX_HOSTS>,
    /// The host name that was chosen last.
    host: Option<NameRef<'a>>,
}

impl<'a, 'w> Chosen<'a, 'w> {
    fn new(asked: &'a Answering<'a>, worker: &'w mut Worker) -> Self {
        let followed = ArrayVec::new_const();
        Self { asked, worker, asker: None, scope: 0, last: None, followed, host: None }
    }

    /// Writes what was found from `start` on; returns the host name to go on with, if the chain
    /// leads to one.
    fn write(
        &mut self,
        found: &Resolution<'_>,
        start: Owner<'_>,
        writer: &mut Writer<'_>,
        qtype: Rtype,
    ) -> Option<NameRef<'a>> {
        self.host = None;
        found.write_from(start, writer, |writer, section, owner, service, rtype| {
            // A service's addresses are one client's; in the additional section they would make
            // the whole reply that client's (RFC 7871 §7.4), and nobody needs them there.
            if section == Section::Answer {
                self.service(writer, owner, service, rtype);
            }
        });
        let is_asked_for = matches!(qtype, Rtype::CNAME | Rtype::ANY);
        self.host.take().filter(|_| !is_asked_for && !writer.is_truncated())
    }

    /// Writes one RRset of a service for this client, and notes the scope it is good for.
    fn service(&mut self, writer: &mut Writer<'_>, owner: Owner<'_>, id: ServiceId, rtype: Rtype) {
        let asked = self.asked;
        let policy = &asked.snapshot.inputs.services.services[id.0 as usize].1;
        if rtype == Rtype::CNAME
            && (self.followed.contains(&id) || self.followed.try_push(id).is_err())
        {
            // In a loop, or too long: the chain ends with what was gathered.
            return;
        }
        let draw = self.worker.random.next();
        let ttl = Ttl::from_secs(policy.ttl());
        let health = &asked.snapshot.health;
        // Did something not fit, the writer has set TC.
        if let Some(form) = Form::of(rtype) {
            let choice = self.choose(policy, form, draw);
            let records = policy.records(form, &choice, health);
            if form == Form::Cname {
                let host = records.clone().next().map(policy::Record::rdata);
                self.host = host.and_then(|host| NameRef::parse(host).ok());
            }
            let rdatas = records.map(policy::Record::rdata);
            let _ = writer.rrset_with(Section::Answer, owner, rtype, ttl, rdatas);
        } else if let Some(binding) = policy.binding(rtype) {
            let (v4, v6) =
                (self.choose(policy, Form::A, draw), self.choose(policy, Form::Aaaa, draw));
            let of = |form, choice| policy.records(form, choice, health);
            let v4 = of(Form::A, &v4).map(policy::Record::rdata);
            let v6 = of(Form::Aaaa, &v6).map(policy::Record::rdata);
            let rdata = binding::with_hints(&binding.rdata, v4, v6);
            let _ = writer.rrset_with(Section::Answer, owner, rtype, ttl, [rdata]);
        }
        self.worker.counters.count(Event::Service);
    }

    fn choose(&mut self, policy: &'a Policy, form: Form, draw: u64) -> Choice {
        let Snapshot { inputs, health } = self.asked.snapshot;
        let asker = *self.asker.get_or_insert_with(|| self.asked.asker());
        let client = asker.client(&inputs.geo, policy, self.asked.unix_seconds(), draw);
        let choice = policy.choose(form, &client, health, &mut ());
        if choice.fail_open {
            self.worker.counters.count(Event::FailOpen);
        }
        self.scope = self.scope.max(asker.scope(policy, form, &client));
        if self.asked.wants_reason() {
            self.last = Some(Reason::new(self.asked.snapshot, policy, form, &asker, &choice));
        }
        choice
    }
}

/// Says more than the code, to those who can read it (RFC 8914).
fn extended(opt: &mut Option<edns::Reply<'_>>, code: InfoCode) {
    if let Some(opt) = opt {
        // Full only if we said two things already.
        let _ = opt.errors.try_push(ExtendedError { code, text: "" });
    }
}
