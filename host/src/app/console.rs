//! What a person sees: the progress of a boot, and the addresses at its end.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::HumanBytes;
use par_apkg::manifest::{A2aEntry, Manifest, Ui};
use par_sandbox::AuditSink;

use super::installing::Downloads;
use crate::audit::Audit;
use crate::boot::{BootClock, BootPhase};
use crate::cli::LogFormat;
use crate::config::Config;
use crate::fetch;
use crate::install;
use crate::progress::{Meter, Progress};
use crate::surfaces::rest::Surfaces;
use crate::telemetry::{Format, events};
use crate::watch::Watch;

/// Standard output and standard error, as far as people look at them.
pub(super) struct Console {
    progress: Progress,
    format: Format,
    watch: Option<Watch>,
    /// Whether a person reads the log where the view is.
    one_screen: bool,
}

impl Console {
    /// `interactive` when the package was asked for by `par run`.
    pub(super) fn new(interactive: bool, log_format: LogFormat) -> Self {
        let format = match log_format {
            LogFormat::Json => Format::Json,
            LogFormat::Text => Format::Text,
            LogFormat::Auto if interactive && io::stdout().is_terminal() => Format::Text,
            LogFormat::Auto => Format::Json,
        };
        let progress =
            if interactive && io::stderr().is_terminal() { Progress::on_terminal() } else { Progress::hidden() };
        let one_screen = format == Format::Text && io::stdout().is_terminal() && io::stderr().is_terminal();
        Self { progress, format, watch: None, one_screen }
    }

    /// With a view of what the agent does on standard error, if a person wants it.
    pub(super) fn watching(mut self, wanted: bool) -> io::Result<Self> {
        if wanted {
            let colours = console::colors_enabled_stderr();
            self.watch = Some(Watch::start(self.progress.beside(io::stderr()), colours)?);
        }
        Ok(self)
    }

    /// Where a backend writes down what its agent does, shown as well if somebody watches. On one screen the view stands
    /// for the lines the record would have in the log.
    pub(super) fn record(&self, audit: &Audit, backend: &'static str) -> Arc<dyn AuditSink> {
        let record = audit.sink(backend);
        let Some(watch) = &self.watch else { return record };
        let shown = if self.one_screen { audit.sink_of_shown(backend) } else { Arc::clone(&record) };
        watch.beside(record, shown)
    }

    /// Shows what is still waiting to be shown.
    pub(super) fn finish_view(&self) {
        if let Some(watch) = &self.watch {
            watch.finish();
        }
    }

    /// What the log looks like.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Where the log goes: standard output, without tearing the progress display.
    pub(super) fn output(&self) -> impl Write + Send + 'static + use<> {
        self.progress.beside(io::stdout())
    }

    /// Whether a person sees the progress, and need not read it in the log as well.
    pub(super) fn shows_progress(&self) -> bool {
        self.format == Format::Text && !self.progress.is_hidden()
    }

    /// A phase begins.
    pub(super) fn phase(&self, phase: BootPhase, text: &str) {
        self.progress.now(format!("{:<8} {text}", phase.as_str()));
    }

    /// A phase is over.
    pub(super) fn done(&self, phase: BootPhase, detail: &str, clock: &BootClock) {
        self.progress.done(phase, detail, clock.spent(phase));
    }

    /// The download of the package begins.
    pub(super) fn download(&self) -> Download<'_> {
        Download { console: self, meter: Meter::new(BootPhase::Download) }
    }

    /// What is said when the guest has to be compiled first.
    pub(super) fn compiling(&self) -> impl Fn() + Send + Sync + 'static + use<> {
        let progress = self.progress.clone();
        move || {
            tracing::info!("{}", events::GUEST_COMPILING);
            progress.now(format!("{:<8} compiling the guest for this machine", BootPhase::Load.as_str()));
        }
    }

    /// A step of installing.
    pub(super) fn install(&self, step: &install::Progress<'_>, downloads: Option<Downloads>) {
        use install::Progress as Step;
        let text = match step {
            Step::Resolving { requirements } => format!("resolving {requirements} requirements"),
            Step::Resolved { distributions, .. } => format!("{distributions} distributions to install"),
            Step::Downloading { .. } => {
                let Some(Downloads { wheels, bytes, total, rate }) = downloads else { return };
                let text = format!("{:<8} {wheels} wheels, {} a second", BootPhase::Install.as_str(), HumanBytes(rate));
                match total {
                    Some(total) => self.progress.counted(text, bytes, total),
                    None => self.progress.now(format!("{text}, {}", HumanBytes(bytes))),
                }
                return;
            }
            Step::Locked { distributions } => format!("{distributions} distributions are locked"),
            Step::Building { sdist } => format!("building {sdist} in the sandbox"),
            Step::Unpacking { wheel, bytes } => format!("unpacked {wheel}, {} in all", HumanBytes(*bytes)),
            _ => return,
        };
        self.phase(BootPhase::Install, &text);
    }

    /// The agent is ready: where to find it.
    pub(super) fn ready(&self, config: &Config, manifest: &Manifest, served: Surfaces) {
        let rest = format!("http://localhost:{}", config.ports.rest);
        let ui = if config.ports.multiplexed { rest.clone() } else { format!("http://localhost:{}", config.ports.ui) };
        let below = |ui: &Ui| config.base_path.join(&format!("{}/ui/", ui.base_path.as_str().trim_end_matches('/')));
        let mut lines = vec![String::new()];
        lines.push(format!("  REST  {rest}{}", config.base_path.join("/")));
        let a2a = match manifest.a2a {
            Some(A2aEntry::HttpServer(_)) => format!("  A2A   http://localhost:{}/", config.ports.a2a),
            _ => format!("  A2A   localhost:{} (gRPC)", config.ports.a2a),
        };
        lines.extend(served.a2a.then_some(a2a));
        lines.extend(manifest.ui.as_ref().map(|manifest| format!("  UI    {ui}{}", below(manifest))));
        lines.push(String::new());
        if self.watch.is_some() {
            lines.push("  What the agent uses and is denied follows, as it happens.".to_owned());
        }
        lines.push("  Ctrl-C ends it.".to_owned());
        self.progress.end(&lines);
    }

    /// There will be no more progress.
    pub(super) fn end(&self) {
        self.progress.end(&[]);
    }
}

/// The download of the package.
pub(super) struct Download<'a> {
    console: &'a Console,
    meter: Meter,
}

impl Download<'_> {
    /// So much is here.
    pub(super) fn show(&self, fetch::Progress { bytes, total }: fetch::Progress) {
        self.meter.log("package", bytes, total);
        let rate = HumanBytes(self.meter.rate(bytes));
        let text = format!("{:<8} {rate} a second", BootPhase::Download.as_str());
        match total {
            Some(total) => self.console.progress.counted(text, bytes, total),
            None => self.console.progress.now(format!("{text}, {}", HumanBytes(bytes))),
        }
    }
}
