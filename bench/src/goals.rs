//! All goals: what dnsrouter is to reach beside the others and beside itself, on whatever machine.

use crate::contender::Product::{
    self, Dnsrouter, Double, Echo, Gdnsd, Guarded, Knot, Napping, Nsd,
};
use crate::entrant::Who;
use crate::goal::{Beside, Bound, Figure, Goal};

const fn times(scene: &'static str, product: Product, figure: Figure, other: Product) -> Goal {
    let (who, beside) = (Who::only(product), Beside::Times(Who::only(other)));
    Goal { scene, who, figure, beside, bound: None }
}

const fn most(goal: Goal, most: f64) -> Goal {
    Goal { bound: Some(Bound::Most(most)), ..goal }
}

const fn least(goal: Goal, least: f64) -> Goal {
    Goal { bound: Some(Bound::Least(least)), ..goal }
}

const fn cpu(scene: &'static str, product: Product, other: Product, bound: f64) -> Goal {
    most(times(scene, product, Figure::Cpu, other), bound)
}

/// A figure as it is.
const fn alone(scene: &'static str, who: Who, figure: Figure) -> Goal {
    Goal { scene, who, figure, beside: Beside::Nothing, bound: None }
}

/// A case of dnsrouter beside another.
const fn cases(scene: &'static str, case: &'static str, figure: Figure, other: Who) -> Goal {
    Goal { scene, who: ours(case), figure, beside: Beside::Times(other), bound: None }
}

const fn growth(scene: &'static str, case: &'static str, smallest: &'static str) -> Goal {
    most(cases(scene, case, Figure::Cpu, ours(smallest)), 1.3)
}

const fn ours(case: &'static str) -> Who {
    Who { product: Dnsrouter, case }
}

const fn guarded(case: &'static str) -> Who {
    Who { product: Guarded, case }
}

/// Octets of a name's label and addresses, of a million (`Hosts::octets`).
const DATA: f64 = 20.0;

/// All.
pub const GOALS: [Goal; 45] = [
    cpu("geo", Dnsrouter, Gdnsd, 0.92),
    cpu("geo", Dnsrouter, Knot, 0.62),
    cpu("geo", Dnsrouter, Echo, 1.10),
    most(alone("geo", Who::only(Dnsrouter), Figure::User), 0.20),
    least(times("geo", Dnsrouter, Figure::Rate, Gdnsd), 1.0),
    least(times("geo", Dnsrouter, Figure::Rate, Knot), 1.0),
    cpu("geo", Guarded, Gdnsd, 1.0),
    cpu("geo-100k", Dnsrouter, Gdnsd, 0.92),
    cpu("geo-100k", Napping, Gdnsd, 0.65),
    most(times("geo-half", Dnsrouter, Figure::P99, Gdnsd), 1.0),
    most(times("geo-half", Dnsrouter, Figure::P99, Knot), 1.0),
    cpu("static-1m", Dnsrouter, Nsd, 0.85),
    growth("names", "10k names", "1k names"),
    growth("names", "100k names", "1k names"),
    growth("names", "1M names", "1k names"),
    most(
        Goal {
            beside: Beside::Over(ours("1k names"), 999_000, "name"),
            ..alone("names", ours("1M names"), Figure::Memory)
        },
        150.0 + DATA,
    ),
    growth("services", "1k services", "10 services"),
    growth("services", "10k services", "10 services"),
    growth("networks", "1k networks", "1 network"),
    growth("networks", "1M networks", "1 network"),
    growth("networks", "5M networks", "1 network"),
    growth("subnets", "1k subnets", "1 subnet"),
    growth("subnets", "1M subnets", "1 subnet"),
    most(cases("subnets", "1M subnets", Figure::Cpu, ours("20k subnets")), 1.1),
    most(
        Goal {
            who: guarded("1M addresses"),
            ..cases("subnets", "", Figure::Cpu, guarded("4k addresses"))
        },
        1.1,
    ),
    // Twice the processor's time for 1.8 times the answers.
    cpu("threads", Double, Dnsrouter, 2.0 / 1.8),
    times("threads", Double, Figure::Rate, Dnsrouter),
    most(cases("floods", "random names", Figure::Cpu, ours("hits")), 1.0),
    most(cases("floods", "random names", Figure::Cpu, ours("mix")), 1.1),
    most(cases("floods", "123 labels", Figure::Cpu, ours("mix")), 1.1),
    most(alone("reload", ours("1k names, reloading"), Figure::Lost), 0.0),
    most(cases("reload", "1k names, reloading", Figure::P99, ours("1k names")), 2.0),
    alone("reload", ours("1k names, reloading"), Figure::Reloads),
    most(alone("reload", ours("1M names, reloading"), Figure::Lost), 0.0),
    most(cases("reload", "1M names, reloading", Figure::P99, ours("1M names")), 2.0),
    alone("reload", ours("1M names, reloading"), Figure::Reloads),
    most(alone("start", ours("IPv4 cities"), Figure::Start), 3.0),
    alone("start", ours("IPv4 and IPv6 cities"), Figure::Start),
    times("tcp", Dnsrouter, Figure::Cpu, Knot),
    times("tcp", Dnsrouter, Figure::Cpu, Nsd),
    times("tcp-new", Dnsrouter, Figure::Cpu, Knot),
    times("tcp-new", Dnsrouter, Figure::Cpu, Nsd),
    alone("tcp-idle", Who::only(Dnsrouter), Figure::Resting),
    alone("tcp-idle", Who::only(Knot), Figure::Resting),
    alone("tcp-idle", Who::only(Nsd), Figure::Resting),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Hosts;
    use crate::scenes::SCENES;

    #[test]
    fn every_goal_is_measured_by_some_scene() {
        for goal in &GOALS {
            let scene = SCENES.iter().find(|scene| scene.name == goal.scene).expect("a scene");
            let other = match goal.beside {
                Beside::Nothing => None,
                Beside::Times(other) | Beside::Over(other, ..) => Some(other),
            };
            for who in [Some(goal.who), other].into_iter().flatten() {
                assert!(scene.who().any(|it| it == who), "{goal} in {}", scene.name);
            }
        }
    }

    #[test]
    fn a_name_s_data_are_what_the_zone_holds() {
        let octets = Hosts(1_000_000).octets() as f64 / 1e6;
        assert!((octets - DATA).abs() < 0.5, "{octets}");
    }
}
