//! Where each distribution would run, and what says so: for `par check`, which installs nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fs_err as fs;
use par_apkg::requirement::Requirements;

use super::chosen::{Chosen, Source};
use super::download::WheelStore;
use super::layer::LayerStore;
use super::pins::Pins;
use super::{Install, InstallError, Installer, wanted};

/// Where a distribution would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// In the sandbox.
    Sandbox,
    /// Only outside of it: it has native code that was not built for the sandbox.
    Native,
    /// Nowhere: something is wrong with it.
    Nowhere,
}

/// One distribution, and what decided about it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Where it would run.
    pub runs: Runs,
    /// File name of the wheel that was looked into; `None` for what the guest carries.
    pub wheel: Option<String>,
    /// The file inside that decided, for what does not run in the sandbox, where it was one.
    pub file: Option<String>,
    /// Why, as a phrase.
    pub because: String,
    /// Modules it has, without packages' submodules.
    pub modules: BTreeSet<String>,
}

impl Installer<'_> {
    /// Judges everything that requirements lead to by the content of its wheel. Installs nothing.
    ///
    /// # Errors
    /// When there is nothing to judge: the requirements cannot be resolved, or a wheel not fetched.
    pub async fn judge(&self, package: &str, requirements: &Requirements) -> Result<Vec<Judged>, InstallError> {
        let pins = Pins::of(package, requirements)?;
        let install = Install { package, wanted: wanted(requirements), pins, lock_text: "", installer: *self };
        self.in_time(package, install.judge()).await
    }
}

impl Install<'_> {
    async fn judge(self) -> Result<Vec<Judged>, InstallError> {
        if self.wanted.is_empty() && self.pins.is_none() {
            return Ok(Vec::new());
        }
        let store = LayerStore::open(&self.settings().cache)?;
        let desk = Arc::new(store.begin()?);
        let wheels = WheelStore::open(self.settings(), desk.scratch())?;
        let lock = self.decide(&desk, &wheels).await?;
        let chosen = self.choose(&lock)?;
        let mut judged: Vec<Judged> = Vec::new();
        for locked in &lock.distributions {
            if chosen.iter().any(|chosen| chosen.locked.name == locked.name) {
                continue;
            }
            let carried = self.installer.guest.carried(&locked.name);
            judged.push(Judged {
                name: locked.name.to_string(),
                version: carried.unwrap_or(&locked.version).to_owned(),
                runs: if carried.is_some() { Runs::Sandbox } else { Runs::Nowhere },
                wheel: None,
                file: None,
                because: if carried.is_some() { "the guest carries it" } else { "it has no wheel" }.to_owned(),
                modules: BTreeSet::new(),
            });
        }
        for chosen in &chosen {
            judged.push(self.look_into(chosen, &store, &wheels).await?);
        }
        judged.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(judged)
    }

    /// Unpacks one wheel, under all the rules of an installation, and throws it away.
    async fn look_into(
        &self,
        chosen: &Chosen<'_>,
        store: &LayerStore,
        wheels: &WheelStore,
    ) -> Result<Judged, InstallError> {
        let desk = Arc::new(store.begin()?);
        let wheels = self.obtain(std::slice::from_ref(chosen), wheels).await?;
        let mut judged = Judged {
            name: chosen.locked.name.to_string(),
            version: chosen.locked.version.clone(),
            runs: Runs::Sandbox,
            wheel: Some(chosen.wheel.clone()),
            file: None,
            because: match chosen.source {
                Source::Guest(_) => "built for the sandbox",
                Source::Outside(_) => "no native code it needs",
            }
            .to_owned(),
            modules: BTreeSet::new(),
        };
        match self.unpack(wheels, Instant::now() + self.settings().timeout, &desk).await {
            Ok(_) => judged.modules = modules(&desk.site_packages()).map_err(InstallError::cache)?,
            Err(InstallError::NativeCode { file, native, .. }) => {
                judged.runs = Runs::Native;
                judged.because = format!("native code for {}", native.system());
                judged.modules = file.split(['/', '.']).take(1).map(str::to_owned).collect();
                judged.file = Some(file);
            }
            Err(error @ (InstallError::Cache(_) | InstallError::Stopped)) => return Err(error),
            Err(error) => {
                judged.runs = Runs::Nowhere;
                judged.because = error.to_string();
            }
        }
        Ok(judged)
    }
}

/// The modules that are importable from a directory.
fn modules(site_packages: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(site_packages)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.split_once('.') {
            None if entry.file_type()?.is_dir() => drop(found.insert(name)),
            Some((module, _)) if !entry.file_type()?.is_dir() => drop(found.insert(module.to_owned())),
            _ => {}
        }
    }
    Ok(found)
}
