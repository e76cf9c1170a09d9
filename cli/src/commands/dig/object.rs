//! A reply for programs. Pure.

use hickory_proto::rr::Record;
use serde::Serialize;

use super::options::{self, Said};
use super::print::{flags, transport};
use crate::dns::exchange::Reply;
use crate::dns::text;

/// Everything the text shows but the time of day.
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
    /// The reason of the answer, when it was asked for and given.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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

#[derive(Debug, Default, Serialize)]
struct EdnsObject {
    version: u8,
    udp: u16,
    dnssec_ok: bool,
    client_subnet: Option<SubnetObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nsid: Option<NsidObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<CookieObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepalive_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extended_errors: Vec<ErrorObject>,
    /// What is not understood, as code and data in hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<OptionObject>,
}

#[derive(Debug, Serialize)]
struct SubnetObject {
    address: String,
    source: u8,
    scope: u8,
}

#[derive(Debug, Serialize)]
struct NsidObject {
    hex: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct CookieObject {
    client: String,
    server: String,
}

#[derive(Debug, Serialize)]
struct ErrorObject {
    code: u16,
    name: Option<&'static str>,
    text: String,
}

#[derive(Debug, Serialize)]
struct OptionObject {
    code: u16,
    data: String,
}

/// `why`: the reason was asked for.
pub(crate) fn object(reply: &Reply, why: bool) -> Object {
    let message = &reply.message;
    let records = |records: &[Record]| records.iter().map(record).collect();
    let question = message.queries.iter().map(|query| QuestionObject {
        name: text::name(&query.name),
        class: text::class(query.query_class),
        record_type: text::record_type(query.query_type),
    });
    Object {
        id: message.metadata.id,
        status: text::response_code(message.metadata.response_code),
        flags: flags(&message.metadata),
        question: question.collect(),
        answer: records(&message.answers),
        authority: records(&message.authorities),
        additional: records(&message.additionals),
        edns: edns(reply),
        why: why.then(|| options::why(message)).flatten(),
        query_time_ms: (reply.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        server: reply.server.to_string(),
        transport: transport(reply.transport),
        size: reply.size,
    }
}

fn edns(reply: &Reply) -> Option<EdnsObject> {
    let edns = reply.message.edns.as_ref()?;
    let mut object = EdnsObject {
        version: edns.version(),
        udp: edns.max_payload(),
        dnssec_ok: edns.flags().dnssec_ok,
        ..EdnsObject::default()
    };
    for said in options::of(&reply.message) {
        match said {
            Said::Subnet(subnet) => {
                object.client_subnet = Some(SubnetObject {
                    address: subnet.addr().to_string(),
                    source: subnet.source_prefix(),
                    scope: subnet.scope_prefix(),
                });
            }
            Said::Nsid(id) => {
                let text = options::readable(&id);
                object.nsid = Some(NsidObject { hex: text::hex(&id), text });
            }
            Said::Expire(seconds) => object.expire_seconds = Some(seconds),
            Said::Cookie { client, server } => {
                let (client, server) = (text::hex(&client), text::hex(&server));
                object.cookie = Some(CookieObject { client, server });
            }
            Said::Keepalive(idle) => object.keepalive_seconds = Some(idle.as_secs_f64()),
            Said::Padding(octets) => object.padding = Some(octets),
            Said::ExtendedError { code, text } => {
                let name = options::error_name(code);
                object.extended_errors.push(ErrorObject { code, name, text });
            }
            Said::Other { code, data } => {
                object.options.push(OptionObject { code, data: text::hex(&data) });
            }
        }
    }
    Some(object)
}

fn record(record: &Record) -> RecordObject {
    RecordObject {
        name: text::name(&record.name),
        ttl: record.ttl,
        class: text::class(record.dns_class),
        record_type: text::record_type(record.record_type()),
        data: text::data(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dig::print::tests::reply;
    use crate::output;
    use hickory_proto::rr::rdata::opt::EdnsOption;

    #[test]
    fn a_reply_as_json() {
        assert_eq!(
            output::line(&object(&reply(), false)).unwrap(),
            "{\"id\":4660,\"status\":\"NOERROR\",\"flags\":[\"qr\",\"aa\",\"rd\"],\
             \"question\":[{\"name\":\"geo.test-net.io.\",\"class\":\"IN\",\"type\":\"A\"}],\
             \"answer\":[{\"name\":\"geo.test-net.io.\",\"ttl\":60,\"class\":\"IN\",\
             \"type\":\"A\",\"data\":\"127.0.0.11\"}],\"authority\":[],\"additional\":[],\
             \"edns\":{\"version\":0,\"udp\":1232,\"dnssec_ok\":false,\
             \"client_subnet\":{\"address\":\"128.135.0.0\",\"source\":24,\"scope\":20},\
             \"extended_errors\":[{\"code\":18,\"name\":\"Prohibited\",\"text\":\"no\"}]},\
             \"query_time_ms\":1.234,\"server\":\"127.0.0.21:5300\",\"transport\":\"UDP\",\
             \"size\":71}\n"
        );
    }

    #[test]
    fn every_option_has_a_key_of_its_own() {
        let mut reply = reply();
        let edns = reply.message.edns.as_mut().unwrap();
        edns.options_mut().as_mut().clear();
        for (code, data) in [
            (3, &b"ns1"[..]),
            (9, &[0, 0, 0, 5]),
            (10, b"12345678abcdefgh"),
            (11, &[0, 5]),
            (12, &[0; 4]),
            (15, b"\0\0near"),
            (65001, &[1]),
        ] {
            edns.options_mut().insert(EdnsOption::Unknown(code, data.to_vec()));
        }
        let object = serde_json::to_value(object(&reply, true)).unwrap();
        assert_eq!(object["why"], "near");
        assert_eq!(
            object["edns"],
            serde_json::json!({
                "version": 0, "udp": 1232, "dnssec_ok": false, "client_subnet": null,
                "nsid": { "hex": "6e7331", "text": "ns1" },
                "cookie": { "client": "3132333435363738", "server": "6162636465666768" },
                "keepalive_seconds": 0.5, "expire_seconds": 5, "padding": 4,
                "extended_errors": [{ "code": 0, "name": "Other", "text": "near" }],
                "options": [{ "code": 65001, "data": "01" }],
            })
        );
    }
}
