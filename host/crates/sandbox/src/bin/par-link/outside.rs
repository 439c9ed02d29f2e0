//! Finds the function a component calls at its safepoints among those it imports.

use wasmparser::{ComponentAlias, ComponentExternalKind, ComponentTypeRef, Payload};

use super::LinkError;

/// The interface and its function, of `wit/interruption.wit`.
const INTERFACE: &str = "pixell:agent/interruption@";
const FUNCTION: &str = "safepoint";

/// The component's own index spaces, as far as it takes to know one function.
#[derive(Default)]
pub(crate) struct Outside {
    /// For each instance, whether it is the interface.
    instances: Vec<bool>,
    /// For each function, whether it is the one.
    pub(crate) functions: Vec<bool>,
}

impl Outside {
    /// Whether `function` is the one.
    pub(crate) fn is_safepoint(&self, function: u32) -> bool {
        self.functions.get(function as usize).copied().unwrap_or_default()
    }

    pub(crate) fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match *alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Func, instance_index, name } => {
                let interface = self.instances.get(instance_index as usize).copied().unwrap_or_default();
                self.functions.push(interface && name == FUNCTION);
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Instance, .. } => self.instances.push(false),
            _ => {}
        }
    }

    /// Counts what other sections add to the two index spaces.
    pub(crate) fn read(&mut self, payload: Payload<'_>) -> Result<(), LinkError> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Instance(_) => {
                            self.instances.push(import.name.name.starts_with(INTERFACE));
                        }
                        ComponentTypeRef::Func(_) => self.functions.push(false),
                        _ => {}
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                self.instances.extend((0..section.count()).map(|_| false));
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    match export?.kind {
                        ComponentExternalKind::Instance => self.instances.push(false),
                        ComponentExternalKind::Func => self.functions.push(false),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
