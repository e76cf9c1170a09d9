//! `dnsrouter.toml` as text. Written by hand, so that it reads as people write it: comments,
//! one endpoint after the other, tables of a route in lines.

use std::fmt::Write as _;

use super::regions::{UNPLACED, Where};
use super::service::{Body, Check, Endpoint, Nearest, Rule, Service, Step};
use super::{Imported, Settings};

/// Name of the written configuration.
pub(crate) const CONFIG: &str = "dnsrouter.toml";

/// Clients and regions in one line of a rule.
const MAX_LINE: usize = 100;

/// Every file: its name and its text, the configuration first.
pub(crate) fn files(imported: &Imported, from: &str) -> Vec<(String, String)> {
    let config = (CONFIG.to_owned(), config(imported, from));
    let zones = imported.zones.iter().map(|zone| (zone.file.clone(), zone.text.clone()));
    std::iter::once(config).chain(zones).collect()
}

fn config(imported: &Imported, from: &str) -> String {
    let Imported { settings, regions, zones, services, .. } = imported;
    let mut out = format!("# Imported from {from} by `geoip import`.\n");
    let node = regions.list().next().map_or(UNPLACED, |(name, _)| name);
    head(&mut out, settings, node);
    for (name, place) in regions.list() {
        let location = match place {
            Where::BuiltIn => continue,
            Where::At(point) => format!("[{:?}, {:?}]", point.lat(), point.lon()),
            Where::Unknown => "[0.0, 0.0]                 # not said where it is".to_owned(),
        };
        let _ = write!(out, "\n[[region]]\nname     = {}\nlocation = {location}\n", text(name));
    }
    for zone in zones {
        let apex = zone.apex.to_string();
        let apex = if apex == "." { "." } else { apex.trim_end_matches('.') };
        let _ = write!(out, "\n[[zone]]\nname = {}\nfile = {}\n", text(apex), text(&zone.file));
    }
    services.iter().for_each(|service| self::service(&mut out, service));
    out
}

fn head(out: &mut String, settings: &Settings, region: &str) {
    let Settings { listen, nsid, chaos, probe, databases } = settings;
    let _ = write!(
        out,
        "\n[node]                                # this machine: yours to fill in\n\
         name   = \"ns1\"\n\
         region = {}\n\
         \n[listen]\n",
        text(region)
    );
    let listen = match listen.is_empty() {
        true => vec!["127.0.0.1:5300".to_owned()],
        false => listen.clone(),
    };
    let _ = writeln!(out, "dns = {}", list(&listen));
    if nsid.is_some() || chaos.is_some() {
        out.push_str("\n[identity]\n");
        if let Some(nsid) = nsid {
            let _ = writeln!(out, "nsid    = {}", text(nsid));
        }
        if let Some(version) = chaos {
            let _ = write!(out, "chaos   = true\nversion = {}\n", text(version));
        }
    }
    if let Some(probe) = probe {
        let _ = write!(
            out,
            "\n[probe]\ninterval = \"{}s\"\ntimeout  = \"{}s\"\nrise     = {}\nfall     = {}\n",
            probe.interval, probe.timeout, probe.rise, probe.fall
        );
    }
    if !databases.is_empty() {
        out.push_str(
            "\n# [geo]                               # none: the built-in country database\n",
        );
        let _ = writeln!(out, "# database = {}", list(databases));
    }
}

fn service(out: &mut String, service: &Service) {
    let name = service.name.to_string();
    let name = name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(&name);
    let _ = writeln!(out, "\n[[service]]\nname  = {}", text(name));
    let own = match &service.body {
        Body::Alias(of) => {
            let of = of.to_string();
            let _ = writeln!(out, "alias = {}", text(of.trim_end_matches('.')));
            return;
        }
        Body::Own(own) => own,
    };
    let _ = writeln!(out, "ttl   = {}", own.ttl);
    if let Some(least) = own.ttl_min {
        let _ = writeln!(out, "ttl_min = {least}");
    }
    let steps: Vec<String> = own.route.iter().map(step).collect();
    let one_line = format!("[{}]", steps.join(", "));
    if one_line.len() <= MAX_LINE && !one_line.contains('\n') {
        let _ = writeln!(out, "route = {one_line}");
    } else {
        out.push_str("route = [\n");
        steps.iter().for_each(|step| {
            let _ = writeln!(out, "  {step},");
        });
        out.push_str("]\n");
    }
    own.endpoints.iter().for_each(|endpoint| self::endpoint(out, endpoint));
}

fn step(step: &Step) -> String {
    match step {
        Step::Fence(list) => format!("{{ fence = [{}] }}", rules(list)),
        Step::Healthy { min_healthy: 0 | 1 } => "\"healthy\"".to_owned(),
        Step::Healthy { min_healthy } => {
            format!("{{ healthy = {{ min_healthy = {min_healthy} }} }}")
        }
        Step::Failover => "\"failover\"".to_owned(),
        Step::Nearest(Nearest { within: None, bias, prefer })
            if bias.is_empty() && prefer.is_empty() =>
        {
            "\"nearest\"".to_owned()
        }
        Step::Nearest(Nearest { within, bias, prefer }) => {
            let mut keys = Vec::new();
            keys.extend(within.map(|within| format!("within = {}", text(within))));
            if !bias.is_empty() {
                let bias: Vec<String> = bias
                    .iter()
                    .map(|(region, bias)| format!("{} = {bias}", text(region)))
                    .collect();
                keys.push(format!("bias = {{ {} }}", bias.join(", ")));
            }
            if !prefer.is_empty() {
                keys.push(format!("prefer = [{}]", rules(prefer)));
            }
            format!("{{ nearest = {{ {} }} }}", keys.join(", "))
        }
        Step::Weighted => "\"weighted\"".to_owned(),
        Step::Take(n) => format!("{{ take = {n} }}"),
    }
}

/// A rule in a line.
fn rules(rules: &[Rule]) -> String {
    let mut out = String::from("\n");
    for Rule { clients, regions } in rules {
        let _ =
            writeln!(out, "    {{ clients = {}, regions = {} }},", wrapped(clients), list(regions));
    }
    out.push_str("  ");
    out
}

fn endpoint(out: &mut String, endpoint: &Endpoint) {
    let Endpoint { region, data, weight, tier, check } = endpoint;
    let _ = writeln!(out, "\n[[service.endpoint]]\nregion    = {}", text(region));
    if !data.addresses.is_empty() {
        let addresses: Vec<String> = data.addresses.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "addresses = {}", list(&addresses));
    }
    if let Some(name) = &data.cname {
        let _ = writeln!(out, "cname     = {}", text(&name.to_string()));
    }
    for (key, records) in [("mx ", &data.mx), ("srv", &data.srv), ("txt", &data.txt)] {
        if !records.is_empty() {
            let _ = writeln!(out, "{key}       = {}", list(records));
        }
    }
    if let Some(weight) = weight {
        let _ = writeln!(out, "weight    = {weight}");
    }
    if let Some(tier) = tier {
        let _ = writeln!(out, "tier      = {tier}");
    }
    match check {
        Some(Check::Tcp(address)) => {
            let _ = writeln!(out, "check     = {{ tcp = {} }}", text(&address.to_string()));
        }
        Some(Check::Https { url, host, status, body }) => {
            let mut keys = format!("https = {}", text(url));
            if let Some(host) = host {
                let _ = write!(keys, ", host = {}", text(host));
            }
            if !status.is_empty() {
                let _ = write!(keys, ", status = {status:?}");
            }
            if let Some(body) = body {
                let _ = write!(keys, ", body = {}", text(body));
            }
            let _ = writeln!(out, "check     = {{ {keys} }}");
        }
        None => {}
    }
}

/// A list of texts over several lines when it is long.
fn wrapped<T: AsRef<str>>(texts: &[T]) -> String {
    let one_line = list(texts);
    if one_line.len() <= MAX_LINE {
        return one_line;
    }
    let mut out = String::from("[\n     ");
    let mut column = 0;
    for item in texts {
        let item = text(item.as_ref());
        if column + item.len() > MAX_LINE {
            out.push_str("\n     ");
            column = 0;
        }
        column += item.len() + 2;
        let _ = write!(out, " {item},");
    }
    out.push_str("\n    ]");
    out
}

fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML string, escaped.
fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::service::{Data, Own};
    use crate::import::zone::Zone;

    fn imported() -> Imported {
        let name = |text: &str| text.parse().unwrap();
        let rule = |clients: &[&str], regions: &[&str]| Rule {
            clients: clients.iter().map(|c| (*c).to_owned()).collect(),
            regions: regions.iter().map(|r| (*r).to_owned()).collect(),
        };
        let many: Vec<String> = (0..40).map(|n| format!("10.{n}.0.0/16")).collect();
        let many = Rule { clients: many, regions: vec!["b \"x\"".to_owned()] };
        let nearest = Nearest {
            within: Some("5 %"),
            bias: [("b \"x\"".to_owned(), -3)].into(),
            prefer: vec![rule(&["DE"], &["us-east-1", "b \"x\""]), many],
        };
        let data = Data {
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            mx: vec!["10 mail.example.".to_owned()],
            txt: vec!["\"v=spf1 -all\"".to_owned()],
            ..Data::default()
        };
        let check = Check::Https {
            url: "https://192.0.2.1/x".to_owned(),
            host: Some("www.example.com".to_owned()),
            status: vec![200, 301],
            body: Some("o\"k".to_owned()),
        };
        let endpoint = Endpoint {
            region: "b \"x\"".to_owned(),
            data,
            weight: Some(3),
            tier: Some(2),
            check: Some(check),
        };
        let own = Own {
            ttl: 60,
            ttl_min: Some(5),
            route: vec![
                Step::Fence(vec![rule(&["all"], &[])]),
                Step::Healthy { min_healthy: 2 },
                Step::Failover,
                Step::Nearest(nearest),
                Step::Weighted,
                Step::Take(2),
            ],
            endpoints: vec![endpoint],
        };
        let mut imported = Imported::default();
        imported.regions.named("b \"x\"");
        imported.regions.at("c", geo::Point::new(1.0, -2.5).unwrap());
        imported.zones.push(Zone::new(name("example.com."), "@ SOA\n".to_owned()));
        imported.services.push(Service { name: name("*.example.com."), body: Body::Own(own) });
        let alias = Body::Alias(name("*.example.com."));
        imported.services.push(Service { name: name("example.com."), body: alias });
        imported
    }

    #[test]
    fn everything_is_there_for_a_reader_of_toml() {
        let written = &files(&imported(), "a test")[0].1;
        let read: toml::Table =
            written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"));
        let service = &read["service"][0];
        let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
        assert_eq!(text(&service["name"]), "*.example.com");
        assert_eq!(service["ttl_min"].as_integer(), Some(5));
        let route = service["route"].as_array().unwrap();
        assert_eq!(route.len(), 6);
        assert_eq!(route[0]["fence"][0]["regions"].as_array().unwrap().len(), 0);
        let nearest = &route[3]["nearest"];
        assert_eq!(nearest["bias"]["b \"x\""].as_integer(), Some(-3));
        assert_eq!(nearest["prefer"][1]["clients"].as_array().unwrap().len(), 40);
        let endpoint = &service["endpoint"][0];
        assert_eq!(text(&endpoint["txt"][0]), "\"v=spf1 -all\"");
        assert_eq!(text(&endpoint["check"]["body"]), "o\"k");
        assert_eq!(text(&read["service"][1]["alias"]), "*.example.com");
        assert_eq!(read["region"][1]["location"][1].as_float(), Some(-2.5));
        assert_eq!(text(&read["zone"][0]["file"]), "example.com.zone");
        assert!(written.lines().all(|line| line.len() < 130), "{written}");
    }
}
