//! The short way, for the query that nearly all are: addresses of a name that has them, asked by
//! somebody whom no list concerns, with no option but a client subnet.
//!
//! It takes the decisions of the long way ([`Answering`]) with the same parts, and says the same to
//! the octet; whatever is not as plain as that, it leaves to the long way before anything is counted or
//! drawn. Tests hold each against the other (`tests/seam/ways.rs`).

use dns::rr::{Rcode, Rtype, Ttl};
use dns::wire::{MAX_MESSAGE, Plain};
use dns::zone::{ServiceId, Standing};

use super::{PAYLOAD, Query, Reply, Transport, Worker};
use crate::client::{Asker, Own};
use crate::counters::Event;
use crate::guard::limit::{Kind, Verdict};
use crate::plan::Snapshot;
use crate::policy::Record;
use crate::service::Form;

/// Answers a plain query; none: it takes the long way.
#[inline]
pub(super) fn answer(
    snapshot: &Snapshot,
    worker: &mut Worker,
    query: &Query<'_>,
    out: &mut [u8],
) -> Option<Reply> {
    let inputs = &snapshot.inputs;
    // What is planted for tests is planted in the long way.
    if cfg!(feature = "mutations") || worker.deferred || !inputs.guard.access.is_open() {
        return None;
    }
    let plain = Plain::read(query.bytes, &mut worker.name)?;
    let (transport, limit) = match query.transport {
        Transport::Udp => (Event::Udp, plain.limit(PAYLOAD)),
        Transport::Tcp { .. } => (Event::Tcp, MAX_MESSAGE),
    };
    let mut asked = Asked { snapshot, query, plain: &plain, limit, asker: None };
    let length = match inputs.zones.standing(&worker.name, plain.qtype)? {
        Standing::Records(rrset) => {
            plain.reply(out, limit, rrset.ttl, rrset.rdatas(), (PAYLOAD, 0))?
        }
        Standing::Service(service) => asked.service(service, worker, out)?,
    };
    let counters = &worker.counters;
    counters.count(transport);
    if plain.subnet().is_some() {
        counters.count(Event::WithSubnet);
    }
    if query.transport == Transport::Udp {
        match inputs.guard.limit(query.peer.ip(), Kind::Answer, query.now) {
            Verdict::Pass => {}
            Verdict::Slip => {
                counters.count(Event::LimitSlipped);
                return Some(Reply::Bytes(plain.slip(out, PAYLOAD)));
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
    counters.responded(Rcode::NOERROR.0);
    Some(Reply::Bytes(length))
}

/// A plain query on its way.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query<'a>,
    plain: &'a Plain<'a>,
    limit: usize,
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
        let scope = asker.scope(policy, form, &client);
        let ttl = Ttl::from_secs(policy.ttl(health.is_unsettled(id)));
        let rdatas = policy.records(form, &choice, health).map(Record::rdata);
        self.asker = Some(asker);
        plain.reply(out, self.limit, ttl, rdatas, (PAYLOAD, scope))
    }
}
