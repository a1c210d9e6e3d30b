//! Messages as protobuf. Bytes that are none are the caller's mistake, not ours.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Reads `In` and writes `Out`.
pub(super) struct Messages<In, Out>(PhantomData<(In, Out)>);

impl<In, Out> Messages<In, Out> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<In, Out> Codec for Messages<In, Out>
where
    In: Message + Default + 'static,
    Out: Message + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = Writes<Out>;
    type Decoder = Reads<In>;

    fn encoder(&mut self) -> Writes<Out> {
        Writes(PhantomData)
    }

    fn decoder(&mut self) -> Reads<In> {
        Reads(PhantomData)
    }
}

/// Writes messages.
pub(super) struct Writes<Out>(PhantomData<Out>);

impl<Out: Message> Encoder for Writes<Out> {
    type Item = Out;
    type Error = Status;

    fn encode(&mut self, message: Out, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Reads messages.
pub(super) struct Reads<In>(PhantomData<In>);

impl<In: Message + Default> Decoder for Reads<In> {
    type Item = In;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<In>, Status> {
        let read = In::decode(buffer).map(Some);
        read.map_err(|error| Status::invalid_argument(format!("the bytes are no message of this method: {error}")))
    }
}
