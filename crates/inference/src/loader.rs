//! From a package to a model: find the file, read it into inert nodes, compile those.

mod boosted;

use std::sync::Arc;

use kernel::frame::ColumnKind;

use crate::boost::{lightgbm, xgboost};
use crate::head::Head;
use crate::joblib::{self, Shape};
use crate::mlmodel::{self, MlModel};
use crate::model::{Input, Model, ModelInfo, PredictFn};
use crate::node::Document;
use crate::plan::{Planner, Table};
use crate::signature::{DataType, Signature};
use crate::view::View;
use crate::{LoadError, Package, pickle, sklearn, skops};

/// A loaded model may take this many bytes for each of its file, and a floor.
const COST_FACTOR: usize = 32;
const COST_FLOOR: usize = 64 << 20;
/// Endings of model files, in the order of preference.
const ENDINGS: [&str; 10] =
    [".skops", ".joblib", ".pkl", ".pickle", ".lgb", ".ubj", ".xgb", "model.json", "model.txt", "model.bst"];

/// Reads a package.
pub(crate) fn load(package: &Package) -> Result<Model, LoadError> {
    let (mlmodel, file) = find(package)?;
    let bytes = package.get(&file).map_or(&[][..], |bytes| &bytes[..]);
    if lightgbm::sniff(bytes) || xgboost::sniff(bytes) {
        return boosted::load(package, mlmodel, &file, bytes);
    }
    let shape = joblib::sniff(bytes);
    if shape == Shape::Zip {
        let document = skops::read(&file, bytes, joblib::budget(bytes.len()))?;
        return compile(package, mlmodel, &document, "skops", bytes.len());
    }
    let unpacked = joblib::unpack(&file, bytes, shape)?;
    let pickle = pickle::read(&file, &unpacked)?;
    let joblib = pickle.joblib || shape != Shape::Plain || file.ends_with(".joblib");
    compile(package, mlmodel, &pickle.document, if joblib { "joblib" } else { "pickle" }, unpacked.len())
}

/// The `MLmodel` file, if there is one, and the name of the model file.
fn find(package: &Package) -> Result<(MlModel, String), LoadError> {
    let names: Vec<&str> = package.iter().map(|(name, _)| name).collect();
    let missing = || LoadError::NoModel { files: names.join(", ") };
    let description =
        names.iter().filter(|name| **name == "MLmodel" || name.ends_with("/MLmodel")).min_by_key(|name| name.len());
    if let Some(name) = description {
        let directory = name.strip_suffix("MLmodel").unwrap_or_default();
        let mlmodel = mlmodel::read(package.get(name).map_or(&[][..], |bytes| &bytes[..]))?;
        let file = mlmodel.model_file.as_ref().map(|file| format!("{directory}{file}"));
        let file = file.filter(|file| package.get(file).is_some()).ok_or_else(missing)?;
        return Ok((mlmodel, file));
    }
    let by_ending = ENDINGS.iter().find_map(|ending| names.iter().find(|name| name.ends_with(ending)));
    let only = if let [only] = names[..] { Some(only) } else { None };
    let file = by_ending.copied().or(only).ok_or_else(missing)?;
    Ok((MlModel::default(), file.to_owned()))
}

fn compile(
    package: &Package,
    mlmodel: MlModel,
    document: &Document<'_>,
    format: &'static str,
    length: usize,
) -> Result<Model, LoadError> {
    let view = View::root(document);
    let shape = sklearn::shape(&view)?;
    let (version, library) = library(&view, &mlmodel)?;
    let about = About { library, estimator: sklearn::describe(&view), format, predict_fn: None, length };
    finish(package, mlmodel, &view, shape, about, |planner, table| sklearn::compile(&view, planner, table, version))
}

/// The version of scikit-learn, and the library that wrote the model with its version. A wrapper of a boosting library that stands
/// alone does not say which scikit-learn it knew, and does not depend on it.
fn library(view: &View<'_>, mlmodel: &MlModel) -> Result<(sklearn::Version, String), LoadError> {
    let name = view.class().split('.').next().unwrap_or_default();
    if lightgbm::is_wrapper(view.class()) || xgboost::is_wrapper(view.class()) {
        let version = mlmodel.library_version.as_deref().unwrap_or("of unknown version");
        return Ok((sklearn::NEWEST, format!("{name} {version}")));
    }
    let (version, text) = sklearn::version(view)?;
    Ok((version, format!("scikit-learn {text}")))
}

/// What the info of a model tells, and the bytes of its file.
struct About {
    library: String,
    estimator: String,
    format: &'static str,
    predict_fn: Option<PredictFn>,
    length: usize,
}

/// Lays out the inputs, compiles, and puts the model together.
fn finish(
    package: &Package,
    mlmodel: MlModel,
    view: &View<'_>,
    shape: sklearn::Shape,
    about: About,
    compile: impl FnOnce(&mut Planner, Table) -> Result<Head, LoadError>,
) -> Result<Model, LoadError> {
    let sklearn::Shape { names, count } = shape;
    let inputs = inputs(view, mlmodel.signature.as_ref(), names.as_deref(), count)?;
    let columns =
        inputs.iter().map(|input| (input.input.name.clone(), input.kind, input.input.data_type == DataType::Float));
    let budget = about.length.saturating_mul(COST_FACTOR).saturating_add(COST_FLOOR);
    let mut planner = Planner::new(columns.collect(), budget);
    let order = order(view, &inputs, names.as_deref(), count)?;
    let table = planner.table(&order);
    let head = compile(&mut planner, table)?;
    let plan = planner.finish();
    let inputs = inputs.into_iter().zip(&plan.inputs).map(|(declared, column)| settle(declared, column.kind)).collect();
    let info = ModelInfo {
        library: about.library,
        estimator: about.estimator,
        digest: package.digest(),
        format: about.format,
        memory_bytes: size_of::<Model>() + plan.memory() + head.memory(),
        predict_fn: mlmodel.predict_fn.or(about.predict_fn).unwrap_or(PredictFn::Predict),
    };
    Ok(Model::new(mlmodel.signature, inputs, plan, head, info))
}

/// An input, and its kind if the signature says it.
struct Declared {
    input: Input,
    kind: Option<ColumnKind>,
}

/// The inputs: the columns of the signature, else those that the model was fitted with.
fn inputs(
    view: &View<'_>,
    signature: Option<&Signature>,
    names: Option<&[Arc<str>]>,
    count: usize,
) -> Result<Vec<Declared>, LoadError> {
    if let Some(signature) = signature.filter(|signature| !signature.columns.is_empty()) {
        let columns = signature.columns.iter().enumerate().map(|(index, column)| {
            let name = column.name.clone().or_else(|| names.and_then(|names| names.get(index)).cloned());
            let name = name.unwrap_or_else(|| unnamed(index));
            let data_type = column.data_type.ok_or_else(|| {
                LoadError::unsupported(
                    view.class(),
                    "the signature",
                    format!("type {} of column {name}", column.type_name),
                )
            })?;
            let input = Input { name, kind: data_type.kind(), data_type, required: column.required };
            Ok(Declared { input, kind: Some(data_type.kind()) })
        });
        return columns.collect();
    }
    let tensor = signature.and_then(|signature| signature.tensors.first());
    let (data_type, kind) = match tensor.map(|tensor| tensor.dtype.as_str()) {
        Some("float32") => (DataType::Float, Some(ColumnKind::Number)),
        Some("int64") => (DataType::Long, Some(ColumnKind::Number)),
        Some("int32") => (DataType::Integer, Some(ColumnKind::Number)),
        Some("bool") => (DataType::Boolean, Some(ColumnKind::Number)),
        Some("float64") => (DataType::Double, Some(ColumnKind::Number)),
        _ => (DataType::Double, None),
    };
    if count > MAX_INPUTS {
        return Err(LoadError::limit(view.place(), format!("{count} columns")));
    }
    let declared = (0..count).map(|index| {
        let name = names.and_then(|names| names.get(index)).cloned().unwrap_or_else(|| unnamed(index));
        Declared { input: Input { name, kind: ColumnKind::Number, data_type, required: true }, kind }
    });
    Ok(declared.collect())
}

const MAX_INPUTS: usize = 1 << 20;

fn unnamed(index: usize) -> Arc<str> {
    format!("x{index}").into()
}

/// For each column that the model was fitted with, the input that holds it: by name if both have names, else by position.
fn order(
    view: &View<'_>,
    inputs: &[Declared],
    names: Option<&[Arc<str>]>,
    count: usize,
) -> Result<Vec<u32>, LoadError> {
    let Some(names) = names else {
        if inputs.len() != count {
            let what = format!("the signature has {} columns, the model takes {count}", inputs.len());
            return Err(LoadError::damaged("MLmodel", what));
        }
        return Ok((0..count as u32).collect());
    };
    if names.len() != count {
        return Err(view.damaged(format!("{} names for {count} columns", names.len())));
    }
    let positions: std::collections::HashMap<&str, u32> =
        inputs.iter().zip(0..).map(|(declared, index)| (&*declared.input.name, index)).collect();
    let find = |name: &Arc<str>| {
        let missing =
            || LoadError::damaged("MLmodel", format!("the model takes column {name}, the signature has none"));
        positions.get(&**name).copied().ok_or_else(missing)
    };
    names.iter().map(find).collect()
}

/// The input as callers see it, now that each step has said what it reads.
fn settle(declared: Declared, kind: Option<ColumnKind>) -> Input {
    let mut input = declared.input;
    if declared.kind.is_none() {
        input.kind = kind.unwrap_or(ColumnKind::Number);
        if input.kind == ColumnKind::Text {
            input.data_type = DataType::String;
        }
        input.required = kind.is_some();
    }
    input
}
