//! The CRDs: derived schema, then bounded and completed.
