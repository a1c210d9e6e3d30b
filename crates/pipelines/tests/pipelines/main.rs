//! Pipelines, from the public face: real subprocesses, both databases.

mod crash;
mod house;
mod run;
mod skip;
mod stop;
mod trigger;
