//! The data file: what is asked, and what is expected.

use serde::Deserialize;

use crate::said::{Said, absolute, record};

/// What a client offers unless told otherwise.
const PAYLOAD: u16 = 1232;

/// One row of `queries.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// In full after [`read`].
    pub(crate) name: String,
    /// Its mnemonic, or TYPEn.
    #[serde(rename = "type")]
    pub(crate) rtype: String,
    /// Over TCP.
    #[serde(default)]
    pub(crate) tcp: bool,
    /// With an OPT record.
    #[serde(default = "yes")]
    pub(crate) edns: bool,
    /// Offered in the OPT record.
    #[serde(default = "payload")]
    pub(crate) payload: u16,
    /// Of EDNS.
    #[serde(default)]
    pub(crate) version: u8,
    /// On behalf of these clients.
    pub(crate) subnet: Option<String>,
    /// Asks who answers.
    #[serde(default)]
    pub(crate) nsid: bool,
    /// Asks for a cookie.
    #[serde(default)]
    pub(crate) cookie: bool,

    #[serde(default = "noerror")]
    rcode: String,
    #[serde(default = "yes")]
    aa: bool,
    #[serde(default)]
    tc: bool,
    #[serde(default)]
    answer: Vec<String>,
    count: Option<usize>,
    #[serde(default)]
    authority: Vec<String>,
    additional: Option<Vec<String>>,
    scope: Option<u8>,
    identity: Option<String>,
}

fn yes() -> bool {
    true
}

fn payload() -> u16 {
    PAYLOAD
}

fn noerror() -> String {
    "NOERROR".to_owned()
}

/// Reads `queries.toml`.
///
/// # Panics
///
/// When it is malformed.
pub(crate) fn read(text: &str) -> Vec<Query> {
    #[derive(Deserialize)]
    struct File {
        query: Vec<Query>,
    }
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    let full = |query: Query| Query { name: absolute(&query.name), ..query };
    file.query.into_iter().map(full).collect()
}

impl Query {
    /// Whether the OPT record says more than a payload.
    pub(crate) fn has_options(&self) -> bool {
        self.subnet.is_some() || self.nsid || self.cookie || self.version != 0
    }

    /// Whether the answer is as expected.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub(crate) fn judge(&self, said: &Said) {
        let rows = |lines: &[String]| lines.iter().map(|line| record(line)).collect();
        let [answer, authority, additional] = &said.sections;
        assert_eq!((&said.rcode, said.aa, said.tc), (&self.rcode, self.aa, self.tc), "{self:?}");
        match self.count {
            Some(count) => assert_eq!(answer.len(), count, "{self:?}"),
            None => assert_eq!(*answer, rows(&self.answer), "{self:?}"),
        }
        assert_eq!(*authority, rows(&self.authority), "{self:?}");
        if let Some(expected) = &self.additional {
            assert_eq!(*additional, rows(expected), "{self:?}");
        }
        assert_eq!(said.scope, self.scope, "{self:?}");
        let identity = self.identity.as_ref().map(|text| crate::said::hex(text.as_bytes()));
        assert_eq!(said.nsid, identity, "{self:?}");
        // Eight octets of ours, sixteen of the server's (RFC 9018 §4).
        assert_eq!(said.cookie, self.cookie.then_some(24), "{self:?}");
    }
}
