//! Services that reach each other, as one; and the order of those ones along the calls.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use crate::graph::system::Node;

/// Strongly connected components.
pub(super) struct Components {
    /// Members in the order of names; callers come before whom they call.
    pub list: Vec<Vec<Node>>,
    /// For each service its position in the list.
    of: Vec<usize>,
}

impl Components {
    pub fn new<E>(graph: &DiGraph<(), E>) -> Self {
        let mut list = kosaraju_scc(graph);
        list.reverse();
        let mut of = vec![usize::MAX; graph.node_count()];
        for (at, members) in list.iter_mut().enumerate() {
            members.sort_unstable();
            for node in members {
                of.get_mut(node.index()).into_iter().for_each(|of| *of = at);
            }
        }
        Self { list, of }
    }

    /// Position of the component that a service is in.
    pub fn of(&self, node: Node) -> usize {
        self.of.get(node.index()).copied().unwrap_or(usize::MAX)
    }

    /// Whether both are in one component.
    pub fn same(&self, a: Node, b: Node) -> bool {
        self.of(a) == self.of(b)
    }
}
