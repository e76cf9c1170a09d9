//! What was asked for, out of dig's own way of writing it: `@server`, `+option`, a name and a
//! type in any order. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use ipnet::IpNet;

use super::print::can_be_asked;
use crate::dns::exchange::{MAX_TRIES, Patience};
use crate::dns::{Question, parse_name, parse_subnet, resolv_conf, text};

/// Smallest UDP payload EDNS can offer (RFC 6891 §6.2.3).
const MIN_PAYLOAD: u16 = 512;

/// Longest time-out of one try.
const MAX_PER_TRY: Duration = Duration::from_secs(60);

/// The words that are understood after a `+`, for the error message.
const OPTIONS: &str = "+subnet=, +[no]short, +[no]tcp, +[no]recurse, +[no]dnssec, +bufsize=, \
                       +time=, +tries=";

/// The flags, as clap parsed them; the words are still raw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) words: Vec<String>,
    pub(crate) dns: Option<SocketAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) record_type: Option<String>,
    pub(crate) reverse: Option<IpAddr>,
    pub(crate) subnet: Option<String>,
    pub(crate) tcp: bool,
    pub(crate) short: bool,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// The context's servers, or the machine's.
    Default {
        port: Option<u16>,
    },
    Address(SocketAddr),
    /// To be resolved first.
    Host {
        host: String,
        port: u16,
    },
}

/// Validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) server: Server,
    pub(crate) question: Question,
    pub(crate) tcp: bool,
    pub(crate) short: bool,
    pub(crate) patience: Patience,
}

/// The words, sorted by kind.
#[derive(Default)]
struct Sorted {
    server: Option<String>,
    name: Option<String>,
    record_type: Option<RecordType>,
}

impl Raw {
    /// # Errors
    /// A sentence that says which word is wrong and what is expected.
    pub(crate) fn validate(self) -> Result<Request, String> {
        // Name and type are filled in below; the root stands in until then.
        let mut request = Request {
            server: Server::Default { port: self.port },
            question: Question::new(Name::root(), RecordType::A),
            tcp: self.tcp,
            short: self.short,
            patience: Patience::default(),
        };
        if let Some(subnet) = &self.subnet {
            request.question.subnet = Some(parse_subnet(subnet)?);
        }
        let mut sorted = Sorted::default();
        for word in &self.words {
            sort(word, &mut sorted, &mut request)?;
        }
        if let Some(kind) = &self.record_type {
            sorted.record_type = Some(record_type(kind)?);
        }
        request.server = self.server(sorted.server)?;
        (request.question.name, request.question.record_type) = match (self.reverse, sorted.name) {
            (Some(_), Some(name)) => return Err(format!("-x asks for an address, not for {name}")),
            (Some(address), None) => {
                (Name::from(address), sorted.record_type.unwrap_or(RecordType::PTR))
            }
            (None, Some(name)) => (parse_name(&name)?, sorted.record_type.unwrap_or(RecordType::A)),
            (None, None) => return Err("no name to ask for: geoip dig NAME [TYPE]".to_owned()),
        };
        Ok(request)
    }

    fn server(&self, at: Option<String>) -> Result<Server, String> {
        match (self.dns, at) {
            (Some(_), Some(at)) => Err(format!("--dns and @{at} both name a server: give one")),
            (Some(address), None) => Ok(Server::Address(match self.port {
                Some(port) => SocketAddr::new(address.ip(), port),
                None => address,
            })),
            (None, Some(at)) => server(&at, self.port),
            (None, None) => Ok(Server::Default { port: self.port }),
        }
    }
}

fn sort(word: &str, sorted: &mut Sorted, request: &mut Request) -> Result<(), String> {
    if let Some(option) = word.strip_prefix('+') {
        return apply(option, request);
    }
    if let Some(server) = word.strip_prefix('@') {
        return match sorted.server.replace(server.to_owned()) {
            Some(first) => Err(format!("@{first} and @{server} both name a server: give one")),
            None => Ok(()),
        };
    }
    match text::parse_record_type(word) {
        _ if sorted.name.is_none() => sorted.name = Some(word.to_owned()),
        Some(_) if sorted.record_type.is_none() => sorted.record_type = Some(record_type(word)?),
        None if word.eq_ignore_ascii_case("IN") => {}
        None if sorted.record_type.is_none() => {
            return Err(format!("\"{word}\" is no record type, such as A, AAAA, TXT or TYPE65"));
        }
        _ => return Err(format!("one question at a time: \"{word}\" is one too many")),
    }
    Ok(())
}

fn record_type(word: &str) -> Result<RecordType, String> {
    match text::parse_record_type(word) {
        Some(RecordType::AXFR | RecordType::IXFR) => {
            Err("zone transfers are a stream of messages, which this command does not read".into())
        }
        Some(kind) if can_be_asked(kind) => Ok(kind),
        _ => Err(format!("\"{word}\" is no record type, such as A, AAAA, TXT or TYPE65")),
    }
}

fn server(at: &str, port: Option<u16>) -> Result<Server, String> {
    let address = match (at.parse::<IpAddr>(), at.parse::<SocketAddr>()) {
        (Ok(address), _) => Some((address, None)),
        (_, Ok(socket)) => Some((socket.ip(), Some(socket.port()))),
        _ => None,
    };
    if let Some((address, own_port)) = address {
        let port = port.or(own_port).unwrap_or(resolv_conf::PORT);
        return Ok(Server::Address(SocketAddr::new(address, port)));
    }
    let (host, own_port) = match at.rsplit_once(':') {
        Some((host, digits)) => {
            let own =
                digits.parse::<u16>().map_err(|_| format!("@{at} is no HOST or HOST:PORT"))?;
            (host, Some(own))
        }
        None => (at, None),
    };
    if host.is_empty() {
        return Err("@ needs a server: @192.0.2.53, @ns1.example.net or @192.0.2.53:5300".into());
    }
    let port = port.or(own_port).unwrap_or(resolv_conf::PORT);
    Ok(Server::Host { host: host.to_owned(), port })
}

/// One `+option`, without the plus.
fn apply(option: &str, request: &mut Request) -> Result<(), String> {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    let question = &mut request.question;
    match (key, value) {
        ("short", None) => request.short = true,
        ("noshort", None) => request.short = false,
        ("tcp" | "vc", None) => request.tcp = true,
        ("notcp" | "novc", None) => request.tcp = false,
        ("recurse" | "rec", None) => question.recursion_desired = true,
        ("norecurse" | "norec", None) => question.recursion_desired = false,
        ("dnssec" | "do", None) => question.dnssec_ok = true,
        ("nodnssec" | "nodo", None) => question.dnssec_ok = false,
        ("nosubnet", None) => question.subnet = None,
        ("subnet", Some(value)) => question.subnet = Some(parse_subnet(value)?),
        ("bufsize", Some(value)) => question.payload = bounded(key, value, MIN_PAYLOAD, u16::MAX)?,
        ("tries", Some(value)) => request.patience.tries = bounded(key, value, 1, MAX_TRIES)?,
        ("time" | "timeout", Some(value)) => {
            let seconds = bounded(key, value, 1, MAX_PER_TRY.as_secs())?;
            request.patience.per_try = Duration::from_secs(seconds);
        }
        _ => return Err(format!("+{option} is not understood; there are {OPTIONS}")),
    }
    Ok(())
}

fn bounded<T>(key: &str, value: &str, low: T, high: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    match value.parse::<T>() {
        Ok(number) if number >= low && number <= high => Ok(number),
        _ => Err(format!("+{key}={value}: expected a number from {low} to {high}")),
    }
}

/// The subnet as an option of the message, for the echo of the command.
pub(crate) fn echo(question: &Question) -> String {
    let subnet = |net: IpNet| format!(" +subnet={net}");
    format!(
        "{} {}{}",
        question.name,
        text::record_type(question.record_type),
        question.subnet.map(subnet).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Request, String> {
        let words = words.split_whitespace().map(str::to_owned).collect();
        Raw { words, ..Raw::default() }.validate()
    }

    #[test]
    fn the_words_of_dig_are_understood() {
        let request = parse(
            "@127.0.0.21:5300 geo.test-net.io AAAA +subnet=128.135.0.9/24 +short +tcp \
             +norecurse +dnssec +bufsize=4096 +tries=1 +time=7",
        )
        .unwrap();
        assert_eq!(request.server, Server::Address("127.0.0.21:5300".parse().unwrap()));
        let question = &request.question;
        assert_eq!(echo(question), "geo.test-net.io. AAAA +subnet=128.135.0.0/24");
        assert!(request.short && request.tcp);
        assert!(!question.recursion_desired && question.dnssec_ok);
        assert_eq!(question.payload, 4096);
        assert_eq!(request.patience, Patience { per_try: Duration::from_secs(7), tries: 1 });
    }

    #[test]
    fn a_plain_name_asks_for_a_records_of_the_default_server() {
        let request = parse("geo.test-net.io").unwrap();
        assert_eq!(request.server, Server::Default { port: None });
        assert_eq!(echo(&request.question), "geo.test-net.io. A");
        assert!(request.question.recursion_desired);
        assert_eq!(echo(&parse("a.example IN TXT").unwrap().question), "a.example. TXT");
        assert_eq!(echo(&parse("a.example type65").unwrap().question), "a.example. HTTPS");
        assert_eq!(echo(&parse("any").unwrap().question), "any. A");
    }

    #[test]
    fn a_server_is_an_address_or_a_name_with_a_port_or_without() {
        let at = |text| server(text, None).unwrap();
        assert_eq!(at("192.0.2.1"), Server::Address("192.0.2.1:53".parse().unwrap()));
        assert_eq!(at("2001:db8::1"), Server::Address("[2001:db8::1]:53".parse().unwrap()));
        assert_eq!(at("[2001:db8::1]:54"), Server::Address("[2001:db8::1]:54".parse().unwrap()));
        assert_eq!(at("ns1:54"), Server::Host { host: "ns1".into(), port: 54 });
        let with_p = server("192.0.2.1", Some(5300)).unwrap();
        assert_eq!(with_p, Server::Address("192.0.2.1:5300".parse().unwrap()));
    }

    #[test]
    fn reverse_look_ups_ask_for_pointers() {
        let raw = Raw { reverse: Some("192.0.2.1".parse().unwrap()), ..Raw::default() };
        assert_eq!(echo(&raw.clone().validate().unwrap().question), "1.2.0.192.in-addr.arpa. PTR");
        let both = Raw { words: vec!["a".into()], ..raw };
        assert!(both.validate().is_err());
    }

    #[test]
    fn mistakes_are_named() {
        let told = |words| parse(words).unwrap_err();
        assert!(told("").starts_with("no name"));
        assert!(told("a +shrt").starts_with("+shrt is not understood; there are +subnet="));
        assert!(told("a nonsense").contains("\"nonsense\" is no record type"));
        assert!(told("a A AAAA").contains("one too many"));
        assert!(told("@a @b c").contains("both name a server"));
        assert!(told("@ a").starts_with("@ needs a server"));
        assert!(told("a +bufsize=1").contains("from 512 to 65535"));
        assert!(told("a +tries=11").contains("from 1 to 10"));
        assert!(told("a +subnet=x/1").contains("no address or prefix"));
        assert!(told("a AXFR").contains("zone transfers"));
        assert!(told("a OPT").contains("no record type"));
    }
}
