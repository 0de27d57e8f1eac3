//! Paths of the API.

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    pub plural: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Target {
    /// `None` for what is no resource: a group, for example.
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').map(str::to_owned).peekable();
        // api/VERSION or apis/GROUP/VERSION
        let skipped = if parts.next()? == "api" { 1 } else { 2 };
        for _ in 0..skipped {
            parts.next()?;
        }
        let first = parts.next()?;
        let of_namespace = first == "namespaces";
        let namespace = if of_namespace { parts.next() } else { None };
        match (of_namespace, parts.next()) {
            (true, Some(plural)) => {
                Some(Self { plural, namespace, name: parts.next(), subresource: parts.next() })
            }
            // Of a Namespace itself, and of what belongs to none.
            (true, None) => Some(Self { plural: first, namespace: None, name: namespace, subresource: None }),
            (false, name) => Some(Self { plural: first, namespace: None, name, subresource: parts.next() }),
        }
    }
}
