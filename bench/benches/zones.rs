//! What a million names cost: time to read them and to freeze them; octets of the frozen table for
//! each name, and of the process while it loads. Three forms: one zone of a million names, ten
//! thousand zones of a hundred, and twenty thousand of fifty.
//!
//! Times are of the processor, so that they mean something on a busy machine. Each form runs in a
//! process of its own, so that peaks do not add up.
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use bench::{memory, processor};
use dns::name::{LowerName, Name};
use dns::resolve::Resolution;
use dns::rr::Rtype;
use dns::zone::{ZoneData, Zones};
use dns::zonefile::{self, Source};

/// Zones, and names of each that have data beside the apex.
const FORMS: [(usize, usize); 3] = [(1, 1_000_000), (10_000, 100), (20_000, 50)];

/// Which form a child measures.
const FORM: &str = "GEOPING_BENCH_FORM";

fn main() {
    let Some(form) = std::env::var(FORM).ok() else {
        println!(
            "{:>6} × {:<9} {:>8} {:>8} {:>14} {:>14} {:>12}",
            "zones", "names", "parse", "freeze", "frozen", "peak", "look-up"
        );
        let this = std::env::current_exe().expect("a program knows its own path");
        for form in 0..FORMS.len() {
            let child = Command::new(&this).env(FORM, form.to_string()).status();
            assert!(child.is_ok_and(|status| status.success()), "form {form}");
        }
        return;
    };
    let (zones, names) = FORMS[form.parse::<usize>().expect("a number")];
    measure(zones, names);
}

fn measure(zones: usize, names: usize) {
    let before = memory("VmRSS");
    let (mut parsing, mut data) = (Duration::ZERO, Vec::with_capacity(zones));
    for zone in 0..zones {
        let text = text(names);
        let apex: Name = format!("zone{zone}.example.").parse().expect("a name");
        let start = processor();
        data.push(parse(&apex, &text));
        parsing += processor() - start;
    }
    let start = processor();
    let frozen = Zones::freeze(&data, &[], [1, 2]).expect("the zones are good");
    let freezing = processor() - start;
    drop(data);

    let all = frozen.names().count();
    let octets = frozen.memory_bytes();
    println!(
        "{zones:>6} × {names:<9} {:>6.2} s {:>6.2} s {:>5} MB {:>3} B/n {:>5} MB {:>3} B/n {:>9} ns",
        parsing.as_secs_f64(),
        freezing.as_secs_f64(),
        octets >> 20,
        octets / all,
        (memory("VmHWM") - before) >> 20,
        (memory("VmHWM") - before) / all,
        look_up(&frozen, zones, names).as_nanos(),
    );
}

/// A zone of names with an address each, every tenth also with a text.
fn text(names: usize) -> String {
    let mut text =
        "$TTL 300\n@ SOA ns hostmaster 7 2h 30m 2w 60\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    for name in 0..names {
        let [_, a, b, c] = (name as u32).to_be_bytes();
        let _ = writeln!(text, "host-{name} A 10.{a}.{b}.{c}");
        if name % 10 == 0 {
            let _ = writeln!(text, "host-{name} TXT \"number {name} of many\"");
        }
    }
    text
}

fn parse(apex: &Name, text: &str) -> ZoneData {
    let source = Source { name: "zone", text: text.as_bytes() };
    let loaded = zonefile::parse(apex, source, &mut |_, _| Err(String::new()));
    loaded.unwrap_or_else(|errors| panic!("{errors:?}")).zone
}

/// The time of one look-up, over names far apart.
fn look_up(frozen: &Zones, zones: usize, names: usize) -> Duration {
    const LOOK_UPS: u32 = 200_000;
    let asked: Vec<LowerName> = (0..LOOK_UPS as usize)
        .map(|i| {
            let (zone, name) = (i * 7_919 % zones, i * 104_729 % names);
            let name: Name = format!("host-{name}.zone{zone}.example.").parse().expect("a name");
            LowerName::from(&name)
        })
        .collect();
    let mut found = Resolution::new();
    let start = processor();
    for name in &asked {
        frozen.resolve(name, Rtype::A, &mut found);
        assert!(found.answer().next().is_some());
    }
    (processor() - start) / LOOK_UPS
}
