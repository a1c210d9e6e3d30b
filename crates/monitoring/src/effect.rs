//! How large a difference must be to matter, whatever its p-value. With enough rows every difference is significant; what alarms must
//! also be of a size that a model can feel.

/// False discovery rate that is accepted among the features of a window.
pub const Q: f64 = 0.01;
/// Wasserstein distance in robust standard deviations from which a numeric difference counts as drift.
pub const NUMBER: f64 = 0.05;
/// From which it is strong.
pub const STRONG_NUMBER: f64 = 0.2;
/// Total variation distance from which a categorical difference counts as drift.
pub const TEXT: f64 = 0.03;
/// From which it is strong.
pub const STRONG_TEXT: f64 = 0.15;
/// Categories with fewer expected values than this in either sample are pooled before the test.
pub const LEAST_EXPECTED: f64 = 5.0;
