//! `geoip dig` against servers that say what a test wants to see.

use std::net::UdpSocket;
use std::thread;

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;

use crate::home::Home;

/// Answers one query after the other, each in its own way, and gives back the queries.
fn serve(replies: Vec<fn(&Message, &mut Message)>) -> (String, thread::JoinHandle<Vec<Message>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("@{}", socket.local_addr().unwrap());
    let served = thread::spawn(move || {
        let mut queries = Vec::new();
        for reply in replies {
            let mut buffer = [0; 1500];
            let (size, from) = socket.recv_from(&mut buffer).unwrap();
            let query = Message::from_vec(&buffer[..size]).unwrap();
            let mut message = Message::response(query.metadata.id, query.metadata.op_code);
            message.add_queries(query.queries.clone());
            reply(&query, &mut message);
            socket.send_to(&message.to_vec().unwrap(), from).unwrap();
            queries.push(query);
        }
        queries
    });
    (address, served)
}

fn with_options(message: &mut Message, options: &[(u16, &[u8])]) {
    let mut edns = Edns::new();
    for (code, data) in options {
        edns.options_mut().insert(EdnsOption::Unknown(*code, data.to_vec()));
    }
    message.set_edns(edns);
}

/// The data of an option of a query.
fn option(query: &Message, code: u16) -> Option<Vec<u8>> {
    let options = query.edns.as_ref()?.options().as_ref();
    let found = options.iter().find(|(known, _)| u16::from(*known) == code);
    found.map(|(_, option)| Vec::<u8>::try_from(option).unwrap())
}

#[test]
fn a_server_that_wants_its_cookie_gets_it() {
    let home = Home::new();
    let (server, served) = serve(vec![
        |query, reply| {
            let client = option(query, 10).unwrap();
            with_options(reply, &[(10, &[&client[..], b"server's"].concat())]);
            reply.metadata.response_code = ResponseCode::BADCOOKIE;
        },
        |query, reply| with_options(reply, &[(10, &option(query, 10).unwrap()), (3, b"ns1")]),
    ]);
    let shown = home.ok(&["dig", &server, "a.example", "--cookie", "--nsid"]);
    let queries = served.join().unwrap();
    let (first, second) = (option(&queries[0], 10).unwrap(), option(&queries[1], 10).unwrap());
    assert_eq!(first.len(), 8, "the client's part, fresh");
    assert_eq!(second, [&first[..], b"server's"].concat());
    assert!(shown.contains("status: NOERROR"), "{shown}");
    assert!(shown.contains("; COOKIE: ") && shown.contains("; NSID: 6e7331 (\"ns1\")"), "{shown}");
}

#[test]
fn the_reason_is_asked_for_and_shown() {
    let home = Home::new();
    let (server, served) = serve(vec![
        |_, reply| with_options(reply, &[(15, b"\0\0europe-west3 101 km")]),
        |_, reply| with_options(reply, &[(15, b"\0\0europe-west3 101 km")]),
        |_, reply| with_options(reply, &[]),
    ]);
    let shown = home.ok(&["dig", &server, "geo.example", "--why"]);
    assert!(shown.contains("; EDE: 0 (Other): (europe-west3 101 km)\n"), "{shown}");
    assert!(shown.ends_with("why: europe-west3 101 km\n"), "{shown}");
    let json = home.ok(&["dig", &server, "geo.example", "--why", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["why"], "europe-west3 101 km");
    let none = home.ok(&["dig", &server, "geo.example", "+short", "+why"]);
    assert!(none.starts_with("why: no reason was given"), "{none}");
    for query in served.join().unwrap() {
        assert_eq!(option(&query, 65_300), Some(Vec::new()));
    }
}

#[test]
fn edns_is_as_told() {
    let home = Home::new();
    let (server, served) =
        serve(vec![|_, _| {}, |_, reply| with_options(reply, &[(11, &[0, 100])])]);
    home.ok(&["dig", &server, "a.example", "--no-edns"]);
    let words = ["--edns-version", "1", "--bufsize", "600", "--do", "--keepalive", "-c", "CH"];
    let shown = home.ok(&[["dig", &server, "a.example"].as_slice(), &words].concat());
    assert!(shown.contains("; TCP KEEPALIVE: 10.0 secs\n"), "{shown}");
    let queries = served.join().unwrap();
    assert!(queries[0].edns.is_none());
    let edns = queries[1].edns.as_ref().unwrap();
    assert_eq!((edns.version(), edns.max_payload(), edns.flags().dnssec_ok), (1, 600, true));
    assert_eq!(queries[1].queries[0].query_class.to_string(), "CH");
}
