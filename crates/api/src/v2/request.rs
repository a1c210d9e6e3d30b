//! The request: tensors -> rows.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeSeed as _;
use serde_json::value::RawValue;
use serving::decode::{FrameBuilder, Rules, Value};
use serving::{Batch, Error, Live};

use super::answer::Wanted;
use super::binary;
use super::metadata::inputs;
use super::sink::{Flat, Sink, Target};
use super::tensor::{Datatype, EVENT_TIME, Given, PREDICTION_ID, is_matrix, matrix_name};

/// What is asked for.
pub(crate) struct Request {
    pub(super) id: Option<String>,
    pub(super) batch: Batch,
    pub(super) wanted: Vec<Wanted>,
}

/// A tensor as it came, over whichever transport.
pub(super) struct Incoming<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a [usize],
    pub(super) datatype: &'a str,
    pub(super) data: Data<'a>,
}

/// The elements of a tensor.
pub(super) enum Data<'a> {
    Json(&'a RawValue),
    Binary(&'a [u8]),
    /// Whatever hands them out one by one.
    Each(&'a Each<'a>),
}

/// Hands out elements.
pub(super) type Each<'a> = dyn Fn(&mut dyn FnMut(Value<'_>) -> Result<(), Error>) -> Result<(), Error> + 'a;

/// An output that is named.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) binary: bool,
    pub(super) classification: Option<usize>,
}

/// What the parameters of a request say of its only row.
#[derive(Default)]
pub(super) struct Single<'a> {
    pub(super) prediction_id: Option<String>,
    pub(super) event_time: Option<&'a str>,
}

/// Puts the tensors of a request together.
pub(super) struct Collector<'l> {
    live: &'l Live,
    sink: Sink<'l>,
    rows: Option<usize>,
}

impl<'l> Collector<'l> {
    pub(super) fn new(live: &'l Live) -> Self {
        Self { live, sink: sink(live), rows: None }
    }

    /// Takes a tensor, which must have as many rows as those before it.
    pub(super) fn take(&mut self, input: &Incoming<'_>) -> Result<(), Error> {
        let count = tensor(self.live, input, &mut self.sink)?;
        let first = *self.rows.get_or_insert(count);
        if first == count {
            return Ok(());
        }
        let message = format!("input `{}` has {count} rows, the inputs before it have {first}", input.name);
        Err(Error::request(field(input.name), message))
    }

    /// The rows.
    pub(super) fn finish(mut self, single: Single<'_>) -> Result<Batch, Error> {
        let rows = self.rows.ok_or_else(|| Error::request("inputs", "the request has no inputs"))?;
        self.sink.name_single(single.prediction_id, single.event_time, rows)?;
        let (builder, ids, event_times_us) = self.sink.into_parts();
        let frame = builder.finish_columns(rows)?;
        Ok(Batch { frame, ids, event_times_us })
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    inputs: Vec<WireInput<'a>>,
    #[serde(default)]
    outputs: Option<Vec<WireOutput>>,
}

#[derive(Deserialize)]
struct WireInput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<usize>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireOutput {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// The parameters that mean something to us; others are left alone.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    classification: Option<usize>,
    prediction_id: Option<String>,
    event_time: Option<String>,
}

/// Reads a body for a version; `json_length` says where its JSON part ends. Without any JSON the body is the model's only tensor.
pub(super) fn decode(live: &Live, body: &[u8], json_length: Option<usize>) -> Result<Request, Error> {
    if json_length == Some(0) {
        return bare(live, body);
    }
    let (json, mut raw) = body
        .split_at_checked(json_length.unwrap_or(body.len()))
        .ok_or_else(|| Error::request("inference-header-content-length", "the body is shorter than its JSON header"))?;
    let wire: Wire<'_> = serde_json::from_slice(json).map_err(|error| {
        let what = if error.is_data() { "the request is malformed" } else { "the body is not valid JSON" };
        Error::request("body", format!("{what}: {error}"))
    })?;
    let all_binary = wire.parameters.binary_data_output.unwrap_or(false);
    let named = wire.outputs.iter().flatten().map(|output| Asked {
        name: &output.name,
        binary: output.parameters.binary_data.unwrap_or(all_binary),
        classification: output.parameters.classification,
    });
    let wanted = wanted(live, all_binary, &named.collect::<Vec<_>>())?;
    let mut collector = Collector::new(live);
    for input in &wire.inputs {
        collector.take(&Incoming {
            name: &input.name,
            shape: &input.shape,
            datatype: &input.datatype,
            data: data(input, &mut raw)?,
        })?;
    }
    if !raw.is_empty() {
        return Err(Error::request("body", format!("{} bytes follow the last binary tensor", raw.len())));
    }
    let single =
        Single { prediction_id: wire.parameters.prediction_id, event_time: wire.parameters.event_time.as_deref() };
    let batch = collector.finish(single)?;
    Ok(Request { id: wire.id.filter(|id| !id.is_empty()), batch, wanted })
}

/// Where the elements of a tensor are: in its JSON, or next in the bytes behind it.
fn data<'a>(input: &WireInput<'a>, raw: &mut &'a [u8]) -> Result<Data<'a>, Error> {
    let refused = |message: String| Err(Error::request(field(&input.name), message));
    match (input.data, input.parameters.binary_data_size) {
        (Some(_), Some(_)) => refused("the data are given twice, as JSON and binary".to_owned()),
        (Some(json), None) => Ok(Data::Json(json)),
        (None, Some(size)) => {
            let Some((mine, rest)) = raw.split_at_checked(size) else {
                return refused(format!("input `{}`: the body ends before its {size} bytes", input.name));
            };
            *raw = rest;
            Ok(Data::Binary(mine))
        }
        (None, None) => refused(format!("input `{}` has no data", input.name)),
    }
}

fn sink(live: &Live) -> Sink<'_> {
    let rules =
        Rules { extra: live.config().extra_columns, lenient_null: false, max_rows: live.max_rows(), field: "inputs" };
    Sink::new(FrameBuilder::new(live.inputs(), rules))
}

/// A raw binary request: the values of the only input, as many rows as there are, answered in binary.
fn bare(live: &Live, body: &[u8]) -> Result<Request, Error> {
    let columns = live.inputs().len();
    let (target, datatype) = match inputs(live).as_slice() {
        _ if is_matrix(live) || (columns > 1 && live.inputs().all_numbers()) => (Target::Matrix, Datatype::Fp64),
        [only] => (Target::Column(0), only.datatype),
        many => {
            let message = format!("a request without a JSON header needs one input, the model has {}", many.len());
            return Err(Error::request("inference-header-content-length", message));
        }
    };
    let mut sink = sink(live);
    binary::read(body, datatype, |value| sink.give(target, value)).map_err(|error| {
        let message = format!("the body does not hold whole values of {}", datatype.name());
        error.unwrap_or_else(|| Error::request("body", message))
    })?;
    let (have, width) = (sink.taken(), width(live, target).max(1));
    if have % width != 0 {
        return Err(Error::request("body", format!("{have} values do not make whole rows of {width}")));
    }
    if have / width > live.max_rows() {
        return Err(Error::TooLarge { what: format!("{} rows", have / width), limit: live.max_rows() });
    }
    let (builder, ids, event_times_us) = sink.into_parts();
    let batch = Batch { frame: builder.finish_columns(have / width)?, ids, event_times_us };
    let wanted = Given::of(live).iter().map(|given| Wanted { given: *given, binary: true, largest: None }).collect();
    Ok(Request { id: None, batch, wanted })
}

/// The outputs that are asked for; all if none is named.
pub(super) fn wanted(live: &Live, all_binary: bool, named: &[Asked<'_>]) -> Result<Vec<Wanted>, Error> {
    if named.is_empty() {
        return Ok(Given::of(live)
            .iter()
            .map(|given| Wanted { given: *given, binary: all_binary, largest: None })
            .collect());
    }
    let one = |output: &Asked<'_>| {
        let given = Given::of(live).iter().find(|given| given.name() == output.name);
        let given = *given.ok_or_else(|| {
            let names: Vec<&str> = Given::of(live).iter().map(|given| given.name()).collect();
            Error::Request {
                field: format!("outputs.{}", output.name),
                message: format!("the model has no output `{}`", output.name),
                hint: Some(format!("the outputs are {}", names.join(", "))),
            }
        })?;
        let largest = output.classification.filter(|most| *most > 0);
        if largest.is_some() && !matches!(given, Given::Prediction | Given::Score | Given::Probabilities) {
            let message = format!("output `{}` holds no numbers that could be ranked", output.name);
            return Err(Error::request(format!("outputs.{}", output.name), message));
        }
        Ok(Wanted { given, binary: output.binary, largest })
    };
    named.iter().map(one).collect()
}

/// Reads one tensor and returns how many rows it has.
fn tensor(live: &Live, input: &Incoming<'_>, sink: &mut Sink<'_>) -> Result<usize, Error> {
    let datatype = Datatype::parse(input.datatype)
        .ok_or_else(|| Error::request(field(input.name), format!("there is no datatype `{}`", input.datatype)))?;
    let (target, rows) = target(live, input, datatype)?;
    if rows > live.max_rows() {
        return Err(Error::TooLarge { what: format!("{rows} rows"), limit: live.max_rows() });
    }
    let before = sink.taken();
    match input.data {
        Data::Json(json) => {
            let mut fault = None;
            let mut deserializer = serde_json::Deserializer::from_str(json.get());
            let read = Flat { sink, target, fault: &mut fault }.deserialize(&mut deserializer);
            if let Err(error) = read {
                return Err(fault
                    .unwrap_or_else(|| Error::request(field(input.name), format!("input `{}`: {error}", input.name))));
            }
        }
        Data::Binary(bytes) => binary::read(bytes, datatype, |value| sink.give(target, value))
            .map_err(|error| error.unwrap_or_else(|| damaged(input)))?,
        Data::Each(each) => each(&mut |value| sink.give(target, value))?,
    }
    let (have, need) = (sink.taken() - before, rows * width(live, target));
    if have != need {
        let message = format!("input `{}`: the shape {:?} needs {need} values, got {have}", input.name, input.shape);
        return Err(Error::request(field(input.name), message));
    }
    Ok(rows)
}

fn damaged(input: &Incoming<'_>) -> Error {
    let message = format!("input `{}`: the binary data do not hold whole values of {}", input.name, input.datatype);
    Error::request(field(input.name), message)
}

fn width(live: &Live, target: Target) -> usize {
    if target == Target::Matrix { live.inputs().len() } else { 1 }
}

/// Where a tensor belongs, and its rows.
fn target(live: &Live, input: &Incoming<'_>, datatype: Datatype) -> Result<(Target, usize), Error> {
    let columns = live.inputs().len();
    let (rows, rest) = input.shape.split_first().map_or((1, &[][..]), |(rows, rest)| (*rows, rest));
    let single = rest.iter().all(|length| *length == 1);
    if let Some(at) = live.inputs().position(input.name, 0)
        && (single || columns > 1)
    {
        let column = live.inputs().get(at).map(|column| column.data_type);
        if let Some(column) = column
            && !datatype.fits(column)
        {
            return Err(misfit(input, Datatype::of_column(column)));
        }
        return if single { Ok((Target::Column(at), rows)) } else { Err(shape(input, "[rows] or [rows, 1]")) };
    }
    match input.name {
        PREDICTION_ID | EVENT_TIME if datatype != Datatype::Bytes => Err(misfit(input, Datatype::Bytes)),
        PREDICTION_ID | EVENT_TIME if !single => Err(shape(input, "[rows] or [rows, 1]")),
        PREDICTION_ID => Ok((Target::Ids, rows)),
        EVENT_TIME => Ok((Target::Times, rows)),
        _ if rest == [columns] && live.inputs().all_numbers() => {
            if datatype == Datatype::Bytes {
                Err(misfit(input, Datatype::Fp64))
            } else {
                Ok((Target::Matrix, rows))
            }
        }
        name if name == matrix_name(live) => Err(shape(input, &format!("[rows, {columns}]"))),
        name => Err(Error::Request {
            field: field(input.name),
            message: format!("the model has no input `{name}`"),
            hint: Some(format!("the inputs are {}", live.inputs().describe())),
        }),
    }
}

fn misfit(input: &Incoming<'_>, expected: Datatype) -> Error {
    let message = format!("input `{}`: expected the datatype {}, got {}", input.name, expected.name(), input.datatype);
    Error::request(field(input.name), message)
}

fn shape(input: &Incoming<'_>, expected: &str) -> Error {
    let message = format!("input `{}`: expected the shape {expected}, got {:?}", input.name, input.shape);
    Error::request(field(input.name), message)
}

fn field(name: &str) -> String {
    format!("inputs.{name}")
}
