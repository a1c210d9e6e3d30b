//! The tables of the registry.
//!
//! A model is identified by `uid`, so a rename is one row and a model made anew under an old name shares nothing with it. The
//! policy goes by name instead: it outlives its model, because a deployment may still follow that name.

use db::Migration;

/// The migrations of this layer.
pub const MIGRATIONS: &[Migration] =
    &[Migration { id: "registry/0001-models", sql: MODELS }, Migration { id: "registry/0002-webhooks", sql: WEBHOOKS }];

const MODELS: &str = "
CREATE TABLE registered_models (
    uid TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (workspace, name)
);
CREATE TABLE registered_model_tags (
    workspace TEXT NOT NULL,
    model_uid TEXT NOT NULL REFERENCES registered_models (uid) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_uid, key)
);
CREATE TABLE registered_model_aliases (
    workspace TEXT NOT NULL,
    model_uid TEXT NOT NULL REFERENCES registered_models (uid) ON DELETE CASCADE,
    alias TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (model_uid, alias)
);
CREATE TABLE model_versions (
    workspace TEXT NOT NULL,
    model_uid TEXT NOT NULL REFERENCES registered_models (uid) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    stage TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    description TEXT,
    source TEXT NOT NULL,
    storage_location TEXT NOT NULL,
    run_id TEXT,
    run_link TEXT,
    model_id TEXT,
    status TEXT NOT NULL,
    status_message TEXT,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (model_uid, version)
);
CREATE INDEX model_versions_run ON model_versions (run_id);
CREATE INDEX model_versions_location ON model_versions (storage_location);
CREATE INDEX model_versions_updated ON model_versions (workspace, updated_ms);
CREATE TABLE model_version_tags (
    workspace TEXT NOT NULL,
    model_uid TEXT NOT NULL REFERENCES registered_models (uid) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_uid, version, key)
);
CREATE TABLE pointer_moves (
    workspace TEXT NOT NULL,
    model_uid TEXT NOT NULL REFERENCES registered_models (uid) ON DELETE CASCADE,
    pointer TEXT NOT NULL,
    revision BIGINT NOT NULL,
    version BIGINT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (model_uid, pointer, revision)
);
CREATE TABLE model_policies (
    workspace TEXT NOT NULL,
    model TEXT NOT NULL,
    policy TEXT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, model)
);
CREATE TABLE verdicts (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    model_uid TEXT NOT NULL,
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    pointer TEXT NOT NULL,
    champion BIGINT,
    revision BIGINT NOT NULL,
    state TEXT NOT NULL,
    metric TEXT,
    difference DOUBLE PRECISION,
    low DOUBLE PRECISION,
    high DOUBLE PRECISION,
    n_rows BIGINT NOT NULL,
    slices TEXT NOT NULL,
    digests TEXT NOT NULL,
    evidence TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    decided_us BIGINT,
    decided_by TEXT,
    note TEXT
);
CREATE INDEX verdicts_subject ON verdicts (model_uid, version, pointer, created_us);
";

const WEBHOOKS: &str = "
CREATE TABLE registry_webhooks (
    webhook_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    url TEXT NOT NULL,
    secret TEXT,
    active BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE registry_webhook_topics (
    webhook_id TEXT NOT NULL REFERENCES registry_webhooks (webhook_id) ON DELETE CASCADE,
    topic TEXT NOT NULL,
    PRIMARY KEY (topic, webhook_id)
);
CREATE INDEX registry_webhook_topics_by_webhook ON registry_webhook_topics (webhook_id);
";
