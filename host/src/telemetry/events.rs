//! Names of events that the platform, or more than one module, looks for.
//!
//! Operators search for these words: a changed name is a breaking change.

/// A variable is wrong; one line each.
pub const CONFIGURATION_MISTAKE: &str = "Configuration validation error";
/// The configuration was refused.
pub const CONFIGURATION_REFUSED: &str = "Runtime configuration validation failed";
/// The configuration was accepted.
pub const CONFIGURATION_READ: &str = "Configuration read";
/// The process begins its work.
pub const RUNTIME_STARTING: &str = "Starting three-surface runtime";
/// Neither a path nor a URL was given.
pub const NO_PACKAGE: &str = "No package source provided: PACKAGE_URL env var or package_path required";
/// How much memory there is, before any work.
pub const MEMORY_CHECKED: &str = "Memory checked";
/// The instances may use more together than the container may, and then it is killed.
pub const MEMORY_OVERCOMMITTED: &str = "Instances may use more memory than there is";
/// There is no place to keep how many boots failed.
pub const FAILURES_NOT_KEPT: &str = "Failed boots are not counted";
/// The package is being read.
pub const PACKAGE_LOADING: &str = "Loading agent package";
/// A package of another machine is wanted.
pub const PACKAGE_FETCHING: &str = "Downloading package from PACKAGE_URL";
/// The package must have a digest.
pub const DIGEST_DEMANDED: &str = "SHA256 validation enabled";
/// The package comes from another bucket than packages are expected in.
pub const OTHER_BUCKET: &str = "S3 URL does not match expected bucket";
/// A server is asked for the package; one line an attempt.
pub const PACKAGE_DOWNLOADING: &str = "Downloading package";
/// S3 is asked for the package; one line an attempt.
pub const PACKAGE_DOWNLOADING_S3: &str = "Downloading package from S3";
/// An attempt failed, and there will be another.
pub const FETCH_ATTEMPT_FAILED: &str = "Fetch attempt failed";
/// How far a long download is.
pub const DOWNLOAD_PROGRESS: &str = "Download progress";
/// The whole package is here.
pub const PACKAGE_DOWNLOADED: &str = "Package downloaded successfully";
/// The package cannot be had.
pub const PACKAGE_DOWNLOAD_FAILED: &str = "Failed to download package";
/// A package of an earlier start is used; the network is not.
pub const PACKAGE_KEPT_FOUND: &str = "Using the package kept by an earlier start";
/// The package is on disk for the next start.
pub const PACKAGE_KEPT: &str = "Package kept for the next start";
/// A trusted key signed the package.
pub const SIGNATURE_VERIFIED: &str = "Package signature verified";
/// The guest has no machine code for this machine, so it is compiled; that takes seconds, once.
pub const GUEST_COMPILING: &str = "Compiling the guest";
/// The resolver is asked what the agent needs.
pub const RESOLVING: &str = "Resolving dependencies";
/// It is known what the agent needs.
pub const RESOLVED: &str = "Dependencies resolved";
/// The deps layer is complete; the line has times, bytes and rates.
pub const DEPENDENCIES_INSTALLED: &str = "Dependencies installed";
/// The deps layer has its bytecode, some time after the agent was ready.
pub const DEPENDENCIES_COMPILED: &str = "Dependencies compiled";
/// The package was read and its manifest is valid.
pub const PACKAGE_LOADED: &str = "Package loaded successfully";
/// The agent needs native code nobody built for the sandbox.
pub const OUTSIDE_SANDBOX: &str = "Agent runs outside the sandbox";
/// A process of a native agent is confined, and by what.
pub const PROCESS_CONFINED: &str = "Process of the agent confined";
/// A part of its confinement could not be applied.
pub const CONFINEMENT_INCOMPLETE: &str = "Confinement incomplete";
/// The package was refused.
pub const PACKAGE_FAILED: &str = "Failed to load package";
/// The policy is wrong, or the package asks for more than it allows.
pub const GRANTS_REFUSED: &str = "Failed to grant capabilities";
/// What the agent was granted, by count.
pub const CAPABILITIES_GRANTED: &str = "Capabilities granted";
/// The policy only observes: what no rule grants happens all the same.
pub const OBSERVING: &str = "Policy observes and does not enforce";
/// The agent used a capability it was granted.
pub const CAPABILITY_USED: &str = "Capability used";
/// The agent was denied something, or reached a limit.
pub const CAPABILITY_DENIED: &str = "Capability denied";
/// The agent did what would be denied, and the policy only observes.
pub const CAPABILITY_OBSERVED: &str = "Capability observed";
/// The audit file cannot be written to; its lines are in the log until it can.
pub const AUDIT_FILE_BROKEN: &str = "Audit file cannot be written";
/// A collector does not take spans or log records; said once, until it does again.
pub const TELEMETRY_NOT_DELIVERED: &str = "Telemetry not delivered";
/// A collector takes them again.
pub const TELEMETRY_DELIVERED_AGAIN: &str = "Telemetry delivered again";
/// The audit file can be written to again.
pub const AUDIT_FILE_WRITTEN_AGAIN: &str = "Audit file written again";
/// One phase of the boot is over.
pub const BOOT_PHASE: &str = "Boot phase completed";
/// The boot failed; the line has the whole chain of reasons.
pub const BOOT_FAILED: &str = "Boot failed";
/// Waiting before the exit of a failed boot.
pub const BOOT_BACK_OFF: &str = "Boot failed, backing off before exit to avoid hot-restart loop";
/// The boot took longer than its budget.
pub const BOOT_OVER_BUDGET: &str = "Boot time exceeded budget";
/// The boot took longer than its hard limit.
pub const BOOT_OVER_LIMIT: &str = "Boot time exceeded hard limit";
/// Every configured surface listens.
pub const RUNTIME_READY: &str = "Runtime ready";
/// What health answers changed.
pub const HEALTH_CHANGED: &str = "Health state changed";
/// A surface ended although nobody asked it to.
pub const SURFACE_FAILED: &str = "Surface failed";
/// A request was answered.
pub const REQUEST_PROCESSED: &str = "Request processed";
/// An action raised or could not be run.
pub const ACTION_FAILED: &str = "Action invocation failed";
/// TERM or INT arrived.
pub const SIGNAL_RECEIVED: &str = "Received shutdown signal";
/// The shutdown begins.
pub const SHUTTING_DOWN: &str = "Shutting down three-surface runtime";
/// Health answers 503 from here on.
pub const NOT_READY: &str = "Marked runtime as not ready, health check will return 503";
/// Requests in flight are given time.
pub const DRAINING: &str = "Waiting for in-flight requests to complete";
/// Requests in flight were cut off.
pub const DRAIN_TIMED_OUT: &str = "In-flight requests did not complete in time";
/// The unpacked package goes.
pub const PACKAGE_REMOVED: &str = "Cleaning up downloaded package";
/// The process is about to exit.
pub const SHUTDOWN_COMPLETE: &str = "Runtime shutdown complete";
/// Something the agent printed or logged; the text is in `details`.
pub const AGENT_LOG: &str = "Agent log";
/// The agent logged faster than lines are taken.
pub const AGENT_LINES_DROPPED: &str = "Agent log lines dropped";
/// Lines are missing: the reader of the log was too slow, or a library was too loud.
pub const LINES_DROPPED: &str = "Log lines dropped";
/// A remark of a library PAR is built from.
pub const LIBRARY_MESSAGE: &str = "Library message";
/// PAR itself broke; a bug.
pub const PANICKED: &str = "Internal error";
