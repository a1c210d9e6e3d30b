//! Experiments, runs, params, metrics, tags, dataset inputs and logged models.
