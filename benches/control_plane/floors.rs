//! B0 and B1: what the control plane takes at most, with a plain client and without an operator.

use crate::floor::{self, Order};
use crate::ground::Ground;
use crate::report::Report;

/// Objects of each kind that B0 writes at most; more show nothing new.
const EACH: usize = 200;
/// Requests in flight.
const IN_FLIGHT: [usize; 4] = [1, 4, 16, 64];

/// B0.
pub async fn kinds(ground: &mut Ground, report: &mut Report) {
    let objects = ground.settings.objects.min(EACH);
    for floor in floor::kinds(ground.cluster, objects, &IN_FLIGHT).await {
        floor.tell(report, "");
    }
}

/// B1. The status and the Events are those of a service that the shared operator has finished.
pub async fn job(ground: &mut Ground, report: &mut Report) {
    let (cluster, objects) = (ground.cluster, ground.settings.objects);
    let fleet = ground.filled(report).await;
    for floor in floor::children(cluster, objects, &IN_FLIGHT).await {
        floor.tell(report, "");
    }
    for (in_flight, order) in
        [(1, Order::Series), (1, Order::Together), (64, Order::Series), (8, Order::Together)]
    {
        floor::whole(cluster, objects, in_flight, order, &fleet.namespace).await.tell(report, "");
    }
}
