//! What callers are told, and what is refused to be built.

use std::net::IpAddr;
use std::sync::Mutex;

use geo::{Country, Place, ScopeCap, TableBuilder};

use super::*;
use crate::caller::CallerPlace;

#[test]
fn the_reply_tells_the_place_the_state_and_the_load() {
    let (clock, service) = service();
    let (_told, condition) = watch::channel(Condition::degraded("slow"));
    let service = service
        .node("us-central1-a")
        .location(Point::new(1.5, 2.5).unwrap())
        .capacity(NonZeroU64::new(5000).unwrap())
        .backend(condition)
        .build()
        .unwrap();
    clock.advance(Duration::new(616 * 3600 + 22 * 60 + 17, 12_357_708));
    service.load().set_cpu(0.25);
    service.load().tell_rate(Some(7.5));
    let _call = service.load().enter();
    let expected = v1::ServerStatusReply {
        region: "us-central1".into(),
        version: "1.2.3".into(),
        uptime: "616h22m17.012357708s".into(),
        status: "DEGRADED".into(),
        node: "us-central1-a".into(),
        state: v1::State::Degraded.into(),
        location: Some(v1::Location { latitude: 1.5, longitude: 2.5 }),
        caller: Some(v1::Caller::default()),
        load: Some(v1::Load { in_flight: 1, cpu: 0.25, rate: Some(7.5) }),
        capacity: 5000,
        draining: false,
        detail: "slow".into(),
    };
    assert_eq!(service.reply(&Caller::default()), expected);
}

#[test]
fn a_drain_shows_at_once_and_can_be_taken_back() {
    let service = service().1.build().unwrap();
    let mut draining = service.draining();
    let told = |service: &Service| {
        let reply = service.reply(&Caller::default());
        (reply.status, reply.draining, reply.detail.is_empty())
    };
    assert_eq!(told(&service), ("OK".into(), false, true));
    service.drain();
    assert_eq!(told(&service), ("DRAINING".into(), true, false));
    assert!(draining.has_changed().unwrap());
    draining.mark_unchanged();
    service.clone().drain();
    assert!(!draining.has_changed().unwrap(), "draining twice is draining once");
    service.resume();
    assert_eq!(told(&service), ("OK".into(), false, true));
}

#[test]
fn a_dead_backend_is_told_even_while_draining() {
    let (told, condition) = watch::channel(Condition::ok());
    let service = service().1.backend(condition).build().unwrap();
    service.drain();
    told.send_replace(Condition::unavailable("refused"));
    let reply = service.reply(&Caller::default());
    assert_eq!((&*reply.status, reply.draining, &*reply.detail), ("UNAVAILABLE", true, "refused"));
    drop(told);
    assert_eq!(service.state(), State::Unavailable, "the last word of a watcher stands");
}

#[test]
fn facts_are_swapped_as_a_whole() {
    let service = service().1.build().unwrap();
    assert_eq!(service.reply(&Caller::default()).capacity, 0, "not stated");
    service.set_facts(Facts { capacity: NonZeroU64::new(7), places: Some(Arc::new(table())) });
    assert_eq!(service.reply(&Caller::default()).capacity, 7);
    assert!(service.facts().places.is_some());
}

#[tokio::test]
async fn the_caller_is_placed_by_the_address_it_is_seen_from() {
    let service = service().1.places(Arc::new(table())).build().unwrap();
    let identity: Identity = "spiffe://test-net.io/user/ada".parse().unwrap();
    // Address as seen; address and country as told.
    let cases = [
        ("192.0.2.77", "192.0.2.77", "DE"),
        ("::ffff:192.0.2.77", "192.0.2.77", "DE"),
        ("2001:db8::1", "2001:db8::1", "FR"),
        ("203.0.113.1", "203.0.113.1", ""),
    ];
    for (seen, address, country) in cases {
        let mut request = tonic::Request::new(v1::RegionRequest { region: String::new() });
        let ip: IpAddr = seen.parse().unwrap();
        let peer = Peer { address: (ip, 50_000).into(), identity: Ok(identity.clone()) };
        request.extensions_mut().insert(peer);
        let caller = service.status(request).await.unwrap().into_inner().caller.unwrap();
        assert_eq!((&*caller.address, &*caller.country), (address, country), "{seen}");
        assert_eq!(caller.location.is_some(), !country.is_empty(), "{seen}");
        assert_eq!(caller.identity, identity.to_string());
    }
}

#[test]
fn a_point_of_its_own_wins_over_the_middle_of_the_country() {
    let point = Point::new(48.1, 11.6).unwrap();
    let mut builder = TableBuilder::new(ScopeCap::default());
    let place = Place { country: Some(country("DE")), point: Some(point) };
    builder.network("192.0.2.0/24".parse().unwrap(), place).unwrap();
    let expected = CallerPlace { country: Some(country("DE")), point: Some(point) };
    assert_eq!(place_of(&builder.freeze(), "192.0.2.1".parse().unwrap()), expected);
}

#[test]
fn what_callers_could_not_place_is_not_built() {
    let error = Service::builder("us-cental1", "1").build().unwrap_err();
    assert!(error.to_string().ends_with("did you mean 'us-central1'?"), "{error}");
    let here = Point::new(0.0, 0.0).unwrap();
    assert!(Service::builder("attic", "1").location(here).build().is_ok());
    let empty = [
        (Service::builder("", "1").location(here).node("n"), "region"),
        (Service::builder("attic", "").location(here), "version"),
        (Service::builder("attic", "1").location(here).node(""), "node"),
    ];
    for (builder, what) in empty {
        assert_eq!(builder.build().unwrap_err(), BuildError::Empty(what));
    }
}

#[test]
fn the_exposition_has_every_figure_of_the_service() {
    let (clock, builder) = service();
    let service = builder.capacity(NonZeroU64::new(50).unwrap()).build().unwrap();
    clock.advance(Duration::from_millis(1500));
    service.drain();
    let text = pings::exposition(&service);
    for line in [
        "geoping_in_flight 0",
        "geoping_cpu_share 0",
        "geoping_uptime_seconds 1.5",
        "geoping_capacity 50",
        "geoping_draining 1",
        "# TYPE geoping_draining gauge",
    ] {
        assert!(text.lines().any(|one| one == line), "no {line:?} in\n{text}");
    }
}

/// A clock that stands still until it is told.
#[derive(Clone)]
struct Hand(Arc<Mutex<Instant>>);

impl Hand {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

fn service() -> (Hand, Builder) {
    let clock = Hand(Arc::new(Mutex::new(SystemClock.now())));
    (clock.clone(), Service::builder("us-central1", "1.2.3").clock(clock))
}

fn table() -> Table {
    let mut builder = TableBuilder::new(ScopeCap::default());
    builder.network("192.0.2.0/24".parse().unwrap(), country("DE").into()).unwrap();
    builder.network("2001:db8::/32".parse().unwrap(), country("FR").into()).unwrap();
    builder.freeze()
}

fn country(code: &str) -> Country {
    code.parse().unwrap()
}
