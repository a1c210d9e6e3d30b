//! Deployments on both engines, and the fleet with real models.

extern crate rondo_serving as serving;

mod deployment;
mod fleet;
mod support;
