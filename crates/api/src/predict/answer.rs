//! The answer, written straight into its bytes.

use inference::Task;
use kernel::frame::Cell;
use serde::Serialize;
use serving::{Answer, Live};

/// `{"deployment", "model", "version", "predictions": [{"id", "prediction"} | {"id", "label", "score", "probabilities"?}]}`
pub(super) fn encode(live: &Live, answer: &Answer, probabilities: bool) -> Vec<u8> {
    const BYTES_PER_ROW: usize = 96;
    let mut out = Vec::with_capacity(128 + BYTES_PER_ROW * answer.ids.len());
    member(&mut out, b"{\"deployment\":", live.deployment());
    member(&mut out, b",\"model\":", live.model_name());
    member(&mut out, b",\"version\":", live.version());
    out.extend_from_slice(b",\"predictions\":[");
    for (row, id) in answer.ids.iter().enumerate() {
        if row > 0 {
            out.push(b',');
        }
        prediction(&mut out, live, answer, row, id, probabilities);
    }
    out.extend_from_slice(b"]}");
    out
}

fn prediction(out: &mut Vec<u8>, live: &Live, answer: &Answer, row: usize, id: &str, probabilities: bool) {
    member(out, b"{\"id\":", id);
    let score = answer.output.scores.get(row);
    if live.model().task() == Task::Regression {
        member(out, b",\"prediction\":", &score);
    } else {
        let class = answer.output.class.as_ref().and_then(|class| class.get(row));
        let label = class.and_then(|class| live.model().classes().get(*class as usize));
        member(out, b",\"label\":", &label.map(Label));
        member(out, b",\"score\":", &score);
        if probabilities {
            distribution(out, live, answer, row);
        }
    }
    out.push(b'}');
}

fn distribution(out: &mut Vec<u8>, live: &Live, answer: &Answer, row: usize) {
    let classes = live.model().classes();
    let all = answer.output.probabilities.as_deref().unwrap_or_default();
    let of_row = all.chunks(classes.len().max(1)).nth(row).unwrap_or_default();
    for (at, (class, probability)) in classes.iter().zip(of_row).enumerate() {
        member(out, if at == 0 { b",\"probabilities\":{" } else { b"," }, &text(class));
        member(out, b":", probability);
    }
    out.push(b'}');
}

/// What comes before a value, then the value. Writing to memory cannot fail, and NaN becomes null.
fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, before: &[u8], value: &T) {
    out.extend_from_slice(before);
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// A class as JSON: whole numbers without a fraction, as scikit-learn's integer classes are written.
pub(crate) struct Label<'a>(pub(crate) &'a Cell);

impl Serialize for Label<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Missing => serializer.serialize_unit(),
            Cell::Bool(truth) => serializer.serialize_bool(*truth),
            Cell::Number(number) => match whole(*number) {
                Some(number) => serializer.serialize_i64(number),
                None => serializer.serialize_f64(*number),
            },
            Cell::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The integer that a number is, if it is one that `f64` holds exactly.
pub(crate) fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// A class as the key of an object.
fn text(class: &Cell) -> String {
    match class {
        Cell::Text(text) => text.to_string(),
        other => serde_json::to_string(&Label(other)).unwrap_or_default(),
    }
}
