//! The small matrix of a Newton step.

/// A square matrix, and room for a smaller one to be solved.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    rows: Vec<f64>,
    packed: Vec<f64>,
    size: usize,
}

impl Matrix {
    pub(super) fn clear(&mut self, size: usize) {
        self.size = size;
        self.rows.clear();
        self.rows.resize(size * size, 0.0);
        self.packed.clear();
        self.packed.resize(size * size, 0.0);
    }

    pub(super) fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.rows[row * self.size + column]
    }

    pub(super) fn packed(&mut self, row: usize, column: usize, size: usize) -> &mut f64 {
        &mut self.packed[row * size + column]
    }

    /// Solves the packed system of `n` by elimination. It is symmetric and its diagonal outweighs
    /// the rest of each row, so no pivot has to be looked for.
    pub(super) fn solve(&mut self, n: usize, right: &mut [f64]) {
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
