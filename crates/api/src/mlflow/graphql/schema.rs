//! The part of MLflow's GraphQL schema that its pages ask for, and the walk of a selection over it.

use std::collections::HashMap;

use graphql_parser::query::{Definition, Document, Field, FragmentDefinition, Selection, SelectionSet};
use serde_json::{Map, Value};

/// What a field holds. An unset one is sent as its type's zero, as a proto would.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A whole number, sent as text.
    Long,
    Float,
    One(&'static Type),
    Many(&'static Type),
}

/// An object: its name, and its fields as GraphQL calls them. Ours are called the same in snake_case.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind)],
}

use Kind::{Float, Long, Many, One, Text};

const API_ERROR: Type = Type { name: "ApiError", fields: &[("code", Text), ("message", Text), ("helpUrl", Text)] };
const EXPERIMENT_TAG: Type = Type { name: "MlflowExperimentTag", fields: &[("key", Text), ("value", Text)] };
const EXPERIMENT: Type = Type {
    name: "MlflowExperiment",
    fields: &[
        ("experimentId", Text),
        ("name", Text),
        ("artifactLocation", Text),
        ("lifecycleStage", Text),
        ("lastUpdateTime", Long),
        ("creationTime", Long),
        ("tags", Many(&EXPERIMENT_TAG)),
        ("effectiveTraceArchivalRetention", Text),
        ("workspace", Text),
    ],
};
/// The answer to `mlflowGetExperiment`.
pub(super) const GET_EXPERIMENT: Type = Type {
    name: "MlflowGetExperimentResponse",
    fields: &[("experiment", One(&EXPERIMENT)), ("apiError", One(&API_ERROR))],
};
const RUN_INFO: Type = Type {
    name: "MlflowRunInfo",
    fields: &[
        ("runId", Text),
        ("runUuid", Text),
        ("runName", Text),
        ("experimentId", Text),
        ("userId", Text),
        ("status", Text),
        ("startTime", Long),
        ("endTime", Long),
        ("artifactUri", Text),
        ("lifecycleStage", Text),
    ],
};
const METRIC: Type = Type {
    name: "MlflowMetricExtension",
    fields: &[
        ("key", Text),
        ("value", Float),
        ("timestamp", Long),
        ("step", Long),
        ("datasetName", Text),
        ("datasetDigest", Text),
        ("modelId", Text),
        ("runId", Text),
    ],
};
const PARAM: Type = Type { name: "MlflowParam", fields: &[("key", Text), ("value", Text)] };
const RUN_TAG: Type = Type { name: "MlflowRunTag", fields: &[("key", Text), ("value", Text)] };
const INPUT_TAG: Type = Type { name: "MlflowInputTag", fields: &[("key", Text), ("value", Text)] };
const RUN_DATA: Type = Type {
    name: "MlflowRunData",
    fields: &[("metrics", Many(&METRIC)), ("params", Many(&PARAM)), ("tags", Many(&RUN_TAG))],
};
const DATASET: Type = Type {
    name: "MlflowDataset",
    fields: &[
        ("name", Text),
        ("digest", Text),
        ("sourceType", Text),
        ("source", Text),
        ("schema", Text),
        ("profile", Text),
    ],
};
const DATASET_INPUT: Type =
    Type { name: "MlflowDatasetInput", fields: &[("tags", Many(&INPUT_TAG)), ("dataset", One(&DATASET))] };
const MODEL_INPUT: Type = Type { name: "MlflowModelInput", fields: &[("modelId", Text)] };
const MODEL_OUTPUT: Type = Type { name: "MlflowModelOutput", fields: &[("modelId", Text), ("step", Long)] };
const RUN_INPUTS: Type = Type {
    name: "MlflowRunInputs",
    fields: &[("datasetInputs", Many(&DATASET_INPUT)), ("modelInputs", Many(&MODEL_INPUT))],
};
const RUN_OUTPUTS: Type = Type { name: "MlflowRunOutputs", fields: &[("modelOutputs", Many(&MODEL_OUTPUT))] };
const MODEL_VERSION: Type = Type {
    name: "MlflowModelVersion",
    fields: &[
        ("name", Text),
        ("version", Text),
        ("creationTimestamp", Long),
        ("lastUpdatedTimestamp", Long),
        ("currentStage", Text),
        ("description", Text),
        ("source", Text),
        ("runId", Text),
        ("status", Text),
        ("statusMessage", Text),
        ("runLink", Text),
        ("modelId", Text),
    ],
};
const RUN: Type = Type {
    name: "MlflowRunExtension",
    fields: &[
        ("info", One(&RUN_INFO)),
        ("data", One(&RUN_DATA)),
        ("inputs", One(&RUN_INPUTS)),
        ("outputs", One(&RUN_OUTPUTS)),
        ("experiment", One(&EXPERIMENT)),
        ("modelVersions", Many(&MODEL_VERSION)),
    ],
};
/// The answer to `mlflowGetRun`.
pub(super) const GET_RUN: Type =
    Type { name: "MlflowGetRunResponse", fields: &[("run", One(&RUN)), ("apiError", One(&API_ERROR))] };

/// How deep a selection may go, and how many fields it may have.
const MAX_DEPTH: usize = 10;
const MAX_FIELDS: usize = 1_000;

/// A walk over a query.
pub(super) struct Walk<'a> {
    fragments: HashMap<&'a str, &'a FragmentDefinition<'a, &'a str>>,
    fields: usize,
}

impl<'a> Walk<'a> {
    /// Over one document.
    pub(super) fn new(document: &'a Document<'a, &'a str>) -> Self {
        let fragment = |definition: &'a Definition<'a, &'a str>| match definition {
            Definition::Fragment(fragment) => Some((fragment.name, fragment)),
            Definition::Operation(_) => None,
        };
        Self { fragments: document.definitions.iter().filter_map(fragment).collect(), fields: 0 }
    }

    /// The fields of a selection, with those of its fragments.
    pub(super) fn fields(
        &mut self,
        set: &'a SelectionSet<'a, &'a str>,
        depth: usize,
    ) -> Result<Vec<&'a Field<'a, &'a str>>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("Query exceeds maximum depth of {MAX_DEPTH}"));
        }
        let mut found = Vec::new();
        for item in &set.items {
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(format!("Query exceeds maximum total selections of {MAX_FIELDS}"));
            }
            match item {
                Selection::Field(field) => found.push(field),
                Selection::InlineFragment(inline) => found.extend(self.fields(&inline.selection_set, depth + 1)?),
                Selection::FragmentSpread(spread) => {
                    let missing = || format!("Unknown fragment '{}'.", spread.fragment_name);
                    let fragment = *self.fragments.get(spread.fragment_name).ok_or_else(missing)?;
                    found.extend(self.fields(&fragment.selection_set, depth + 1)?);
                }
            }
        }
        Ok(found)
    }

    /// What was selected of an object.
    pub(super) fn select(
        &mut self,
        set: &'a SelectionSet<'a, &'a str>,
        of: &'static Type,
        source: &Value,
        depth: usize,
    ) -> Result<Value, String> {
        let mut shown = Map::new();
        for field in self.fields(set, depth)? {
            let name = field.alias.unwrap_or(field.name).to_owned();
            if field.name == "__typename" {
                shown.insert(name, of.name.into());
                continue;
            }
            let kind = of.fields.iter().find(|(known, _)| *known == field.name).map(|(_, kind)| *kind);
            let kind = kind.ok_or_else(|| format!("Cannot query field '{}' on type '{}'.", field.name, of.name))?;
            let value = source.get(snake_case(field.name)).unwrap_or(&Value::Null);
            let value = match kind {
                Text => value.as_str().unwrap_or_default().into(),
                Long => value.as_i64().unwrap_or_default().to_string().into(),
                Float => value.as_f64().into(),
                One(_) if value.is_null() => Value::Null,
                One(inner) => self.select(&field.selection_set, inner, value, depth + 1)?,
                Many(inner) => {
                    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    let item = |item| self.select(&field.selection_set, inner, item, depth + 1);
                    items.iter().map(item).collect::<Result<_, _>>()?
                }
            };
            shown.insert(name, value);
        }
        Ok(Value::Object(shown))
    }
}

fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
        text
    })
}
