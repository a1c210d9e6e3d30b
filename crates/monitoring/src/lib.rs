//! Monitors: windows, references, drift, quality with intervals, rules and alerts.
