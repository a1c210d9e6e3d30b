//! Running models exactly, without Python: inert readers and our own kernels.
//!
//! Three storeys, each knowing only the one below:
//!
//! 1. *Readers* (`pickle`, `joblib`, `skops`, `npy`, `mlmodel`, `boost`) turn a file into a `node::Document`: an arena of inert nodes.
//!    Nothing in a file is ever called: a `__reduce__` is a node with a name and arguments, no more.
//! 2. *Estimators* (`sklearn`) recognise the nodes they know by the full name of their class and compile them into a plan; any
//!    other class is refused with that name and what to do ([`LoadError::UnknownClass`]).
//! 3. *Kernels* (`kernel`, `plan`) run the plan over blocks of rows. Every index they follow was checked at load.
//!
//! The crate does no I/O and knows no SQL: the caller brings the files ([`Package`]) and the rows ([`kernel::frame::Frame`]).

mod archive;
mod array;
mod boost;
mod error;
mod head;
mod histogram;
mod joblib;
mod json;
mod loader;
mod mlmodel;
mod model;
mod node;
mod npy;
mod package;
mod pickle;
mod plan;
mod signature;
mod sklearn;
mod skops;
mod trees;
mod view;

pub use error::{LoadError, PredictError};
pub use model::{Input, Model, ModelInfo, Output, PredictFn, Task};
pub use package::Package;
pub use signature::{ColumnSpec, DataType, Signature, TensorSpec};

/// Reads a package into a model that can predict. Executes nothing that the files hold; memory, depth and time are bounded by the
/// size of the package.
pub fn load(package: &Package) -> Result<Model, LoadError> {
    loader::load(package)
}
