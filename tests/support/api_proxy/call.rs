//! A request in Kubernetes' own terms.

use std::fmt;
use std::str::FromStr;

use http::{Method, Uri};

use crate::support::Target;

/// The how-many-th request of a verb about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// get, list, watch, create, patch, update or delete.
    pub verb: String,
    /// The resource, with its subresource: `deployments`, `microservices/status`.
    pub resource: String,
    /// Name of the object; `-` where the path holds none.
    pub name: String,
    /// 1 for the first of this verb, resource and name.
    pub occurrence: usize,
}

/// In place of a name.
pub const NONE: &str = "-";

impl Call {
    /// What a request is about. Its occurrence is for whoever counts.
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let Target { plural, name, subresource, .. } = Target::of(uri.path());
        let resource = match subresource {
            _ if plural.is_empty() => uri.path().trim_matches('/').to_owned(),
            Some(subresource) => format!("{plural}/{subresource}"),
            None => plural,
        };
        let name = name.unwrap_or_else(|| NONE.to_owned());
        let watches =
            uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("watch=")));
        let verb = match *method {
            Method::GET if watches => "watch",
            Method::GET if name == NONE => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PATCH => "patch",
            Method::PUT => "update",
            Method::DELETE => "delete",
            _ => "other",
        };
        Self { verb: verb.to_owned(), resource, name, occurrence: 0 }
    }

    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | "other")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.verb, self.resource, self.name, self.occurrence)
    }
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [verb, resource, name, occurrence] = words.as_slice() else {
            return Err(format!("a call is VERB RESOURCE NAME NUMBER, not {text:?}"));
        };
        let occurrence = occurrence.parse().map_err(|_| format!("{occurrence} is not a number"))?;
        let [verb, resource, name] = [verb, resource, name].map(|word| (*word).to_owned());
        Ok(Self { verb, resource, name, occurrence })
    }
}
