//! Foreign clients agree on what our name server says: dig, kdig, drill and hickory's client, on
//! the queries of `queries.toml`; and dnsperf, which asks thousands and loses none.

mod hickory;
mod load;
mod printed;
mod queries;
mod said;
mod server;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tests::scratch::Scratch;

use load::{MIX, Mode, Report};
use printed::Tool;
use queries::Query;
use server::start;

const QUERIES: &str = include_str!("queries.toml");

const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

#[test]
fn four_clients_agree_on_fifty_queries() {
    let queries = queries::read(QUERIES);
    assert!(queries.len() >= 50, "{}", queries.len());
    agree("tools", V4, queries.iter());
}

#[test]
fn four_clients_agree_over_ipv6() {
    agree("tools6", V6, queries::read(QUERIES).iter().step_by(4));
}

fn agree<'a>(name: &str, listen: SocketAddr, queries: impl Iterator<Item = &'a Query>) {
    let scratch = Scratch::new(name);
    let server = start(&scratch, listen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for query in queries {
        let hickory = runtime.block_on(hickory::ask(query, server.dns()));
        query.judge(&hickory);
        for tool in Tool::ALL.into_iter().filter(|tool| tool.can(query)) {
            let said = tool.ask(query, server.dns());
            assert_eq!(said, hickory, "{tool:?} and hickory differ on {query:?}");
        }
    }
}

#[test]
fn dnsperf_loses_none_of_thousands_of_queries() {
    const ROUNDS: usize = 500;
    let scratch = Scratch::new("dnsperf");
    let server = start(&scratch, V4);
    let lines = (0..ROUNDS).flat_map(|round| {
        let name = move |name: &str| name.replace('#', &round.to_string());
        MIX.map(|(text, rtype, _)| format!("{} {rtype}\n", name(text)))
    });
    let queries: String = lines.collect();
    let sent = ROUNDS * MIX.len();
    let mut expected = Report { sent, completed: sent, ..Report::default() };
    for (_, _, code) in MIX {
        *expected.codes.entry(code.to_owned()).or_default() += ROUNDS;
    }
    for mode in [Mode::Udp, Mode::UdpEdns, Mode::Tcp] {
        assert_eq!(load::run(&scratch, &queries, server.dns(), mode), expected, "{mode:?}");
    }
}
