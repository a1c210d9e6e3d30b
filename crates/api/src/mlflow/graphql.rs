//! The two GraphQL queries that MLflow's pages make: an experiment, and a run with its experiment and the versions registered from it.
//! Everything else of that schema has its place under `/api`.

mod schema;

use access::Permission::View;
use axum::extract::State;
use conductor::House;
use graphql_parser::query::{self, Definition, Document, Field, OperationDefinition, SelectionSet};
use kernel::ctx::Principal;
use registry::model::Search;
use registry::version;
use serde_json::{Map, Value, json};
use tracking::{experiment, run};

use self::schema::{GET_EXPERIMENT, GET_RUN, Type, Walk};
use super::model_version::VersionShape;
use super::shape::RunShape;
use super::{Answer, Body, Error, Routes, answer_large, read};
use crate::principal::Caller;
use crate::route::post;

pub(crate) fn root_routes() -> Routes {
    Routes::new().route("/graphql", post(View, execute))
}

/// Most fields at the root: each is a unit of work of its own.
const MAX_ROOTS: usize = 10;
/// Most versions shown with a run.
const MAX_VERSIONS: i64 = 1_000;

async fn execute(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let text = fields.required("query")?;
    let variables = fields.value("variables")?.cloned().unwrap_or_default();
    let name = fields.text("operation_name")?;
    let wanted = wanted(&text, name.as_deref(), &variables)?;
    let mut sources = Vec::new();
    for root in wanted {
        sources.push((root.source(&house, who.clone()).await, root));
    }
    let (data, errors) = selected(&text, name.as_deref(), sources)?;
    answer_large(json!({ "data": data, "errors": errors })).await
}

/// A field at the root, with what it is asked about.
struct Root {
    /// Under which name it is sent.
    name: String,
    kind: RootKind,
}

enum RootKind {
    Experiment(String),
    Run(String),
    Typename,
    Unknown(String),
}

impl Root {
    fn of<'a>(field: &Field<'a, &'a str>, variables: &Value) -> Self {
        let input = field.arguments.iter().find(|(name, _)| *name == "input").map(|(_, value)| value);
        let id = |names: [&str; 2]| {
            let input = input.map(|input| plain(input, variables)).unwrap_or_default();
            names.iter().find_map(|name| input[name].as_str()).unwrap_or_default().to_owned()
        };
        let kind = match field.name {
            "mlflowGetExperiment" => RootKind::Experiment(id(["experimentId", "experiment_id"])),
            "mlflowGetRun" => RootKind::Run(id(["runId", "runUuid"])),
            "__typename" => RootKind::Typename,
            other => RootKind::Unknown(format!("Cannot query field '{other}' on type 'Query'.")),
        };
        Self { name: field.alias.unwrap_or(field.name).to_owned(), kind }
    }

    fn answer_type(&self) -> &'static Type {
        if matches!(self.kind, RootKind::Run(_)) { &GET_RUN } else { &GET_EXPERIMENT }
    }

    /// What the selection is made from.
    async fn source(&self, house: &House, who: Principal) -> Result<Value, String> {
        let found = match &self.kind {
            RootKind::Experiment(id) => experiment_source(house, who, id.clone()).await,
            RootKind::Run(id) => run_source(house, who, id.clone()).await,
            RootKind::Typename => return Ok("Query".into()),
            RootKind::Unknown(why) => return Err(why.clone()),
        };
        found.map_err(|error| error.message().to_owned())
    }
}

async fn experiment_source(house: &House, who: Principal, id: String) -> Result<Value, Error> {
    let found = read(house, who, move |tx, ctx| experiment::get(tx, ctx, &id)).await?;
    Ok(json!({ "experiment": super::experiment::Shape::new(found, &house.workspace) }))
}

async fn run_source(house: &House, who: Principal, id: String) -> Result<Value, Error> {
    let (run, experiment, versions) = read(house, who, move |tx, ctx| {
        let run = run::get(tx, ctx, &id)?;
        let experiment = experiment::get(tx, ctx, &run.info.experiment_id)?;
        // A run id has no quotes in it, or it would not have been found.
        let filter = format!("run_id = '{}'", run.info.run_id);
        let search = Search { filter, max_results: MAX_VERSIONS, ..Search::default() };
        let versions = version::search(tx, ctx, &search)?;
        Ok::<_, Error>((run, experiment, versions.items))
    })
    .await?;
    let versions: Vec<VersionShape> = versions.into_iter().map(VersionShape::from).collect();
    let written = serde_json::to_value(RunShape::from(run)).map_err(|error| Error::invalid(error.to_string()))?;
    let mut run = written;
    run["experiment"] = json!(super::experiment::Shape::new(experiment, &house.workspace));
    run["model_versions"] = json!(versions);
    Ok(json!({ "run": run }))
}

fn parsed(text: &str) -> Result<Document<'_, &str>, Error> {
    query::parse_query::<&str>(text).map_err(|error| Error::invalid(format!("Invalid GraphQL query: {error}")))
}

/// The selection of the operation that is asked for.
fn operation<'a>(
    document: &'a Document<'a, &'a str>,
    name: Option<&str>,
) -> Result<&'a SelectionSet<'a, &'a str>, Error> {
    let operations = document.definitions.iter().filter_map(|definition| match definition {
        Definition::Operation(OperationDefinition::Query(query)) => Some((query.name, &query.selection_set)),
        Definition::Operation(OperationDefinition::SelectionSet(set)) => Some((None, set)),
        _ => None,
    });
    let mut fitting = operations.filter(|(own, _)| name.is_none() || *own == name);
    let missing = || Error::invalid("The request names no query: mutations and subscriptions are not served here.");
    Ok(fitting.next().ok_or_else(missing)?.1)
}

fn wanted(text: &str, name: Option<&str>, variables: &Value) -> Result<Vec<Root>, Error> {
    let document = parsed(text)?;
    let fields = Walk::new(&document).fields(operation(&document, name)?, 0).map_err(Error::invalid)?;
    if fields.len() > MAX_ROOTS {
        return Err(Error::invalid(format!("Query exceeds maximum of {MAX_ROOTS} fields at the root")));
    }
    Ok(fields.into_iter().map(|field| Root::of(field, variables)).collect())
}

type Sources = Vec<(Result<Value, String>, Root)>;

/// The answer: what could not be answered is null, and why is said beside it.
fn selected(text: &str, name: Option<&str>, sources: Sources) -> Result<(Value, Option<Vec<String>>), Error> {
    let document = parsed(text)?;
    let mut walk = Walk::new(&document);
    let fields = walk.fields(operation(&document, name)?, 0).map_err(Error::invalid)?;
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for (field, (source, root)) in fields.into_iter().zip(sources) {
        let shown = source.and_then(|source| match root.kind {
            RootKind::Typename => Ok(source),
            _ => walk.select(&field.selection_set, root.answer_type(), &source, 1),
        });
        let value = shown.unwrap_or_else(|why| {
            errors.push(why);
            Value::Null
        });
        data.insert(root.name, value);
    }
    Ok((Value::Object(data), (!errors.is_empty()).then_some(errors)))
}

/// An argument with its variables filled in.
fn plain<'a>(value: &query::Value<'a, &'a str>, variables: &Value) -> Value {
    match value {
        query::Value::Variable(name) => variables[*name].clone(),
        query::Value::Int(number) => number.as_i64().into(),
        query::Value::Float(number) => (*number).into(),
        query::Value::String(text) => text.as_str().into(),
        query::Value::Boolean(flag) => (*flag).into(),
        query::Value::Null => Value::Null,
        query::Value::Enum(name) => (*name).into(),
        query::Value::List(items) => items.iter().map(|item| plain(item, variables)).collect(),
        query::Value::Object(pairs) => {
            Value::Object(pairs.iter().map(|(name, value)| ((*name).to_owned(), plain(value, variables))).collect())
        }
    }
}
