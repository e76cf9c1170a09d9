//! Would the cases of `dns/` notice? Each defect of `dns/mutations.toml` is switched on by itself,
//! and the cases are put to the name server's `answer` in this process: at least one has to fail.
//! With no defect none may.
#![expect(clippy::disallowed_methods, reason = "reads the list")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dnsrouter::answer::{self, Query, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::health::State;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::random::Random;
use dnsrouter::verdicts::Health;
use serde::Deserialize;
use tests::conformance::expect::{Product, Transport};
use tests::conformance::file::{self, CaseFile};
use tests::conformance::replay::{Server, check};
use tests::conformance::server;
use tests::figures;
use tests::scratch::Scratch;

use dns::mutation::{Defect, switch_to};

/// As few as would still prove something.
const LEAST: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    defect: String,
    does: String,
    rule: String,
}

/// The name server without its sockets.
struct InProcess {
    published: Published,
    worker: Worker,
    /// Whether a query could not be answered here: updates and signed ones need more than `answer`.
    deferred: bool,
}

#[test]
fn each_mutation_is_caught() {
    let files = file::load(&server::folder());
    let scratch = Scratch::new("mutations");
    let mut groups: Vec<(Vec<&CaseFile>, InProcess)> = server::groups(&files)
        .into_iter()
        .enumerate()
        .map(|(number, group)| {
            let server = InProcess::load(&group, &scratch, &format!("group-{number}"));
            (group, server)
        })
        .collect();

    switch_to(None);
    if let Some((failure, _)) = first_failure(&mut groups) {
        panic!("without a mutation:\n{failure}");
    }
    let mut survivors = Vec::new();
    for (Mutation { defect: name, does, rule }, defect) in list() {
        switch_to(Some(defect));
        match first_failure(&mut groups) {
            Some((_, place)) => figures::show(&format!("{name:<28} caught by {place}")),
            None => survivors.push(format!("{name}: {does} ({rule})")),
        }
    }
    assert!(survivors.is_empty(), "no case notices that …\n{}", survivors.join("\n"));
}

/// The list, which has to name every defect that there is once.
fn list() -> Vec<(Mutation, Defect)> {
    let path = server::folder().join("mutations.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let List { mutation: list } = toml::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let names = |defects: &mut dyn Iterator<Item = String>| {
        let mut names: Vec<String> = defects.collect();
        names.sort();
        names
    };
    let listed = names(&mut list.iter().map(|mutation| mutation.defect.clone()));
    let known = names(&mut Defect::ALL.iter().map(|defect| format!("{defect:?}")));
    assert_eq!(listed, known, "{path:?} lists the defects of dns::mutation");
    assert!(list.len() >= LEAST, "{} mutations, at least {LEAST} are wanted", list.len());
    let defect = |name: &str| {
        let found = Defect::ALL.iter().find(|defect| format!("{defect:?}") == name);
        *found.expect("the lists are equal")
    };
    list.into_iter()
        .map(|mutation| (defect(&mutation.defect), mutation))
        .map(|(d, m)| (m, d))
        .collect()
}

/// The first case that fails: what is wrong, and its place.
fn first_failure(groups: &mut [(Vec<&CaseFile>, InProcess)]) -> Option<(String, String)> {
    groups.iter_mut().find_map(|(group, server)| {
        group.iter().flat_map(|file| &file.cases).find_map(|case| {
            server.deferred = false;
            let failure = check(case, server).err().filter(|_| !server.deferred)?;
            Some((failure, format!("{} {:?}", case.place, case.name)))
        })
    })
}

impl InProcess {
    fn load(files: &[&CaseFile], scratch: &Scratch, folder: &str) -> InProcess {
        let config = server::dnsrouter_config(files, scratch, folder);
        let loaded =
            Loader::default().load(&config, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
        let inputs = loaded.inputs(Generation(1));
        let health = Health::new(inputs.services.targets.iter().map(|_| State::Up));
        let worker = Worker::with_random(Arc::new(Counters::default()), Random::from_seed(1));
        InProcess { published: Published::new(inputs, health), worker, deferred: false }
    }
}

impl Server for InProcess {
    fn product(&self) -> Product {
        Product::Dnsrouter
    }

    fn ask(
        &mut self,
        transport: Transport,
        from: Ipv4Addr,
        query: &[u8],
        _silence: bool,
    ) -> std::io::Result<Option<Vec<u8>>> {
        let query = Query {
            bytes: query,
            peer: SocketAddr::from((from, 4242)),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 53)),
            transport: match transport {
                Transport::Udp => answer::Transport::Udp,
                Transport::Tcp => answer::Transport::Tcp { idle: Duration::from_secs(10) },
            },
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        let mut out = vec![0; usize::from(u16::MAX)];
        match answer(&self.published.load(), &mut self.worker, query, &mut out) {
            answer::Reply::Bytes(length) => Ok(Some(out[..length].to_vec())),
            answer::Reply::Drop => Ok(None),
            answer::Reply::Deferred(_) => {
                self.deferred = true;
                Ok(None)
            }
        }
    }
}
