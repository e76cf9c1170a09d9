//! Any sequence of changes, against a plan that is compiled whole after each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dns::zone::ServiceId;
use dnsrouter::compile::{Compiled, Source, compile, recompile, replace};
use dnsrouter::config::Config;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Inputs, Services};
use dnsrouter::target::Target;
use dnsrouter::verdicts::TargetId;

use crate::world::{Dice, Written, answers, watched};

/// Changes of one chain.
const STEPS: u64 = 20;

fn numbered(services: &Services) -> BTreeMap<Target, TargetId> {
    services.targets.numbered().map(|(id, target)| ((**target).clone(), id)).collect()
}

/// Numbers of a plan's services, as another configuration of the same ones needs them.
fn source<'a>(
    config: &'a Config,
    ids: &'a [ServiceId],
    written: &'a [u128],
    inputs: &Inputs,
) -> Source<'a> {
    let (table, description) = (Arc::clone(&inputs.geo.table), inputs.geo.description.clone());
    Source { config, ids, written, table, description }
}

fn prints(config: &Config) -> Vec<u128> {
    config.services.iter().map(|(service, _)| service.fingerprint()).collect()
}

fn ids(config: &Config, services: &Services) -> Vec<ServiceId> {
    let id = |name| services.services.iter().position(|(known, _)| known == name).unwrap();
    config.services.iter().map(|(s, _)| ServiceId(id(&s.name) as u32)).collect()
}

/// The same plan, compiled whole.
fn whole(config: &Config, inputs: &Inputs) -> Inputs {
    let (ids, prints) = (ids(config, &inputs.services), prints(config));
    let Compiled { services, geo } = compile(&source(config, &ids, &prints, inputs));
    Inputs { services, geo, ..inputs.clone() }
}

fn assert_alike(got: &Inputs, expected: &Inputs, seed: u64) {
    assert_eq!(watched(&got.services), watched(&expected.services), "seed {seed}");
    let all = |inputs: &Inputs| -> BTreeSet<Target> {
        inputs.services.targets.iter().map(|target| (**target).clone()).collect()
    };
    assert_eq!(all(got), all(expected), "seed {seed}");
    assert_eq!(got.services.targets.len(), got.services.targets.iter().count());
    assert_eq!(answers(got, seed, true), answers(expected, seed, true), "seed {seed}");
}

#[test]
fn any_sequence_of_reloads_answers_as_a_plan_compiled_whole() {
    let (mut kept, mut recompiled, mut same) = (0, 0, 0);
    for seed in 0..4 {
        let dice = &mut Dice::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut written = Written::new(dice);
        let mut loader = Loader::default();
        let mut load = |written: &Written| {
            let loaded = loader.load(&written.write(folder.path()), &[]);
            let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
            (loaded.inputs(Generation(1)), loaded)
        };
        let (mut before, _) = load(&written);
        for step in 0..STEPS {
            for _ in 0..=dice.below(2) {
                written.change(dice);
            }
            let (inputs, loaded) = load(&written);
            assert_alike(&inputs, &whole(&loaded.config, &inputs), seed << 32 | step);
            same += u32::from(Arc::ptr_eq(&inputs.services, &before.services));
            let had = numbered(&before.services);
            let stays = inputs.services.locations == before.services.locations;
            for (target, id) in numbered(&inputs.services).into_iter().filter(|_| stays) {
                assert!(had.get(&target).is_none_or(|known| *known == id), "{target:?} moved");
            }
            let known: BTreeMap<_, _> =
                before.services.services.iter().map(|(name, policy)| (name, policy)).collect();
            for (name, policy) in &inputs.services.services {
                let is_known = known.get(name).is_some_and(|known| Arc::ptr_eq(known, policy));
                *if is_known { &mut kept } else { &mut recompiled } += 1;
            }
            before = inputs;
        }
        // A process that starts now numbers everything otherwise.
        let fresh = Loader::default().load(&written.write(folder.path()), &[]);
        let fresh = fresh.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_alike(&before, &fresh.inputs(Generation(1)), seed);
    }
    println!(
        "{kept} services stayed, {recompiled} were compiled or moved, {same} plans were the same"
    );
    assert!(kept > 2 * recompiled && same > 0);
}

#[test]
fn any_sequence_of_replacements_answers_as_a_plan_compiled_whole() {
    let (mut replaced, mut unfit) = (0, 0);
    for seed in 100..104 {
        let dice = &mut Dice::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut written = Written::new(dice);
        let load = |written: &Written| {
            let config = Config::load(&written.write(folder.path()), &[]);
            config.unwrap_or_else(|error| panic!("{}", error.report()))
        };
        let loaded = Loader::default().load(&written.write(folder.path()), &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
        let mut inputs = loaded.inputs(Generation(1));
        let mut config = loaded.config;
        for step in 0..STEPS {
            let mut next = written.clone();
            let name = next.change_one(dice);
            let changed = load(&next);
            let service = &changed.services.iter().find(|(s, _)| s.name == name).unwrap().0;
            let Ok(services) = replace(&inputs.services, &inputs.geo, service) else {
                unfit += 1;
                continue;
            };
            replaced += 1;
            (written, config) = (next, changed);
            inputs.services = Arc::new(services);
            let expected = whole(&config, &inputs);
            assert_eq!(watched(&inputs.services), watched(&expected.services));
            let seed = seed << 32 | step;
            // A drain on its way divides clients by their scopes, which may be narrower here.
            let (got, expected) = (answers(&inputs, seed, false), answers(&expected, seed, false));
            for (asked, expected) in expected {
                let (got, scope) = without_scope(&got[&asked], asked.1);
                let (expected, widest) = without_scope(&expected, asked.1);
                assert_eq!(got, expected, "{asked:?}, seed {seed}");
                // What is new in the plan has the scopes of the table.
                assert!(scope >= widest, "{asked:?}: /{scope}, /{widest}, seed {seed}");
            }
        }
        // The next reload brings those, and nothing else is another.
        let (ids, prints) = (ids(&config, &inputs.services), prints(&config));
        let before =
            Compiled { services: Arc::clone(&inputs.services), geo: Arc::clone(&inputs.geo) };
        let Compiled { services, geo } =
            recompile(&before, &source(&config, &ids, &prints, &inputs));
        let settled = Inputs { services, geo, ..inputs.clone() };
        assert_alike(&settled, &whole(&config, &settled), seed);
    }
    println!("{replaced} replaced, {unfit} did not fit");
    assert!(replaced > 40, "{replaced} replaced, {unfit} did not fit");
}

/// A reply with its scope as 0, and the scope.
fn without_scope(reply: &[u8], client: IpAddr) -> (Vec<u8>, u8) {
    // Option 8, its length, the family, the source length; then the scope (RFC 7871 §6).
    let option: [u8; 7] = match client {
        IpAddr::V4(_) => [0, 8, 0, 7, 0, 1, 24],
        IpAddr::V6(_) => [0, 8, 0, 10, 0, 2, 48],
    };
    let at = reply.windows(option.len()).rposition(|octets| octets == option);
    let at = at.expect("the reply has a client subnet") + option.len();
    let mut reply = reply.to_vec();
    let scope = std::mem::take(&mut reply[at]);
    (reply, scope)
}
