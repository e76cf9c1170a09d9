//! The documents as Amazon's command line prints them. Unknown keys of a record are told, so that
//! what a later version adds is not dropped in silence.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::import::findings::Findings;

/// Any of the outputs, or several in one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    pub(super) resource_record_sets: Option<Vec<RecordSet>>,
    #[serde(default)]
    pub(super) hosted_zones: Vec<HostedZone>,
    pub(super) hosted_zone: Option<HostedZone>,
    #[serde(default)]
    pub(super) health_checks: Vec<HealthCheck>,
    #[serde(default)]
    pub(super) cidr_blocks: Vec<CidrBlock>,
    is_truncated: Option<bool>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostedZone {
    pub(super) name: String,
    config: Option<HostedZoneConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostedZoneConfig {
    #[serde(default)]
    private_zone: bool,
}

/// ResourceRecordSet of the API reference.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RecordSet {
    pub(super) name: String,
    #[serde(rename = "Type")]
    pub(super) rtype: String,
    pub(super) set_identifier: Option<String>,
    pub(super) weight: Option<u32>,
    pub(super) region: Option<String>,
    pub(super) geo_location: Option<GeoLocation>,
    pub(super) failover: Option<String>,
    pub(super) multi_value_answer: Option<bool>,
    /// Seconds, as written: aliases have none.
    #[serde(rename = "TTL")]
    pub(super) ttl: Option<u32>,
    #[serde(default)]
    resource_records: Vec<ResourceRecord>,
    pub(super) alias_target: Option<AliasTarget>,
    pub(super) health_check_id: Option<String>,
    pub(super) cidr_routing_config: Option<CidrRoutingConfig>,
    pub(super) geo_proximity_location: Option<GeoProximityLocation>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceRecord {
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GeoLocation {
    pub(super) continent_code: Option<String>,
    pub(super) country_code: Option<String>,
    pub(super) subdivision_code: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AliasTarget {
    #[serde(rename = "DNSName")]
    pub(super) dns_name: String,
    #[serde(default)]
    pub(super) evaluate_target_health: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CidrRoutingConfig {
    pub(super) collection_id: String,
    pub(super) location_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GeoProximityLocation {
    #[serde(rename = "AWSRegion")]
    pub(super) aws_region: Option<String>,
    pub(super) local_zone_group: Option<String>,
    pub(super) coordinates: Option<Coordinates>,
    pub(super) bias: Option<i8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Coordinates {
    pub(super) latitude: String,
    pub(super) longitude: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CidrBlock {
    pub(super) cidr_block: String,
    pub(super) location_name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthCheck {
    pub(super) id: String,
    pub(super) health_check_config: HealthCheckConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthCheckConfig {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    #[serde(rename = "IPAddress")]
    pub(super) ip_address: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) resource_path: Option<String>,
    pub(super) fully_qualified_domain_name: Option<String>,
    pub(super) search_string: Option<String>,
    pub(super) request_interval: Option<u32>,
    pub(super) failure_threshold: Option<u32>,
    pub(super) inverted: Option<bool>,
    pub(super) disabled: Option<bool>,
}

impl Document {
    /// # Errors
    /// What is wrong, with line and column.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Whether more was to come.
    pub(super) fn is_cut(&self) -> bool {
        self.is_truncated == Some(true) || self.next_token.is_some()
    }
}

impl HostedZone {
    pub(super) fn is_private(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.private_zone)
    }
}

impl RecordSet {
    /// How findings call it.
    pub(super) fn at(&self) -> String {
        match &self.set_identifier {
            Some(id) => format!("{} {} \"{id}\"", self.name, self.rtype),
            None => format!("{} {}", self.name, self.rtype),
        }
    }

    /// Seconds; Amazon's records always have it, aliases never.
    pub(super) fn ttl(&self) -> u32 {
        self.ttl.unwrap_or(super::ALIAS_TTL)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.resource_records.iter().map(|record| record.value.as_str())
    }

    /// Whether it is one of several that are chosen from.
    pub(super) fn has_policy(&self) -> bool {
        self.set_identifier.is_some()
    }

    /// Tells of keys that are not understood.
    pub(super) fn unknown(&self, findings: &mut Findings) {
        for key in self.unknown.keys() {
            let why = match key.as_str() {
                "TrafficPolicyInstanceId" => {
                    "it was made by a traffic policy, which is not part of it"
                }
                _ => "this version of geoip does not know it",
            };
            let instead = "compare what is answered with what was";
            findings.left_out(self.at(), key, why, instead);
        }
    }
}
