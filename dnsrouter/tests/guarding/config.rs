//! What can be written about the guard, what cannot, and what of it outlives a reload.

use std::fs::Permissions;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use dns::edns::Cookie;
use dns::edns::cookie::Verdict;
use dnsrouter::config::Config;
use dnsrouter::guard::Guard;
use dnsrouter::guard::access::Permission;
use dnsrouter::guard::limit::{self, Kind};
use dnsrouter::io::load::Loader;
use dnsrouter::plan::Generation;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::world::LOADER;

const BASE: &str = "\
[node]
name = 'ns1'
region = 'us-central1'
[listen]
dns = ['127.0.0.1:0']
[[zone]]
name = 'test-net.io'
file = 'zone'
";
const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 A 192.0.2.53\n";

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("zone", ZONE);
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Loads the base configuration with `more` behind it.
    fn load(&self, loader: &mut Loader, more: &str) -> Result<Arc<Guard>, String> {
        let file = self.write("dnsrouter.toml", &format!("{BASE}{more}"));
        let loaded = loader.load(&file, &[]).map_err(|error| error.report())?;
        Ok(loaded.inputs(Generation(1)).guard)
    }
}

fn guard(more: &str) -> Arc<Guard> {
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    Folder::new().load(&mut loader, more).unwrap_or_else(|report| panic!("{report}"))
}

/// What the report says first, without the file's folder.
fn mistake(more: &str) -> String {
    let folder = Folder::new();
    let file = folder.write("dnsrouter.toml", &format!("{BASE}{more}"));
    let Err(error) = Config::load(&file, &[]) else { panic!("accepted: {more}") };
    let report = error.report();
    let first = report.lines().next().unwrap();
    first.strip_prefix(&format!("{}:", file.display())).unwrap_or(first).to_owned()
}

fn peer(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn passing(guard: &Guard, kind: Kind) -> usize {
    let verdicts = (0..1000).map(|_| guard.limit(peer("192.0.2.1"), kind, now()));
    verdicts.filter(|verdict| *verdict == limit::Verdict::Pass).count()
}

/// A cookie that `guard` gives, and what another makes of it.
fn accepts(by: &Guard, made_by: &Guard) -> Verdict {
    let client = *b"clientck";
    let ask = Cookie { client, server: &[] };
    let (verdict, server) = made_by.cookie(&ask, peer("192.0.2.1"), now()).unwrap();
    assert_eq!(verdict, Verdict::Absent);
    by.cookie(&Cookie { client, server: &server }, peer("192.0.2.1"), now()).unwrap().0
}

#[test]
fn without_a_word_there_are_cookies_and_a_name_and_nothing_else() {
    let guard = guard("");
    assert_eq!(guard.identity.nsid.as_deref(), Some(&b"ns1"[..]));
    assert!(guard.identity.chaos.is_none());
    assert!(guard.limit.is_none());
    assert_eq!(passing(&guard, Kind::Answer), 1000);
    assert_eq!(guard.access.verdict(peer("192.0.2.1")), Permission::Allow);
    assert_eq!(accepts(&guard, &guard), Verdict::Valid);
}

#[test]
fn identity_is_what_was_written() {
    let nsid = |more: &str| guard(&format!("[identity]\n{more}")).identity.nsid.clone();
    assert_eq!(nsid("nsid = 'fra-2'").as_deref(), Some(&b"fra-2"[..]));
    assert_eq!(nsid("nsid = false"), None);
    let chaos = |more: &str| {
        let chaos = guard(&format!("[identity]\nchaos = true\n{more}")).identity.chaos.clone();
        chaos.map(|chaos| (chaos.version, chaos.id)).unwrap()
    };
    let version = Some(format!("dnsrouter {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(chaos(""), (version.clone(), Some("ns1".into())));
    assert_eq!(chaos("version = 'guess'\nid = false"), (Some("guess".into()), None));
    assert_eq!(chaos("version = false"), (None, Some("ns1".into())));
}

#[test]
fn limits_are_what_was_written() {
    let counts = |more: &str| Kind::ALL.map(|kind| passing(&guard(more), kind));
    let plain = "[rate_limit]\nresponses_per_second = 10\n";
    assert_eq!(counts(plain), [20; 5], "two seconds' worth");
    assert_eq!(counts(&format!("{plain}burst = 50\n")), [50; 5]);
    let kinds = "nodata_per_second = 20\nnxdomain_per_second = 5\nreferral_per_second = 40\n\
                 error_per_second = 1\n";
    assert_eq!(counts(&format!("{plain}{kinds}")), [20, 40, 10, 80, 2]);
    let guard = guard(&format!(
        "{plain}slip = 1\nprefix_v4 = 32\nprefix_v6 = 64\ntable = 2048\n\
         exempt = ['192.0.2.0/24', '2001:db8::1']\n"
    ));
    let settings = guard.limit.as_ref().unwrap().settings();
    assert_eq!((settings.slip, settings.prefix_v4, settings.prefix_v6), (1, 32, 64));
    assert_eq!(settings.entries, 2048);
    assert_eq!(passing(&guard, Kind::Answer), 1000, "exempt");
}

#[test]
fn access_is_what_was_written() {
    let verdict = |more: &str, who| guard(&format!("[access]\n{more}")).access.verdict(peer(who));
    let allow = "allow = ['192.0.2.0/24', '2001:db8::1']\n";
    assert_eq!(verdict(allow, "192.0.2.1"), Permission::Allow);
    assert_eq!(verdict(allow, "2001:db8::1"), Permission::Allow);
    assert_eq!(verdict(allow, "2001:db8::2"), Permission::Refuse);
    let dropped = format!("{allow}deny = ['192.0.2.128/25']\ndeny_action = 'drop'\n");
    assert_eq!(verdict(&dropped, "192.0.2.1"), Permission::Allow);
    assert_eq!(verdict(&dropped, "192.0.2.129"), Permission::Drop);
}

#[test]
fn a_zones_list_is_its_own_however_zones_are_numbered() {
    let folder = Folder::new();
    let zones = "allow = ['192.0.2.0/24']\n[[zone]]\nname = 'a.example'\nfile = 'zone'\n\
                 [[zone]]\nname = 'Z.example'\nfile = 'zone'\nallow = ['198.51.100.0/24']\n";
    let file = folder.write("dnsrouter.toml", &format!("{BASE}{zones}"));
    let loaded = LOADER.lock().unwrap_or_else(PoisonError::into_inner).load(&file, &[]);
    let inputs = loaded.unwrap_or_else(|error| panic!("{}", error.report())).inputs(Generation(1));
    let allowed = |apex: &str, who| {
        let zone = inputs.zones.zones().find(|zone| zone.apex().to_string() == apex).unwrap();
        inputs.guard.access.may_ask(zone.id(), peer(who))
    };
    for (who, expected) in [
        ("192.0.2.1", [true, true, false]),
        ("198.51.100.1", [false, true, true]),
        ("203.0.113.1", [false, true, false]),
    ] {
        let seen = ["test-net.io.", "a.example.", "Z.example."].map(|apex| allowed(apex, who));
        assert_eq!(seen, expected, "{who}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    let long = "x".repeat(256);
    let cases: &[(&str, &str)] = &[
        ("[identity]\nnsid = ''", "10:8: an empty text"),
        (&format!("[identity]\nnsid = '{long}'"), "10:8: 256 octets; at most 128"),
        ("[identity]\nnsid = 7", "10:8: data did not match"),
        ("[identity]\nversion = 'x'", "10:11: nobody is told"),
        ("[identity]\nid = false", "10:6: nobody is told"),
        ("[identity]\nname = 'x'", "10:1: unknown field `name`"),
        ("[cookie]\nenabled = 'yes'", "10:11: invalid type"),
        ("[cookie]\nsecret = 'file'", "10:10: invalid type"),
        ("[cookie]\nsecret = ['1', '2', '3', '4', '5']", "10:31: 5 secrets; at most 4"),
        ("[rate_limit]", "9:1: missing field `responses_per_second`"),
        ("[rate_limit]\nresponses_per_second = 0", "10:24: from 1 to 100000 responses"),
        ("[rate_limit]\nresponses_per_second = 100001", "10:24: from 1 to 100000 responses"),
        ("[rate_limit]\nresponses_per_second = -1", "10:24: invalid value"),
        (
            "[rate_limit]\nresponses_per_second = 5\nnxdomain_per_second = 0",
            "11:23: from 1 to 100000",
        ),
        ("[rate_limit]\nresponses_per_second = 5\nburst = 0", "11:9: from 1 to 300: 60 seconds'"),
        ("[rate_limit]\nresponses_per_second = 5\nburst = 301", "11:9: from 1 to 300"),
        ("[rate_limit]\nresponses_per_second = 5\nslip = 11", "11:8: from 0 to 10"),
        ("[rate_limit]\nresponses_per_second = 5\nprefix_v4 = 7", "11:13: from 8 to 32"),
        ("[rate_limit]\nresponses_per_second = 5\nprefix_v6 = 129", "11:13: from 16 to 128"),
        ("[rate_limit]\nresponses_per_second = 5\ntable = 1023", "11:9: from 1024 to 16777216"),
        ("[rate_limit]\nresponses_per_second = 5\nexempt = ['x']", "11:11: \"x\" is not a network"),
        ("[access]\nallow = []", "10:9: an empty list lets nobody ask"),
        ("[access]\ndeny = ['192.0.2.1/24']", "10:9: \"192.0.2.1/24\" is not a network"),
        ("[access]\nallow = ['::/0', '192.0.2.0/33']", "10:18: \"192.0.2.0/33\" is not a network"),
        ("[access]\ndeny_action = 'reject'", "10:15: unknown variant `reject`"),
        ("allow = []", "9:9: an empty list lets nobody ask"),
        ("allow = ['2001:db8::1/32']", "9:10: \"2001:db8::1/32\" is not a network"),
    ];
    for (more, says) in cases {
        let mistake = mistake(more);
        assert!(mistake.starts_with(says), "{more}\n  said  {mistake}\n  wanted {says}");
    }
}

#[test]
fn a_nodes_name_fits_what_it_is_told_in() {
    let folder = Folder::new();
    let long = BASE.replace("'ns1'", &format!("'{}'", "n".repeat(256)));
    let Err(error) = Config::load(&folder.write("dnsrouter.toml", &long), &[]) else {
        panic!("accepted")
    };
    assert!(error.report().contains(":2:8: a name of 256 octets"), "{}", error.report());
}

#[test]
fn secrets_are_shared_by_those_who_have_the_files() {
    let folder = Folder::new();
    folder.write("old", "e5e973e5a6b2a43f48e7dc849e37bfcf\n");
    folder.write("new", "445536bcd2513298075a5d379663c962");
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut with = |secrets: &str| {
        folder.load(&mut loader, &format!("[cookie]\nsecret = {secrets}\n")).unwrap()
    };
    let (old, both, new, none) =
        (with("['old']"), with("['new', 'old']"), with("['new']"), with("[]"));
    assert_eq!(accepts(&old, &old), Verdict::Valid);
    assert_eq!(accepts(&both, &old), Verdict::Renew, "another secret makes cookies now");
    assert_eq!(accepts(&new, &both), Verdict::Valid);
    assert_eq!(accepts(&old, &both), Verdict::Invalid);
    assert_eq!(accepts(&new, &none), Verdict::Invalid);
    let off = folder.load(&mut loader, "[cookie]\nenabled = false\nsecret = ['new']\n").unwrap();
    assert!(off.cookies.is_none());
}

#[test]
fn secret_files_are_watched_and_their_mistakes_are_told_without_their_text() {
    let folder = Folder::new();
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let more = "[cookie]\nsecret = [\n 'key',\n]\n";
    for (text, says) in [
        (None, "No such file"),
        (Some("e5e973e5a6b2a43f48e7dc849e37bfc"), "31 hexadecimal digits; a secret has 32"),
        (Some("e5e973e5a6b2a43f48e7dc849e37bfcx"), "octet 32 is no hexadecimal digit"),
        (Some("e5e973e5 a6b2a43f48e7dc849e37bfcf"), "octet 9 is no hexadecimal digit"),
        (Some(""), "0 hexadecimal digits"),
    ] {
        if let Some(text) = text {
            folder.write("key", text);
        }
        let report = folder.load(&mut loader, more).unwrap_err();
        let place = format!("{}:11:2: ", folder.0.path().join("dnsrouter.toml").display());
        let first = report.lines().next().unwrap();
        assert!(first.starts_with(&place) && first.contains(says), "{text:?}: {report}");
        assert!(!report.contains("e5e973e5"), "{report}");
        assert!(loader.files().any(|file| file == folder.0.path().join("key")));
    }
    folder.write("key", "e5e973e5a6b2a43f48e7dc849e37bfcf");
    assert!(loader.is_outdated(), "the mend is seen");
    folder.load(&mut loader, more).unwrap();
    assert!(!loader.is_outdated());
}

#[test]
fn a_reload_keeps_the_master_and_the_limiter_and_a_rejected_one_too() {
    let folder = Folder::new();
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = "[rate_limit]\nresponses_per_second = 7\nburst = 9\n";
    let first = folder.load(&mut loader, limit).unwrap();
    assert_eq!(passing(&first, Kind::Answer), 9);

    let again = folder.load(&mut loader, &format!("{limit}[identity]\nnsid = 'x'\n")).unwrap();
    assert_eq!(accepts(&again, &first), Verdict::Valid, "the same master");
    assert_eq!(passing(&again, Kind::Answer), 0, "the same table");

    let other = format!("{limit}slip = 3\n");
    assert!(folder.load(&mut loader, &format!("{other}[cookie]\nsecret = ['none']")).is_err());
    let back = folder.load(&mut loader, limit).unwrap();
    assert_eq!(passing(&back, Kind::Answer), 0, "a rejected load changes nothing");

    let changed = folder.load(&mut loader, &other).unwrap();
    assert_eq!(passing(&changed, Kind::Answer), 9, "another table");
    assert_eq!(accepts(&changed, &first), Verdict::Valid);
}

#[test]
fn what_is_allowed_but_should_be_known_joins_the_warnings() {
    let folder = Folder::new();
    let open = folder.write("open", crate::world::SECRET);
    std::fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let sets: String =
        (0..60).map(|i| format!("h{i} 300 A 192.0.2.1\nh{i} 60 A 192.0.2.2\n")).collect();
    folder.write("zone", &format!("{ZONE}{sets}"));
    let zone = |name: &str| format!("[[zone]]\nname = '{name}.test'\nfile = 'zone'\n");
    let zones: String = ["a", "b", "c"].map(zone).concat();
    let text = format!("{BASE}{zones}[cookie]\nsecret = ['open']\n");
    let file = folder.write("dnsrouter.toml", &text);
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let warnings = loader.load(&file, &[]).unwrap().config.warnings;
    let count = |word: &str| warnings.iter().filter(|line| line.contains(word)).count();
    assert_eq!(count("open: everybody on this machine"), 1, "{warnings:?}");
    assert_eq!((count("zone:6:1: h0.test-net.io."), count("zone:6:1: h0.b.test.")), (1, 1));
    assert_eq!((count("TTL differs"), count("30 more like these")), (50, 1), "{warnings:?}");
}

#[test]
fn a_secret_that_nobody_writes_is_not_waited_for() {
    let folder = Folder::new();
    let fifo = folder.0.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let mut loader = LOADER.lock().unwrap_or_else(PoisonError::into_inner);
    let report = folder.load(&mut loader, "[cookie]\nsecret = ['fifo']\n").err().unwrap();
    assert!(report.contains("fifo: it is not a regular file"), "{report}");
}
