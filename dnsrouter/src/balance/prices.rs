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
//! The way up is Newton's (as in semi-discrete optimal transport: Kitagawa, Mérigot, Thibert 2019,
//! "Convergence of a Newton algorithm for semi-discrete optimal transport"). The curvature has a plain
//! meaning: −∂load_e/∂λ_e is how many clients per kilometre live along e's borders. It is measured by
//! counting those within `reach` of one; the reach grows while steps succeed and shrinks when one
//! overshoots. Passes are bounded and everything is deterministic: the same question has the same
//! answer on every node.

use super::demand::Field;

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

/// A step must gain this part of what the slope promises (Armijo's rule).
const PROMISED: f64 = 1e-4;

/// Sums of thousands of single-precision distances differ by this many kilometres for no reason.
const NOISE: f64 = 1e-3;

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
    /// The bound g.
    bound: f64,
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
        self.weigh(problem, prices);
    }

    fn weigh(&mut self, problem: &Problem<'_>, prices: &[f64]) {
        self.load.clear();
        self.load.resize(problem.locations.len(), 0.0);
        self.bound = 0.0;
        for ((e, cost), mass) in self.endpoint.iter().zip(&self.cost).zip(problem.mass) {
            if let Some(load) = self.load.get_mut(usize::from(*e)) {
                *load += f64::from(*mass);
                self.bound += f64::from(*mass) * f64::from(*cost);
            }
        }
        for (price, limit) in prices.iter().zip(problem.limits) {
            if limit.is_finite() {
                self.bound -= price * limit;
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
}

/// Raises the bound from `prices` to its top, or for [`MAX_PASSES`]; returns the passes taken.
/// `room.division` is then the division at the new prices.
pub fn solve(problem: &Problem<'_>, prices: &mut [f64], room: &mut Room) -> usize {
    let mut reach = REACH;
    let grain = GRAINS * f64::from(problem.mass.iter().copied().fold(0.0, f32::max));
    room.division.assign(problem, prices);
    let mut passes = 1;
    while passes < MAX_PASSES {
        room.measure(problem, prices);
        if room.is_done(problem, prices, grain) {
            break;
        }
        room.division.borders(problem, reach, &mut room.matrix);
        room.newton(reach);
        let (tried, succeeded) = room.climb(problem, prices, MAX_PASSES - passes);
        passes += tried;
        reach = match succeeded {
            // Down to where there is nobody left to count, nothing more can be gained.
            Climbed::Not if reach <= LEAST_REACH => break,
            Climbed::Not | Climbed::Partly => (reach / 2.0).max(LEAST_REACH),
            Climbed::AtOnce => (reach * 1.5).min(MOST_REACH),
        };
    }
    lower(problem, prices);
    passes
}

/// How a step went.
enum Climbed {
    AtOnce,
    Partly,
    Not,
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

    /// Goes the step, or a half, a quarter… of it, as far as the bound rises.
    fn climb(
        &mut self,
        problem: &Problem<'_>,
        prices: &mut [f64],
        most: usize,
    ) -> (usize, Climbed) {
        let mut part = 1.0;
        for tried in 1..=most.min(6) {
            self.next.clear();
            self.next.extend_from_slice(prices);
            let mut promised = 0.0;
            for (e, step) in self.active.iter().zip(&self.step) {
                self.next[*e] = (prices[*e] + part * step).max(0.0);
                promised += self.excess[*e] * (self.next[*e] - prices[*e]);
            }
            self.tried.assign(problem, &self.next);
            if self.tried.bound - self.division.bound >= PROMISED * promised - NOISE * part {
                prices.copy_from_slice(&self.next);
                std::mem::swap(&mut self.division, &mut self.tried);
                return (tried, if tried == 1 { Climbed::AtOnce } else { Climbed::Partly });
            }
            part /= 2.0;
        }
        (most.min(6), Climbed::Not)
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

/// A square matrix, and room for a smaller one to be solved.
#[derive(Debug, Default)]
struct Matrix {
    rows: Vec<f64>,
    packed: Vec<f64>,
    size: usize,
}

impl Matrix {
    fn clear(&mut self, size: usize) {
        self.size = size;
        self.rows.clear();
        self.rows.resize(size * size, 0.0);
        self.packed.clear();
        self.packed.resize(size * size, 0.0);
    }

    fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.rows[row * self.size + column]
    }

    fn packed(&mut self, row: usize, column: usize, size: usize) -> &mut f64 {
        &mut self.packed[row * size + column]
    }

    /// Solves the packed system of `n` by elimination. It is symmetric and its diagonal outweighs
    /// the rest of each row, so no pivot has to be looked for.
    fn solve(&mut self, n: usize, right: &mut [f64]) {
        let m = &mut self.packed;
        for pivot in 0..n {
            for row in pivot + 1..n {
                let factor = m[row * n + pivot] / m[pivot * n + pivot];
                if factor != 0.0 {
                    for column in pivot..n {
                        m[row * n + column] -= factor * m[pivot * n + column];
                    }
                    right[row] -= factor * right[pivot];
                }
            }
        }
        for row in (0..n).rev() {
            let known: f64 = (row + 1..n).map(|c| m[row * n + c] * right[c]).sum();
            right[row] = (right[row] - known) / m[row * n + row];
        }
    }
}
