//! What a plan's services were compiled from.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Sections that routes do not depend on: some hold secrets, and zones can be long.
const LEFT_OUT: [&str; 10] = [
    "zone",
    "key",
    "cookie",
    "rate_limit",
    "access",
    "identity",
    "control",
    "state",
    "log",
    "directory",
];

/// What variables are called that override the configuration.
const PREFIX: &str = "GEOPING__";

/// What services were compiled from: enough to compile them again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The configuration, without the sections that routes do not depend on.
    pub text: String,
    /// Variables over it.
    pub environment: Vec<(String, String)>,
    /// Flags over both.
    pub flags: Vec<(String, String)>,
    /// Of the table of places that it was served with.
    pub geo: u64,
}

impl Written {
    /// From a configuration that was read without a mistake.
    pub fn new(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
        geo: u64,
    ) -> Self {
        let mut table = text.parse::<Table>().unwrap_or_default();
        for section in LEFT_OUT {
            table.remove(section);
        }
        if let Some(Value::Table(tls)) = table.get_mut("tls") {
            // A command line may hold anything.
            tls.remove("renew");
        }
        let variable = |name: &str| {
            let path = name.get(PREFIX.len()..).unwrap_or_default().to_ascii_lowercase();
            !is_left_out(&path, "__")
        };
        let flag = |key: &str| !is_left_out(key, ".");
        let environment = environment.into_iter().filter(|(name, _)| variable(name)).collect();
        let flags = flags.iter().filter(|(key, _)| flag(key)).cloned().collect();
        Self { text: table.to_string(), environment, flags, geo }
    }
}

fn is_left_out(path: &str, separator: &str) -> bool {
    let mut keys = path.split(separator);
    let section = keys.next().unwrap_or_default();
    LEFT_OUT.contains(&section) || (section == "tls" && keys.next() == Some("renew"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_zones_are_left_out_and_services_stay() {
        let text = r#"
            # about the node
            [node]
            name = "ns1"
            [tls]
            cert = "c"
            renew = { command = ["renew", "--password", "hunter2"] }
            [[key]]
            name = "k"
            secret = "hunter2"
            [[zone]]
            name = "test-net.io"
            [[service]]
            name = "geo.test-net.io"
            route = ["healthy", { take = 2 }]
            [[service.endpoint]]
            region = "r"
        "#;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment =
            [pair("GEOPING__KEY__0__SECRET", "hunter2"), pair("GEOPING__NODE__NAME", "ns2")];
        let flags = [pair("cookie.secret", "hunter2"), pair("probe.rise", "3")];
        let written = Written::new(text, environment, &flags, 7);
        let json = serde_json::to_string(&written).unwrap();
        assert!(!json.contains("hunter2") && !json.contains("test-net.io\\\"\\n[[zone"), "{json}");
        assert_eq!(written.environment, [pair("GEOPING__NODE__NAME", "ns2")]);
        assert_eq!(written.flags, [pair("probe.rise", "3")]);
        let mut expected = text.parse::<Table>().unwrap();
        for section in ["key", "zone"] {
            expected.remove(section);
        }
        expected["tls"].as_table_mut().unwrap().remove("renew");
        assert_eq!(written.text.parse::<Table>().unwrap(), expected);
    }
}
