//! What the given services show to each other.

use super::Inputs;
use crate::api::{Microservice, MicroserviceClass};
use crate::intent::Observed;
use crate::intent::calls::Key;
use crate::intent::neighbours::{Neighbours, Outline, Standing};

/// The given services as neighbours, with those around them.
pub(super) fn neighbours<'o>(
    inputs: &Inputs,
    classes: &[MicroserviceClass],
    services: impl Iterator<Item = &'o Microservice>,
) -> Neighbours {
    let mut neighbours = Neighbours::default();
    let outline = |object: &Microservice| Outline::of(object, inputs.class_for(object, classes));
    for object in &inputs.around {
        neighbours.put(outline(object), Standing::default(), 0);
    }
    for object in services {
        neighbours.put(outline(object), Standing::default(), 1);
    }
    neighbours
}

/// What the operator would see of the others when it looks at one of the services.
pub(super) fn met(inputs: &Inputs, neighbours: &Neighbours, object: &Microservice) -> Observed {
    let observed = inputs.observed(object);
    let key = Key::of(object);
    Observed {
        addresses: neighbours.addresses(&key, &observed.addresses),
        granted: neighbours.granted(&key),
        network_mode: inputs.modes.get(key.namespace.as_str()).copied(),
        ..observed
    }
}
