//! CEL rules of both kinds: one table for the CRD, the offline check and the docs.
