//! Records of evaluation datasets. The inputs tell them apart: the same inputs again change the record that is there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use kernel::page::Page;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{USER_TAG, digest, find, get};
use crate::{Error, check};

/// Where records come from.
const SOURCE_TYPES: [&str; 5] = ["UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE"];

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// `dr-` and 32 hexadecimal digits.
    pub record_id: String,
    /// The dataset.
    pub dataset_id: String,
    /// An object.
    pub inputs: Json,
    /// Anything but null.
    pub outputs: Option<Json>,
    /// An object.
    pub expectations: Option<Json>,
    /// An object.
    pub tags: Option<Json>,
    /// `source_type` and `source_data`.
    pub source: Option<Json>,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it changed last.
    pub updated_ms: i64,
    /// Who made it, if its tags said so.
    pub created_by: Option<String>,
    /// Who changed it last, if the tags said so.
    pub updated_by: Option<String>,
}

/// How many records were new, and how many changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    /// New ones.
    pub inserted: i64,
    /// Changed ones.
    pub updated: i64,
}

/// Writes records, each an object with `inputs` and perhaps `outputs`, `expectations`, `tags` and `source`. Of a record that is
/// there outputs are replaced, expectations and tags merged.
pub fn upsert(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str, records: &[Json]) -> Result<Upserted, Error> {
    let dataset = get(tx, ctx, dataset_id)?;
    let now_ms = ctx.now_us / 1_000;
    let mut schema = match &dataset.schema {
        Some(text) => serde_json::from_str(text).map_err(|error| db::Error::corrupt("schema_json", error))?,
        None => json!({ "inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0" }),
    };
    let (mut counts, mut user) = (Upserted::default(), None);
    for (index, record) in records.iter().enumerate() {
        let sent = Sent::read(record, index)?;
        sent.describe(&mut schema);
        user = sent.user().map(str::to_owned).or(user);
        if sent.merge(tx, dataset_id, now_ms)? {
            counts.updated += 1;
        } else {
            sent.insert(tx, dataset_id, now_ms)?;
            counts.inserted += 1;
        }
    }
    let schema = (!records.is_empty() || dataset.schema.is_some()).then(|| python(&schema));
    tx.execute(
        "UPDATE evaluation_datasets SET updated_ms = $2, updated_by = $3, digest = $4, schema_json = $5,
            records = records + $6 WHERE dataset_id = $1",
        &[
            dataset_id.into(),
            now_ms.into(),
            user.into(),
            digest(&dataset.name, now_ms).into(),
            schema.into(),
            counts.inserted.into(),
        ],
    )?;
    Ok(counts)
}

/// Records in the order in which they were made, from a token on; none of a dataset that is not there.
pub fn page(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    dataset_id: &str,
    max_results: i64,
    token: Option<&str>,
) -> Result<Page<Record>, Error> {
    let max_results = check::max_results(max_results)?;
    if find(tx, ctx, dataset_id)?.is_none() {
        return Ok(Page { items: Vec::new(), next_token: None });
    }
    let mut sql = Sql::new();
    sql.push("SELECT * FROM evaluation_dataset_records WHERE dataset_id = ").bind(dataset_id);
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        let (created_ms, record_id) = position(token)?;
        sql.push(" AND (created_ms > ").bind(created_ms).push(" OR (created_ms = ").bind(created_ms);
        sql.push(" AND record_id > ").bind(record_id).push("))");
    }
    sql.push(" ORDER BY created_ms, record_id LIMIT ").bind(max_results + 1);
    let mut items = tx.query_built(&sql)?.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    let more = items.len() as i64 > max_results;
    items.truncate(max_results as usize);
    let last = items.last().filter(|_| more);
    let next_token = last.map(|last| STANDARD.encode(format!("{}:{}", last.created_ms, last.record_id)));
    Ok(Page { items, next_token })
}

/// Deletes records by id and answers how many there were.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str, record_ids: &[String]) -> Result<i64, Error> {
    if find(tx, ctx, dataset_id)?.is_none() {
        return Ok(0);
    }
    let mut gone = 0;
    for id in record_ids {
        let delete = "DELETE FROM evaluation_dataset_records WHERE dataset_id = $1 AND record_id = $2";
        gone += tx.execute(delete, &[dataset_id.into(), id.into()])? as i64;
    }
    let update = "UPDATE evaluation_datasets SET records = records - $2 WHERE dataset_id = $1";
    tx.execute(update, &[dataset_id.into(), gone.into()])?;
    Ok(gone)
}

/// A record as it came.
struct Sent<'a> {
    inputs: Map<String, Json>,
    /// None if nothing was said of outputs; null takes them away.
    outputs: Option<&'a Json>,
    expectations: Option<&'a Map<String, Json>>,
    tags: Option<&'a Map<String, Json>>,
    source: Option<Json>,
}

impl<'a> Sent<'a> {
    fn read(record: &'a Json, index: usize) -> Result<Self, Error> {
        let wrong = |what: &str, got: &Json| {
            let at = format!("records[{index}]{what}");
            Error::Value { path: at, value: got.to_string(), reason: "it must be an object".to_owned() }
        };
        let record = record.as_object().ok_or_else(|| wrong("", record))?;
        let object = |name: &str| match record.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => value.as_object().map(Some).ok_or_else(|| wrong(&format!(".{name}"), value)),
        };
        let inputs = match record.get("inputs") {
            None => Map::new(),
            Some(value) => value.as_object().cloned().ok_or_else(|| wrong(".inputs", value))?,
        };
        let source = object("source")?.filter(|source| !source.is_empty()).map(read_source).transpose()?;
        let (outputs, expectations, tags) = (record.get("outputs"), object("expectations")?, object("tags")?);
        Ok(Self { inputs, outputs, expectations, tags, source })
    }

    fn user(&self) -> Option<&str> {
        self.tags?.get(USER_TAG)?.as_str()
    }

    /// SHA-256 over the inputs with sorted keys.
    fn digest(&self) -> String {
        let text = Json::Object(self.inputs.clone()).to_string();
        Sha256::digest(text).iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Adds the fields that are new to the schema of the dataset.
    fn describe(&self, schema: &mut Json) {
        let mut add = |part: &str, fields: &Map<String, Json>| {
            if let Some(known) = schema[part].as_object_mut() {
                for (name, value) in fields {
                    known.entry(name.clone()).or_insert_with(|| type_name(value).into());
                }
            }
        };
        add("inputs", &self.inputs);
        add("expectations", self.expectations.unwrap_or(&Map::new()));
        match self.outputs {
            None | Some(Json::Null) => {}
            Some(Json::Object(fields)) => add("outputs", fields),
            Some(plain) if schema["outputs"].as_object().is_some_and(Map::is_empty) => {
                schema["outputs"] = type_name(plain).into();
            }
            Some(_) => {}
        }
    }

    /// Changes the record of these inputs; false if there is none.
    fn merge(&self, tx: &mut Tx<'_>, dataset_id: &str, now_ms: i64) -> Result<bool, Error> {
        let select = "SELECT * FROM evaluation_dataset_records WHERE dataset_id = $1 AND inputs_digest = $2";
        let Some(row) = tx.query_opt(select, &[dataset_id.into(), self.digest().into()])? else { return Ok(false) };
        let known = read(&row)?;
        let outputs = match self.outputs {
            None => known.outputs,
            Some(Json::Null) => None,
            Some(outputs) => Some(outputs.clone()),
        };
        let user = self.user().map(str::to_owned).or(known.updated_by);
        tx.execute(
            "UPDATE evaluation_dataset_records SET outputs = $2, expectations = $3, tags = $4, updated_ms = $5, updated_by = $6
             WHERE record_id = $1",
            &[
                known.record_id.into(),
                outputs.map(|value| value.to_string()).into(),
                merged(known.expectations, self.expectations).into(),
                merged(known.tags, self.tags).into(),
                now_ms.into(),
                user.into(),
            ],
        )?;
        Ok(true)
    }

    fn insert(&self, tx: &mut Tx<'_>, dataset_id: &str, now_ms: i64) -> Result<(), Error> {
        // Without a word about them the outputs are an empty object, as in MLflow; null is none.
        let outputs = match self.outputs {
            None => Some("{}".to_owned()),
            Some(Json::Null) => None,
            Some(outputs) => Some(outputs.to_string()),
        };
        let text = |object: Option<&Map<String, Json>>| object.map(|object| Json::Object(object.clone()).to_string());
        tx.execute(
            "INSERT INTO evaluation_dataset_records (record_id, dataset_id, inputs_digest, inputs, outputs, expectations, tags, source,
                created_ms, updated_ms, created_by, updated_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $10)",
            &[
                format!("dr-{}", kernel::id::random_hex()).into(),
                dataset_id.into(),
                self.digest().into(),
                Json::Object(self.inputs.clone()).to_string().into(),
                outputs.into(),
                text(self.expectations).into(),
                text(self.tags).into(),
                self.source.as_ref().map(Json::to_string).into(),
                now_ms.into(),
                self.user().into(),
            ],
        )?;
        Ok(())
    }
}

/// `{"source_type": "trace", "source_data": {..}}` as it is kept: the type in capitals, the data always there.
fn read_source(source: &Map<String, Json>) -> Result<Json, Error> {
    if let Some(other) = source.keys().find(|key| !matches!(key.as_str(), "source_type" | "source_data")) {
        return Err(Error::invalid("source", format!("'{other}' is not a field of a record's source")));
    }
    let kind = source.get("source_type").and_then(Json::as_str).unwrap_or_default().to_uppercase();
    if !SOURCE_TYPES.contains(&kind.as_str()) {
        let valid: Vec<String> = SOURCE_TYPES.iter().map(|name| format!("'{name}'")).collect();
        let valid = valid.join(", ");
        let text = format!("Invalid dataset record source type: {kind}. Valid source types: [{valid}]");
        return Err(Error::invalid("source", text));
    }
    let data = match source.get("source_data") {
        None | Some(Json::Null) => json!({}),
        Some(data @ Json::Object(_)) => data.clone(),
        Some(other) => return Err(Error::invalid("source", format!("source_data must be an object, got {other}"))),
    };
    Ok(json!({ "source_type": kind, "source_data": data }))
}

fn merged(known: Option<Json>, new: Option<&Map<String, Json>>) -> Option<String> {
    let Some(new) = new.filter(|new| !new.is_empty()) else { return known.map(|known| known.to_string()) };
    let mut whole = match known {
        Some(Json::Object(known)) => known,
        _ => Map::new(),
    };
    whole.extend(new.clone());
    Some(Json::Object(whole).to_string())
}

fn position(token: &str) -> Result<(i64, String), Error> {
    let text = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let read = text.as_deref().and_then(|text| text.split_once(':'));
    let read = read.and_then(|(created, id)| Some((created.parse().ok()?, id.to_owned())));
    read.ok_or_else(|| Error::invalid("page_token", "Invalid page token, it is not one of this listing"))
}

fn read(row: &Row) -> Result<Record, Error> {
    let json = |name: &'static str| -> Result<Option<Json>, Error> {
        let text = row.opt_text(name)?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| db::Error::corrupt(name, error))?)
    };
    Ok(Record {
        record_id: row.text("record_id")?,
        dataset_id: row.text("dataset_id")?,
        inputs: json("inputs")?.unwrap_or_default(),
        outputs: json("outputs")?,
        expectations: json("expectations")?,
        tags: json("tags")?,
        source: json("source")?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        created_by: row.opt_text("created_by")?,
        updated_by: row.opt_text("updated_by")?,
    })
}

/// The type of a field in a schema.
fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// JSON of names and objects as Python writes it, since people see it as text: `{"a": "b", ..}`.
fn python(value: &Json) -> String {
    match value {
        Json::Object(object) => {
            let items = object.iter().map(|(key, value)| format!("{}: {}", Json::from(key.as_str()), python(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
