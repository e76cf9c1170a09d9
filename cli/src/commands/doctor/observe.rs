//! Looks at a delegation: asks the parent's servers what they say, and every listed address what
//! it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns::name::Name;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use tokio::task::JoinSet;

use super::observed::{
    Answer, Delegation, NoDelegation, Observed, Parent, Probe, Resolved, Server, Trouble,
};
use super::reach::Reach;
use super::view::{self, View};
use super::walk::Finder;
use crate::dns::exchange::Way;
use crate::dns::resolv_conf::PORT;
use crate::dns::{Question, theirs};

/// Servers may list servers that list more; twice is what mistakes look like.
const MAX_ROUNDS: usize = 3;

/// Names of servers of one zone; a referral with more does not fit anywhere.
const MAX_SERVERS: usize = 64;

/// Addresses of one zone's servers.
const MAX_ADDRESSES: usize = 256;

/// Looks at `zone`; `own` are servers to ask beside those that are listed.
pub(super) async fn observe(zone: &Name, finder: &Finder, own: &[SocketAddr]) -> Observed {
    let parent = parent(zone, finder).await;
    let mut look = Look {
        zone,
        finder,
        glue: glue(&parent),
        servers: BTreeMap::new(),
        probes: Probes::default(),
    };
    own.iter().for_each(|at| look.probes.add(*at, None));
    let mut listed = parent.ns().unwrap_or_default();
    for _ in 0..MAX_ROUNDS {
        look.listed(listed).await;
        listed = look
            .probes
            .listed()
            .filter(|name| !look.servers.contains_key(*name))
            .cloned()
            .collect();
        if listed.is_empty() {
            break;
        }
    }
    let glue = look.glue;
    let servers = look.servers.into_iter().map(|(name, resolved)| Server {
        glue: glue.get(&name).cloned().unwrap_or_default(),
        name,
        resolved,
    });
    Observed { zone: zone.clone(), parent, servers: servers.collect(), probes: look.probes.done() }
}

async fn parent(zone: &Name, finder: &Finder) -> Parent {
    if zone.is_root() {
        return Parent::None;
    }
    let hosts = match finder.parents(zone).await {
        Ok(hosts) => hosts,
        Err(why) => return Parent::Unknown(why),
    };
    let mut tasks = JoinSet::new();
    for host in hosts {
        let (zone, reach) = (zone.clone(), Arc::clone(&finder.reach));
        tasks.spawn(async move {
            let said = delegation(&zone, host.at, &reach).await;
            (host, said)
        });
    }
    let mut asked = tasks.join_all().await;
    asked.sort_by(|(a, _), (b, _)| a.cmp(b));
    Parent::Asked(asked)
}

/// What one server of the parent says.
async fn delegation(
    zone: &Name,
    at: SocketAddr,
    reach: &Reach,
) -> Result<Delegation, NoDelegation> {
    let ask = |record_type| reach.iteratively(at, zone, record_type);
    let message = ask(RecordType::NS).await.map_err(NoDelegation::Trouble)?;
    let hidden = match view::view(&message, zone, RecordType::NS) {
        View::Answer => message.metadata.authoritative,
        View::Referral { cut } if cut == *zone => false,
        View::Denied(code) => return Err(NoDelegation::Denied(code)),
        View::Useless(code) => return Err(NoDelegation::Code(code)),
        View::Referral { .. } | View::Alias(_) => {
            return Err(NoDelegation::Denied(ResponseCode::NoError));
        }
    };
    let ns = view::ns(&message, zone);
    let glue = view::glue(&message, &ns);
    let ds = ask(RecordType::DS).await.ok();
    let answered = |message: &Message| message.metadata.response_code == ResponseCode::NoError;
    let ds = ds.filter(answered).map(|message| view::ds(&message, zone));
    Ok(Delegation { ns, glue, ds, hidden })
}

/// Everything that any of the parent's servers gives along.
fn glue(parent: &Parent) -> BTreeMap<Name, BTreeSet<IpAddr>> {
    let mut glue = BTreeMap::<Name, BTreeSet<IpAddr>>::new();
    // Where the zone's own data answers, there is no glue to be seen.
    for (_, delegation) in parent.delegations().filter(|(_, delegation)| !delegation.hidden) {
        for (name, addresses) in &delegation.glue {
            glue.entry(name.clone()).or_default().extend(addresses);
        }
    }
    glue
}

/// A look under way.
struct Look<'a> {
    zone: &'a Name,
    finder: &'a Finder,
    glue: BTreeMap<Name, BTreeSet<IpAddr>>,
    servers: BTreeMap<Name, Resolved>,
    probes: Probes,
}

impl Look<'_> {
    /// Finds and asks every address of these names.
    async fn listed(&mut self, names: BTreeSet<Name>) {
        let room = MAX_SERVERS.saturating_sub(self.servers.len());
        let names: Vec<Name> = names.into_iter().take(room).collect();
        // By glue first: names inside the zone are best asked of the zone's own servers.
        for name in &names {
            for address in self.glue.get(name).into_iter().flatten() {
                self.probes.add(SocketAddr::new(*address, PORT), Some(name));
            }
        }
        self.probes.run(self.zone, &self.finder.reach).await;
        for name in names {
            let resolved = match self.own_word(&name).await {
                Some(resolved) => resolved,
                None => self.finder.addresses(&name).await,
            };
            if let Resolved::Addresses(addresses) = &resolved {
                for address in addresses {
                    self.probes.add(SocketAddr::new(*address, PORT), Some(&name));
                }
            }
            self.servers.insert(name, resolved);
        }
        self.probes.run(self.zone, &self.finder.reach).await;
    }

    /// What a server with authority over the zone says about a name inside it.
    async fn own_word(&self, name: &Name) -> Option<Resolved> {
        if !name.is_subdomain_of(self.zone) {
            return None;
        }
        for at in self.probes.authoritative() {
            let mut found = BTreeSet::new();
            let mut answered = 0;
            for record_type in [RecordType::A, RecordType::AAAA] {
                let Ok(message) = self.finder.reach.iteratively(at, name, record_type).await else {
                    break;
                };
                match view::view(&message, name, record_type) {
                    View::Answer => found.extend(view::addresses(&message, name)),
                    View::Alias(target) => return Some(Resolved::Alias(target)),
                    View::Denied(_) => {}
                    // Below a delegation of its own, or no word at all.
                    View::Referral { .. } | View::Useless(_) => break,
                }
                answered += 1;
            }
            if answered == 2 {
                let nothing = found.is_empty();
                return Some(if nothing { Resolved::Nothing } else { Resolved::Addresses(found) });
            }
        }
        None
    }
}

/// Addresses with the names that lead there, and what they answered once they were asked.
#[derive(Default)]
struct Probes(BTreeMap<SocketAddr, (BTreeSet<Name>, Option<Probe>)>);

impl Probes {
    fn add(&mut self, at: SocketAddr, name: Option<&Name>) {
        if self.0.len() < MAX_ADDRESSES || self.0.contains_key(&at) {
            self.0.entry(at).or_default().0.extend(name.cloned());
        }
    }

    /// Asks those that were not asked yet, all at once.
    async fn run(&mut self, zone: &Name, reach: &Arc<Reach>) {
        let mut tasks = JoinSet::new();
        for (&at, _) in self.0.iter().filter(|(_, (_, probe))| probe.is_none()) {
            let (zone, reach) = (zone.clone(), Arc::clone(reach));
            tasks.spawn(async move { probe(&zone, at, &reach).await });
        }
        for probe in tasks.join_all().await {
            let asked = &mut self.0.entry(probe.at).or_default().1;
            *asked = Some(probe);
        }
    }

    fn asked(&self) -> impl Iterator<Item = &Probe> {
        self.0.values().filter_map(|(_, probe)| probe.as_ref())
    }

    fn authoritative(&self) -> impl Iterator<Item = SocketAddr> {
        self.asked().filter(|probe| probe.is_authoritative()).map(|probe| probe.at)
    }

    /// Every name that any of them lists.
    fn listed(&self) -> impl Iterator<Item = &Name> {
        self.asked().filter_map(|probe| probe.ns.as_ref()).flatten()
    }

    fn done(self) -> Vec<Probe> {
        let named = |(names, probe): (BTreeSet<Name>, Option<Probe>)| {
            Some(Probe { names: names.into_iter().collect(), ..probe? })
        };
        self.0.into_values().filter_map(named).collect()
    }
}

async fn probe(zone: &Name, at: SocketAddr, reach: &Reach) -> Probe {
    let soa = Question { recursion_desired: false, ..Question::new(theirs(zone), RecordType::SOA) };
    let read = |message: Result<Message, Trouble>| message.map(|message| answer(&message, zone));
    let (udp, tcp) = tokio::join!(reach.ask(at, &soa, Way::Udp), reach.ask(at, &soa, Way::Tcp));
    let (udp, tcp) = (read(udp), read(tcp));
    let puzzled = match &udp {
        Ok(answer) => matches!(
            answer.code,
            ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::ServFail
        ),
        Err(trouble) => matches!(trouble, Trouble::Silent | Trouble::Other(_)),
    };
    let plain = match puzzled {
        true => {
            let bare = Question { edns: None, ..soa };
            Some(read(reach.ask(at, &bare, Way::Udp).await))
        }
        false => None,
    };
    let mut probe = Probe { names: Vec::new(), at, udp, plain, tcp, ns: None, keys: None };
    if probe.is_authoritative() {
        let authoritative = |message: &Message| message.metadata.authoritative;
        let ns = reach.iteratively(at, zone, RecordType::NS).await.ok().filter(authoritative);
        probe.ns = ns.map(|message| view::ns(&message, zone));
        let keys = reach.iteratively(at, zone, RecordType::DNSKEY).await.ok().filter(authoritative);
        probe.keys = keys.map(|message| view::dnskey(&message, zone));
    }
    probe
}

fn answer(message: &Message, zone: &Name) -> Answer {
    Answer {
        code: message.metadata.response_code,
        authoritative: message.metadata.authoritative,
        recursion: message.metadata.recursion_available,
        edns: message.edns.is_some(),
        serial: view::serial(message, zone),
    }
}
