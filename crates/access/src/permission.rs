//! What can be permitted, and the roles that are sets of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a route needs from its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Nothing: health, versions, the files of the browser app.
    Public,
    /// Reading everything of the workspace.
    View,
    /// Asking deployments for predictions and telling their outcomes.
    Predict,
    /// Writing runs, models, artifacts, deployments and monitors; starting pipelines.
    Edit,
    /// Saying yes or no to a verdict that waits for a person.
    Approve,
    /// Users, tokens and policies of the workspace, and what its pipelines execute on the server's machine.
    Admin,
    /// What concerns every workspace: making and deleting them, the whole audit trail. Admins of the default workspace may.
    Server,
}

impl Permission {
    /// Everything that a token can be narrowed to.
    pub const SCOPES: [Self; 5] = [Self::View, Self::Predict, Self::Edit, Self::Approve, Self::Admin];

    /// As written in scopes and told in refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::View => "view",
            Self::Predict => "predict",
            Self::Edit => "edit",
            Self::Approve => "approve",
            Self::Admin => "admin",
            Self::Server => "server",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Public => 0,
            Self::View => 1,
            Self::Predict => 2,
            Self::Edit => 4,
            Self::Approve => 8,
            Self::Admin => 16,
            Self::Server => 32,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no permission or role.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not one of {expected}")]
pub struct UnknownWord {
    found: String,
    expected: &'static str,
}

impl FromStr for Permission {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let expected = "view, predict, edit, approve, admin";
        let known = Self::SCOPES.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| UnknownWord { found: text.to_owned(), expected })
    }
}

/// What a person or token is to the workspace. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Works: runs, models, deployments, predictions.
    Editor,
    /// Also decides on verdicts.
    Approver,
    /// Also decides who may do what.
    Admin,
}

impl Role {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Approver, Self::Admin];

    /// As stored and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// What the role may do.
    pub fn grants(self) -> Grants {
        let permissions: &[Permission] = match self {
            Self::Viewer => &[Permission::View],
            Self::Editor => &[Permission::View, Permission::Predict, Permission::Edit],
            Self::Approver => &[Permission::View, Permission::Predict, Permission::Edit, Permission::Approve],
            Self::Admin => &Permission::SCOPES,
        };
        Grants::of(permissions)
    }

    /// The weakest role that may do this; none is needed for what is public.
    pub fn weakest_for(permission: Permission) -> Option<Self> {
        (permission != Permission::Public)
            .then(|| Self::ALL.into_iter().find(|role| role.grants().allow(permission)))
            .flatten()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let expected = "viewer, editor, approver, admin";
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| UnknownWord { found: text.to_owned(), expected })
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants(u8);

impl Grants {
    /// The set of these.
    pub fn of(permissions: &[Permission]) -> Self {
        Self(permissions.iter().fold(0, |bits, permission| bits | permission.bit()))
    }

    /// The set with one more.
    #[must_use]
    pub fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission.bit())
    }

    /// What both sets hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether this may be done. What is public always may.
    pub fn allow(self, permission: Permission) -> bool {
        self.0 & permission.bit() == permission.bit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_weaker_ones_may_and_more() {
        for pair in Role::ALL.windows(2) {
            let (weaker, stronger) = (pair[0].grants(), pair[1].grants());
            assert_eq!(stronger.and(weaker), weaker, "{pair:?}");
            assert_ne!(stronger, weaker, "{pair:?}");
        }
    }

    #[test]
    fn the_weakest_role_for_a_permission() {
        let check = |permission, expect| assert_eq!(Role::weakest_for(permission), expect, "{permission}");
        check(Permission::Public, None);
        check(Permission::View, Some(Role::Viewer));
        check(Permission::Predict, Some(Role::Editor));
        check(Permission::Edit, Some(Role::Editor));
        check(Permission::Approve, Some(Role::Approver));
        check(Permission::Admin, Some(Role::Admin));
    }

    #[test]
    fn a_narrowed_set_allows_what_both_allow() {
        let narrowed = Role::Viewer.grants().and(Grants::of(&[Permission::Predict, Permission::View]));
        assert!(narrowed.allow(Permission::View) && narrowed.allow(Permission::Public));
        assert!(!narrowed.allow(Permission::Predict) && !narrowed.allow(Permission::Edit));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(Role::ALL.into_iter().all(|role| role.as_str().parse::<Role>().is_ok_and(|read| read == role)));
        let scopes = Permission::SCOPES.into_iter();
        assert!(scopes.into_iter().all(|one| one.as_str().parse::<Permission>().is_ok_and(|read| read == one)));
        let error = "owner".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "`owner` is not one of viewer, editor, approver, admin");
    }
}
