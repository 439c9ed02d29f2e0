//! The ports: one opened before the agent is there, all drained before the process ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::{join_all, select_all};
use par_apkg::Package;
use par_apkg::manifest::{A2aEntry, RestEntry, UiSource};

use super::agent::{Agent, blocking};
use super::error::BootError;
use crate::audit::Audit;
use crate::boot::BootTimes;
use crate::config::{Config, Port};
use crate::health::{Health, Standing, SurfaceName};
use crate::metrics::Metrics;
use crate::otlp::{Export, Tracer};
use crate::surfaces::a2a::http::A2aHttp;
use crate::surfaces::a2a::{A2a, A2aAgent};
use crate::surfaces::measured::Measured;
use crate::surfaces::rest::{Application, Meta, Mounted, RequestLimits, Rest};
use crate::surfaces::route::Routes;
use crate::surfaces::scraped::Scraped;
use crate::surfaces::serve::{Bound, Limits, Protocol, ServeError, Server};
use crate::surfaces::ui::{Pages, Site, Ui, UiAlone};

/// The ports of the process.
pub(super) struct Ports {
    rest: Arc<Rest>,
    routes: Routes,
    limits: RequestLimits,
    health: Health,
    metrics: Metrics,
    tracer: Tracer,
    servers: Vec<Server>,
}

impl Ports {
    /// Opens the REST port. From here on health answers, 503 at first.
    pub(super) fn open(
        config: &Config,
        health: &Health,
        audit: &Audit,
        export: &Arc<Export>,
    ) -> Result<Self, BootError> {
        let routes = Routes {
            base_path: config.base_path.prefix(),
            agent_app_id: config.identity.app_id.as_str().into(),
            serve_at_root: config.serve_at_root,
        };
        let limits = RequestLimits { timeout: config.limits.request_timeout.duration(), body_bytes: None };
        let rest = Arc::new(Rest::new(routes.clone(), limits, health.clone()));
        let bound = Bound::bind(SurfaceName::Rest.as_str(), everywhere(config.ports.rest))?;
        let (metrics, tracer) = (Metrics::default(), export.tracer());
        let measured = Measured::new(Arc::clone(&rest), SurfaceName::Rest, metrics.clone(), tracer.clone());
        let mut servers = vec![bound.serve(Arc::new(measured), Protocol::Http, Limits::default())];
        if let Some(port) = config.ports.metrics {
            let bound = Bound::bind("metrics", everywhere(port))?;
            let (audit, export) = (audit.clone(), Arc::clone(export));
            let scraped = Scraped { metrics: metrics.clone(), health: health.clone(), audit, export };
            servers.push(bound.serve(Arc::new(scraped), Protocol::Http, Limits::default()));
        }
        Ok(Self { rest, routes, limits, health: health.clone(), metrics, tracer, servers })
    }

    /// Puts the agent in place and opens the ports it needs besides.
    pub(super) async fn mount(&mut self, config: &Config, agent: &Agent) -> Result<(), BootError> {
        let manifest = &agent.package.manifest;
        let ui = ui(config, &agent.package).await?;
        let on_rest = ui.clone().filter(|_| config.ports.multiplexed);
        let application = match manifest.rest {
            None => Application::None,
            Some(RestEntry::Mount(_)) if agent.description.rest == "router" => Application::Mounted,
            Some(RestEntry::Mount(_) | RestEntry::Application(_)) => Application::Own,
        };
        self.rest.mount(Mounted { backend: Arc::clone(&agent.backend), application, ui: on_rest });
        if agent.because.is_some() {
            self.health.set_native();
        }
        if agent.served.rest {
            self.health.set(SurfaceName::Rest, Standing::Up);
        }
        if let Some(ui) = ui {
            self.serve_ui(config, agent, ui)?;
        }
        if agent.served.a2a {
            self.serve_a2a(config, agent)?;
        }
        Ok(())
    }

    fn serve_ui(&mut self, config: &Config, agent: &Agent, ui: Arc<Ui>) -> Result<(), BootError> {
        if !config.ports.multiplexed {
            let bound = Bound::bind(SurfaceName::Ui.as_str(), everywhere(config.ports.ui))?;
            let alone = UiAlone {
                routes: self.routes.clone(),
                limits: self.limits,
                health: self.health.clone(),
                ui,
                backend: Arc::clone(&agent.backend),
            };
            let measured = Measured::new(Arc::new(alone), SurfaceName::Ui, self.metrics.clone(), self.tracer.clone());
            self.servers.push(bound.serve(Arc::new(measured), Protocol::Http, Limits::default()));
        }
        self.health.set(SurfaceName::Ui, Standing::Up);
        Ok(())
    }

    fn serve_a2a(&mut self, config: &Config, agent: &Agent) -> Result<(), BootError> {
        let manifest = &agent.package.manifest;
        let bound = Bound::bind(SurfaceName::A2a.as_str(), everywhere(config.ports.a2a))?;
        if let Some(A2aEntry::HttpServer(_)) = manifest.a2a {
            let app_id = Arc::clone(&self.routes.agent_app_id);
            let limits = RequestLimits { body_bytes: Some(config.a2a_message_bytes as u64), ..self.limits };
            let a2a = A2aHttp::new(app_id, limits, self.health.clone(), Arc::clone(&agent.backend));
            let measured = Measured::new(Arc::new(a2a), SurfaceName::A2a, self.metrics.clone(), self.tracer.clone());
            self.servers.push(bound.serve(Arc::new(measured), Protocol::Http, Limits::default()));
            self.health.set(SurfaceName::A2a, Standing::Up);
            return Ok(());
        }
        let a2a = A2a::new(A2aAgent {
            app_id: Arc::clone(&self.routes.agent_app_id),
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            description: manifest.description.clone(),
            timeout: self.limits.timeout,
            message_bytes: config.a2a_message_bytes,
            health: self.health.clone(),
            backend: Arc::clone(&agent.backend),
        });
        let measured = Measured::new(Arc::new(a2a), SurfaceName::A2a, self.metrics.clone(), self.tracer.clone());
        self.servers.push(bound.serve(Arc::new(measured), Protocol::Grpc, Limits::default()));
        self.health.set(SurfaceName::A2a, Standing::Up);
        Ok(())
    }

    /// Fills what `/meta` tells.
    pub(super) fn describe(&self, agent: &Agent, times: &BootTimes) {
        self.rest.describe(&meta(agent, times));
        self.metrics.agent(Arc::clone(&agent.backend), *times);
    }

    /// Waits until one of the ports breaks. Cancel-safe.
    pub(super) async fn failed(&mut self) -> ServeError {
        select_all(self.servers.iter_mut().map(|server| server.failed().boxed())).await.0
    }

    /// Stops accepting on all ports at once and waits for requests in flight until `deadline`.
    /// Says how many connections were cut then.
    pub(super) async fn drain(self, deadline: Instant) -> usize {
        let drains = self.servers.into_iter().map(|server| server.drain(deadline.into()));
        join_all(drains).await.into_iter().map(|drained| drained.cut).sum()
    }
}

/// The UI of a package, when it has one.
async fn ui(config: &Config, package: &Package) -> Result<Option<Arc<Ui>>, BootError> {
    let Some(ui) = &package.manifest.ui else { return Ok(None) };
    let pages = match &ui.source {
        UiSource::Application(_) => Pages::Rendered(None),
        UiSource::Files(path) => {
            let folder = package.root.open_dir(path.as_str()).map_err(BootError::System)?;
            Pages::Static(blocking(move || Ok(Site::open(folder)?)).await?)
        }
    };
    let below = ui.base_path.as_str().trim_end_matches('/');
    Ok(Some(Arc::new(Ui::new(&config.base_path.prefix(), below, pages))))
}

fn meta(agent: &Agent, times: &BootTimes) -> Meta {
    let manifest = &agent.package.manifest;
    Meta {
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        description: manifest.description.clone(),
        author: manifest.author.clone(),
        build_time: None,
        surfaces: agent.served,
        backend: agent.backend.word(),
        because: agent.because.clone(),
        boot_ms: times.total_ms(),
        phases_ms: times.phases_ms().collect(),
    }
}

/// The address of all interfaces, as containers expect it.
fn everywhere(port: Port) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port.get()).into()
}
