//! The back end: a graph of tests and verdicts, and the classic BPF program that is generated from it
//! (Documentation/networking/filter.rst; `struct seccomp_data` in seccomp(2)).
//!
//! The branches of a node are older nodes, so there are no backward jumps if nodes are arranged from the newest to the
//! oldest. The program is generated from its end, the oldest node first, so that the target of every jump is already in
//! place. If it is out of reach (255 instructions), a copy of the verdict or a long jump is inserted after the jump.

use alloc::vec::Vec;

use crate::error::{Error, Result};

/// The index of a node in the graph.
pub(super) type Id = u32;

/// The maximum number of instructions (`BPF_MAXINSNS`).
pub(super) const MOST: usize = 4096;

/// The maximum number of nodes. A program of at most [`MOST`] instructions has fewer; the limit bounds the time for one
/// that is too long.
const MOST_NODES: usize = 4 * MOST;

const LD_W_ABS: u16 = 0x20;
const AND_K: u16 = 0x54;
const JMP: u16 = 0x05;
const RET_K: u16 = 0x06;

/// The operation of a node: `Return` is a verdict, the others are comparisons (`BPF_JEQ` and so on).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Return = 0x00,
    Equal = 0x10,
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    /// Whether any of the bits is set (`BPF_JSET`).
    AnyBit = 0x40,
}

/// A comparison of one 32-bit word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Test {
    /// The offset of the word in `struct seccomp_data`.
    pub word: u8,
    pub op: Op,
    /// The bits of the word that are compared.
    pub mask: u32,
    pub value: u32,
}

/// The offsets of `nr` and `arch` in `struct seccomp_data`.
pub(super) const NUMBER: u8 = 0;
pub(super) const ARCH: u8 = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Node {
    test: Test,
    yes: Id,
    no: Id,
}

/// The words of `struct seccomp_data` whose values are known at a node.
pub(super) type KnownWords = [Option<u32>; 16];

/// The graph of tests and verdicts.
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// Verdicts and tests of arguments, which are searched for duplicates: they are few, and many are equal. Tests of
    /// numbers hardly ever are.
    shared: Vec<Id>,
}

impl Test {
    /// A test of all bits of a word.
    pub(super) fn new(word: u8, op: Op, value: u32) -> Self {
        Test { word, op, mask: u32::MAX, value }
    }

    /// The outcome, if it is the same for all values of the word, or the value is known.
    fn outcome(&self, known: &KnownWords) -> Option<bool> {
        match self.op {
            Op::GreaterOrEqual if self.value == 0 => return Some(true),
            Op::Greater if self.value == u32::MAX => return Some(false),
            Op::Equal if self.mask == 0 => return Some(self.value == 0),
            _ => {}
        }
        let word = (*known.get(usize::from(self.word / 4))?)? & self.mask;
        Some(match self.op {
            Op::Return => return None,
            Op::Equal => word == self.value,
            Op::Greater => word > self.value,
            Op::GreaterOrEqual => word >= self.value,
            Op::AnyBit => word & self.value != 0,
        })
    }
}

impl Graph {
    pub(super) fn new() -> Self {
        Graph { nodes: Vec::with_capacity(512), shared: Vec::with_capacity(64) }
    }

    /// Adds a verdict (`SECCOMP_RET_*` with its data).
    pub(super) fn verdict(&mut self, action: u32) -> Id {
        self.share(Node { test: Test::new(0, Op::Return, action), yes: 0, no: 0 })
    }

    /// Adds a test of the architecture or the syscall number.
    pub(super) fn branch(&mut self, word: u8, op: Op, value: u32, yes: Id, no: Id) -> Id {
        self.add(Node { test: Test::new(word, op, value), yes, no })
    }

    /// Adds a test of an argument with its two branches. `known` are the words whose values are known there.
    pub(super) fn test(&mut self, test: Test, known: &KnownWords, yes: Id, no: Id) -> Id {
        let yes = self.skip(yes, known, None);
        let no = self.skip(no, known, Some(test));
        let node = Node { test, yes, no };
        match test.outcome(known) {
            Some(true) => yes,
            Some(false) => no,
            None if yes == no => yes,
            None => self.share(node),
        }
    }

    /// The target of a branch after skipping tests whose outcome is known there; `failed` is a test that is known to
    /// have failed.
    fn skip(&self, mut to: Id, known: &KnownWords, failed: Option<Test>) -> Id {
        while let Some(node) = self.nodes.get(to as usize).filter(|node| node.test.op != Op::Return) {
            to = match node.test.outcome(known) {
                Some(true) => node.yes,
                Some(false) => node.no,
                None if failed == Some(node.test) => node.no,
                None => break,
            };
        }
        to
    }

    fn share(&mut self, node: Node) -> Id {
        let same = |id: &&Id| self.nodes.get(**id as usize).is_some_and(|there| *there == node);
        if let Some(id) = self.shared.iter().find(same) {
            return *id;
        }
        let id = self.add(node);
        self.shared.push(id);
        id
    }

    fn add(&mut self, node: Node) -> Id {
        // One node above the limit is enough for `is_full`.
        if self.nodes.len() <= MOST_NODES {
            self.nodes.push(node);
        }
        (self.nodes.len() - 1) as Id
    }

    /// Whether the graph exceeds [`MOST_NODES`].
    fn is_full(&self) -> bool {
        self.nodes.len() > MOST_NODES
    }

    /// Makes the graph exceed [`MOST_NODES`]: for a call that alone has too many rules.
    pub(super) fn fill(&mut self) {
        let nothing = Node { test: Test::new(0, Op::Return, 0), yes: 0, no: 0 };
        self.nodes.resize(MOST_NODES + 1, nothing);
    }

    /// Generates the program that begins at `root`, which is the newest node.
    ///
    /// Errors: if it has more than [`MOST`] instructions.
    pub(super) fn program(&self, root: Id) -> Result<Vec<u64>> {
        let loaded = self.loaded(root);
        let mut program = Vec::with_capacity(self.nodes.len() + 64);
        // For each node, the number of instructions that follow its first one. If a copy of a verdict or a long jump to
        // the node has been inserted, it counts as the node: see `bring_near`.
        let mut behind = Vec::with_capacity(self.nodes.len());
        for (node, loaded) in self.nodes.iter().zip(&loaded) {
            if !matches!(loaded, Loaded::Unreached) {
                self.write(node, *loaded, &mut program, &mut behind);
            }
            behind.push(program.len().wrapping_sub(1));
            if program.len() > MOST || self.is_full() {
                let text = format_args!("the filter has more than {MOST} instructions");
                return Err(Error::invalid(text));
            }
        }
        program.reverse();
        Ok(program)
    }

    fn write(&self, node: &Node, loaded: Loaded, program: &mut Vec<u64>, behind: &mut [usize]) {
        let Node { test, yes, no } = *node;
        if test.op == Op::Return {
            return program.push(instruction(RET_K, 0, 0, test.value));
        }
        self.bring_near(yes, program, behind);
        self.bring_near(no, program, behind);
        let jump = |to: Id| program.len() - behind.get(to as usize).copied().unwrap_or(0) - 1;
        program.push(instruction(JMP | test.op as u16, jump(yes) as u8, jump(no) as u8, test.value));
        if test.mask != u32::MAX {
            program.push(instruction(AND_K, 0, 0, test.mask));
        }
        if !matches!(loaded, Loaded::Word(word) if word == test.word) {
            program.push(instruction(LD_W_ABS, 0, 0, u32::from(test.word)));
        }
    }

    /// Inserts a copy of the verdict or a long jump if node `to` is out of reach for the next instruction.
    fn bring_near(&self, to: Id, program: &mut Vec<u64>, behind: &mut [usize]) {
        let (Some(node), Some(place)) = (self.nodes.get(to as usize), behind.get_mut(to as usize)) else {
            return;
        };
        let distance = program.len() - *place - 1;
        // One less than the reach, because the other branch may need a long jump as well.
        if distance < usize::from(u8::MAX) {
            return;
        }
        program.push(match node.test.op {
            Op::Return => instruction(RET_K, 0, 0, node.test.value),
            _ => instruction(JMP, 0, 0, distance as u32),
        });
        *place = program.len() - 1;
    }

    /// The content of the accumulator at each node. Nodes are visited from the root on, as each is newer than its
    /// branches.
    fn loaded(&self, root: Id) -> Vec<Loaded> {
        let mut loaded = Vec::new();
        loaded.resize(self.nodes.len(), Loaded::Unreached);
        if let Some(first) = loaded.get_mut(root as usize) {
            *first = Loaded::Anything;
        }
        for (id, Node { test, yes, no }) in self.nodes.iter().enumerate().rev() {
            if test.op == Op::Return || matches!(loaded.get(id), Some(Loaded::Unreached)) {
                continue;
            }
            let left = if test.mask == u32::MAX { Loaded::Word(test.word) } else { Loaded::Anything };
            let mut reach = |branch: Id| {
                if let Some(there) = loaded.get_mut(branch as usize) {
                    *there = match (*there, left) {
                        (Loaded::Unreached, left) => left,
                        (Loaded::Word(word), Loaded::Word(other)) if word == other => left,
                        _ => Loaded::Anything,
                    };
                }
            };
            reach(*yes);
            reach(*no);
        }
        loaded
    }
}

/// The content of the accumulator at the beginning of a node.
#[derive(Clone, Copy)]
enum Loaded {
    Unreached,
    Anything,
    Word(u8),
}

/// A `struct sock_filter`, in native byte order.
fn instruction(code: u16, yes: u8, no: u8, value: u32) -> u64 {
    let [c0, c1] = code.to_ne_bytes();
    let [v0, v1, v2, v3] = value.to_ne_bytes();
    u64::from_ne_bytes([c0, c1, yes, no, v0, v1, v2, v3])
}
