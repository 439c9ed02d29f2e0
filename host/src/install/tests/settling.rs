//! What happens to a layer when nobody waits for it, and what is believed of it afterwards.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::*;
use crate::cache::trim;
use crate::install::jobs::{Build, BuildStep, GuestJobs, JobError};
use crate::install::{LAYERS, Settled};

/// A compiler whose bytecode is the path of the file, and which may give out or stand still.
#[derive(Default)]
struct Compiler {
    asked: Mutex<Vec<Vec<String>>>,
    /// Does not survive this file.
    dies_at: Option<&'static str>,
    /// Does not start so many times.
    fails: std::sync::atomic::AtomicUsize,
    /// Cannot compile this file.
    refuses: Option<&'static str>,
    /// Never comes back after so many files.
    stands_still_after: Option<usize>,
    /// It stands still.
    stood_still: Notify,
}

impl Compiler {
    /// One that stands still after two files, in a process that ends then.
    async fn cut_short(bench: &Bench, layer: &DepsLayer) {
        let stuck = Self { stands_still_after: Some(2), ..Self::default() };
        tokio::select! {
            settled = bench.settle(layer, &stuck) => panic!("it was not cut short: {settled:?}"),
            () = stuck.stood_still.notified() => {}
        }
    }
}

impl GuestJobs for Compiler {
    fn compile<'a>(
        &'a self,
        _: &'a Path,
        files: &'a [String],
        _: Instant,
        keep: &'a mut (dyn FnMut(usize, &[u8]) + Send),
    ) -> BoxFuture<'a, Result<(), JobError>> {
        self.asked.lock().unwrap().push(files.to_vec());
        let fails = self.fails.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        Box::pin(async move {
            if fails {
                return Err(JobError { because: "there is no memory".to_owned(), output: String::new() });
            }
            for (index, file) in files.iter().enumerate() {
                if self.stands_still_after == Some(index) {
                    self.stood_still.notify_one();
                    std::future::pending::<()>().await;
                }
                if self.dies_at == Some(file) {
                    return Err(JobError { because: "it died".to_owned(), output: String::new() });
                }
                keep(index, if self.refuses == Some(file) { b"" } else { file.as_bytes() });
            }
            Ok(())
        })
    }

    fn build<'a>(&'a self, _: Build<'a>) -> BoxFuture<'a, Result<BuildStep, JobError>> {
        unreachable!("nothing is built here")
    }
}

fn thing() -> Bench {
    let thing = Wheel::pure("thing", "1.0").with("thing/b.py", "b = 1\n").with("c.py", "");
    Bench::new().resolving_to(&[thing])
}

impl Bench {
    async fn settle(&self, layer: &DepsLayer, jobs: &Compiler) -> Option<Settled> {
        let guest = self.guest();
        let installer = Installer { guest: &guest, settings: &self.settings, jobs: Some(jobs), progress: &|_| {} };
        installer.settle(layer).await.unwrap()
    }

    /// As if the machine had been started again since: its boots have names.
    fn reboot(&self, layer: &DepsLayer) {
        for name in [".pixell_venv_metadata.json", ".bytecode"] {
            let path = layer.directory().join(name);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            fs::write(path, text.replace(boot.trim(), "an-earlier-boot")).unwrap();
        }
    }

    async fn installed(&self) -> DepsLayer {
        self.install(&["thing==1.0"]).await.unwrap().unwrap()
    }

    /// Whether the next start finds the layer without a resolver.
    async fn is_found(&self) -> bool {
        self.resolver("exit 9");
        self.install(&["thing==1.0"]).await.is_ok()
    }
}

fn bytecode(layer: &DepsLayer) -> Vec<String> {
    let mut found = Vec::new();
    for (directory, prefix) in [("__pycache__", ""), ("thing/__pycache__", "thing/")] {
        let entries = fs::read_dir(layer.site_packages().join(directory)).into_iter().flatten();
        found.extend(entries.map(|entry| format!("{prefix}{}", entry.unwrap().file_name().to_string_lossy())));
    }
    found.sort();
    found
}

const ALL: [&str; 3] = ["c.cpython-314.pyc", "thing/__init__.cpython-314.pyc", "thing/b.cpython-314.pyc"];

#[tokio::test]
async fn a_layer_is_used_first_and_compiled_later_and_once() {
    let (bench, compiler) = (thing(), Compiler::default());
    let layer = bench.installed().await;
    assert_eq!(bytecode(&layer), Vec::<String>::new());

    let settled = bench.settle(&layer, &compiler).await.unwrap();

    assert_eq!((settled.compiled, settled.refused), (3, 0));
    assert_eq!(bytecode(&layer), ALL);
    let content = fs::read_to_string(layer.site_packages().join("thing/__pycache__/__init__.cpython-314.pyc")).unwrap();
    assert_eq!(content, "thing/__init__.py");
    assert_eq!(bench.settle(&layer, &compiler).await, None);
    assert_eq!(compiler.asked.lock().unwrap().len(), 1);
    assert!(bench.is_clean());
}

#[tokio::test]
async fn files_that_cannot_be_compiled_cost_themselves_alone() {
    let bench = thing();
    let layer = bench.installed().await;

    let compiler = Compiler { dies_at: Some("thing/__init__.py"), refuses: Some("c.py"), ..Compiler::default() };
    let settled = bench.settle(&layer, &compiler).await.unwrap();

    assert_eq!((settled.compiled, settled.refused), (1, 2));
    assert_eq!(bytecode(&layer), ["thing/b.cpython-314.pyc"]);
    assert_eq!(bench.settle(&layer, &Compiler::default()).await, None, "what cannot be compiled is not tried for ever");
}

#[tokio::test]
async fn a_compiler_that_does_not_start_costs_nothing_but_the_attempt() {
    let bench = thing();
    let layer = bench.installed().await;

    let once = Compiler { fails: 1.into(), ..Compiler::default() };
    assert_eq!(bench.settle(&layer, &once).await.unwrap().compiled, 3);

    let bench = thing();
    let layer = bench.installed().await;
    let (never, next) = (Compiler { fails: usize::MAX.into(), ..Compiler::default() }, Compiler::default());
    for number in 0..40 {
        fs::write(layer.site_packages().join(format!("m{number}.py")), "").unwrap();
    }
    assert_eq!(bench.settle(&layer, &never).await, None);
    assert_eq!(bench.settle(&layer, &next).await.unwrap().compiled, 43, "the next start goes on");
}

/// Hostile 185: a process that ends while it compiles.
#[tokio::test]
async fn compiling_that_was_cut_short_goes_on_where_it_was() {
    let bench = thing();
    let layer = bench.installed().await;
    Compiler::cut_short(&bench, &layer).await;
    assert_eq!(bytecode(&layer), ALL[..2]);

    let next = Compiler::default();
    let layer = bench.installed().await;
    bench.settle(&layer, &next).await.unwrap();

    assert_eq!(*next.asked.lock().unwrap(), [["thing/b.py"]]);
    assert_eq!(bytecode(&layer), ALL);
    assert!(bench.is_clean());
}

#[tokio::test]
async fn one_process_compiles_and_the_others_go_on() {
    let bench = thing();
    let layer = bench.installed().await;
    let busy = layer.compile_alone().unwrap().unwrap();

    assert_eq!(bench.settle(&layer, &Compiler::default()).await, None);

    drop(busy);
    assert!(bench.settle(&layer, &Compiler::default()).await.is_some());
}

#[tokio::test]
async fn after_a_failure_of_the_machine_only_what_was_on_disk_is_believed() {
    let bench = thing();
    let layer = bench.installed().await;
    bench.reboot(&layer);
    drop(layer);
    assert!(!bench.is_found().await, "it was never on disk");

    let bench = thing();
    let layer = bench.installed().await;
    bench.settle(&layer, &Compiler::default()).await.unwrap();
    bench.reboot(&layer);
    drop(layer);
    assert!(bench.is_found().await);
}

#[tokio::test]
async fn a_layer_that_was_not_on_disk_is_made_again_in_its_place() {
    let bench = thing();
    let layer = bench.installed().await;
    let (directory, file) = (layer.directory().to_owned(), layer.site_packages().join("c.py"));
    fs::write(&file, "half").unwrap();
    bench.reboot(&layer);
    drop(layer);

    let again = bench.installed().await;

    assert_eq!(again.directory(), directory);
    assert_eq!(fs::read_to_string(file).unwrap(), "");
    assert!(bench.is_clean());
}

#[tokio::test]
async fn bytecode_that_was_not_on_disk_is_made_again() {
    let bench = thing();
    let layer = bench.installed().await;
    Compiler::cut_short(&bench, &layer).await;
    bench.reboot(&layer);
    drop(layer);

    let layer = bench.installed().await;
    assert_eq!(bytecode(&layer), Vec::<String>::new());

    let settled = bench.settle(&layer, &Compiler::default()).await.unwrap();
    assert_eq!((settled.compiled, bytecode(&layer).len()), (3, 3));
}

#[tokio::test]
async fn a_layer_goes_from_the_cache_when_nobody_uses_it() {
    let bench = thing();
    let layer = bench.installed().await;
    let shelf = trim::Shelf { place: "deps", kind: LAYERS, companion: None };
    let copy = layer.clone();
    drop(layer);
    assert_eq!(trim::trim(&bench.path("cache"), &[shelf], 0).unwrap().entries, 0);
    assert!(copy.site_packages().join("c.py").is_file());

    drop(copy);
    assert_eq!(trim::trim(&bench.path("cache"), &[shelf], 0).unwrap().entries, 1);
    assert!(bench.is_clean());
    assert!(bench.installed().await.site_packages().join("c.py").is_file(), "it is made again");
}
