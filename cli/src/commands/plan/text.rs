//! A plan for people: each service that changes, then all together, then what to look at.

use std::fmt::Write as _;

use proto::dnsrouter::v1 as wire;

use super::{Args, Plan};
use crate::exit::one_line;
use crate::output;

/// Shares that are smaller are rounding.
const NOTHING: f64 = 1e-9;
/// Flows that a line names; the rest is counted.
const FLOWS: usize = 2;

pub(super) fn of(args: &Args, plan: &Plan) -> String {
    let head = &plan.head;
    let mut out = format!(
        "{}, computed by {} (plan {})\n{}\n",
        question(args),
        one_line(&head.node),
        head.generation,
        who(args, head)
    );
    for note in &head.notes {
        let _ = writeln!(out, "note: {}", one_line(note));
    }
    let shown = |service: &&wire::PlanService| {
        !args.services.is_empty() || plan.services.len() == 1 || changes(service)
    };
    for service in plan.services.iter().filter(shown) {
        let types: Vec<String> = service.types.iter().map(|word| one_line(word)).collect();
        let change = match service.change.as_str() {
            "same" => String::new(),
            other => format!("   {}", one_line(other)),
        };
        let _ = writeln!(out, "\n{}   {}{change}", one_line(&service.name), types.join(", "));
        out.push_str(&output::indent(&figures(service), 2));
    }
    if let Some(total) = plan.total.as_ref().filter(|total| total.services > 1) {
        let _ = writeln!(out, "\nall {} services, each counted alike", total.services);
        out.push_str(&output::indent(&figures(total), 2));
    }
    out.push('\n');
    out.push_str(&findings(plan, plan.services.iter().filter(shown).count()));
    out
}

fn question(args: &Args) -> String {
    let gone = (!args.without.is_empty()).then(|| format!("without {}", args.without.join(", ")));
    let config = args.config.as_ref().map(|file| format!("with {}", file.display()));
    one_line(&config.into_iter().chain(gone).collect::<Vec<_>>().join(", "))
}

fn who(args: &Args, head: &wire::PlanHead) -> String {
    match &args.clients {
        Some(file) => format!(
            "clients: {} of {} prefixes in {}",
            head.clients,
            head.prefixes,
            one_line(&file.display().to_string())
        ),
        None => {
            "clients: the routed world, each /24 and each /48 alike, half of them IPv6".to_owned()
        }
    }
}

fn changes(service: &wire::PlanService) -> bool {
    service.change != "same"
        || service.moved > NOTHING
        || service.readdressed > NOTHING
        || (service.fail_open_before - service.fail_open_after).abs() > NOTHING
}

/// Regions, who moves, countries.
fn figures(service: &wire::PlanService) -> String {
    let mut out = shares(service);
    let _ = writeln!(out, "{}", who_moves(service));
    let rows: Vec<[String; 5]> = service.countries.iter().map(|one| row(one, service)).collect();
    if !rows.is_empty() {
        out.push_str(&output::table(
            &["COUNTRY", "CLIENTS", "MOVE", "OF MOVES", "FROM → TO"],
            rows,
        ));
    }
    if service.more_countries > 0 {
        let _ = writeln!(out, "and {} more countries (--countries)", service.more_countries);
    }
    out
}

fn shares(service: &wire::PlanService) -> String {
    let loaded = service.shares.iter().any(|share| share.capacity >= 0.0);
    let mut header = vec!["REGION", " BEFORE", "  AFTER", "POINTS"];
    if loaded {
        header.push("LOAD OF CAPACITY");
    }
    let rows = service.shares.iter().map(|share| {
        let name = match share.region.as_str() {
            "" => format!("({})", one_line(&share.instead)),
            region => one_line(region),
        };
        let mut row = vec![
            name,
            percent(share.before),
            percent(share.after),
            points(share.after - share.before),
        ];
        if loaded {
            row.push(load(share));
        }
        row
    });
    output::table(&header, rows)
}

/// `81 → 104 % of 5000/s`, as far as it is known; a `!` where that is too much.
fn load(share: &wire::PlanShare) -> String {
    if share.capacity < 0.0 {
        return "-".to_owned();
    }
    let part = |rate: f64| match rate < 0.0 || share.capacity <= 0.0 {
        true => "?".to_owned(),
        false => format!("{:.0}", rate / share.capacity * 100.0),
    };
    let mark = if is_above(share) { " !" } else { "" };
    let (before, after) = (part(share.rate_before), part(share.rate_after));
    format!("{before} → {after} % of {:.0}/s{mark}", share.capacity)
}

fn is_above(share: &wire::PlanShare) -> bool {
    share.capacity >= 0.0 && share.rate_after > share.capacity
}

fn who_moves(service: &wire::PlanService) -> String {
    let mut out = match service.moved > NOTHING {
        true => format!("{} of clients move", percent(service.moved).trim()),
        false => "nobody moves".to_owned(),
    };
    if service.readdressed > NOTHING {
        let share = percent(service.readdressed);
        let _ = write!(out, ", {} get other addresses of their region", share.trim());
    }
    let kilometres = |km: f64| if km < 0.0 { "?".to_owned() } else { format!("{km:.0} km") };
    let (before, after) = (service.kilometres_before, service.kilometres_after);
    if before >= 0.0 || after >= 0.0 {
        let _ = write!(out, "; mean distance {} → {}", kilometres(before), kilometres(after));
    }
    out
}

fn row(one: &wire::PlanCountry, service: &wire::PlanService) -> [String; 5] {
    let country =
        if one.country.is_empty() { "unknown".to_owned() } else { one_line(&one.country) };
    let part = |of: f64| if of > 0.0 { one.moved / of } else { 0.0 };
    let mut flows: Vec<String> = one
        .flows
        .iter()
        .take(FLOWS)
        .map(|flow| {
            let share = if one.moved > 0.0 { flow.share / one.moved } else { 0.0 };
            let to = format!("{} → {}", one_line(&flow.from), one_line(&flow.to));
            if one.flows.len() == 1 { to } else { format!("{to} {}", percent(share).trim()) }
        })
        .collect();
    if one.flows.len() > FLOWS {
        flows.push(format!("{} more ways", one.flows.len() - FLOWS));
    }
    [
        country,
        percent(one.clients),
        percent(part(one.clients)),
        percent(part(service.moved)),
        flows.join("\n"),
    ]
}

/// What one should not overlook; and what is well.
fn findings(plan: &Plan, shown: usize) -> String {
    let mut out = String::new();
    let quiet = plan.services.len() - shown;
    if quiet > 0 {
        let _ = writeln!(out, "{quiet} of {} stay as they are", count(plan.services.len()));
    }
    for service in &plan.services {
        let name = one_line(&service.name);
        for share in service.shares.iter().filter(|share| is_above(share)) {
            let _ = writeln!(
                out,
                "TOO MUCH: {name} in {}: {:.0} of {:.0} requests per second",
                one_line(&share.region),
                share.rate_after,
                share.capacity
            );
        }
        if service.fail_open_after > service.fail_open_before + NOTHING {
            let _ = writeln!(
                out,
                "FAIL OPEN: {name}: for {} of clients too little would be left, and be answered as \
                 if it were up",
                percent(service.fail_open_after).trim()
            );
        }
    }
    let refused = |side: fn(&wire::PlanShare) -> f64| -> usize {
        let none =
            |share: &&wire::PlanShare| share.instead.starts_with("fence") && side(share) > 0.0;
        plan.services.iter().filter(|service| service.shares.iter().any(|s| none(&s))).count()
    };
    let fences = match (refused(|share| share.before), refused(|share| share.after)) {
        (0, 0) => "no fence refuses anybody".to_owned(),
        (before, after) if before == after => {
            format!("fences refuse somebody in {} as they do now", count(after))
        }
        (before, after) => format!("fences refuse somebody in {}, now {before}", count(after)),
    };
    let empty = plan.services.iter().flat_map(|service| &service.shares);
    let empty = empty.filter(|share| share.instead == EMPTY && share.after > 0.0).count();
    let empty = match empty {
        0 => "no name becomes empty".to_owned(),
        some => format!("EMPTY ANSWERS in {some} services"),
    };
    let _ = writeln!(out, "{empty}; {fences}");
    if plan.services.iter().any(|service| service.sampled) {
        out.push_str("routes that look at prefixes: from a sample of them, to about 0.1 points\n");
    }
    if plan.services.iter().any(|service| service.drawn) {
        out.push_str("some shares are from draws, always the same ones, to about a point\n");
    }
    out
}

/// As name servers word it.
const EMPTY: &str = "an empty answer";

fn count(services: usize) -> String {
    format!("{services} service{}", if services == 1 { "" } else { "s" })
}

fn percent(share: f64) -> String {
    match share {
        share if share > NOTHING && share < 0.0005 => "< 0.1 %".to_owned(),
        share => format!("{:>5.1} %", share * 100.0),
    }
}

fn points(difference: f64) -> String {
    match (difference * 1000.0).round() {
        0.0 => "     =".to_owned(),
        tenths => format!("{:>+6.1}", tenths / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Command;

    fn args(words: &[&str]) -> Args {
        let words = ["geoip", "plan"].iter().chain(words);
        match crate::args::Args::try_parse_from(words).unwrap().command {
            Command::Plan(args) => args,
            _ => panic!("another command"),
        }
    }

    fn share(region: &str, before: f64, after: f64) -> wire::PlanShare {
        wire::PlanShare {
            region: region.into(),
            before,
            after,
            capacity: -1.0,
            rate_before: -1.0,
            rate_after: -1.0,
            ..wire::PlanShare::default()
        }
    }

    fn flow(from: &str, to: &str, share: f64) -> wire::PlanFlow {
        wire::PlanFlow { from: from.into(), to: to.into(), share }
    }

    fn plan() -> Plan {
        let full = wire::PlanShare {
            capacity: 5000.0,
            rate_before: 4050.0,
            rate_after: 5210.4,
            ..share("us-central1", 0.401, 0.4531)
        };
        let refused =
            wire::PlanShare { instead: "fence: refused by rule 2".into(), ..share("", 0.01, 0.01) };
        let country = |name: &str, flows: Vec<wire::PlanFlow>| wire::PlanCountry {
            country: name.into(),
            clients: 0.05,
            moved: flows.iter().map(|flow| flow.share).sum(),
            flows,
        };
        let service = wire::PlanService {
            name: "geo.test-net.io.".into(),
            types: vec!["A".into(), "AAAA".into()],
            change: "same".into(),
            shares: vec![
                full,
                share("europe-west3", 0.35, 0.0),
                share("asia-southeast1", 0.239, 0.5369),
                refused,
            ],
            moved: 0.35,
            kilometres_before: 2104.4,
            kilometres_after: 4871.0,
            countries: vec![
                country("DE", vec![flow("europe-west3", "us-central1", 0.05)]),
                country(
                    "",
                    vec![
                        flow("europe-west3", "us-central1", 0.02),
                        flow("europe-west3", "asia-southeast1", 0.01),
                    ],
                ),
            ],
            more_countries: 61,
            ..wire::PlanService::default()
        };
        let head =
            wire::PlanHead { node: "ns1".into(), generation: 7, ..wire::PlanHead::default() };
        let quiet = wire::PlanService {
            name: "quiet.test-net.io.".into(),
            change: "same".into(),
            ..wire::PlanService::default()
        };
        Plan { head, services: vec![service, quiet], total: None }
    }

    #[test]
    fn a_plan_reads_from_regions_to_findings_within_80_columns() {
        let text = of(&args(&["--without", "europe-west3"]), &plan());
        assert_eq!(
            text,
            "\
without europe-west3, computed by ns1 (plan 7)
clients: the routed world, each /24 and each /48 alike, half of them IPv6

geo.test-net.io.   A, AAAA
  REGION                       BEFORE    AFTER  POINTS  LOAD OF CAPACITY
  us-central1                  40.1 %   45.3 %    +5.2  81 → 104 % of 5000/s !
  europe-west3                 35.0 %    0.0 %   -35.0  -
  asia-southeast1              23.9 %   53.7 %   +29.8  -
  (fence: refused by rule 2)    1.0 %    1.0 %       =  -
  35.0 % of clients move; mean distance 2104 km → 4871 km
  COUNTRY  CLIENTS  MOVE     OF MOVES  FROM → TO
  DE         5.0 %  100.0 %   14.3 %   europe-west3 → us-central1
  unknown    5.0 %   60.0 %    8.6 %   europe-west3 → us-central1 66.7 %
                                       europe-west3 → asia-southeast1 33.3 %
  and 61 more countries (--countries)

1 of 2 services stay as they are
TOO MUCH: geo.test-net.io. in us-central1: 5210 of 5000 requests per second
no name becomes empty; fences refuse somebody in 1 service as they do now
"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn services_that_are_asked_for_are_shown_whatever_they_do() {
        let text = of(&args(&["--config", "n.toml", "--service", "quiet.test-net.io"]), &plan());
        assert!(text.starts_with("with n.toml, computed by"), "{text}");
        assert!(
            text.contains("\nquiet.test-net.io.") && !text.contains("stay as they are"),
            "{text}"
        );
    }

    #[test]
    fn small_shares_are_not_nothing() {
        assert_eq!(percent(0.0), "  0.0 %");
        assert_eq!(percent(0.0001), "< 0.1 %");
        assert_eq!(
            (points(-0.35), points(0.0521), points(-1e-9)),
            (" -35.0".into(), "  +5.2".into(), "     =".into())
        );
    }
}
