//! Files of every shape, sound and broken.

use std::net::IpAddr;

use proptest::prelude::*;

use super::writer::{Field, Link, Writer};
use super::*;
use crate::{Place, Point, ScopeCap, Table};

#[test]
fn maxmind_schema_in_every_record_size() {
    for size in [24, 28, 32] {
        let mut file = Writer::new(6, size);
        file.insert("203.0.113.0/24", &maxmind(Some("DE"), Some((50.11, 8.68))));
        file.insert("2001:db8::/32", &maxmind(Some("SG"), Some((1.34, 103.71))));
        let (loaded, table) = read(file);
        assert_eq!((loaded.records, loaded.places, loaded.ip_version), (2, 2, 6));
        assert_eq!(loaded.database_type, "Test");
        let since = loaded.build_epoch.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_750_000_000);
        assert_eq!(at(&table, "203.0.113.77"), place("DE", 50.11, 8.68));
        assert_eq!(at(&table, "2001:db8:7::1"), place("SG", 1.34, 103.71));
        assert_eq!(at(&table, "203.0.112.1"), Place::UNKNOWN);
        assert_eq!(at(&table, "2001:db9::1"), Place::UNKNOWN);
    }
}

#[test]
fn flat_schema_with_short_floats_in_a_v4_tree() {
    for size in [24, 28, 32] {
        let mut file = Writer::new(4, size);
        file.insert("198.51.100.0/24", &flat("BR", -23.5505, -46.6333));
        let (loaded, table) = read(file);
        assert_eq!((loaded.records, loaded.ip_version), (1, 4));
        assert_eq!(at(&table, "198.51.100.1"), place("BR", -23.55, -46.63));
        assert_eq!(at(&table, "::1"), Place::UNKNOWN);
    }
}

#[test]
fn a_record_may_lack_what_it_likes() {
    let registered =
        Field::Map(vec![("registered_country", Field::Map(vec![("iso_code", text("SE"))]))]);
    let mut file = Writer::new(4, 24);
    file.insert("192.0.2.0/26", &maxmind(Some("DE"), None));
    file.insert("192.0.2.64/26", &registered);
    file.insert("192.0.2.128/26", &maxmind(None, Some((1.0, 2.0))));
    file.insert("192.0.2.192/26", &Field::Map(vec![]));
    file.insert("198.51.100.0/26", &Field::Map(vec![("latitude", Field::Float(5.0))]));
    file.insert("198.51.100.64/26", &text("not even a map"));
    let (loaded, table) = read(file);
    assert_eq!((loaded.records, loaded.places), (3, 3));
    assert_eq!(at(&table, "192.0.2.1"), Place::from("DE".parse::<crate::Country>().unwrap()));
    assert_eq!(at(&table, "192.0.2.65"), Place::from("SE".parse::<crate::Country>().unwrap()));
    assert_eq!(at(&table, "192.0.2.129"), Place::from(Point::new(1.0, 2.0).unwrap()));
    for nothing in ["192.0.2.193", "198.51.100.1", "198.51.100.65"] {
        assert_eq!(at(&table, nothing), Place::UNKNOWN);
    }
}

#[test]
fn the_united_kingdom_is_one_whatever_it_is_called() {
    let mut file = Writer::new(4, 24);
    file.insert("192.0.2.0/25", &maxmind(Some("UK"), None));
    file.insert("192.0.2.128/25", &flat("GB", 0.0, 0.0));
    file.insert("198.51.100.0/24", &flat("uk", 51.5, -0.12));
    let (_, table) = read(file);
    let britain = "GB".parse::<crate::Country>().unwrap();
    for address in ["192.0.2.1", "192.0.2.129", "198.51.100.1"] {
        assert_eq!(at(&table, address).country, Some(britain), "{address}");
    }
    assert_eq!(at(&table, "192.0.2.1"), Place::from(britain), "its networks have a place");
}

#[test]
fn coordinates_that_are_none_are_not_taken() {
    let mut file = Writer::new(4, 24);
    file.insert("192.0.2.0/27", &flat("DE", 0.0, 0.0));
    file.insert("192.0.2.32/27", &flat("DE", 91.0, 8.0));
    file.insert("192.0.2.64/27", &flat("DE", f32::NAN, 8.0));
    file.insert("192.0.2.96/27", &flat("ZZ", 0.0, 0.0));
    file.insert("192.0.2.128/27", &flat("not a code", 50.0, 8.0));
    let (loaded, table) = read(file);
    assert_eq!(loaded.records, 4);
    for country_only in ["192.0.2.1", "192.0.2.33", "192.0.2.65"] {
        assert_eq!(at(&table, country_only).point, None);
        assert_eq!(at(&table, country_only).country, "DE".parse().ok());
    }
    assert_eq!(at(&table, "192.0.2.97"), Place::UNKNOWN, "an unassigned code is nowhere");
    assert_eq!(at(&table, "192.0.2.129"), Place::from(Point::new(50.0, 8.0).unwrap()));
}

#[test]
fn aliases_of_the_v4_space_are_walked_once() {
    let build = |aliases: &[&str]| {
        let mut file = Writer::new(6, 28);
        file.insert("203.0.113.0/24", &flat("DE", 50.11, 8.68));
        file.insert("0.0.0.0/8", &flat("US", 41.26, -95.86));
        file.insert("2001:db8::/32", &flat("SG", 1.34, 103.71));
        aliases.iter().for_each(|prefix| file.alias(prefix));
        read(file)
    };
    let (without, plain) = build(&[]);
    let (with, aliased) = build(&["::ffff:0:0/96", "2002::/16", "2001::/32"]);
    assert_eq!(with, without);
    assert_eq!(aliased.fingerprint(), plain.fingerprint());
    assert_eq!(with.records, 3);
    assert_eq!(at(&aliased, "203.0.113.9"), place("DE", 50.11, 8.68));
    assert_eq!(at(&aliased, "2002:cb00:7109::1"), Place::UNKNOWN);
    assert_eq!(
        aliased.lookup_source(ip("::ffff:203.0.113.9")),
        plain.lookup_source(ip("203.0.113.9"))
    );
}

#[test]
fn a_v6_tree_without_v4_has_no_aliases_to_skip() {
    // The zero side ends before ::/96, at a record that real networks have too.
    let mut file = Writer::new(6, 24);
    file.insert("::/3", &flat("DE", 50.11, 8.68));
    file.insert("2001:db8::/32", &flat("DE", 50.11, 8.68));
    let (loaded, table) = read(file);
    assert_eq!(loaded.records, 2);
    assert_eq!(at(&table, "2001:db8::1"), place("DE", 50.11, 8.68));
    assert_eq!(at(&table, "100::1"), place("DE", 50.11, 8.68));
    assert_eq!(at(&table, "203.0.113.1"), Place::UNKNOWN, "IPv4 has a space of its own");
}

#[test]
fn a_mapping_names_the_fields_of_other_schemas() {
    let record = Field::Map(vec![
        (
            "geo",
            Field::Map(vec![("iso", text("fr")), ("lat", text("48.85")), ("lng", text("2.35"))]),
        ),
        ("country_code", text("US")),
    ]);
    let mut file = Writer::new(4, 24);
    file.insert("192.0.2.0/24", &record);
    let mapping: Mapping =
        toml::from_str("country = 'geo.iso'\nlatitude = 'geo.lat'\nlongitude = 'geo.lng'").unwrap();
    let mut builder = TableBuilder::new(ScopeCap::default());
    load(file.finish(), &mapping, &mut builder).unwrap();
    assert_eq!(at(&builder.freeze(), "192.0.2.1"), place("FR", 48.85, 2.35));

    assert!(toml::from_str::<Mapping>("land = 'geo.iso'").is_err());
    let error = toml::from_str::<Mapping>("country = 'geo..iso'").unwrap_err();
    assert!(error.to_string().contains("\"geo..iso\" is no path"), "{error}");
}

#[test]
fn a_file_without_usable_fields_says_what_it_has() {
    let mut file = Writer::new(4, 24);
    let asn = Field::Map(vec![
        ("autonomous_system_number", Field::U32(64500)),
        (
            "holder",
            Field::Map(vec![("names", Field::Array(vec![text("x")])), ("big", Field::Bool(true))]),
        ),
    ]);
    file.insert("192.0.2.0/24", &asn);
    let mut builder = TableBuilder::new(ScopeCap::default());
    let error = load(file.finish(), &Mapping::default(), &mut builder).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("autonomous_system_number, holder.big, holder.names"), "{said}");

    let error = load(Writer::new(4, 24).finish(), &Mapping::default(), &mut builder).unwrap_err();
    assert!(error.to_string().contains("its fields are none"), "{error}");
    assert!(builder.freeze().is_empty(), "a failed load changes nothing");
}

#[test]
fn the_first_database_with_data_wins() {
    let mut first = Writer::new(4, 24);
    first.insert("192.0.2.0/25", &flat("DE", 50.11, 8.68));
    let mut second = Writer::new(4, 32);
    second.insert("192.0.0.0/16", &flat("US", 41.26, -95.86));
    let mut builder = TableBuilder::new(ScopeCap::new(32, 64).unwrap());
    for file in [first, second] {
        load(file.finish(), &Mapping::default(), &mut builder).unwrap();
    }
    let table = builder.freeze();
    assert_eq!(at(&table, "192.0.2.1"), place("DE", 50.11, 8.68));
    assert_eq!(at(&table, "192.0.2.129"), place("US", 41.26, -95.86));
    assert_eq!(table.lookup_subnet(ip("192.0.2.1")).scope, 25);
}

#[test]
fn trees_that_are_none_are_refused() {
    let load = |nodes: Vec<[Link; 2]>| {
        let mut file = Writer::new(6, 24);
        file.record(&flat("DE", 50.11, 8.68));
        file.nodes = nodes;
        load(file.finish(), &Mapping::default(), &mut TableBuilder::new(ScopeCap::default()))
    };
    let own_child = vec![[Link::Node(0), Link::Data(0)]];
    assert!(matches!(load(own_child), Err(MmdbError::NoTree(0))));
    let loops_below = vec![[Link::Node(1), Link::Data(0)], [Link::Node(1); 2]];
    assert!(matches!(load(loops_below), Err(MmdbError::NoTree(1))));
    let two_ways = vec![[Link::Node(1); 2], [Link::Data(0), Link::Nowhere]];
    assert!(matches!(load(two_ways), Err(MmdbError::NoTree(1))));
    // A hundred nodes with both sides into the next: 2¹⁰⁰ networks.
    let mut fan: Vec<[Link; 2]> = (1..=100).map(|next| [Link::Node(next); 2]).collect();
    fan.push([Link::Data(0), Link::Nowhere]);
    assert!(matches!(load(fan), Err(MmdbError::NoTree(1))));
    let beyond_the_data = vec![[Link::Data(10_000), Link::Nowhere]];
    assert!(matches!(load(beyond_the_data), Err(MmdbError::Damaged(_))));
    assert!(matches!(load(vec![]), Err(MmdbError::Damaged(_))));
}

#[test]
fn deep_records_are_read_or_refused() {
    let nest = |depth| (0..depth).fold(text("x"), |inner, _| Field::Map(vec![("in", inner)]));
    for depth in [5, 100, 1000, 5000] {
        let mut file = Writer::new(4, 24);
        file.insert("192.0.2.0/24", &nest(depth));
        let loaded =
            load(file.finish(), &Mapping::default(), &mut TableBuilder::new(ScopeCap::default()));
        assert!(loaded.is_err(), "{loaded:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_the_reader_address_by_address(
        size in prop::sample::select(vec![24u16, 28, 32]),
        version in prop::sample::select(vec![4u16, 6]),
        aliases in any::<bool>(),
        mut nets in prop::collection::vec((any::<bool>(), any::<u32>(), 0..=32u8, 0..6usize), 1..40),
        probes in prop::collection::vec(any::<u32>(), 40),
    ) {
        // IPv6 networks differ in the bits that IPv4 ones differ in, below 2000::/3.
        let v6 = |bits: u32| IpAddr::from((0x2000 << 112 | u128::from(bits) << 64).to_be_bytes());
        nets.sort_by_key(|net| net.2);
        let mut file = Writer::new(version, size);
        for &(is_v6, bits, len, place) in &nets {
            let record = flat(["DE", "US", "SG", "BR", "ZA", "AU"][place], place as f32 + 1.0, 8.0);
            match is_v6 && version == 6 {
                true => file.insert(&format!("{}/{}", v6(bits), len + 32), &record),
                false => file.insert(&format!("{}/{len}", Ipv4Addr::from(bits)), &record),
            }
        }
        if aliases && version == 6 {
            file.alias("2002::/16");
        }
        let bytes = file.finish();
        let reader = Reader::from_source(&bytes[..]).unwrap();
        let mut builder = TableBuilder::new(ScopeCap::new(32, 64).unwrap()).special(&[]);
        load(bytes.clone(), &Mapping::default(), &mut builder).unwrap();
        let table = builder.freeze();
        let has_v4 = has_v4_subtree(&reader).unwrap();
        let bits = probes.into_iter().chain(nets.iter().map(|net| net.1));
        for probe in bits.flat_map(|bits| [IpAddr::from(bits.to_be_bytes()), v6(bits)]) {
            let expected = match probe {
                IpAddr::V6(_) if version == 4 => None,
                IpAddr::V4(_) if !has_v4 => None,
                _ => reader.lookup(probe).unwrap().decode::<Record<'_>>().unwrap(),
            };
            let expected = expected.map_or(Place::UNKNOWN, |r| r.place(&Mapping::default()));
            prop_assert_eq!(*table.place(table.lookup_subnet(probe).place), expected, "{}", probe);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn broken_bytes_never_panic(
        size in prop::sample::select(vec![24u16, 28, 32]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
        tail_only in any::<bool>(),
    ) {
        let mut file = Writer::new(6, size);
        file.insert("203.0.113.0/24", &maxmind(Some("DE"), Some((50.11, 8.68))));
        file.insert("198.51.100.0/28", &flat("US", 41.26, -95.86));
        file.insert("2001:db8::/32", &maxmind(Some("SG"), Some((1.34, 103.71))));
        file.insert("2001:db8:8000::/33", &flat("US", 41.26, -95.86));
        file.alias("2002::/16");
        let mut bytes = file.finish();
        // Most of the file is tree: aim at data and metadata every other time.
        let from = if tail_only { bytes.len() - bytes.len() / 3 } else { 0 };
        for (index, flip) in flips {
            let at = from + index.index(bytes.len() - from);
            bytes[at] ^= flip;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut builder = TableBuilder::new(ScopeCap::default());
        if load(bytes, &Mapping::default(), &mut builder).is_ok() {
            // What was accepted can be built and asked.
            let table = builder.freeze();
            prop_assert!(table.lookup_subnet(ip("203.0.113.1")).scope <= 24);
        }
    }
}

fn maxmind(country: Option<&str>, point: Option<(f64, f64)>) -> Field {
    let names = Field::Map(vec![("en", text("somewhere")), ("de", text("irgendwo"))]);
    let mut fields =
        vec![("city", Field::Map(vec![("geoname_id", Field::U32(1)), ("names", names)]))];
    if let Some(country) = country {
        let eu = ("is_in_european_union", Field::Bool(true));
        fields.push(("country", Field::Map(vec![eu, ("iso_code", text(country))])));
    }
    if let Some((lat, lon)) = point {
        let lat = ("latitude", Field::Double(lat));
        let lon = ("longitude", Field::Double(lon));
        let radius = ("accuracy_radius", Field::U16(20));
        fields.push(("location", Field::Map(vec![radius, lat, lon])));
    }
    fields.push(("subdivisions", Field::Array(vec![Field::Map(vec![("iso_code", text("HE"))])])));
    Field::Map(fields)
}

fn flat(country: &str, lat: f32, lon: f32) -> Field {
    let coordinates = [("latitude", Field::Float(lat)), ("longitude", Field::Float(lon))];
    let mut fields = vec![("city", text("somewhere")), ("country_code", text(country))];
    fields.extend(coordinates);
    Field::Map(fields)
}

fn text(text: &str) -> Field {
    Field::Text(text.to_owned())
}

fn read(file: Writer) -> (Loaded, Table) {
    let mut builder = TableBuilder::new(ScopeCap::new(32, 64).unwrap());
    let loaded = load(file.finish(), &Mapping::default(), &mut builder).unwrap();
    (loaded, builder.freeze())
}

fn at(table: &Table, address: &str) -> Place {
    *table.place(table.lookup_subnet(ip(address)).place)
}

fn place(country: &str, lat: f64, lon: f64) -> Place {
    Place { country: country.parse().ok(), point: Point::new(lat, lon).ok() }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn autonomous_systems_of_every_schema_and_only_the_listed() {
    let flat = |name: &'static str, value: Field| Field::Map(vec![(name, value)]);
    let records = [
        ("192.0.2.0/24", flat("autonomous_system_number", Field::U32(64496))),
        ("198.51.100.0/24", flat("asn", text("AS64496"))),
        ("203.0.113.0/25", flat("asn", text("64497"))),
        (
            "203.0.113.128/25",
            flat("traits", flat("autonomous_system_number", Field::U32(4_200_000_000))),
        ),
        ("2001:db8::/32", flat("asn", Field::U64(64496))),
        ("2001:db9::/32", flat("asn", Field::U64(1 << 40))),
        ("2001:dba::/32", flat("asn", text("none"))),
    ];
    for size in [24, 28, 32] {
        let mut file = Writer::new(6, size);
        records.iter().for_each(|(prefix, record)| file.insert(prefix, record));
        let clients = ["AS64496", "AS4200000000", "AS7"].map(|text| text.parse().unwrap());
        let rules = [&clients[..1], &clients[1..]];
        let lists = crate::Lists::new(rules).unwrap();
        let who = rules.map(|rule| lists.who(rule).unwrap()[0]);
        let mut builder = TableBuilder::with_lists(ScopeCap::new(25, 48).unwrap(), lists);
        let loaded = load_asns(file.finish(), &mut builder).unwrap();
        assert_eq!((loaded.records, loaded.missing), (4, [7].into()));
        let table = builder.freeze();
        let within = |address: &str| {
            let place = table.lookup_subnet(address.parse().unwrap()).place;
            who.map(|who| who.holds(&table, place))
        };
        assert_eq!(within("192.0.2.1"), [true, false]);
        assert_eq!(within("198.51.100.1"), [true, false]);
        assert_eq!(within("203.0.113.1"), [false, false]);
        assert_eq!(within("203.0.113.200"), [false, true]);
        assert_eq!(within("2001:db8::1"), [true, false]);
        assert_eq!(within("2001:db9::1"), [false, false]);
    }
}

#[test]
fn a_file_without_systems_is_named_by_its_fields() {
    let mut file = Writer::new(4, 24);
    file.insert("192.0.2.0/24", &flat("BR", -23.5505, -46.6333));
    let mut builder = TableBuilder::new(ScopeCap::default());
    let error = load_asns(file.finish(), &mut builder).unwrap_err().to_string();
    assert!(
        error.contains("country_code") && error.contains("autonomous_system_number"),
        "{error}"
    );
    let error = load_asns(b"not a database", &mut builder).unwrap_err();
    assert!(matches!(error, MmdbError::Damaged(_)), "{error}");
}
