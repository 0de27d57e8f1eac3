//! Services that wait for services that wait for services.

use std::collections::BTreeMap;

use super::{Found, Shape};
use crate::graph::finding::{Finding, Kind, time, way};
use crate::graph::system::Node;

/// The longest chain below a component.
#[derive(Clone, Copy, Default)]
struct Longest {
    calls: u64,
    /// The call that it begins with, and T of that.
    over: Option<(Node, Node, Option<u64>)>,
}

/// One finding for each service, or circle of services, that nobody else waits for.
pub(super) fn find(shape: &Shape<'_>, found: Found<'_>) {
    let components = &shape.required;
    let mut longest: BTreeMap<usize, Longest> = BTreeMap::new();
    let mut entered = vec![false; components.list.len()];
    for (at, members) in components.list.iter().enumerate().rev() {
        let mut here = Longest::default();
        let needs = members.iter().flat_map(|from| shape.needs(*from).map(|(to, call)| (*from, to, call)));
        for (from, to, call) in needs {
            let next = components.of(to);
            if next == at {
                continue;
            }
            if let Some(entered) = entered.get_mut(next) {
                *entered = true;
            }
            let calls = longest.get(&next).map_or(0, |next| next.calls) + 1;
            if calls > here.calls {
                here = Longest { calls, over: Some((from, to, call.whole())) };
            }
        }
        longest.insert(at, here);
    }
    let entries = entered.iter().enumerate().filter(|(_, entered)| !**entered).map(|(at, _)| at);
    entries.filter_map(|at| too_long(shape, &longest, at)).for_each(found);
}

fn too_long(shape: &Shape<'_>, longest: &BTreeMap<usize, Longest>, entry: usize) -> Option<Finding> {
    let (system, components) = (shape.system, &shape.required);
    let Longest { calls, over } = *longest.get(&entry)?;
    if calls <= shape.policy(over?.0)?.limits.chain {
        return None;
    }
    let (mut path, mut sum, mut at) = (Vec::new(), Some(0_u64), entry);
    while let Some((from, to, whole)) = longest.get(&at).and_then(|here| here.over) {
        path.extend([from, to]);
        sum = sum.zip(whole).map(|(sum, whole)| sum.saturating_add(whole));
        at = components.of(to);
    }
    path.dedup();
    let path = system.keys(path);
    let all = sum.map(|sum| format!(", with timeouts of {} in all", time(sum))).unwrap_or_default();
    let message = format!("{calls} calls wait for one another{all}: {}", way(&path));
    let sum = sum.map(|sum| ("timeoutMilliseconds", sum));
    Some(Finding::new(Kind::LongChain, path, message).with([("calls", calls)]).with(sum))
}
