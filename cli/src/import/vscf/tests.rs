//! The documentation's examples, mistakes with their places, and arbitrary text.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<Value, String> {
    let mut files = Files::of_text("config", text);
    parse(0, &mut files).map_err(|failure| failure.to_string())
}

/// In one form, whatever it was written like.
fn shown(value: &Value) -> String {
    match &value.kind {
        Kind::Text(text) => format!("{text:?}"),
        Kind::Array(values) => {
            format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Kind::Table(table) => {
            let entry = |entry: &Entry| format!("{:?}:{}", entry.key, shown(&entry.value));
            format!("{{{}}}", table.entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
    }
}

fn read(text: &str) -> String {
    shown(&parsed(text).unwrap_or_else(|error| panic!("{text}\n{error}")))
}

#[test]
fn three_spellings_of_the_manual_mean_the_same() {
    let spellings = [
        "options = {\n  listen = [ 192.0.2.1, 192.0.2.2 ],\n}\n",
        "\"options\" => {\n  listen => [ 192.0.2.1 192.0.2.2 ]\n}\n",
        "options={listen=[192.0.2.1 192.0.2.2]}",
    ];
    for text in spellings {
        assert_eq!(read(text), r#"{"options":{"listen":["192.0.2.1" "192.0.2.2"]}}"#, "{text}");
    }
}

#[test]
fn escapes_of_the_manual() {
    for text in ["example", "\"example\"", "ex\\097mpl\\e", "\"ex\\097mpl\\e\""] {
        assert_eq!(read(&format!("a = {text}")), r#"{"a":"example"}"#);
    }
    for text in ["white\\ space", "\"white space\""] {
        assert_eq!(read(&format!("a = {text}")), r#"{"a":"white space"}"#);
    }
    for text in ["\"\\\\===\"", "\"\\092===\"", "\\\\\\=\\=\\=", "\\092\\=\\=\\="] {
        assert_eq!(read(&format!("a = {text}")), r#"{"a":"\\==="}"#);
    }
    assert_eq!(read("a = \"{[;#]}\" b = Gen\u{e8}ve"), "{\"a\":\"{[;#]}\" \"b\":\"Gen\u{e8}ve\"}");
}

#[test]
fn comments_arrays_at_the_top_and_emptiness() {
    assert_eq!(read(""), "{}");
    assert_eq!(read("# c\n; c"), "{}");
    assert_eq!(read("[ a, { b => c }, [] ]"), r#"["a" {"b":"c"} []]"#);
    assert_eq!(read("a => b # c\n; d\n, e = f"), r#"{"a":"b" "e":"f"}"#);
    assert_eq!(
        read("10.0.0.0/8 => [ dc1, dc2 ] x = %multifo!r"),
        r#"{"10.0.0.0/8":["dc1" "dc2"] "x":"%multifo!r"}"#
    );
}

#[test]
fn mistakes_are_pointed_at() {
    let cases = [
        ("a => {\n  b => c\n", "config:1:6", "never closed"),
        ("a => [\n b", "config:1:6", "never closed"),
        ("a = \"b", "config:1:5", "never close"),
        ("a\nb = c", "config:2:1", "'=>' is expected after the key 'a'"),
        ("a = 1\na = 2", "config:2:1", "twice"),
        ("a = }", "config:1:5", "a value is expected"),
        ("}", "config:1:1", "a key is expected"),
        ("a = \\999", "config:1:5", "three digits"),
        ("a = \\", "config:1:5", "backslash"),
        ("a = \"\\255\"", "config:1:5", "UTF-8"),
        ("a = b\r\n", "config:1:6", "carriage return"),
        ("$incl{x}", "config:1:1", "$include"),
        ("a = $include{x", "config:1:15", "'}' is expected"),
        ("[a] b", "config:1:5", "nothing may follow"),
        ("a = b,,", "config:1:7", "a key is expected"),
    ];
    for (text, place, says) in cases {
        let told = parsed(text).unwrap_err();
        assert!(told.contains(place) && told.contains(says), "{text:?}: {told}");
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parsed(&nested(MAX_DEPTH - 1)).is_ok());
    let told = parsed(&nested(1_000_000)).unwrap_err();
    assert!(told.contains("nested"), "{told}");
    let told = parsed(&"a={".repeat(1_000_000)).unwrap_err();
    assert!(told.contains("nested"), "{told}");
}

#[test]
fn includes_merge_or_stand_for_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("config", "a => $include{ \"sub/one\" }\nb => { $include{sub/d}, $include{sub/x?} }");
    write("sub/one", "[ 1, 2 ]");
    write("sub/d/k", "k = v $include{../deep}");
    write("sub/deep", "deep = er");
    write("sub/x1", "x = 1");
    write("sub/xyz", "never = read");
    write("loop", "$include{loop}");
    write("twice", "x = 2 $include{sub/x1}");
    write("several", "a = $include{sub/x*}");
    write("outside", "a = $include{/etc/hostname}");
    write("missing", "$include{sub/q*}");
    let mut files = Files::below(dir.path()).unwrap();
    let value = super::read(Path::new("config"), &mut files).unwrap();
    let expected = r#"{"a":["1" "2"] "b":{"k":"v" "deep":"er" "x":"1"}}"#;
    assert_eq!(shown(&value), expected);
    let cases = [
        ("loop", "over 16 deep"),
        ("twice", "'x' is there twice"),
        ("several", "exactly one file"),
        ("outside", "outside"),
        ("missing", "no file is called like that"),
    ];
    for (file, says) in cases {
        let told = super::read(Path::new(file), &mut files).unwrap_err().to_string();
        assert!(told.contains(says), "{file}: {told}");
    }
}

/// Values that can be written down.
fn values() -> impl Strategy<Value = Kind> {
    let text = prop_oneof!["[a-z0-9.!%/:-]{1,12}", "\\PC{0,12}", "[\\[\\]{}=\"\\\\ #;,$\n]{0,6}"];
    let leaf = text.prop_map(Kind::Text);
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = "[a-z\\\\\" =]{1,6}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|kinds| { Kind::Array(kinds.into_iter().map(place).collect()) }),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|map| {
                let entry = |(key, kind)| Entry { key, at: At::new(0, 0, 0), value: place(kind) };
                Kind::Table(Table { entries: map.into_iter().map(entry).collect() })
            }),
        ]
    })
}

fn place(kind: Kind) -> Value {
    Value { at: At::new(0, 0, 0), kind }
}

/// As somebody could write it; `style` chooses between spellings.
fn written(value: &Value, style: &mut impl Iterator<Item = bool>, out: &mut String) {
    match &value.kind {
        Kind::Text(text) => spelled(text, style, out),
        Kind::Array(values) => {
            out.push('[');
            for value in values {
                written(value, style, out);
                out.push_str(if style.next() == Some(true) { " , " } else { " ;c\n" });
            }
            out.push(']');
        }
        Kind::Table(table) => {
            out.push('{');
            for entry in &table.entries {
                spelled(&entry.key, style, out);
                out.push_str(if style.next() == Some(true) { "=" } else { "\n=> " });
                written(&entry.value, style, out);
                out.push_str(if style.next() == Some(true) { "," } else { " " });
            }
            out.push('}');
        }
    }
}

fn spelled(text: &str, style: &mut impl Iterator<Item = bool>, out: &mut String) {
    let quoted = text.is_empty() || style.next() == Some(true);
    out.push_str(if quoted { "\"" } else { "" });
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            let _ = write!(out, "\\{:03}", c as u32);
        } else {
            out.push(c);
        }
    }
    out.push_str(if quoted { "\"" } else { "" });
}

proptest! {
    #[test]
    fn what_is_written_is_read(kind in values(), style in prop::collection::vec(any::<bool>(), 1..50)) {
        let value = place(kind);
        let mut text = "top = ".to_owned();
        written(&value, &mut style.into_iter().cycle(), &mut text);
        let read = parsed(&text);
        prop_assert!(read.is_ok(), "{}\n{}", text, read.unwrap_err());
        prop_assert_eq!(shown(&read.unwrap()), format!("{{\"top\":{}}}", shown(&value)));
    }

    /// Arbitrary text is read or refused with a place in it, and what is read has the limits.
    #[test]
    fn arbitrary_text_is_no_panic(text in "([a-z{}\\[\\]=>,;#\"\\\\$ \n\r0-9]|\\$include\\{|\\PC){0,200}") {
        match parsed(&text) {
            Err(told) => prop_assert!(told.contains("config:") || told.contains("no such"), "{}", told),
            Ok(value) => prop_assert!(deepest(&value) <= MAX_DEPTH),
        }
    }

    /// Damage to a good configuration is read or refused, and never a panic.
    #[test]
    fn damaged_text_is_no_panic(at in 0..GOOD.len(), with in any::<char>(), cut in 0..40_usize) {
        let mut text: Vec<char> = GOOD.chars().collect();
        let at = at % text.len();
        text.splice(at..(at + cut).min(text.len()), [with]);
        let text: String = text.into_iter().collect();
        if let Err(told) = parsed(&text) {
            prop_assert!(told.contains("config:"), "{}", told);
        }
    }
}

fn deepest(value: &Value) -> usize {
    let inner = match &value.kind {
        Kind::Text(_) => 0,
        Kind::Array(values) => values.iter().map(deepest).max().unwrap_or(0),
        Kind::Table(table) => {
            table.entries.iter().map(|entry| deepest(&entry.value)).max().unwrap_or(0)
        }
    };
    inner + 1
}

const GOOD: &str = r#"
plugins => { geoip => {
  maps => { m => {
    datacenters => [dc-03, dc-02], nets => { 10.0.0.0/8 => [ dc-02 ], 2001:DB8::/32 => dc-03 }
    map => { EU => { DE => [dc-03, dc-02], default => "dc-02" } ; comment
  } } }
  resources => { www => { map => m, dcmap => { dc-02 => 192.0.2.1, dc-03 => %multifo!x\046y } } }
} }
"#;
