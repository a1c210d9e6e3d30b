//! The tables of this layer.

use db::Migration;

/// In the order in which they run.
pub const MIGRATIONS: &[Migration] = &[Migration { id: "access/0001-users-and-tokens", sql: USERS_AND_TOKENS }];

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
