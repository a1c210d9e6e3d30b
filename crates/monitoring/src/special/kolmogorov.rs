//! The distribution of the Kolmogorov-Smirnov statistic of one sample of size `n`, two-sided and one-sided.
//!
//! Which formula serves where follows Simard and L'Ecuyer (2011), as in SciPy, so that numbers agree: the matrix of Durbin in the
//! form of Marsaglia, Tsang and Wang (2003), the series of Pelz and Good (1976), the tail of Miller (1956). Where SciPy takes the
//! recursion of Pomeranz (1974), which computes the same exact value, the matrix serves here too.

use super::{LN_2PI, stirling_error};

const PI2: f64 = std::f64::consts::PI * std::f64::consts::PI;
/// Beyond this power of two intermediate results are scaled down.
const BIG: f64 = (1_u128 << 127) as f64 * 2.0;
const BIG_EXPONENT: i32 = 128;

/// `P(D_n >= x)` of the two-sided statistic.
pub fn kolmogorov_sf(n: u64, x: f64) -> f64 {
    let size = n as f64;
    if x >= 1.0 {
        return 0.0;
    }
    if x <= 0.0 || n == 0 {
        return 1.0;
    }
    let t = size * x;
    if t <= 1.0 {
        return 1.0 - smallest(size, t);
    }
    if t >= size - 1.0 {
        return (2.0 * (1.0 - x).powf(size)).clamp(0.0, 1.0);
    }
    let squared = t * x;
    let tail = if n <= 140 { squared > 4.0 } else { squared >= 2.2 };
    if x >= 0.5 || tail {
        return if squared >= 370.0 { 0.0 } else { (2.0 * smirnov_sf(n, x)).clamp(0.0, 1.0) };
    }
    let exact = n <= 140 || (n <= 100_000 && size * x.powf(1.5) <= 1.4);
    let below = if exact { durbin(n, x) } else { pelz_good(size, x) };
    (1.0 - below).clamp(0.0, 1.0)
}

/// `P(D_n < x)` for `n x <= 1` (Ruben and Gambino).
fn smallest(n: f64, t: f64) -> f64 {
    if t <= 0.5 {
        return 0.0;
    }
    // n! / n^n without the cancellation of n ln n
    let log_factor = 0.5 * (LN_2PI + n.ln()) - n + stirling_error(n);
    (log_factor + n * (2.0 * t - 1.0).ln()).exp().clamp(0.0, 1.0)
}

/// `P(D_n+ >= x)` of the one-sided statistic (Birnbaum and Tingey 1951). Every term of the sum is a binomial probability, so
/// nothing cancels:
/// `x sum_j C(n, j) p^(j-1) (1 - p)^(n-j)` with `p = x + j / n`.
pub fn smirnov_sf(n: u64, x: f64) -> f64 {
    if x >= 1.0 {
        return 0.0;
    }
    if x <= 0.0 || n == 0 {
        return 1.0;
    }
    let size = n as f64;
    let t = size * x;
    let log_error_n = stirling_error(size);
    let last = (size * (1.0 - x)).floor();
    let mut sum = 0.0;
    let mut j = 1.0;
    while j <= last && j < size {
        let rest = size - j;
        if rest - t > 0.0 {
            // deviances of the two parts from their expectations
            let deviance = (t - j * (t / j).ln_1p()) + (-t - rest * (-t / rest).ln_1p());
            let log_term = log_error_n - stirling_error(j) - stirling_error(rest) - deviance
                + 0.5 * (size.ln() - LN_2PI - j.ln() - rest.ln());
            sum += log_term.exp() / (x + j / size);
        }
        j += 1.0;
    }
    (x * sum + (size * (-x).ln_1p()).exp()).clamp(0.0, 1.0)
}

/// A square matrix in row order.
struct Matrix {
    side: usize,
    cells: Vec<f64>,
}

impl Matrix {
    fn times(&self, other: &Self) -> Self {
        let side = self.side;
        let mut cells = vec![0.0; side * side];
        for (row, out) in self.cells.chunks_exact(side).zip(cells.chunks_exact_mut(side)) {
            for (factor, line) in row.iter().zip(other.cells.chunks_exact(side)) {
                if *factor != 0.0 {
                    for (target, value) in out.iter_mut().zip(line) {
                        *target += factor * value;
                    }
                }
            }
        }
        Self { side, cells }
    }

    /// The matrix `H` of the recursion, for `x = (k - h) / n`.
    fn durbin(side: usize, h: f64) -> Self {
        let mut inverse_factorial = vec![1.0; side + 1];
        for index in 1..=side {
            inverse_factorial[index] = inverse_factorial[index - 1] / index as f64;
        }
        let mut edge: Vec<f64> = (1..=side).map(|m| (1.0 - h.powi(m as i32)) * inverse_factorial[m]).collect();
        let corner = (2.0 * h - 1.0).max(0.0).powi(side as i32) - 2.0 * h.powi(side as i32);
        edge[side - 1] = (1.0 + corner) * inverse_factorial[side];
        let mut cells = vec![0.0; side * side];
        for row in 0..side {
            for column in 1..side.min(row + 2) {
                cells[row * side + column] = inverse_factorial[row + 1 - column];
            }
            cells[row * side] = edge[row];
        }
        for column in 0..side {
            cells[(side - 1) * side + column] = edge[side - 1 - column];
        }
        Self { side, cells }
    }
}

/// `P(D_n < x)`, exact: the middle of `n! / n^n H^n`.
fn durbin(n: u64, x: f64) -> f64 {
    let size = n as f64;
    let k = (size * x).ceil();
    let middle = k as usize - 1;
    let side = 2 * k as usize - 1;
    let mut base = Matrix::durbin(side, k - size * x);
    let mut base_exponent = 0;
    let mut power: Option<(Matrix, i32)> = None;
    let mut left = n;
    while left > 0 {
        if left % 2 == 1 {
            power = Some(match power {
                None => (Matrix { side, cells: base.cells.clone() }, base_exponent),
                Some((have, exponent)) => (have.times(&base), exponent + base_exponent),
            });
        }
        left /= 2;
        if left > 0 {
            base = base.times(&base);
            base_exponent *= 2;
            if base.cells[middle * side + middle].abs() > BIG {
                for cell in &mut base.cells {
                    *cell /= BIG;
                }
                base_exponent += BIG_EXPONENT;
            }
        }
    }
    let Some((power, mut exponent)) = power else { return 0.0 };
    let mut p = power.cells[middle * side + middle];
    for i in 1..=n {
        p = i as f64 * p / size;
        if p.abs() < 1.0 / BIG {
            p *= BIG;
            exponent -= BIG_EXPONENT;
        }
    }
    libm::ldexp(p, exponent)
}

/// `P(D_n < x)` by the series of Pelz and Good in `1 / sqrt(n)`, its coefficients turned by Jacobi's theta functions.
fn pelz_good(n: f64, x: f64) -> f64 {
    let z = n.sqrt() * x;
    let (z2, z3, z4, z6) = (z * z, z.powi(3), z.powi(4), z.powi(6));
    let log_q = -PI2 / 8.0 / z2;
    if log_q < -708.0 {
        return 0.0;
    }
    let q = log_q.exp();
    let pi4 = PI2 * PI2;
    let k1 = [-z2, PI2 / 4.0];
    let k2 = [6.0 * z6 + 2.0 * z4, (2.0 * z4 - 5.0 * z2) * PI2 / 4.0, pi4 * (1.0 - 2.0 * z2) / 16.0];
    let k3 = [
        -30.0 * z6 - 90.0 * z.powi(8),
        PI2 * (135.0 * z4 - 96.0 * z6) / 4.0,
        pi4 * (-60.0 * z2 + 212.0 * z4) / 16.0,
        pi4 * PI2 * (5.0 - 30.0 * z2) / 64.0,
    ];
    let terms = (16.0 * z / std::f64::consts::PI).ceil() as i32;
    let mut sums = [0.0_f64; 4];
    for k in (1..=terms).rev() {
        let m2 = f64::from(2 * k - 1).powi(2);
        let factor = q.powf(8.0 * f64::from(k));
        let coefficients = [
            1.0,
            k1[0] + k1[1] * m2,
            k2[0] + m2 * (k2[1] + m2 * k2[2]),
            k3[0] + m2 * (k3[1] + m2 * (k3[2] + m2 * k3[3])),
        ];
        for (sum, coefficient) in sums.iter_mut().zip(coefficients) {
            *sum = *sum * factor + coefficient;
        }
    }
    let root = (2.0 * std::f64::consts::PI).sqrt();
    for (sum, divisor) in sums.iter_mut().zip([z, 6.0 * z4, 72.0 * z.powi(7), 6480.0 * z.powi(10)]) {
        *sum *= q * root / divisor;
    }
    let q = (-PI2 / 2.0 / z2).exp();
    let (mut second, mut third) = (0.0, 0.0);
    for k in (1..=terms).rev() {
        let k2 = f64::from(k * k);
        let power = q.powf(k2);
        second += k2 * power;
        third += (3.0 * z2 - PI2 * k2) * k2 * power;
    }
    sums[2] += second * PI2 * root / (-36.0 * z3);
    sums[3] += third * PI2 * root / (216.0 * z6);
    sums[0] + sums[1] / n.sqrt() + sums[2] / n + sums[3] / n.powf(1.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sided_tail_agrees_with_scipy_in_every_regime() {
        let rows = super::super::golden(include_str!("../../tests/golden/kolmogorov.csv"));
        assert!(rows.len() > 500);
        for [n, x, want] in rows {
            let have = kolmogorov_sf(n as u64, x);
            assert!((have - want).abs() <= 1e-9 * want + 1e-300, "n {n} x {x}: {have:e} is not {want:e}");
        }
    }
}
