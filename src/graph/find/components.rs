//! Services that reach each other, as one; and the order of those ones along the calls.

use std::collections::BTreeMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use crate::graph::system::Node;

/// Strongly connected components.
pub(super) struct Components {
    /// Members in the order of names; callers come before whom they call.
    pub list: Vec<Vec<Node>>,
    of: BTreeMap<Node, usize>,
}

impl Components {
    pub fn new<E>(graph: &DiGraph<(), E>) -> Self {
        let mut list = kosaraju_scc(graph);
        list.reverse();
        for members in &mut list {
            members.sort_unstable();
        }
        let of =
            list.iter().enumerate().flat_map(|(at, members)| members.iter().map(move |node| (*node, at)));
        let of = of.collect();
        Self { list, of }
    }

    /// Position of the component that a service is in.
    pub fn of(&self, node: Node) -> usize {
        self.of.get(&node).copied().unwrap_or(usize::MAX)
    }

    /// Whether both are in one component.
    pub fn same(&self, a: Node, b: Node) -> bool {
        self.of(a) == self.of(b)
    }
}
