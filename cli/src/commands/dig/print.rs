//! A reply in dig's form, or as JSON. Pure: the time of day is an argument.

use std::fmt::Write as _;
use std::time::SystemTime;

use hickory_proto::op::{Message, Metadata};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Record, RecordType};
use serde::Serialize;
use time::OffsetDateTime;

use crate::dns::exchange::{Reply, Transport};
use crate::dns::{client_subnet, text};
use crate::exit::one_line;

/// EDNS options that are shown by name beside those the library knows.
const COOKIE: u16 = 10;
const EXTENDED_ERROR: u16 = 15;

/// The whole reply, in the sections of dig. `command` is echoed at the top.
pub(crate) fn full(command: &str, reply: &Reply, now: SystemTime) -> String {
    let message = &reply.message;
    let mut out = format!("; <<>> geoip dig {} <<>> {command}\n", env!("CARGO_PKG_VERSION"));
    out.push_str(&header(message));
    if message.edns.is_some() {
        out.push_str("\n;; OPT PSEUDOSECTION:\n");
        out.push_str(&edns(message));
    }
    if !message.queries.is_empty() {
        // Only the first section follows the pseudo section without an empty line, as in dig.
        out.push_str(if message.edns.is_some() { "" } else { "\n" });
        out.push_str(";; QUESTION SECTION:\n");
        for query in &message.queries {
            let class = text::class(query.query_class);
            let kind = text::record_type(query.query_type);
            let _ = writeln!(out, ";{}\t\t{class}\t{kind}", query.name);
        }
    }
    out.push_str(&section("ANSWER", &message.answers));
    out.push_str(&section("AUTHORITY", &message.authorities));
    out.push_str(&section("ADDITIONAL", &message.additionals));
    out.push_str(&footer(reply, now));
    out
}

/// Only the data of the answer, one record per line.
pub(crate) fn short(message: &Message) -> String {
    message.answers.iter().map(|record| text::data(record) + "\n").collect()
}

fn header(message: &Message) -> String {
    let metadata = &message.metadata;
    let opcode = format!("{:?}", metadata.op_code).to_ascii_uppercase();
    let additional = message.additionals.len() + usize::from(message.edns.is_some());
    format!(
        ";; Got answer:\n;; ->>HEADER<<- opcode: {opcode}, status: {}, id: {}\n\
         ;; flags: {}; QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {additional}\n",
        text::response_code(metadata.response_code),
        metadata.id,
        flags(metadata).join(" "),
        message.queries.len(),
        message.answers.len(),
        message.authorities.len(),
    )
}

/// The header bits that are set, in dig's order.
fn flags(metadata: &Metadata) -> Vec<&'static str> {
    [
        (true, "qr"),
        (metadata.authoritative, "aa"),
        (metadata.truncation, "tc"),
        (metadata.recursion_desired, "rd"),
        (metadata.recursion_available, "ra"),
        (metadata.authentic_data, "ad"),
        (metadata.checking_disabled, "cd"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}

fn edns(message: &Message) -> String {
    let Some(edns) = &message.edns else { return String::new() };
    let dnssec_ok = if edns.flags().dnssec_ok { " do" } else { "" };
    let mut out = format!(
        "; EDNS: version: {}, flags:{dnssec_ok}; udp: {}\n",
        edns.version(),
        edns.max_payload()
    );
    for (code, option) in edns.options().as_ref() {
        out.push_str(&edns_option(u16::from(*code), option));
    }
    out
}

fn edns_option(code: u16, option: &EdnsOption) -> String {
    match option {
        EdnsOption::Subnet(subnet) => format!(
            "; CLIENT-SUBNET: {}/{}/{}\n",
            subnet.addr(),
            subnet.source_prefix(),
            subnet.scope_prefix()
        ),
        EdnsOption::NSID(id) => {
            let readable = String::from_utf8_lossy(id.as_ref()).into_owned();
            format!("; NSID: {} (\"{}\")\n", text::hex(id.as_ref()), one_line(&readable))
        }
        EdnsOption::Unknown(COOKIE, data) => format!("; COOKIE: {}\n", text::hex(data)),
        EdnsOption::Unknown(EXTENDED_ERROR, data) => extended_error(data),
        EdnsOption::Unknown(_, data) => format!("; OPT={code}: {}\n", text::hex(data)),
        _ => format!("; OPT={code}\n"),
    }
}

/// The info codes of RFC 8914 §4, by number.
const EXTENDED_ERRORS: [&str; 25] = [
    "Other",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
];

/// A code, its registered name and a text for people (RFC 8914 §2).
fn extended_error(data: &[u8]) -> String {
    let [high, low, words @ ..] = data else {
        return format!("; EDE: malformed: {}\n", text::hex(data));
    };
    let code = u16::from_be_bytes([*high, *low]);
    let name = EXTENDED_ERRORS.get(usize::from(code)).unwrap_or(&"unassigned");
    match one_line(&String::from_utf8_lossy(words)) {
        nothing if nothing.is_empty() => format!("; EDE: {code} ({name})\n"),
        words => format!("; EDE: {code} ({name}): ({words})\n"),
    }
}

fn section(title: &str, records: &[Record]) -> String {
    if records.is_empty() {
        return String::new();
    }
    let mut out = format!("\n;; {title} SECTION:\n");
    for record in records {
        let class = text::class(record.dns_class);
        let kind = text::record_type(record.record_type());
        let data = text::data(record);
        let _ = writeln!(out, "{}\t{}\t{class}\t{kind}\t{data}", record.name, record.ttl);
    }
    out
}

fn footer(reply: &Reply, now: SystemTime) -> String {
    let now = OffsetDateTime::from(now);
    let server = reply.server;
    format!(
        "\n;; Query time: {} msec\n;; SERVER: {}#{}({}) ({})\n;; WHEN: {} {} {:02} \
         {:02}:{:02}:{:02} UTC {}\n;; MSG SIZE  rcvd: {}\n",
        reply.elapsed.as_millis(),
        server.ip(),
        server.port(),
        server.ip(),
        transport(reply.transport),
        &now.weekday().to_string()[..3],
        &now.month().to_string()[..3],
        now.day(),
        now.hour(),
        now.minute(),
        now.second(),
        now.year(),
        reply.size,
    )
}

fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}

/// The reply for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Object {
    id: u16,
    status: String,
    flags: Vec<&'static str>,
    question: Vec<QuestionObject>,
    answer: Vec<RecordObject>,
    authority: Vec<RecordObject>,
    additional: Vec<RecordObject>,
    edns: Option<EdnsObject>,
    query_time_ms: f64,
    server: String,
    transport: &'static str,
    size: usize,
}

#[derive(Debug, Serialize)]
struct QuestionObject {
    name: String,
    class: String,
    #[serde(rename = "type")]
    record_type: String,
}

#[derive(Debug, Serialize)]
struct RecordObject {
    name: String,
    ttl: u32,
    class: String,
    #[serde(rename = "type")]
    record_type: String,
    data: String,
}

#[derive(Debug, Serialize)]
struct EdnsObject {
    version: u8,
    udp: u16,
    dnssec_ok: bool,
    client_subnet: Option<SubnetObject>,
    /// The other options, as code and data in hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<OptionObject>,
}

#[derive(Debug, Serialize)]
struct OptionObject {
    code: u16,
    data: String,
}

#[derive(Debug, Serialize)]
struct SubnetObject {
    address: String,
    source: u8,
    scope: u8,
}

/// Everything [`full`] shows but the time of day.
pub(crate) fn object(reply: &Reply) -> Object {
    let message = &reply.message;
    let records = |records: &[Record]| records.iter().map(record_object).collect();
    Object {
        id: message.metadata.id,
        status: text::response_code(message.metadata.response_code),
        flags: flags(&message.metadata),
        question: message
            .queries
            .iter()
            .map(|query| QuestionObject {
                name: query.name.to_string(),
                class: text::class(query.query_class),
                record_type: text::record_type(query.query_type),
            })
            .collect(),
        answer: records(&message.answers),
        authority: records(&message.authorities),
        additional: records(&message.additionals),
        edns: message.edns.as_ref().map(|edns| EdnsObject {
            version: edns.version(),
            udp: edns.max_payload(),
            dnssec_ok: edns.flags().dnssec_ok,
            client_subnet: client_subnet(message).map(|subnet| SubnetObject {
                address: subnet.addr().to_string(),
                source: subnet.source_prefix(),
                scope: subnet.scope_prefix(),
            }),
            options: edns.options().as_ref().iter().filter_map(option_object).collect(),
        }),
        query_time_ms: (reply.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        server: reply.server.to_string(),
        transport: transport(reply.transport),
        size: reply.size,
    }
}

fn option_object((code, option): &(EdnsCode, EdnsOption)) -> Option<OptionObject> {
    let data = match option {
        EdnsOption::NSID(id) => text::hex(id.as_ref()),
        EdnsOption::Unknown(_, data) => text::hex(data),
        // Shown by itself.
        _ => return None,
    };
    Some(OptionObject { code: u16::from(*code), data })
}

fn record_object(record: &Record) -> RecordObject {
    RecordObject {
        name: record.name.to_string(),
        ttl: record.ttl,
        class: text::class(record.dns_class),
        record_type: text::record_type(record.record_type()),
        data: text::data(record),
    }
}

/// Whether a type is one that a person asks for, rather than one that only exists on the wire.
pub(crate) fn can_be_asked(record_type: RecordType) -> bool {
    !matches!(record_type, RecordType::OPT | RecordType::TSIG | RecordType::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::parse_name;
    use crate::output;
    use hickory_proto::op::{Edns, OpCode, Query, ResponseCode};
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::opt::ClientSubnet;
    use hickory_proto::rr::rdata::{A, SOA};
    use std::time::Duration;

    fn reply() -> Reply {
        let name = parse_name("geo.test-net.io").unwrap();
        let mut message = Message::response(4660, OpCode::Query);
        message.metadata.authoritative = true;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name.clone(), RecordType::A));
        message.add_answer(Record::from_rdata(name, 60, RData::A(A::new(127, 0, 0, 11))));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        let subnet = ClientSubnet::new("128.135.0.0".parse().unwrap(), 24, 20);
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
        edns.options_mut().insert(EdnsOption::Unknown(15, b"\0\x12no\n".to_vec()));
        message.set_edns(edns);
        Reply {
            message,
            size: 71,
            elapsed: Duration::from_micros(1234),
            server: "127.0.0.21:5300".parse().unwrap(),
            transport: Transport::Udp,
        }
    }

    #[test]
    fn a_reply_looks_as_dig_prints_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let expected = format!(
            "; <<>> geoip dig {} <<>> @127.0.0.21 geo.test-net.io\n\
             ;; Got answer:\n\
             ;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 4660\n\
             ;; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1\n\
             \n\
             ;; OPT PSEUDOSECTION:\n\
             ; EDNS: version: 0, flags:; udp: 1232\n\
             ; CLIENT-SUBNET: 128.135.0.0/24/20\n\
             ; EDE: 18 (Prohibited): (no)\n\
             ;; QUESTION SECTION:\n\
             ;geo.test-net.io.\t\tIN\tA\n\
             \n\
             ;; ANSWER SECTION:\n\
             geo.test-net.io.\t60\tIN\tA\t127.0.0.11\n\
             \n\
             ;; Query time: 1 msec\n\
             ;; SERVER: 127.0.0.21#5300(127.0.0.21) (UDP)\n\
             ;; WHEN: Tue Nov 14 22:13:20 UTC 2023\n\
             ;; MSG SIZE  rcvd: 71\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(full("@127.0.0.21 geo.test-net.io", &reply(), now), expected);
        assert_eq!(short(&reply().message), "127.0.0.11\n");
    }

    #[test]
    fn extended_errors_have_names() {
        assert_eq!(extended_error(&[0, 20]), "; EDE: 20 (Not Authoritative)\n");
        assert_eq!(extended_error(&[0, 24]), "; EDE: 24 (Invalid Data)\n");
        assert_eq!(extended_error(&[1, 0, b'x']), "; EDE: 256 (unassigned): (x)\n");
        assert_eq!(extended_error(&[1]), "; EDE: malformed: 01\n");
    }

    #[test]
    fn a_denial_shows_its_soa_and_no_answer() {
        let mut reply = reply();
        let message = &mut reply.message;
        message.answers.clear();
        message.edns = None;
        message.metadata.response_code = ResponseCode::NXDomain;
        let (zone, ns) =
            (parse_name("test-net.io").unwrap(), parse_name("ns1.test-net.io").unwrap());
        let soa = SOA::new(ns, zone.clone(), 1, 2, 3, 4, 5);
        message.add_authority(Record::from_rdata(zone, 5, RData::SOA(soa)));
        let text = full("", &reply, SystemTime::UNIX_EPOCH);
        assert!(text.contains("status: NXDOMAIN"), "{text}");
        assert!(text.contains("ADDITIONAL: 0\n\n;; QUESTION SECTION:\n"), "{text}");
        assert!(!text.contains("ANSWER SECTION"), "{text}");
        let line = "test-net.io.\t5\tIN\tSOA\tns1.test-net.io. test-net.io. 1 2 3 4 5\n";
        assert!(text.contains(&format!(";; AUTHORITY SECTION:\n{line}")), "{text}");
    }

    #[test]
    fn a_reply_as_json() {
        assert_eq!(
            output::line(&object(&reply())).unwrap(),
            "{\"id\":4660,\"status\":\"NOERROR\",\"flags\":[\"qr\",\"aa\",\"rd\"],\
             \"question\":[{\"name\":\"geo.test-net.io.\",\"class\":\"IN\",\"type\":\"A\"}],\
             \"answer\":[{\"name\":\"geo.test-net.io.\",\"ttl\":60,\"class\":\"IN\",\
             \"type\":\"A\",\"data\":\"127.0.0.11\"}],\"authority\":[],\"additional\":[],\
             \"edns\":{\"version\":0,\"udp\":1232,\"dnssec_ok\":false,\
             \"client_subnet\":{\"address\":\"128.135.0.0\",\"source\":24,\"scope\":20},\
             \"options\":[{\"code\":15,\"data\":\"00126e6f0a\"}]},\
             \"query_time_ms\":1.234,\"server\":\"127.0.0.21:5300\",\"transport\":\"UDP\",\
             \"size\":71}\n"
        );
    }
}
