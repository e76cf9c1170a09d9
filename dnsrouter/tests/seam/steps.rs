//! Routes of all steps, at random: whoever is inside a returned scope gets the same answer, everybody
//! stays inside their fence, and nobody gets nothing.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use dnsrouter::answer::Transport;
use dnsrouter::health::State;
use dnsrouter::plan::{Generation, Published, Snapshot};
use dnsrouter::random::Random;
use dnsrouter::verdicts::{Health, Stance, Stances, Verdict};
use geo::Source;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use crate::routing::{any_client, bits, inside, masked};
use crate::world::{CONFIG, addresses, ask, published, query, scope};

const REGIONS: [&str; 5] =
    ["us-central1", "europe-west3", "asia-southeast1", "australia-southeast1", "europe-west1"];

/// In fences and preferences: wider than all caps, nested in each other and in private space.
const NETWORKS: [&str; 6] =
    ["8.8.0.0/16", "8.0.0.0/9", "10.1.0.0/16", "2001:db8::/32", "2a00::/12", "1.0.0.0/12"];

/// Routes of one configuration.
const SERVICES: usize = 96;

/// A service, as it was made up.
struct MadeUp {
    /// By endpoint: its region and its addresses.
    endpoints: Vec<(&'static str, Vec<IpAddr>)>,
    /// Networks, regions, and what is stated.
    fence: Vec<(Vec<&'static str>, Vec<&'static str>, Vec<IpAddr>)>,
    text: String,
}

struct Dice(Random);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        (self.0.next() % n as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.below(2) == 0).collect()
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn made_up(number: usize) -> MadeUp {
    let mut dice = Dice(Random::from_seed(number as u64));
    let mut fence = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..1 + dice.below(5) {
        steps.push(match dice.below(10) {
            0 | 1 => "\"healthy\"".to_owned(),
            2 => format!("{{ failover = [[{}]] }}", quoted(&dice.some(&REGIONS))),
            3 => "\"nearest\"".to_owned(),
            4 => {
                let within = dice.one(&["40 %", "2000 km", "0 km"]);
                let biased = dice.one(&REGIONS);
                let bias = dice.below(199) as i64 - 99;
                let networks = quoted(&[dice.one(&NETWORKS)]);
                let preferred = quoted(&[dice.one(&REGIONS)]);
                format!(
                    "{{ nearest = {{ within = \"{within}\", bias = {{ \"{biased}\" = {bias} }}, \
                     prefer = [{{ clients = [{networks}, \"continent:EU\"], regions = [{preferred}] }}] }} }}"
                )
            }
            5 => "\"weighted\"".to_owned(),
            6 => "\"sticky\"".to_owned(),
            7 => "\"round-robin\"".to_owned(),
            8 => "{ \"least-connections\" = { within = \"50 %\" } }".to_owned(),
            _ => "{ fair = { demand = 100 } }".to_owned(),
        });
    }
    if dice.below(2) == 0 {
        let mut rules = String::new();
        for _ in 0..1 + dice.below(3) {
            let mut networks = dice.some(&NETWORKS);
            networks.push(dice.one(&NETWORKS));
            networks.dedup();
            let regions = dice.some(&REGIONS);
            let refuse: Vec<IpAddr> = dice
                .some(&["192.0.2.200", "2001:db8:f::200"])
                .iter()
                .map(|a| a.parse().unwrap())
                .collect();
            let stated: Vec<_> = refuse.iter().map(|a| format!("\"{a}\"")).collect();
            let (n, r) = (quoted(&networks), quoted(&regions));
            write!(
                rules,
                "{{ clients = [{n}], regions = [{r}], refuse = [{}] }},",
                stated.join(", ")
            )
            .unwrap();
            fence.push((networks, regions, refuse));
        }
        steps.push(format!("{{ fence = [{rules}] }}"));
    }
    if dice.below(2) == 0 {
        steps.push(format!("{{ take = {} }}", 1 + dice.below(3)));
    }
    let mut text = format!(
        "[[service]]\nname = \"s{number}.test-net.io\"\nttl = 60\nroute = [{}]\n",
        steps.join(", ")
    );
    let mut endpoints = Vec::new();
    for endpoint in 0..1 + dice.below(6) {
        let region = dice.one(&REGIONS);
        let mut own = vec![format!("203.0.{number}.{endpoint}")];
        if dice.below(2) == 0 {
            own.push(format!("2001:db8:ffff:{number:x}::{endpoint:x}"));
        }
        let weight = dice.below(4);
        let ping = format!("https://{}:443", own[0]);
        write!(
            text,
            "[[service.endpoint]]\nregion = \"{region}\"\naddresses = {own:?}\nweight = {weight}\n\
             capacity = {}\nping = \"{ping}\"\n",
            1 + weight
        )
        .unwrap();
        endpoints.push((region, own.iter().map(|a| a.parse().unwrap()).collect()));
    }
    MadeUp { endpoints, fence, text }
}

static MADE_UP: LazyLock<Vec<MadeUp>> = LazyLock::new(|| (0..SERVICES).map(made_up).collect());

/// Wider caps than the networks would hide them.
static PUBLISHED: LazyLock<[Published; 3]> = LazyLock::new(|| {
    [(24, 48), (17, 40), (28, 64)].map(|(v4, v6)| {
        let geo = format!("[geo]\nscope_v4 = {v4}\nscope_v6 = {v6}\n[geo.networks]");
        let mut config = CONFIG.replace("[geo.networks]", &geo);
        MADE_UP.iter().for_each(|service| config.push_str(&service.text));
        published(&config)
    })
});

/// Some dead, some busy, some drained.
fn shake(published: &Published, seed: u64) {
    let mut dice = Dice(Random::from_seed(seed));
    let snapshot = published.load();
    let services = &snapshot.inputs.services;
    let mut health = Health::new(services.targets.iter().map(|_| {
        let state = dice.one(&[State::Up, State::Up, State::Unknown, State::Down, State::Draining]);
        let warm = dice.one(&[u16::MAX, 1000]);
        Verdict { warm, told: true, in_flight: dice.below(9) as u32, ..state.into() }
    }));
    let stances = services.locations.iter().map(|_| {
        let gone = dice.below(1 << 16) as u16;
        let all =
            [Stance::Measured, Stance::Measured, Stance::Draining { gone }, Stance::ForcedDown];
        dice.one(&all)
    });
    health.set_stances(Arc::new(Stances { locations: stances.collect(), ..Stances::default() }));
    published.apply_health(Generation(1), health).unwrap();
}

fn asked(
    snapshot: &Snapshot,
    service: usize,
    rtype: RecordType,
    client: (IpAddr, u8),
    seed: u64,
) -> Message {
    let bytes = query(&format!("s{service}.test-net.io."), rtype, Some(client));
    ask(snapshot, &bytes, Transport::Udp, seed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn all_of_a_scope_are_answered_alike_inside_their_fence_and_never_with_nothing(
        service in 0..SERVICES,
        is_v4: bool,
        (client, source) in any_client(),
        (other, other_source) in any_client(),
        table in 0..3_usize,
        noise: u128,
        seeds: [u64; 3],
    ) {
        let published = &PUBLISHED[table];
        // States change seldom, so that cases meet others made of the same ones.
        shake(published, seeds[2] % 64);
        let snapshot = published.load();
        let rtype = if is_v4 { RecordType::A } else { RecordType::AAAA };
        let (source, client) = (source.max(1), masked(client, source.max(1)));
        let first = asked(&snapshot, service, rtype, (client, source), seeds[0]);
        let scope = scope(&first);

        let shares = |other: &IpAddr| {
            other.is_ipv4() == client.is_ipv4() && masked(*other, scope) == masked(client, scope)
        };
        let other = Some(other).filter(shares).unwrap_or_else(|| inside(client, scope, noise));
        let length = scope.max(other_source % (bits(other) + 1)).max(1);
        let other = masked(other, length);
        let second = asked(&snapshot, service, rtype, (other, length), seeds[1]);
        let route = || MADE_UP[service].text.lines().nth(3).unwrap_or_default();
        prop_assert_eq!(
            (first.response_code, addresses(&first)), (second.response_code, addresses(&second)),
            "{}/{} gave scope {}; {}/{} got another answer; {}",
            client, source, scope, other, length, route()
        );

        // Somebody in a private network is answered for the resolver, who is in no rule.
        let hit = snapshot.inputs.geo.table.lookup_subnet(client);
        let who = if hit.source == Source::Special { "198.51.100.1".parse().unwrap() } else { client };
        let made_up = &MADE_UP[service];
        let holds = |net: &&str| net.parse::<ipnet::IpNet>().unwrap().contains(&who);
        let rule = made_up.fence.iter().find(|(networks, ..)| networks.iter().any(holds));
        let within: Vec<_> = made_up.endpoints.iter()
            .filter(|(region, _)| rule.is_none_or(|(_, regions, _)| regions.contains(region)))
            .collect();
        let of_type = |all: &[IpAddr]| all.iter().copied().filter(|a| a.is_ipv4() == is_v4).collect::<Vec<_>>();
        let allowed: Vec<IpAddr> = within.iter().flat_map(|(_, own)| of_type(own)).collect();
        let got = addresses(&first);
        let code = first.response_code;
        match rule {
            _ if !allowed.is_empty() => {
                prop_assert!(!got.is_empty() && got.iter().all(|a| allowed.contains(a)), "{:?}; {}", got, route());
                prop_assert_eq!(code, ResponseCode::NoError);
            }
            // What the service has nowhere is no data for everybody.
            Some(_) if made_up.endpoints.iter().all(|(_, own)| of_type(own).is_empty()) => {
                prop_assert_eq!((code, got), (ResponseCode::NoError, vec![]));
            }
            Some((_, _, refuse)) if within.is_empty() && !refuse.is_empty() => {
                prop_assert_eq!((code, got), (ResponseCode::NoError, of_type(refuse)));
            }
            Some(_) if within.is_empty() => {
                prop_assert_eq!((code, got), (ResponseCode::Refused, vec![]));
            }
            _ => {
                prop_assert_eq!((code, got), (ResponseCode::NoError, vec![]));
                prop_assert_eq!(first.authorities.len(), 1, "the SOA of no data");
            }
        }
    }
}

/// An answer with scope 0 is for private networks too, also while a region is being drained.
#[test]
fn who_is_answered_for_a_resolver_leaves_with_everybody() {
    let config = CONFIG.to_owned()
        + "[[service]]\nname = \"all.test-net.io\"\nttl = 60\nroute = [\"healthy\"]\n\
           [[service.endpoint]]\nregion = \"us-central1\"\naddresses = [\"203.0.113.50\"]\n\
           [[service.endpoint]]\nregion = \"europe-west3\"\naddresses = [\"203.0.113.51\"]\n";
    let published = published(&config);
    for gone in (0..u16::MAX).step_by(1 << 10) {
        let mut health = Health::clone(&published.load().health);
        let locations = [Stance::Draining { gone }].into();
        health.set_stances(Arc::new(Stances { locations, ..Stances::default() }));
        published.apply_health(Generation(1), health).unwrap();
        let snapshot = published.load();
        let of = |client: [u8; 4]| {
            let bytes = query("all.test-net.io.", RecordType::A, Some((client.into(), 24)));
            let reply = ask(&snapshot, &bytes, Transport::Udp, 1);
            (addresses(&reply), scope(&reply))
        };
        let (everywhere, scope) = of([4, 0, 0, 0]);
        assert_eq!(scope, 0);
        assert_eq!(of([192, 168, 7, 0]).0, everywhere, "{gone}");
    }
}
