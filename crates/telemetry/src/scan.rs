//! Reading: objects and memory together, each prediction once, outcomes joined as of an instant.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use blob::SafePath;
use bytes::Bytes;
use kernel::frame::{Cell, Column, ColumnKind, Frame};
use parking_lot::RwLock;

use crate::chunk::{Chunk, Values};
use crate::codec::Source;
use crate::convert::blocking;
use crate::key::{self, Key, KeySet};
use crate::manifest::{OutcomeFile, PredictionFile};
use crate::outcomes::{OutcomeList, OutcomeTable, Truth};
use crate::shared::Shared;
use crate::{Error, Found, Outcome, Rows, Scan, objects};

/// Rows joined under one hold of an outcome table's lock.
const HOLD: usize = 1024;

/// Everything a scan looks at, taken in one moment.
struct Snapshot {
    pieces: Vec<Piece>,
    files: Vec<Arc<PredictionFile>>,
    outcome_files: Vec<Arc<OutcomeFile>>,
    outcome_tables: Vec<Arc<RwLock<OutcomeTable>>>,
}

/// Rows of one source, with the place of their segment in the order of acceptance.
struct Piece {
    segment: u64,
    source: Arc<Source>,
    chunk: Arc<Chunk>,
}

/// A row on its way into the answer.
struct Picked {
    piece: usize,
    row: usize,
    event_us: i64,
    key: Key,
    truth: Option<Truth>,
}

/// Answers a query.
pub(crate) async fn scan(shared: &Arc<Shared>, query: Scan) -> Result<Rows, Error> {
    let mut snapshot = snapshot(shared, &query);
    let mut pieces = std::mem::take(&mut snapshot.pieces);
    let lists = outcome_lists(shared, &snapshot.outcome_files).await?;
    let mut files = std::mem::take(&mut snapshot.files);
    // Newest last, so that `newest` can stop early.
    files.sort_by_key(|file| file.max_event_us);
    loop {
        let enough = query.newest.is_some_and(|newest| !query.labelled_only && have(&pieces, &query, newest, &files));
        let Some(file) = (if enough { None } else { files.pop() }) else { break };
        pieces.extend(read_file(shared, &file, (query.from_us, query.until_us)).await?);
    }
    blocking(move || Ok(answer(pieces, &lists, &snapshot.outcome_tables, &query))).await
}

fn snapshot(shared: &Shared, query: &Scan) -> Snapshot {
    let state = shared.state.lock();
    let overlaps = |chunk: &Chunk| chunk.overlaps(query.from_us, query.until_us);
    let wanted = |source: &Source| *source.deployment == *query.deployment;
    let mut pieces = Vec::new();
    for closed in &state.closed {
        for part in closed.parts.iter().filter(|part| wanted(&part.source)) {
            let chunks = part.chunks.iter().filter(|chunk| overlaps(chunk));
            pieces.extend(chunks.map(|chunk| Piece::new(closed.number, &part.source, chunk)));
        }
    }
    for part in state.open.memory.parts(wanted, overlaps) {
        pieces.extend(part.chunks.iter().map(|chunk| Piece::new(state.open.segment.number, &part.source, chunk)));
    }
    let files = state.index.predictions.get(&*query.deployment).into_iter().flatten();
    let files = files.filter(|file| file.min_event_us < query.until_us && file.max_event_us >= query.from_us);
    let earliest = query.from_us.saturating_sub(shared.options.early_outcome_us);
    let as_of_us = query.as_of_us.unwrap_or(i64::MAX);
    let outcome_files = state.index.outcomes.iter();
    let outcome_files =
        outcome_files.filter(|file| file.min_observed_us <= as_of_us && file.max_observed_us >= earliest);
    let tables = state.closed.iter().map(|closed| &closed.outcomes).chain([&state.open.outcomes]);
    Snapshot {
        pieces,
        files: files.cloned().collect(),
        outcome_files: outcome_files.cloned().collect(),
        outcome_tables: tables.cloned().collect(),
    }
}

impl Piece {
    fn new(segment: u64, source: &Arc<Source>, chunk: &Arc<Chunk>) -> Self {
        Self { segment, source: source.clone(), chunk: chunk.clone() }
    }
}

async fn read_file(
    shared: &Arc<Shared>,
    file: &Arc<PredictionFile>,
    range: (i64, i64),
) -> Result<Option<Piece>, Error> {
    let bytes = get(shared, &file.path).await?;
    let file = file.clone();
    blocking(move || {
        let read = objects::read_predictions(&file.path, bytes, &file.deployment, range)?;
        let segment = segment_of(&file.path);
        Ok(read.map(|(source, chunk)| Piece { segment, source: Arc::new(source), chunk: Arc::new(chunk) }))
    })
    .await
}

/// Object names begin with the number of their segment.
fn segment_of(path: &str) -> u64 {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split(['-', '.']).next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

async fn outcome_lists(shared: &Arc<Shared>, files: &[Arc<OutcomeFile>]) -> Result<Vec<Arc<OutcomeList>>, Error> {
    let mut lists = Vec::with_capacity(files.len());
    for file in files {
        let cached = shared.cache.lock().get(&file.path);
        if let Some(list) = cached {
            lists.push(list);
            continue;
        }
        let (bytes, path) = (get(shared, &file.path).await?, file.path.clone());
        let list = Arc::new(blocking(move || objects::read_outcomes(&path, bytes)).await?);
        shared.cache.lock().put(&file.path, list.clone(), shared.options.cache_bytes);
        lists.push(list);
    }
    Ok(lists)
}

async fn get(shared: &Shared, path: &str) -> Result<Bytes, Error> {
    let name = SafePath::parse(path).map_err(|error| Error::Internal(format!("{path}: {error}")))?;
    let failed = |source| Error::Blob { doing: "reading", path: path.to_owned(), source: Box::new(source) };
    shared.blob.get(&name).await.map_err(failed)
}

/// True if the newest rows asked for are all in the pieces: none of the files left reaches into them.
fn have(pieces: &[Piece], query: &Scan, newest: usize, files: &[Arc<PredictionFile>]) -> bool {
    let mut heap = BinaryHeap::new();
    let mut met = KeySet::default();
    for (piece, row) in rows(pieces, query) {
        let chunk = &pieces[piece].chunk;
        if heap.len() >= newest && heap.peek().is_none_or(|Reverse(least)| *least >= chunk.event_us[row]) {
            continue;
        }
        let wanted = query.version.as_deref().is_none_or(|version| version == &*pieces[piece].source.version);
        if wanted && met.insert(key::of(chunk.ids.get(row))) {
            heap.push(Reverse(chunk.event_us[row]));
            if heap.len() > newest {
                heap.pop();
            }
        }
    }
    let reach = files.last().map_or(i64::MIN, |file| file.max_event_us);
    heap.len() >= newest && heap.peek().is_none_or(|Reverse(least)| *least > reach)
}

/// Piece and row of everything in the range.
fn rows<'a>(pieces: &'a [Piece], query: &'a Scan) -> impl Iterator<Item = (usize, usize)> + 'a {
    let inside = |at: i64| (query.from_us..query.until_us).contains(&at);
    pieces.iter().enumerate().flat_map(move |(piece, of)| {
        let events = of.chunk.event_us.iter().enumerate();
        events.filter(move |(_, at)| inside(**at)).map(move |(row, _)| (piece, row))
    })
}

fn answer(
    mut pieces: Vec<Piece>,
    lists: &[Arc<OutcomeList>],
    tables: &[Arc<RwLock<OutcomeTable>>],
    query: &Scan,
) -> Rows {
    // In the order of acceptance the first of an id is the one that counts.
    pieces.sort_by_key(|piece| piece.segment);
    let mut met = KeySet::default();
    let mut picked = Vec::new();
    for (piece, row) in rows(&pieces, query) {
        let chunk = &pieces[piece].chunk;
        let key = key::of(chunk.ids.get(row));
        if met.insert(key) {
            picked.push(Picked { piece, row, event_us: chunk.event_us[row], key, truth: None });
        }
    }
    if let Some(version) = &query.version {
        picked.retain(|row| *pieces[row.piece].source.version == **version);
    }
    join(&mut picked, lists, tables, query.as_of_us.unwrap_or(i64::MAX));
    if query.labelled_only {
        picked.retain(|row| row.truth.is_some());
    }
    let id = |row: &Picked| pieces[row.piece].chunk.ids.get(row.row);
    picked.sort_unstable_by(|a, b| (a.event_us, id(a)).cmp(&(b.event_us, id(b))));
    if let Some(newest) = query.newest {
        picked.drain(..picked.len().saturating_sub(newest));
    }
    Rows {
        ids: picked.iter().map(|row| id(row).to_owned()).collect(),
        event_time_us: picked.iter().map(|row| row.event_us).collect(),
        versions: picked.iter().map(|row| pieces[row.piece].source.version.clone()).collect(),
        features: features(&pieces, &picked),
        scores: picked.iter().map(|row| pieces[row.piece].chunk.scores[row.row]).collect(),
        observed_us: picked.iter().map(|row| row.truth.as_ref().map_or(0, |truth| truth.observed_us)).collect(),
        outcomes: picked.into_iter().map(|row| row.truth.map_or(Cell::Missing, |truth| truth.value)).collect(),
    }
}

fn join(rows: &mut [Picked], lists: &[Arc<OutcomeList>], tables: &[Arc<RwLock<OutcomeTable>>], as_of_us: i64) {
    for list in lists {
        for row in rows.iter_mut() {
            Truth::merge(&mut row.truth, list.best(row.key, as_of_us));
        }
    }
    for table in tables {
        for some in rows.chunks_mut(HOLD) {
            let table = table.read();
            for row in some {
                Truth::merge(&mut row.truth, table.best(row.key, as_of_us));
            }
        }
    }
}

/// The columns of all versions by name, in the order in which the rows bring them. A name that is text in one version and a number in
/// another is text.
fn features(pieces: &[Piece], picked: &[Picked]) -> Frame {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut kinds: Vec<ColumnKind> = Vec::new();
    // For each piece that is used: where its columns are, by column of the answer.
    let mut places: Vec<Option<Vec<Option<usize>>>> = pieces.iter().map(|_| None).collect();
    for row in picked {
        if places[row.piece].is_some() {
            continue;
        }
        let mut place = vec![None; names.len()];
        for (index, (name, kind)) in pieces[row.piece].source.schema.features.iter().enumerate() {
            let column = names.iter().position(|have| have == name).unwrap_or_else(|| {
                names.push(name.clone());
                kinds.push(*kind);
                place.push(None);
                names.len() - 1
            });
            place[column] = Some(index);
            if *kind == ColumnKind::Text {
                kinds[column] = ColumnKind::Text;
            }
        }
        places[row.piece] = Some(place);
    }
    let columns = kinds.iter().enumerate().map(|(column, kind)| {
        let values = picked.iter().map(|row| {
            let place = places[row.piece].as_ref().and_then(|place| place.get(column).copied().flatten());
            place.map(|index| (&pieces[row.piece].chunk.columns[index], row.row))
        });
        match kind {
            ColumnKind::Number => Column::Number(values.map(|value| value.map_or(f64::NAN, number)).collect()),
            ColumnKind::Text => Column::Text(values.map(|value| value.and_then(text)).collect()),
        }
    });
    let columns = columns.collect();
    Frame::new(names, columns).unwrap_or_default()
}

fn number((values, row): (&Values, usize)) -> f64 {
    match values {
        Values::Number(values) => values[row],
        Values::Text { .. } => f64::NAN,
    }
}

fn text((values, row): (&Values, usize)) -> Option<Arc<str>> {
    match values {
        Values::Number(values) => (!values[row].is_nan()).then(|| values[row].to_string().into()),
        Values::Text { .. } => values.text(row).cloned(),
    }
}

/// Finds one prediction anywhere.
pub(crate) async fn find(shared: &Arc<Shared>, prediction_id: &str) -> Result<Option<Found>, Error> {
    let (names, everywhere) = {
        let state = shared.state.lock();
        let names: Vec<_> = state.deployments.iter().map(|deployment| deployment.name.clone()).collect();
        (names, state.index.outcomes.clone())
    };
    for name in names {
        let query = Scan { deployment: name.to_string(), from_us: i64::MIN, until_us: i64::MAX, ..Scan::default() };
        let mut snapshot = snapshot(shared, &query);
        let mut pieces = std::mem::take(&mut snapshot.pieces);
        // Oldest segment first: of an id sent twice the first counts.
        snapshot.files.sort_by_key(|file| segment_of(&file.path));
        let mut at = None;
        for file in &snapshot.files {
            let Some(piece) = read_file(shared, file, (i64::MIN, i64::MAX)).await? else { continue };
            if let Some(row) = position(&piece, prediction_id) {
                at = Some((piece, row));
                break;
            }
        }
        let mut in_memory = pieces.iter().enumerate();
        if at.is_none()
            && let Some((index, row)) =
                in_memory.find_map(|(index, piece)| Some((index, position(piece, prediction_id)?)))
        {
            at = Some((pieces.swap_remove(index), row));
        }
        if let Some((piece, row)) = at {
            let lists = outcome_lists(shared, &everywhere).await?;
            return Ok(Some(found(&piece, row, outcomes_of(prediction_id, &lists, &snapshot.outcome_tables))));
        }
    }
    Ok(None)
}

fn position(piece: &Piece, id: &str) -> Option<usize> {
    piece.chunk.ids.iter().position(|have| have == id)
}

fn outcomes_of(id: &str, lists: &[Arc<OutcomeList>], tables: &[Arc<RwLock<OutcomeTable>>]) -> Vec<Outcome> {
    let key = key::of(id);
    let mut truths: Vec<Truth> = lists.iter().flat_map(|list| list.all(key).cloned()).collect();
    truths.extend(tables.iter().flat_map(|table| table.read().all(key)));
    truths.sort_by_key(|truth| (truth.observed_us, truth.received_us));
    let outcome = |truth: Truth| Outcome {
        prediction_id: id.to_owned(),
        value: truth.value,
        observed_us: truth.observed_us,
        received_us: truth.received_us,
    };
    truths.into_iter().map(outcome).collect()
}

fn found(piece: &Piece, row: usize, outcomes: Vec<Outcome>) -> Found {
    let (source, chunk) = (&piece.source, &piece.chunk);
    let features = source.schema.features.iter().zip(&chunk.columns);
    Found {
        prediction_id: chunk.ids.get(row).to_owned(),
        deployment: source.deployment.to_string(),
        model: source.model.clone(),
        version: source.version.clone(),
        event_time_us: chunk.event_us[row],
        received_us: chunk.received_us[row],
        latency_us: chunk.latency_us[row],
        features: features.map(|((name, _), values)| (name.clone(), values.cell(row))).collect(),
        score: chunk.scores[row],
        outcomes,
    }
}
