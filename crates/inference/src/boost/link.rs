//! From raw sums to predictions, in each library's own arithmetic and width.

use crate::Output;
use crate::head::{first_max, push};

/// What an objective makes of the raw sums of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    Identity,
    /// Sign and square: LightGBM's `reg_sqrt`.
    Square,
    Exponential,
    /// `log(1 + exp(x))`: LightGBM's `cross_entropy_lambda`.
    Softplus,
    /// One sigmoid an output.
    Sigmoid {
        factor: f64,
    },
    Softmax,
    /// 1 above zero, else 0: XGBoost's `binary:hinge`.
    Hinge,
}

/// What the numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A value.
    Value,
    /// The probability of the second class, or of each class.
    Classes,
}

/// A link, what it tells, and in which width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ending {
    pub(crate) link: Link,
    pub(crate) told: Told,
    /// XGBoost: all of it in 32-bit numbers.
    pub(crate) single: bool,
}

impl Ending {
    /// Turns the raw sums of a row into the output.
    pub(crate) fn finish(self, raw: &mut [f64], output: &mut Output) {
        if self.single {
            self.link.single(raw);
        } else {
            self.link.double(raw);
        }
        match self.told {
            Told::Value => output.scores.push(raw[0]),
            Told::Classes if raw.len() == 1 => {
                let second = raw[0];
                let first = if self.single { f64::from(1.0 - second as f32) } else { 1.0 - second };
                // both libraries: argmax over the two, or above one half; they differ where rounding makes a tie
                let chosen = if self.single { second > 0.5 } else { second > first };
                push(output, &[first, second], usize::from(chosen));
            }
            Told::Classes => push(output, raw, first_max(raw)),
        }
    }
}

impl Link {
    fn double(self, raw: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Square => raw.iter_mut().for_each(|x| *x *= x.abs()),
            Self::Exponential => raw.iter_mut().for_each(|x| *x = x.exp()),
            Self::Softplus => raw.iter_mut().for_each(|x| *x = x.exp().ln_1p()),
            Self::Sigmoid { factor } => raw.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-factor * *x).exp())),
            Self::Hinge => raw.iter_mut().for_each(|x| *x = f64::from(u8::from(*x > 0.0))),
            Self::Softmax => {
                let max = raw.iter().copied().fold(raw[0], f64::max);
                let mut sum = 0.0;
                for x in raw.iter_mut() {
                    *x = (*x - max).exp();
                    sum += *x;
                }
                for x in raw.iter_mut() {
                    *x /= sum;
                }
            }
        }
    }

    fn single(self, raw: &mut [f64]) {
        match self {
            Self::Identity | Self::Square | Self::Softplus => {}
            Self::Exponential => raw.iter_mut().for_each(|x| *x = f64::from((*x as f32).exp())),
            Self::Sigmoid { .. } => raw.iter_mut().for_each(|x| {
                // XGBoost adds 1e-16 as well, which changes no 32-bit sum
                let power = (-*x as f32).min(88.7).exp();
                *x = f64::from(1.0 / (power + 1.0));
            }),
            Self::Hinge => raw.iter_mut().for_each(|x| *x = f64::from(u8::from(*x > 0.0))),
            Self::Softmax => {
                let max = raw.iter().copied().fold(raw[0], f64::max) as f32;
                let mut sum = 0.0_f64;
                for x in raw.iter_mut() {
                    *x = f64::from((*x as f32 - max).exp());
                    sum += *x;
                }
                let sum = sum as f32;
                for x in raw.iter_mut() {
                    *x = f64::from(*x as f32 / sum);
                }
            }
        }
    }
}
