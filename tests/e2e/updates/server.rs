//! The name server that is updated, and what it says.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use tests::authority::Authority;
use tests::name_server::{NameServer, NameServerPlan};
use tests::query::Ask;
use tests::scratch::Scratch;

use crate::nsupdate::{Nsupdate, Tool};

pub(crate) const ZONE: &str = "\
$TTL 300
@      SOA ns hostmaster 1 7200 900 1209600 60
@      NS  ns
ns     A   192.0.2.53
www    A   192.0.2.80
*.wild TXT any
";
/// Of every key; base64.
pub(crate) const SECRET: &str = "cGxlbnR5IG9mIG9jdGV0cyB0aGF0IG5vYm9keSBrbm93cw==";
pub(crate) const SECRET_OCTETS: &[u8] = b"plenty of octets that nobody knows";
pub(crate) const KEY: &str =
    "hmac-sha256:acme-key:cGxlbnR5IG9mIG9jdGV0cyB0aGF0IG5vYm9keSBrbm93cw==";
pub(crate) const ALGORITHMS: [&str; 5] =
    ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];
/// From a reload's trigger to its plan, on a busy machine.
pub(crate) const RELOAD: Duration = Duration::from_secs(20);

pub(crate) fn start(scratch: &Scratch, names: usize) -> NameServer {
    let mut zone = ZONE.to_owned();
    for i in 0..names {
        let _ = writeln!(zone, "host{i} A 192.0.2.1");
    }
    let zone = scratch.write("dyn.zone", zone);
    let keys: String = ALGORITHMS
        .iter()
        .map(|algorithm| {
            format!("[[key]]\nname = {algorithm:?}\nalgorithm = {algorithm:?}\nsecret_base64 = {SECRET:?}\n")
        })
        .collect();
    let key =
        format!("key \"acme-key\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    let key = scratch.write("acme.key", key);
    let allowed = ALGORITHMS.map(|algorithm| format!("{algorithm:?}")).join(", ");
    let more = format!(
        "\n{keys}\n[[key]]\nname = \"acme-key\"\nsecret = {key:?}\n\
         [[key]]\nname = \"other-key\"\nsecret_base64 = {SECRET:?}\n\
         [[zone]]\nname = \"dyn.example\"\nfile = {zone:?}\n\
         update = {{ keys = [\"acme-key\", {allowed}] }}\n"
    );
    let authority = Authority::create(scratch, "pki");
    let plan = NameServerPlan::new("ns1").state(scratch.join("state")).more(&more);
    plan.start(scratch, &authority)
}

pub(crate) fn by(server: SocketAddr, key: Option<&str>) -> Nsupdate<'_> {
    Nsupdate { tool: Tool::Bind, key, tcp: false, server }
}

/// The TXT records of a name, in order; an error for anything but NOERROR.
pub(crate) fn txt(server: SocketAddr, name: &str) -> Result<Vec<String>, ResponseCode> {
    texts(&Ask::new(server, name, RecordType::TXT))
}

/// The same, where a flood may still fill the buffer for datagrams.
pub(crate) fn txt_over_tcp(server: SocketAddr, name: &str) -> Result<Vec<String>, ResponseCode> {
    texts(&Ask::new(server, name, RecordType::TXT).tcp())
}

fn texts(ask: &Ask) -> Result<Vec<String>, ResponseCode> {
    let reply = ask.expect();
    if reply.rcode() != ResponseCode::NoError {
        return Err(reply.rcode());
    }
    let text = |data: &RData| match data {
        RData::TXT(txt) => Some(txt.to_string()),
        _ => None,
    };
    let mut texts: Vec<String> =
        reply.message.answers.iter().filter_map(|record| text(&record.data)).collect();
    texts.sort();
    Ok(texts)
}
