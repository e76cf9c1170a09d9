//! Finds whom to ask: the servers of a zone's parent, and the addresses of names. From the root
//! or from a given parent down, as resolvers walk, or by asking a resolver.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use dns::name::Name;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

use super::observed::{Host, Resolved, listed};
use super::reach::Reach;
use super::view::{self, View};
use crate::dns::resolv_conf::PORT;
use crate::dns::text;

/// Referrals on the way to one name; no name on the internet takes half as many.
const MAX_REFERRALS: usize = 16;

/// Names of servers whose addresses must be found before others can be: deeper is a riddle.
const MAX_DEPTH: usize = 4;

/// Servers of one zone that are used; the root has 26 addresses.
const MAX_HOSTS: usize = 32;

/// Where looking begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// At the root servers.
    Roots(Vec<SocketAddr>),
    /// At a server of the parent; what it does not know is asked of the resolvers.
    Parent(SocketAddr),
    /// At the resolvers, for everything.
    Resolvers,
}

/// Finds servers and addresses.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) reach: Arc<Reach>,
    pub(super) start: Start,
    pub(super) resolvers: Vec<SocketAddr>,
}

type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + 'a>>;

impl Finder {
    /// The servers of the zone that delegates `zone`.
    ///
    /// # Errors
    /// Why none was found.
    pub(super) async fn parents(&self, zone: &Name) -> Result<Vec<Host>, String> {
        let mut hosts = match self.top() {
            Some(hosts) => hosts,
            None => self.climb(zone).await?,
        };
        let mut above = 0;
        for _ in 0..MAX_REFERRALS {
            match self.first_useful(&hosts, zone, RecordType::NS).await? {
                (View::Referral { cut }, message) if cut != *zone && cut.label_count() > above => {
                    above = cut.label_count();
                    hosts = self.hosts(&message, &cut, 0).await?;
                }
                // They delegate it, deny it, or serve it themselves: they are the ones to ask.
                _ => return Ok(hosts),
            }
        }
        Err(format!("more than {MAX_REFERRALS} referrals"))
    }

    /// The addresses of `name`.
    pub(super) async fn addresses(&self, name: &Name) -> Resolved {
        self.addresses_at(name, 0).await
    }

    fn addresses_at<'a>(&'a self, name: &'a Name, depth: usize) -> Future<'a, Resolved> {
        Box::pin(async move {
            let mut found = BTreeSet::new();
            for record_type in [RecordType::A, RecordType::AAAA] {
                match self.look_up(name, record_type, depth).await {
                    Ok((View::Answer, message)) => found.extend(view::addresses(&message, name)),
                    Ok((View::Alias(target), _)) => return Resolved::Alias(target),
                    Ok(_) => {}
                    // One family is enough to go on with.
                    Err(_) if !found.is_empty() => {}
                    Err(why) => return Resolved::Unknown(why),
                }
            }
            if found.is_empty() { Resolved::Nothing } else { Resolved::Addresses(found) }
        })
    }

    async fn look_up(
        &self,
        name: &Name,
        record_type: RecordType,
        depth: usize,
    ) -> Result<(View, Message), String> {
        if depth > MAX_DEPTH {
            return Err("servers whose addresses depend on each other".to_owned());
        }
        let walked = match self.top() {
            Some(hosts) => self.down(hosts, name, record_type, depth).await,
            None => return self.resolve(name, record_type).await,
        };
        match (&self.start, walked) {
            (Start::Parent(_), Err(why)) => {
                let resolved = self.resolve(name, record_type).await;
                resolved.map_err(|also| format!("{why}; {also}"))
            }
            (_, walked) => walked,
        }
    }

    /// Where walks begin, unless it is the resolvers who walk.
    fn top(&self) -> Option<Vec<Host>> {
        let nameless = |at: &SocketAddr| Host { name: None, at: *at };
        match &self.start {
            Start::Roots(roots) => Some(roots.iter().map(nameless).collect()),
            Start::Parent(parent) => Some(vec![nameless(parent)]),
            Start::Resolvers => None,
        }
    }

    async fn down(
        &self,
        mut hosts: Vec<Host>,
        name: &Name,
        record_type: RecordType,
        depth: usize,
    ) -> Result<(View, Message), String> {
        let mut above = 0;
        for _ in 0..MAX_REFERRALS {
            match self.first_useful(&hosts, name, record_type).await? {
                (View::Referral { cut }, message) if cut.label_count() > above => {
                    above = cut.label_count();
                    hosts = self.hosts(&message, &cut, depth).await?;
                }
                (View::Referral { cut }, _) => {
                    return Err(format!("referred to {cut} and back"));
                }
                settled => return Ok(settled),
            }
        }
        Err(format!("more than {MAX_REFERRALS} referrals"))
    }

    /// Asks one after the other until one helps.
    async fn first_useful(
        &self,
        hosts: &[Host],
        name: &Name,
        record_type: RecordType,
    ) -> Result<(View, Message), String> {
        let mut last = "no server to ask".to_owned();
        for host in hosts {
            match self.reach.iteratively(host.at, name, record_type).await {
                Ok(message) => match view::view(&message, name, record_type) {
                    View::Useless(code) => {
                        last = format!("{host} answers {}", text::response_code(code));
                    }
                    useful => return Ok((useful, message)),
                },
                Err(trouble) => last = format!("{host}: {trouble}"),
            }
        }
        Err(last)
    }

    /// The servers that a referral names, with their addresses.
    async fn hosts(
        &self,
        message: &Message,
        cut: &Name,
        depth: usize,
    ) -> Result<Vec<Host>, String> {
        let names = view::ns(message, cut);
        let glue = view::glue(message, &names);
        let mut hosts: Vec<Host> = glue
            .iter()
            .flat_map(|(name, addresses)| addresses.iter().map(move |at| named(name, *at)))
            .collect();
        for name in &names {
            // One server is enough to go on with.
            if !hosts.is_empty() {
                break;
            }
            if let Resolved::Addresses(addresses) = self.addresses_at(name, depth + 1).await {
                hosts.extend(addresses.iter().map(|at| named(name, *at)));
            }
        }
        if hosts.is_empty() {
            return Err(format!("{cut} is delegated to {}, of unknown address", listed(&names)));
        }
        // IPv4 first: a machine without IPv6 is told quickly either way, but not for free.
        hosts.sort_by_key(|host| host.at.is_ipv6());
        hosts.truncate(MAX_HOSTS);
        Ok(hosts)
    }

    /// Asks resolvers which zone is above `zone`, and for its servers.
    async fn climb(&self, zone: &Name) -> Result<Vec<Host>, String> {
        let above = zone.parent().unwrap_or_else(Name::root);
        let message = self.recurse(&above, RecordType::SOA).await?;
        let parent = view::soa_owner(&message).filter(|owner| above.is_subdomain_of(owner));
        let parent = parent.ok_or_else(|| format!("no resolver knows the zone of {above}"))?;
        let message = self.recurse(&parent, RecordType::NS).await?;
        let mut hosts = Vec::new();
        for name in view::ns(&message, &parent) {
            if hosts.len() >= MAX_HOSTS {
                break;
            }
            if let Resolved::Addresses(addresses) = self.addresses(&name).await {
                hosts.extend(addresses.iter().map(|at| named(&name, *at)));
            }
        }
        if hosts.is_empty() {
            return Err(format!("no server of {parent} has an address"));
        }
        hosts.sort_by_key(|host| host.at.is_ipv6());
        Ok(hosts)
    }

    async fn resolve(
        &self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<(View, Message), String> {
        let message = self.recurse(name, record_type).await?;
        let seen = view::view(&message, name, record_type);
        Ok((seen, message))
    }

    async fn recurse(&self, name: &Name, record_type: RecordType) -> Result<Message, String> {
        let mut last = "no resolver to ask".to_owned();
        for &resolver in &self.resolvers {
            match self.reach.recursively(resolver, name, record_type).await {
                Ok(message) => match view::view(&message, name, record_type) {
                    View::Useless(code) => {
                        let code = text::response_code(code);
                        last = format!("the resolver {resolver} answers {code}");
                    }
                    _ => return Ok(message),
                },
                Err(trouble) => last = format!("the resolver {resolver}: {trouble}"),
            }
        }
        Err(last)
    }
}

fn named(name: &Name, address: IpAddr) -> Host {
    Host { name: Some(name.clone()), at: SocketAddr::new(address, PORT) }
}
