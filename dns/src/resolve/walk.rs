//! Down the tree and along the chain.

use super::{
    Additional, Alias, Data, DataAt, Entry, LAST_BIT, MAX_CHAIN, MadeName, OwnerAt, Resolution,
    Stored,
};
use crate::name::{LowerName, NameRef};
use crate::rr::{Rcode, Rtype, Ttl};
use crate::wire::Owner;
use crate::zone::{Found, Kind, Node, NodeId, Slot, Table, Zone, ZoneId, Zones};

/// What one name of the chain led to.
enum Step<'z> {
    Done,
    /// On to the target of a CNAME.
    Follow(OwnerAt<'z>),
}

impl Zones {
    /// Finds the answer for a name and type of class IN, and leaves it in `out`, whatever that
    /// held before. Not for AXFR and IXFR, which are the caller's.
    ///
    /// Work is bounded: at most [`MAX_CHAIN`] names, each with a few look-ups.
    pub fn resolve<'z>(&'z self, name: &LowerName, qtype: Rtype, out: &mut Resolution<'z>) {
        self.resolve_within(|_| true, name, qtype, out);
    }

    /// [`resolve`](Self::resolve), for somebody who may not see every zone: a name in any other is
    /// refused, with [`Resolution::zone`] set, a chain ends before it as before a foreign one, and
    /// its addresses go along with nobody else's records.
    pub fn resolve_within<'z>(
        &'z self,
        may_see: impl Fn(ZoneId) -> bool,
        name: &LowerName,
        qtype: Rtype,
        out: &mut Resolution<'z>,
    ) {
        self.resolve_found(self.find(name), may_see, name, qtype, MAX_CHAIN, out);
    }

    /// [`resolve_within`](Self::resolve_within), of a name that a chain has led to which visits at
    /// most `left` names more, this one among them; at least that one is visited.
    pub fn resolve_on<'z>(
        &'z self,
        may_see: impl Fn(ZoneId) -> bool,
        name: &LowerName,
        qtype: Rtype,
        left: usize,
        out: &mut Resolution<'z>,
    ) {
        self.resolve_found(self.find(name), may_see, name, qtype, left, out);
    }

    /// [`resolve_on`](Self::resolve_on), of a name that was found already.
    pub fn resolve_found<'z>(
        &'z self,
        found: Found<'z>,
        may_see: impl Fn(ZoneId) -> bool,
        name: &LowerName,
        qtype: Rtype,
        left: usize,
        out: &mut Resolution<'z>,
    ) {
        out.clear();
        let left = left.min(MAX_CHAIN);
        let Found { table, node, depth } = found;
        let walk = Walk { zones: self, table, may_see, qtype, left, out };
        walk.run(name, node, depth);
    }
}

pub(super) struct Walk<'z, 'o, F> {
    zones: &'z Zones,
    /// Where the present name was found.
    pub(super) table: &'z Table,
    may_see: F,
    pub(super) qtype: Rtype,
    /// Names that may be visited.
    left: usize,
    out: &'o mut Resolution<'z>,
}

impl<'z, F: Fn(ZoneId) -> bool> Walk<'z, '_, F> {
    fn run(mut self, name: &LowerName, node: NodeId, depth: usize) {
        let found = self.table.node(node);
        if found.kind == Kind::Outer {
            return;
        }
        self.out.zone = Some(found.zone);
        self.out.visited = 1;
        if !self.is_visible(name, node, depth) {
            return;
        }
        self.out.rcode = Rcode::NOERROR;
        self.out.authoritative = true;
        if let Step::Follow(target) = self.step(name, OwnerAt::Question, node, depth) {
            self.follow(name, target);
        }
        let referred = self.out.is_referral() && self.out.answers.is_empty();
        self.out.authoritative = !referred || mutated!(ReferralIsAuthoritative);
    }

    /// Goes along CNAMEs and DNAMEs. Ends at the bound, in a loop, or where our zones do, with
    /// what was gathered.
    #[cold]
    fn follow(&mut self, question: &LowerName, mut target: OwnerAt<'z>) {
        let mut name = LowerName::new();
        for _ in 1..if mutated!(ChainIsShort) { self.left.saturating_sub(1) } else { self.left } {
            name.read(match target {
                OwnerAt::Question => return,
                OwnerAt::Frozen(name) => name,
                OwnerAt::Made(made) => self.out.made(made),
            });
            if self.was_visited(question, &name) && !mutated!(CnameLoopGoesOn) {
                return;
            }
            let (table, node, depth) = self.zones.seek(&name);
            self.table = table;
            let found = table.node(node);
            if found.kind == Kind::Outer || !self.is_visible(&name, node, depth) {
                return;
            }
            self.out.visited += 1;
            let step = self.step(&name, target, node, depth);
            if mutated!(ChainLosesNxdomain) {
                self.out.rcode = Rcode::NOERROR;
            }
            match step {
                Step::Follow(next) => target = next,
                Step::Done => return,
            }
        }
    }

    /// The zone of a node of the present table.
    #[inline]
    fn zone(&self, node: &Node) -> Zone<'z> {
        Zone::of(self.zones, self.table, node.zone)
    }

    /// Whether the client may see what stands at the node: its zone, or for DS at an apex the parent,
    /// whose data that is.
    fn is_visible(&self, name: &LowerName, id: NodeId, depth: usize) -> bool {
        let zone = self.zone(self.table.node(id));
        let of_parent = self.qtype == Rtype::DS && depth == name.label_count() && zone.is_apex(id);
        (self.may_see)(zone.id())
            || of_parent && zone.parent().is_some_and(|(parent, _)| (self.may_see)(parent.id()))
    }

    /// Whether `name` was left before. A DNAME in the answer is no such visit: its owner itself
    /// is not redirected.
    fn was_visited(&self, question: &LowerName, name: &LowerName) -> bool {
        let left = |entry: &Entry<'_>| match entry.data {
            Data::Static(rrset) => rrset.rtype == Rtype::CNAME,
            Data::Cname { .. } => true,
            Data::Service { .. } => false,
        };
        self.out.answer().filter(left).any(|entry| match entry.owner {
            Owner::Question => question.wire() == name.wire(),
            Owner::Name(owner) => owner.wire().eq_ignore_ascii_case(name.wire()),
        })
    }

    /// One name. `node` stands at it if it has `depth` labels, else at its closest encloser.
    #[inline]
    fn step(&mut self, name: &LowerName, owner: OwnerAt<'z>, id: NodeId, depth: usize) -> Step<'z> {
        let table = self.table;
        let node = table.node(id);
        let exact = depth == name.label_count();
        #[cfg(feature = "mutations")]
        let (node, exact) = self.misled(name, node, depth, exact);
        match node.kind {
            Kind::Data
                if exact
                    && !mutated!(DsByTheChild)
                    && self.qtype == Rtype::DS
                    && self.zone(node).is_apex(id) =>
            {
                self.ds_of_apex(node, owner)
            }
            Kind::Data if exact && mutated!(DnameRedirectsItsOwner) && node.has_dname => {
                self.redirect(name, owner, node, depth)
            }
            Kind::Data if exact => self.at(node, owner),
            Kind::Data if node.has_dname => self.redirect(name, owner, node, depth),
            Kind::Data => match table.wildcard(node) {
                Some(wildcard) if mutated!(WildcardKeepsItsName) => {
                    self.at(wildcard, OwnerAt::Frozen(table.name(wildcard)))
                }
                Some(wildcard) => {
                    let step = self.at(wildcard, owner);
                    if mutated!(WildcardNoDataIsNxdomain) && self.out.authority.is_some() {
                        self.out.rcode = Rcode::NXDOMAIN;
                    }
                    step
                }
                None => {
                    self.out.rcode = Rcode::NXDOMAIN;
                    self.negative(self.zone(node))
                }
            },
            Kind::Between => match table.wildcard(table.node(node.link)) {
                Some(wildcard) => self.at(wildcard, owner),
                None => {
                    // NXDOMAIN of the name itself would deny the zone below it (RFC 8020 §2).
                    if !exact {
                        self.out.rcode = Rcode::NXDOMAIN;
                    }
                    self.negative(self.zone(node))
                }
            },
            // DS belongs to the parent's side of the cut (RFC 4035 §3.1.4.1).
            Kind::Cut if exact && !mutated!(DsIsReferred) && self.qtype == Rtype::DS => {
                match table.slot(node, Rtype::DS) {
                    Some(slot) => self.push(owner, slot),
                    None => self.negative(self.zone(node)),
                }
            }
            Kind::BelowCut if exact && mutated!(BelowCutIsServed) => self.at(node, owner),
            Kind::Cut | Kind::BelowCut => self.refer(table.node(node.link)),
            Kind::BelowDname => {
                let dname = table.node(node.link);
                let depth = table.name(dname).labels().count();
                self.redirect(name, owner, dname, depth)
            }
            Kind::Outer | Kind::Elsewhere => Step::Done,
        }
    }

    /// The name exists, or a wildcard stands in for it.
    fn at(&mut self, node: &'z Node, owner: OwnerAt<'z>) -> Step<'z> {
        let table = self.table;
        if self.qtype == Rtype::ANY && mutated!(AnyIsEverything) {
            for slot in table.slots(node) {
                self.push(owner, slot);
            }
            return Step::Done;
        }
        if mutated!(EmptyNonTerminalIsNxdomain) && table.slots(node).is_empty() {
            self.out.rcode = Rcode::NXDOMAIN;
        }
        if self.qtype == Rtype::ANY {
            return match self.smallest(node) {
                Some(slot) => self.push(owner, slot),
                None => self.negative(self.zone(node)),
            };
        }
        if let Some(slot) = table.slot(node, self.qtype) {
            return self.push(owner, slot);
        }
        if !node.has_cname {
            return self.negative(self.zone(node));
        }
        let Some(slot) = table.slot(node, Rtype::CNAME) else { return Step::Done };
        self.push(owner, slot);
        if slot.service.is_some() {
            // Where it leads is the caller's to choose, and to resolve.
            return Step::Done;
        }
        if mutated!(CnameNotFollowed) {
            return Step::Done;
        }
        let target = table.rrset(slot).rdatas().next();
        target.map_or(Step::Done, |target| {
            Step::Follow(OwnerAt::Frozen(NameRef::from_checked(target)))
        })
    }

    /// ANY gets one RRset (RFC 8482 §4.1): the CNAME, else the smallest in octets, else what a
    /// service makes. Real data stays cacheable under its own type, unlike a made-up HINFO.
    fn smallest(&self, node: &'z Node) -> Option<&'z Slot> {
        let slots = self.table.slots(node);
        let size = |slot: &&Slot| {
            let is_cname = slot.rtype == Rtype::CNAME;
            (!is_cname, slot.service.is_some(), self.table.rrset(slot).data_len(), slot.rtype)
        };
        slots.iter().min_by_key(size)
    }

    fn push(&mut self, owner: OwnerAt<'z>, slot: &'z Slot) -> Step<'z> {
        self.add(owner, data_of(self.table, slot));
        if self.qtype != Rtype::ANY {
            self.out.additional = self.addresses(self.table, slot);
            if matches!(slot.rtype, Rtype::SVCB | Rtype::HTTPS) {
                self.out.alias = self.alias(slot);
            }
        }
        Step::Done
    }

    /// Addresses of an RRset's targets, which need not come along.
    fn addresses(&self, table: &'z Table, slot: &Slot) -> Option<Additional<'z>> {
        let (nodes, _) = table.extras(slot);
        if nodes.is_empty() {
            return None;
        }
        let hidden = self.hidden(table, nodes);
        Some(Additional { table, nodes, needed: 0, hidden, referral: false })
    }

    /// Where service bindings in alias form lead to, one step: records of the same type that stand
    /// at the very name. A resolver would ask for them next.
    #[cold]
    fn alias(&self, slot: &'z Slot) -> Option<Alias<'z>> {
        let rrset = self.table.rrset(slot);
        let mut targets = rrset.rdatas().filter_map(|rdata| rdata.strip_prefix(&[0, 0]));
        let target = NameRef::parse(targets.next()?).ok()?;
        let name = LowerName::from(target);
        let (table, id, depth) = self.zones.seek(&name);
        let node = table.node(id);
        let is_there = depth == name.label_count() && node.kind == Kind::Data;
        if target.is_root() || !is_there || !(self.may_see)(node.zone) {
            return None;
        }
        let bindings = table.slot(node, slot.rtype)?;
        if std::ptr::eq(bindings, slot) {
            return None;
        }
        let none = Additional { table, nodes: &[], needed: 0, hidden: 0, referral: false };
        let addresses = self.addresses(table, bindings).unwrap_or(none);
        Some(Alias { owner: table.name(node), data: data_of(table, bindings), addresses })
    }

    fn add(&mut self, owner: OwnerAt<'z>, data: DataAt<'z>) {
        // MAX_CHAIN steps add two entries each at most, so there is always room.
        let _ = self.out.answers.try_push(Stored { owner, data });
    }

    /// NODATA or NXDOMAIN: the SOA of the zone (RFC 2308 §3).
    fn negative(&mut self, zone: Zone<'z>) -> Step<'z> {
        let soa = if mutated!(NegativeTtlIsTheSoas) { zone.soa() } else { zone.negative_soa() };
        self.out.authority = Some((zone.apex(), soa)).filter(|_| !mutated!(NegativeWithoutSoa));
        Step::Done
    }

    fn refer(&mut self, cut: &'z Node) -> Step<'z> {
        let table = self.table;
        let Some(slot) = table.slot(cut, Rtype::NS) else { return Step::Done };
        self.out.authority = Some((table.name(cut), table.rrset(slot)));
        let (nodes, needed) =
            if mutated!(ReferralWithoutGlue) { (&[][..], 0) } else { table.extras(slot) };
        let hidden = self.hidden(table, nodes);
        self.out.additional = Some(Additional { table, nodes, needed, hidden, referral: true });
        Step::Done
    }

    /// Which of some addresses lie in zones that may not be seen, as bits from the lowest.
    fn hidden(&self, table: &Table, nodes: &[NodeId]) -> u64 {
        let hidden = |node: &NodeId| !(self.may_see)(table.node(*node).zone);
        let hidden = nodes.iter().enumerate().filter(|(_, node)| hidden(node));
        hidden.fold(0, |all, (i, _)| all | 1 << i.min(LAST_BIT))
    }

    /// DS asked at an apex: the parent answers, if we serve it to this client; else we say that there is none on
    /// our side of the cut (RFC 4035 §3.1.4.1).
    fn ds_of_apex(&mut self, apex: &'z Node, owner: OwnerAt<'z>) -> Step<'z> {
        let zone = self.zone(apex);
        match zone.parent().filter(|(parent, _)| (self.may_see)(parent.id())) {
            Some((parent, Some(ds))) => {
                self.table = parent.table();
                self.push(owner, ds)
            }
            Some((parent, None)) => self.negative(parent),
            None => self.negative(zone),
        }
    }

    /// A DNAME above the name: it goes into the answer, once, and with it the CNAME that it makes
    /// of the name (RFC 6672 §3.2).
    fn redirect(
        &mut self,
        name: &LowerName,
        owner: OwnerAt<'z>,
        dname: &'z Node,
        depth: usize,
    ) -> Step<'z> {
        let table = self.table;
        let Some(slot) = table.slot(dname, Rtype::DNAME) else { return Step::Done };
        let rrset = table.rrset(slot);
        let at = table.name(dname);
        let known = self.out.answers.iter().any(|stored| {
            matches!(stored.data, DataAt::Static(set) if set == rrset)
                && matches!(stored.owner, OwnerAt::Frozen(owner) if owner == at)
        });
        if !known {
            self.add(OwnerAt::Frozen(at), DataAt::Static(rrset));
        }
        let Some(target) = rrset.rdatas().next() else { return Step::Done };
        let prefix = &name.wire()[..name.wire().len() - name.suffix(depth).len()];
        let mut made = MadeName::new_const();
        let fits =
            made.try_extend_from_slice(prefix).and_then(|()| made.try_extend_from_slice(target));
        if fits.is_err() {
            if !mutated!(DnameTooLongIsNoError) {
                self.out.rcode = Rcode::YXDOMAIN;
            }
            return Step::Done;
        }
        let place = self.out.made.len();
        if self.out.made.try_push(made).is_err() {
            return Step::Done;
        }
        let ttl = if mutated!(DnameCnameWithoutTtl) { Ttl::ZERO } else { rrset.ttl };
        if !mutated!(DnameWithoutCname) {
            self.add(owner, DataAt::Cname { made: place, ttl });
        }
        // A question for the CNAME itself is answered by it (RFC 6672 §3.2: as if it stood there).
        match self.qtype {
            Rtype::CNAME if !mutated!(DnameFollowsQtypeCname) => Step::Done,
            _ => Step::Follow(OwnerAt::Made(place)),
        }
    }
}

/// What an RRset is in an answer.
fn data_of<'z>(table: &'z Table, slot: &Slot) -> DataAt<'z> {
    match slot.service {
        Some(service) => DataAt::Service(service, slot.rtype),
        None => DataAt::Static(table.rrset(slot)),
    }
}
