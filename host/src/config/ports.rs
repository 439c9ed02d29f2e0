//! Where the surfaces listen.

use std::fmt;
use std::num::NonZeroU16;

use super::mistake::{Expected, Mistakes};
use super::raw::Environment;
use super::reader::{Reader, boolean, whole};
use super::variables as v;

/// A TCP port somebody chose: 1 to 65535, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    fn parse(text: &str) -> Result<Self, Expected> {
        let number = whole(text, 1, u64::from(u16::MAX))?;
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or_else(|| Expected::new("a whole number from 1 to 65535"))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The port of the REST surface, whatever else is wrong with the environment.
///
/// # Errors
/// The mistake in it.
pub fn rest_port_of(environment: &Environment) -> Result<Port, Mistakes> {
    let mut reader = Reader::new(environment);
    reader.value(&v::REST_PORT, Port::parse).ok_or(Mistakes(reader.mistakes))
}

/// Where the surfaces listen. Ports that are bound at the same time differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// REST, health, and the UI when multiplexed.
    pub rest: Port,
    /// gRPC.
    pub a2a: Port,
    /// The UI when it is not multiplexed.
    pub ui: Port,
    /// What Prometheus reads, if anything does.
    pub metrics: Option<Port>,
    /// Whether the UI is served on the REST port.
    pub multiplexed: bool,
}

impl Ports {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let multiplexed = multiplexed(reader);
        let rest = reader.value(&v::REST_PORT, Port::parse);
        let a2a = reader.value(&v::A2A_PORT, Port::parse);
        let ui = reader.value(&v::UI_PORT, Port::parse);
        let metrics = reader.optional(&v::PAR_METRICS_PORT, Port::parse);

        // Also when A2A or the UI will not be bound: which surfaces an agent has is its own
        // business, and the same configuration must not work for one agent and fail for the next.
        let distinct = |reader: &mut Reader<'_>, first: Option<Port>, second, variable, other: &str| {
            if let (Some(first), Some(second)) = (first, second)
                && first == second
            {
                reader.refuse(variable, second.to_string(), format!("a port other than that of `{other}`"));
            }
        };
        distinct(reader, rest, a2a, &v::A2A_PORT, "REST_PORT");
        distinct(reader, a2a, ui, &v::UI_PORT, "A2A_PORT");
        if multiplexed == Some(false) {
            distinct(reader, rest, ui, &v::UI_PORT, "REST_PORT");
        }
        for (port, name) in [(rest, "REST_PORT"), (a2a, "A2A_PORT"), (ui, "UI_PORT")] {
            distinct(reader, port, metrics.flatten(), &v::PAR_METRICS_PORT, name);
        }
        Some(Self { rest: rest?, a2a: a2a?, ui: ui?, metrics: metrics?, multiplexed: multiplexed? })
    }
}

fn multiplexed(reader: &mut Reader<'_>) -> Option<bool> {
    let mut unknown = None;
    let value = reader.value(&v::MULTIPLEXED, |text| {
        Ok(boolean(text).unwrap_or_else(|_| {
            unknown = Some(text.to_owned());
            true
        }))
    });
    if let Some(text) = unknown {
        reader.remark(&v::MULTIPLEXED, text, "neither true nor false; the UI is multiplexed");
    }
    value
}
