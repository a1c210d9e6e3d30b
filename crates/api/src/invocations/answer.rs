//! `{"predictions": [..]}`: values, labels, or probabilities if the model was logged with `pyfunc_predict_fn="predict_proba"` or is a
//! booster of LightGBM or XGBoost, which tells the probability of the second class or of each.

use inference::{Output, PredictFn, Task};
use serde_json::value::RawValue;
use serving::Live;

use crate::predict::answer::Label;

pub(super) fn encode(live: &Live, output: &Output, name: &str) -> Vec<u8> {
    let model = live.model();
    let classes = model.classes();
    let predict_fn = model.info().predict_fn;
    let one_number =
        model.task() == Task::Regression || model.task() == Task::Binary && predict_fn == PredictFn::Scores;
    let predictions = if one_number {
        json(&output.scores)
    } else if matches!(predict_fn, PredictFn::PredictProba | PredictFn::Scores) {
        let all = output.probabilities.as_deref().unwrap_or_default();
        json(&all.chunks(classes.len().max(1)).collect::<Vec<_>>())
    } else {
        let chosen = output.class.iter().flatten();
        json(&chosen.map(|class| classes.get(*class as usize).map(Label)).collect::<Vec<_>>())
    };
    let mut out = format!("{{\"{name}\": ").into_bytes();
    out.extend_from_slice(predictions.get().as_bytes());
    out.push(b'}');
    out
}

fn json<T: serde::Serialize>(values: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(values).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
