//! A region that gets more requests than it is good for sends its farthest clients on: services that
//! count their requests, the GeoPings beside them, a name server, and clients that follow its answers.
#![expect(clippy::disallowed_methods, reason = "looks at the clock and serves metrics")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};
use tests::authority::Authority;
use tests::figures;
use tests::name_server::NameServerPlan;
use tests::query::Ask;
use tests::region::RegionPlan;
use tests::scratch::Scratch;
use tests::wait;

const NAME: &str = "busy.test-net.io";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));

/// What the crowd asks for, in requests per second, and what each region is good for.
const CROWD: f64 = 1000.0;
const CAPACITY: [f64; 2] = [500.0, 5000.0];

/// Rates are averages over ten seconds, and prices go their way in steps; this is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// A service that shows how many requests it has had.
struct Service {
    metrics: SocketAddr,
    count: Arc<Mutex<Count>>,
}

struct Count {
    requests: f64,
    rate: f64,
    at: Instant,
}

impl Count {
    fn now(&mut self) -> u64 {
        let passed = self.at.elapsed();
        self.at += passed;
        self.requests += self.rate * passed.as_secs_f64();
        self.requests as u64
    }
}

impl Service {
    fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let metrics = listener.local_addr().expect("an address");
        let count = Count { requests: 0.0, rate: 0.0, at: Instant::now() };
        let count = Arc::new(Mutex::new(count));
        let shown = Arc::clone(&count);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                // One read holds the whole head; it is the same each time.
                let _ = stream.read(&mut [0; 4096]);
                let count = shown.lock().expect("nobody panics with it").now();
                let body = format!("requests_total{{method=\"Get\"}} {count}\n");
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Service { metrics, count }
    }

    fn serve(&self, rate: f64) {
        let mut count = self.count.lock().expect("nobody panics with it");
        count.now();
        count.rate = rate;
    }

    fn geoping(&self) -> String {
        let metrics = self.metrics;
        format!(
            "[backend]\ntcp = \"{metrics}\"\n[backend.requests]\n\
             metrics = \"http://{metrics}/metrics\"\ncounter = \"requests_total\"\n"
        )
    }
}

#[test]
fn answers_move_when_a_region_says_that_it_gets_too_much() {
    let scratch = Scratch::new("balance");
    let authority = Authority::create(&scratch, "pki");
    let services = [Service::start(), Service::start()];
    let names = ["us-central1", "europe-west3"];
    let regions = [0, 1].map(|i| {
        RegionPlan::new(names[i]).more(&services[i].geoping()).start(&scratch, &authority)
    });
    let mut more =
        format!("\n[[service]]\nname = \"{NAME}\"\nttl = 10\nroute = [\"healthy\", \"load\"]\n");
    for (i, address) in [HERE, THERE].into_iter().enumerate() {
        more += &format!(
            "[[service.endpoint]]\nregion = \"{}\"\naddresses = [\"{address}\"]\n\
             capacity = {}\nping = \"https://{}\"\n",
            names[i],
            CAPACITY[i],
            regions[i].grpc()
        );
    }
    let server = NameServerPlan::new("ns1").more(&more).start(&scratch, &authority);
    let crowd = crowd(server.dns());

    let crowded = AtomicU64::new(CROWD as u64);
    // Where everybody is sent, as a share of the crowd; the services serve them.
    let follow = || {
        let here = crowd.iter().filter(|ask| ask.expect().addresses() == [HERE]).count();
        let share = here as f64 / crowd.len() as f64;
        let all = crowded.load(Ordering::Relaxed) as f64;
        services[0].serve(all * share);
        services[1].serve(all * (1.0 - share));
        share
    };
    assert!(follow() > 0.99, "everybody is nearer to here");
    let full = CAPACITY[0] / CROWD;
    wait::until("a part of the crowd to be sent on", DEADLINE, || follow() < 0.99);
    // As many as there is room for stay: from the low water mark to all of the capacity, for a while.
    let mut since = Instant::now();
    let mut worst: (f64, f64) = (1.0, 0.0);
    wait::until("the region to be full, and no more than full", DEADLINE, || {
        let share = follow();
        if !(0.8 * full..=full).contains(&share) {
            (since, worst) = (Instant::now(), (1.0, 0.0));
        } else {
            worst = (worst.0.min(share), worst.1.max(share));
        }
        since.elapsed() > Duration::from_secs(15)
    });
    figures::show(&format!(
        "a region good for {} of {CROWD} requests per second is sent {:.0} to {:.0}",
        CAPACITY[0],
        worst.0 * CROWD,
        worst.1 * CROWD
    ));

    crowded.store((CROWD / 4.0) as u64, Ordering::Relaxed);
    wait::until("everybody to come home when there is room", DEADLINE, || follow() > 0.99);
}

/// Clients in America who are answered with the region there.
fn crowd(server: SocketAddr) -> Vec<Ask> {
    let networks = (3..220_u8).flat_map(|a| [0, 64, 128, 192].map(|b| Ipv4Addr::new(a, b, 0, 0)));
    let ask = |network| {
        let subnet = IpNet::V4(Ipv4Net::new(network, 24).expect("a prefix"));
        Ask::a(server, NAME).subnet(subnet)
    };
    let here = networks.map(ask).filter(|ask| ask.expect().addresses() == [HERE]);
    let crowd: Vec<Ask> = here.take(250).collect();
    assert!(crowd.len() >= 200, "only {} networks", crowd.len());
    crowd
}
