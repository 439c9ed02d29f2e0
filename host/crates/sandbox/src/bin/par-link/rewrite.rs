//! Writes the component again, with the merged module in the place of its members.

use std::collections::HashMap;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component, ComponentAliasSection, ExportKind, InstanceSection, ModuleArg,
    RawSection,
};
use wasmparser::{CanonicalFunction, ComponentAlias, Instance, Parser, Payload};

use super::graph::{CoreInstance, Graph, Kind, Origin, uses_of};
use super::layout::Merged;
use super::{LinkError, unexpected};

/// `component` with the members of `merged` replaced by `module`, its final form.
pub(crate) fn rewrite(
    component: &[u8],
    graph: &Graph<'_>,
    merged: &Merged<'_>,
    module: &[u8],
) -> Result<Vec<u8>, LinkError> {
    let mut writer = Writer {
        graph,
        merged,
        merged_module: module,
        kept: graph.kept(&merged.is_member),
        output: Component::new(),
        instance: 0,
        position: Positions::default(),
    };
    let (mut depth, mut number) = (0, 0);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let outermost = depth == 0;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
        if !outermost {
            continue;
        }
        match payload {
            Payload::ModuleSection { unchecked_range, .. } => {
                writer.module(number, &component[unchecked_range]);
                number += 1;
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    writer.instance(instance?)?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    writer.alias(alias?)?;
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    writer.canonical(function?)?;
                }
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    writer.output.section(&RawSection { id, data: &component[range] });
                }
            }
        }
    }
    Ok(writer.output.finish())
}

struct Writer<'w, 'a> {
    graph: &'w Graph<'a>,
    merged: &'w Merged<'a>,
    merged_module: &'w [u8],
    kept: Vec<bool>,
    output: Component,
    /// How many instances of the input were read.
    instance: usize,
    position: Positions,
}

/// Where what was written is: the new index of each old one.
#[derive(Default)]
struct Positions {
    modules: HashMap<usize, u32>,
    module_count: u32,
    instances: HashMap<usize, u32>,
    instance_count: u32,
    merged: Option<u32>,
    items: HashMap<(Kind, u32), u32>,
    counts: HashMap<Kind, u32>,
    /// How many items of each kind of the input were read.
    read: HashMap<Kind, u32>,
}

impl Positions {
    fn next_module(&mut self) -> u32 {
        self.module_count += 1;
        self.module_count - 1
    }

    fn next_instance(&mut self) -> u32 {
        self.instance_count += 1;
        self.instance_count - 1
    }

    fn read(&mut self, kind: Kind) -> u32 {
        let read = self.read.entry(kind).or_default();
        *read += 1;
        *read - 1
    }

    fn wrote(&mut self, kind: Kind, old: u32) {
        let count = self.counts.entry(kind).or_default();
        self.items.insert((kind, old), *count);
        *count += 1;
    }
}

impl Writer<'_, '_> {
    fn module(&mut self, number: usize, bytes: &[u8]) {
        let needed = self.graph.instances.iter().zip(&self.kept).any(|(instance, kept)| {
            *kept && matches!(instance, CoreInstance::Module { module, .. } if *module == number)
        });
        if needed {
            let index = self.position.next_module();
            self.position.modules.insert(number, index);
            self.output.section(&RawSection { id: 1, data: bytes });
        }
    }

    fn instance(&mut self, instance: Instance<'_>) -> Result<(), LinkError> {
        let number = self.instance;
        self.instance += 1;
        if !self.kept[number] {
            return Ok(());
        }
        if let Instance::FromExports(exports) = &instance {
            for export in exports {
                self.need(export.kind.try_into()?, export.index)?;
            }
        }
        let mut section = InstanceSection::new();
        self.position.parse_instance(&mut section, instance)?;
        self.output.section(&section);
        let index = self.position.next_instance();
        self.position.instances.insert(number, index);
        Ok(())
    }

    /// The one instance of the merged module; the first use writes both.
    fn merged(&mut self) -> Result<u32, LinkError> {
        if let Some(merged) = self.position.merged {
            return Ok(merged);
        }
        let module = self.position.next_module();
        self.output.section(&RawSection { id: 1, data: self.merged_module });
        let mut items = Vec::new();
        for (name, &function) in self.merged.imports.iter().enumerate() {
            let index = self.position.function_index(function)?;
            items.push((name.to_string(), ExportKind::Func, index));
        }
        let arguments = self.position.next_instance();
        let mut section = InstanceSection::new();
        section.export_items(items.iter().map(|(name, kind, index)| (name.as_str(), *kind, *index)));
        section.instantiate(module, [("", ModuleArg::Instance(arguments))]);
        self.output.section(&section);
        let merged = self.position.next_instance();
        self.position.merged = Some(merged);
        Ok(merged)
    }

    fn alias(&mut self, alias: ComponentAlias<'_>) -> Result<(), LinkError> {
        if let ComponentAlias::CoreInstanceExport { kind, instance_index, .. } = alias {
            let kind = Kind::try_from(kind)?;
            let old = self.position.read(kind);
            // Those of a member are written when something that is kept needs them.
            if self.merged.is_member[instance_index as usize] {
                return Ok(());
            }
            self.position.wrote(kind, old);
        }
        let mut section = ComponentAliasSection::new();
        let alias = self.position.component_alias(alias)?;
        section.alias(alias);
        self.output.section(&section);
        Ok(())
    }

    fn canonical(&mut self, function: CanonicalFunction) -> Result<(), LinkError> {
        for (kind, index) in uses_of(&function) {
            self.need(kind, index)?;
        }
        let makes_core = !matches!(function, CanonicalFunction::Lift { .. });
        let mut section = CanonicalFunctionSection::new();
        self.position.parse_component_canonical(&mut section, function)?;
        self.output.section(&section);
        if makes_core {
            let old = self.position.read(Kind::Function);
            self.position.wrote(Kind::Function, old);
        }
        Ok(())
    }

    /// Makes sure that an item is in the index spaces of the output.
    fn need(&mut self, kind: Kind, index: u32) -> Result<(), LinkError> {
        if self.position.items.contains_key(&(kind, index)) {
            return Ok(());
        }
        let Origin::Export { instance, name } = self.graph.origin(kind, index)? else {
            return Err(unexpected(format!("a use of function {index} before it is defined")));
        };
        let Some(name) = self.merged.exports.get(&(instance, name)) else {
            return Err(unexpected(format!("a use of `{name}` before the module that defines it")));
        };
        let instance = self.merged()?;
        let mut section = ComponentAliasSection::new();
        section.alias(Alias::CoreInstanceExport { instance, kind: kind.into(), name });
        self.output.section(&section);
        self.position.wrote(kind, index);
        Ok(())
    }
}

impl Positions {
    fn item(&self, kind: Kind, index: u32) -> Result<u32, Error<LinkError>> {
        let item = self.items.get(&(kind, index)).copied();
        item.ok_or_else(|| Error::UserError(unexpected(format!("a use of {kind:?} {index} before it is defined"))))
    }
}

impl Reencode for Positions {
    type Error = LinkError;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.item(Kind::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.item(Kind::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.item(Kind::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        self.item(Kind::Global, index)
    }
}

impl ReencodeComponent for Positions {
    fn module_index(&mut self, index: u32) -> u32 {
        self.modules.get(&(index as usize)).copied().unwrap_or(u32::MAX)
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        self.instances.get(&(index as usize)).copied().or(self.merged).unwrap_or(u32::MAX)
    }
}
