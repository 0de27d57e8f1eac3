//! The numbers of the guide, versioned by `defaultsRevision`.
