//! Messages as bytes and back, with the status the original server gives for bytes that are no
//! message: UNKNOWN, where the library says INTERNAL.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

/// Encodes `T`, decodes `U`.
pub struct AgentCodec<T, U>(PhantomData<fn() -> (T, U)>);

impl<T, U> Default for AgentCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for AgentCodec<T, U> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AgentCodec")
    }
}

impl<T: Message + Send + 'static, U: Message + Default + Send + 'static> Codec for AgentCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = AgentDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> AgentDecoder<U> {
        AgentDecoder(PhantomData)
    }
}

/// Decodes `U`.
pub struct AgentDecoder<U>(PhantomData<fn() -> U>);

impl<U> fmt::Debug for AgentDecoder<U> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AgentDecoder")
    }
}

impl<U: Message + Default> Decoder for AgentDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(bytes).map(Some).map_err(|error| {
            tracing::debug!(error = %error, "Message refused");
            Status::unknown("Exception deserializing request!")
        })
    }
}
