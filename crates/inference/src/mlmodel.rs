//! `MLmodel`, the YAML file beside a model that mlflow wrote. Read from parser events into a small tree; aliases are refused, because
//! they let a few bytes stand for many.

use saphyr_parser::{Event, Parser};

use crate::signature::Signature;
use crate::{LoadError, PredictFn};

const FILE: &str = "MLmodel";
const MAX_DEPTH: usize = 32;
/// Flavors that name their file `data`.
const BOOSTING: [&str; 2] = ["lightgbm", "xgboost"];
/// mlflow writes a few kilobytes; a wide signature some hundred.
const MAX_LENGTH: usize = 16 << 20;

/// What we need of it.
#[derive(Debug, Default)]
pub(crate) struct MlModel {
    /// The model file, relative to `MLmodel`.
    pub(crate) model_file: Option<String>,
    pub(crate) predict_fn: Option<PredictFn>,
    /// The class that the flavors of LightGBM and XGBoost name: `xgboost.core.Booster`.
    pub(crate) model_class: Option<String>,
    /// The version of LightGBM or XGBoost that logged it.
    pub(crate) library_version: Option<String>,
    pub(crate) signature: Option<Signature>,
}

#[derive(Debug)]
enum Yaml {
    Scalar(String),
    Sequence,
    Mapping(Vec<(String, Yaml)>),
}

impl Yaml {
    fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Mapping(pairs) => pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(text) if text != "null" && text != "~" => Some(text),
            _ => None,
        }
    }
}

/// Reads an `MLmodel` file.
pub(crate) fn read(bytes: &[u8]) -> Result<MlModel, LoadError> {
    if bytes.len() > MAX_LENGTH {
        return Err(LoadError::limit(FILE, format!("longer than {MAX_LENGTH} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| LoadError::damaged(FILE, "it is not UTF-8"))?;
    let root = parse(text)?;
    let flavors = root.get("flavors").ok_or_else(|| LoadError::damaged(FILE, "it has no flavors"))?;
    let pyfunc = flavors.get("python_function");
    let signature = root.get("signature").map(signature).transpose()?;
    if let Some((name, flavor)) = BOOSTING.iter().find_map(|name| Some((name, flavors.get(name)?))) {
        let part = |name: &str| flavor.get(name).and_then(Yaml::text).map(str::to_owned);
        let library_version = if *name == "lightgbm" { part("lgb_version") } else { part("xgb_version") };
        let model_file = part("data").or_else(|| pyfunc?.get("data")?.text().map(str::to_owned));
        let model_class = part("model_class");
        return Ok(MlModel { model_file, predict_fn: None, model_class, library_version, signature });
    }
    let Some(sklearn) = flavors.get("sklearn") else {
        let loader = pyfunc.and_then(|pyfunc| pyfunc.get("loader_module")).and_then(Yaml::text);
        let class = loader.unwrap_or("a flavor other than sklearn, lightgbm and xgboost").to_owned();
        return Err(LoadError::UnknownClass { class, place: format!("flavors of {FILE}") });
    };
    let model_file = sklearn.get("pickled_model").or_else(|| pyfunc.and_then(|pyfunc| pyfunc.get("model_path")));
    let predict_fn = match pyfunc.and_then(|pyfunc| pyfunc.get("predict_fn")).and_then(Yaml::text) {
        None => None,
        Some("predict") => Some(PredictFn::Predict),
        Some("predict_proba") => Some(PredictFn::PredictProba),
        Some(other) => {
            return Err(LoadError::unsupported("mlflow.sklearn", FILE, format!("pyfunc_predict_fn={other}")));
        }
    };
    let model_file = model_file.and_then(Yaml::text).map(str::to_owned);
    Ok(MlModel { model_file, predict_fn, model_class: None, library_version: None, signature })
}

fn signature(yaml: &Yaml) -> Result<Signature, LoadError> {
    let part = |name: &str| yaml.get(name).and_then(Yaml::text);
    Signature::parse(part("inputs"), part("outputs"))
        .map_err(|what| LoadError::damaged(FILE, format!("the signature: {what}")))
}

fn parse(text: &str) -> Result<Yaml, LoadError> {
    let mut parser = Parser::new_from_str(text);
    loop {
        match next(&mut parser)? {
            Event::StreamStart | Event::DocumentStart(..) | Event::Nothing => {}
            event => return value(&mut parser, event, 0),
        }
    }
}

fn next<'t>(parser: &mut Parser<'t, saphyr_parser::StrInput<'t>>) -> Result<Event<'t>, LoadError> {
    match parser.next_event() {
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(LoadError::damaged(FILE, error.to_string())),
        None => Err(LoadError::damaged(FILE, "it ends too early")),
    }
}

fn value<'t>(
    parser: &mut Parser<'t, saphyr_parser::StrInput<'t>>,
    event: Event<'t>,
    depth: usize,
) -> Result<Yaml, LoadError> {
    if depth > MAX_DEPTH {
        return Err(LoadError::limit(FILE, "it is nested too deep"));
    }
    match event {
        Event::Scalar(text, ..) => Ok(Yaml::Scalar(text.into_owned())),
        Event::SequenceStart(..) => loop {
            match next(parser)? {
                Event::SequenceEnd => return Ok(Yaml::Sequence),
                event => value(parser, event, depth + 1)?,
            };
        },
        Event::MappingStart(..) => {
            let mut pairs = Vec::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return Ok(Yaml::Mapping(pairs)),
                    event => value(parser, event, depth + 1)?,
                };
                let event = next(parser)?;
                let value = value(parser, event, depth + 1)?;
                if let Yaml::Scalar(key) = key {
                    pairs.push((key, value));
                }
            }
        }
        Event::Alias(_) => Err(LoadError::damaged(FILE, "aliases are not read")),
        _ => Err(LoadError::damaged(FILE, "it ends too early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_yaml_is_refused() {
        let deep = "[".repeat(10_000);
        let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nflavors: {sklearn: *b}";
        for text in [
            "",
            "a",
            "flavors:",
            "flavors: {",
            &deep,
            laughs,
            "flavors: {python_function: {loader_module: mlflow.pytorch}}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn folded_quotes_are_undone() {
        let text = "flavors:\n  sklearn:\n    pickled_model: model.pkl\nsignature:\n  inputs: '[{\"type\": \"double\",\n    \"name\": \"it''s\", \"required\": true}]'\n  outputs: null\n";
        let model = read(text.as_bytes()).unwrap();
        assert_eq!(model.model_file.as_deref(), Some("model.pkl"));
        assert_eq!(model.signature.unwrap().columns[0].name.as_deref(), Some("it's"));
    }
}
