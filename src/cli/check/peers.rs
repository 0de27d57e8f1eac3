//! What the given services show to each other.

use super::Inputs;
use crate::api::{Microservice, MicroserviceClass};
use crate::intent::Observed;
use crate::intent::neighbours::{Neighbours, Outline, Standing};

/// All given services as neighbours. One that cannot be decoded is reported elsewhere.
pub(super) fn neighbours(inputs: &Inputs, classes: &[MicroserviceClass]) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for document in inputs.of_kind("Microservice") {
        if let Ok(object) = document.decode::<Microservice>() {
            let outline = Outline::of(&object, inputs.class_for(&object, classes));
            neighbours.put(outline, Standing::default(), 0);
        }
    }
    neighbours
}

/// What the operator would see of the others when it looks at one of the services.
pub(super) fn met(observed: Observed, neighbours: &Neighbours, object: &Microservice) -> Observed {
    let key = Outline::of(object, None).key;
    Observed { addresses: neighbours.addresses(&key, &observed.addresses), ..observed }
}
