//! Pipelines: steps as supervised subprocesses, triggers, caching and resuming.
