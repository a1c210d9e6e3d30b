//! Events: the numbers in `event.proto`, `summary.proto` and `tensor.proto`, and what becomes of each kind of value.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::record::{Next, Records};
use crate::mlflow::{Content, File, Pair, Point};
use crate::protobuf::{Field, doubles, fields, integers};
use crate::{Result, naming};

/// What a run's files hold.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) points: Vec<Point>,
    pub(super) params: Vec<Pair>,
    pub(super) failed: bool,
    pub(super) first_ms: Option<i64>,
    pub(super) last_ms: Option<i64>,
    pub(super) warnings: Vec<String>,
    /// Histograms by tag.
    histograms: BTreeMap<String, Vec<Value>>,
    /// Images and texts by path.
    blobs: BTreeMap<String, Vec<u8>>,
    /// Plugins of tags; the first value of a tag names it, the others leave it out.
    plugins: BTreeMap<String, String>,
}

impl Events {
    /// Everything that is not a number, as files.
    pub(super) fn files(&self) -> Vec<File> {
        let file =
            |path: String, bytes: Vec<u8>| File { path, size: bytes.len() as u64, content: Content::Memory(bytes) };
        let histograms = self.histograms.iter().map(|(tag, values)| {
            file(format!("tensorboard/histograms/{tag}.json"), Value::from(values.clone()).to_string().into_bytes())
        });
        histograms.chain(self.blobs.iter().map(|(path, bytes)| file(path.clone(), bytes.clone()))).collect()
    }

    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// When and at which step.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    ms: i64,
    step: i64,
}

/// Reads a file to its end, or to where it breaks off.
pub(super) fn read(path: &Path, events: &mut Events) -> Result<()> {
    let mut records = Records::open(path)?;
    loop {
        match records.next() {
            Next::End => return Ok(()),
            Next::Damaged => {
                events.warn(format!("{} is damaged: what comes before that is taken", path.display()));
                return Ok(());
            }
            Next::Record(bytes) => {
                if let Err(reason) = event(&bytes, events) {
                    events.warn(format!("{}: an event is passed over: {reason}", path.display()));
                }
            }
        }
    }
}

fn event(bytes: &[u8], events: &mut Events) -> Result<(), String> {
    let mut at = Moment::default();
    let mut summary: Option<&[u8]> = None;
    for (number, field) in fields(bytes)? {
        match number {
            1 => at.ms = (field.number() * 1_000.0).round() as i64,
            2 => at.step = field.integer(),
            5 => summary = Some(field.bytes()),
            _ => {}
        }
    }
    if at.ms > 0 {
        events.first_ms = Some(events.first_ms.map_or(at.ms, |first| first.min(at.ms)));
        events.last_ms = Some(events.last_ms.map_or(at.ms, |last| last.max(at.ms)));
    }
    for (number, field) in fields(summary.unwrap_or_default())? {
        if number == 1 {
            value(field.bytes(), at, events)?;
        }
    }
    Ok(())
}

fn value(bytes: &[u8], at: Moment, events: &mut Events) -> Result<(), String> {
    let (mut tag, mut plugin, mut content, mut what) = (String::new(), None, &[][..], None);
    for (number, field) in fields(bytes)? {
        match number {
            1 => tag = field.text(),
            2 | 4 | 5 | 6 | 8 => what = Some((number, field)),
            9 => {
                for (number, field) in fields(field.bytes())?.into_iter().filter(|(number, _)| *number == 1) {
                    debug_assert_eq!(number, 1);
                    for (number, field) in fields(field.bytes())? {
                        match number {
                            1 => plugin = Some(field.text()),
                            2 => content = field.bytes(),
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(name) = plugin {
        events.plugins.insert(tag.clone(), name);
    }
    let plugin = events.plugins.get(&tag).cloned().unwrap_or_default();
    if plugin == "hparams" {
        return hparams(content, events);
    }
    let key = naming::key(&tag);
    match what {
        Some((2, field)) => events.points.push(point(&key, field.number(), at)),
        Some((4, field)) => {
            let image = fields(field.bytes())?.into_iter().find(|(number, _)| *number == 4);
            if let Some((_, image)) = image {
                add_image(&key, at, 0, image.bytes(), events);
            }
        }
        Some((5, field)) => histogram(&key, at, field.bytes(), events)?,
        Some((8, field)) => tensor(&key, &plugin, at, field.bytes(), events)?,
        Some(_) => events.warn(format!("audio of `{tag}` is passed over")),
        None => {}
    }
    Ok(())
}

fn point(key: &str, value: f64, at: Moment) -> Point {
    Point { key: key.to_owned(), value, timestamp: at.ms.max(0), step: at.step }
}

fn add_image(key: &str, at: Moment, index: usize, bytes: &[u8], events: &mut Events) {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, ..] => "jpg",
        [b'G', b'I', b'F', ..] => "gif",
        _ => "bin",
    };
    let index = if index == 0 { String::new() } else { format!("-{index}") };
    events.blobs.insert(format!("tensorboard/images/{key}/{}{index}.{kind}", at.step), bytes.to_vec());
}

/// The old form: limits and counts of buckets.
fn histogram(key: &str, at: Moment, bytes: &[u8], events: &mut Events) -> Result<(), String> {
    let mut shown = json!({
        "step": at.step, "time_ms": at.ms, "min": 0.0, "max": 0.0, "num": 0.0, "sum": 0.0, "sum_squares": 0.0,
    });
    let (mut limits, mut counts) = (Vec::new(), Vec::new());
    for (number, field) in fields(bytes)? {
        match (number, field) {
            (1, field) => shown["min"] = field.number().into(),
            (2, field) => shown["max"] = field.number().into(),
            (3, field) => shown["num"] = field.number().into(),
            (4, field) => shown["sum"] = field.number().into(),
            (5, field) => shown["sum_squares"] = field.number().into(),
            (6, Field::Bytes(packed)) => limits.extend(doubles(packed)),
            (6, field) => limits.push(field.number()),
            (7, Field::Bytes(packed)) => counts.extend(doubles(packed)),
            (7, field) => counts.push(field.number()),
            _ => {}
        }
    }
    shown["bucket_limits"] = limits.into();
    shown["buckets"] = counts.into();
    events.histograms.entry(key.to_owned()).or_default().push(shown);
    Ok(())
}

#[derive(Debug, Default)]
struct Tensor {
    shape: Vec<i64>,
    numbers: Vec<f64>,
    texts: Vec<Vec<u8>>,
}

fn read_tensor(bytes: &[u8]) -> Result<Tensor, String> {
    let (mut tensor, mut kind, mut content) = (Tensor::default(), 0, &[][..]);
    for (number, field) in fields(bytes)? {
        match (number, field) {
            (1, field) => kind = field.integer(),
            (2, field) => {
                for (_, dim) in fields(field.bytes())?.into_iter().filter(|(number, _)| *number == 2) {
                    tensor
                        .shape
                        .extend(fields(dim.bytes())?.iter().find(|(number, _)| *number == 1).map(|(_, n)| n.integer()));
                }
            }
            (4, field) => content = field.bytes(),
            (5, Field::Bytes(packed)) => tensor.numbers.extend(floats(packed)),
            (6, Field::Bytes(packed)) => tensor.numbers.extend(doubles(packed)),
            (7 | 10 | 11, Field::Bytes(packed)) => tensor.numbers.extend(integers(packed).iter().map(|n| *n as f64)),
            (8, Field::Bytes(text)) => tensor.texts.push(text.to_vec()),
            (5 | 6 | 7 | 10 | 11, field) => tensor.numbers.push(field.number()),
            _ => {}
        }
    }
    match kind {
        1 => tensor.numbers.extend(floats(content)),
        2 => tensor.numbers.extend(doubles(content)),
        3 => tensor.numbers.extend(
            content.chunks_exact(4).map(|four| f64::from(i32::from_le_bytes(four.try_into().unwrap_or_default()))),
        ),
        9 => tensor.numbers.extend(
            content.chunks_exact(8).map(|eight| i64::from_le_bytes(eight.try_into().unwrap_or_default()) as f64),
        ),
        _ => {}
    }
    Ok(tensor)
}

fn floats(packed: &[u8]) -> Vec<f64> {
    packed.chunks_exact(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap_or_default()))).collect()
}

/// The new form: a tensor whose plugin says what it is.
fn tensor(key: &str, plugin: &str, at: Moment, bytes: &[u8], events: &mut Events) -> Result<(), String> {
    let tensor = read_tensor(bytes)?;
    match (plugin, tensor.numbers.first()) {
        ("text", _) => {
            let text = tensor.texts.join(&b"\n"[..]);
            events.blobs.insert(format!("tensorboard/text/{key}/{}.md", at.step), text);
        }
        // Width and height come first.
        ("images", _) => {
            for (index, image) in tensor.texts.iter().skip(2).enumerate() {
                add_image(key, at, index, image, events);
            }
        }
        // Rows of left edge, right edge, count.
        ("histograms", _) => {
            let rows: Vec<&[f64]> = tensor.numbers.chunks_exact(3).collect();
            let column = |index: usize| rows.iter().filter_map(|row| row.get(index).copied()).collect::<Vec<f64>>();
            let shown = json!({
                "step": at.step, "time_ms": at.ms, "min": column(0).first(), "max": column(1).last(),
                "num": column(2).iter().sum::<f64>(), "bucket_limits": column(1), "buckets": column(2),
            });
            events.histograms.entry(key.to_owned()).or_default().push(shown);
        }
        ("scalars" | "", Some(number)) if tensor.shape.iter().all(|size| *size == 1) && tensor.numbers.len() == 1 => {
            events.points.push(point(key, *number, at));
        }
        (other, _) => events.warn(format!("`{key}` of the plugin `{other}` is passed over")),
    }
    Ok(())
}

/// `plugin_hparams.proto`: what a session began with, and how it ended.
fn hparams(content: &[u8], events: &mut Events) -> Result<(), String> {
    for (number, field) in fields(content)? {
        match number {
            3 => {
                for (number, entry) in fields(field.bytes())? {
                    if number == 1 {
                        events.params.extend(hparam(entry.bytes())?);
                    }
                }
            }
            4 => {
                events.failed =
                    fields(field.bytes())?.iter().any(|(number, status)| (*number, status.integer()) == (1, 2));
            }
            _ => {}
        }
    }
    events.params.sort_by(|a, b| a.key.cmp(&b.key));
    events.params.dedup_by(|a, b| a.key == b.key);
    Ok(())
}

/// An entry of a map of `google.protobuf.Value`.
fn hparam(entry: &[u8]) -> Result<Option<Pair>, String> {
    let (mut name, mut text) = (String::new(), None);
    for (number, field) in fields(entry)? {
        match number {
            1 => name = field.text(),
            2 => {
                for (number, field) in fields(field.bytes())? {
                    text = match number {
                        2 => Some(field.number().to_string()),
                        3 => Some(field.text()),
                        4 => Some(if field.integer() == 0 { "False" } else { "True" }.to_owned()),
                        _ => text,
                    };
                }
            }
            _ => {}
        }
    }
    Ok(text.map(|text| naming::pair(&name, text)))
}
