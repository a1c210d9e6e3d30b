//! `rondo import` and `rondo export`.

use std::path::Path;

use crate::cli::{Destination, Export, Import, What};
use crate::config::Config;
use crate::transfer::{Options, Server, Source, Target, copy};

/// Copies into the server of the configuration.
pub(crate) async fn import(config: &Config, what: Import, json: bool) -> anyhow::Result<()> {
    let (source, options) = match what {
        Import::Mlflow { source, what } => (mlflow(&source, config)?, options(what)),
        Import::Tensorboard { folder, into } => {
            let absolute = std::path::absolute(&folder)?;
            let own = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = into.into.clone().or(own).unwrap_or_else(|| "tensorboard".to_owned());
            (Source::Disk(Box::new(foreign::tensorboard::Folder::open(&folder, &name)?)), plain(&into))
        }
        Import::Wandb { folder, into } => {
            let found = foreign::wandb::Folder::open(&folder, into.into.as_deref())?;
            (Source::Disk(Box::new(found)), plain(&into))
        }
    };
    let target = Target::at(Server::rondo(config)?).await?;
    copy(source, &target, &options).await?.tell(json)
}

/// Copies from the server of the configuration.
pub(crate) async fn export(config: &Config, what: Export, json: bool) -> anyhow::Result<()> {
    let Export::Mlflow { url, what } = what;
    let source = Source::Server(Server::rondo(config)?);
    let target = Target::at(Server::foreign(&url, &config.user())?).await?;
    copy(source, &target, &options(what)).await?.tell(json)
}

fn plain(into: &Destination) -> Options {
    Options { dry_run: into.dry_run, without_artifacts: into.without_artifacts, ..Options::default() }
}

fn options(what: What) -> Options {
    Options { experiments: what.experiment, dry_run: what.dry_run, without_artifacts: what.without_artifacts }
}

fn mlflow(source: &str, config: &Config) -> anyhow::Result<Source> {
    if source.starts_with("http://") || source.starts_with("https://") {
        return Ok(Source::Server(Server::foreign(source, &config.user())?));
    }
    let path = source.strip_prefix("sqlite:///").or_else(|| source.strip_prefix("file://")).unwrap_or(source);
    Ok(Source::Disk(foreign::mlflow::open(Path::new(path))?))
}
