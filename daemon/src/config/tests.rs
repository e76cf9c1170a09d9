use super::*;
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "some fields are only there to be expected")]
struct Raw {
    node: Node,
    #[serde(default)]
    listen: Listen,
    tls: Option<Tls>,
    #[serde(default)]
    log: Log,
    #[serde(default, with = "duration::option")]
    wait: Option<Duration>,
    #[serde(default)]
    service: Vec<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Listen {
    dns: Vec<String>,
    admin: String,
    limit: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "some fields are only there to be expected")]
struct Service {
    name: Spanned<String>,
    ttl: Spanned<u32>,
}

const NODE: &str = "[node]\nname = \"ns1\"\nregion = \"us-central1\"\n";

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn read_text(text: &str) -> Result<Loaded<Raw>, ConfigError> {
    parse("dnsrouter.toml", text, [], &[])
}

fn report(text: &str) -> String {
    read_text(text).expect_err("it should be refused").report()
}

#[test]
fn a_value_is_what_the_strongest_layer_says() {
    let text = format!("{NODE}[listen]\nadmin = \"file\"\nlimit = 1\n");
    let env = pairs(&[
        ("GEOPING__LISTEN__ADMIN", "env"),
        ("GEOPING__LISTEN__LIMIT", "2"),
        ("geoping__node__NAME", "ns2"),
        ("GEOPING__LISTEN__DNS", "[\"127.0.0.1:53\", '[::1]:53']"),
        ("HOME", "/root"),
        ("GEOPING_CONFIG", "elsewhere"),
    ]);
    let flags = pairs(&[("listen.limit", "3"), ("tls", "{cert='c', key='k', ca='a'}")]);
    let read = parse::<Raw>("dnsrouter.toml", &text, env, &flags).unwrap().value;
    assert_eq!(read.listen.admin, "env");
    assert_eq!(read.listen.limit, 3);
    assert_eq!(read.listen.dns, ["127.0.0.1:53", "[::1]:53"]);
    assert_eq!(read.node.name.get_ref(), "ns2");
    assert_eq!(read.node.region.get_ref(), "us-central1");
    assert_eq!(read.tls.unwrap().ca, Path::new("a"));
    assert_eq!(read.log, Log::default());
}

#[test]
fn overrides_make_the_sections_they_need() {
    let env = pairs(&[("GEOPING__NODE__NAME", "ns1"), ("GEOPING__NODE__REGION", "[::1]:53")]);
    let read = parse::<Raw>("none.toml", "", env, &[]).unwrap().value;
    assert_eq!(read.node.region.get_ref(), "[::1]:53", "what is no TOML is a word");
}

#[test]
fn an_unknown_key_is_shown_with_a_caret_and_the_likely_name() {
    let expected = "\
dnsrouter.toml:3:1: unknown field `reigon`, expected one of `name`, `region`, `trust_domain`
   ,-[dnsrouter.toml:3:1]
 2 | name = \"ns1\"
 3 | reigon = \"us-central1\"
   : ^^^^^^
   `----
  help: did you mean `region`?
";
    let report = report("[node]\nname = \"ns1\"\nreigon = \"us-central1\"\n");
    assert!(report.starts_with(expected), "{report}");
}

#[test]
fn every_unknown_key_is_reported_at_once() {
    let text = format!("{NODE}colour = 1\n[listen]\ndnss = []\n[lsten]\nx = 1\n");
    let error = read_text(&text).unwrap_err();
    let lines: Vec<_> = error.errors.iter().map(|p| p.position().unwrap().line).collect();
    assert_eq!(lines.len(), 3, "{}", error.report());
    for line in [4, 6, 7] {
        assert!(lines.contains(&line), "line {line}: {}", error.report());
    }
}

#[test]
fn wrong_types_and_values_point_at_the_value() {
    for (text, place, says) in [
        ("[listen]\nlimit = \"x\"\n", "5:9", "invalid type: string \"x\", expected u32"),
        ("[listen]\ndns = [1]\n", "5:8", "invalid type: integer"),
        ("[listen]\nlimit = 4294967296\n", "5:9", "expected u32"),
        ("[log]\nformat = \"jsn\"\n", "5:10", "unknown variant `jsn`"),
        ("[[service]]\nname = 'a'\n", "4:1", "missing field `ttl`"),
        ("[tls]\ncert='c'\nkey='k'\nca='a'\nrenew={command=[], at=1.5}\n", "8:23", "fraction"),
        ("[tls]\ncert='c'\nkey='k'\nca='a'\nrenew={command=[], at=nan}\n", "8:23", "fraction"),
        ("[listen\n", "4:8", "unclosed table"),
        ("[listen]\nlimit = 1\nlimit = 2\n", "6:1", "duplicate key"),
    ] {
        let report = report(&format!("{NODE}{text}"));
        assert!(report.starts_with(&format!("dnsrouter.toml:{place}: ")), "{text}: {report}");
        assert!(report.contains(says), "{text}: {report}");
    }
    assert!(report(&format!("{NODE}[log]\nformat='jsn'\n")).contains("did you mean `json`?"));
}

#[test]
fn durations_have_units() {
    let with = |wait: &str| read_text(&format!("wait = {wait}\n{NODE}"));
    assert_eq!(with("'1m 5s'").unwrap().value.wait, Some(Duration::from_secs(65)));
    assert_eq!(with("'250ms'").unwrap().value.wait, Some(Duration::from_millis(250)));
    for bad in ["'5'", "5", "'-5s'", "'five'", "''"] {
        let report = with(bad).unwrap_err().report();
        assert!(report.starts_with("dnsrouter.toml:1:8: "), "{bad}: {report}");
    }
}

#[test]
fn a_bad_override_names_its_variable_or_flag() {
    for (key, value, says) in [
        ("GEOPING__LISTEN__LIMITS", "1", "GEOPING__LISTEN__LIMITS:1:18: unknown field `limits`"),
        ("GEOPING__LISTENS__DNS", "[]", "GEOPING__LISTENS__DNS:1:10: unknown field `listens`"),
        ("GEOPING__LISTEN__LIMIT", "ten", "GEOPING__LISTEN__LIMIT:1:24: invalid type"),
        ("GEOPING__LISTEN__DNS", "['a', 1]", "GEOPING__LISTEN__DNS:1:28: invalid type"),
        ("GEOPING__LISTEN", "1", "GEOPING__LISTEN:1:17: invalid type"),
        ("GEOPING__SERVICE__TTL", "1", "GEOPING__SERVICE__TTL:1:10: `service` is not a table"),
        ("GEOPING__", "1", "GEOPING__:1:10: unknown field ``"),
    ] {
        let text = format!("{NODE}[[service]]\nname = 'a'\nttl = 1\n");
        let error = parse::<Raw>("d.toml", &text, pairs(&[(key, value)]), &[]).unwrap_err();
        assert!(error.report().starts_with(says), "{key}={value}: {}", error.report());
        assert!(error.report().contains(&format!("{key}={value}")), "{}", error.report());
    }
    let flags = pairs(&[("listen.limit", "ten")]);
    let error = parse::<Raw>("d.toml", NODE, [], &flags).unwrap_err();
    assert!(error.to_string().starts_with("flag listen.limit:1:14: "), "{error}");
}

#[test]
fn programs_report_what_only_they_know_in_the_same_way() {
    let text = format!("{NODE}[[service]]\nname = 'a'\nttl = 0\n");
    let env = pairs(&[("GEOPING__NODE__REGION", "mars-east1")]);
    let Loaded { value, source } = parse::<Raw>("d.toml", &text, env, &[]).unwrap();
    let error = ConfigError::check(vec![
        source.error(value.service[0].ttl.span(), "a TTL of 0 is never cached", Some("try 60")),
        source.error(value.node.region.span(), "no such region", None),
    ])
    .unwrap_err();
    assert_eq!(error.to_string(), "d.toml:6:7: a TTL of 0 is never cached (and 1 more)");
    let report = error.report();
    assert!(report.contains(" 6 | ttl = 0\n   :       ^\n"), "{report}");
    assert!(report.contains("  help: try 60\n"), "{report}");
    assert!(report.contains("\nGEOPING__NODE__REGION:1:23: no such region\n"), "{report}");
    assert!(ConfigError::check(Vec::new()).is_ok());
}

#[test]
fn columns_count_characters_and_long_lines_are_not_printed() {
    let umlauts = report(&format!("{NODE}[log]\nlevel = 'äöü' # äöü\nformat = 'ä'\n"));
    assert!(umlauts.starts_with("dnsrouter.toml:6:10: unknown variant `ä`"), "{umlauts}");
    let same_line = report(&format!("log = {{ level = 'äöü', format = 'x' }}\n{NODE}"));
    assert!(same_line.starts_with("dnsrouter.toml:1:33: "), "{same_line}");
    assert!(same_line.contains("[dnsrouter.toml:1:33]"), "{same_line}");
    let long = report(&format!("x = [{}\n", "1,".repeat(100_000)));
    assert!(long.len() < 1000, "{long}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnsrouter.toml");
    let load_it = || load::<Raw>(&path, [], &[]).map(|_| ()).unwrap_err().report();

    assert!(load_it().contains("dnsrouter.toml: cannot read the configuration: No such file"));
    std::fs::write(&path, b"[node]\nname = \"\xff\"\n").unwrap();
    assert!(load_it().contains("dnsrouter.toml:2:9: the file is not UTF-8 from here on"));
    let huge = std::fs::File::create(&path).unwrap();
    huge.set_len(MAX_FILE + 1).unwrap();
    assert!(load_it().contains("it is larger than 16 MiB"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(load_it().contains("it is a directory"));
}

#[test]
fn a_file_of_the_largest_size_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnsrouter.toml");
    let padding = "#".repeat(usize::try_from(MAX_FILE).unwrap() - NODE.len());
    std::fs::write(&path, format!("{NODE}{padding}")).unwrap();
    assert_eq!(load::<Raw>(&path, [], &[]).unwrap().value.node.name.get_ref(), "ns1");
}

#[test]
fn nothing_in_a_report_acts_on_a_terminal_and_carets_stay() {
    let text = "first\x1b[2J\r\n\u{202e}x\x07 bad\u{9b} y\nlast\x1b]0;t\x07\n";
    let at = text.find("bad").unwrap();
    let source = Source::file("a\x1b[31m\nb", text);
    let problem = source.error(at..at + 3, "no \x1b[1m word", Some("write \u{2066}another"));
    let report = ConfigError { errors: vec![problem] }.report();
    let acting = |c: char| c != '\n' && c != '\r' && crate::terminal::acts(c);
    assert!(!report.contains(acting), "{report:?}");
    assert!(report.starts_with("a\u{fffd}[31m\u{fffd}b:2:5: no \u{fffd}[1m word\n"), "{report}");
    let mut lines = report.lines().skip_while(|line| !line.contains("bad"));
    let (line, caret) = (lines.next().unwrap(), lines.next().unwrap());
    let column = |line: &str, c: &str| line[..line.find(c).unwrap()].chars().count();
    assert_eq!(column(line, "bad"), column(caret, "^"), "{report}");
}

#[test]
fn a_line_that_may_not_be_shown_is_pointed_at_only() {
    let source = Source::file("a", "one\nsecret words\n");
    let problem = source.error(11..16, "wrong", Some("do right")).without_text();
    let report = ConfigError { errors: vec![problem] }.report();
    assert_eq!(report, "a:2:8: wrong\n  help: do right\n");
}
