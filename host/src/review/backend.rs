//! What is said about where an agent runs, and about its limits.

use par_policy::policy::Native;

use super::model::BackendFacts;

/// Where an agent runs under this `native` of the policy.
pub(super) fn facts(native: &Native) -> BackendFacts {
    let (native, because) = match native {
        Native::Refuse => (
            vec!["refuse".to_owned()],
            "the policy refuses everything else: an agent that cannot run in the sandbox does not start",
        ),
        Native::Allow => (
            vec!["allow".to_owned()],
            "an agent that cannot run in the sandbox runs outside of it, in a process of its own with the same grants; \
             `par check --verdict` says whether this one does",
        ),
        Native::Distributions(names) => (
            names.iter().cloned().collect(),
            "an agent that needs one of these distributions runs outside the sandbox, in a process of its own with \
             the same grants; `par check --verdict` says whether this one does",
        ),
    };
    BackendFacts { backend: "sandbox", native, because: because.to_owned() }
}

/// What happens when a limit is reached, by its key.
pub(super) fn reached(key: &str) -> &'static str {
    match key {
        "memory_mib" => "the agent sees a MemoryError",
        "request_timeout_ms" => "the caller gets 504, the instance is replaced",
        "instances" => "no more instances are started",
        "cpu_percent" => "the instance pauses",
        "concurrent_requests" => "requests wait",
        "queued_requests" => "the caller gets 503",
        "requests_per_instance" => "the instance is replaced by a fresh one",
        "memory_growth_mib" => "the instance is replaced by a fresh one, after its request",
        "open_files" => "the agent sees an OSError",
        "log_lines_per_second" => "lines are left out and counted",
        "outbound_requests_per_request" => "the agent's request is denied",
        "outbound_concurrent_requests" => "the agent's request waits for its turn",
        "outbound_request_mib" | "outbound_response_mib" => "the agent's request is broken off",
        "outbound_connect_timeout_ms" | "outbound_idle_timeout_ms" | "outbound_timeout_ms" => {
            "the agent's request is broken off"
        }
        _ => "see the manual",
    }
}

#[cfg(test)]
mod tests {
    use par_policy::LimitKey;

    use super::*;

    #[test]
    fn every_limit_has_something_that_happens() {
        for key in LimitKey::all() {
            assert_ne!(reached(key.as_str()), "see the manual", "{}", key.as_str());
        }
    }
}
