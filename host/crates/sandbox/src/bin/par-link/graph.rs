//! What a component says about its core modules: which instance gets what from which.

use wasm_encoder::ExportKind;
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, Encoding, ExternalKind, Instance, Parser, Payload,
};

use super::module::Module;
use super::outside::Outside;
use super::{LinkError, unexpected};

/// The core index spaces of a component, in the order of its definitions.
#[derive(Default)]
pub(crate) struct Graph<'a> {
    pub(crate) modules: Vec<Module<'a>>,
    pub(crate) instances: Vec<CoreInstance<'a>>,
    pub(crate) functions: Vec<Origin<'a>>,
    pub(crate) tables: Vec<Origin<'a>>,
    pub(crate) memories: Vec<Origin<'a>>,
    pub(crate) globals: Vec<Origin<'a>>,
    /// What the functions the host makes use of the core index spaces.
    pub(crate) canonical_uses: Vec<(Kind, u32)>,
    /// Those of the functions that the host calls when it must not be called itself.
    pub(crate) undisturbed: Vec<u32>,
    /// The function that calls the host at a safepoint.
    pub(crate) safepoint: Option<u32>,
}

/// The arguments of an instance: other instances by name.
pub(crate) type Arguments<'a> = Vec<(&'a str, usize)>;

/// One core instance.
pub(crate) enum CoreInstance<'a> {
    /// An instance of a module; its arguments are instances by name.
    Module { module: usize, arguments: Arguments<'a> },
    /// Items gathered under names, to be an argument.
    Exports(Vec<(&'a str, Kind, u32)>),
}

/// Where an item of a core index space comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// It is an export of a core instance.
    Export { instance: usize, name: &'a str },
    /// The host makes it. `late` says that it needs the memory of the guest to exist before.
    Canonical { late: bool },
}

impl<'a> Graph<'a> {
    /// Reads the outermost level of `component`.
    pub(crate) fn parse(component: &'a [u8]) -> Result<Self, LinkError> {
        let mut graph = Self::default();
        let mut outside = Outside::default();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(unexpected("a core module"));
                }
                Payload::ModuleSection { unchecked_range, .. } => {
                    if depth == 0 {
                        graph.modules.push(Module::parse(&component[unchecked_range])?);
                    }
                    depth += 1;
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                _ if depth > 0 => {}
                Payload::InstanceSection(section) => {
                    for instance in section {
                        graph.instances.push(CoreInstance::try_from(instance?)?);
                    }
                }
                Payload::ComponentAliasSection(section) => {
                    for alias in section {
                        let alias = alias?;
                        graph.alias(&alias)?;
                        outside.alias(&alias);
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for function in section {
                        let function = function?;
                        let uses = uses_of(&function);
                        graph.undisturbed.extend(undisturbed_by(&function));
                        match function {
                            CanonicalFunction::Lift { .. } => outside.functions.push(false),
                            CanonicalFunction::Lower { func_index, .. } if outside.is_safepoint(func_index) => {
                                graph.safepoint = Some(graph.functions.len() as u32);
                            }
                            _ => {}
                        }
                        if !matches!(function, CanonicalFunction::Lift { .. }) {
                            graph.functions.push(Origin::Canonical { late: !uses.is_empty() });
                        }
                        graph.canonical_uses.extend(uses);
                    }
                }
                payload => outside.read(payload)?,
            }
        }
        Ok(graph)
    }

    fn alias(&mut self, alias: &ComponentAlias<'a>) -> Result<(), LinkError> {
        let ComponentAlias::CoreInstanceExport { kind, instance_index, name } = *alias else { return Ok(()) };
        let origin = Origin::Export { instance: instance_index as usize, name };
        self.space_mut(Kind::try_from(kind)?).push(origin);
        Ok(())
    }

    /// One of the index spaces.
    fn space(&self, kind: Kind) -> &[Origin<'a>] {
        match kind {
            Kind::Function => &self.functions,
            Kind::Table => &self.tables,
            Kind::Memory => &self.memories,
            Kind::Global => &self.globals,
        }
    }

    fn space_mut(&mut self, kind: Kind) -> &mut Vec<Origin<'a>> {
        match kind {
            Kind::Function => &mut self.functions,
            Kind::Table => &mut self.tables,
            Kind::Memory => &mut self.memories,
            Kind::Global => &mut self.globals,
        }
    }

    /// For each instance, whether it needs a memory of another instance to exist before.
    pub(crate) fn late(&self) -> Vec<bool> {
        let mut late = Vec::with_capacity(self.instances.len());
        for instance in &self.instances {
            // Definitions only refer backwards, so what an instance is made of is known by now.
            let is_late = match instance {
                CoreInstance::Module { arguments, .. } => arguments.iter().any(|&(_, argument)| late[argument]),
                CoreInstance::Exports(items) => items.iter().any(|&(_, kind, index)| match self.origin(kind, index) {
                    Ok(Origin::Export { instance, .. }) => late[instance],
                    Ok(Origin::Canonical { late }) => late,
                    Err(_) => false,
                }),
            };
            late.push(is_late);
        }
        late
    }

    /// Which instances the component still needs when those of `merged` are one.
    pub(crate) fn kept(&self, merged: &[bool]) -> Vec<bool> {
        let mut kept: Vec<bool> = self
            .instances
            .iter()
            .zip(merged)
            .map(|(instance, merged)| matches!(instance, CoreInstance::Module { .. }) && !merged)
            .collect();
        for index in (0..kept.len()).rev() {
            if let (true, CoreInstance::Module { arguments, .. }) = (kept[index], &self.instances[index]) {
                for &(_, argument) in arguments {
                    kept[argument] = !merged[argument];
                }
            }
        }
        kept
    }

    /// What remains of the component uses of the core index spaces when those of `merged` are one.
    pub(crate) fn used_outside(&self, merged: &[bool]) -> Vec<(Kind, u32)> {
        let gathered = self.instances.iter().zip(self.kept(merged)).filter(|(_, kept)| *kept);
        let gathered = gathered.flat_map(|(instance, _)| match instance {
            CoreInstance::Exports(items) => items.as_slice(),
            CoreInstance::Module { .. } => &[],
        });
        gathered.map(|&(_, kind, index)| (kind, index)).chain(self.canonical_uses.iter().copied()).collect()
    }

    /// What `kind` `index` of a core index space is.
    pub(crate) fn origin(&self, kind: Kind, index: u32) -> Result<Origin<'a>, LinkError> {
        self.space(kind).get(index as usize).copied().ok_or_else(|| unexpected(format!("no {kind:?} {index}")))
    }
}

impl<'a> TryFrom<Instance<'a>> for CoreInstance<'a> {
    type Error = LinkError;

    fn try_from(instance: Instance<'a>) -> Result<Self, LinkError> {
        Ok(match instance {
            Instance::Instantiate { module_index, args } => Self::Module {
                module: module_index as usize,
                arguments: args.iter().map(|argument| (argument.name, argument.index as usize)).collect(),
            },
            Instance::FromExports(exports) => Self::Exports(
                exports
                    .iter()
                    .map(|export| Ok((export.name, export.kind.try_into()?, export.index)))
                    .collect::<Result<_, LinkError>>()?,
            ),
        })
    }
}

/// The kinds of items modules exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Function,
    Table,
    Memory,
    Global,
}

impl TryFrom<ExternalKind> for Kind {
    type Error = LinkError;

    fn try_from(kind: ExternalKind) -> Result<Self, LinkError> {
        Ok(match kind {
            ExternalKind::Func => Self::Function,
            ExternalKind::Table => Self::Table,
            ExternalKind::Memory => Self::Memory,
            ExternalKind::Global => Self::Global,
            other => return Err(unexpected(format!("an item of kind {other:?}"))),
        })
    }
}

impl From<Kind> for ExportKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Function => Self::Func,
            Kind::Table => Self::Table,
            Kind::Memory => Self::Memory,
            Kind::Global => Self::Global,
        }
    }
}

/// The functions of the guest the host calls while it passes values of `function`. Until they return, the guest must
/// not call the host.
fn undisturbed_by(function: &CanonicalFunction) -> Vec<u32> {
    let options = options_of(function).iter();
    let indices = options.filter_map(|option| match option {
        CanonicalOption::Realloc(index) | CanonicalOption::PostReturn(index) => Some(*index),
        _ => None,
    });
    indices.collect()
}

/// What `function` uses of the core index spaces: a memory, and functions to be called back.
pub(crate) fn uses_of(function: &CanonicalFunction) -> Vec<(Kind, u32)> {
    let mut uses = Vec::new();
    match function {
        CanonicalFunction::Lift { core_func_index, .. } => uses.push((Kind::Function, *core_func_index)),
        CanonicalFunction::WaitableSetWait { memory, .. } | CanonicalFunction::WaitableSetPoll { memory, .. } => {
            uses.push((Kind::Memory, *memory));
        }
        _ => {}
    }
    for option in options_of(function) {
        match option {
            CanonicalOption::Memory(index) => uses.push((Kind::Memory, *index)),
            CanonicalOption::Realloc(index) | CanonicalOption::PostReturn(index) | CanonicalOption::Callback(index) => {
                uses.push((Kind::Function, *index));
            }
            _ => {}
        }
    }
    uses
}

fn options_of(function: &CanonicalFunction) -> &[CanonicalOption] {
    match function {
        CanonicalFunction::Lift { options, .. }
        | CanonicalFunction::Lower { options, .. }
        | CanonicalFunction::TaskReturn { options, .. }
        | CanonicalFunction::StreamRead { options, .. }
        | CanonicalFunction::StreamWrite { options, .. }
        | CanonicalFunction::FutureRead { options, .. }
        | CanonicalFunction::FutureWrite { options, .. }
        | CanonicalFunction::ErrorContextNew { options }
        | CanonicalFunction::ErrorContextDebugMessage { options, .. } => options,
        _ => &[],
    }
}
