//! The seam: one query in, one reply out, the same for every transport.
//!
//! ```text
//!   bytes ─▶ access, parse ─▶ opcode, class ─▶ resolve ─▶ rate limit ─▶ write ─▶ bytes
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
use dns::edns::{self, Edns, ExtendedError, InfoCode, MIN_PAYLOAD, cookie};
use dns::mutated;
use dns::name::LowerName;
use dns::resolve::{MAX_CHAIN, Resolution};
use dns::rr::{Class, Opcode, Rcode, Rtype, Ttl};
use dns::wire::{Malformed, Owner, Question, Refusal, Request, Section, Writer};
use dns::zone::Found;

use crate::census::Recorder;
use crate::client::Asker;
use crate::counters::{Counters, Event};
use crate::guard::Guard;
use crate::guard::access::Permission;
use crate::guard::limit::{Kind, Verdict};
use crate::plan::Snapshot;
use crate::random::Random;

use services::Chosen;
use turns::Turns;

pub use lane::Lane;

mod lane;
mod plain;
mod services;
mod turns;

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

impl Query<'_> {
    fn unix_seconds(&self) -> u64 {
        let since = self.now.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    }
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
    /// ([`crate::io::deferred`]), in the order of this lane.
    Deferred(Lane),
}

/// What one thread answers with; nobody else touches it.
#[derive(Debug)]
pub struct Worker {
    random: Random,
    turns: Turns,
    counters: Arc<Counters>,
    /// Counts clients; none: nobody does.
    recorder: Option<Recorder>,
    /// Whether what it answers was counted before, when it was deferred.
    deferred: bool,
}

impl Worker {
    /// A worker with a random sequence of its own.
    pub fn new(counters: Arc<Counters>) -> Self {
        Self::with_random(counters, Random::from_system())
    }

    /// A worker whose draws can be repeated.
    pub fn with_random(counters: Arc<Counters>, random: Random) -> Self {
        Self { random, turns: Turns::default(), counters, recorder: None, deferred: false }
    }

    /// The same, counting whose clients it answers for services.
    #[must_use]
    pub fn recording(self, recorder: Option<Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// A worker for what others have deferred, and counted.
    pub fn of_deferred(counters: Arc<Counters>) -> Self {
        Self { deferred: true, ..Self::new(counters) }
    }

    /// A reply was made elsewhere.
    pub fn responded(&self, rcode: Rcode) {
        self.counters.responded(rcode.0);
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
    pub fn queue_full(&self, lane: Lane) {
        self.counters.count(Event::QueueFull(lane));
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
    let (mut name, mut found) = (LowerName::new(), None);
    match plain::answer(snapshot, worker, &query, out, (&mut name, &mut found)) {
        Some(reply) => reply,
        None => at_length(snapshot, worker, query, out, Sought { name: &mut name, found }),
    }
}

/// [`answer`] to whatever is asked: what is plain too, the same.
pub fn answer_at_length(
    snapshot: &Snapshot,
    worker: &mut Worker,
    query: Query<'_>,
    out: &mut [u8],
) -> Reply {
    at_length(snapshot, worker, query, out, Sought { name: &mut LowerName::new(), found: None })
}

fn at_length<'a>(
    snapshot: &'a Snapshot,
    worker: &mut Worker,
    query: Query<'a>,
    out: &mut [u8],
    sought: Sought<'_, 'a>,
) -> Reply {
    if !worker.deferred {
        worker.counters.count(match query.transport {
            Transport::Udp => Event::Udp,
            Transport::Tcp { .. } => Event::Tcp,
        });
    }
    let guard = &*snapshot.inputs.guard;
    let permission = guard.access.verdict(query.peer.ip());
    if permission == Permission::Drop {
        worker.counters.count(Event::AccessDropped);
        return Reply::Drop;
    }
    match Request::parse(query.bytes) {
        Ok(request) => {
            let proof = Proof::of(guard, request.edns.as_ref(), &query);
            let asked =
                Answering { snapshot, query, request: &request, permission, proof: proof.as_ref() };
            if permission == Permission::Allow && is_signed(&request) {
                asked.defer(worker, out)
            } else {
                asked.reply(worker, out, sought)
            }
        }
        Err(Malformed::Drop(_)) => {
            worker.counters.count(Event::Dropped);
            Reply::Drop
        }
        Err(Malformed::Refuse(refusal)) => {
            let request = refusal.request(query.bytes);
            let proof = Proof::of(guard, request.edns.as_ref(), &query);
            let asked =
                Answering { snapshot, query, request: &request, permission, proof: proof.as_ref() };
            if permission == Permission::Allow && is_signed(&request) {
                asked.defer(worker, out)
            } else {
                asked.refuse(&refusal, worker, out)
            }
        }
    }
}

/// Whether a transaction signature has to be verified before anything else (RFC 8945 §5.2). A
/// SIG(0) authenticates nobody here: its message is answered as if it had none.
fn is_signed(request: &Request<'_>) -> bool {
    request.signature.is_some_and(|signature| signature.rtype == Rtype::TSIG)
}

/// What the query's cookie says of the client's address, and the cookie to answer with.
struct Proof {
    client: [u8; 8],
    verdict: cookie::Verdict,
    server: [u8; cookie::LEN],
}

impl Proof {
    fn of(guard: &Guard, edns: Option<&Edns<'_>>, query: &Query<'_>) -> Option<Self> {
        let cookie = edns?.cookie?;
        let (verdict, server) = guard.cookie(&cookie, query.peer.ip(), query.now)?;
        Some(Self { client: cookie.client, verdict, server })
    }
}

/// The name that is asked about, once it was looked up, or room for it.
struct Sought<'n, 'a> {
    name: &'n mut LowerName,
    found: Option<Found<'a>>,
}

/// One query on its way.
struct Answering<'a> {
    snapshot: &'a Snapshot,
    query: Query<'a>,
    request: &'a Request<'a>,
    permission: Permission,
    proof: Option<&'a Proof>,
}

impl<'a> Answering<'a> {
    fn reply(&self, worker: &mut Worker, out: &mut [u8], sought: Sought<'_, 'a>) -> Reply {
        let mut opt = self.opt(worker);
        if self.permission == Permission::Refuse {
            return self.refused(worker, out, opt);
        }
        let Some(question) = &self.request.question else {
            // Only a cookie is asked for (RFC 7873 §5.4); a server that gives none was asked
            // nothing.
            let rcode = match self.proof.map(|proof| proof.verdict) {
                None => Rcode::FORMERR,
                Some(cookie::Verdict::Invalid) => Rcode::BADCOOKIE,
                Some(_) => Rcode::NOERROR,
            };
            // Who wants a cookie wants to get out of the limit.
            let kind = if self.proof.is_some() { Kind::Answer } else { Kind::Error };
            return self.status_of(kind, worker, out, rcode, opt.as_ref());
        };
        match self.request.header.opcode() {
            Opcode::QUERY => {}
            Opcode::UPDATE => return self.unsigned_update(worker, out, question, opt.as_ref()),
            _ => return self.status(worker, out, Rcode::NOTIMP, opt.as_ref()),
        }
        if question.qclass == Class::CH
            && let Some(reply) = self.chaos(worker, out, question, opt.as_ref())
        {
            return reply;
        }
        // Whoever asks for any class gets what there is in ours (RFC 1035 §3.2.5).
        let known_class = matches!(question.qclass, Class::IN | Class::ANY);
        let other_class = !known_class && !mutated!(ClassIsIgnored);
        if other_class || matches!(question.qtype, Rtype::AXFR | Rtype::IXFR) {
            extended(&mut opt, InfoCode::PROHIBITED);
            return self.status(worker, out, Rcode::REFUSED, opt.as_ref());
        }
        self.write(worker, out, question, sought, opt)
    }

    /// Where the signature will be verified. Whoever names no key of ours over UDP is only told so,
    /// and no more often than of any other error.
    fn defer(&self, worker: &Worker, out: &mut [u8]) -> Reply {
        let lane = Lane::of(self.request, self.query.transport, &self.snapshot.inputs.updates);
        let held_back = match lane {
            Lane::Stranger => self.held_back(Kind::Error, worker, out, None),
            Lane::Tcp | Lane::Udp => None,
        };
        held_back.unwrap_or(Reply::Deferred(lane))
    }

    /// What somebody hears whom an access list refuses, whatever they ask and however badly.
    fn refused(&self, worker: &Worker, out: &mut [u8], mut opt: Option<edns::Reply<'a>>) -> Reply {
        worker.counters.count(Event::AccessRefused);
        extended(&mut opt, InfoCode::PROHIBITED);
        self.status(worker, out, Rcode::REFUSED, opt.as_ref())
    }

    /// What cannot be answered with data. Options are answered where the message itself is
    /// well-formed; where it is not, who knows what they mean.
    fn refuse(&self, refusal: &Refusal<'_>, worker: &Worker, out: &mut [u8]) -> Reply {
        let mut opt = self.opt(worker);
        if !refusal.is_well_formed() {
            opt = opt.map(|edns::Reply { payload, do_bit, .. }| edns::Reply {
                payload,
                do_bit,
                ..edns::Reply::default()
            });
        }
        if self.permission == Permission::Refuse {
            return self.refused(worker, out, opt);
        }
        if let Some(code) = refusal.info_code() {
            extended(&mut opt, code);
        }
        self.status(worker, out, refusal.rcode, opt.as_ref())
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
    fn opt(&self, worker: &Worker) -> Option<edns::Reply<'a>> {
        let edns = self.request.edns.as_ref()?;
        match self.proof.map(|proof| proof.verdict) {
            None | Some(cookie::Verdict::Absent) => {}
            Some(cookie::Verdict::Invalid) => worker.counters.count(Event::CookieInvalid),
            Some(_) => worker.counters.count(Event::CookieValid),
        }
        let identity = &self.snapshot.inputs.guard.identity;
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
            cookie: (self.proof)
                .map(|proof| edns::Cookie { client: proof.client, server: &proof.server }),
            keepalive: match self.query.transport {
                Transport::Tcp { idle } if edns.keepalive => Some(idle),
                _ => None,
            },
            nsid: identity.nsid.as_deref().filter(|_| edns.nsid),
            ..edns::Reply::default()
        })
    }

    /// The text of a name of class CHAOS (RFC 4892), if this server has it and tells it.
    fn chaos(
        &self,
        worker: &Worker,
        out: &mut [u8],
        question: &Question<'_>,
        opt: Option<&edns::Reply<'_>>,
    ) -> Option<Reply> {
        let chaos = self.snapshot.inputs.guard.identity.chaos.as_ref()?;
        if !matches!(question.qtype, Rtype::TXT | Rtype::ANY) {
            return None;
        }
        let mut name = LowerName::new();
        name.read(question.name);
        let text = chaos.text(&name)?;
        let mut rdata = ArrayVec::<u8, 256>::new();
        rdata.push(u8::try_from(text.len()).ok()?);
        rdata.try_extend_from_slice(text.as_bytes()).ok()?;
        if let Some(held_back) = self.held_back(Kind::Answer, worker, out, opt) {
            return Some(held_back);
        }
        let mut writer = self.writer(out, opt)?;
        writer.set_authoritative(true);
        // It fits: 512 octets hold the name, the text and what an OPT record says here.
        let _ = writer.rrset_of_class(
            Section::Answer,
            Owner::Question,
            Rtype::TXT,
            Class::CH,
            Ttl::ZERO,
            [rdata],
        );
        worker.counters.responded(Rcode::NOERROR.0);
        Some(Reply::Bytes(writer.finish(Rcode::NOERROR, opt)))
    }

    /// What is said instead of a response of this kind, if the rate limit holds it back.
    fn held_back(
        &self,
        kind: Kind,
        worker: &Worker,
        out: &mut [u8],
        opt: Option<&edns::Reply<'_>>,
    ) -> Option<Reply> {
        // Neither can be forged.
        if self.query.transport != Transport::Udp
            || self.proof.is_some_and(|proof| proof.verdict.is_valid())
        {
            return None;
        }
        let guard = &self.snapshot.inputs.guard;
        match guard.limit(self.query.peer.ip(), kind, self.query.now) {
            Verdict::Pass => None,
            Verdict::Slip if kind != Kind::Error => {
                worker.counters.count(Event::LimitSlipped);
                // Not longer than it must be: whom it reaches may not have asked.
                let opt = opt.map(|opt| edns::Reply { nsid: None, ..opt.clone() });
                let opt = opt.as_ref();
                let Some(mut writer) = self.writer(out, opt) else { return Some(Reply::Drop) };
                writer.truncate();
                Some(Reply::Bytes(writer.finish(Rcode::NOERROR, opt)))
            }
            _ => {
                worker.counters.count(Event::LimitDropped);
                Some(Reply::Drop)
            }
        }
    }

    /// Begins the reply.
    fn writer<'b>(&self, out: &'b mut [u8], opt: Option<&edns::Reply<'_>>) -> Option<Writer<'b>> {
        let limit = self.limit(out);
        let reserve = opt.map_or(0, edns::Reply::encoded_len);
        let question = self.request.question.as_ref();
        Writer::reply(out, limit, &self.request.header, question, reserve).ok()
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
        self.status_of(Kind::Error, worker, out, rcode, opt)
    }

    fn status_of(
        &self,
        kind: Kind,
        worker: &Worker,
        out: &mut [u8],
        rcode: Rcode,
        opt: Option<&edns::Reply<'_>>,
    ) -> Reply {
        if let Some(held_back) = self.held_back(kind, worker, out, opt) {
            return held_back;
        }
        let Some(writer) = self.writer(out, opt) else { return Reply::Drop };
        worker.counters.responded(rcode.0);
        Reply::Bytes(writer.finish(rcode, opt))
    }

    fn write(
        &self,
        worker: &mut Worker,
        out: &mut [u8],
        question: &Question<'_>,
        sought: Sought<'_, 'a>,
        mut opt: Option<edns::Reply<'_>>,
    ) -> Reply {
        let Snapshot { inputs, .. } = self.snapshot;
        let may_see = |zone| inputs.guard.access.may_ask(zone, self.query.peer.ip());
        let mut found = Resolution::new();
        let Sought { name, found: known } = sought;
        let at = known.unwrap_or_else(|| {
            name.read(question.name);
            inputs.zones.find(name)
        });
        inputs.zones.resolve_found(at, may_see, name, question.qtype, MAX_CHAIN, &mut found);
        let mut rcode = found.rcode();
        if rcode == Rcode::REFUSED && mutated!(OutsideIsNxdomain) {
            rcode = Rcode::NXDOMAIN;
        }
        if rcode == Rcode::REFUSED {
            let hidden = found.zone().is_some();
            if hidden {
                worker.counters.count(Event::AccessRefused);
            }
            let ours = if hidden { InfoCode::PROHIBITED } else { InfoCode::NOT_AUTHORITATIVE };
            extended(&mut opt, ours);
        }
        if let Some(held_back) = self.held_back(kind(&found), worker, out, opt.as_ref()) {
            return held_back;
        }
        let Some(mut writer) = self.writer(out, opt.as_ref()) else { return Reply::Drop };
        let authoritative = found.authoritative();
        let mut chosen = Chosen::new(self, worker);
        let mut target = chosen.write(&found, Owner::Question, &mut writer, question.qtype);
        // One bound for the whole chain, whether zones or services lead on.
        let mut left = MAX_CHAIN.saturating_sub(found.visited());
        while let Some(host) = target.filter(|_| left > 0) {
            name.read(host);
            inputs.zones.resolve_on(may_see, name, question.qtype, left, &mut found);
            left = left.saturating_sub(found.visited());
            if found.rcode() == Rcode::REFUSED {
                // Not ours: the resolver goes on by itself.
                break;
            }
            rcode = found.rcode();
            target = chosen.write(&found, Owner::Name(host), &mut writer, question.qtype);
        }
        // The bit speaks of the chain's start (RFC 1035 §4.1.1), and of all classes there may be,
        // of which we know one (RFC 1035 §6.2).
        writer.set_authoritative(authoritative && question.qclass != Class::ANY);
        let Chosen { scope, last, no_data, refused, asker, .. } = chosen;
        if let Some(subnet) = opt.as_mut().and_then(|opt| opt.subnet.as_mut()) {
            *subnet = subnet.with_scope(if mutated!(ScopeIsAlwaysZero) { 0 } else { scope });
        }
        if refused {
            return self.fenced(worker, out, opt);
        }
        if let (Some(recorder), Some(asker)) = (&mut worker.recorder, asker) {
            recorder.record(asker.address);
        }
        if let Some(zone) = no_data.map(|zone| inputs.zones.zone(zone)) {
            // Did it not fit, the writer has set TC.
            let apex = Owner::Name(zone.apex());
            let _ = writer.rrset(Section::Authority, apex, &zone.negative_soa());
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

    /// What a client gets whose fence holds nothing of the service: no part of a chain to it either.
    fn fenced(&self, worker: &Worker, out: &mut [u8], opt: Option<edns::Reply<'_>>) -> Reply {
        let opt = opt
            .map(|opt| opt.with_error(ExtendedError { code: InfoCode::PROHIBITED, text: FENCED }));
        let Some(writer) = self.writer(out, opt.as_ref()) else { return Reply::Drop };
        worker.counters.responded(Rcode::REFUSED.0);
        Reply::Bytes(writer.finish(Rcode::REFUSED, opt.as_ref()))
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
}

/// What is said to clients whose fence holds no endpoint.
const FENCED: &str = "not served where this client is: the fence of the service's route";

/// What is said about a service's choice at most: an extended error is not to fill the message.
const MAX_REASON: usize = 160;

type ReasonText = ArrayString<MAX_REASON>;

/// What the response is, for its rate.
fn kind(found: &Resolution<'_>) -> Kind {
    match found.rcode() {
        Rcode::NOERROR if found.is_referral() => Kind::Referral,
        Rcode::NOERROR if found.answer().next().is_some() => Kind::Answer,
        Rcode::NOERROR => Kind::NoData,
        Rcode::NXDOMAIN => Kind::NxDomain,
        _ => Kind::Error,
    }
}

/// Says more than the code, to those who can read it (RFC 8914).
fn extended(opt: &mut Option<edns::Reply<'_>>, code: InfoCode) {
    if let Some(opt) = opt {
        // Full only if we said two things already.
        let _ = opt.errors.try_push(ExtendedError { code, text: "" });
    }
}
