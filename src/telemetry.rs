//! Logs with reload, metrics, health endpoints.
