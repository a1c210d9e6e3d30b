//! The tables of this layer.

use db::Migration;

/// In the order in which they run.
pub const MIGRATIONS: &[Migration] = &[
    Migration { id: "access/0001-users-and-tokens", sql: USERS_AND_TOKENS },
    Migration { id: "access/0002-workspaces", sql: WORKSPACES },
    Migration { id: "access/0003-sessions", sql: SESSIONS },
];

/// Of secrets only the digests are kept. A user that came from a provider is known by the provider's own id of the person.
const SESSIONS: &str = "
CREATE TABLE sessions (
    digest TEXT NOT NULL PRIMARY KEY,
    user_name TEXT,
    token_digest TEXT,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE TABLE sign_ins (
    state TEXT NOT NULL PRIMARY KEY,
    browser TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    return_to TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE TABLE oidc_users (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_name TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX oidc_users_by_name ON oidc_users (user_name);
";

/// The name of a workspace that was deleted stays taken: what it left in the trail must not become another one's. A member is a user
/// of one workspace who is also something to another.
const WORKSPACES: &str = "
CREATE TABLE workspaces (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    deleted_us BIGINT
);
INSERT INTO workspaces (name, description, created_us, created_by)
    VALUES ('default', 'What names no other workspace', 0, 'system:first-start');
CREATE TABLE members (
    workspace TEXT NOT NULL REFERENCES workspaces (name),
    user_name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workspace, user_name)
);
CREATE INDEX members_by_user ON members (user_name);
";

/// Of a token only the digest is kept. A name can be used again when its token was revoked.
const USERS_AND_TOKENS: &str = "
CREATE TABLE users (
    workspace TEXT NOT NULL,
    name TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    password_hash TEXT,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    user_name TEXT,
    role TEXT NOT NULL,
    scopes TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_us BIGINT,
    revoked_us BIGINT,
    last_used_us BIGINT
);
CREATE UNIQUE INDEX tokens_live_name ON tokens (workspace, name) WHERE revoked_us IS NULL;
";
