//! The two sides of an evaluation: what the registry and the runs say about candidate and champion.

use db::Tx;
use kernel::clock::parse_us;
use kernel::ctx::Ctx;
use registry::pointer::Pointer;
use registry::policy::Policy;
use registry::version::Version;

use super::{Evaluate, TRAINED_UNTIL_TAG};
use crate::Error;

/// A version with what its run says.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub version: Version,
    pub trained_until_us: Option<i64>,
    pub code: Option<String>,
}

/// What is to be compared.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub policy: Policy,
    pub candidate: Side,
    pub champion: Option<Side>,
}

/// Reads both sides in one snapshot.
pub(super) fn read(tx: &mut Tx<'_>, ctx: &Ctx, wanted: &Evaluate) -> Result<Subject, Error> {
    let pointer: Pointer = wanted.pointer.parse()?;
    let candidate = registry::version::get(tx, ctx, &wanted.model, &wanted.version)?;
    let champion = registry::pointer::champion(tx, ctx, &wanted.model, &pointer)?
        .filter(|champion| champion.version != wanted.version);
    Ok(Subject {
        policy: registry::policy::get(tx, ctx, &wanted.model)?,
        candidate: side(tx, ctx, candidate)?,
        champion: champion.map(|champion| side(tx, ctx, champion)).transpose()?,
    })
}

/// The tags that name the code of a run, the most exact first.
const CODE_TAGS: [&str; 3] = ["rondo.code_digest", "mlflow.source.git.commit", "mlflow.source.name"];

fn side(tx: &mut Tx<'_>, ctx: &Ctx, version: Version) -> Result<Side, Error> {
    let tags = match version.run_id.as_deref().filter(|id| !id.is_empty()) {
        Some(run_id) => tracking::run::get(tx, ctx, run_id)?.tags,
        None => Vec::new(),
    };
    let tag = |name: &str| tags.iter().find(|tag| tag.key == name).map(|tag| tag.value.clone());
    Ok(Side {
        trained_until_us: tag(TRAINED_UNTIL_TAG).as_deref().and_then(parse_us),
        code: CODE_TAGS.iter().find_map(|name| tag(name)),
        version,
    })
}

impl Side {
    /// The training cut-off, or why the side cannot be judged.
    pub(super) fn trained_until_us(&self) -> Result<i64, Error> {
        self.trained_until_us.ok_or_else(|| {
            Error::Unproven(format!(
                "version {} does not say up to when it was trained, so no row is known to be new to it: set the tag \
                 {TRAINED_UNTIL_TAG} on its run",
                self.version.version
            ))
        })
    }
}
