//! The file as it is written. Unknown keys are errors; what can be wrong carries its place.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;

use daemon::config::{Log, Node, Spanned, Tls};
use daemon::places::{Geo, Region};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(super) mod route;

/// `dnsrouter.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// Who this node is.
    pub(super) node: Node,
    /// Where it keeps what must outlive it; none: memory only.
    pub(super) state: Option<State>,
    /// Where it listens.
    pub(super) listen: Listen,
    /// Its mTLS identity; needed for probes and for the control service.
    pub(super) tls: Option<Spanned<Tls>>,
    /// Where addresses are.
    #[serde(default)]
    pub(super) geo: Geo,
    /// How targets are pinged.
    #[serde(default)]
    pub(super) probe: Probe,
    /// What this server says of itself.
    #[serde(default)]
    pub(super) identity: Identity,
    /// Server cookies.
    #[serde(default)]
    pub(super) cookie: Cookie,
    /// How much a network may have; none: everything.
    pub(super) rate_limit: Option<RateLimit>,
    /// Who may ask.
    #[serde(default)]
    pub(super) access: Access,
    /// Who may change what counts.
    #[serde(default)]
    pub(super) control: Control,
    /// Whether answers are counted by the client's prefix.
    pub(super) clients: Option<Recording>,
    /// Other name servers; their shared verdicts are not built yet.
    pub(super) cluster: Option<Spanned<Cluster>>,
    /// The source of services beside this file; not built yet.
    pub(super) directory: Option<Spanned<Directory>>,
    /// Regions that are not built in, or are elsewhere.
    #[serde(default)]
    pub(super) region: Vec<Region>,
    /// Zones with static names.
    #[serde(default)]
    pub(super) zone: Vec<Zone>,
    /// Keys that sign messages.
    #[serde(default)]
    pub(super) key: Vec<Key>,
    /// Names that are answered by a route.
    #[serde(default)]
    pub(super) service: Vec<Service>,
    /// What is logged and how.
    #[serde(default)]
    pub(super) log: Option<Spanned<Log>>,
}

/// `[state]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Made when it is not there; 0700.
    pub(super) dir: Spanned<PathBuf>,
}

/// `[control]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    /// Identities that may drain and force. Default: "user/*", every person.
    pub(super) operators: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `[clients]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    /// Whether to count. Default false.
    #[serde(default)]
    pub(super) record: bool,
    /// Prefixes that there is room for. Default 1,000,000.
    pub(super) max_prefixes: Option<Spanned<usize>>,
    /// In which an answer loses half of its weight. Default "24h".
    pub(super) half_life: Option<Spanned<String>>,
}

/// `[listen]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// UDP and TCP.
    pub(super) dns: Spanned<Vec<SocketAddr>>,
    /// UDP threads per address; default: one per processor.
    pub(super) threads: Option<Spanned<usize>>,
    /// How long a UDP thread waits for more queries while they come densely; default: not at all.
    pub(super) nap: Option<Spanned<String>>,
    /// Networks of proxies, whose connections begin with a PROXY header, version 2.
    pub(super) proxy: Option<Spanned<Vec<Spanned<String>>>>,
    /// How many may be connected, and for how long.
    #[serde(default)]
    pub(super) tcp: Tcp,
    /// DNS over TLS; not built yet.
    pub(super) tls: Option<Spanned<Vec<SocketAddr>>>,
    /// DNS over QUIC; not built yet.
    pub(super) quic: Option<Spanned<Vec<SocketAddr>>>,
    /// DNS over HTTPS; not built yet.
    pub(super) https: Option<Spanned<Vec<SocketAddr>>>,
    /// gRPC with mTLS: explain, status.
    pub(super) control: Option<Spanned<SocketAddr>>,
    /// HTTP: /metrics /livez /readyz.
    pub(super) admin: Option<SocketAddr>,
}

/// `[listen.tcp]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tcp {
    /// Connections at a time. Default 4096.
    pub(super) connections: Option<Spanned<usize>>,
    /// Of them, those of one client: an IPv4 address or an IPv6 /56. Default: a quarter.
    pub(super) per_client: Option<Spanned<usize>>,
    /// How long one may be silent while there is room. Default 10 s.
    pub(super) idle: Option<Spanned<String>>,
}

/// `[probe]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Probe {
    /// From one ping to the next. Default 5 s.
    pub(super) interval: Spanned<String>,
    /// A ping without a reply for so long has failed; at most `interval`. Default 2 s.
    pub(super) timeout: Spanned<String>,
    /// Random addition to each interval, so that nodes do not ping in step. Default "10%".
    pub(super) jitter: Spanned<String>,
    /// Successes in a row that bring a target up. Default 2.
    pub(super) rise: Spanned<u32>,
    /// Failures in a row that take it down. Default 3.
    pub(super) fall: Spanned<u32>,
    /// How flapping is damped, or `false`.
    pub(super) damping: Spanned<Switch<Damping>>,
    /// How many may be taken out at once, or `false`.
    pub(super) removal: Spanned<Switch<Removal>>,
}

/// Settings, or `true` for the usual ones and `false` for none.
#[derive(Debug)]
pub(super) enum Switch<T> {
    /// On or off.
    Is(bool),
    /// These.
    Given(T),
}

/// By hand: an untagged enum would lose where inside a mistake is.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Switch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of settings, true or false")
            }

            fn visit_bool<E>(self, is: bool) -> Result<Self::Value, E> {
                Ok(Switch::Is(is))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Switch::Given)
            }
        }
        from.deserialize_any(Either(PhantomData))
    }
}

/// `[probe] damping`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Damping {
    /// Points halve in this time. Default 2 m.
    pub(super) half_life: Option<Spanned<String>>,
    /// From so many points on a target is damped; a fall is 1000. Default 2000.
    pub(super) suppress: Option<u32>,
    /// Below so many it is free again. Default 750.
    pub(super) reuse: Option<u32>,
    /// It is free after so long without another fall, whatever was before. Default 10 m.
    pub(super) longest: Option<Spanned<String>>,
}

/// `[probe] removal`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// Percent of all targets, beside one whole region. Default 20.
    pub(super) percent: Option<u8>,
    /// Within this time. Default 1 m.
    pub(super) per: Option<Spanned<String>>,
}

/// `[identity]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// What NSID says. Default: the node's name.
    pub(super) nsid: Option<Spanned<Text>>,
    /// Whether names of class CHAOS are answered. Default false.
    #[serde(default)]
    pub(super) chaos: bool,
    /// What version.bind and version.server say. Default: program and version.
    pub(super) version: Option<Spanned<Text>>,
    /// What hostname.bind and id.server say. Default: the node's name.
    pub(super) id: Option<Spanned<Text>>,
}

/// A text, or `false` for none and `true` for the usual one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    /// As it is.
    Given(String),
    /// The usual one, or none.
    Switch(bool),
}

/// `[cookie]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cookie {
    /// Whether cookies are given. Default true.
    pub(super) enabled: bool,
    /// Files with a secret each, which other servers have too: the first makes cookies, the others
    /// are accepted. None: secrets of this process alone, another one each day.
    pub(super) secret: Option<Spanned<Vec<Spanned<PathBuf>>>>,
}

/// `[rate_limit]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    /// To one prefix, for each kind without a rate of its own.
    pub(super) responses_per_second: Spanned<u32>,
    /// Of the kind that says that a name has no such type.
    pub(super) nodata_per_second: Option<Spanned<u32>>,
    /// Of the kind that says that there is no such name.
    pub(super) nxdomain_per_second: Option<Spanned<u32>>,
    /// Of the kind that sends the client elsewhere.
    pub(super) referral_per_second: Option<Spanned<u32>>,
    /// Of all other response codes.
    pub(super) error_per_second: Option<Spanned<u32>>,
    /// Answers at once after silence. Default: two seconds' worth.
    pub(super) burst: Option<Spanned<u32>>,
    /// Every how many limited responses an empty one with TC is sent; 0: never. Default 2.
    pub(super) slip: Option<Spanned<u8>>,
    /// Length of the IPv4 prefixes that are limited. Default 24.
    pub(super) prefix_v4: Option<Spanned<u8>>,
    /// Length of the IPv6 prefixes. Default 56.
    pub(super) prefix_v6: Option<Spanned<u8>>,
    /// Networks that are never limited.
    pub(super) exempt: Option<Networks>,
    /// How many prefixes and kinds are counted at once. Default 131,072.
    pub(super) table: Option<Spanned<usize>>,
}

/// `[access]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Access {
    /// Who may ask; none: everybody who is not denied.
    pub(super) allow: Option<Networks>,
    /// Who may not.
    pub(super) deny: Option<Networks>,
    /// What is done with them. Default "refuse".
    #[serde(default)]
    pub(super) deny_action: DenyAction,
}

/// What is done with who may not ask.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DenyAction {
    /// REFUSED.
    #[default]
    Refuse,
    /// Silence.
    Drop,
}

/// Networks and single addresses.
pub(super) type Networks = Spanned<Vec<Spanned<String>>>;

/// `[cluster]`: read, so that a file for a whole fleet loads; see [`Raw::cluster`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    /// The electorate, as regions.
    #[serde(default)]
    pub(super) voters: Vec<String>,
    /// Seeds.
    #[serde(default)]
    pub(super) join: Vec<String>,
}

/// `[directory]`: read, so that a file for a whole fleet loads; see [`Raw::directory`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    /// URL of the region's directory.
    pub(super) endpoint: String,
}

/// `[[zone]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    /// The apex.
    pub(super) name: Spanned<String>,
    /// RFC 1035 master file.
    pub(super) file: Spanned<PathBuf>,
    /// Signing at answer time; not built yet.
    pub(super) dnssec: Option<Spanned<bool>>,
    /// Who may ask about it; none: everybody.
    pub(super) allow: Option<Networks>,
    /// Who may change it; none: nobody.
    pub(super) update: Option<Spanned<Update>>,
}

/// `[[zone]] update`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    /// Names of `[[key]]`.
    pub(super) keys: Spanned<Vec<Spanned<String>>>,
    /// Where from; none: anywhere.
    pub(super) networks: Option<Networks>,
    /// Only these names and what is below; none: the whole zone.
    #[serde(default)]
    pub(super) names: Vec<Spanned<String>>,
    /// Only records of these types; none: all.
    #[serde(default)]
    pub(super) types: Vec<Spanned<String>>,
}

/// `[[key]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    /// As clients name it.
    pub(super) name: Spanned<String>,
    /// Default: the file's, else hmac-sha256.
    pub(super) algorithm: Option<Spanned<String>>,
    /// A file with the secret, as BIND's tools write it or in base64 alone.
    pub(super) secret: Option<Spanned<PathBuf>>,
    /// The secret itself.
    pub(super) secret_base64: Option<Spanned<String>>,
}

/// `[[service]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// An owner name inside one of the zones.
    pub(super) name: Spanned<String>,
    /// The name of the service that this is another name of; then there is nothing else.
    pub(super) alias: Option<Spanned<String>>,
    /// Seconds.
    pub(super) ttl: Option<Spanned<u32>>,
    /// Seconds, while an answer may have to change soon. Default: a sixth of `ttl`, at least 5.
    pub(super) ttl_min: Option<Spanned<u32>>,
    /// Until an endpoint that recovered has its whole weight. Default: no time.
    pub(super) slow_start: Option<Spanned<String>>,
    /// The chain.
    pub(super) route: Option<Spanned<Vec<Spanned<route::Step>>>>,
    /// An HTTPS record as in a master file; address hints are added.
    pub(super) https: Option<Spanned<String>>,
    /// An SVCB record as in a master file; address hints are added.
    pub(super) svcb: Option<Spanned<String>>,
    /// Where it runs.
    #[serde(default)]
    pub(super) endpoint: Vec<Endpoint>,
}

/// `[[service.endpoint]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    /// A region whose location is known.
    pub(super) region: Spanned<String>,
    /// A and AAAA.
    pub(super) addresses: Option<Spanned<Vec<Spanned<String>>>>,
    /// A host name instead of everything else.
    pub(super) cname: Option<Spanned<String>>,
    /// MX records as in a master file: "10 mail.example."
    #[serde(default)]
    pub(super) mx: Vec<Spanned<String>>,
    /// SRV records as in a master file: "0 5 443 host.example."
    #[serde(default)]
    pub(super) srv: Vec<Spanned<String>>,
    /// TXT records as in a master file, or one plain text.
    #[serde(default)]
    pub(super) txt: Vec<Spanned<String>>,
    /// Share in a weighted pick. Default 100.
    pub(super) weight: Option<u32>,
    /// For the step `failover`: lower is better. Default 1.
    pub(super) tier: Option<Spanned<u32>>,
    /// Requests per second.
    pub(super) capacity: Option<u64>,
    /// URL of its GeoPing, or several.
    pub(super) ping: Option<Spanned<Pings>>,
    /// Another check; without either it is always up.
    pub(super) check: Option<Spanned<Check>>,
}

/// `[[service.endpoint]] check`: one of `grpc`, `https`, `tcp`, and what goes with it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// URL of a server with grpc.health.v1: https with mTLS, http without.
    pub(super) grpc: Option<String>,
    /// With `grpc`: whose health. Default: the whole server's.
    pub(super) service: Option<String>,
    /// URL to get.
    pub(super) https: Option<String>,
    /// With `https`: the good statuses. Default 200.
    pub(super) status: Option<Vec<u16>>,
    /// With `https`: what the body must contain.
    pub(super) body: Option<String>,
    /// With `https`: whose certificate it must be, and the Host. Default: that of the URL.
    pub(super) host: Option<String>,
    /// With `https`: PEM file of the authority. Default: those that the system trusts.
    pub(super) ca: Option<PathBuf>,
    /// `host:port` to connect to.
    pub(super) tcp: Option<String>,
}

/// One URL or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Pings {
    /// For every address.
    One(String),
    /// For addresses of the same family.
    Several(Vec<String>),
}

impl Default for Cookie {
    fn default() -> Self {
        Self { enabled: true, secret: None }
    }
}

impl Default for Probe {
    fn default() -> Self {
        let text = |value: &str| Spanned::new(0..0, value.to_owned());
        let count = |value| Spanned::new(0..0, value);
        Self {
            interval: text("5s"),
            timeout: text("2s"),
            jitter: text("10%"),
            rise: count(2),
            fall: count(3),
            damping: Spanned::new(0..0, Switch::Is(true)),
            removal: Spanned::new(0..0, Switch::Is(true)),
        }
    }
}
