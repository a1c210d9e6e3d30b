//! Seeded data for the tests.

use std::sync::Arc;

use kernel::frame::{Cell, Column, Frame};
use rondo_monitoring::monitor::Monitor;
use rondo_monitoring::report::Kind;
use rondo_monitoring::window::Due;
use telemetry::Rows;

/// A small generator (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// An index below the number of weights, in proportion to them.
    pub(crate) fn pick(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}

/// Rows of one version with consecutive ids.
pub(crate) fn rows(features: Frame, scores: Vec<f64>, outcomes: Vec<Cell>, version: &str) -> Rows {
    let n = scores.len();
    Rows {
        ids: (0..n).map(|row| format!("p{row:06}")).collect(),
        event_time_us: (0..n as i64).collect(),
        versions: vec![Arc::from(version); n],
        features,
        scores,
        outcomes,
        observed_us: vec![0; n],
    }
}

/// Predictions of a model that is right about the chance: features `x` (normal, moved by `shift`) and `c` (four categories), a score
/// that depends on `x`, and outcomes that follow the score raised by `worse`.
pub(crate) fn flights(dice: &mut Dice, n: usize, shift: f64, worse: f64, version: &str) -> Rows {
    let mut x = Vec::new();
    let mut c = Vec::new();
    let (mut scores, mut outcomes) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let value = dice.normal() + shift;
        let p = 1.0 / (1.0 + (1.0 - value).exp());
        x.push(value);
        c.push(Some(Arc::from(["AA", "B6", "DL", "UA"][dice.pick(&[4.0, 3.0, 2.0, 1.0])])));
        scores.push(p);
        outcomes.push(Cell::Number(f64::from(u8::from(dice.uniform() < (p + worse).min(1.0)))));
    }
    let frame = Frame::new(vec!["x".into(), "c".into()], vec![Column::Number(x), Column::Text(c)]).unwrap();
    rows(frame, scores, outcomes, version)
}

pub(crate) fn due(monitor: &Monitor, index: i64, kind: Kind) -> Due {
    let from_us = index * monitor.window_us;
    let until_us = from_us + monitor.window_us;
    let delay_us = if kind == Kind::Mature { monitor.outcome_delay_us } else { 0 };
    Due { from_us, until_us, as_of_us: until_us + delay_us, kind }
}
