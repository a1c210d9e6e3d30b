CREATE TABLE pipelines (
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    dir TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, name)
);
CREATE TABLE pipeline_triggers (
    workspace TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    last_at_us BIGINT NOT NULL,
    last_count BIGINT NOT NULL,
    last_run_id TEXT,
    PRIMARY KEY (workspace, pipeline, name)
);
CREATE INDEX pipeline_triggers_by_target ON pipeline_triggers (kind, target);
CREATE TABLE pipeline_runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    trigger_kind TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    logical_key TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    params TEXT NOT NULL,
    env TEXT NOT NULL,
    event TEXT NOT NULL,
    definition TEXT NOT NULL,
    dir TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    cancel_requested BOOLEAN NOT NULL,
    created_us BIGINT NOT NULL,
    started_us BIGINT,
    ended_us BIGINT,
    UNIQUE (workspace, pipeline, logical_key)
);
CREATE INDEX pipeline_runs_by_pipeline ON pipeline_runs (workspace, pipeline, created_us, run_id);
CREATE INDEX pipeline_runs_by_state ON pipeline_runs (state, created_us, run_id);
CREATE TABLE step_runs (
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    position BIGINT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    step_key TEXT,
    result TEXT,
    pgid BIGINT,
    pg_started TEXT,
    exit_code BIGINT,
    error TEXT,
    started_us BIGINT,
    ended_us BIGINT,
    PRIMARY KEY (run_id, step)
);
CREATE INDEX step_runs_by_state ON step_runs (state);
CREATE TABLE step_cache (
    workspace TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    step TEXT NOT NULL,
    step_key TEXT NOT NULL,
    result TEXT NOT NULL,
    outs TEXT NOT NULL,
    run_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (workspace, pipeline, step)
);
