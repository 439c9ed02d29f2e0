//! Which path means what. One pure function over the decoded path, so that no spelling of a
//! path reaches the agent where a built-in answers, and the prefix is taken off exactly once.

use std::sync::Arc;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The prefix of everything, without a slash at the end; empty for the root.
    pub base_path: Arc<str>,
    /// The identity of the agent, for `/agents/{id}/health`.
    pub agent_app_id: Arc<str>,
    /// Whether the agent's routes also answer without the prefix.
    pub serve_at_root: bool,
}

/// Which part of the UI a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UiPlace<'a> {
    /// `ui` without its slash.
    Bare,
    /// Below `ui/`: a file, or a page of the application.
    Page(&'a str),
    /// Below `static/` or `assets/`, whose name is kept: a file, or nothing of ours.
    Shared(&'a str),
    /// `ui-config.json`.
    Config,
}

/// What a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Readiness of the process.
    Health,
    /// Name, version and boot figures of the agent.
    Meta,
    /// Readiness of the A2A port.
    A2aHealth,
    /// Whether there is a UI.
    UiHealth,
    /// Readiness in the shape a supervisor asks for.
    AgentHealth(&'a str),
    /// The prefix without its slash.
    Base,
    /// The prefix with its slash.
    Index,
    /// The UI, or the agent where the UI has no such file.
    Ui(UiPlace<'a>),
    /// The agent's application, mounted at the prefix (`true`) or at the root.
    Agent {
        /// Whether the prefix is part of the path.
        prefixed: bool,
    },
    /// Nothing, whatever the agent says.
    Nothing,
}

impl Route<'_> {
    /// What paths of this meaning look like, below the prefix, where PAR itself answers.
    #[must_use]
    pub const fn pattern(&self) -> Option<&'static str> {
        match self {
            Self::Health => Some("/health"),
            Self::Meta => Some("/meta"),
            Self::A2aHealth => Some("/a2a/health"),
            Self::UiHealth => Some("/ui/health"),
            Self::AgentHealth(_) => Some("/agents/{id}/health"),
            Self::Base | Self::Index | Self::Ui(_) | Self::Agent { .. } | Self::Nothing => None,
        }
    }
}

impl Routes {
    /// What `path`, decoded, means; `ui` is the prefix the UI hangs below, if there is one.
    #[must_use]
    pub fn decide<'a>(&self, path: &'a str, ui: Option<&str>) -> Route<'a> {
        match path {
            "/health" => return Route::Health,
            "/ui/health" => return Route::UiHealth,
            _ => {}
        }
        if let Some(id) = agent_health(path) {
            return Route::AgentHealth(id);
        }
        let Some(rest) = path.strip_prefix(&*self.base_path) else { return self.outside(path) };
        match rest {
            "" => return Route::Base,
            "/health" => return Route::Health,
            "/meta" => return Route::Meta,
            "/a2a/health" => return Route::A2aHealth,
            "/ui/health" => return Route::UiHealth,
            _ if !rest.starts_with('/') => return self.outside(path),
            _ => {}
        }
        if let Some(id) = agent_health(rest) {
            return Route::AgentHealth(id);
        }
        if let Some(place) = ui.and_then(|prefix| ui_place(path.strip_prefix(prefix)?)) {
            return Route::Ui(place);
        }
        if rest == "/" {
            return Route::Index;
        }
        if self.is_doubled(rest) {
            return Route::Nothing;
        }
        Route::Agent { prefixed: true }
    }

    fn outside<'a>(&self, path: &str) -> Route<'a> {
        if self.serve_at_root && path.starts_with('/') { Route::Agent { prefixed: false } } else { Route::Nothing }
    }

    /// Whether what follows the prefix is the prefix again.
    ///
    /// Only the platform's own form `/agents/{id}` is judged here: below `/api`, `/api/x` may
    /// well be a route of the agent's, and other doublings are the agent's to refuse.
    fn is_doubled(&self, rest: &str) -> bool {
        self.base_path.strip_prefix("/agents/") == Some(&*self.agent_app_id)
            && rest.strip_prefix(&*self.base_path).is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
    }
}

/// The id in `/agents/{id}/health`.
fn agent_health(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/agents/")?.strip_suffix("/health")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

fn ui_place(rest: &str) -> Option<UiPlace<'_>> {
    match rest {
        "/ui" => Some(UiPlace::Bare),
        "/ui-config.json" => Some(UiPlace::Config),
        _ if rest.starts_with("/static/") || rest.starts_with("/assets/") => {
            rest.strip_prefix('/').map(UiPlace::Shared)
        }
        _ => rest.strip_prefix("/ui/").map(UiPlace::Page),
    }
}

#[cfg(test)]
mod tests {
    use super::{Route, Routes, UiPlace};

    const AGENT: Route<'static> = Route::Agent { prefixed: true };

    fn routes(base_path: &str) -> Routes {
        Routes { base_path: base_path.into(), agent_app_id: "app-1".into(), serve_at_root: false }
    }

    #[test]
    fn the_production_prefix_is_taken_off_exactly_once() {
        let routes = routes("/agents/app-1");
        for (path, expected) in [
            ("/agents/app-1/api/x", AGENT),
            ("/agents/app-1/agents/app-1/api/x", Route::Nothing),
            ("/agents/app-1/agents/app-1", Route::Nothing),
            ("/agents/app-1/agents/app-1/health", Route::AgentHealth("app-1")),
            ("/agents/app-1/agents/app-12/x", AGENT),
            ("/agents/app-1", Route::Base),
            ("/agents/app-1/", Route::Index),
            ("/agents/app-12", Route::Nothing),
            ("/agents/app-12/api/x", Route::Nothing),
            ("/api/x", Route::Nothing),
            ("/", Route::Nothing),
            ("/meta", Route::Nothing),
            ("/a2a/health", Route::Nothing),
            ("/deploy", Route::Nothing),
            ("//health", Route::Nothing),
            ("*", Route::Nothing),
        ] {
            assert_eq!(routes.decide(path, None), expected, "{path}");
        }
    }

    #[test]
    fn built_ins_answer_below_the_prefix_and_some_at_the_root() {
        let routes = routes("/agents/app-1");
        for (path, expected) in [
            ("/health", Route::Health),
            ("/ui/health", Route::UiHealth),
            ("/agents/other/health", Route::AgentHealth("other")),
            ("/agents/app-1/health", Route::AgentHealth("app-1")),
            ("/agents/app-1/meta", Route::Meta),
            ("/agents/app-1/a2a/health", Route::A2aHealth),
            ("/agents/app-1/ui/health", Route::UiHealth),
        ] {
            assert_eq!(routes.decide(path, None), expected, "{path}");
        }
    }

    #[test]
    fn a_prefix_that_looks_like_a_route_of_the_agent_leaves_doublings_to_it() {
        assert_eq!(routes("/api").decide("/api/api/x", None), AGENT);
        assert_eq!(routes("/api").decide("/api/health", None), Route::Health);
    }

    #[test]
    fn without_a_prefix_everything_else_is_the_agents() {
        let routes = routes("");
        for (path, expected) in [
            ("/", Route::Index),
            ("/health", Route::Health),
            ("/meta", Route::Meta),
            ("/api/x", AGENT),
            ("//health", AGENT),
            ("/agents/app-1/x", AGENT),
            ("*", Route::Nothing),
        ] {
            assert_eq!(routes.decide(path, None), expected, "{path}");
        }
    }

    #[test]
    fn the_root_answers_only_where_asked_to() {
        let mut routes = routes("/agents/app-1");
        assert_eq!(routes.decide("/test", None), Route::Nothing);

        routes.serve_at_root = true;
        assert_eq!(routes.decide("/test", None), Route::Agent { prefixed: false });
        assert_eq!(routes.decide("/health", None), Route::Health);
        assert_eq!(routes.decide("/agents/app-12", None), Route::Agent { prefixed: false });
    }

    #[test]
    fn the_ui_hangs_below_its_own_prefix() {
        let routes = routes("/agents/app-1");
        let ui = Some("/agents/app-1/shop");
        for (path, expected) in [
            ("/agents/app-1/shop/ui", Route::Ui(UiPlace::Bare)),
            ("/agents/app-1/shop/ui/", Route::Ui(UiPlace::Page(""))),
            ("/agents/app-1/shop/ui/a/b.js", Route::Ui(UiPlace::Page("a/b.js"))),
            ("/agents/app-1/shop/ui-config.json", Route::Ui(UiPlace::Config)),
            ("/agents/app-1/shop/static/x.css", Route::Ui(UiPlace::Shared("static/x.css"))),
            ("/agents/app-1/shop/assets/x.css", Route::Ui(UiPlace::Shared("assets/x.css"))),
            ("/agents/app-1/ui/", AGENT),
            ("/agents/app-1/shop/api", AGENT),
        ] {
            assert_eq!(routes.decide(path, ui), expected, "{path}");
        }
        assert_eq!(routes.decide("/agents/app-1/ui/x", None), AGENT);
    }
}
