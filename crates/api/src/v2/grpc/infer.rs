//! ModelInfer and ModelStreamInfer.

use axum::extract::{Request, State};
use axum::response::Response;
use conductor::House;
use futures_util::StreamExt as _;
use prost::Message as _;
use serving::decode::Value;
use serving::{Call, Error};
use tonic::{Status, Streaming};

use super::proto::{
    Choice, Contents, InferRequest, InferResponse, InputTensor, OutputTensor, Parameters, StreamResponse,
};
use super::{error, server, unary};
use crate::scoring;
use crate::v2::request::{Asked, Collector, Data, Incoming, Single, wanted};
use crate::v2::tensor::Datatype;
use crate::v2::{answer, metadata};

pub(super) async fn infer(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |request: InferRequest| answered(house.clone(), request)).await
}

/// Answers each request of a stream in its turn; a request that is refused does not end the stream.
pub(super) async fn stream(State(house): State<House>, request: Request) -> Response {
    let answers = |request: tonic::Request<Streaming<InferRequest>>| {
        let house = house.clone();
        let answer = move |request: Result<InferRequest, Status>| {
            let house = house.clone();
            async move {
                let request = request?;
                let (model_name, id) = (request.model_name.clone(), request.id.clone());
                let (error_message, response) = match answered(house, request).await {
                    Ok(response) => (String::new(), response),
                    Err(status) => {
                        (status.message().to_owned(), InferResponse { model_name, id, ..InferResponse::default() })
                    }
                };
                Ok::<_, Status>(StreamResponse { error_message, infer_response: Some(response) })
            }
        };
        std::future::ready(Ok::<_, Status>(tonic::Response::new(request.into_inner().then(answer).boxed())))
    };
    let mut server = server::<InferRequest, StreamResponse>(&house);
    server.streaming(tower::service_fn(answers), request).await.map(axum::body::Body::new)
}

async fn answered(house: House, request: InferRequest) -> Result<InferResponse, Status> {
    let (model, bytes) = (request.model_name.clone(), request.encoded_len());
    let answered = scoring::run(&house, &model, bytes, move |call| work(call, &request)).await;
    answered.map_err(|error| error::status(&error))
}

fn work(call: &Call, request: &InferRequest) -> Result<InferResponse, Error> {
    let live = call.live();
    metadata::check_version(live, Some(&request.model_version))?;
    let named: Vec<Asked<'_>> = request
        .outputs
        .iter()
        .map(|output| Asked {
            name: &output.name,
            binary: true,
            classification: whole(&output.parameters, "classification"),
        })
        .collect();
    let wanted = wanted(live, true, &named)?;
    let mut collector = Collector::new(live);
    if !request.raw.is_empty() && request.raw.len() != request.inputs.len() {
        let message = format!("{} inputs, but {} raw contents", request.inputs.len(), request.raw.len());
        return Err(Error::request("raw_input_contents", message));
    }
    for (index, input) in request.inputs.iter().enumerate() {
        let given = Given { input, raw: request.raw.get(index).map(|bytes| &**bytes) };
        collector.take(&Incoming {
            name: &input.name,
            shape: &given.shape()?,
            datatype: &input.datatype,
            data: given.data(&|give| given.each(give))?,
        })?;
    }
    let single = Single {
        prediction_id: text(&request.parameters, "prediction_id").map(str::to_owned),
        event_time: text(&request.parameters, "event_time"),
    };
    let answer = call.predict(collector.finish(single)?)?;
    let mut response = InferResponse {
        model_name: live.deployment().to_owned(),
        model_version: live.version().to_owned(),
        id: request.id.clone(),
        ..InferResponse::default()
    };
    for wanted in &wanted {
        let mut raw = Vec::new();
        let output = answer::output(live, &answer, wanted, &mut raw);
        let (name, datatype) = (output.name.to_owned(), output.datatype.to_owned());
        response.outputs.push(OutputTensor { name, datatype, shape: output.shape });
        response.raw.push(raw);
    }
    Ok(response)
}

/// An input with its raw contents, if there are any.
struct Given<'a> {
    input: &'a InputTensor,
    raw: Option<&'a [u8]>,
}

impl<'a> Given<'a> {
    fn refused(&self, message: &str) -> Error {
        Error::request(format!("inputs.{}", self.input.name), format!("input `{}`: {message}", self.input.name))
    }

    fn shape(&self) -> Result<Vec<usize>, Error> {
        let lengths = self.input.shape.iter().map(|length| usize::try_from(*length));
        lengths.collect::<Result<_, _>>().map_err(|_| self.refused("a shape has no negative lengths"))
    }

    fn data(&self, each: &'a crate::v2::request::Each<'a>) -> Result<Data<'a>, Error> {
        match (self.raw, &self.input.contents) {
            (Some(_), Some(_)) => Err(self.refused("the data are given twice, as contents and raw")),
            (Some(raw), None) => Ok(Data::Binary(raw)),
            (None, Some(_)) => Ok(Data::Each(each)),
            (None, None) => Err(self.refused("it has no data")),
        }
    }

    /// Hands out typed contents: those of the field that belongs to the datatype, and there must be no others.
    fn each(&self, give: &mut dyn FnMut(Value<'_>) -> Result<(), Error>) -> Result<(), Error> {
        use Datatype::{Bf16, Bool, Bytes, Fp16, Fp32, Fp64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
        let none = Contents::default();
        let contents = self.input.contents.as_ref().unwrap_or(&none);
        let datatype = Datatype::parse(&self.input.datatype);
        let number = |value: f64| if value.is_nan() { Value::Null } else { Value::Float(value) };
        let taken = match datatype {
            Some(Bool) => all(&contents.bools, |value| give(Value::Bool(*value)))?,
            Some(Int8 | Int16 | Int32) => all(&contents.ints, |value| give(Value::Int(i64::from(*value))))?,
            Some(Int64) => all(&contents.longs, |value| give(Value::Int(*value)))?,
            Some(Uint8 | Uint16 | Uint32) => all(&contents.uints, |value| give(Value::Int(i64::from(*value))))?,
            Some(Uint64) => all(&contents.ulongs, |value| give(Value::from(*value)))?,
            Some(Fp32) => all(&contents.floats, |value| give(number(f64::from(*value))))?,
            Some(Fp64) => all(&contents.doubles, |value| give(number(*value)))?,
            Some(Bytes) => all(&contents.bytes, |value| match std::str::from_utf8(value) {
                Ok(text) => give(Value::Text(text)),
                Err(_) => Err(self.refused("a text is not UTF-8")),
            })?,
            Some(Fp16 | Bf16) => return Err(self.refused("numbers of 16 bits come only in raw contents")),
            None => 0,
        };
        let Contents { bools, ints, longs, uints, ulongs, floats, doubles, bytes } = contents;
        let there = bools.len() + ints.len() + longs.len() + uints.len() + ulongs.len();
        if there + floats.len() + doubles.len() + bytes.len() == taken {
            return Ok(());
        }
        Err(self.refused(&format!("its contents are in another field than that of {}", self.input.datatype)))
    }
}

fn all<T>(values: &[T], give: impl FnMut(&T) -> Result<(), Error>) -> Result<usize, Error> {
    values.iter().try_for_each(give).map(|()| values.len())
}

fn whole(parameters: &Parameters, name: &str) -> Option<usize> {
    match parameters.get(name)?.choice.as_ref()? {
        Choice::Int(value) => usize::try_from(*value).ok(),
        Choice::Unsigned(value) => usize::try_from(*value).ok(),
        Choice::Bool(_) | Choice::Text(_) | Choice::Double(_) => None,
    }
}

fn text<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p str> {
    match parameters.get(name)?.choice.as_ref()? {
        Choice::Text(text) => Some(text),
        _ => None,
    }
}
