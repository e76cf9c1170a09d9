//! A reply in dig's form. Pure: the time of day is an argument.

use std::fmt::Write as _;
use std::time::SystemTime;

use hickory_proto::op::{Message, Metadata};
use hickory_proto::rr::{Record, RecordType};
use time::OffsetDateTime;

use super::options;
use crate::dns::exchange::{Reply, Transport};
use crate::dns::text;

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
            let _ = writeln!(out, ";{}\t\t{class}\t{kind}", text::name(&query.name));
        }
    }
    out.push_str(&section("ANSWER", &message.answers));
    out.push_str(&section("AUTHORITY", &message.authorities));
    out.push_str(&section("ADDITIONAL", &message.additionals));
    out.push_str(&footer(reply, now));
    out
}

/// The reason of the answer on a line of its own, or that there is none.
pub(crate) fn why(message: &Message) -> String {
    match options::why(message) {
        Some(reason) => format!("why: {reason}\n"),
        None => "why: no reason was given: only services of a dnsrouter have one\n".to_owned(),
    }
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
pub(super) fn flags(metadata: &Metadata) -> Vec<&'static str> {
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
    for said in options::of(message) {
        let _ = writeln!(out, "; {said}");
    }
    out
}

fn section(title: &str, records: &[Record]) -> String {
    if records.is_empty() {
        return String::new();
    }
    let mut out = format!("\n;; {title} SECTION:\n");
    for record in records {
        let class = text::class(record.dns_class);
        let kind = text::record_type(record.record_type());
        let (name, ttl) = (text::name(&record.name), record.ttl);
        let _ = writeln!(out, "{name}\t{ttl}\t{class}\t{kind}\t{}", text::data(record));
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

pub(super) fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}

/// Whether a type is one that a person asks for, rather than one that only exists on the wire.
pub(crate) fn can_be_asked(record_type: RecordType) -> bool {
    !matches!(record_type, RecordType::OPT | RecordType::TSIG | RecordType::ZERO)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dns::parse_name;
    use hickory_proto::op::{Edns, OpCode, Query, ResponseCode};
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
    use hickory_proto::rr::rdata::{A, SOA};
    use std::time::Duration;

    pub(crate) fn reply() -> Reply {
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
    fn the_reason_is_a_line_of_its_own() {
        let mut reply = reply();
        let none = "why: no reason was given: only services of a dnsrouter have one\n";
        assert_eq!(why(&reply.message), none);
        let edns = reply.message.edns.as_mut().unwrap();
        edns.options_mut().insert(EdnsOption::Unknown(15, b"\0\0near".to_vec()));
        assert_eq!(why(&reply.message), "why: near\n");
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
}
