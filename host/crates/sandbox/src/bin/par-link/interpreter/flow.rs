//! A function as basic blocks.
//!
//! Compilers for WebAssembly write blocks and loops without parameters and results and leave nothing on the stack between them: what
//! one block of instructions hands to the next is in variables. Such a function is this graph and can be written again from
//! any part of it.

use wasmparser::{BlockType, FunctionBody, Operator};

use crate::{LinkError, unexpected};

/// The number of a basic block.
pub(crate) type Node = usize;

/// The basic blocks of a function; it begins at the first.
pub(crate) struct Flow<'a> {
    pub(crate) blocks: Vec<Block<'a>>,
}

/// Instructions that are run one after the other.
#[derive(Clone)]
pub(crate) struct Block<'a> {
    pub(crate) operators: Vec<Operator<'a>>,
    pub(crate) exit: Exit,
}

/// What comes after a block's last instruction.
#[derive(Clone, PartialEq)]
pub(crate) enum Exit {
    Jump(Node),
    /// By the number on the stack.
    Branch {
        taken: Node,
        otherwise: Node,
    },
    /// By the number on the stack; the last one stands for all numbers that are too large.
    Table(Vec<Node>),
    /// The result is on the stack.
    Return,
    Trap,
}

impl Exit {
    /// The blocks that may come next, some of them more than once.
    pub(crate) fn targets(&self) -> &[Node] {
        match self {
            Self::Jump(target) => std::slice::from_ref(target),
            Self::Branch { .. } | Self::Return | Self::Trap => &[],
            Self::Table(targets) => targets,
        }
    }

    /// Each block that may come next.
    pub(crate) fn each(&self) -> impl Iterator<Item = Node> + '_ {
        let pair = match *self {
            Self::Branch { taken, otherwise } => [Some(taken), Some(otherwise)],
            _ => [None, None],
        };
        self.targets().iter().copied().chain(pair.into_iter().flatten())
    }

    /// With `to` for each block.
    pub(crate) fn map(&self, mut to: impl FnMut(Node) -> Node) -> Self {
        match self {
            Self::Jump(target) => Self::Jump(to(*target)),
            Self::Branch { taken, otherwise } => Self::Branch { taken: to(*taken), otherwise: to(*otherwise) },
            Self::Table(targets) => Self::Table(targets.iter().map(|&target| to(target)).collect()),
            Self::Return => Self::Return,
            Self::Trap => Self::Trap,
        }
    }
}

/// A block of WebAssembly that is open: where a jump to its label leads.
enum Label {
    /// To what comes after it.
    Block(Node),
    /// To its head.
    Loop(Node),
    Function,
}

/// Takes a function apart.
struct Reader<'a> {
    blocks: Vec<Option<Block<'a>>>,
    open: Vec<Label>,
    /// The block that is being read, unless nothing leads here.
    current: Option<(Node, Vec<Operator<'a>>)>,
}

impl<'a> Flow<'a> {
    /// The blocks of a function with a result.
    ///
    /// # Errors
    /// [`LinkError::Unexpected`] when values stay on the stack from block to block.
    pub(crate) fn of(body: &FunctionBody<'a>) -> Result<Self, LinkError> {
        let mut reader = Reader { blocks: vec![None], open: vec![Label::Function], current: Some((0, Vec::new())) };
        for operator in body.get_operators_reader()? {
            reader.read(operator?)?;
        }
        let blocks: Option<Vec<_>> = reader.blocks.into_iter().collect();
        let blocks = blocks.ok_or_else(|| unexpected("a block without an end"))?;
        Ok(Self { blocks }.without_detours())
    }

    /// For each block, those that lead to it, each once.
    pub(crate) fn sources(&self) -> Vec<Vec<Node>> {
        let mut sources = vec![Vec::new(); self.blocks.len()];
        for (source, block) in self.blocks.iter().enumerate() {
            for target in block.exit.each() {
                if sources[target].last() != Some(&source) {
                    sources[target].push(source);
                }
            }
        }
        sources
    }

    /// The blocks that `first` leads to where `follow` says so, in reverse postorder: each comes after those that lead to
    /// it, but for loops.
    pub(crate) fn order(&self, first: Node, follow: impl Fn(Node, Node) -> bool) -> Vec<Node> {
        let mut seen = vec![false; self.blocks.len()];
        seen[first] = true;
        let mut order = Vec::new();
        // Not by recursion: the way may be thousands of blocks long.
        let mut way = vec![(first, self.blocks[first].exit.each().collect::<Vec<_>>())];
        while let Some((node, left)) = way.last_mut() {
            let node = *node;
            match left.pop() {
                Some(target) if !seen[target] && follow(node, target) => {
                    seen[target] = true;
                    way.push((target, self.blocks[target].exit.each().collect()));
                }
                Some(_) => {}
                None => {
                    order.push(node);
                    way.pop();
                }
            }
        }
        order.reverse();
        order
    }

    /// Without blocks that do nothing but lead to another, and without those that nothing leads to.
    fn without_detours(self) -> Self {
        let end = |mut node: Node| {
            // A loop that does nothing has no end; its head stays what it is.
            for _ in 0..self.blocks.len() {
                match self.blocks[node] {
                    Block { ref operators, exit: Exit::Jump(target) } if operators.is_empty() => node = target,
                    _ => break,
                }
            }
            node
        };
        let straight = Self {
            blocks: self
                .blocks
                .iter()
                .map(|block| Block { operators: block.operators.clone(), exit: block.exit.map(end) })
                .collect(),
        };
        let order = straight.order(0, |_, _| true);
        let mut renamed = vec![usize::MAX; straight.blocks.len()];
        for (new, &old) in order.iter().enumerate() {
            renamed[old] = new;
        }
        let blocks = order
            .iter()
            .map(|&old| {
                let block = &straight.blocks[old];
                Block { operators: block.operators.clone(), exit: block.exit.map(|target| renamed[target]) }
            })
            .collect();
        Self { blocks }
    }
}

impl<'a> Reader<'a> {
    fn read(&mut self, operator: Operator<'a>) -> Result<(), LinkError> {
        match operator {
            Operator::Block { blockty } => {
                plain(blockty)?;
                let after = self.add();
                self.open.push(Label::Block(after));
            }
            Operator::Loop { blockty } => {
                plain(blockty)?;
                let head = self.add();
                self.open.push(Label::Loop(head));
                self.end(Exit::Jump(head));
                self.begin(head);
            }
            Operator::End => match self.open.pop() {
                Some(Label::Block(after)) => {
                    self.end(Exit::Jump(after));
                    self.begin(after);
                }
                Some(Label::Loop(_)) => {}
                Some(Label::Function) => self.end(Exit::Return),
                None => return Err(unexpected("an end of nothing")),
            },
            Operator::Br { relative_depth } => {
                let exit = self.target(relative_depth)?.map_or(Exit::Return, Exit::Jump);
                self.end(exit);
            }
            Operator::BrIf { relative_depth } => {
                let taken = self.target(relative_depth)?;
                let taken = taken.ok_or_else(|| unexpected("a return on a condition"))?;
                if self.current.is_some() {
                    let otherwise = self.add();
                    self.end(Exit::Branch { taken, otherwise });
                    self.begin(otherwise);
                }
            }
            Operator::BrTable { ref targets } => {
                let mut nodes = Vec::new();
                for depth in targets.targets().chain([Ok(targets.default())]) {
                    let target = self.target(depth?)?;
                    nodes.push(target.ok_or_else(|| unexpected("a return by a table"))?);
                }
                self.end(Exit::Table(nodes));
            }
            Operator::Return => self.end(Exit::Return),
            Operator::Unreachable => self.end(Exit::Trap),
            Operator::If { .. }
            | Operator::Else
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => {
                return Err(unexpected(format!("{operator:?} in an interpreter")));
            }
            _ => {
                if let Some((_, operators)) = &mut self.current {
                    operators.push(operator);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self) -> Node {
        self.blocks.push(None);
        self.blocks.len() - 1
    }

    fn begin(&mut self, node: Node) {
        self.current = Some((node, Vec::new()));
    }

    fn end(&mut self, exit: Exit) {
        if let Some((node, operators)) = self.current.take() {
            self.blocks[node] = Some(Block { operators, exit });
        }
    }

    /// Where a jump leads, unless it is out of the function.
    fn target(&self, depth: u32) -> Result<Option<Node>, LinkError> {
        let label = self.open.len().checked_sub(depth as usize + 1).map(|index| &self.open[index]);
        match label {
            Some(Label::Block(node) | Label::Loop(node)) => Ok(Some(*node)),
            Some(Label::Function) => Ok(None),
            None => Err(unexpected("a jump to nowhere")),
        }
    }
}

fn plain(ty: BlockType) -> Result<(), LinkError> {
    match ty {
        BlockType::Empty => Ok(()),
        _ => Err(unexpected("a block with values in an interpreter")),
    }
}
