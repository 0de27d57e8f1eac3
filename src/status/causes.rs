//! Root causes: from pods to one sentence.
