//! Files of LightGBM and XGBoost themselves. They have no nodes to view; one that only bears the class's name stands for them in
//! messages.

use std::collections::HashSet;

use super::{About, finish};
use crate::boost::{lightgbm, xgboost};
use crate::mlmodel::MlModel;
use crate::model::{Model, PredictFn};
use crate::node::{Document, Node};
use crate::sklearn::Shape;
use crate::view::View;
use crate::{LoadError, Package};

/// Reads such a file.
pub(super) fn load(package: &Package, mlmodel: MlModel, file: &str, bytes: &[u8]) -> Result<Model, LoadError> {
    if lightgbm::sniff(bytes) { text(package, mlmodel, file, bytes) } else { trees(package, mlmodel, file, bytes) }
}

/// A document of one node: the class.
fn document(class: &str) -> Result<Document<'static>, LoadError> {
    let mut document = Document::default();
    document.root = document.add(Node::Class(class.into())).map_err(|_| LoadError::limit(class, "too many values"))?;
    Ok(document)
}

fn text(package: &Package, mlmodel: MlModel, file: &str, bytes: &[u8]) -> Result<Model, LoadError> {
    let document = document(lightgbm::BOOSTER)?;
    let view = View::named(&document, file);
    let text = std::str::from_utf8(bytes).map_err(|_| view.damaged("it is not UTF-8"))?;
    let text = lightgbm::parse(&view, text)?;
    let shape = by_name(lightgbm::shape(&text), &mlmodel);
    let version = mlmodel.library_version.as_deref().unwrap_or("of unknown version");
    let about = About {
        library: format!("lightgbm {version}"),
        estimator: lightgbm::BOOSTER.to_owned(),
        format: "lightgbm",
        predict_fn: Some(PredictFn::Scores),
        length: bytes.len(),
    };
    finish(package, mlmodel, &view, shape, about, |planner, table| lightgbm::booster(&view, planner, &table, text))
}

/// LightGBM takes columns by position and minds no names, except that it changes some characters in them: the names count only where
/// the signature has them all.
fn by_name(shape: Shape, mlmodel: &MlModel) -> Shape {
    let columns = mlmodel.signature.as_ref().map_or(&[][..], |signature| &signature.columns);
    let known: HashSet<&str> = columns.iter().filter_map(|column| column.name.as_deref()).collect();
    let unknown = |name: &std::sync::Arc<str>| !known.contains(&**name);
    let names = shape.names.filter(|names| known.is_empty() || !names.iter().any(unknown));
    Shape { names, count: shape.count }
}

fn trees(package: &Package, mlmodel: MlModel, file: &str, bytes: &[u8]) -> Result<Model, LoadError> {
    let class = mlmodel.model_class.clone();
    let document = document(class.as_deref().unwrap_or(xgboost::BOOSTER))?;
    let view = View::named(&document, file);
    if view.class() != xgboost::BOOSTER && !xgboost::is_wrapper(view.class()) {
        return Err(view.unknown_class());
    }
    let model = xgboost::parse(&view, bytes)?;
    let wrapper = match class.as_deref() {
        None => model.wrapper,
        Some(xgboost::BOOSTER) => None,
        Some(class) => Some(xgboost::is_classifier(class)),
    };
    let scores = wrapper.is_none() && !xgboost::answers_class(&model);
    let about = About {
        library: format!("xgboost {}", model.version),
        estimator: view.class().to_owned(),
        format: if bytes.get(1).is_some_and(u8::is_ascii_alphabetic) { "xgboost-ubj" } else { "xgboost-json" },
        predict_fn: Some(if scores { PredictFn::Scores } else { PredictFn::Predict }),
        length: bytes.len(),
    };
    let shape = xgboost::shape(&model);
    finish(package, mlmodel, &view, shape, about, |planner, table| {
        xgboost::head(&view, planner, &table, model, wrapper)
    })
}
