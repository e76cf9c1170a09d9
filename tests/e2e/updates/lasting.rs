//! What was acknowledged stays: after kill -9, and with reloads in between.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hickory_proto::op::ResponseCode;
use rustix::process::Signal;
use tests::figures;
use tests::name_server::NameServer;
use tests::scratch::Scratch;
use tests::wait;

use crate::nsupdate::Nsupdate;
use crate::server::{KEY, RELOAD, ZONE, by, start, txt};

/// What a writer was told, while it could write.
#[derive(Default)]
struct Told {
    /// Pairs of records that an update added.
    acknowledged: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Told {
    /// Adds two records at a time until told to stop, whatever happens.
    fn write(&self, server: SocketAddr, writer: usize) {
        // Over TCP a killed server is noticed at once.
        let by = Nsupdate { tcp: true, ..by(server, Some(KEY)) };
        for i in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("w{writer}-{i}");
            let [a, b] = ["a", "b"]
                .map(|half| format!("update add {name}-{half}.dyn.example 60 TXT {name}"));
            if by.send("dyn.example", &[&a, &b]).is_ok() {
                self.acknowledged.lock().expect("nobody panics").push(name);
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("nobody panics").len()
    }

    /// Everything that was acknowledged is served.
    fn judge(&self, server: SocketAddr) {
        for name in self.acknowledged.lock().expect("nobody panics").iter() {
            for half in ["a", "b"] {
                let texts = txt(server, &format!("{name}-{half}.dyn.example"));
                assert_eq!(texts.as_deref(), Ok(&[name.clone()][..]), "acknowledged and lost");
            }
        }
    }
}

/// Fault 38: what was acknowledged before kill -9 is there, and nothing is half there.
#[test]
fn an_acknowledged_update_outlives_kill_9() {
    const ROUNDS: usize = 12;
    let scratch = Scratch::new("updates-killed");
    let mut server = start(&scratch, 0);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let told = Told::default();
        let dns = server.dns();
        thread::scope(|scope| {
            for writer in [2 * round, 2 * round + 1] {
                let told = &told;
                scope.spawn(move || told.write(dns, writer));
            }
            // Killed in the middle of one, a different one each time.
            wait::until("acknowledged updates", RELOAD, || told.count() >= 2 + round % 5);
            server.kill();
            told.stop.store(true, Ordering::Relaxed);
        });
        server.revive();
        all.push(told);
        all.iter().for_each(|told| told.judge(server.dns()));
    }
    let acknowledged: usize = all.iter().map(Told::count).sum();
    figures::show(&format!(
        "updates: {ROUNDS} times kill -9, {acknowledged} acknowledged, none lost"
    ));
    // Both halves of each, or neither: also of those that nobody was told of.
    for (round, told) in all.iter().enumerate() {
        for writer in [2 * round, 2 * round + 1] {
            for i in 0..told.count() + 2 {
                let half =
                    |half| txt(server.dns(), &format!("w{writer}-{i}-{half}.dyn.example")).is_ok();
                assert_eq!(half("a"), half("b"), "half of an update");
            }
        }
    }
}

#[test]
fn reloads_and_updates_do_not_pass_each_other() {
    let scratch = Scratch::new("updates-reloaded");
    let mut server = start(&scratch, 0);
    let dns = server.dns();
    let told = Told::default();
    let reloads = |server: &NameServer| {
        server.metrics().labelled("dnsrouter_config_reloads_total", &["applied"])
    };
    thread::scope(|scope| {
        for writer in 0..2 {
            let told = &told;
            scope.spawn(move || told.write(dns, writer));
        }
        for round in 0..8 {
            let before = reloads(&server);
            // The file changes too, which no reload may take for the zone.
            scratch.write("dyn.zone", format!("{ZONE}round{round} TXT x\n"));
            server.process().signal(Signal::HUP);
            wait::until("the reload", RELOAD, || reloads(&server) > before);
            wait::until("updates", RELOAD, || told.count() > 2 * round);
            told.judge(dns);
        }
        told.stop.store(true, Ordering::Relaxed);
    });
    told.judge(dns);
    server.kill();
    server.revive();
    told.judge(server.dns());
    assert_eq!(txt(server.dns(), "round7.dyn.example"), Err(ResponseCode::NXDomain));
    assert_eq!(server.metrics().sum("dnsrouter_alarms"), 1.0, "the file is another");
}
