//! CPU and memory: `requests` and `limits` each come whole from one layer, then the layers are fitted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Inputs;
use crate::api::defaults::Amounts;
use crate::intent::quantity::{Amount, canonical};

type Quantities = BTreeMap<String, Quantity>;

/// Where a value comes from; the later one is nearer to the user and stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    BuiltIn,
    Class,
    Spec,
}

/// Resources of the service's own container.
pub(super) fn main(inputs: &Inputs<'_>) -> ResourceRequirements {
    let class = inputs.class.resources.as_ref();
    complete(
        inputs,
        inputs.spec.resources.as_deref(),
        class,
        inputs.defaults.requests,
        inputs.defaults.limits,
    )
}

/// Resources of an init container or sidecar.
pub(super) fn helper(inputs: &Inputs<'_>, given: Option<&ResourceRequirements>) -> ResourceRequirements {
    complete(inputs, given, None, inputs.defaults.helper_requests, inputs.defaults.helper_limits)
}

fn complete(
    inputs: &Inputs<'_>,
    spec: Option<&ResourceRequirements>,
    class: Option<&ResourceRequirements>,
    requests: Amounts,
    limits: Amounts,
) -> ResourceRequirements {
    let pick = |part: fn(&ResourceRequirements) -> Option<&Quantities>, built_in: Amounts| {
        if let Some(given) = spec.and_then(part) {
            (given.iter().map(canonical_entry).collect(), Layer::Spec)
        } else if let Some(given) = class.and_then(part) {
            (given.iter().map(canonical_entry).collect(), Layer::Class)
        } else {
            (
                built_in.iter().map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned()))).collect(),
                Layer::BuiltIn,
            )
        }
    };
    let (mut requests, request_layer) = pick(|given| given.requests.as_ref(), requests);
    let (mut limits, limit_layer) = pick(|given| given.limits.as_ref(), limits);
    fit(&mut requests, request_layer, &mut limits, limit_layer);
    if let Some(ceilings) = &inputs.guardrails.max_resources {
        // A default never breaks a guard rail by itself; what the user wrote is judged, not changed.
        if limit_layer < Layer::Spec {
            lower(&mut limits, ceilings);
        }
        if request_layer < Layer::Spec {
            lower(&mut requests, ceilings);
        }
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: None }
}

fn canonical_entry((name, quantity): (&String, &Quantity)) -> (String, Quantity) {
    (name.clone(), canonical(quantity))
}

/// Where a request is above its limit, the one from the farther layer follows the other. Two of one
/// layer stay as they are: the rules refuse them.
fn fit(requests: &mut Quantities, request_layer: Layer, limits: &mut Quantities, limit_layer: Layer) {
    if limit_layer < request_layer {
        for (name, limit) in limits.iter_mut() {
            if let Some(request) = requests.get(name).filter(|request| above(request, limit)) {
                *limit = request.clone();
            }
        }
    } else if request_layer < limit_layer {
        lower(requests, limits);
    }
}

/// Lowers each value to its ceiling.
fn lower(values: &mut Quantities, ceilings: &Quantities) {
    for (name, value) in values.iter_mut() {
        if let Some(ceiling) = ceilings.get(name).filter(|ceiling| above(value, ceiling)) {
            *value = canonical(ceiling);
        }
    }
}

/// Whether `a` is more than `b`; false if one of them is no quantity, which the rules report.
fn above(a: &Quantity, b: &Quantity) -> bool {
    matches!((Amount::parse(&a.0), Amount::parse(&b.0)), (Some(a), Some(b)) if a > b)
}
