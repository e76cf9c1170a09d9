//! Hickory's own client, in this process.

use std::net::SocketAddr;
use std::time::Duration;

use dns::name::NameRef;
use dns::rr::Rtype;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::DnsHandle;
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Edns, Message, Query as Question};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable, BinEncoder, NameEncoding};
use ipnet::IpNet;
use tokio_stream::StreamExt;

use crate::queries::Query;
use crate::said::{Said, hex, row};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks, and brings the answer into the common form.
///
/// # Panics
///
/// When there is no answer, or hickory does not understand it.
pub(crate) async fn ask(query: &Query, server: SocketAddr) -> Said {
    // Kept until the answer is there: the last of its clones ends the exchange's task.
    let runtime = TokioRuntimeProvider::new();
    let provider = runtime.clone();
    let exchange = if query.tcp {
        TcpClientStream::exchange(server, None, TIMEOUT, None, provider).await
    } else {
        Ok(UdpClientStream::builder(server, provider).with_timeout(Some(TIMEOUT)).exchange())
    };
    let exchange = exchange.unwrap_or_else(|error| panic!("{query:?}: {error}"));
    let request = DnsRequest::new(message(query), DnsRequestOptions::default());
    let answer = exchange.send(request).next().await;
    match answer {
        Some(Ok(response)) => said(&response),
        other => panic!("{query:?}: {other:?}"),
    }
}

fn message(query: &Query) -> Message {
    let mut message = Message::query();
    message.add_query(Question::query(name(&query.name), rtype(&query.rtype)));
    if query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(query.payload).set_version(query.version);
        let options = edns.options_mut();
        if let Some(subnet) = &query.subnet {
            let subnet: IpNet = subnet.parse().expect("the data file has prefixes");
            options.insert(EdnsOption::Subnet(ClientSubnet::from(subnet)));
        }
        if query.nsid {
            options.insert(EdnsOption::Unknown(u16::from(EdnsCode::NSID), Vec::new()));
        }
        if query.cookie {
            options.insert(EdnsOption::Unknown(u16::from(EdnsCode::Cookie), vec![7; 8]));
        }
        message.set_edns(edns);
    }
    message
}

/// By way of its wire form: hickory takes `\\255` for an octal number.
fn name(text: &str) -> Name {
    let name: dns::name::Name = text.parse().expect("the data file has names");
    Name::from_bytes(name.as_name().wire()).expect("a name is one to hickory too")
}

fn rtype(text: &str) -> RecordType {
    let number = text.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    number.map(RecordType::from).unwrap_or_else(|| text.parse().expect("a type hickory knows"))
}

fn said(message: &Message) -> Said {
    let metadata = &message.metadata;
    let option = |code: EdnsCode| match message.edns.as_ref()?.option(code)? {
        EdnsOption::Unknown(_, data) => Some(data.clone()),
        other => Vec::<u8>::try_from(other).ok(),
    };
    let sections = [&message.answers, &message.authorities, &message.additionals];
    Said {
        rcode: mnemonic(u16::from(metadata.response_code)).to_owned(),
        aa: metadata.authoritative,
        tc: metadata.truncation,
        sections: sections.map(|records| records.iter().map(common).collect()),
        scope: option(EdnsCode::Subnet).and_then(|data| data.get(3).copied()),
        nsid: option(EdnsCode::NSID).map(|data| hex(&data)),
        cookie: option(EdnsCode::Cookie).map(|data| data.len()),
    }
}

fn common(record: &Record) -> String {
    let owner = wire(&record.name);
    let owner = NameRef::parse(&owner).expect("a name is one to us too");
    let rtype = Rtype(u16::from(record.record_type()));
    row(&owner.to_string(), record.ttl, rtype, &wire(&record.data))
}

fn wire(part: &impl BinEncodable) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    part.emit(&mut encoder).expect("what was read can be written");
    octets
}

/// The mnemonics of RFC 6895 §2.3, as the tools print them.
fn mnemonic(code: u16) -> &'static str {
    match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        16 => "BADVERS",
        _ => "another",
    }
}
