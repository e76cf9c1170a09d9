//! What `load` and `reload` make of good and bad files.

use std::os::unix::fs::PermissionsExt;

use super::*;

type Change<'a> = &'a dyn Fn(&config::Tls);

#[test]
fn each_bad_file_is_named_at_the_start() {
    let world = World::new();
    let ada = Identity::user(&ours(), "ada").unwrap();
    let refused = |change: Change<'_>| {
        let (config, _) = world.issue("ada", &ada);
        change(&config);
        let error = world.load(&config).expect_err("it loads").to_string();
        fs::write(world.path("ca.crt"), world.authority.cert_pem()).unwrap();
        world.revoke(&[]);
        error
    };
    let dir = world.dir.path().display();
    let cases: [(Change<'_>, String); 10] = [
        (&|c| fs::remove_file(&c.cert).unwrap(), format!("{dir}/ada.crt: No such file")),
        (&|c| fs::remove_file(&c.key).unwrap(), format!("{dir}/ada.key: No such file")),
        (&|c| fs::remove_file(&c.ca).unwrap(), format!("{dir}/ca.crt: No such file")),
        (
            &|c| fs::remove_file(c.crl.as_ref().unwrap()).unwrap(),
            format!("{dir}/ca.crl: No such file"),
        ),
        (&|c| fs::write(&c.cert, "junk").unwrap(), format!("{dir}/ada.crt: it holds no certif")),
        (&|c| fs::write(&c.key, "junk").unwrap(), format!("{dir}/ada.key: it holds no private")),
        (&|c| fs::write(&c.ca, "").unwrap(), format!("{dir}/ca.crt: it holds no certificate")),
        (
            &|c| fs::write(c.crl.as_ref().unwrap(), "junk").unwrap(),
            format!("{dir}/ca.crl: it holds no revocation list"),
        ),
        (
            &|c| {
                let half = fs::read_to_string(&c.cert).unwrap();
                fs::write(&c.cert, &half[..half.len() / 2]).unwrap();
            },
            format!("{dir}/ada.crt: damaged PEM"),
        ),
        (
            &|c| {
                let other = KeyPair::generate().unwrap();
                fs::write(&c.key, other.serialize_pem()).unwrap();
            },
            format!("{dir}/ada.key is not the key of the certificate {dir}/ada.crt"),
        ),
    ];
    for (change, expected) in cases {
        let error = refused(change);
        assert!(error.starts_with(&expected), "expected {expected}, got {error}");
    }
}

#[test]
fn our_own_certificate_must_be_acceptable_to_our_peers() {
    let (world, other) = (World::new(), World::new());
    let ada = Identity::user(&ours(), "ada").unwrap();
    let (config, _) = world.issue("ada", &ada);
    // Out of time it is refused when it would replace one, but a start goes on: a node that does
    // not start cannot renew it.
    let loaded = world.load(&config).unwrap();
    world.set_clock(START + DAY + 3);
    assert!(world.load(&config).is_ok());
    fs::write(&config.cert, fs::read_to_string(&config.cert).unwrap() + "\n").unwrap();
    let expired = loaded.reload().unwrap_err().to_string();
    assert!(expired.ends_with("ada.crt: our own certificate expired 3s ago"), "{expired}");
    world.set_clock(START - 120);
    assert!(world.load(&config).is_ok());
    let early = loaded.reload().unwrap_err().to_string();
    assert!(early.contains("our own certificate is not valid before"), "{early}");
    world.set_clock(START);

    let (stray, _) = other.issue("ada", &ada);
    let stray = config::Tls { cert: stray.cert, key: stray.key, ..config.clone() };
    let error = world.load(&stray).unwrap_err().to_string();
    assert!(error.ends_with("our own certificate is issued by another authority"), "{error}");

    let theirs: TrustDomain = "other.io".parse().unwrap();
    let error = Tls::load(&config, Some(&theirs), world.clock.clone()).unwrap_err().to_string();
    let expected = "it is for spiffe://test-net.io/user/ada, but [node] trust_domain is other.io";
    assert!(error.ends_with(expected), "{error}");
    let found = Tls::load(&config, None, world.clock.clone()).unwrap();
    assert_eq!(found.trust_domain(), &ours(), "without a configured one, our certificate's");

    let nameless = world.issue_odd("nameless", |params| params.subject_alt_names.clear());
    let error = world.load(&nameless).unwrap_err().to_string();
    assert!(error.ends_with("certificate carries no URI SAN, so it names nobody"), "{error}");
    let no_purpose = world.issue_odd("none", |params| params.extended_key_usages.clear());
    assert!(matches!(world.load(&no_purpose), Err(TlsError::Unacceptable { .. })));
}

#[test]
fn a_reload_takes_everything_or_nothing() {
    let world = World::new();
    let tls = world.server();
    assert_eq!(tls.reload().unwrap(), Reloaded::Unchanged);
    let before = tls.not_after();
    let working = |tls: &Tls| {
        assert_eq!(handshake(tls.server_config(), anybody(tls)), (Ok(()), Ok(())));
        tls.not_after()
    };

    world.set_clock(START + 3600);
    let old_key = fs::read(world.path("server.key")).unwrap();
    let (config, _) = world.issue("server", &node(Program::Geoping, "server"));
    let new_key = fs::read(&config.key).unwrap();

    fs::write(&config.key, &old_key).unwrap(); // the certificate came first
    assert!(matches!(tls.reload(), Err(TlsError::KeyMismatch { .. })));
    assert_eq!(working(&tls), before);
    fs::write(&config.key, b"").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::BadFile { .. })));
    assert_eq!(working(&tls), before);
    fs::write(&config.key, &new_key).unwrap();
    fs::write(&config.ca, b"junk").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(working(&tls), before);
    fs::write(&config.ca, world.authority.cert_pem()).unwrap();

    assert_eq!(tls.reload().unwrap(), Reloaded::Changed);
    assert_eq!(working(&tls), at(START + 3600 + DAY));

    world.issue_odd("server", |params| {
        params.subject_alt_names = vec![uri("spiffe://other.io/region/r/geoping/n")];
    });
    assert!(matches!(tls.reload(), Err(TlsError::ForeignTrustDomain { .. })));
    assert_eq!(working(&tls), at(START + 3600 + DAY));
}

#[test]
fn a_bad_list_keeps_the_last_good_one() {
    let world = World::new();
    let server = world.server();
    let (ada, serial) = world.issue("ada", &Identity::user(&ours(), "ada").unwrap());
    let ada = world.load(&ada).unwrap();
    world.revoke(&[serial]);
    assert_eq!(server.reload().unwrap(), Reloaded::Changed);
    let good = fs::read_to_string(world.path("ca.crl")).unwrap();
    let still_refused = || {
        let (said, _) = handshake(server.server_config(), anybody(&ada));
        assert_eq!(refusal_in_words(&said.unwrap_err()).0, "revoked");
    };

    let flipped = {
        let at = good.len() / 2;
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    };
    let other = World::new();
    let bad_lists = [
        ("empty", String::new()),
        ("cut", good[..good.len() / 2].to_owned()),
        ("flipped", flipped),
        ("another authority's", other.list(&[], 99)),
    ];
    for (name, bad) in bad_lists {
        fs::write(world.path("ca.crl"), bad).unwrap();
        let error = server.reload().expect_err(name).to_string();
        assert!(error.contains("ca.crl: "), "{name}: {error}");
        still_refused();
    }
    fs::remove_file(world.path("ca.crl")).unwrap();
    assert!(matches!(server.reload(), Err(TlsError::Read { .. })));
    still_refused();

    // A genuine list, but one from before the revocation: somebody restored a backup.
    fs::write(world.path("ca.crl"), world.list(&[], 1)).unwrap();
    assert!(matches!(server.reload(), Err(TlsError::OlderCrl { .. })));
    still_refused();

    // Months later nobody has made a newer one: it is used all the same.
    fs::write(world.path("ca.crl"), &good).unwrap();
    server.reload().unwrap();
    world.set_clock(START + 30 * DAY);
    let (config, _) = world.issue("fresh", &node(Program::Geoping, "fresh"));
    let fresh = world.load(&config).unwrap();
    assert_eq!(handshake(fresh.server_config(), anybody(&fresh)), (Ok(()), Ok(())));
}

#[test]
fn a_list_is_compared_with_the_last_of_its_own_authority() {
    let (world, other) = (World::new(), World::new());
    let server = world.server();
    let (ada, serial) = world.issue("ada", &Identity::user(&ours(), "ada").unwrap());
    let ada = world.load(&ada).unwrap();
    let both = both_authorities(&world, &other);
    let (good, restored) = (world.list(&[serial], 9), world.list(&[], 8));
    let (theirs, theirs_before) = (other.list(&[], 5), other.list(&[], 4));
    let reload = |authorities: &str, lists: &[&str]| {
        fs::write(world.path("ca.crt"), authorities).unwrap();
        fs::write(world.path("ca.crl"), lists.concat()).unwrap();
        let reloaded = server.reload();
        let (said, _) = handshake(server.server_config(), anybody(&ada));
        assert_eq!(refusal_in_words(&said.unwrap_err()).0, "revoked", "{lists:?}");
        reloaded
    };
    let accepted = |reloaded| assert!(matches!(reloaded, Ok(Reloaded::Changed)), "{reloaded:?}");
    let refused = |reloaded| assert!(matches!(reloaded, Err(TlsError::OlderCrl { .. })));
    accepted(reload(&both, &[&good, &theirs]));
    accepted(reload(&both, &[&theirs, &good])); // 5 where 9 was

    let (ours, reversed) = (world.authority.cert_pem(), both_authorities(&other, &world));
    refused(reload(&both, &[&restored, &theirs]));
    refused(reload(&both, &[&good, &theirs_before]));
    refused(reload(&format!("{both}\n"), &[&theirs, &restored]));
    refused(reload(&reversed, &[&restored, &theirs]));
    refused(reload(ours, &[&restored]));

    // Of two lists of one authority the newer one counts, wherever it stands.
    accepted(reload(&both, &[&restored, &theirs, &good]));
    accepted(reload(&both, &[&good, &restored, &theirs_before, &theirs]));
    accepted(reload(ours, &[&good]));
}

#[test]
fn a_stale_list_is_warned_of_hourly_or_when_it_changes() {
    let world = World::new();
    let (config, _) = world.issue("server", &node(Program::Geoping, "server"));
    let logs = Logs::default();
    let sink = logs.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let warnings = || {
        let text = std::mem::take(&mut *logs.0.lock().unwrap());
        String::from_utf8(text).unwrap().matches("revocation list is stale").count()
    };
    let tls = world.load(&config).unwrap();
    let week = Validity::default().crl.as_secs();
    let looked_at = |seconds| {
        world.set_clock(START + week + seconds);
        tls.observe();
        warnings()
    };
    assert_eq!(looked_at(0), 0, "until the last second it is fresh");
    assert_eq!(looked_at(1), 1);
    assert_eq!((2..3600).step_by(60).map(looked_at).sum::<usize>(), 0);
    assert_eq!(looked_at(3601), 1, "an hour later");
    assert_eq!(looked_at(3602), 0);
    assert_eq!(looked_at(2), 1, "a clock set back");

    let lines = world.authority.crl_pem(&[], 7, Duration::from_secs(week + 1), at(START)).unwrap();
    fs::write(world.path("ca.crl"), lines).unwrap();
    world.set_clock(START + DAY / 2);
    tls.reload().unwrap();
    assert_eq!(warnings(), 0, "fresh again");
    assert_eq!(looked_at(2), 1, "another list, stale");
    assert_eq!(looked_at(3), 0);
}

/// There may be no log yet when the files are read: what should be known of them is kept for it.
#[test]
fn what_works_and_should_not_be_so_waits_for_a_log() {
    let world = World::new();
    let (config, serial) = world.issue("server", &node(Program::Geoping, "server"));
    let mode = |mode| fs::set_permissions(&config.key, fs::Permissions::from_mode(mode)).unwrap();
    let warnings = || world.load(&config).unwrap().warnings().join("\n");
    mode(0o640);
    assert_eq!(warnings(), "", "a group is somebody's choice");
    for open in [0o604, 0o602] {
        mode(open);
        let (key, told) = (config.key.display(), warnings());
        let why = "everybody on this machine can read or write the private key; chmod 600";
        assert_eq!(told, format!("{key}: {why}"));
    }
    mode(0o600);
    world.revoke(&[serial]);
    assert!(warnings().ends_with("peers refuse us until it is replaced"), "{}", warnings());
    world.revoke(&[]);
    world.set_clock(START + Validity::default().crl.as_secs() + 1);
    let told = warnings();
    assert!(told.contains("peers refuse us until it is renewed"), "{told}");
    assert!(told.contains("ca.crl: the revocation list is stale"), "{told}");
}

/// What is logged.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_authority_can_succeed_another() {
    let (old, new) = (World::new(), World::new());
    let server = old.server();
    let (config, _) = new.issue("ada", &Identity::user(&ours(), "ada").unwrap());
    // Both are trusted for a while, each with its list.
    for world in [&old, &new] {
        fs::write(world.path("ca.crt"), both_authorities(&old, &new)).unwrap();
        let lists = [old.list(&[], 5), new.list(&[], 5)].concat();
        fs::write(world.path("ca.crl"), lists).unwrap();
    }
    let client = new.load(&config).unwrap();
    assert!(handshake(server.server_config(), anybody(&client)).0.is_err());
    assert_eq!(server.reload().unwrap(), Reloaded::Changed);
    assert_eq!(handshake(server.server_config(), anybody(&client)), (Ok(()), Ok(())));
}

#[test]
fn without_a_list_nothing_is_revoked() {
    let world = World::new();
    let (mut config, serial) = world.issue("server", &node(Program::Geoping, "server"));
    world.revoke(&[serial]);
    config.crl = None;
    let tls = world.load(&config).unwrap();
    assert_eq!(handshake(tls.server_config(), anybody(&tls)), (Ok(()), Ok(())));
    assert_eq!(tls.files().len(), 3);
}
