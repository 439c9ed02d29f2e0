//! Looks up Python modules among the files of a package, without importing anything.

use std::io::Read;

use cap_std::fs::Dir;

/// The directories of a package that hold importable code.
///
/// The root always does. `src` does for packages laid out for a build backend, whose
/// entry points are named without it; it counts only for modules the root does not have, so
/// that its other files do not become importable under short names without need.
const ROOTS: [&str; 2] = ["", "src"];

/// Largest module that is read when looking for a name. Unit: bytes.
const LARGEST_MODULE: u64 = 1 << 20;

/// The modules of one package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Modules<'a>(pub(crate) &'a Dir);

impl Modules<'_> {
    /// The directory below the package root from which the module can be imported: `""` or
    /// `"src"`.
    pub(crate) fn root_of(self, module: &str) -> Option<&'static str> {
        ROOTS.into_iter().find(|root| self.files(root, module).iter().any(|file| self.is_file(file)))
    }

    /// Whether the source of the module contains `word`. A cheap question, not a parse: it
    /// only decides which of two default names is tried.
    pub(crate) fn mentions(self, module: &str, word: &str) -> bool {
        let Some(root) = self.root_of(module) else { return false };
        self.files(root, module).iter().any(|file| {
            let mut source = Vec::new();
            self.0
                .open(file)
                .and_then(|file| file.take(LARGEST_MODULE).read_to_end(&mut source))
                .is_ok_and(|_| source.windows(word.len()).any(|window| window == word.as_bytes()))
        })
    }

    fn files(self, root: &str, module: &str) -> [String; 2] {
        let path = module.replace('.', "/");
        let path = if root.is_empty() { path } else { format!("{root}/{path}") };
        [format!("{path}.py"), format!("{path}/__init__.py")]
    }

    fn is_file(self, path: &str) -> bool {
        self.0.metadata(path).is_ok_and(|metadata| metadata.is_file())
    }
}
