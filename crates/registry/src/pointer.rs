//! Pointers: the stage or alias that a deployment follows.

use std::fmt;
use std::str::FromStr;

use db::Tx;
use kernel::ctx::Ctx;
use serde::{Deserialize, Serialize};

use crate::stage::Stage;
use crate::version::Version;
use crate::{Error, Result, model, moves, name, version};

/// What can be followed: `Production`, `Staging` or `@alias`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pointer {
    /// The newest ready version in an active stage.
    Stage(Stage),
    /// The version that an alias names.
    Alias(String),
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(stage) => write!(f, "{stage}"),
            Self::Alias(alias) => write!(f, "@{alias}"),
        }
    }
}

impl FromStr for Pointer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(alias) = text.strip_prefix('@') {
            name::new_alias(alias)?;
            return Ok(Self::Alias(alias.to_owned()));
        }
        match text.parse() {
            Ok(stage) if Stage::is_active(stage) => Ok(Self::Stage(stage)),
            _ => {
                let message = format!("\"{text}\" is not a pointer: expected Production, Staging or @alias");
                Err(Error::invalid("pointer", message))
            }
        }
    }
}

impl TryFrom<String> for Pointer {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.to_string()
    }
}

/// `models:/NAME/Production`, `models:/NAME@alias` or `models:/NAME/3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerUri {
    /// The model.
    pub model: String,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Pointer(Pointer),
    Version(i64),
}

impl PointerUri {
    /// The pointer, unless it is a fixed version.
    pub fn pointer(&self) -> Option<&Pointer> {
        match &self.target {
            Target::Pointer(pointer) => Some(pointer),
            Target::Version(_) => None,
        }
    }

    /// The fixed version, if it is one.
    pub fn version(&self) -> Option<String> {
        match self.target {
            Target::Pointer(_) => None,
            Target::Version(version) => Some(version.to_string()),
        }
    }
}

impl fmt::Display for PointerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Pointer(Pointer::Alias(alias)) => write!(f, "models:/{}@{alias}", self.model),
            Target::Pointer(Pointer::Stage(stage)) => write!(f, "models:/{}/{stage}", self.model),
            Target::Version(version) => write!(f, "models:/{}/{version}", self.model),
        }
    }
}

impl FromStr for PointerUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let message = format!(
                "\"{text}\" does not name a version: expected models:/NAME/Production, models:/NAME/Staging, \
                 models:/NAME@alias or models:/NAME/3"
            );
            Error::invalid("pointer", message)
        };
        let rest = text.strip_prefix("models:/").map(|rest| rest.trim_start_matches('/')).ok_or_else(wrong)?;
        let (model, target) = if let Some((model, target)) = rest.split_once('/') {
            let target = match target.parse::<i64>() {
                Ok(version) if version > 0 => Target::Version(version),
                _ => Target::Pointer(
                    target
                        .parse::<Stage>()
                        .ok()
                        .filter(|stage| stage.is_active())
                        .map(Pointer::Stage)
                        .ok_or_else(wrong)?,
                ),
            };
            (model, target)
        } else {
            let (model, alias) = rest.rsplit_once('@').ok_or_else(wrong)?;
            name::new_alias(alias).map_err(|_| wrong())?;
            (model, Target::Pointer(Pointer::Alias(alias.to_owned())))
        };
        name::model("pointer", model)?;
        Ok(Self { model: model.to_owned(), target })
    }
}

/// The version that a pointer names now.
pub fn resolve(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, pointer: &Pointer) -> Result<Option<Version>> {
    let Some(uid) = model::find_uid(tx, ctx, model)? else { return Ok(None) };
    match moves::holder(tx, &uid, pointer)? {
        Some(number) => Ok(Some(version::load(tx, model, &uid, number)?)),
        None => Ok(None),
    }
}

/// The version that a newcomer has to beat: the one that the pointer names or, if it names none now, the last one it named that
/// still exists. Taking a champion down does not make room for what was never compared with it.
pub fn champion(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, pointer: &Pointer) -> Result<Option<Version>> {
    let Some(uid) = model::find_uid(tx, ctx, model)? else { return Ok(None) };
    match moves::champion(tx, &uid, pointer)? {
        Some(number) => Ok(Some(version::load(tx, model, &uid, number)?)),
        None => Ok(None),
    }
}

/// The version that a URI names now.
pub fn resolve_uri(tx: &mut Tx<'_>, ctx: &Ctx, uri: &PointerUri) -> Result<Option<Version>> {
    match &uri.target {
        Target::Pointer(pointer) => resolve(tx, ctx, &uri.model, pointer),
        Target::Version(number) => {
            let Some(uid) = model::find_uid(tx, ctx, &uri.model)? else { return Ok(None) };
            version::find(tx, &uid, *number)
        }
    }
}

/// Moves a pointer to a version, through the gate. A stage is left by whoever was in it, so that the version is the one it names.
/// A pointer that is there already stays, and nothing is recorded.
pub fn promote(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, version: &str, pointer: &Pointer, reason: &str) -> Result<()> {
    if resolve(tx, ctx, model, pointer)?.is_some_and(|holder| holder.version == version) {
        return Ok(());
    }
    match pointer {
        Pointer::Stage(stage) => version::transition_stage(tx, ctx, model, version, *stage, true, reason).map(|_| ()),
        Pointer::Alias(alias) => model::set_alias(tx, ctx, model, alias, version, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_and_written() {
        let check = |text: &str, shown: &str| assert_eq!(text.parse::<Pointer>().unwrap().to_string(), shown);
        check("Production", "Production");
        check("staging", "Staging");
        check("@champion", "@champion");
        for bad in ["", "None", "Archived", "champion", "@", "@latest", "@v3", "@a b", "3"] {
            assert!(bad.parse::<Pointer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn uris_are_read_and_written() {
        let check = |text: &str, shown: &str, model: &str, pointer: Option<&str>| {
            let uri = text.parse::<PointerUri>().unwrap();
            assert_eq!(uri.to_string(), shown);
            assert_eq!(uri.model, model);
            assert_eq!(uri.pointer().map(ToString::to_string).as_deref(), pointer);
        };
        check("models:/m/Production", "models:/m/Production", "m", Some("Production"));
        check("models:/m/production", "models:/m/Production", "m", Some("Production"));
        check("models:///m/Staging", "models:/m/Staging", "m", Some("Staging"));
        check("models:/a b@champion", "models:/a b@champion", "a b", Some("@champion"));
        check("models:/m/12", "models:/m/12", "m", None);
        for bad in [
            "",
            "m",
            "models:/m",
            "models:/m/",
            "models:/m/latest",
            "models:/m@latest",
            "models:/m/None",
            "models:/m/0",
            "models:/m/-1",
            "models:/m/3/x",
            "models:/@a",
            "models:/../Production",
            "runs:/m/Production",
        ] {
            assert!(bad.parse::<PointerUri>().is_err(), "{bad}");
        }
    }
}
