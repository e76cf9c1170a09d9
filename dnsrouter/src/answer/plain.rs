//! The short way, for the query that nearly all are: about a name that has addresses, or has not what
//! is asked for, or is not there, by somebody whom no list concerns, with no option but a client subnet
//! and a cookie.
//!
//! It takes the decisions of the long way ([`Answering`](super::Answering)) with the same parts, and says
//! the same; whatever is not as plain as that, it leaves to the long way before anything is counted or
//! drawn. Tests hold each against the other (`tests/seam/ways.rs`).

use dns::edns::cookie;
use dns::name::LowerName;
use dns::rr::{Rcode, Rtype, Ttl};
use dns::wire::{MAX_MESSAGE, Plain, Told};
use dns::zone::{Found, ServiceId, Standing, Zone};

use super::{PAYLOAD, Query, Reply, Transport, Worker};
use crate::client::{Asker, Own};
use crate::counters::Event;
use crate::guard::limit::{Kind, Verdict};
use crate::plan::Snapshot;
use crate::policy::Record;
use crate::service::Form;

/// Answers a plain query; none: it takes the long way.
#[inline]
pub(super) fn answer<'a>(
    snapshot: &'a Snapshot,
    worker: &mut Worker,
    query: &Query<'_>,
    out: &mut [u8],
    (name, found): (&mut LowerName, &mut Option<Found<'a>>),
) -> Option<Reply> {
    let inputs = &snapshot.inputs;
    // What is planted for tests is planted in the long way.
    if cfg!(feature = "mutations") || worker.deferred || !inputs.guard.access.is_open() {
        return None;
    }
    let plain = Plain::read(query.bytes, name)?;
    let (transport, limit) = match query.transport {
        Transport::Udp => (Event::Udp, plain.limit(PAYLOAD)),
        Transport::Tcp { .. } => (Event::Tcp, MAX_MESSAGE),
    };
    let found = found.insert(inputs.zones.find(name));
    let standing = inputs.zones.standing(found, name, plain.qtype)?;
    let cookie = plain.cookie();
    let proof = cookie.and_then(|it| inputs.guard.cookie(it, query.peer.ip(), query.now));
    let told = Told { payload: PAYLOAD, scope: 0, cookie: proof.map(|(_, server)| server) };
    let mut asked = Asked { snapshot, query, plain: &plain, limit, told, asker: None };
    let (length, kind, rcode) = match standing {
        Standing::Records(rrset) => {
            let rdatas = rrset.rdatas();
            let length = plain.reply(out, limit, rrset.ttl, rdatas, &asked.told)?;
            (length, Kind::Answer, Rcode::NOERROR)
        }
        Standing::Service(service) => {
            (asked.service(service, worker, out)?, Kind::Answer, Rcode::NOERROR)
        }
        Standing::NoData(zone) => {
            (asked.negative(Rcode::NOERROR, zone, out)?, Kind::NoData, Rcode::NOERROR)
        }
        Standing::NoName(zone) => {
            (asked.negative(Rcode::NXDOMAIN, zone, out)?, Kind::NxDomain, Rcode::NXDOMAIN)
        }
    };
    let counters = &worker.counters;
    counters.count(transport);
    if plain.subnet().is_some() {
        counters.count(Event::WithSubnet);
    }
    let verdict = proof.map(|(verdict, _)| verdict);
    match verdict {
        None | Some(cookie::Verdict::Absent) => {}
        Some(cookie::Verdict::Invalid) => counters.count(Event::CookieInvalid),
        Some(_) => counters.count(Event::CookieValid),
    }
    // Neither can be forged.
    let is_proven = verdict.is_some_and(cookie::Verdict::is_valid);
    if query.transport == Transport::Udp && !is_proven {
        match inputs.guard.limit(query.peer.ip(), kind, query.now) {
            Verdict::Pass => {}
            Verdict::Slip => {
                counters.count(Event::LimitSlipped);
                return Some(Reply::Bytes(plain.slip(out, &Told { scope: 0, ..asked.told })));
            }
            Verdict::Drop => {
                counters.count(Event::LimitDropped);
                return Some(Reply::Drop);
            }
        }
    }
    if let Some(asker) = asked.asker {
        worker.random.next();
        counters.count(Event::Service);
        if let Some(recorder) = &mut worker.recorder {
            recorder.record(asker.address);
        }
    }
    counters.responded(rcode.0);
    Some(Reply::Bytes(length))
}

/// A plain query on its way.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query<'a>,
    plain: &'a Plain<'a>,
    limit: usize,
    told: Told,
    /// For whom something was chosen.
    asker: Option<Asker>,
}

impl Asked<'_> {
    /// Writes what a service has for this client.
    #[inline]
    fn service(&mut self, id: ServiceId, worker: &Worker, out: &mut [u8]) -> Option<usize> {
        let Self { plain, query, .. } = *self;
        let Snapshot { inputs, health } = self.snapshot;
        let policy = &inputs.services.services[id.0 as usize].1;
        // Whose turn it is changes with each answer, and this may become none.
        if policy.takes_turns() {
            return None;
        }
        let form = if plain.qtype == Rtype::A { Form::A } else { Form::Aaaa };
        let subnet = plain.subnet().and_then(|subnet| Some((subnet.to_ip()?, subnet.source())));
        let asker = Asker::of_query(&inputs.geo, query.peer.ip(), subnet);
        let own = Own { draw: worker.random.clone().next(), turn: 0 };
        let client = asker.client(&inputs.geo, policy, form, || query.unix_seconds(), own);
        let choice = policy.choose(form, &client, health, &mut ());
        if choice.fail_open || choice.outside.is_some() {
            return None;
        }
        self.told.scope = asker.scope(policy, form, &client);
        let ttl = Ttl::from_secs(policy.ttl(health.is_unsettled(id)));
        let rdatas = policy.records(form, &choice, health).map(Record::rdata);
        self.asker = Some(asker);
        plain.reply(out, self.limit, ttl, rdatas, &self.told)
    }

    /// Writes that a zone has nothing of the kind.
    fn negative(&self, rcode: Rcode, zone: Zone<'_>, out: &mut [u8]) -> Option<usize> {
        let soa = zone.negative_soa();
        self.plain.negative(out, self.limit, rcode, (zone.apex(), &soa), &self.told)
    }
}
