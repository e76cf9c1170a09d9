//! What was asked for, out of dig's own way of writing it: `@server`, `+option`, a name and a
//! type in any order. Pure.

use std::net::{IpAddr, SocketAddr};

use dns::edns::WHY;
use hickory_proto::rr::{DNSClass, Name, RecordType};
use ipnet::IpNet;

use super::plus::Draft;
use super::print::can_be_asked;
use crate::dns::exchange::{Patience, Way};
use crate::dns::{Offer, Question, parse_name, parse_subnet, resolv_conf, text};

/// The flags, as clap parsed them; the words are still raw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) words: Vec<String>,
    pub(crate) dns: Option<SocketAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) record_type: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) reverse: Option<IpAddr>,
    pub(crate) subnet: Option<String>,
    pub(crate) bufsize: Option<u16>,
    pub(crate) edns_version: Option<u8>,
    /// `--cookie` with a value or without.
    pub(crate) cookie: Option<Option<String>>,
    /// Flags that are words after a `+` too, without the plus.
    pub(crate) switches: Vec<&'static str>,
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
    pub(crate) way: Way,
    pub(crate) short: bool,
    /// Ask for the reason of the answer and show it.
    pub(crate) why: bool,
    pub(crate) patience: Patience,
}

/// The words, sorted by kind.
#[derive(Default)]
struct Sorted {
    server: Option<String>,
    name: Option<String>,
    record_type: Option<RecordType>,
    class: Option<DNSClass>,
}

impl Raw {
    /// `cookie`: random octets, for a cookie if one is asked for.
    ///
    /// # Errors
    /// A sentence that says which word is wrong and what is expected.
    pub(crate) fn validate(self, cookie: [u8; 8]) -> Result<Request, String> {
        // Name and type are filled in below; the root stands in until then.
        let request = Request {
            server: Server::Default { port: self.port },
            question: Question::new(Name::root(), RecordType::A),
            way: Way::Either,
            short: false,
            why: false,
            patience: Patience::default(),
        };
        let mut draft = Draft { request, offer: Offer::default(), edns: true, cookie };
        self.flags(&mut draft)?;
        let mut sorted = Sorted::default();
        for word in &self.words {
            match word.strip_prefix('+') {
                Some(option) => draft.apply(option)?,
                None => sort(word, &mut sorted)?,
            }
        }
        if let Some(kind) = &self.record_type {
            sorted.record_type = Some(record_type(kind)?);
        }
        if let Some(class) = &self.class {
            let parsed = text::parse_class(class);
            sorted.class =
                Some(parsed.ok_or_else(|| {
                    format!("\"{class}\" is no class, such as IN, CH, HS or CLASS4")
                })?);
        }
        let Draft { mut request, offer, edns, .. } = draft;
        request.server = self.server(sorted.server)?;
        request.question.class = sorted.class.unwrap_or(DNSClass::IN);
        request.question.edns = with_edns(offer, edns, request.why)?;
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

    fn flags(&self, draft: &mut Draft) -> Result<(), String> {
        for switch in &self.switches {
            draft.apply(switch)?;
        }
        match &self.cookie {
            Some(Some(value)) => draft.apply(&format!("cookie={value}"))?,
            Some(None) => draft.apply("cookie")?,
            None => {}
        }
        if let Some(subnet) = &self.subnet {
            draft.offer.subnet = Some(parse_subnet(subnet)?);
        }
        draft.offer.payload = self.bufsize.unwrap_or(draft.offer.payload);
        draft.offer.version = self.edns_version.unwrap_or(draft.offer.version);
        Ok(())
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

/// EDNS as asked for; the reason is asked for by an option too.
fn with_edns(mut offer: Offer, edns: bool, why: bool) -> Result<Option<Offer>, String> {
    if why {
        offer.options.push((WHY, Vec::new()));
    }
    match (edns, offer == Offer::default()) {
        (true, _) => Ok(Some(offer)),
        (false, true) => Ok(None),
        (false, false) => Err("--no-edns leaves no room for EDNS options: leave one out".into()),
    }
}

fn sort(word: &str, sorted: &mut Sorted) -> Result<(), String> {
    if let Some(server) = word.strip_prefix('@') {
        return match sorted.server.replace(server.to_owned()) {
            Some(first) => Err(format!("@{first} and @{server} both name a server: give one")),
            None => Ok(()),
        };
    }
    match (text::parse_record_type(word), text::parse_class(word)) {
        _ if sorted.name.is_none() => sorted.name = Some(word.to_owned()),
        (Some(_), _) if sorted.record_type.is_none() => {
            sorted.record_type = Some(record_type(word)?);
        }
        (None, Some(class)) if sorted.class.is_none() => sorted.class = Some(class),
        (None, None) if sorted.record_type.is_none() => {
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

/// The question as words, for the echo of the command.
pub(crate) fn echo(question: &Question) -> String {
    let class = match question.class {
        DNSClass::IN => String::new(),
        other => format!(" {}", text::class(other)),
    };
    let subnet = |net: IpNet| format!(" +subnet={net}");
    let subnet = question.edns.as_ref().and_then(|offer| offer.subnet).map(subnet);
    format!(
        "{}{class} {}{}",
        text::name(&question.name),
        text::record_type(question.record_type),
        subnet.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parse(words: &str) -> Result<Request, String> {
        let words = words.split_whitespace().map(str::to_owned).collect();
        Raw { words, ..Raw::default() }.validate(*b"8 octets")
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
        assert!(request.short && request.way == Way::Tcp);
        let offer = question.edns.as_ref().unwrap();
        assert!(!question.recursion_desired && offer.dnssec_ok);
        assert_eq!(offer.payload, 4096);
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
    fn edns_is_asked_for_in_words_or_flags() {
        let words = "a +nsid +cookie +keepalive +edns=1 +ednsopt=65001:00ff +why +ad +cd +ignore";
        let request = parse(words).unwrap();
        let offer = request.question.edns.as_ref().unwrap();
        let options: Vec<(u16, &[u8])> =
            offer.options.iter().map(|(code, data)| (*code, data.as_slice())).collect();
        let expected: [(u16, &[u8]); 5] =
            [(3, b""), (10, b"8 octets"), (11, b""), (65001, &[0, 255]), (65300, b"")];
        assert_eq!(options, expected);
        assert_eq!(offer.version, 1);
        assert!(request.why && request.way == Way::Udp);
        assert!(request.question.authentic_data && request.question.checking_disabled);

        let raw = Raw {
            words: vec!["a".into(), "+noad".into()],
            switches: vec!["nsid", "tcp", "do"],
            cookie: Some(Some("0011223344556677".into())),
            bufsize: Some(600),
            edns_version: Some(2),
            ..Raw::default()
        };
        let request = raw.validate([0; 8]).unwrap();
        let offer = request.question.edns.as_ref().unwrap();
        let cookie = vec![0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
        assert_eq!(offer.options, [(3, vec![]), (10, cookie)]);
        assert!(offer.dnssec_ok && offer.version == 2 && offer.payload == 600);
        assert_eq!(request.way, Way::Tcp);
    }

    #[test]
    fn edns_can_be_left_out_but_not_with_its_options() {
        assert_eq!(parse("a +noedns").unwrap().question.edns, None);
        assert!(parse("a +noedns +edns").unwrap().question.edns.is_some());
        assert!(parse("a +noedns +nsid").unwrap_err().contains("--no-edns"));
        assert!(parse("a +noedns +nsid +nonsid").is_ok());
    }

    #[test]
    fn a_class_stands_anywhere_after_the_name() {
        let chaos = parse("version.bind CH TXT").unwrap().question;
        assert_eq!(echo(&chaos), "version.bind. CH TXT");
        assert_eq!(echo(&parse("version.bind txt class3").unwrap().question), echo(&chaos));
        assert!(parse("a CH HS").unwrap_err().contains("one too many"));
        let raw = Raw { words: vec!["a".into()], class: Some("x".into()), ..Raw::default() };
        assert!(raw.validate([0; 8]).unwrap_err().contains("no class"));
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
        assert_eq!(
            echo(&raw.clone().validate([0; 8]).unwrap().question),
            "1.2.0.192.in-addr.arpa. PTR"
        );
        let both = Raw { words: vec!["a".into()], ..raw };
        assert!(both.validate([0; 8]).is_err());
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
        assert!(told("a +cookie=00").contains("16 hexadecimal digits"));
        assert!(told("a +ednsopt=x").contains("expected a number"));
        assert!(told("a +nobufsize").starts_with("+nobufsize is not understood"));
    }
}
