//! A zone's JSON as geodns reads it: the same thing may be a number or a text, a text or a list.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

/// Record types that geodns knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rtype {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Spf,
    Srv,
    Txt,
}

impl Rtype {
    const ALL: [Self; 9] = [
        Self::A,
        Self::Aaaa,
        Self::Cname,
        Self::Mx,
        Self::Ns,
        Self::Ptr,
        Self::Spf,
        Self::Srv,
        Self::Txt,
    ];

    /// As in a master file.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Spf => "SPF",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }

    /// "A, AAAA and CNAME records are always given a weight".
    pub(super) fn is_always_weighted(self) -> bool {
        matches!(self, Self::A | Self::Aaaa | Self::Cname)
    }
}

/// A zone.
#[derive(Debug)]
pub(super) struct RawZone {
    pub(super) serial: Option<u32>,
    pub(super) ttl: u32,
    pub(super) max_hosts: u32,
    pub(super) contact: Option<String>,
    pub(super) targeting: Targeting,
    pub(super) labels: BTreeMap<String, Label>,
    /// Options without a counterpart.
    pub(super) unknown: Vec<String>,
}

/// What labels can be meant for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Targeting {
    /// `@`: clients that nothing else is for.
    pub(super) global: bool,
    pub(super) country: bool,
    pub(super) continent: bool,
    pub(super) region: bool,
    pub(super) asn: bool,
    pub(super) ip: bool,
}

#[derive(Debug, Default)]
pub(super) struct Label {
    pub(super) max_hosts: Option<u32>,
    pub(super) ttl: Option<u32>,
    pub(super) closest: bool,
    pub(super) alias: Option<String>,
    pub(super) records: BTreeMap<Rtype, Vec<Record>>,
    /// Keys without a counterpart.
    pub(super) unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) weight: u32,
    /// As in a master file; names of the zone still without it.
    pub(super) data: String,
    pub(super) address: Option<IpAddr>,
}

impl Label {
    /// Whether it answers nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.alias.is_none()
    }
}

impl RawZone {
    /// # Errors
    /// What is wrong: JSON with line and column, else with the label.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let top: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut zone = Self {
            serial: None,
            ttl: 120,
            max_hosts: 2,
            contact: None,
            targeting: Targeting {
                global: true,
                country: true,
                continent: true,
                ..Default::default()
            },
            labels: BTreeMap::new(),
            unknown: Vec::new(),
        };
        let mut closest = false;
        for (key, value) in &top {
            let within = |why: String| format!("{key}: {why}");
            match key.as_str() {
                "serial" => zone.serial = Some(number(value).map_err(within)?),
                "ttl" => zone.ttl = number(value).map_err(within)?,
                "max_hosts" => zone.max_hosts = number(value).map_err(within)?,
                "contact" => zone.contact = Some(string(value).map_err(within)?.to_owned()),
                "closest" => closest = flag(value).map_err(within)?,
                "targeting" => zone.targeting = targeting(string(value).map_err(within)?)?,
                "data" => {
                    let Value::Object(labels) = value else {
                        return Err("data: it is no object of labels".to_owned());
                    };
                    for (name, value) in labels {
                        let label = label(value).map_err(|why| format!("label {name:?}: {why}"))?;
                        zone.labels.insert(name.to_ascii_lowercase(), label);
                    }
                }
                "logging" => {}
                other => zone.unknown.push(other.to_owned()),
            }
        }
        zone.labels.values_mut().for_each(|label| label.closest |= closest);
        Ok(zone)
    }
}

fn targeting(text: &str) -> Result<Targeting, String> {
    let mut targeting = Targeting::default();
    for word in text.split_whitespace() {
        match word {
            "@" => targeting.global = true,
            "country" => targeting.country = true,
            "continent" => targeting.continent = true,
            "region" | "regiongroup" => targeting.region = true,
            "asn" => targeting.asn = true,
            "ip" => targeting.ip = true,
            other => return Err(format!("targeting: geodns knows no {other:?}")),
        }
    }
    Ok(targeting)
}

fn label(value: &Value) -> Result<Label, String> {
    let Value::Object(map) = value else {
        return Err("it is no object of record types".to_owned());
    };
    let mut label = Label::default();
    for (key, value) in map {
        let within = |why: String| format!("{key}: {why}");
        match key.as_str() {
            "max_hosts" => label.max_hosts = Some(number(value).map_err(within)?),
            "ttl" => label.ttl = Some(number(value).map_err(within)?),
            "closest" => label.closest = flag(value).map_err(within)?,
            "alias" => label.alias = Some(string(value).map_err(within)?.to_ascii_lowercase()),
            other => match Rtype::ALL.iter().find(|t| t.text().eq_ignore_ascii_case(other)) {
                Some(rtype) => {
                    let records = records(*rtype, value).map_err(within)?;
                    // An empty list is no record, so a larger place's are answered.
                    if !records.is_empty() {
                        label.records.insert(*rtype, records);
                    }
                }
                None => label.unknown.push(other.to_owned()),
            },
        }
    }
    Ok(label)
}

fn records(rtype: Rtype, value: &Value) -> Result<Vec<Record>, String> {
    let one;
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        // NS: an object whose keys are the names.
        Value::Object(map) if rtype == Rtype::Ns => {
            let names =
                map.keys().map(|name| Record { weight: 0, data: dotted(name), address: None });
            return Ok(names.collect());
        }
        other => {
            one = vec![other.clone()];
            &one
        }
    };
    list.iter().map(|value| record(rtype, value)).collect()
}

fn record(rtype: Rtype, value: &Value) -> Result<Record, String> {
    let (main, weight, map) = match value {
        Value::String(text) => (Some(text.as_str()), 0, None),
        Value::Array(pair) => {
            let main = pair.first().ok_or("an empty list is no record")?;
            let weight = pair.get(1).map(number).transpose()?.unwrap_or(0);
            (Some(string(main)?), weight, None)
        }
        Value::Object(map) => {
            let weight = map.get("weight").map(number).transpose()?.unwrap_or(0);
            let own = rtype.text().to_ascii_lowercase();
            let key = if rtype == Rtype::Srv { "target" } else { own.as_str() };
            let ip = map.get("ip").filter(|_| matches!(rtype, Rtype::A | Rtype::Aaaa));
            (ip.or(map.get(key)).map(string).transpose()?, weight, Some(map))
        }
        _ => return Err("a record is a text, a list or an object".to_owned()),
    };
    let main = main.ok_or("a record without data")?;
    let field = |key: &str| -> Result<u16, String> {
        let value = map.and_then(|map| map.get(key)).map(number).transpose()?.unwrap_or(0);
        u16::try_from(value).map_err(|_| format!("{key} is at most 65535"))
    };
    let mut address = None;
    let data = match rtype {
        Rtype::A | Rtype::Aaaa => {
            let parsed =
                main.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (rtype == Rtype::A));
            let ip = parsed.ok_or_else(|| format!("{main:?} is no such address"))?;
            address = Some(ip);
            ip.to_string()
        }
        Rtype::Mx => format!("{} {}", field("preference")?, dotted(main)),
        Rtype::Srv => {
            format!("{} {} {} {main}", field("priority")?, field("srv_weight")?, field("port")?)
        }
        Rtype::Ns => dotted(main),
        Rtype::Ptr | Rtype::Cname => main.to_owned(),
        Rtype::Txt | Rtype::Spf => quoted(main),
    };
    if data.contains(['\n', '\r']) {
        return Err(format!("{main:?} has a line end in it"));
    }
    Ok(Record { weight, data, address })
}

/// A text in strings of at most 255 octets, with everything unusual escaped.
fn quoted(text: &str) -> String {
    let strings = text.as_bytes().chunks(255).map(|chunk| {
        let escaped: String = chunk
            .iter()
            .map(|octet| match octet {
                b'"' | b'\\' => format!("\\{}", char::from(*octet)),
                0x20..=0x7e => char::from(*octet).to_string(),
                other => format!("\\{other:03}"),
            })
            .collect();
        format!("\"{escaped}\"")
    });
    strings.collect::<Vec<_>>().join(" ")
}

fn dotted(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// A number, or a text that is one.
fn number(value: &Value) -> Result<u32, String> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| {
                // 1e3, as some writers have it; the fraction is cut as geodns does.
                number
                    .as_f64()
                    .filter(|f| (0.0..=f64::from(u32::MAX)).contains(f))
                    .map(|f| f as u64)
            });
            whole.and_then(|number| u32::try_from(number).ok())
        }
        _ => None,
    };
    number.ok_or_else(|| format!("{value} is no number from 0 to {}", u32::MAX))
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{value} is neither true nor false"))
}
