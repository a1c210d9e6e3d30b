//! Assessments of traces.

use access::Permission::{Edit, View};
use axum::extract::{Path, State};
use conductor::House;
use kernel::clock;
use serde_json::{Value, json};
use tracking::assessment::{self, Assessment, Change, Kind, NewAssessment};

use super::trace::read_time;
use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, empty, read, write};
use crate::principal::Caller;
use crate::route::{get, post};

pub(crate) fn routes() -> Routes {
    Routes::new().route("/traces/{trace_id}/assessments", post(Edit, create)).route(
        "/traces/{trace_id}/assessments/{assessment_id}",
        get(View, get_by_id).patch(Edit, update).delete(Edit, remove),
    )
}

/// An assessment as it is sent.
pub(super) fn shape(assessment: Assessment) -> Value {
    let time = |ms: i64| clock::rfc3339(ms.saturating_mul(1_000));
    let said = assessment.said;
    let mut shown = json!({
        "assessment_id": assessment.assessment_id,
        "assessment_name": said.name,
        "trace_id": assessment.trace_id,
        "source": { "source_type": said.source_type, "source_id": said.source_id },
        "create_time": time(assessment.created_ms),
        "last_update_time": time(assessment.updated_ms),
        "valid": assessment.valid,
    });
    if let Some(shown) = shown.as_object_mut() {
        shown.insert(said.kind.as_str().to_owned(), said.body);
        let others = [
            ("span_id", said.span_id.map(Value::from)),
            ("rationale", said.rationale.map(Value::from)),
            ("overrides", said.overrides.map(Value::from)),
            ("metadata", said.metadata),
        ];
        shown.extend(others.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    shown
}

/// The judgement itself: exactly one of the kinds.
fn read_body(fields: &Fields<'_>) -> Result<Option<(Kind, Value)>, Error> {
    let mut found = None;
    for kind in Kind::ALL {
        let Some(value) = fields.value(kind.as_str())? else { continue };
        if !value.is_object() {
            return Err(Error::invalid(format!(
                "Invalid value {value} for parameter 'assessment.{}' supplied",
                kind.as_str()
            )));
        }
        if found.replace((kind, value.clone())).is_some() {
            return Err(Error::invalid("An assessment is one of feedback, expectation and issue, not several."));
        }
    }
    Ok(found)
}

const SOURCES: [(i64, &str); 5] =
    [(0, "SOURCE_TYPE_UNSPECIFIED"), (1, "HUMAN"), (2, "LLM_JUDGE"), (3, "CODE"), (2, "AI_JUDGE")];

/// An assessment as it comes.
pub(super) fn read_new(fields: &Fields<'_>) -> Result<NewAssessment, Error> {
    let filled = |name| Ok::<_, Error>(fields.text(name)?.filter(|text| !text.is_empty()));
    let missing = || Error::invalid("An assessment must have one of feedback, expectation and issue.");
    let (kind, body) = read_body(fields)?.ok_or_else(missing)?;
    let (source_type, source_id) = match fields.object("source")? {
        Some(source) => {
            let of = source.choice("source_type", &SOURCES, |name| name)?.unwrap_or(SOURCES[0].1);
            (of, source.text_or_empty("source_id")?)
        }
        None => (SOURCES[0].1, String::new()),
    };
    Ok(NewAssessment {
        name: fields.required("assessment_name")?,
        kind,
        body,
        source_type: if source_type == "AI_JUDGE" { "LLM_JUDGE" } else { source_type }.to_owned(),
        source_id,
        rationale: fields.text("rationale")?,
        metadata: read_metadata(fields)?,
        span_id: filled("span_id")?,
        overrides: filled("overrides")?,
        created_ms: read_time(fields, "create_time")?,
    })
}

fn read_metadata(fields: &Fields<'_>) -> Result<Option<Value>, Error> {
    let pairs = fields.text_map("metadata")?;
    let pairs = pairs.into_iter().map(|pair| (pair.key, Value::from(pair.value))).collect::<serde_json::Map<_, _>>();
    Ok((!pairs.is_empty()).then_some(Value::Object(pairs)))
}

fn shown(assessment: Assessment) -> Answer {
    answer(json!({ "assessment": shape(assessment) }))
}

async fn create(State(house): State<House>, Caller(who): Caller, Path(trace_id): Path<String>, body: Body) -> Answer {
    let new = read_new(&body.fields().object("assessment")?.ok_or_else(|| Error::missing("assessment"))?)?;
    shown(write(&house, who, move |tx, ctx| assessment::create(tx, ctx, &trace_id, new)).await?)
}

async fn get_by_id(
    State(house): State<House>,
    Caller(who): Caller,
    Path((trace_id, id)): Path<(String, String)>,
) -> Answer {
    shown(read(&house, who, move |tx, ctx| assessment::get(tx, ctx, &trace_id, &id)).await?)
}

/// Only what the mask names is changed.
async fn update(
    State(house): State<House>,
    Caller(who): Caller,
    Path((trace_id, id)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let fields = body.fields();
    let given = fields.object("assessment")?.ok_or_else(|| Error::missing("assessment"))?;
    let mask = fields.required("update_mask")?;
    let mut change = Change::default();
    for path in mask.split(',').map(str::trim) {
        match path {
            "assessmentName" | "assessment_name" => change.name = given.text("assessment_name")?,
            "feedback" | "expectation" | "issue" => change.body = read_body(&given)?,
            "rationale" => change.rationale = Some(given.text_or_empty("rationale")?),
            "metadata" => change.metadata = read_metadata(&given)?,
            other => {
                return Err(Error::invalid(format!("Invalid value \"{other}\" for parameter 'update_mask' supplied")));
            }
        }
    }
    shown(write(&house, who, move |tx, ctx| assessment::update(tx, ctx, &trace_id, &id, change)).await?)
}

async fn remove(
    State(house): State<House>,
    Caller(who): Caller,
    Path((trace_id, id)): Path<(String, String)>,
) -> Answer {
    write(&house, who, move |tx, ctx| assessment::delete(tx, ctx, &trace_id, &id)).await?;
    empty()
}
