//! `expect.toml`: where clients are, what an import must tell, and what must be answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::Deserialize;
use tests::mmdb::Place;

/// A product's case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Folder and product.
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) place: Vec<Place>,
    /// Everything that the import tells, in any order.
    pub(crate) finding: Vec<Finding>,
    pub(crate) ask: Vec<Ask>,
    #[serde(default)]
    pub(crate) share: Vec<Share>,
}

/// Something that the import tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Finding {
    pub(crate) kind: String,
    pub(crate) at: String,
    pub(crate) what: String,
}

/// One question whose answer is always the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    pub(crate) name: String,
    #[serde(rename = "type", default = "address")]
    pub(crate) rtype: String,
    pub(crate) subnet: Ipv4Net,
    /// The whole RRset, in any order; of several only `count` when that is given.
    pub(crate) answer: Vec<String>,
    /// How many of `answer` there must be.
    pub(crate) count: Option<usize>,
    pub(crate) ttl: Option<u32>,
    /// NOERROR unless said.
    #[serde(default = "noerror")]
    pub(crate) rcode: String,
    /// What the product itself answers where that differs; `section` explains it.
    pub(crate) theirs: Option<Vec<String>>,
    /// Where its documents say so.
    pub(crate) section: String,
}

/// How often each record is in the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    pub(crate) name: String,
    #[serde(rename = "type", default = "address")]
    pub(crate) rtype: String,
    /// Asked about one /24 after the other.
    pub(crate) subnets: Ipv4Net,
    pub(crate) shares: BTreeMap<String, f64>,
    pub(crate) section: String,
}

fn address() -> String {
    "A".to_owned()
}

fn noerror() -> String {
    "No Error".to_owned()
}

impl Case {
    pub(crate) fn read(name: &str) -> Self {
        let file = folder(name).join("expect.toml");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
        let mut case: Self = toml::from_str(&text).unwrap_or_else(|e| panic!("{file:?}: {e}"));
        case.name = name.to_owned();
        assert!(case.ask.iter().all(|ask| !ask.section.is_empty()), "every answer has its section");
        case
    }

    /// What is imported.
    pub(crate) fn folder(&self) -> PathBuf {
        folder(&self.name)
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/import").join(name)
}
