//! From a host name to addresses, by the machine's resolver or by asking a server ourselves.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use ipnet::IpNet;
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

use super::exchange::{AskError, Patience, Way, ask};
use super::{Question, parse_name, text};

/// Aliases that are followed; more are a loop or a mistake.
const MAX_ALIASES: usize = 8;

/// Addresses that are tried in turn; a name with more has them for other reasons.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// How long a look-up may take in all when nobody says. getaddrinfo(3) has time-outs of its own,
/// which resolv.conf(5) may stretch to minutes.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

/// A try that is shorter gives up answers that are only slow: rather fewer tries than that.
const SHORTEST_TRY: Duration = Duration::from_millis(500);

/// Which kinds of addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    #[default]
    Any,
    V4,
    V6,
}

impl Family {
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    fn record_types(self) -> &'static [RecordType] {
        match self {
            Self::Any => &[RecordType::A, RecordType::AAAA],
            Self::V4 => &[RecordType::A],
            Self::V6 => &[RecordType::AAAA],
        }
    }
}

/// Who is asked for addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// getaddrinfo(3): hosts file, resolv.conf and whatever else the machine is set up with.
    System,
    /// These servers, in order, the next one when one does not answer.
    Servers { servers: Vec<SocketAddr>, subnet: Option<IpNet> },
}

/// No address to go to. The texts say the cause without the name: the caller has it.
#[derive(Debug, Error)]
pub(crate) enum LookupError {
    #[error("the name does not exist{}", says(by.as_ref()))]
    NoSuchName { by: Option<SocketAddr> },
    #[error("the name exists but has no {} address{}", kind(*family), says(by.as_ref()))]
    NoAddress { family: Family, by: Option<SocketAddr> },
    #[error(
        "{by} answers {} to the look-up; another DNS server may know the name (--dns system asks \
         the machine's)",
        text::response_code(*code)
    )]
    Code { by: SocketAddr, code: ResponseCode },
    #[error("more than {MAX_ALIASES} aliases (CNAME) follow each other")]
    AliasLoop,
    #[error("{0}")]
    BadName(String),
    #[error(
        "no DNS answer from {} within {} in all",
        listed(asked),
        humantime::format_duration(*within)
    )]
    TimedOut { asked: Vec<SocketAddr>, within: Duration },
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the machine's resolver says: {0}")]
    System(String),
}

fn says(by: Option<&SocketAddr>) -> String {
    by.map(|server| format!(", says {server}")).unwrap_or_default()
}

fn listed(servers: &[SocketAddr]) -> String {
    servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn kind(family: Family) -> &'static str {
    match family {
        Family::Any => "A or AAAA",
        Family::V4 => "A",
        Family::V6 => "AAAA",
    }
}

impl Resolver {
    /// Addresses in the order in which they are to be tried, at least one, at most
    /// [`MAX_ADDRESSES`], looked up `within` that time in all. A host that is an address is its
    /// own answer.
    ///
    /// # Errors
    /// [`LookupError`] says why there is no address.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        family: Family,
        within: Duration,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let mut found = match (host.parse::<IpAddr>(), self) {
            (Ok(address), _) => vec![address],
            (Err(_), Self::System) => system(host, within).await?,
            (Err(_), Self::Servers { servers, subnet }) => {
                from_servers(servers, *subnet, host, family, within).await?
            }
        };
        found.retain(|address| family.admits(*address));
        found.truncate(MAX_ADDRESSES);
        match found.is_empty() {
            true => Err(LookupError::NoAddress { family, by: None }),
            false => Ok(found),
        }
    }
}

async fn system(host: &str, within: Duration) -> Result<Vec<IpAddr>, LookupError> {
    let looked_up = timeout(within, tokio::net::lookup_host((host, 0))).await;
    let Ok(looked_up) = looked_up else {
        let told = format!("nothing within {}", humantime::format_duration(within));
        return Err(LookupError::System(told));
    };
    match looked_up {
        Ok(found) => Ok(found.map(|socket| socket.ip()).collect()),
        Err(error) => {
            // getaddrinfo's code does not get through std, only its text does.
            let told = error.to_string();
            if told.contains("not known") {
                Err(LookupError::NoSuchName { by: None })
            } else if told.contains("No address associated") {
                Err(LookupError::NoAddress { family: Family::Any, by: None })
            } else {
                let cause = told.rsplit(": ").next().unwrap_or(&told);
                Err(LookupError::System(cause.to_owned()))
            }
        }
    }
}

async fn from_servers(
    servers: &[SocketAddr],
    subnet: Option<IpNet>,
    host: &str,
    family: Family,
    within: Duration,
) -> Result<Vec<IpAddr>, LookupError> {
    let name = parse_name(host).map_err(LookupError::BadName)?;
    let patience = share(within, servers.len());
    let deadline = Instant::now() + within;
    let mut last = LookupError::System("no server to ask".to_owned());
    for &server in servers {
        let lookup = Lookup { server, subnet, patience, deadline };
        match lookup.addresses(&name, family).await {
            // Only a server that says nothing is worth asking another: an answer is an answer.
            Err(error @ LookupError::Ask(_)) => last = error,
            settled => return settled,
        }
    }
    match last {
        LookupError::Ask(AskError::TimedOut { .. }) => {
            let each = patience.per_try * u32::from(patience.tries);
            let all = each.saturating_mul(u32::try_from(servers.len()).unwrap_or(u32::MAX));
            Err(LookupError::TimedOut { asked: servers.to_vec(), within: all.min(within) })
        }
        other => Err(other),
    }
}

/// How long to wait for each try, so that all tries of so many silent servers fit into `within`.
fn share(within: Duration, servers: usize) -> Patience {
    let usual = Patience::default();
    let each = within / u32::try_from(servers.max(1)).unwrap_or(u32::MAX);
    let tries = (1..=usual.tries).rev().find(|tries| each / u32::from(*tries) >= SHORTEST_TRY);
    let tries = tries.unwrap_or(1);
    Patience { per_try: usual.per_try.min(each / u32::from(tries)), tries }
}

/// One server, asked until it has said everything or the time is up.
struct Lookup {
    server: SocketAddr,
    subnet: Option<IpNet>,
    patience: Patience,
    deadline: Instant,
}

impl Lookup {
    async fn addresses(&self, name: &Name, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let mut found = Vec::new();
        for &record_type in family.record_types() {
            let asked = timeout_at(self.deadline, self.of_type(name, record_type)).await;
            let Patience { per_try, tries } = self.patience;
            let late = |_| Err(AskError::TimedOut { server: self.server, per_try, tries }.into());
            match asked.unwrap_or_else(late) {
                Ok(addresses) => found.extend(addresses),
                // One family is enough to go on with.
                Err(_) if !found.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        match found.is_empty() {
            true => Err(LookupError::NoAddress { family, by: Some(self.server) }),
            false => Ok(found),
        }
    }

    async fn of_type(
        &self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let (server, subnet) = (self.server, self.subnet);
        let mut name = name.clone();
        for _ in 0..=MAX_ALIASES {
            let question = Question::new(name.clone(), record_type).on_behalf_of(subnet);
            let reply = ask(server, &question, self.patience, Way::Either).await?;
            match reply.message.metadata.response_code {
                ResponseCode::NoError => {}
                ResponseCode::NXDomain => return Err(LookupError::NoSuchName { by: Some(server) }),
                code => return Err(LookupError::Code { by: server, code }),
            }
            match follow(&reply.message, &name) {
                Step::Addresses(found) => return Ok(found),
                Step::Alias(target) => name = target,
            }
        }
        Err(LookupError::AliasLoop)
    }
}

/// What one answer section says about a name.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The addresses of the name at the end of its aliases; none is an answer too.
    Addresses(Vec<IpAddr>),
    /// The aliases lead out of this answer: ask on with that name.
    Alias(Name),
}

/// Walks the aliases inside one answer. Records of names that are not on the way are ignored.
fn follow(message: &Message, name: &Name) -> Step {
    let mut at = name;
    for _ in 0..=MAX_ALIASES {
        let here = message.answers.iter().filter(|record| record.name == *at);
        let addresses: Vec<IpAddr> = here
            .clone()
            .filter_map(|record| match &record.data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                _ => None,
            })
            .collect();
        let alias = here
            .filter_map(|record| match &record.data {
                RData::CNAME(target) => Some(&target.0),
                _ => None,
            })
            .next();
        match alias {
            Some(target) if addresses.is_empty() => at = target,
            _ if addresses.is_empty() && at != name => return Step::Alias(at.clone()),
            _ => return Step::Addresses(addresses),
        }
    }
    Step::Alias(at.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    fn name(text: &str) -> Name {
        parse_name(text).unwrap()
    }

    fn message(records: &[(&str, RData)]) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        for (owner, data) in records {
            message.add_answer(Record::from_rdata(name(owner), 60, data.clone()));
        }
        message
    }

    fn a(last: u8) -> RData {
        RData::A(A::new(192, 0, 2, last))
    }

    fn alias(target: &str) -> RData {
        RData::CNAME(CNAME(name(target)))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn aliases_are_walked_and_strangers_ignored() {
        let answer = message(&[
            ("evil.example", a(66)),
            ("www.test-net.io", alias("geo.test-net.io")),
            ("GEO.test-net.io", a(1)),
            ("geo.test-net.io", a(2)),
        ]);
        let walked = follow(&answer, &name("www.test-net.io"));
        assert_eq!(walked, Step::Addresses(vec![ip(1), ip(2)]));
    }

    #[test]
    fn an_alias_that_leads_out_is_asked_for() {
        let answer = message(&[("www.test-net.io", alias("geo.example"))]);
        assert_eq!(follow(&answer, &name("www.test-net.io")), Step::Alias(name("geo.example")));
        assert_eq!(follow(&message(&[]), &name("a.example")), Step::Addresses(vec![]));
    }

    #[test]
    fn a_loop_of_aliases_ends() {
        let answer =
            message(&[("a.example", alias("b.example")), ("b.example", alias("a.example"))]);
        assert!(matches!(follow(&answer, &name("a.example")), Step::Alias(_)));
    }

    #[tokio::test]
    async fn an_address_needs_no_look_up_but_must_fit_the_family() {
        let nobody = Resolver::Servers { servers: vec![], subnet: None };
        let found = nobody.addresses("192.0.2.1", Family::Any, WITHIN).await.unwrap();
        assert_eq!(found, [ip(1)]);
        let error = nobody.addresses("192.0.2.1", Family::V6, WITHIN).await.unwrap_err();
        assert_eq!(error.to_string(), "the name exists but has no AAAA address");
    }

    #[test]
    fn all_tries_fit_into_the_time() {
        let ms = Duration::from_millis;
        let patience = |per_try, tries| Patience { per_try, tries };
        assert_eq!(share(ms(60_000), 1), Patience::default());
        assert_eq!(share(ms(3000), 1), patience(ms(1000), 3));
        assert_eq!(share(ms(3000), 3), patience(ms(500), 2));
        assert_eq!(share(ms(1000), 1), patience(ms(500), 2));
        assert_eq!(share(ms(300), 1), patience(ms(300), 1));
        assert_eq!(share(ms(300), 3), patience(ms(100), 1));
    }

    #[tokio::test]
    async fn silent_servers_take_no_longer_than_asked_for() {
        let silent = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let servers = silent.each_ref().map(|socket| socket.local_addr().unwrap()).to_vec();
        let shown = format!("{}, {}", servers[0], servers[1]);
        let resolver = Resolver::Servers { servers, subnet: None };
        let within = Duration::from_millis(100);
        let error = resolver.addresses("a.example", Family::Any, within).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no DNS answer from {shown} within 100ms in all"));
    }
}
