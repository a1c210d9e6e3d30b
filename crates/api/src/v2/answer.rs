//! The answer: one tensor for each thing a model gives, as JSON or as bytes.

use kernel::frame::Cell;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use serving::{Answer, Live};

use super::tensor::{Datatype, Given};
use crate::coding::Coding;
use crate::predict::answer::{Label, whole};

/// An output that is asked for.
pub(super) struct Wanted {
    pub(super) given: Given,
    pub(super) binary: bool,
    /// Not the tensor itself, but this many of its largest values in each row.
    pub(super) largest: Option<usize>,
}

/// A body; with binary tensors in it, the length of its JSON part before it was packed.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) json_length: Option<usize>,
    pub(super) coding: Option<Coding>,
}

impl Body {
    /// Smaller bodies go out as they are.
    const WORTH_PACKING: usize = 1_024;

    /// The body as the caller would rather have it.
    pub(super) fn packed(mut self, coding: Option<Coding>) -> Self {
        if self.bytes.len() >= Self::WORTH_PACKING
            && let Some(coding) = coding
            && let Ok(bytes) = coding.pack(&self.bytes)
        {
            (self.bytes, self.coding) = (bytes, Some(coding));
        }
        self
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<WireOutput>,
}

/// One tensor of an answer.
#[derive(Serialize)]
pub(super) struct WireOutput {
    pub(super) name: &'static str,
    pub(super) datatype: &'static str,
    pub(super) shape: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

pub(super) fn encode(live: &Live, answer: &Answer, wanted: &[Wanted], id: Option<&str>) -> Body {
    let mut raw = Vec::new();
    let outputs = wanted.iter().map(|wanted| output(live, answer, wanted, &mut raw)).collect();
    let wire = Wire { model_name: live.deployment(), model_version: live.version(), id, outputs };
    let mut bytes = serde_json::to_vec(&wire).unwrap_or_default();
    let json_length = wanted.iter().any(|wanted| wanted.binary).then_some(bytes.len());
    bytes.append(&mut raw);
    Body { bytes, json_length, coding: None }
}

/// What is told of an output; if it is wanted in binary, its elements go behind `raw`.
pub(super) fn output(live: &Live, answer: &Answer, wanted: &Wanted, raw: &mut Vec<u8>) -> WireOutput {
    let given = wanted.given;
    if let Some(most) = wanted.largest {
        return ranked(live, answer, wanted, most, raw);
    }
    let (parameters, data) = if wanted.binary {
        let before = raw.len();
        binary(live, answer, given, raw);
        (Some(serde_json::json!({ "binary_data_size": raw.len() - before })), None)
    } else {
        (None, Some(json(live, answer, given)))
    };
    WireOutput {
        name: given.name(),
        datatype: given.datatype(live).name(),
        shape: given.shape(live, answer.ids.len() as i64),
        parameters,
        data,
    }
}

/// The classification extension: the largest values of each row as `value:index`, with the label where the index is a class.
fn ranked(live: &Live, answer: &Answer, wanted: &Wanted, most: usize, raw: &mut Vec<u8>) -> WireOutput {
    let classes = live.model().classes();
    let all_classes = wanted.given == Given::Probabilities;
    let (values, width) =
        if all_classes { (probabilities(answer), classes.len().max(1)) } else { (answer.output.scores.as_slice(), 1) };
    let most = most.min(width);
    let mut texts = Vec::with_capacity(answer.ids.len() * most);
    for row in values.chunks(width) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        texts.extend(order.iter().take(most).map(|index| match classes.get(*index).filter(|_| all_classes) {
            Some(class) => format!("{}:{index}:{}", row[*index], name(class)),
            None => format!("{}:{index}", row[*index]),
        }));
    }
    let (parameters, data) = if wanted.binary {
        let before = raw.len();
        for each in &texts {
            text(each, raw);
        }
        (Some(serde_json::json!({ "binary_data_size": raw.len() - before })), None)
    } else {
        (None, serde_json::value::to_raw_value(&texts).ok())
    };
    let shape = vec![answer.ids.len() as i64, most as i64];
    WireOutput { name: wanted.given.name(), datatype: Datatype::Bytes.name(), shape, parameters, data }
}

fn json(live: &Live, answer: &Answer, given: Given) -> Box<RawValue> {
    let data = match given {
        Given::Prediction | Given::Score => serde_json::value::to_raw_value(&answer.output.scores),
        Given::Probabilities => serde_json::value::to_raw_value(probabilities(answer)),
        Given::PredictionId => serde_json::value::to_raw_value(&answer.ids),
        Given::Label => {
            let text = given.datatype(live) == Datatype::Bytes;
            let label = |class: &Cell| {
                if text { Value::from(name(class)) } else { serde_json::to_value(Label(class)).unwrap_or_default() }
            };
            serde_json::value::to_raw_value(&labels(live, answer).map(label).collect::<Vec<_>>())
        }
    };
    data.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn binary(live: &Live, answer: &Answer, given: Given, raw: &mut Vec<u8>) {
    match given {
        Given::Prediction | Given::Score => numbers(&answer.output.scores, raw),
        Given::Probabilities => numbers(probabilities(answer), raw),
        Given::PredictionId => answer.ids.iter().for_each(|id| text(id, raw)),
        Given::Label => {
            let datatype = given.datatype(live);
            labels(live, answer).for_each(|class| element(class, datatype, raw));
        }
    }
}

fn element(class: &Cell, datatype: Datatype, raw: &mut Vec<u8>) {
    let number = class.as_f64().unwrap_or(f64::NAN);
    match datatype {
        Datatype::Bool => raw.push(u8::from(number != 0.0)),
        Datatype::Int64 => raw.extend_from_slice(&whole(number).unwrap_or_default().to_le_bytes()),
        Datatype::Fp64 => raw.extend_from_slice(&number.to_le_bytes()),
        _ => text(&name(class), raw),
    }
}

fn labels<'a>(live: &'a Live, answer: &'a Answer) -> impl Iterator<Item = &'a Cell> {
    let chosen = answer.output.class.iter().flatten();
    chosen.map(|class| live.model().classes().get(*class as usize).unwrap_or(&Cell::Missing))
}

fn probabilities(answer: &Answer) -> &[f64] {
    answer.output.probabilities.as_deref().unwrap_or_default()
}

fn numbers(numbers: &[f64], raw: &mut Vec<u8>) {
    raw.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn text(text: &str, raw: &mut Vec<u8>) {
    raw.extend_from_slice(&(text.len() as u32).to_le_bytes());
    raw.extend_from_slice(text.as_bytes());
}

fn name(class: &Cell) -> String {
    match class {
        Cell::Text(text) => text.to_string(),
        other => serde_json::to_string(&Label(other)).unwrap_or_default(),
    }
}
