//! The tables of this layer.

use db::Migration;

/// In the order in which they run.
pub const MIGRATIONS: &[Migration] = &[
    Migration { id: "tracking/0001-experiments-and-runs", sql: EXPERIMENTS_AND_RUNS },
    Migration { id: "tracking/0002-metrics", sql: METRICS },
    Migration { id: "tracking/0003-datasets", sql: DATASETS },
    Migration { id: "tracking/0004-logged-models", sql: LOGGED_MODELS },
    Migration { id: "tracking/0005-metric-blocks", sql: METRIC_BLOCKS },
    Migration { id: "tracking/0006-metric-order", sql: METRIC_ORDER },
    Migration { id: "tracking/0007-traces", sql: TRACES },
    Migration { id: "tracking/0008-waiting-metrics", sql: WAITING_METRICS },
    Migration { id: "tracking/0009-sweeps", sql: SWEEPS },
    Migration { id: "tracking/0010-evaluation-datasets", sql: EVALUATION_DATASETS },
    Migration { id: "tracking/0011-scorers", sql: SCORERS },
    Migration { id: "tracking/0012-deleted-traces", sql: DELETED_TRACES },
];

/// Experiment ids are numbers written as text on the wire. Number 0 is the default experiment that every client expects.
const EXPERIMENTS_AND_RUNS: &str = "
CREATE TABLE experiments (
    experiment_id BIGINT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    artifact_location TEXT NOT NULL,
    lifecycle_stage TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    UNIQUE (workspace, name)
);
INSERT INTO experiments (experiment_id, workspace, name, artifact_location, lifecycle_stage, created_ms, updated_ms)
    VALUES (0, 'default', 'Default', 'mlflow-artifacts:/0', 'active', 0, 0);
CREATE TABLE experiment_tags (
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
);
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT,
    artifact_uri TEXT NOT NULL,
    lifecycle_stage TEXT NOT NULL,
    deleted_ms BIGINT
);
CREATE INDEX runs_by_experiment ON runs (experiment_id, lifecycle_stage, start_ms);
CREATE TABLE run_params (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE TABLE run_tags (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);
";

/// A series is one metric of one run. Its row holds the latest point; the points themselves are narrow rows keyed by the number of
/// the series, so that a million of them stay small. A NaN is stored as 0 with the flag set, an infinity as the greatest double.
const METRICS: &str = "
CREATE TABLE metric_series (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    key TEXT NOT NULL,
    series BIGINT NOT NULL,
    step BIGINT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE TABLE metric_points (
    series BIGINT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BOOLEAN NOT NULL,
    PRIMARY KEY (series, timestamp_ms, step, value, is_nan)
);
";

/// A dataset belongs to an experiment and is known by name and digest; an input is an edge from it to a run.
const DATASETS: &str = "
CREATE TABLE datasets (
    dataset_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema_json TEXT,
    profile_json TEXT,
    UNIQUE (experiment_id, name, digest)
);
CREATE TABLE run_datasets (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    dataset_id TEXT NOT NULL REFERENCES datasets (dataset_id),
    logged_us BIGINT NOT NULL,
    PRIMARY KEY (run_id, dataset_id)
);
CREATE INDEX run_datasets_by_dataset ON run_datasets (dataset_id);
CREATE TABLE run_dataset_tags (
    run_id TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, dataset_id, key)
);
";

/// In `logged_model_metrics` an absent dataset is two empty texts, so that they can be part of the key.
const LOGGED_MODELS: &str = "
CREATE TABLE logged_models (
    model_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    artifact_location TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    status TEXT NOT NULL,
    status_message TEXT,
    lifecycle_stage TEXT NOT NULL,
    model_type TEXT,
    source_run_id TEXT
);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, lifecycle_stage, created_ms);
CREATE TABLE logged_model_params (
    model_id TEXT NOT NULL REFERENCES logged_models (model_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
);
CREATE TABLE logged_model_tags (
    model_id TEXT NOT NULL REFERENCES logged_models (model_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
);
CREATE TABLE logged_model_metrics (
    model_id TEXT NOT NULL REFERENCES logged_models (model_id),
    key TEXT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BOOLEAN NOT NULL,
    run_id TEXT NOT NULL,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (model_id, key, timestamp_ms, step, run_id, dataset_name, dataset_digest, value, is_nan)
);
CREATE TABLE run_models (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    model_id TEXT NOT NULL,
    direction TEXT NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run_id, direction, model_id, step)
);
CREATE INDEX run_models_by_model ON run_models (model_id);
";

/// Many points of one series that were logged together, as bytes; `metric/block.rs` says how they are laid out. The digest is that of
/// the bytes.
const METRIC_BLOCKS: &str = "
CREATE TABLE metric_blocks (
    series BIGINT NOT NULL,
    digest TEXT NOT NULL,
    points BYTEA NOT NULL,
    PRIMARY KEY (series, digest)
);
";

/// Runs of an experiment in the order of the latest value of a metric. `run::put_into` moves the copy along with the run.
const METRIC_ORDER: &str = "
ALTER TABLE metric_series ADD COLUMN experiment_id BIGINT NOT NULL DEFAULT 0;
UPDATE metric_series SET experiment_id =
    (SELECT r.experiment_id FROM runs r WHERE r.run_id = metric_series.run_id);
CREATE INDEX metric_series_by_value ON metric_series (experiment_id, key, is_nan, value, run_id);
";

/// A trace is known by what a client says of it and by its spans; either may come first. Everything goes with the trace.
const TRACES: &str = "
CREATE TABLE traces (
    trace_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    client_request_id TEXT,
    request_ms BIGINT NOT NULL,
    duration_ms BIGINT,
    state TEXT NOT NULL,
    request_preview TEXT,
    response_preview TEXT,
    finalized BOOLEAN NOT NULL
);
CREATE INDEX traces_by_experiment ON traces (experiment_id, request_ms);
CREATE TABLE trace_tags (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_id, key)
);
CREATE TABLE trace_metadata (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_id, key)
);
CREATE TABLE trace_links (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (trace_id, kind, target)
);
CREATE INDEX trace_links_by_target ON trace_links (kind, target);
CREATE TABLE trace_spans (
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    span_id TEXT NOT NULL,
    parent_id TEXT,
    name TEXT NOT NULL,
    kind TEXT,
    status TEXT NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT,
    content TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
);
CREATE TABLE assessments (
    assessment_id TEXT PRIMARY KEY,
    trace_id TEXT NOT NULL REFERENCES traces (trace_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    value_text TEXT,
    value_number DOUBLE PRECISION,
    source_type TEXT NOT NULL,
    source_id TEXT NOT NULL,
    rationale TEXT,
    metadata TEXT,
    span_id TEXT,
    overrides TEXT,
    valid BOOLEAN NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX assessments_by_trace ON assessments (trace_id, kind, name);
";

/// Batches of many different metrics, each as it came; `metric/waiting.rs` says for how long and how the bytes are laid out.
const WAITING_METRICS: &str = "
CREATE TABLE metric_waiting (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    batch TEXT NOT NULL,
    logged_ms BIGINT NOT NULL,
    points BYTEA NOT NULL,
    PRIMARY KEY (run_id, batch)
);
";

/// A sweep counts the trials it has made and those that have ended; a trial knows how many had ended when it was made (`seen`) and its
/// own place among them, so what was known at its birth can be told later. A mark is a trial's value at a rung or a step.
const SWEEPS: &str = "
CREATE TABLE sweeps (
    sweep_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    definition TEXT NOT NULL,
    state TEXT NOT NULL,
    trials BIGINT NOT NULL,
    made BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    ended_us BIGINT,
    UNIQUE (workspace, name)
);
CREATE TABLE sweep_trials (
    sweep_id TEXT NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    place BIGINT,
    worker TEXT NOT NULL,
    lease TEXT NOT NULL,
    lease_until_us BIGINT NOT NULL,
    verdict TEXT,
    judged BIGINT,
    step BIGINT,
    value DOUBLE PRECISION,
    is_nan BOOLEAN NOT NULL,
    error TEXT,
    started_us BIGINT NOT NULL,
    ended_us BIGINT,
    PRIMARY KEY (sweep_id, number)
);
CREATE INDEX sweep_trials_by_state ON sweep_trials (sweep_id, state, number);
CREATE INDEX sweep_trials_by_run ON sweep_trials (run_id);
CREATE TABLE sweep_marks (
    sweep_id TEXT NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    mark BIGINT NOT NULL,
    number BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BOOLEAN NOT NULL,
    PRIMARY KEY (sweep_id, mark, number)
);
CREATE INDEX sweep_marks_by_trial ON sweep_marks (sweep_id, number, mark);
";

/// Questions with the answers that are expected, by which models and prompts are judged. A record is known by its inputs.
const EVALUATION_DATASETS: &str = "
CREATE TABLE evaluation_datasets (
    dataset_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    schema_json TEXT,
    records BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT
);
CREATE INDEX evaluation_datasets_by_time ON evaluation_datasets (workspace, created_ms, dataset_id);
CREATE TABLE evaluation_dataset_tags (
    dataset_id TEXT NOT NULL REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (dataset_id, key)
);
CREATE TABLE evaluation_dataset_experiments (
    dataset_id TEXT NOT NULL REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id) ON DELETE CASCADE,
    added_us BIGINT NOT NULL,
    PRIMARY KEY (dataset_id, experiment_id)
);
CREATE INDEX evaluation_dataset_experiments_by_experiment ON evaluation_dataset_experiments (experiment_id);
CREATE TABLE evaluation_dataset_records (
    record_id TEXT PRIMARY KEY,
    dataset_id TEXT NOT NULL REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE,
    inputs_digest TEXT NOT NULL,
    inputs TEXT NOT NULL,
    outputs TEXT,
    expectations TEXT,
    tags TEXT,
    source TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    UNIQUE (dataset_id, inputs_digest)
);
CREATE INDEX evaluation_dataset_records_by_time ON evaluation_dataset_records (dataset_id, created_ms, record_id);
";

/// What judges traces, in versions; its code is text that this server never runs.
const SCORERS: &str = "
CREATE TABLE scorers (
    scorer_id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    UNIQUE (experiment_id, name)
);
CREATE TABLE scorer_versions (
    scorer_id TEXT NOT NULL REFERENCES scorers (scorer_id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    serialized TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (scorer_id, version)
);
";

/// For a day; `trace/tombstone.rs` says why.
const DELETED_TRACES: &str = "
CREATE TABLE deleted_traces (
    trace_id TEXT PRIMARY KEY,
    deleted_ms BIGINT NOT NULL
);
CREATE INDEX deleted_traces_by_time ON deleted_traces (deleted_ms);
";
