//! The tables of this layer.

use db::Migration;

/// Migrations in order; they come after those of `db::events`.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "monitoring/0001-monitors",
    sql: "
CREATE TABLE monitors (
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    deployment TEXT NOT NULL,
    definition TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, name)
);
CREATE TABLE monitor_references (
    workspace TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    n_rows BIGINT NOT NULL,
    profile TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, model, version)
);
CREATE TABLE monitor_windows (
    workspace TEXT NOT NULL,
    monitor TEXT NOT NULL,
    from_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    until_us BIGINT NOT NULL,
    as_of_us BIGINT NOT NULL,
    deployment TEXT NOT NULL,
    version TEXT,
    n_rows BIGINT NOT NULL,
    outcomes BIGINT NOT NULL,
    report TEXT NOT NULL,
    recorded_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, monitor, kind, from_us)
);
CREATE TABLE monitor_alerts (
    workspace TEXT NOT NULL,
    monitor TEXT NOT NULL,
    rule TEXT NOT NULL,
    state TEXT NOT NULL,
    version TEXT,
    since_us BIGINT NOT NULL,
    history TEXT NOT NULL,
    evidence TEXT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, monitor, rule)
);
",
}];
