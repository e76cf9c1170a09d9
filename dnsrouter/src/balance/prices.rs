//! The transport problem's dual: prices that bring every endpoint to its limit and no further.
//!
//! Let point p hold the mass m_p of clients, and let endpoint e cost it c_pe kilometres. For prices
//! λ ≥ 0 every point goes where c_pe + λ_e is least, and
//!
//! ```text
//!   g(λ) = Σ_p m_p · min_e (c_pe + λ_e)  −  Σ_e λ_e · limit_e
//! ```
//!
//! is a lower bound of the total distance of every division of the clients within the limits. It is
//! concave, and its slope in λ_e is e's *excess*, load_e − limit_e: where too many come, a higher price
//! raises the bound. At its top every excess is at most 0, and 0 where there is a price: the division
//! is feasible, and as short as the bound, so none is shorter.
//!
//! Two ways lead up, whichever fits:
//!
//! - **Newton's** (as in semi-discrete optimal transport: Kitagawa, Mérigot, Thibert 2019,
//!   "Convergence of a Newton algorithm for semi-discrete optimal transport"). The curvature has a plain
//!   meaning: −∂load_e/∂λ_e is how many clients per kilometre live along e's borders. It is measured
//!   by counting those within `reach` of one; the reach grows while steps fall short of where the
//!   slope ends, and shrinks when one goes past it.
//! - **Islands.** Endpoints that have borders with each other but, within reach, with nobody else have
//!   no such curvature together: an ocean lies around them. If they have too many clients in total, or
//!   too few, all their prices go up, or down, alike, to where the clients across come or go: that
//!   place is found exactly, by sorting clients by how far they are from the change.
//!
//! How far to go is judged by the slope alone (the bound is concave: past its top along a way the slope
//! turns). Differences of the bound itself would be lost in the rounding of kilometres. Passes are
//! bounded and everything is deterministic: the same question has the same answer on every node.

use super::demand::Field;
use super::matrix::Matrix;

/// The first guess of how far from a border clients are counted, in kilometres.
const REACH: f64 = 200.0;
/// Closer to a border than this there are too few to count.
const LEAST_REACH: f64 = 5.0;
/// Half way around the world is 20,000.
const MOST_REACH: f64 = 4000.0;

/// Loads within this share of their limits are at them, and so are those within
const TOLERANCE: f64 = 0.002;
/// so many of the heaviest points: no price divides a point.
const GRAINS: f64 = 2.0;

/// A step may end where the slope along it has turned and is this part of what it was, and
const PAST: f64 = 0.5;
/// falls short if it is still more than this part.
const SHORT: f64 = 0.5;

/// Passes over the points that one solution may take; what is not finished then goes on from there
/// in the next interval.
pub const MAX_PASSES: usize = 48;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// What points see.
    pub field: &'a Field,
    /// By endpoint: its location.
    pub locations: &'a [u8],
    /// By endpoint: whether it takes anybody at all.
    pub open: &'a [bool],
    /// By endpoint: the most it should get, as a share of all; infinite: as much as comes.
    pub limits: &'a [f64],
    /// By point: its share of all clients.
    pub mass: &'a [f32],
}

impl Problem<'_> {
    /// The same with other clients.
    pub fn of<'b>(&'b self, mass: &'b [f32]) -> Problem<'b> {
        Problem { mass, ..*self }
    }
}

/// Who goes where at some prices. Kept between passes for its memory.
#[derive(Debug, Default, Clone)]
pub struct Division {
    /// By point: its endpoint.
    pub endpoint: Vec<u8>,
    /// By point: the endpoint it would go to otherwise.
    second: Vec<u8>,
    /// By point: how much it costs where it goes, price included.
    cost: Vec<f32>,
    /// By point: how much the second costs.
    second_cost: Vec<f32>,
    /// By endpoint: its share of all.
    pub load: Vec<f64>,
}

/// No endpoint.
const NOBODY: u8 = u8::MAX;

impl Division {
    /// Sends every point where it is cheapest; one pass.
    #[expect(clippy::cast_possible_truncation, reason = "at most 128 endpoints; metres of price")]
    pub fn assign(&mut self, problem: &Problem<'_>, prices: &[f64]) {
        let points = problem.mass.len();
        for (list, start) in [(&mut self.endpoint, NOBODY), (&mut self.second, NOBODY)] {
            list.clear();
            list.resize(points, start);
        }
        for list in [&mut self.cost, &mut self.second_cost] {
            list.clear();
            list.resize(points, f32::INFINITY);
        }
        let (first, second) = (&mut self.endpoint[..], &mut self.second[..]);
        let (cost, second_cost) = (&mut self.cost[..], &mut self.second_cost[..]);
        for (e, location) in problem.locations.iter().enumerate().filter(|(e, _)| problem.open[*e])
        {
            let (price, id) = (prices[e] as f32, e as u8);
            let costs = problem.field.costs(*location, e);
            let rows = first.iter_mut().zip(second.iter_mut());
            let rows = rows.zip(cost.iter_mut().zip(second_cost.iter_mut()));
            // Written as selections, not branches: borders are everywhere.
            for (km, ((first, second), (cost, second_cost))) in costs.zip(rows) {
                let offered = km + price;
                let (wins, places) = (offered < *cost, offered < *second_cost);
                let loser = if wins { *first } else { id };
                let lost = if wins { *cost } else { offered };
                *second = if places { loser } else { *second };
                *second_cost = if places { lost } else { *second_cost };
                *first = if wins { id } else { *first };
                *cost = if wins { offered } else { *cost };
            }
        }
        self.weigh(problem);
    }

    fn weigh(&mut self, problem: &Problem<'_>) {
        self.load.clear();
        self.load.resize(problem.locations.len(), 0.0);
        for (e, mass) in self.endpoint.iter().zip(problem.mass) {
            if let Some(load) = self.load.get_mut(usize::from(*e)) {
                *load += f64::from(*mass);
            }
        }
    }

    /// The share of all that goes elsewhere than it was `sent` before, by point; what was sent to an
    /// endpoint that takes nobody now had to go.
    pub fn moved(&self, sent: &[u8], problem: &Problem<'_>) -> f64 {
        let pairs = self.endpoint.iter().zip(sent).zip(problem.mass);
        pairs
            .filter(|((now, before), _)| {
                now != before && problem.open.get(usize::from(**before)) == Some(&true)
            })
            .map(|(_, mass)| f64::from(*mass))
            .sum()
    }

    /// The price at which the first client would come to endpoint `e`, if it were priced so high
    /// that nobody does: how much more e costs than where they go, least over all.
    pub fn entry(&self, problem: &Problem<'_>, e: usize) -> f64 {
        let gains = problem.field.costs(problem.locations[e], e).zip(&self.cost);
        let most = gains.map(|(km, cost)| cost - km).fold(0.0, f32::max);
        if most.is_finite() { f64::from(most) } else { 0.0 }
    }

    /// The densities of clients along borders, as the matrix of −∂load/∂λ; `reach` to each side.
    fn borders(&self, problem: &Problem<'_>, reach: f64, matrix: &mut Matrix) {
        matrix.clear(problem.locations.len());
        #[expect(clippy::cast_possible_truncation, reason = "kilometres")]
        let near = reach as f32;
        let costs = self.cost.iter().zip(&self.second_cost);
        let rows = self.endpoint.iter().zip(&self.second).zip(costs).zip(problem.mass);
        for (((a, b), (cost, second_cost)), mass) in rows {
            if second_cost - cost < near && *b != NOBODY {
                let density = f64::from(*mass) / (2.0 * reach);
                let (a, b) = (usize::from(*a), usize::from(*b));
                *matrix.at(a, a) += density;
                *matrix.at(b, b) += density;
                *matrix.at(a, b) -= density;
                *matrix.at(b, a) -= density;
            }
        }
    }
}

/// What a solver needs room for; kept, so that a solution allocates nothing.
#[derive(Debug, Default)]
pub struct Room {
    /// At the present prices.
    pub division: Division,
    /// At prices that are tried.
    pub tried: Division,
    matrix: Matrix,
    excess: Vec<f64>,
    active: Vec<usize>,
    step: Vec<f64>,
    next: Vec<f64>,
    /// By endpoint: the first of those that it is connected with by borders.
    island: Vec<usize>,
    shore: Shore,
}

/// Raises the bound from `prices` to its top, or for [`MAX_PASSES`]; returns the passes taken.
/// `room.division` is then the division at the new prices.
pub fn solve(problem: &Problem<'_>, prices: &mut [f64], room: &mut Room) -> usize {
    let mut reach = REACH;
    let heaviest = f64::from(problem.mass.iter().copied().fold(0.0, f32::max));
    room.division.assign(problem, prices);
    let mut passes = 1;
    while passes < MAX_PASSES {
        room.measure(problem, prices);
        if room.is_done(problem, prices, GRAINS * heaviest) {
            break;
        }
        room.division.borders(problem, reach, &mut room.matrix);
        if let Some((island, net)) = room.unbalanced_island(problem, prices, heaviest)
            && passes + 2 <= MAX_PASSES
        {
            room.shift(problem, prices, island, net);
            passes += 2;
            continue;
        }
        room.newton(reach);
        let (tried, went) = room.climb(problem, prices, MAX_PASSES - passes);
        passes += tried;
        reach = match went {
            // Down to where there is nobody left to count, nothing more can be gained.
            Went::Nowhere if reach <= LEAST_REACH => break,
            Went::Nowhere | Went::Past => (reach / 2.0).max(LEAST_REACH),
            Went::There => reach,
            Went::Short => (reach * 1.5).min(MOST_REACH),
        };
    }
    lower(problem, prices);
    passes
}

/// How a step went, by where the slope along it ends.
enum Went {
    Nowhere,
    Past,
    There,
    Short,
}

impl Room {
    fn measure(&mut self, problem: &Problem<'_>, prices: &[f64]) {
        self.excess.clear();
        self.excess.extend(self.division.load.iter().zip(problem.limits).map(|(l, most)| l - most));
        self.active.clear();
        let wanting = |e: &usize| {
            let limited = problem.open[*e] && problem.limits[*e].is_finite();
            limited && (prices[*e] > 0.0 || self.excess[*e] > 0.0)
        };
        self.active.extend((0..prices.len()).filter(wanting));
    }

    fn is_done(&self, problem: &Problem<'_>, prices: &[f64], grain: f64) -> bool {
        self.active.iter().all(|e| {
            let off = if prices[*e] > 0.0 { self.excess[*e].abs() } else { self.excess[*e] };
            off <= (TOLERANCE * problem.limits[*e]).max(grain)
        })
    }

    /// The island whose total excess is farthest from none, by more than the `heaviest` point, and
    /// that excess. Its prices can all change alike: each endpoint's is free to.
    fn unbalanced_island(
        &mut self,
        problem: &Problem<'_>,
        prices: &[f64],
        heaviest: f64,
    ) -> Option<(usize, f64)> {
        let n = prices.len();
        self.island.clear();
        self.island.extend(0..n);
        for (a, b) in (0..n).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let (one, other) = (self.island[a], self.island[b]);
            if one != other && *self.matrix.at(a, b) != 0.0 {
                let both = self.island.iter_mut().filter(|island| **island == one.max(other));
                both.for_each(|island| *island = one.min(other));
            }
        }
        let net = |island: &usize| {
            let members = || self.island.iter().enumerate().filter(|(_, i)| *i == island);
            let net: f64 = members().map(|(e, _)| self.excess[e]).sum();
            let is_free = |e| self.active.contains(&e) && (net > 0.0 || prices[e] > 0.0);
            let has_others = || (0..n).any(|e| problem.open[e] && self.island[e] != *island);
            let moves = net.abs() > heaviest && members().all(|(e, _)| is_free(e)) && has_others();
            moves.then_some((*island, net))
        };
        let islands = self.island.iter().enumerate().filter(|(e, island)| e == *island);
        let nets = islands.filter_map(|(_, island)| net(island));
        nets.max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
    }

    /// Changes the prices of an island alike until `net` of the clients have gone, or come; or until
    /// one of them is 0. Two passes.
    fn shift(&mut self, problem: &Problem<'_>, prices: &mut [f64], island: usize, net: f64) {
        let members = |e: usize| self.island[e] == island;
        let change = self.shore.change(problem, prices, members, net);
        let all = (0..prices.len()).filter(|e| members(*e));
        let least = all.map(|e| prices[e]).fold(f64::INFINITY, f64::min);
        let change = change.max(-least);
        for e in (0..prices.len()).filter(|e| members(*e)) {
            prices[e] += change;
        }
        self.division.assign(problem, prices);
    }

    /// The step for which the borders say that every excess becomes 0. Where nobody lives along
    /// them, one as far as could be seen.
    fn newton(&mut self, reach: f64) {
        let n = self.active.len();
        self.step.clear();
        self.step.extend(self.active.iter().map(|e| self.excess[*e]));
        for (i, e) in self.active.iter().enumerate() {
            *self.matrix.at(*e, *e) += (self.excess[*e].abs() + f64::EPSILON) / (4.0 * reach);
            for (j, f) in self.active.iter().enumerate() {
                let value = *self.matrix.at(*e, *f);
                *self.matrix.packed(i, j, n) = value;
            }
        }
        self.matrix.solve(n, &mut self.step);
        for step in &mut self.step {
            *step = step.clamp(-4.0 * reach, 4.0 * reach);
        }
    }

    /// Goes the step, or less of it, to where the slope along it ends, about.
    fn climb(&mut self, problem: &Problem<'_>, prices: &mut [f64], most: usize) -> (usize, Went) {
        let mut part = 1.0;
        for tried in 1..=most.min(6) {
            self.next.clear();
            self.next.extend_from_slice(prices);
            for (e, step) in self.active.iter().zip(&self.step) {
                self.next[*e] = (prices[*e] + part * step).max(0.0);
            }
            self.tried.assign(problem, &self.next);
            let slope = |load: &[f64]| -> f64 {
                let way = |e: &usize| self.next[*e] - prices[*e];
                self.active.iter().map(|e| (load[*e] - problem.limits[*e]) * way(e)).sum()
            };
            let (before, after) = (slope(&self.division.load), slope(&self.tried.load));
            if after >= -PAST * before {
                prices.copy_from_slice(&self.next);
                std::mem::swap(&mut self.division, &mut self.tried);
                let went = match () {
                    () if tried > 1 || after < 0.0 => Went::Past,
                    () if after <= SHORT * before => Went::There,
                    () => Went::Short,
                };
                return (tried, went);
            }
            // Where a straight line from the one slope to the other crosses 0.
            part *= (before / (before - after)).clamp(0.1, 0.6);
        }
        (most.min(6), Went::Nowhere)
    }
}

/// What lies between an island and the rest, by point.
#[derive(Debug, Default)]
struct Shore {
    /// The least cost on the island.
    inside: Vec<f32>,
    /// The least cost elsewhere.
    outside: Vec<f32>,
    /// Of the points on the side that gives: how much a price has to change for them to go, and
    /// their mass; the nearest first.
    gaps: Vec<(f32, f32)>,
}

impl Shore {
    /// By how much the prices of those `on` the island have to change, in kilometres, so that so much
    /// mass leaves it (comes to it, where that is negative). Infinite where there is not so much.
    fn change(
        &mut self,
        problem: &Problem<'_>,
        prices: &[f64],
        on: impl Fn(usize) -> bool,
        net: f64,
    ) -> f64 {
        for list in [&mut self.inside, &mut self.outside] {
            list.clear();
            list.resize(problem.mass.len(), f32::INFINITY);
        }
        for (e, location) in problem.locations.iter().enumerate().filter(|(e, _)| problem.open[*e])
        {
            let list = if on(e) { &mut self.inside } else { &mut self.outside };
            #[expect(clippy::cast_possible_truncation, reason = "metres of price")]
            let price = prices[e] as f32;
            for (least, km) in list.iter_mut().zip(problem.field.costs(*location, e)) {
                *least = least.min(km + price);
            }
        }
        let sign = if net > 0.0 { 1.0 } else { -1.0 };
        let gaps = self.inside.iter().zip(&self.outside).map(|(on, off)| (off - on) * sign);
        self.gaps.clear();
        self.gaps.extend(gaps.zip(problem.mass.iter().copied()).filter(|(gap, _)| *gap >= 0.0));
        self.gaps.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut left = net.abs();
        let is_last = |(_, mass): &&(f32, f32)| {
            left -= f64::from(*mass);
            left <= 0.0
        };
        let last = self.gaps.iter().find(is_last);
        // Those who are there can all go; rounding must not say that one is missing.
        let all = if net > 0.0 { self.gaps.last() } else { None };
        f64::from(last.or(all).map_or(f32::INFINITY, |(gap, _)| *gap) * sign)
    }
}

/// What all open endpoints charge alike decides nothing: the least price is 0.
fn lower(problem: &Problem<'_>, prices: &mut [f64]) {
    let open = || (0..prices.len()).filter(|e| problem.open[*e]);
    let least = open().map(|e| prices[e]).fold(f64::INFINITY, f64::min);
    if least.is_finite() && least > 0.0 {
        for (price, open) in prices.iter_mut().zip(problem.open) {
            *price -= if *open { least } else { 0.0 };
        }
    }
}
