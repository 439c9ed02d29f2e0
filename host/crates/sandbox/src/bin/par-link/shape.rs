//! The loops of a function.

use wasmparser::{FunctionBody, Operator};

/// The blocks that are open at an instruction, outermost first: the number of each that is a loop.
pub(crate) struct Blocks {
    open: Vec<Option<usize>>,
    loops: usize,
}

impl Default for Blocks {
    /// A function is a block.
    fn default() -> Self {
        Self { open: vec![None], loops: 0 }
    }
}

impl Blocks {
    /// Goes on to the instruction after `operator`.
    pub(crate) fn pass(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Loop { .. } => {
                self.open.push(Some(self.loops));
                self.loops += 1;
            }
            Operator::Block { .. } | Operator::If { .. } => self.open.push(None),
            Operator::End => {
                self.open.pop();
            }
            _ => {}
        }
    }

    /// The number of the loop that `operator` begins, in the order of the code.
    pub(crate) fn begun(&self) -> usize {
        self.loops
    }

    /// The loops to whose heads `operator` may go.
    pub(crate) fn jumps_back(&self, operator: &Operator<'_>) -> Vec<usize> {
        match operator {
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                self.loop_at(*relative_depth).into_iter().collect()
            }
            Operator::BrTable { targets } => {
                let others = targets.targets().filter_map(Result::ok);
                others.chain([targets.default()]).filter_map(|depth| self.loop_at(depth)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn loop_at(&self, depth: u32) -> Option<usize> {
        self.open.len().checked_sub(depth as usize + 1).and_then(|index| self.open[index])
    }

    fn in_loop(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }
}

/// A function with a loop to whose head more jumps lead is an interpreter: CPython's, that of regular expressions. It has
/// no register left for a counter, and what is at the head of its loop is done once for each of its instructions.
const JUMPS_OF_AN_INTERPRETER: usize = 32;

/// Whether an instruction comes after another whatever is computed.
pub(crate) struct Always(bool);

impl Default for Always {
    fn default() -> Self {
        Self(true)
    }
}

impl Always {
    /// Whether `operator` is run whenever the first one is. Once it need not be, none after it is said to be.
    pub(crate) fn holds(&mut self, operator: &Operator<'_>) -> bool {
        self.0 &= !matches!(
            operator,
            Operator::If { .. }
                | Operator::Else
                | Operator::End
                | Operator::Br { .. }
                | Operator::BrIf { .. }
                | Operator::BrTable { .. }
                | Operator::Return
                | Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::Unreachable
        );
        self.0
    }
}

/// The jumps to the head of a loop.
#[derive(Clone, Copy, Default)]
struct Jumps {
    count: usize,
    /// Some of them are on a condition, or by a table.
    conditional: bool,
}

/// What there is in a function.
#[derive(Default)]
pub(crate) struct Shape {
    /// Its loops, in the order of the code.
    loops: Vec<Jumps>,
    /// Within a loop, a call that may lead back here. One safepoint at the entry then is as good as one at each call.
    pub(crate) may_return_in_loop: bool,
    /// A copy or a fill.
    pub(crate) copies: bool,
}

impl Shape {
    pub(crate) fn of(
        body: &FunctionBody<'_>,
        may_return: impl Fn(&Operator<'_>) -> bool,
        asks: impl Fn(&Operator<'_>) -> bool,
    ) -> Result<Self, wasmparser::Error> {
        let (mut shape, mut blocks) = (Self::default(), Blocks::default());
        // The loops that ask for themselves in each round, and the last one that might still.
        let (mut asking, mut begun) = (Vec::new(), None);
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            for back in blocks.jumps_back(&operator) {
                shape.loops[back].count += 1;
                shape.loops[back].conditional |= !matches!(operator, Operator::Br { .. });
            }
            shape.may_return_in_loop |= blocks.in_loop() && may_return(&operator);
            shape.copies |= matches!(operator, Operator::MemoryCopy { .. } | Operator::MemoryFill { .. });
            if let Some((number, always)) = &mut begun
                && Always::holds(always, &operator)
                && asks(&operator)
            {
                asking.push(*number);
            }
            if matches!(operator, Operator::Loop { .. }) {
                begun = Some((shape.loops.len(), Always::default()));
                shape.loops.push(Jumps::default());
            }
            blocks.pass(&operator);
        }
        for number in asking {
            shape.loops[number] = Jumps::default();
        }
        Ok(shape)
    }

    /// Whether rounds are counted from the budget, at each jump.
    pub(crate) fn is_interpreter(&self) -> bool {
        self.loops.iter().any(|jumps| jumps.count > JUMPS_OF_AN_INTERPRETER)
    }

    /// Whether rounds are counted in a variable.
    pub(crate) fn counts(&self) -> bool {
        !self.is_interpreter() && self.loops.iter().any(|jumps| jumps.count > 0)
    }

    /// Whether the rounds of the loop that begins here are counted at its head. It is one place however many jumps
    /// there are, and a jump on a condition stays one instruction.
    pub(crate) fn at_head(&self, blocks: &Blocks) -> bool {
        self.loops[blocks.begun()].count > 0 && !self.before_jumps(blocks.begun())
    }

    /// Whether the rounds of a loop that `operator` leads back to are counted here.
    pub(crate) fn at_jump(&self, blocks: &Blocks, operator: &Operator<'_>) -> bool {
        blocks.jumps_back(operator).iter().any(|back| self.before_jumps(*back))
    }

    /// A loop that is left in its first round, as most searches of a dictionary are, has no jump back; where there is
    /// one jump, and always taken, nothing is counted then.
    fn before_jumps(&self, number: usize) -> bool {
        let jumps = self.loops[number];
        jumps.count > 0 && (self.is_interpreter() || jumps.count == 1 && !jumps.conditional)
    }
}
