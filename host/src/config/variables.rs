//! Every variable PAR reads: name, default, unit and meaning, once.
//!
//! The parser takes its defaults from here, and `docs/configuration.md` repeats the table row
//! by row; a test holds the two together.

/// One environment variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Other names it is known by. The first name that is set wins.
    pub aliases: &'static [&'static str],
    /// What holds when nobody sets it.
    pub default: Fallback,
    /// What kind of value it takes, and in which unit.
    pub unit: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

/// What holds when nobody sets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// PAR does not start without it.
    Required,
    /// Nothing.
    Unset,
    /// This value, parsed as if it had been set.
    Value(&'static str),
    /// A value found at start, described here.
    Computed(&'static str),
}

impl Variable {
    /// The row of this variable in the table of `docs/configuration.md`.
    #[must_use]
    pub fn documentation_row(&self) -> String {
        let aliases: String = self.aliases.iter().map(|alias| format!(" (or `{alias}`)")).collect();
        let default = match self.default {
            Fallback::Required => "required".to_owned(),
            Fallback::Unset => "none".to_owned(),
            Fallback::Value(value) => format!("`{value}`"),
            Fallback::Computed(text) => text.to_owned(),
        };
        format!("| `{}`{aliases} | {default} | {} | {} |", self.name, self.unit, self.meaning)
    }
}

macro_rules! variables {
    ($($name:ident $(or $($alias:ident),+)? = $default:expr, $unit:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: Variable = Variable {
                name: stringify!($name),
                aliases: &[$($(stringify!($alias)),+)?],
                default: $default,
                unit: $unit,
                meaning: $meaning,
            };
        )*

        /// All of them, in the order of the documentation.
        pub static VARIABLES: &[&Variable] = &[$(&$name),*];
    };
}

use Fallback::{Computed, Required, Unset, Value};

variables! {
    AGENT_APP_ID = Required, "text",
        "Identity of the agent, used exactly as given. PAR never invents one; blank counts as missing.";
    DEPLOYMENT_ID = Unset, "text",
        "Identity of the deployment, in every log line.";

    REST_PORT = Value("8080"), "port",
        "Port of the REST surface, and of the UI when multiplexed.";
    A2A_PORT = Value("50051"), "port",
        "Port of the A2A surface (gRPC without TLS).";
    UI_PORT = Value("3000"), "port",
        "Port of the UI, bound only when `MULTIPLEXED` is false.";
    PAR_METRICS_PORT = Unset, "port",
        "Port of `/metrics` for Prometheus, on all interfaces. Unset, there is none.";
    MULTIPLEXED or UI_MULTIPLEXED = Value("true"), "true or false",
        "Whether the UI is served on `REST_PORT`. A value that is neither warns and counts as true.";
    BASE_PATH = Value("/"), "path",
        "Prefix of every route. `{AGENT_APP_ID}` in it is replaced.";
    SERVE_AT_ROOT = Value("false"), "true or false",
        "Serve the routes of the agent at `/` as well as under `BASE_PATH`.";

    AGENT_PACKAGE_PATH = Unset, "path",
        "The agent package, a file or a directory. Wins over `PACKAGE_URL`; the argument of `par run` wins over both.";
    PACKAGE_URL = Unset, "https:// or s3:// URL",
        "Where to fetch the agent package. Queries, which carry signatures, are never logged.";
    PACKAGE_SHA256 = Unset, "64 hex digits",
        "Digest the package must have. A package with a known digest is kept, and fetched once.";
    MAX_PACKAGE_SIZE_MB = Value("100"), "MiB",
        "Largest package that is accepted.";
    PACKAGE_TRUSTED_KEYS = Unset, "minisign public keys",
        "Keys, separated by spaces or commas, of which one must have signed the package. Unset, no signature is asked for.";
    PACKAGE_SIGNATURE = Unset, "text of a `.minisig` file",
        "The signature of the package. Unset, it lies beside the package, with `.minisig` appended to its URL or path.";
    PACKAGE_INTERNAL_HOSTS = Unset, "host names, comma-separated",
        "Hosts packages and wheels may come from although their addresses are private or loopback. Addresses that serve metadata stay refused.";
    FETCH_TIMEOUT_SEC = Value("60"), "s",
        "Longest time until the package is fetched, all attempts together.";
    FETCH_IDLE_TIMEOUT_SEC = Value("10"), "s",
        "Longest silence of the server; the attempt ends and another may follow.";
    AWS_REGION = Value("us-east-2"), "region",
        "Region of the package bucket. A value of another form only warns.";
    S3_BUCKET = Value("pixell-agent-packages"), "bucket name",
        "Bucket packages are expected in. A package from another bucket only warns.";
    S3_BUCKET_OWNER = Unset, "AWS account, 12 digits",
        "Account the bucket of the package must belong to; S3 refuses when it does not.";
    AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL = Unset, "https:// or http:// URL",
        "Another store that speaks S3, addressed with the bucket in the path. Plain `http` warns.";
    AWS_CA_BUNDLE = Unset, "file",
        "Certificates (PEM) to trust for S3 instead of the system's.";
    AWS_ACCESS_KEY_ID = Unset, "secret",
        "Key that signs requests to S3. Wins over the role of the task.";
    AWS_SECRET_ACCESS_KEY = Unset, "secret",
        "The other half of `AWS_ACCESS_KEY_ID`.";
    AWS_SESSION_TOKEN = Unset, "secret",
        "What makes a temporary key valid.";
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = Unset, "path",
        "Where ECS gives the credentials of the task's role; ECS sets it.";
    AWS_CONTAINER_CREDENTIALS_FULL_URI = Unset, "URL",
        "The same as a whole URL; EKS sets it.";
    AWS_CONTAINER_AUTHORIZATION_TOKEN = Unset, "secret",
        "What `AWS_CONTAINER_CREDENTIALS_FULL_URI` wants to see.";
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = Unset, "file",
        "The same in a file, read whenever it is needed.";

    BOOT_BUDGET_MS = Value("5000"), "ms",
        "Time a boot should take. A longer boot warns and names its phases.";
    BOOT_HARD_LIMIT_MULTIPLIER = Value("0"), "factor",
        "A boot longer than the budget times this factor exits; 0 turns the limit off.";
    STARTUP_TIMEOUT_SEC = Value("300"), "s",
        "PAR exits when it is not ready after this time.";
    BOOT_FAILURE_COUNT or BOOT_RETRY_COUNT = Value("0"), "count",
        "Boots that failed before this one; the count kept in `PAR_CACHE_DIR`, where that is set, wins if it is larger. When one more fails, PAR waits min(60, 2^count) s before it exits.";
    PAR_EXIT_CODES = Value("one"), "one or by_class",
        "Whether every failure exits with 1, or each class of failures with its own code.";
    GRACEFUL_SHUTDOWN_TIMEOUT_SEC = Value("30"), "s",
        "Longest time requests in flight get to finish after TERM or INT.";
    REQUEST_TIMEOUT_SEC = Value("30"), "s",
        "Longest time one request may take, waiting for an instance included.";

    PAR_INSTANCES = Computed("the number of cores"), "count, 1 to 256",
        "Instances of the agent that share the load.";
    PAR_MEMORY_MIB = Value("512"), "MiB, 64 to 4096",
        "Most memory one instance may use.";
    PAR_POLICY = Unset, "path or YAML",
        "The operator's policy: what every agent is granted, and what one may ask for. Without it, nothing.";
    PAR_OBSERVE = Value("allow"), "allow or refuse",
        "Whether a policy may say `mode: observe`. Production images refuse it.";
    PAR_NATIVE = Value("allow"), "allow or refuse",
        "Without a policy: whether an agent with native code nobody built for the sandbox runs outside of it. Production images refuse it.";
    PAR_CONFINEMENT = Value("available"), "available or strict",
        "Whether native agents run where a part of what confines them cannot be applied. With `strict` they do not, whatever the policy says.";
    PAR_AUDIT_FILE = Unset, "file",
        "Where the use and the denial of capabilities is recorded, instead of the log. Made with mode 0600, appended to.";
    A2A_MAX_MESSAGE_BYTES = Value("4194304"), "bytes",
        "Largest gRPC message that is accepted.";
    PAR_GUEST_DIR = Computed("`../lib/par/guest` from the binary"), "directory",
        "The guest: component, Python standard library and platform libraries, as `just guest` builds them.";
    PAR_CACHE_DIR = Computed("`par` in the cache directory of the user, else in the temporary directory"), "directory",
        "Where packages, dependencies and compiled code are kept between starts.";
    PAR_CACHE_LIMIT_MB = Value("10240"), "MiB",
        "How much of them is kept: above it, what was not used for longest is removed, after the agent is ready.";
    WHEELHOUSE_DIR = Unset, "directory",
        "Wheels that are tried before the package index.";
    WHEELHOUSE_OFFLINE = Value("false"), "true or false",
        "Install from the cache and the wheelhouse alone; the package index is never asked.";
    PAR_BUILD_FROM_SOURCE = Value("off"), "off or in_sandbox",
        "Whether a dependency without a wheel is built, which happens inside the sandbox or not at all.";
    PAR_UV = Computed("the one of `just tools`, else the one on `PATH`"), "path",
        "The program that resolves requirements. Only the version this release was tested with is accepted.";
    PAR_PYTHON = Computed("the newest of 3.11 to 3.14 on `PATH`"), "path",
        "The CPython, 3.11 or newer, that runs agents outside the sandbox.";
    INSTALL_TIMEOUT_SEC = Value("300"), "s",
        "Longest time resolving, downloading and unpacking dependencies may take together.";
    PAR_INDEX_URL = Computed("the public index"), "https:// URL",
        "Package index that requirements are resolved against and wheels come from. May carry credentials, which go to it alone and are never logged.";

    SSL_CERT_FILE = Unset, "path",
        "File with the certificate authorities (PEM) that outbound TLS of the agent trusts, in the place of the platform's.";
    SSL_CERT_DIR = Unset, "directory",
        "Directory of certificate authorities, named by their hashes; as `SSL_CERT_FILE`, or beside it.";

    LOG_LEVEL or RUST_LOG = Value("info"), "debug, info, warning or error",
        "Least serious log lines that are written. Of a list as Rust programs take it, `info,par=debug`, what is said of `par` counts, else what is said of all.";

    OTEL_SDK_DISABLED = Value("false"), "true or false",
        "Whether nothing is sent to any collector, whatever the other variables say.";
    OTEL_TRACES_EXPORTER = Computed("`otlp` where an endpoint for traces is named, else `none`"), "none or otlp",
        "Whether spans are sent to a collector.";
    OTEL_LOGS_EXPORTER = Computed("`otlp` where an endpoint for logs is named, else `none`"), "none or otlp",
        "Whether the lines of the log are sent to a collector, besides being written.";
    OTEL_EXPORTER_OTLP_ENDPOINT = Unset, "https:// or http:// URL",
        "The collector. Spans go to `/v1/traces` below it, log records to `/v1/logs`. With an exporter and no endpoint it is `http://localhost:4318`.";
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = Unset, "https:// or http:// URL",
        "Where spans go, the whole URL.";
    OTEL_EXPORTER_OTLP_LOGS_ENDPOINT = Unset, "https:// or http:// URL",
        "Where log records go, the whole URL.";
    OTEL_EXPORTER_OTLP_PROTOCOL = Value("http/protobuf"), "http/protobuf",
        "What collectors are spoken to with. Others are refused; collectors have it on port 4318.";
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL = Unset, "http/protobuf",
        "The same for spans alone.";
    OTEL_EXPORTER_OTLP_LOGS_PROTOCOL = Unset, "http/protobuf",
        "The same for log records alone.";
    OTEL_EXPORTER_OTLP_HEADERS = Unset, "secret",
        "Headers of every request to a collector, `key=value,key=value`, values percent-encoded.";
    OTEL_EXPORTER_OTLP_TRACES_HEADERS = Unset, "secret",
        "The same for spans alone, instead.";
    OTEL_EXPORTER_OTLP_LOGS_HEADERS = Unset, "secret",
        "The same for log records alone, instead.";
    OTEL_EXPORTER_OTLP_TIMEOUT = Value("10000"), "ms",
        "Longest time one request to a collector may take.";
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT = Unset, "ms",
        "The same for spans alone.";
    OTEL_EXPORTER_OTLP_LOGS_TIMEOUT = Unset, "ms",
        "The same for log records alone.";
    OTEL_EXPORTER_OTLP_CERTIFICATE = Unset, "file",
        "Certificates (PEM) to trust for collectors instead of the system's.";
    OTEL_SERVICE_NAME = Computed("that of `AGENT_APP_ID`"), "text",
        "What collectors know the agent as: `service.name`.";
    OTEL_RESOURCE_ATTRIBUTES = Unset, "`key=value,key=value`",
        "What else is said of the process to collectors, values percent-encoded.";
    OTEL_TRACES_SAMPLER = Value("parentbased_always_on"), "name of a sampler",
        "Which requests are traced: `always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`, which asks only where the caller has not decided.";
    OTEL_TRACES_SAMPLER_ARG = Value("1"), "share, 0 to 1",
        "The share of `traceidratio`.";

    TEST_BOOT_DELAY_MS or BOOT_TEST_DELAY_MS = Value("0"), "ms",
        "For tests: time to wait before ready.";
    TEST_CONFINEMENT_WITHOUT = Unset, "parts, separated by commas",
        "For tests: parts of the confinement of native agents that are left out.";
}

/// Variables of earlier runtimes. They may be set; PAR does not read them.
pub static LEGACY: &[&str] = &[
    "A2A_EXTERNAL_ENDPOINT",
    "ADMIN_PORT",
    "AGENT_VENV_PATH",
    "AWS_ACCOUNT_ID",
    "CODEARTIFACT_DOMAIN",
    "CODEARTIFACT_REPOSITORY",
    "ECS_CONTAINER_METADATA_URI_V4",
    "ENABLE_CODEARTIFACT",
    "ENVOY_ADMIN_URL",
    "LOG_FORMAT",
    "MAX_AGENTS",
    "MAX_CONCURRENT_INVOCATIONS",
    "PACKAGES_URLS",
    "PAR_INSTALL_SELF_IN_VENV",
    "PAR_RUNTIME_SECRET",
    "PAR_SUPERVISOR_URL",
    "PAR_UPGRADE_PIP",
    "PAR_USE_SYSTEM_PYTHON_FOR_SUBPROCESS",
    "PORT",
    "REQUEST_TIMEOUT_SECONDS",
    "RUNTIME_INSTANCE_ID",
    "RUNTIME_MODE",
    "RUNTIME_READY",
    "SERVICE_DISCOVERY_NAMESPACE",
    "SERVICE_DISCOVERY_SERVICE",
    "TRUSTED_KEYS",
    "VERIFY_SIGNATURES",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../docs/configuration.md");

    #[test]
    fn the_page_has_exactly_the_rows_of_the_table() {
        let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
        let table: Vec<String> = VARIABLES.iter().map(|variable| variable.documentation_row()).collect();

        for expected in &table {
            assert!(rows.contains(&expected.as_str()), "docs/configuration.md lacks this row:\n{expected}");
        }
        for row in rows {
            assert!(table.iter().any(|expected| expected == row), "no variable has this row:\n{row}");
        }
    }

    #[test]
    fn the_page_lists_exactly_the_legacy_variables() {
        let listed: BTreeSet<&str> = PAGE
            .split("## Variables of earlier runtimes")
            .nth(1)
            .unwrap_or_default()
            .split('`')
            .filter(|word| {
                !word.is_empty()
                    && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            })
            .collect();

        assert_eq!(listed, LEGACY.iter().copied().collect());
    }

    #[test]
    fn no_name_is_used_twice() {
        let mut seen = BTreeSet::new();
        let names = VARIABLES
            .iter()
            .flat_map(|variable| std::iter::once(variable.name).chain(variable.aliases.iter().copied()));

        for name in names.chain(LEGACY.iter().copied()) {
            assert!(seen.insert(name), "`{name}` is used twice");
        }
    }

    #[test]
    fn variables_for_tests_say_so_in_their_name() {
        for variable in VARIABLES.iter().filter(|variable| variable.meaning.starts_with("For tests")) {
            assert!(variable.name.starts_with("TEST_"), "{}", variable.name);
        }
    }
}
