//! The protocols over real HTTP, with a real database and real files. One protocol, one directory.
#![expect(clippy::unwrap_used, reason = "tests")]

extern crate rondo_api as api;

mod access_control;
mod hostile_paths;
mod mlflow;
mod otlp;
mod route;
mod server;
mod sign_in;
mod v1;
mod workspace;
