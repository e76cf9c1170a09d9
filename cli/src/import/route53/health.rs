//! Health checks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::raw::{HealthCheck, HealthCheckConfig};
use crate::import::service::Check;
use crate::import::{Imported, Probe};

/// Seconds between two checks of one checker, unless the check says otherwise.
const INTERVAL: u32 = 30;
/// Checks in a row that change a target's state, likewise.
const THRESHOLD: u32 = 3;
/// Seconds that Amazon's checkers wait for a connection.
const TIMEOUT: u32 = 4;

/// "An HTTP status code of 2xx or 3xx", as far as servers use them.
const HEALTHY: [u16; 11] = [200, 201, 202, 203, 204, 206, 301, 302, 303, 307, 308];

/// By id.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<String, HealthCheckConfig>);

impl Checks {
    pub(super) fn add(&mut self, checks: Vec<HealthCheck>) {
        self.0.extend(checks.into_iter().map(|check| (check.id, check.health_check_config)));
    }

    /// What an endpoint with this check and these addresses is checked with.
    pub(super) fn of(
        &self,
        id: &str,
        addresses: &[IpAddr],
        at: &str,
        imported: &mut Imported,
    ) -> Option<Check> {
        let what = format!("the health check {id}");
        let Some(config) = self.0.get(id) else {
            let why = "it is not among what was imported, so the endpoint counts as up";
            let instead = "add the output of `aws route53 list-health-checks`, or write a check";
            imported.findings.left_out(at, &what, why, instead);
            return None;
        };
        if config.disabled == Some(true) {
            let why = "it is disabled, and so always well";
            imported.findings.note(at, &what, why, "nothing");
            return None;
        }
        if config.inverted == Some(true) {
            let why = "it is inverted: it is well when the target is not";
            imported.findings.left_out(at, &what, why, "check what shall be there");
            return None;
        }
        let check = self.check(config, &what, addresses, at, imported)?;
        let interval = config.request_interval.unwrap_or(INTERVAL).max(1);
        let threshold = config.failure_threshold.unwrap_or(THRESHOLD).max(1);
        let timeout = TIMEOUT.min(interval);
        imported.probe(Probe { interval, timeout, rise: threshold, fall: threshold }, at);
        Some(check)
    }

    fn check(
        &self,
        config: &HealthCheckConfig,
        what: &str,
        addresses: &[IpAddr],
        at: &str,
        imported: &mut Imported,
    ) -> Option<Check> {
        let own = config.ip_address.as_ref().and_then(|text| text.parse::<IpAddr>().ok());
        let address = own.or_else(|| addresses.first().copied());
        let tcp =
            |port: u16| Some(Check::Tcp(SocketAddr::new(address?, config.port.unwrap_or(port))));
        let path = config.resource_path.as_deref().unwrap_or("/");
        let check = match config.kind.as_str() {
            "TCP" => tcp(80),
            "HTTPS" | "HTTPS_STR_MATCH" => {
                let name = config.fully_qualified_domain_name.as_deref();
                let name = name.map(|name| name.trim_end_matches('.').to_owned());
                // By its address where one is given; the name is then only whose certificate it is.
                let at = own.map_or_else(|| name.clone(), |own| Some(bracketed(own)));
                let at = at.or_else(|| address.map(bracketed));
                let host = name.filter(|name| at.as_ref() != Some(name));
                let port = config.port.unwrap_or(443);
                let slash = if path.starts_with('/') { "" } else { "/" };
                let why = "certificates are verified here; Amazon's checkers take any";
                let instead =
                    "let them be of a public authority, or name theirs: check = { ca = \"…\" }";
                imported.findings.changed("HealthChecks", "HTTPS checks", why, instead);
                at.map(|at| Check::Https {
                    url: format!("https://{at}:{port}{slash}{path}"),
                    host,
                    status: HEALTHY.to_vec(),
                    body: config.search_string.clone(),
                })
            }
            "HTTP" | "HTTP_STR_MATCH" => {
                let why = "pages are checked over HTTPS only, so here it is checked that the port \
                           answers";
                let instead = "serve the page over HTTPS and use check = { https = \"…\" }, or run \
                               geoping beside the service";
                imported.findings.changed(at, what, why, instead);
                tcp(80)
            }
            kind => {
                let why = format!("checks of type {kind} are made of other things than the target");
                let instead = "write a check of the target, or run geoping beside the service";
                imported.findings.left_out(at, what, &why, instead);
                return None;
            }
        };
        if check.is_none() {
            let why = "it has no address, and neither has the record";
            imported.findings.left_out(at, what, why, "write a check with an address");
        }
        check
    }
}

/// As in a URL.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
