//! How this protocol reads a request and writes an answer.
//!
//! A request's fields come from the query of a GET and from the JSON body of everything else. Names are accepted in snake_case and
//! in camelCase, but not both at once. A whole number may come as `7`, `"7"` or `7.0`; a double also as `"NaN"`, `"Infinity"` or
//! `"-Infinity"`; `null` is as good as absent; unknown fields are passed over.

use std::fmt;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracking::Pair;

use super::Error;

/// What a handler returns.
pub(crate) type Answer = Result<Response, Error>;

/// An answer in JSON.
#[expect(clippy::unnecessary_wraps, reason = "it is the last line of every handler")]
pub(crate) fn answer(body: impl Serialize) -> Answer {
    Ok(Json(body).into_response())
}

/// An answer that may be long: it is written off the runtime's threads.
pub(crate) async fn answer_large(body: impl Serialize + Send + 'static) -> Answer {
    let written = tokio::task::spawn_blocking(move || Json(body).into_response()).await;
    written.map_err(|error| Error::from(db::Error::Panicked { reason: error.to_string() }))
}

/// The answer of what has nothing to say.
pub(crate) fn empty() -> Answer {
    answer(json!({}))
}

/// The fields of a request.
#[derive(Debug)]
pub(crate) struct Body {
    object: Map<String, Value>,
}

impl Body {
    /// For reading.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields { object: &self.object, list: None }
    }

    fn from_query(uri: &Uri) -> Result<Self, Error> {
        let pairs =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| Error::invalid(error.body_text()))?;
        let mut object = Map::new();
        for (name, value) in pairs.0 {
            // A field that is repeated becomes a list; one that is not may still be read as one.
            match object.entry(name).or_insert(Value::Null) {
                Value::Array(values) => values.push(Value::String(value)),
                there @ Value::Null => *there = Value::String(value),
                there => *there = Value::Array(vec![there.take(), Value::String(value)]),
            }
        }
        Ok(Self { object })
    }

    fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { object: Map::new() });
        }
        let parse = |bytes: &[u8]| {
            let unreadable = |error| Error::invalid(format!("The request body is not valid JSON: {error}"));
            serde_json::from_slice::<Value>(bytes).map_err(unreadable)
        };
        let value = match parse(bytes)? {
            // Old clients encode twice.
            Value::String(inner) => parse(inner.as_bytes())?,
            value => value,
        };
        match value {
            Value::Object(object) => Ok(Self { object }),
            Value::Null => Ok(Self { object: Map::new() }),
            other => Err(Error::invalid(format!("The request body must be a JSON object, got {}", type_name(&other)))),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let is_get = request.method() == Method::GET;
        if is_get && request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Self::from_query(request.uri());
        }
        JsonBytes::from_request(request, state).await?.body()
    }
}

/// The bytes of a JSON body, not read yet: for requests that come often and large, which are read without a tree of values in
/// between when they are written as clients write them.
#[derive(Debug)]
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl JsonBytes {
    /// The body, whatever it is.
    pub(crate) fn body(&self) -> Result<Body, Error> {
        Body::from_json(&self.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let is_get = request.method() == Method::GET;
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json =
            content_type.map(|value| value.split(';').next().unwrap_or_default().trim() == "application/json");
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
            if too_large { Error::too_large(rejection.body_text()) } else { Error::invalid(rejection.body_text()) }
        })?;
        match is_json {
            Some(true) => Ok(Self(bytes)),
            None if bytes.is_empty() => Ok(Self(bytes)),
            _ if is_get => Ok(Self(Bytes::new())),
            _ => Err(Error::content_type()),
        }
    }
}

/// An object of a request: the request itself, or an item of a list in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    list: Option<(&'static str, usize)>,
}

impl<'a> Fields<'a> {
    /// A text that may be absent.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, Error> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong_type(name, other)),
        }
    }

    /// A text; absent is empty.
    pub(crate) fn text_or_empty(&self, name: &'static str) -> Result<String, Error> {
        Ok(self.text(name)?.unwrap_or_default())
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required(&self, name: &'static str) -> Result<String, Error> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| Error::missing(&self.path(name)))
    }

    /// The run: `run_id`, or `run_uuid` as clients of old call it.
    pub(crate) fn run_id(&self) -> Result<String, Error> {
        match self.text("run_id")?.filter(|text| !text.is_empty()) {
            Some(run_id) => Ok(run_id),
            None => self.text("run_uuid")?.filter(|text| !text.is_empty()).ok_or_else(|| Error::missing("run_id")),
        }
    }

    /// A whole number that may be absent.
    pub(crate) fn integer(&self, name: &'static str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(name)? else {
            return Ok(None);
        };
        let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64);
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.parse().ok().or_else(|| whole(text.parse().ok()?)),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong_type(name, value))
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(&self, name: &'static str) -> Result<i64, Error> {
        self.integer(name)?.ok_or_else(|| Error::missing(&self.path(name)))
    }

    /// A double that must be there.
    pub(crate) fn required_number(&self, name: &'static str) -> Result<f64, Error> {
        let value = self.get(name)?.ok_or_else(|| Error::missing(&self.path(name)))?;
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => match text.as_str() {
                "" => return Err(Error::missing(&self.path(name))),
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                plain => plain.parse().ok().filter(|number: &f64| number.is_finite()),
            },
            _ => None,
        };
        number.ok_or_else(|| self.wrong_type(name, value))
    }

    /// A truth value that may be absent.
    pub(crate) fn flag(&self, name: &'static str) -> Result<Option<bool>, Error> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(Value::String(text)) => {
                Err(Error::invalid(format!("Invalid boolean value: {text}, must be 'true' or 'false'.")))
            }
            Some(other) => Err(self.wrong_type(name, other)),
        }
    }

    /// One of some names, which may also be given by number.
    pub(crate) fn choice<T: Copy>(
        &self,
        name: &'static str,
        choices: &[(i64, T)],
        shown: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(name)? else {
            return Ok(None);
        };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let named = |choice: T| value.as_str() == Some(shown(choice));
        let chosen = choices.iter().find(|(own, choice)| Some(*own) == number || named(*choice));
        chosen.map(|(_, choice)| Some(*choice)).ok_or_else(|| self.wrong_type(name, value))
    }

    /// A list of texts; absent is empty, and one text in a query is a list of one.
    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<String>, Error> {
        match self.get(name)? {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(value @ Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<Vec<String>>>().ok_or_else(|| self.wrong_type(name, value))
            }
            Some(other) => Err(self.wrong_type(name, other)),
        }
    }

    /// A list of objects; absent is empty.
    pub(crate) fn list(&self, name: &'static str) -> Result<Vec<Fields<'a>>, Error> {
        let items = match self.get(name)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong_type(name, other)),
        };
        let item = |(index, item): (usize, &'a Value)| match item {
            Value::Object(object) => Ok(Fields { object, list: Some((name, index)) }),
            other => Err(Error::wrong_type(&format!("{name}[{index}]"), other, type_name(other))),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// An object that may be absent.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<Fields<'a>>, Error> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Fields { object, list: self.list })),
            Some(other) => Err(self.wrong_type(name, other)),
        }
    }

    /// A value of any shape that may be absent.
    pub(crate) fn value(&self, name: &'static str) -> Result<Option<&'a Value>, Error> {
        self.get(name)
    }

    /// An object of texts, in the order of its keys; absent is empty.
    pub(crate) fn text_map(&self, name: &'static str) -> Result<Vec<Pair>, Error> {
        let Some(value) = self.get(name)? else { return Ok(Vec::new()) };
        let object = value.as_object().ok_or_else(|| self.wrong_type(name, value))?;
        let pair = |(key, value): (&String, &Value)| Some(Pair::new(key.as_str(), value.as_str()?));
        object.iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(|| self.wrong_type(name, value))
    }

    /// The field under either of its names.
    fn get(&self, name: &'static str) -> Result<Option<&'a Value>, Error> {
        let snake = self.object.get(name);
        let camel = || self.object.iter().find(|(key, _)| is_camel_case_of(key, name)).map(|(_, value)| value);
        let camel = if name.contains('_') { camel() } else { None };
        match (snake, camel) {
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("Parameter '{name}' is given twice, in snake_case and in camelCase.")))
            }
            (value, None) | (None, value) => Ok(value.filter(|value| !value.is_null())),
        }
    }

    fn path(&self, name: &str) -> String {
        match self.list {
            Some((list, index)) => format!("{list}[{index}].{name}"),
            None => name.to_owned(),
        }
    }

    fn wrong_type(&self, name: &str, value: &Value) -> Error {
        Error::wrong_type(&self.path(name), value, type_name(value))
    }
}

fn is_camel_case_of(key: &str, snake: &str) -> bool {
    let mut key = key.chars();
    let mut upper = false;
    for c in snake.chars() {
        if c == '_' {
            upper = true;
            continue;
        }
        let expected = if upper { c.to_ascii_uppercase() } else { c };
        if key.next() != Some(expected) {
            return false;
        }
        upper = false;
    }
    key.next().is_none()
}

/// What Python calls the type of a JSON value.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A double on the wire: JSON has no NaN, so it is the text `"NaN"`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Double(pub(crate) f64);

impl Serialize for Double {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() { serializer.serialize_str("NaN") } else { serializer.serialize_f64(self.0) }
    }
}

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Body {
        Body::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn names_may_be_written_in_both_cases_but_not_at_once() {
        let text = |json: &str| body(json).fields().text("run_id").map_err(|error| format!("{error:?}"));
        assert_eq!(text(r#"{"run_id": "a"}"#), Ok(Some("a".to_owned())));
        assert_eq!(text(r#"{"runId": "a"}"#), Ok(Some("a".to_owned())));
        assert_eq!(text(r#"{"run_id": null}"#), Ok(None));
        assert_eq!(text(r#"{"runid": "a"}"#), Ok(None));
        assert!(text(r#"{"runId": "a", "run_id": "a"}"#).is_err());
        assert_eq!(text(r#""{\"run_id\": \"a\"}""#), Ok(Some("a".to_owned())));
    }

    #[test]
    fn whole_numbers_come_in_three_forms() {
        let check = |json: &str, expect: Option<i64>| {
            let found = body(&format!("{{\"x\": {json}}}")).fields().integer("x").ok().flatten();
            assert_eq!(found, expect, "{json}");
        };
        check("7", Some(7));
        check("\"7\"", Some(7));
        check("7.0", Some(7));
        check("\"7.0\"", Some(7));
        check("9007199254740993", Some(9_007_199_254_740_993));
        check("7.5", None);
        check("true", None);
        check("1e30", None);
    }

    #[test]
    fn doubles_may_be_no_numbers() {
        let read = |json: &str| body(&format!("{{\"x\": {json}}}")).fields().required_number("x").ok();
        assert!(read("\"NaN\"").is_some_and(f64::is_nan));
        assert_eq!(read("\"-Infinity\""), Some(f64::NEG_INFINITY));
        assert_eq!(read("\"12\""), Some(12.0));
        assert_eq!(read("1e-3"), Some(0.001));
        assert_eq!(read("\"inf\""), None);
        assert_eq!(read("[1]"), None);
        assert!(Body::from_json(b"{\"x\": 1e400}").is_err());
    }

    #[test]
    fn errors_name_the_path() {
        let body = body(r#"{"metrics": [{"key": "a"}, {"key": 3}]}"#);
        let items = body.fields().list("metrics").unwrap();
        let missing = format!("{:?}", items[0].required_number("value").unwrap_err());
        assert!(missing.contains("Missing value for required parameter 'metrics[0].value'."), "{missing}");
        let wrong = format!("{:?}", items[1].required("key").unwrap_err());
        assert!(wrong.contains("Invalid value 3 for parameter 'metrics[1].key' supplied:  Hint"), "{wrong}");
    }

    #[test]
    fn repeated_parameters_of_a_query_are_lists() {
        let body = Body::from_query(&"/x?run_id=a&run_id=b&run_id=c&flag=False&key=k+1".parse().unwrap()).unwrap();
        let fields = body.fields();
        assert_eq!(fields.texts("run_id").unwrap(), ["a", "b", "c"]);
        assert_eq!(fields.texts("key").unwrap(), ["k 1"]);
        assert_eq!(fields.flag("flag").unwrap(), Some(false));
    }
}
