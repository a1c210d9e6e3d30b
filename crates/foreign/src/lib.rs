//! Readers of what other tracking tools leave on disk. They only read, they hold no more than one run in memory, and they execute
//! nothing of what they find. What a reader makes of it has MLflow's shapes ([`mlflow`]), whatever the tool.

mod error;
pub mod mlflow;
mod naming;
mod protobuf;
pub mod tensorboard;
pub mod wandb;

pub use error::Error;

type Result<T, E = Error> = std::result::Result<T, E>;
