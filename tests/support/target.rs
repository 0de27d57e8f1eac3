//! What a path of the Kubernetes API names.

/// The parts of `/api/VERSION/…` and `/apis/GROUP/VERSION/…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Empty for the core group.
    pub group: String,
    /// Empty where the path ends before it, and asks what is served.
    pub plural: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Target {
    /// Reads a path.
    pub fn of(path: &str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned);
        let group = if parts.next().as_deref() == Some("apis") { parts.next() } else { None };
        let version = parts.next();
        let mut target = Self { group: group.unwrap_or_default(), ..Self::default() };
        let first = version.and_then(|_| parts.next()).unwrap_or_default();
        let second = parts.next();
        let third = parts.next();
        match (first.as_str(), third) {
            ("namespaces", Some(plural)) => {
                (target.plural, target.namespace, target.name) = (plural, second, parts.next());
                target.subresource = parts.next();
            }
            // Of a Namespace itself, and of what belongs to none.
            (_, third) => (target.plural, target.name, target.subresource) = (first, second, third),
        }
        target
    }
}
