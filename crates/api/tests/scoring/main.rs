//! Predictions over real HTTP: our own protocol, mlflow's scoring contract, the Open Inference Protocol, and what is said about them.

extern crate rondo_api as api;

mod health;
mod hostile;
mod invocations;
mod metrics;
mod models_v1;
mod predict;
mod support;
mod swap;
mod v2;
