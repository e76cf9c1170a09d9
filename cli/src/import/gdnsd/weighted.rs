//! gdnsd-plugin-weighted(8): addresses or host names by weight, in groups or not.
//!
//! | of the manual | here |
//! |---|---|
//! | ungrouped, single | `weighted` |
//! | ungrouped, multi: each with the odds weight / largest weight | `weighted` and as many as that gives on average |
//! | grouped, single | an endpoint per group, with all of its addresses |
//! | grouped, multi: one of each group | `weighted` and as many as there are groups |

use super::resources::{Inherited, Reader, labelled};
use crate::import::Failure;
use crate::import::choice::{Answer, Choice};
use crate::import::service::Data;
use crate::import::vscf::{Kind, Value};

/// The manual's, under "LIMITS".
const MAX_WEIGHT: u32 = (1 << 20) - 1;

pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    value: &Value,
    inherited: &Inherited,
    at: &str,
) -> Result<Choice, Failure> {
    let mut all = Vec::new();
    let mut take = 1;
    for (value, own) in reader.families(value, inherited)? {
        let (of, most) = family(reader, &value, &own, at)?;
        if !all.is_empty() && most != take {
            let what = format!("{most} answers of one family beside {take} of the other");
            let why = "a route takes as many of both";
            let instead = "make two names, or the same number of both";
            reader.imported.findings.changed(at, &what, why, instead);
        }
        take = take.max(most);
        all.extend(of);
        // 0.5 is what nobody chose; a route fails open when nothing is left, and says so.
        if (own.up_thresh - 0.5).abs() > f64::EPSILON {
            let what = format!("up_thresh = {}", own.up_thresh);
            let why = "what is up is answered as long as anything is";
            let instead =
                "add { healthy = { min_healthy = N } }, which counts endpoints, not weights";
            reader.imported.findings.changed(at, &what, why, instead);
        }
    }
    Ok(Choice::Weighted { of: all, take })
}

type Weighted = (Vec<(u32, Choice)>, u32);

fn family(
    reader: &mut Reader<'_, '_>,
    value: &Value,
    own: &Inherited,
    at: &str,
) -> Result<Weighted, Failure> {
    let items = labelled(value);
    let grouped = items.iter().any(|(_, value)| matches!(value.kind, Kind::Table(_)));
    if grouped {
        return groups(reader, &items.into_iter().map(|(_, v)| v).collect::<Vec<_>>(), own, at);
    }
    let mut of = Vec::new();
    for (place, value) in items {
        let place = place.map_or_else(|| at.to_owned(), |at| reader.files.place(at));
        let (weight, answer) = item(reader, value, own, &place)?;
        of.push((weight, Choice::One(answer)));
    }
    let names =
        of.iter().any(|(_, choice)| matches!(choice, Choice::One(a) if a.data.cname.is_some()));
    if !own.multi || names {
        return Ok((of, 1));
    }
    let largest = of.iter().map(|(weight, _)| *weight).max().unwrap_or(1).max(1);
    let average: f64 = of.iter().map(|(weight, _)| f64::from(*weight) / f64::from(largest)).sum();
    // At least one has the largest weight.
    let take = (average.round() as u32).max(1);
    if (average - f64::from(take)).abs() > f64::EPSILON {
        let what = format!("multi = true: {average:.2} addresses on average");
        let why = format!("{take} are answered each time, each as often as by gdnsd or nearly so");
        let instead = "choose another take = N if that is too many or too few";
        reader.imported.findings.changed(at, &what, &why, instead);
    }
    Ok((of, take))
}

fn groups(
    reader: &mut Reader<'_, '_>,
    groups: &[&Value],
    own: &Inherited,
    at: &str,
) -> Result<Weighted, Failure> {
    let mut of = Vec::new();
    let mut uneven = false;
    for group in groups {
        let table = group.table(reader.files)?;
        let mut answers = Vec::new();
        for entry in &table.entries {
            let place = reader.files.place(entry.at);
            answers.push(item(reader, &entry.value, own, &place)?);
        }
        uneven |= answers.windows(2).any(|pair| pair[0].0 != pair[1].0);
        if own.multi {
            of.extend(answers.into_iter().map(|(weight, answer)| (weight, Choice::One(answer))));
            continue;
        }
        let sum = answers.iter().fold(0, |sum: u32, (weight, _)| sum.saturating_add(*weight));
        let all: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
        of.push((sum, Choice::All { of: all, least_up: 1, most: u32::MAX }));
    }
    if own.multi {
        let what = "one address of each group";
        let why = "endpoints have no groups: so many are answered by weight, of whichever groups";
        let instead = "make a name of each group, or choose another take = N";
        reader.imported.findings.changed(at, what, why, instead);
        return Ok((of, u32::try_from(groups.len()).unwrap_or(u32::MAX).max(1)));
    }
    if uneven {
        let what = "different weights within a group";
        let why = "all addresses of the chosen group are answered";
        let instead = "leave addresses out that shall have less, or make each an endpoint";
        reader.imported.findings.changed(at, what, why, instead);
    }
    Ok((of, 1))
}

/// `[ address or host name, weight ]`.
fn item(
    reader: &mut Reader<'_, '_>,
    value: &Value,
    own: &Inherited,
    at: &str,
) -> Result<(u32, Answer), Failure> {
    let [what, weight] = value.list() else {
        let help = Some("[ 192.0.2.1, 10 ]");
        return Err(reader.files.problem(value.at, "an address and a weight are expected", help));
    };
    let weight_at = weight.at;
    let weight: u32 = weight.number(reader.files)?;
    if !(1..=MAX_WEIGHT).contains(&weight) {
        let message = format!("a weight is from 1 to {MAX_WEIGHT}");
        return Err(reader.files.problem(weight_at, message, None));
    }
    let answer = match what.text(reader.files)?.parse() {
        Ok(address) => {
            let check = reader.check(own, address, at);
            Answer { data: Data::of_addresses([address]), check }
        }
        Err(_) => Answer { data: Data::of_cname(reader.host(what)?), check: None },
    };
    Ok((weight, answer))
}
