//! What a package asks and what an operator decides, parsed and not yet brought together.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Mode;
use crate::granted::RuleId;
use crate::limits::LimitSettings;
use crate::name::{DataName, DataPath, VariableName, VariablePattern};
use crate::outbound::{AddressRange, OutboundRule};
use crate::secret::{SecretBinding, SecretName};

/// One line of a file: what it says, and its name for reviewers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<T> {
    /// The keys that lead to it: `allow.outbound[0]`.
    pub rule: RuleId,
    /// What it says.
    pub value: T,
}

/// A point in time the agent's clock stands at, since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedClock(pub Duration);

/// The seed the agent's random numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedRandom(pub u64);

/// Most bytes the scratch directory of one instance may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScratchLimit(u32);

impl ScratchLimit {
    /// What a limit has to be, as a noun phrase.
    pub const EXPECTED: &str = "1 to 16384 MiB";

    /// Parses a limit in mebibytes.
    #[must_use]
    pub fn from_mib(mib: u64) -> Option<Self> {
        u32::try_from(mib).ok().filter(|mib| (1..=16_384).contains(mib)).map(Self)
    }

    /// The limit in mebibytes.
    #[must_use]
    pub const fn mib(self) -> u32 {
        self.0
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        (self.0 as u64) << 20
    }
}

/// What a package asks for under `sandbox:`. Empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requested {
    /// `outbound`.
    pub outbound: Vec<Line<OutboundRule>>,
    /// `outbound_addresses`.
    pub outbound_addresses: Vec<Line<AddressRange>>,
    /// `env`: variables of the operator's environment.
    pub env: Vec<Line<VariableName>>,
    /// `secrets`.
    pub secrets: Vec<Line<(SecretName, SecretBinding)>>,
    /// `files.data`.
    pub data: Vec<Line<DataName>>,
    /// `files.scratch_mib`.
    pub scratch: Option<Line<ScratchLimit>>,
    /// `clock`. Asking for less than everybody has needs no policy.
    pub clock: Option<Line<FixedClock>>,
    /// `random`.
    pub random: Option<Line<FixedRandom>>,
    /// `backend: native`: to run outside the sandbox.
    pub native: Option<Line<()>>,
    /// `limits`.
    pub limits: LimitSettings,
}

impl Requested {
    /// What is asked for without these lines: what a package would ask for that left them out.
    #[must_use]
    pub fn without(&self, lines: &[RuleId]) -> Self {
        fn rest<T: Clone>(list: &[Line<T>], lines: &[RuleId]) -> Vec<Line<T>> {
            list.iter().filter(|line| !lines.contains(&line.rule)).cloned().collect()
        }
        fn one<T: Clone>(line: &Option<Line<T>>, lines: &[RuleId]) -> Option<Line<T>> {
            line.clone().filter(|line| !lines.contains(&line.rule))
        }
        Self {
            outbound: rest(&self.outbound, lines),
            outbound_addresses: rest(&self.outbound_addresses, lines),
            env: rest(&self.env, lines),
            secrets: rest(&self.secrets, lines),
            data: rest(&self.data, lines),
            scratch: one(&self.scratch, lines),
            clock: one(&self.clock, lines),
            random: one(&self.random, lines),
            native: one(&self.native, lines),
            limits: self.limits.without(lines),
        }
    }
}

/// Where the value of a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableSource {
    /// From the policy itself.
    Value(String),
    /// From the variable of that name in the operator's environment.
    Host(VariableName),
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the operator's environment.
    Environment(String),
    /// A file of the operator's.
    File(String),
}

/// A secret as the operator's policy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySecret {
    /// Its name.
    pub name: SecretName,
    /// Towards whom it may be used.
    pub binding: SecretBinding,
    /// Where its value is.
    pub source: SecretSource,
}

/// `grant`: what every package gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// `outbound`.
    pub outbound: Vec<Line<OutboundRule>>,
    /// `outbound_addresses`.
    pub outbound_addresses: Vec<Line<AddressRange>>,
    /// `env`.
    pub env: Vec<Line<(VariableName, VariableSource)>>,
    /// `secrets`.
    pub secrets: Vec<Line<PolicySecret>>,
    /// `files.data`.
    pub data: Vec<Line<(DataName, DataPath)>>,
    /// `files.scratch_mib`.
    pub scratch: Option<Line<ScratchLimit>>,
    /// `clock`.
    pub clock: Option<Line<FixedClock>>,
    /// `random`.
    pub random: Option<Line<FixedRandom>>,
}

/// `allow`: what a package gets when it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    /// `outbound`.
    pub outbound: Vec<Line<OutboundRule>>,
    /// `outbound_addresses`.
    pub outbound_addresses: Vec<Line<AddressRange>>,
    /// `env`: variables of the operator's environment.
    pub env: Vec<Line<VariablePattern>>,
    /// `secrets`.
    pub secrets: Vec<Line<PolicySecret>>,
    /// `files.data`.
    pub data: Vec<Line<(DataName, DataPath)>>,
    /// `files.scratch_mib`.
    pub scratch: Option<Line<ScratchLimit>>,
}

/// `deny`: what no package gets, whatever else the policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deny {
    /// `outbound`.
    pub outbound: Vec<Line<OutboundRule>>,
    /// `outbound_addresses`.
    pub outbound_addresses: Vec<Line<AddressRange>>,
    /// `env`: also the variables a package sets itself.
    pub env: Vec<Line<VariablePattern>>,
    /// `secrets`.
    pub secrets: Vec<Line<SecretName>>,
    /// `files.data`.
    pub data: Vec<Line<DataName>>,
}

/// `native`: whether an agent that cannot run in the sandbox may run outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Native {
    /// No.
    #[default]
    Refuse,
    /// Yes.
    Allow,
    /// Only for the sake of these distributions, by their normalised names.
    Distributions(BTreeSet<String>),
}

/// `confinement`: whether native agents run where a part of what confines them cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Confinement {
    /// They run with what the system offers; what is missing is in the log and on the record.
    #[default]
    Available,
    /// They do not run.
    Strict,
}

/// What the operator decides. The default grants and allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `grant`.
    pub grant: Grant,
    /// `allow`.
    pub allow: Allow,
    /// `deny`.
    pub deny: Deny,
    /// `native`.
    pub native: Native,
    /// `confinement`.
    pub confinement: Confinement,
    /// `limits`: what every package runs under, and the most it can ask for.
    pub limits: LimitSettings,
    /// `mode`.
    pub mode: Mode,
}
