//! What services contribute to an answer: records chosen for this client, and how far they are
//! good for others.

use arrayvec::ArrayVec;
use dns::name::{LowerName, NameRef};
use dns::resolve::{MAX_CHAIN, Resolution};
use dns::rr::{Rtype, Ttl};
use dns::wire::{Owner, Section, Writer};
use dns::zone::{ServiceId, ZoneId};

use crate::binding;
use crate::client::{Asker, Own};
use crate::counters::Event;
use crate::explain::Reason;
use crate::plan::Snapshot;
use crate::policy::{self, Choice, Outside, Policy};
use crate::service::Form;

use super::{Answering, Worker};

/// RRsets of the answer section: each name that is visited adds a DNAME and a CNAME at most.
const MAX_SAID: usize = 2 * MAX_CHAIN;

/// What services contribute to one answer.
pub(super) struct Chosen<'a, 'w> {
    asked: &'a Answering<'a>,
    worker: &'w mut Worker,
    /// Whom something was chosen for.
    pub(super) asker: Option<Asker>,
    /// The finest scope of all that was chosen.
    pub(super) scope: u8,
    /// Why the last choice is as it is.
    pub(super) last: Option<Reason<'a>>,
    /// Services whose host name was followed: nobody twice, and each at a name of its own.
    followed: ArrayVec<ServiceId, MAX_CHAIN>,
    /// The host name that was chosen last.
    host: Option<NameRef<'a>>,
    /// The service's answer is that there is none of this type, in this zone.
    pub(super) no_data: Option<ZoneId>,
    /// The client's fence holds nothing of the service, and states nothing.
    pub(super) refused: bool,
    /// What is in the answer already, once it leads through a service's host name.
    said: ArrayVec<u64, MAX_SAID>,
}

impl<'a, 'w> Chosen<'a, 'w> {
    pub(super) fn new(asked: &'a Answering<'a>, worker: &'w mut Worker) -> Self {
        let followed = ArrayVec::new_const();
        Self {
            asked,
            worker,
            asker: None,
            scope: 0,
            last: None,
            followed,
            host: None,
            no_data: None,
            refused: false,
            said: ArrayVec::new_const(),
        }
    }

    /// Writes what was found from `start` on; returns the host name to go on with, if the chain
    /// leads to one.
    pub(super) fn write(
        &mut self,
        found: &Resolution<'_>,
        start: Owner<'_>,
        writer: &mut Writer<'_>,
        qtype: Rtype,
    ) -> Option<NameRef<'a>> {
        self.host = None;
        let goes_on = matches!(found.service(), Some((_, Rtype::CNAME)));
        let question = self.asked.request.question.map_or(NameRef::ROOT, |q| q.name);
        let mut said = std::mem::take(&mut self.said);
        let mut looped = false;
        let known = |owner: Owner<'_>, rtype: Rtype| {
            // Most answers lead to no host name of a service: there is nothing to remember.
            if !goes_on && said.is_empty() {
                return false;
            }
            let name = if let Owner::Name(name) = owner { name } else { question };
            let rrset = rrset_key(name, rtype);
            let known = said.contains(&rrset);
            looped |= known && rtype == Rtype::CNAME;
            // There is room for all.
            known || said.try_push(rrset).is_err()
        };
        found.write_from(start, writer, known, |writer, section, owner, service, rtype| {
            // A service's addresses are one client's; in the additional section they would make
            // the whole reply that client's (RFC 7871 §7.4), and nobody needs them there.
            if section == Section::Answer {
                self.service(writer, owner, service, rtype);
            }
        });
        self.said = said;
        let is_asked_for = matches!(qtype, Rtype::CNAME | Rtype::ANY);
        self.host.take().filter(|_| !is_asked_for && !looped && !writer.is_truncated())
    }

    /// Writes one RRset of a service for this client, and notes the scope it is good for.
    fn service(&mut self, writer: &mut Writer<'_>, owner: Owner<'_>, id: ServiceId, rtype: Rtype) {
        let asked = self.asked;
        let policy = &asked.snapshot.inputs.services.services[id.0 as usize].1;
        if rtype == Rtype::CNAME
            && (self.followed.contains(&id) || self.followed.try_push(id).is_err())
        {
            // In a loop: the chain ends with what was gathered.
            return;
        }
        let draw = self.worker.random.next();
        let health = &asked.snapshot.health;
        let ttl = Ttl::from_secs(policy.ttl(health.is_unsettled(id)));
        // Did something not fit, the writer has set TC.
        if let Some(form) = Form::of(rtype) {
            let choice = self.choose(policy, form, draw);
            if self.is_outside(owner, choice.outside) {
                return;
            }
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
            // Bound to nowhere is not bound at all.
            if v4.candidates.is_empty() && v6.candidates.is_empty() {
                let has_stated = |outside| matches!(outside, Some(Outside::Stated { .. }));
                let outside = v4.outside.max(v6.outside);
                if !has_stated(v4.outside)
                    && !has_stated(v6.outside)
                    && self.is_outside(owner, outside)
                {
                    return;
                }
            }
            let of = |form, choice| policy.records(form, choice, health);
            let v4 = of(Form::A, &v4).map(policy::Record::rdata);
            let v6 = of(Form::Aaaa, &v6).map(policy::Record::rdata);
            let rdata = binding::with_hints(&binding.rdata, v4, v6);
            let _ = writer.rrset_with(Section::Answer, owner, rtype, ttl, [rdata]);
        }
        self.worker.counters.count(Event::Service);
    }

    /// Notes what is answered instead of records, when the client's fence holds none.
    fn is_outside(&mut self, owner: Owner<'_>, outside: Option<Outside>) -> bool {
        match outside {
            None | Some(Outside::Stated { .. }) => return false,
            Some(Outside::NoData) => self.no_data = self.zone_of(owner),
            Some(Outside::Refused { .. }) => {
                self.refused = true;
                self.worker.counters.count(Event::Fenced);
            }
        }
        true
    }

    /// The zone that a name is in.
    fn zone_of(&self, owner: Owner<'_>) -> Option<ZoneId> {
        let question = self.asked.request.question.map_or(NameRef::ROOT, |q| q.name);
        let mut name = Some(if let Owner::Name(name) = owner { name } else { question });
        let mut lower = LowerName::new();
        while let Some(inside) = name {
            lower.read(inside);
            if let Some(zone) = self.asked.snapshot.inputs.zones.zone_at(&lower) {
                return Some(zone.id());
            }
            name = inside.parent();
        }
        None
    }

    fn choose(&mut self, policy: &'a Policy, form: Form, draw: u64) -> Choice {
        let Snapshot { inputs, health } = self.asked.snapshot;
        let asker = *self.asker.get_or_insert_with(|| self.asked.asker());
        let turns = &mut self.worker.turns;
        let turn = if policy.takes_turns() { turns.next(policy.key(), form) } else { 0 };
        let own = Own { draw, turn };
        let client =
            asker.client(&inputs.geo, policy, form, || self.asked.query.unix_seconds(), own);
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

/// Tells RRsets of one answer apart; two that collide would cost one of them.
fn rrset_key(owner: NameRef<'_>, rtype: Rtype) -> u64 {
    let octets = owner.wire().iter().map(u8::to_ascii_lowercase);
    octets.fold(rtype.0.into(), |key, octet| policy::mix(key ^ u64::from(octet)))
}
