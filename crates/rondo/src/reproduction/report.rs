//! What is said about a repetition: to a person as a table, to a program as JSON, and to the original run.

use record::compare::{Row, Verdict};
use record::manifest::Manifest;
use record::restore::Built;
use serde::Serialize;

use super::runs::Original;
use crate::term;
use crate::transfer::Server;

/// A report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The run that was to be repeated.
    run_id: String,
    /// The run that repeated it.
    #[serde(rename = "reproduction_run_id")]
    pub(super) again: Option<String>,
    /// How close it came.
    pub(crate) verdict: Verdict,
    /// The first thing that is missing, if it could not be repeated.
    pub(super) reason: Option<String>,
    /// Metric by metric.
    pub(super) metrics: Vec<Row>,
    /// What was restored, and in what else the runs differ.
    pub(super) notes: Vec<String>,
    /// The clean place, if it was to be kept.
    pub(super) kept: Option<String>,
}

impl Report {
    pub(super) fn new(run_id: &str) -> Self {
        Self {
            run_id: run_id.to_owned(),
            again: None,
            verdict: Verdict::Cannot,
            reason: None,
            metrics: Vec::new(),
            notes: Vec::new(),
            kept: None,
        }
    }

    pub(super) fn cannot(&mut self, reason: String) {
        self.verdict = Verdict::Cannot;
        self.reason = Some(reason);
    }

    pub(super) fn restored(&mut self, manifest: &Manifest, built: Option<&Built>) {
        if let Some(code) = &manifest.code {
            let changes = if code.patch.is_some() { " and its changes" } else { "" };
            self.notes.push(format!("code: commit {:.12}{changes}, tree {:.12} verified", code.commit, code.tree));
        }
        let verified = manifest.data.iter().filter(|data| data.kind != "dataset").count();
        if verified > 0 {
            self.notes.push(format!("data: {verified} verified by digest"));
        }
        if let Some(built) = built {
            self.notes.push(format!("environment: {}", built.note));
        }
    }

    /// Leaves the verdict with the original run.
    pub(super) async fn store(&self, server: &Server, original: &Original) -> anyhow::Result<()> {
        let again = self.again.clone().unwrap_or_default();
        let tags = [
            ("rondo.reproduction", self.verdict.as_str().to_owned()),
            ("rondo.reproduction.run", again.clone()),
            ("rondo.reproduction.reason", self.reason.clone().unwrap_or_default()),
        ];
        original.tag(server, &tags).await?;
        let bytes = serde_json::to_vec_pretty(self)?;
        let name = if again.is_empty() { "cannot" } else { &again };
        let path = format!("rondo/reproductions/{name}.json");
        let size = bytes.len() as u64;
        server.upload(&original.artifact_uri, &path, Some(size), bytes.into()).await
    }

    /// 0 for a run that was repeated, 3 for one that diverged, 4 for one that could not be repeated.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Exact | Verdict::WithinTolerance => 0,
            Verdict::Diverged => 3,
            Verdict::Cannot => 4,
        }
    }

    /// Tells a person.
    pub(crate) fn tell(&self) {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let row = |row: &Row| {
            vec![
                row.metric.clone(),
                number(row.original),
                number(row.again),
                format!("{:e}", row.largest),
                format!("{:e} {}", row.tolerance.size, if row.tolerance.relative { "rel" } else { "abs" }),
                row.points.to_string(),
                row.first_diverged_step.map_or_else(|| "-".to_owned(), |step| step.to_string()),
                row.verdict.as_str().to_owned(),
            ]
        };
        if !self.metrics.is_empty() {
            let heading =
                ["metric", "original", "again", "largest diff", "tolerance", "points", "diverged at step", "verdict"];
            term::table(&heading, &self.metrics.iter().map(row).collect::<Vec<_>>());
        }
        for note in &self.notes {
            term::line(term::dim(note));
        }
        if let Some(again) = &self.again {
            term::line(format!("run {} was repeated as run {again}", self.run_id));
        }
        if let Some(kept) = &self.kept {
            term::line(format!("the clean place is {kept}"));
        }
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        term::line(format!("{}{reason}", term::bold(self.verdict.as_str())));
    }
}
