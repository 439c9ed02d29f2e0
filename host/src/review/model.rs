//! What there is to say about a package under a policy: the JSON of `par grants --json`.
//!
//! `docs/review.md` describes the fields. New ones may be added; the meaning of one never changes
//! without another `version`.

use serde::Serialize;

/// The value of `format`.
pub(super) const FORMAT: &str = "par-grants";

/// The value of `version`.
pub(super) const VERSION: u32 = 1;

/// One package under one policy.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// Always `par-grants`.
    pub format: &'static str,
    /// The version of the format.
    pub version: u32,
    /// The version of PAR that decided.
    pub par: &'static str,
    /// Whether the package gets what it asks for.
    pub verdict: Verdict,
    /// The package.
    pub package: About,
    /// The policy.
    pub policy: PolicyFacts,
    /// What it asks for and does not get. Empty when the verdict is `granted`.
    pub differences: Vec<Refused>,
    /// Where its code runs.
    pub backend: BackendFacts,
    /// Rules about outbound requests.
    pub outbound: Vec<OutboundGrant>,
    /// Addresses that are not public and may be dialled.
    pub outbound_addresses: Vec<AddressGrant>,
    /// Secrets.
    pub secrets: Vec<SecretGrant>,
    /// What it finds in its file system.
    pub files: Vec<FileGrant>,
    /// Its environment.
    pub environment: Vec<VariableGrant>,
    /// What is fixed about time and random numbers.
    pub determinism: Vec<FixedGrant>,
    /// The limits it runs under.
    pub limits: Vec<LimitFact>,
    /// What the policy denies, whoever asks.
    pub denied: Vec<DeniedRule>,
    /// What is installed for it.
    pub dependencies: Dependencies,
    /// What is odd about the package and yet accepted.
    pub remarks: Vec<String>,
}

/// Whether a package gets what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Granted,
    /// It asks for more: PAR does not start it.
    AbovePolicy,
}

/// The package.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    pub name: String,
    pub version: String,
    pub description: String,
    pub author: String,
    pub license: Option<String>,
    /// The name of the file or directory.
    pub file: String,
    /// Digest of the file; `null` for a directory.
    pub sha256: Option<String>,
    /// Whether it has `sandbox`, in the manifest or in `pak.yaml`.
    pub asks: bool,
    pub surfaces: Vec<SurfaceFact>,
}

/// One surface.
#[derive(Debug, Clone, Serialize)]
pub struct SurfaceFact {
    /// `rest`, `a2a` or `ui`.
    pub surface: &'static str,
    /// What answers there.
    pub answers: String,
}

/// The policy.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyFacts {
    /// The path, `PAR_POLICY` for one in the variable itself, `null` without a policy.
    pub source: Option<String>,
    /// Digest of its text.
    pub sha256: Option<String>,
    /// `enforce` or `observe`.
    pub mode: &'static str,
}

/// Where the code runs.
#[derive(Debug, Clone, Serialize)]
pub struct BackendFacts {
    /// `sandbox`.
    pub backend: &'static str,
    /// `native` of the policy: `refuse`, `allow`, or the distributions.
    pub native: Vec<String>,
    /// Why, in a sentence.
    pub because: String,
}

/// Who decided about one thing, and how.
#[derive(Debug, Clone, Serialize)]
pub struct Decided {
    /// Whether the agent has it. `false` for what it asks for and does not get.
    pub granted: bool,
    /// `asked` or `unasked`; `null` for what every agent has, and for what is refused.
    pub origin: Option<&'static str>,
    /// The line of the policy that decided.
    pub rule: Option<String>,
    /// Where that line is in the policy, counted from 1.
    pub line: Option<u64>,
    /// The line of the package that asks.
    pub asked_at: Option<String>,
    /// Why it is refused: a stable code.
    pub code: Option<&'static str>,
    /// What decides where no line does, or why it is refused.
    pub because: Option<String>,
}

/// A rule about outbound requests.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundGrant {
    /// Scheme, host, port where it is not the scheme's own, path.
    pub url: String,
    /// `null` for every method.
    pub methods: Option<Vec<String>>,
    #[serde(flatten)]
    pub decided: Decided,
}

/// A range of addresses.
#[derive(Debug, Clone, Serialize)]
pub struct AddressGrant {
    pub range: String,
    #[serde(flatten)]
    pub decided: Decided,
}

/// A secret.
#[derive(Debug, Clone, Serialize)]
pub struct SecretGrant {
    pub name: String,
    /// The only places its value is sent to.
    pub hosts: Vec<String>,
    /// `variable NAME` or `file PATH`, of the operator's; `null` for what is refused.
    pub value_from: Option<String>,
    #[serde(flatten)]
    pub decided: Decided,
}

/// A directory.
#[derive(Debug, Clone, Serialize)]
pub struct FileGrant {
    /// Where the agent finds it.
    pub path: String,
    /// `read` or `read and write`.
    pub access: &'static str,
    /// What it is.
    pub what: String,
    #[serde(flatten)]
    pub decided: Decided,
}

/// A variable. Values are not shown: any of them may be a secret.
#[derive(Debug, Clone, Serialize)]
pub struct VariableGrant {
    pub name: String,
    /// Where the value comes from.
    pub from: String,
    #[serde(flatten)]
    pub decided: Decided,
}

/// A clock that stands, or random numbers that repeat.
#[derive(Debug, Clone, Serialize)]
pub struct FixedGrant {
    /// `clock` or `random`.
    pub what: &'static str,
    /// The time or the seed; `null` where nothing is fixed.
    pub fixed: Option<String>,
    #[serde(flatten)]
    pub decided: Decided,
}

/// A limit.
#[derive(Debug, Clone, Serialize)]
pub struct LimitFact {
    pub key: &'static str,
    pub value: u64,
    /// What happens when it is reached.
    pub reached: &'static str,
    /// The line of the package, of the policy, the variable, or `default`.
    pub decided_by: String,
}

/// A rule under `deny`.
#[derive(Debug, Clone, Serialize)]
pub struct DeniedRule {
    pub capability: &'static str,
    pub what: String,
    pub rule: String,
}

/// What a package asks for and does not get.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    pub capability: &'static str,
    pub code: &'static str,
    pub asked_at: String,
    pub asked: String,
    /// What the policy has instead, as the end of a sentence.
    pub policy: String,
}

/// What is installed.
#[derive(Debug, Clone, Serialize)]
pub struct Dependencies {
    /// The file that says so.
    pub source: Option<&'static str>,
    /// Whether `pylock.toml` pins every file with its digest.
    pub locked: bool,
    pub requirements: Vec<String>,
    /// Files of the package that are machine code. They do not run in the sandbox.
    pub native_files: Vec<String>,
}
