//! What the given services show to each other.

use super::Inputs;
use crate::api::{Microservice, MicroserviceClass};
use crate::intent::Observed;
use crate::intent::calls::Key;
use crate::intent::neighbours::{Neighbours, Outline, Standing};

/// All given services as neighbours. One that cannot be decoded is reported elsewhere.
pub(super) fn neighbours(inputs: &Inputs, classes: &[MicroserviceClass]) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for object in &inputs.around {
        neighbours.put(Outline::of(object, inputs.class_for(object, classes)), Standing::default(), 0);
    }
    for document in inputs.of_kind("Microservice") {
        if let Ok(object) = document.decode::<Microservice>() {
            let outline = Outline::of(&object, inputs.class_for(&object, classes));
            neighbours.put(outline, Standing::default(), 1);
        }
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
