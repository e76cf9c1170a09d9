//! What was seen of a delegation: what the parent says, what each server answers. Pure.
//!
//! ```text
//!  parent's servers ── NS, glue, DS ──▶ Delegation ┐
//!                                                  ├─ Observed ──▶ checks
//!  every listed address ── SOA, NS, … ──▶ Probe    ┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use dns::name::Name;
use hickory_proto::op::ResponseCode;

use super::detour::shown;

/// Everything about one zone.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) zone: Name,
    pub(super) parent: Parent,
    /// Every name that the parent or the zone lists, in order.
    pub(super) servers: Vec<Server>,
    /// Every address, asked once whatever its names.
    pub(super) probes: Vec<Probe>,
}

/// The other side of the delegation.
#[derive(Debug)]
pub(super) enum Parent {
    /// The root has none.
    None,
    /// Nobody knows its servers: why.
    Unknown(String),
    /// Its servers, each with what it says.
    Asked(Vec<(Host, Result<Delegation, NoDelegation>)>),
}

/// A server, by name if it has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    pub(super) name: Option<Name>,
    pub(super) at: SocketAddr,
}

/// What one of the parent's servers says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delegation {
    pub(super) ns: BTreeSet<Name>,
    pub(super) glue: BTreeMap<Name, BTreeSet<IpAddr>>,
    /// None: nothing was said about it.
    pub(super) ds: Option<Vec<KeyId>>,
    /// The server serves the zone itself too, so what the parent zone has is hidden behind it.
    pub(super) hidden: bool,
}

/// Why one of the parent's servers says nothing about the delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoDelegation {
    Trouble(Trouble),
    /// The name does not exist, or has no NS.
    Denied(ResponseCode),
    /// It does not know the parent zone.
    Code(ResponseCode),
}

/// A name server of the zone.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: Name,
    /// What the parent gives along.
    pub(super) glue: BTreeSet<IpAddr>,
    /// What its own zone says.
    pub(super) resolved: Resolved,
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolved {
    Addresses(BTreeSet<IpAddr>),
    Alias(Name),
    /// The name exists without addresses, or does not exist.
    Nothing,
    /// Nobody could be asked: why.
    Unknown(String),
}

/// What one address answers.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// The names that lead here; none for a server that was named by its address.
    pub(super) names: Vec<Name>,
    pub(super) at: SocketAddr,
    /// The SOA, over UDP with EDNS.
    pub(super) udp: Result<Answer, Trouble>,
    /// The same without EDNS, asked when that went wrong.
    pub(super) plain: Option<Result<Answer, Trouble>>,
    pub(super) tcp: Result<Answer, Trouble>,
    /// The NS it answers with authority; none if it does not.
    pub(super) ns: Option<BTreeSet<Name>>,
    /// The keys of the zone, if it could be asked.
    pub(super) keys: Option<Vec<KeyId>>,
}

/// The part of an answer to a question for the SOA that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) authoritative: bool,
    pub(super) recursion: bool,
    pub(super) edns: bool,
    /// Of the zone's SOA in the answer section.
    pub(super) serial: Option<u32>,
}

/// What a DS record and a DNSKEY record have in common (RFC 4034 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyId {
    pub(super) tag: u16,
    pub(super) algorithm: u8,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing came in time.
    Silent,
    /// The machine is there, and nothing listens.
    Closed,
    /// This machine has no way to such an address.
    NoRoute,
    /// In words.
    Other(String),
}

impl Probe {
    /// The best answer about the SOA there is.
    pub(super) fn answer(&self) -> Option<&Answer> {
        let plain = self.plain.iter().flat_map(|plain| plain.iter());
        let answers: Vec<&Answer> = self.udp.iter().chain(plain).chain(self.tcp.iter()).collect();
        answers.iter().find(|answer| answer.is_authoritative()).or(answers.first()).copied()
    }

    pub(super) fn is_authoritative(&self) -> bool {
        self.answer().is_some_and(Answer::is_authoritative)
    }

    /// Whether nobody here can say anything about it: this machine lacks the address family.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.udp == Err(Trouble::NoRoute) && self.tcp == Err(Trouble::NoRoute)
    }
}

impl Answer {
    pub(super) fn is_authoritative(&self) -> bool {
        self.authoritative && self.code == ResponseCode::NoError && self.serial.is_some()
    }
}

impl Parent {
    /// What was said, by whoever said something.
    pub(super) fn delegations(&self) -> impl Iterator<Item = (&Host, &Delegation)> {
        let asked = match self {
            Self::Asked(asked) => asked.as_slice(),
            Self::None | Self::Unknown(_) => &[],
        };
        asked.iter().filter_map(|(host, said)| Some((host, said.as_ref().ok()?)))
    }

    /// Every name that any of the parent's servers gives; none if none says anything.
    pub(super) fn ns(&self) -> Option<BTreeSet<Name>> {
        let mut sets = self.delegations().map(|(_, delegation)| &delegation.ns).peekable();
        sets.peek()?;
        Some(sets.flatten().cloned().collect())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", shown(self.at)),
            None => f.write_str(&shown(self.at)),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.as_slice() {
            [] => f.write_str(&shown(self.at)),
            names => write!(f, "{} ({})", listed(names), shown(self.at)),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no answer",
            Self::Closed => "connection refused: nothing listens there",
            Self::NoRoute => "this machine has no route there",
            Self::Other(words) => words,
        })
    }
}

/// `a, b, c`.
pub(super) fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
