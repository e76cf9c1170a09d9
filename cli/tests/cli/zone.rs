//! `geoip zone check`, as authors of master files meet it.

use std::fs;

use crate::home::{Home, Run};

const GOOD: &str = "\
$TTL 300
@     SOA  ns1 hostmaster 2026010100 7200 900 1209600 60
      NS   ns1
      NS   ns.example.net.
ns1   A    192.0.2.53
sub   NS   ns.sub
ns.sub A   192.0.2.54
www   CNAME geo
";

fn write(home: &Home, file: &str, text: &str) {
    let path = home.path(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn check(home: &Home, words: &[&str]) -> Run {
    home.run(&[["zone", "check"].as_slice(), words].concat())
}

#[test]
fn a_good_zone_is_summed_up() {
    let home = Home::new();
    write(&home, "example.com.zone", GOOD);
    let run = check(&home, &["example.com.zone"]);
    let told = "example.com.zone: zone example.com. is good: 7 records, 5 names, 1 delegation, \
                serial 2026010100\n";
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), told, ""));
}

#[test]
fn every_mistake_is_shown_in_the_file_it_is_in() {
    let home = Home::new();
    write(&home, "zones/example.com.zone", &format!("{GOOD}x FOO bar\n$INCLUDE hosts\n"));
    write(&home, "zones/hosts", "; hosts\na\tA 192.0.2.256\n");
    let run = check(&home, &["zones/example.com.zone"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let lines: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("zones/")).collect();
    let [unknown, address, verdict] = lines[..] else { panic!("{}", run.stdout) };
    assert!(unknown.starts_with("zones/example.com.zone:9:3: FOO "), "{unknown}");
    assert!(address.starts_with("zones/hosts:2:5: A record: "), "{address}");
    assert_eq!(verdict, "zones/example.com.zone: zone example.com. is refused: 2 errors");
    let carets = run.stdout.matches("^^^").count();
    assert!(carets >= 2, "{}", run.stdout);
}

#[test]
fn what_is_seldom_meant_is_a_warning() {
    let home = Home::new();
    write(&home, "example.com.zone", &format!("{GOOD}@ MX 10 www\nz 0 A 192.0.2.1\n"));
    let run = check(&home, &["example.com.zone"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let alias = "example.com.zone:9:1: warning: example.com.: the MX target www.example.com. is \
                 an alias (CNAME)\n";
    assert!(run.stdout.contains(alias), "{}", run.stdout);
    assert!(run.stdout.contains("example.com.zone:10:1: warning: z."), "{}", run.stdout);
    assert!(run.stdout.ends_with("; 2 warnings\n"), "{}", run.stdout);
    assert_eq!(check(&home, &["example.com.zone", "--strict"]).code, Some(1));
}

#[test]
fn the_zone_is_what_is_said_loudest() {
    let home = Home::new();
    write(&home, "example.com.zone", &format!("$ORIGIN example.org.\n{GOOD}"));
    write(&home, "hosts", GOOD);
    let zone = |words: &[&str]| {
        let run = check(&home, words);
        let (_, told) = run.stdout.split_once("zone ").unwrap_or_default();
        told.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(zone(&["hosts", "--origin", "example.net"]), "example.net.");
    write(&home, "db.example.com", GOOD);
    assert_eq!(zone(&["db.example.com"]), "example.com.");
    let by_text = check(&home, &["example.com.zone"]);
    assert!(by_text.stdout.contains("zone example.org. is good"), "{by_text:?}");
    let untold = check(&home, &["hosts"]);
    assert_eq!(untold.code, Some(1), "{untold:?}");
    assert!(untold.stdout.contains("give --origin NAME"), "{untold:?}");
}

#[test]
fn many_files_are_one_answer_for_programs() {
    let home = Home::new();
    write(&home, "a.example.zone", GOOD);
    write(&home, "b.example.zone", "@ A 192.0.2.1\n");
    let run = check(&home, &["a.example.zone", "b.example.zone", "missing", "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let files: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(files[0]["ok"], true);
    assert_eq!(files[0]["serial"], 2_026_010_100);
    assert_eq!(files[1]["ok"], false);
    assert_eq!(files[1]["errors"][0]["line"], 1);
    assert_eq!(files[2]["errors"][0]["line"], serde_json::Value::Null);
    assert_eq!(files.as_array().unwrap().len(), 3);
}

#[test]
fn what_stands_in_a_zone_does_nothing_to_a_terminal() {
    let home = Home::new();
    let name = "evil\u{202e}\u{9b}.zone";
    write(&home, name, &format!("$ORIGIN example.com.\n{GOOD}x FOO\u{9b}2J\u{202e}\u{7f} bar\n"));
    let run = check(&home, &[name, "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!run.stdout.contains(acts), "{:?}", run.stdout);
    let files: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(files[0]["file"], name, "and programs read what is there");
}
