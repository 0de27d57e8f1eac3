//! Names of children: derived, length-safe, never two for one.

/// ConfigMap of plain configuration.
pub fn config_map_name(name: &str) -> String {
    format!("{name}-config")
}

/// ConfigMap of inline files.
pub fn files_map_name(name: &str) -> String {
    format!("{name}-files")
}
