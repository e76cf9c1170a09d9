//! Writes what the fuzzer starts from: `seeds FOLDER` makes a folder for each target in it, with
//! real queries and real master files. They cover what random octets would take hours to find.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RecordType};

/// A question for every way through resolution.
const QUESTIONS: [(&str, u16); 42] = [
    ("test-net.io.", 6),
    ("test-net.io.", 2),
    ("test-net.io.", 255),
    ("www.test-net.io.", 1),
    ("geo.test-net.io.", 28),
    ("x.any.test-net.io.", 1),
    ("x.svc.test-net.io.", 28),
    ("all.test-net.io.", 1),
    ("q.wild.test-net.io.", 16),
    ("b.wild.test-net.io.", 16),
    ("q.alias.test-net.io.", 1),
    ("q.lost.test-net.io.", 1),
    ("q.x.y.test-net.io.", 15),
    ("www.cut.test-net.io.", 1),
    ("cut.test-net.io.", 43),
    ("bare.test-net.io.", 2),
    ("a.b.tree.test-net.io.", 16),
    ("x.loop.test-net.io.", 1),
    ("x.long.test-net.io.", 1),
    ("x.out.test-net.io.", 1),
    ("chain1.test-net.io.", 1),
    ("chain15.test-net.io.", 1),
    ("round1.test-net.io.", 1),
    ("self.test-net.io.", 28),
    ("viatree.test-net.io.", 16),
    ("big.test-net.io.", 1),
    ("mid.test-net.io.", 1),
    ("fat.test-net.io.", 16),
    ("many.test-net.io.", 15),
    ("_sip._udp.test-net.io.", 33),
    ("svcb.test-net.io.", 65),
    ("odd.test-net.io.", 65280),
    ("up.inner.test-net.io.", 1),
    ("7.2.0.192.in-addr.arpa.", 12),
    ("test-net.io.", 1),
    ("hosted.test-net.io.", 28),
    ("geo.test-net.io.", 65),
    ("mixed.test-net.io.", 15),
    ("mixed.test-net.io.", 16),
    ("mixed.test-net.io.", 33),
    ("mixed.test-net.io.", 64),
    ("mixed.test-net.io.", 255),
];

/// Messages that no library writes, after their peer: each a word on what is wrong with it.
const ODD: [(&str, &[u8]); 12] = [
    ("response", b"\0\x07\x81\0\0\x01\0\0\0\0\0\0\x03www\x08test-net\x02io\0\0\x01\0\x01"),
    ("header", b"\0\x07\x01\0\0\0\0\0\0\0\0\0"),
    ("two", b"\0\x07\x01\0\0\x02\0\0\0\0\0\0\x01a\0\0\x01\0\x01\x01b\0\0\x01\0\x01"),
    ("self-pointer", b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01"),
    ("forward-pointer", b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\xc0\x14\0\x01\0\x01\0"),
    (
        "record-loop",
        b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\xc0\x13\0\x01\0\x01\0\0\0\0\0\0",
    ),
    ("junk", b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x08test-net\x02io\0\0\x01\0\x01junk"),
    ("counts", b"\0\x07\x01\0\0\x01\0\x09\0\x09\0\x09\x03www\x08test-net\x02io\0\0\x01\0\x01"),
    ("notify", b"\0\x07\x24\0\0\x01\0\0\0\0\0\0\x08test-net\x02io\0\0\x06\0\x01"),
    ("update", b"\0\x07\x28\0\0\x01\0\0\0\0\0\0\x08test-net\x02io\0\0\x06\0\x01"),
    ("status", b"\0\x07\x10\0\0\x01\0\0\0\0\0\0\x08test-net\x02io\0\0\x06\0\x01"),
    ("chaos", b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03"),
];

/// OPT records of their own: what comes after their owner.
const OPTS: [(&str, &[u8]); 5] = [
    ("version", b"\0\x29\x04\xd0\0\x01\0\0\0\0"),
    ("cookie", b"\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh"),
    ("nsid", b"\0\x29\x04\xd0\0\0\x80\0\0\x04\0\x03\0\0"),
    ("keepalive", b"\0\x29\x04\xd0\0\0\x80\0\0\x04\0\x0b\0\0"),
    ("why", b"\0\x29\x04\xd0\0\0\0\0\0\x04\xff\x14\0\0"),
];

/// Updates of example., and what comes behind their header.
const UPDATES: [(&str, [u8; 8], &[u8]); 9] = [
    ("add", [0, 1, 0, 0, 0, 1, 0, 0], b"\x01w\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x07"),
    ("add-mx", [0, 1, 0, 0, 0, 1, 0, 0], b"\xc0\x0c\0\x0f\0\x01\0\0\0\x05\0\x06\0\x0a\x01w\xc0\x0c"),
    ("delete-name", [0, 1, 0, 0, 0, 1, 0, 0], b"\x04mail\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0"),
    ("delete-set", [0, 1, 0, 0, 0, 1, 0, 0], b"\x04mail\xc0\x0c\0\x01\0\xff\0\0\0\0\0\0"),
    ("delete-one", [0, 1, 0, 0, 0, 1, 0, 0], b"\xc0\x0c\0\x02\0\xfe\0\0\0\0\0\x05\x02ns\xc0\x0c"),
    ("in-use", [0, 1, 0, 1, 0, 0, 0, 0], b"\x04mail\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0"),
    ("absent", [0, 1, 0, 1, 0, 0, 0, 0], b"\x04mail\xc0\x0c\0\x10\0\xfe\0\0\0\0\0\0"),
    ("is", [0, 1, 0, 1, 0, 0, 0, 0], b"\x02ns\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x35"),
    (
        "signed",
        [0, 1, 0, 0, 0, 0, 0, 1],
        b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x23\x0bhmac-sha256\0\0\0\x6b\x49\xd2\0\x01\x2c\0\x06macmac\0\x07\0\0\0\0",
    ),
];

/// PROXY headers behind their signature.
const HEADERS: [(&str, &[u8]); 4] = [
    ("v4", b"\x21\x11\0\x0c\xc0\0\x02\x01\xcb\0\x71\x35\x10\x92\0\x35\0\x1dquery"),
    ("v6", b"\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x10\x92\0\x35"),
    ("local", b"\x20\0\0\x03abc"),
    ("tlv", b"\x21\x11\0\x13\xc0\0\x02\x01\xcb\0\x71\x35\x10\x92\0\x35\x03\0\x04\0\0\0\0"),
];

/// Record data: the type's number, and its text.
const DATA: [(u8, &str); 22] = [
    (1, "192.0.2.1"),
    (6, "a b 1 2h 3 4 5"),
    (11, "192.0.2.1 6 25 53"),
    (13, "a \"b c\""),
    (15, "10 mail"),
    (16, "\"a\\255\\\"\" b"),
    (28, "2001:db8::1"),
    (29, "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
    (33, "1 2 3 target"),
    (35, "1 2 \"u\" \"s\" \"!a!b!\" ."),
    (37, "PKIX 1 RSASHA256 AAAA"),
    (42, "1:192.0.2.0/24 !2:2001:db8::/32"),
    (43, "12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    (45, "10 1 2 192.0.2.1 AAAA"),
    (46, "A 13 2 300 20300101000000 20200101000000 1 a. AAAA"),
    (47, "b A NS TYPE65280"),
    (50, "1 1 10 aabb 2vptu5timamqttgl4luu9kg21e0aor3s A"),
    (52, "3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    (55, "2 200100107b1a74df365639cc39f1d578 AwEAAQ== a"),
    (64, "0 a"),
    (65, "1 . mandatory=alpn alpn=\"h2,h3\" port=443 ipv4hint=192.0.2.1 key65280=\"x\""),
    (129, "0 issue \"ca.example\""),
];

const ZONES: [(&str, &str); 4] = [
    ("rich", include_str!("../../world/test-net.io.zone")),
    ("inner", include_str!("../../world/inner.test-net.io.zone")),
    ("reverse", include_str!("../../world/2.0.192.in-addr.arpa.zone")),
    ("includes", "$TTL 1\n@ SOA a b 1 2 3 4 5\n@ NS a\n$INCLUDE a\n$INCLUDE b x\n$INCLUDE c\n"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("seeds FOLDER")?;
    let folder = Path::new(&folder);
    let put = |target: &str, name: &str, content: &[u8]| {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), content)
    };
    // The first octets choose the peer; see `world::peer`.
    let peers: [&[u8]; 3] = [b"\0\0\0\0\0", b"\x01\xc6\x33\x64\x07", b"\x02\0\x01\0\0"];
    for (i, &(name, rtype)) in QUESTIONS.iter().enumerate() {
        let peer = peers[i % peers.len()];
        put("answer", &format!("plain-{i}"), &[peer, &query(name, rtype, None)?].concat())?;
        let mut edns = Edns::new();
        edns.set_max_payload(if i % 2 == 0 { 1232 } else { 700 });
        let subnet = ClientSubnet::new(Ipv4Addr::new(8, 8, 8, 0).into(), 24, 0);
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
        put("answer", &format!("subnet-{i}"), &[peer, &query(name, rtype, Some(edns))?].concat())?;
    }
    for (name, message) in ODD {
        put("answer", name, &[peers[0], message].concat())?;
    }
    for (name, opt) in OPTS {
        let mut message = query("www.test-net.io.", 1, None)?;
        message[11] = 1;
        put("answer", name, &[peers[0], &message, b"\0", opt].concat())?;
    }
    for (name, counts, records) in UPDATES {
        let zone = b"\x07example\0\0\x06\0\x01";
        put("update", name, &[&b"\0\x07\x28\0"[..], &counts, zone, records].concat())?;
    }
    for (name, header) in HEADERS {
        put("proxy", name, &[&b"\r\n\r\n\0\r\nQUIT\n"[..], header].concat())?;
    }
    for (i, (rtype, text)) in DATA.into_iter().enumerate() {
        put("rdata", &i.to_string(), &[&[rtype], text.as_bytes()].concat())?;
    }
    for (name, text) in ZONES {
        // The target's zone is another, and every rule shows in a small one.
        let text = text.replace("test-net.io.", "example.");
        put("zonefile", name, text.as_bytes())?;
        let mut lines = text.lines();
        let head: Vec<&str> = lines.by_ref().take(8).collect();
        for (i, line) in lines.enumerate().filter(|(_, line)| !line.starts_with("$GEN")) {
            let small = format!("{}\n{line}\n", head.join("\n"));
            put("zonefile", &format!("{name}-{i}"), small.as_bytes())?;
        }
    }
    Ok(())
}

fn query(name: &str, rtype: u16, edns: Option<Edns>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name)?, RecordType::from(rtype)));
    if let Some(edns) = edns {
        message.set_edns(edns);
    }
    Ok(message.to_vec()?)
}
