//! What a plugin's resource answers, as a [`Choice`].

use std::net::IpAddr;

use dns::name::Name;

use super::checks::Checks;
use super::maps::Maps;
use super::{meta, weighted};
use crate::import::choice::{Answer, Choice, MAX_FOLLOWED};
use crate::import::files::Files;
use crate::import::service::Data;
use crate::import::vscf::{Entry, Kind, Table, Value};
use crate::import::{Failure, Imported};

/// Resources that lead to each other; gdnsd itself would never come back from a loop.
const MAX_DEPTH: usize = 8;

/// Keys that are no labels of addresses.
const PARAMETERS: [&str; 5] = ["service_types", "up_thresh", "ignore_health", "multi", "plugin"];

/// Everything that resources are made from.
pub(super) struct Resources<'a> {
    pub(super) plugins: &'a Table,
    pub(super) maps: Maps,
    pub(super) checks: Checks,
}

/// What a resource has from the levels above it, and hands down.
#[derive(Debug, Clone)]
pub(super) struct Inherited {
    pub(super) plugin: Option<String>,
    pub(super) service_types: Vec<String>,
    pub(super) up_thresh: f64,
    pub(super) multi: bool,
    pub(super) ignore_health: bool,
}

impl Default for Inherited {
    fn default() -> Self {
        Self {
            plugin: None,
            service_types: vec!["up".to_owned()],
            up_thresh: 0.5,
            multi: false,
            ignore_health: false,
        }
    }
}

impl Inherited {
    /// With what `table` says itself.
    pub(super) fn with(&self, table: &Table, files: &Files) -> Result<Self, Failure> {
        let mut own = self.clone();
        if let Some(plugin) = table.text("plugin", files)? {
            own.plugin = Some(plugin.to_owned());
        }
        if let Some(types) = table.get("service_types") {
            own.service_types = types.texts(files)?;
        }
        if let Some(value) = table.get("up_thresh") {
            own.up_thresh = value.number(files)?;
            if !(own.up_thresh > 0.0 && own.up_thresh <= 1.0) {
                return Err(files.problem(value.at, "up_thresh is above 0.0 and up to 1.0", None));
            }
        }
        own.multi = table.flag("multi", files)?.unwrap_or(own.multi);
        own.ignore_health = table.flag("ignore_health", files)?.unwrap_or(own.ignore_health);
        Ok(own)
    }
}

/// Reads resources; carries what every step of it needs.
pub(super) struct Reader<'a, 'r> {
    pub(super) resources: &'r mut Resources<'a>,
    pub(super) files: &'r Files,
    pub(super) imported: &'r mut Imported,
    /// Resources that may still be followed.
    pub(super) room: usize,
}

impl Reader<'_, '_> {
    /// `plugin!resource`. None when it has no counterpart, which was told.
    pub(super) fn resource(
        &mut self,
        plugin: &str,
        resource: &str,
        at: &str,
        depth: usize,
    ) -> Result<Option<Choice>, Failure> {
        let what = format!("{plugin}!{resource}");
        if depth > MAX_DEPTH {
            let why = "resources lead to each other without an end, or over eight deep";
            self.imported.findings.left_out(at, &what, why, "point to addresses sooner");
            return Ok(None);
        }
        let Some(room) = self.room.checked_sub(1) else {
            let why = format!("over {MAX_FOLLOWED} resources are behind the name");
            self.imported.findings.left_out(at, &what, &why, "point to addresses sooner");
            return Ok(None);
        };
        self.room = room;
        if ["reflect", "null"].contains(&plugin) {
            let why =
                "it is a tool for tests of gdnsd; `geoip explain` and `geoip dig` show the same";
            self.imported.findings.left_out(at, &what, why, "nothing");
            return Ok(None);
        }
        let plugins = self.resources.plugins;
        let Some(config) = plugins.table(plugin, self.files)? else {
            let why = "no such plugin is configured";
            self.imported.findings.left_out(at, &what, why, "write the name's service yourself");
            return Ok(None);
        };
        let inherited = Inherited::default().with(config, self.files)?;
        match plugin {
            "metafo" | "geoip" => meta::read(self, plugin, config, resource, at, depth),
            _ => match config.entry(resource) {
                Some(entry) => self.plain(plugin, entry, &inherited),
                None => {
                    let why = "the plugin's configuration has no such resource";
                    let instead = "write the name's service yourself";
                    self.imported.findings.left_out(at, &what, why, instead);
                    Ok(None)
                }
            },
        }
    }

    /// A resource of a plugin that leads to no other.
    pub(super) fn plain(
        &mut self,
        plugin: &str,
        entry: &Entry,
        inherited: &Inherited,
    ) -> Result<Option<Choice>, Failure> {
        let at = self.files.place(entry.at);
        match plugin {
            "multifo" => self.multifo(&entry.value, inherited, &at).map(Some),
            "weighted" => weighted::read(self, &entry.value, inherited, &at).map(Some),
            "simplefo" => self.simplefo(&entry.value, inherited, &at).map(Some),
            "static" => self.fixed(&entry.value).map(Some),
            _ => {
                let what = format!("the plugin '{plugin}'");
                let why = "only gdnsd's own plugins are known";
                let instead = "write the name's service yourself";
                self.imported.findings.left_out(at, &what, why, instead);
                Ok(None)
            }
        }
    }

    /// All addresses that are up.
    pub(super) fn multifo(
        &mut self,
        value: &Value,
        inherited: &Inherited,
        at: &str,
    ) -> Result<Choice, Failure> {
        let mut of = Vec::new();
        let mut least_up = 1;
        for (value, own) in self.families(value, inherited)? {
            let mut addresses = Vec::new();
            for (place, value) in labelled(&value) {
                let address = self.address(value)?;
                let place = place.map_or_else(|| at.to_owned(), |at| self.files.place(at));
                let check = self.check(&own, address, &place);
                addresses.push(Answer { data: Data::of_addresses([address]), check });
            }
            least_up = least_up.max(needed(own.up_thresh, addresses.len()));
            if own.ignore_health && addresses.iter().any(|answer| answer.check.is_some()) {
                let what = "ignore_health = true";
                let why = "an address that is down is left out of the answer";
                self.imported.findings.changed(at, what, why, "remove the checks");
            }
            of.extend(addresses);
        }
        if of.len() == 1 {
            return Ok(Choice::One(of.remove(0)));
        }
        let families = [true, false]
            .map(|v4| of.iter().filter(|answer| answer.data.addresses[0].is_ipv4() == v4).count());
        let most = u32::try_from(families[0].max(families[1])).unwrap_or(u32::MAX);
        // As many as the larger family has: each family is cut by itself.
        Ok(Choice::All { of, least_up, most })
    }

    /// The first of two that is up, in each family by itself.
    fn simplefo(
        &mut self,
        value: &Value,
        inherited: &Inherited,
        at: &str,
    ) -> Result<Choice, Failure> {
        let mut pair = [Answer::default(), Answer::default()];
        for (value, own) in self.families(value, inherited)? {
            let table = value.table(self.files)?;
            for (answer, key) in pair.iter_mut().zip(["primary", "secondary"]) {
                let Some(value) = table.get(key) else {
                    return Err(self.files.problem(value.at, format!("it has no {key}"), None));
                };
                let address = self.address(value)?;
                let check = self.check(&own, address, at);
                if !answer.data.is_empty() && !answer.is_checked_like(check.as_ref()) {
                    let what = format!("the service types of {address}");
                    let why = "an endpoint has one check, and the other family gave it";
                    let instead = "give both families the same, or make two names";
                    self.imported.findings.changed(at, &what, why, instead);
                }
                answer.data.addresses.push(address);
                answer.check = answer.check.take().or(check);
            }
        }
        let [primary, secondary] = pair.map(Choice::One);
        let pair = [("primary", primary), ("secondary", secondary)];
        Ok(Choice::Failover(pair.map(|(name, choice)| (name.to_owned(), choice)).to_vec()))
    }

    /// An address or a host name, never checked.
    fn fixed(&mut self, value: &Value) -> Result<Choice, Failure> {
        let text = value.text(self.files)?;
        let data = match text.parse::<IpAddr>() {
            Ok(address) => Data::of_addresses([address]),
            Err(_) => Data::of_cname(self.host(value)?),
        };
        Ok(Choice::One(Answer { data, check: None }))
    }

    /// `addrs_v4` and `addrs_v6` with what they inherit, or the whole when it has neither.
    pub(super) fn families(
        &self,
        value: &Value,
        inherited: &Inherited,
    ) -> Result<Vec<(Value, Inherited)>, Failure> {
        let Kind::Table(table) = &value.kind else {
            return Ok(vec![(value.clone(), inherited.clone())]);
        };
        let own = inherited.with(table, self.files)?;
        let families = ["addrs_v4", "addrs_v6"].into_iter().filter_map(|key| table.get(key));
        let mut list = Vec::new();
        for family in families {
            let own = match &family.kind {
                Kind::Table(table) => own.with(table, self.files)?,
                _ => own.clone(),
            };
            list.push((family.clone(), own));
        }
        if list.is_empty() {
            list.push((value.clone(), own));
        }
        Ok(list)
    }

    pub(super) fn check(
        &mut self,
        own: &Inherited,
        address: IpAddr,
        at: &str,
    ) -> Option<crate::import::service::Check> {
        let Self { resources, files, imported, .. } = self;
        resources.checks.of(&own.service_types, address, at, files, imported)
    }

    pub(super) fn address(&self, value: &Value) -> Result<IpAddr, Failure> {
        let text = value.text(self.files)?;
        text.parse().map_err(|_| self.files.problem(value.at, "an address is expected here", None))
    }

    /// A host name; it is absolute with or without its dot.
    pub(super) fn host(&self, value: &Value) -> Result<Name, Failure> {
        let text = value.text(self.files)?;
        text.parse().map_err(|error| {
            let message = format!("an address or a host name is expected here: {error}");
            self.files.problem(value.at, message, None)
        })
    }
}

/// What is no parameter, with its label's place if it has one.
pub(super) fn labelled(value: &Value) -> Vec<(Option<crate::import::files::At>, &Value)> {
    match &value.kind {
        Kind::Table(table) => labels(table).map(|entry| (Some(entry.at), &entry.value)).collect(),
        _ => value.list().iter().map(|value| (None, value)).collect(),
    }
}

pub(super) fn labels(table: &Table) -> impl Iterator<Item = &Entry> {
    table.entries.iter().filter(|entry| !PARAMETERS.contains(&entry.key.as_str()))
}

/// How many of `n` must be up (gdnsd-plugin-multifo(8), "UP THRESH").
fn needed(up_thresh: f64, n: usize) -> u32 {
    // Never above `n`, which a configuration has.
    (up_thresh * n as f64).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn thresholds_of_the_manual() {
        let row = |thresh: f64| [1, 2, 3, 4, 5, 6, 7, 8, 16].map(|n| needed(thresh, n));
        assert_eq!(row(0.1), [1, 1, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(row(0.3), [1, 1, 1, 2, 2, 2, 3, 3, 5]);
        assert_eq!(row(0.5), [1, 1, 2, 2, 3, 3, 4, 4, 8]);
        assert_eq!(row(0.9), [1, 2, 3, 4, 5, 6, 7, 8, 15]);
    }
}
