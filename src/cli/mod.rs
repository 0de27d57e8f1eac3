//! Offline commands: crd, rbac, render, check. Never a client.
