//! `{"predictions": [..]}`: values, labels, or probabilities if the model was logged with `pyfunc_predict_fn="predict_proba"`.

use inference::{Output, PredictFn, Task};
use serde_json::value::RawValue;
use serving::Live;

use crate::predict::answer::Label;

pub(super) fn encode(live: &Live, output: &Output, name: &str) -> Vec<u8> {
    let model = live.model();
    let classes = model.classes();
    let predictions = if model.task() == Task::Regression {
        json(&output.scores)
    } else if model.info().predict_fn == PredictFn::PredictProba {
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
