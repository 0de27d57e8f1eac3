//! Named checks that need more than one object: guard rails and rules across fields.
