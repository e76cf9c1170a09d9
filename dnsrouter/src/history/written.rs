//! What a plan's services were compiled from.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

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
        let variable = |name: &str| {
            let path = name.get(PREFIX.len()..).unwrap_or_default().to_ascii_lowercase();
            !is_left_out(&path, "__")
        };
        let flag = |key: &str| !is_left_out(key, ".");
        let environment = environment.into_iter().filter(|(name, _)| variable(name)).collect();
        let flags = flags.iter().filter(|(key, _)| flag(key)).cloned().collect();
        Self { text: kept(text), environment, flags, geo }
    }
}

/// The text without what is left out. Services are taken over token by token: of 10,000 a table of values
/// would take two seconds to make and to write.
fn kept(text: &str) -> String {
    let Some((few, many)) = divided(text) else { return without(text) };
    let mut kept = without(&few);
    if !kept.is_empty() && !kept.ends_with('\n') {
        kept.push('\n');
    }
    kept + &many
}

/// The same by its values.
fn without(text: &str) -> String {
    let mut table = text.parse::<Table>().unwrap_or_default();
    for section in LEFT_OUT {
        table.remove(section);
    }
    if let Some(Value::Table(tls)) = table.get_mut("tls") {
        // A command line may hold anything.
        tls.remove("renew");
    }
    table.to_string()
}

/// What has to be looked at value by value (what stands before all sections, and `tls`), and what is kept as
/// it is: both without comments, which may hold anything. None where a section's name is in quotes, which
/// is for [`without`] to read.
fn divided(text: &str) -> Option<(String, String)> {
    let (mut few, mut many) = (String::new(), String::new());
    // None: nowhere.
    let (mut to, mut depth, mut begins_line) = (Some(&mut few), 0_usize, true);
    // Where a section's head begins, until its name is known.
    let mut head = None;
    for token in Source::new(text).lex() {
        let span = token.span().start()..token.span().end();
        let piece = text.get(span.clone())?;
        match token.kind() {
            TokenKind::Comment => continue,
            TokenKind::Newline => begins_line = depth == 0,
            TokenKind::Whitespace => {}
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                if begins_line {
                    head = Some(span.start);
                }
                (begins_line, depth) = (false, depth + 1);
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth = depth.saturating_sub(1);
            }
            kind => {
                begins_line = false;
                if let Some(start) = head.take() {
                    if kind != TokenKind::Atom {
                        return None;
                    }
                    to = match piece {
                        "tls" => Some(&mut few),
                        name if LEFT_OUT.contains(&name) => None,
                        _ => Some(&mut many),
                    };
                    if let Some(to) = &mut to {
                        to.push_str(text.get(start..span.end)?);
                    }
                    continue;
                }
            }
        }
        if let Some(to) = to.as_mut().filter(|_| head.is_none()) {
            to.push_str(piece);
        }
    }
    Some((few, many))
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

    #[test]
    fn however_it_is_written_the_same_is_kept() {
        for text in [
            "",
            "node.name = 'a'\n[listen]\ndns = [ # [key]\n '[zone]', \"#\",\n[1], { a = 'b' } ]\n",
            "key = [{ name = 'k', secret = 's' }]\ntls = { renew = { command = ['s'] } }\n[node]\nname = 'a'\n",
            "[node]\nname = 'a' # hunter2\n# [service]\n[[key]]\nsecret = \"s\\\"[node]\"\n  [ tls ]\ncert = 'c'\n\
             renew.command = ['s']\n[tls.more]\na = 1\n[[service]]\nname = 'x'\n[[service.endpoint]]\nregion = 'r'",
            "[node]\nname = 'a'\n[[\"key\"]]\nsecret = 's'\n['z\\u006fne']\nname = 's'\n",
            "[[zone]]\nname = \"\"\"\n[node]\nsecret\"\"\"\n[geo]\nb = \'\'\'\n[key]\n# no comment\'\'\'\n[key.a]\nsecret = 1\n",
            "\u{feff}[cookie]\r\nsecret = 's'\r\n[listen]\r\ndns = []\r\n",
        ] {
            let mut expected = text.parse::<Table>().unwrap();
            LEFT_OUT.iter().for_each(|section| _ = expected.remove(*section));
            if let Some(Value::Table(tls)) = expected.get_mut("tls") {
                tls.remove("renew");
            }
            let kept = kept(text);
            assert_eq!(kept.parse::<Table>().unwrap(), expected, "{text}");
            assert!(!kept.contains("hunter2") && !kept.contains("secret"), "{kept}");
        }
    }
}
