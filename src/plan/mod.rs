//! Plan = every child that an intent wants, complete and sorted. Pure and total: one file per kind,
//! one line per kind in the table below. Watch triggers, apply order, prune set, RBAC rules and the
//! reference docs all come from that table.

mod body;
mod container;
pub mod keda;
pub mod meta;
mod pod;
mod ports;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod volumes;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::Resource;
use serde::Serialize;
use serde_json::json;

use crate::api::{ANNOTATION_PLAN_HASH, names};
use crate::intent::{Intent, Scaling};

pub use body::Body;

/// Order of children. Those of the first three, which pods need, are applied together, then pods, then the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Accounts, secrets, configuration.
    Identity,
    /// What may talk to the pods.
    Policy,
    /// The address.
    Service,
    /// The pods.
    Workload,
    /// How many pods, and how few a drain may leave.
    Scaling,
}

/// One child kind.
pub trait Child {
    /// The typed Kubernetes object.
    type Object: Resource<DynamicType = ()> + Serialize;
    /// When it is applied.
    const STAGE: Stage;
    /// Whether clusters may lack its API; it is then planned only where that is served.
    const OPTIONAL: bool = false;
    /// The objects of this kind that the intent wants; none = not wanted. Reads only the intent,
    /// cannot fail, does not log.
    fn build(intent: &Intent) -> Vec<Self::Object>;

    /// What its plan hash is made of; `None` = its whole text.
    fn hashed(_: &Self::Object, _: &Intent) -> Option<String> {
        None
    }

    /// The pods that it makes.
    fn template(_: &Self::Object) -> Option<&PodTemplateSpec> {
        None
    }

    /// Whether applying it as it is would delete values that the plan does not know.
    fn lacks_values(_: &Self::Object) -> bool {
        false
    }
}

/// A child kind as data, for everything that goes over the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// Order of application.
    pub stage: Stage,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Resource name, as in URLs and RBAC rules.
    pub plural: &'static str,
    /// Whether clusters may lack its API.
    pub optional: bool,
}

impl Kind {
    /// `group/version`, or `version` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Path of one object of this kind in the server's API.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}/namespaces/{namespace}/{}/{name}", self.api_version(), self.plural)
    }
}

/// One child as it is sent: labels, owner and plan hash included.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its kind.
    pub kind: Kind,
    /// Its name, in the namespace of the Microservice.
    pub name: String,
    /// The object.
    pub body: Body,
    /// The body is without the values of a Secret, which are on the server only: whoever applies it adds
    /// them.
    pub lacks_values: bool,
    /// Digest of the body without owner, this digest and secret values; also in the annotation
    /// `microservice.dev/plan-hash`.
    pub plan_hash: String,
    /// Not applied and not pruned for now: a reference that it needs does not exist yet.
    pub held: bool,
    /// Fewest and most replicas, on the Deployment of an autoscaled service: the engine hands the live
    /// count over within them.
    pub replica_bounds: Option<(i32, i32)>,
    /// Digest of the pod template, the annotations included.
    pub template_hash: Option<String>,
}

/// All children of one Microservice, sorted by stage, kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The children.
    pub children: Vec<Planned>,
}

impl Plan {
    /// Digest of the pod template, the annotations included.
    pub fn template_hash(&self) -> Option<&str> {
        self.children.iter().find_map(|child| child.template_hash.as_deref())
    }
}

macro_rules! children {
    ($($module:ident),+ $(,)?) => {
        $(mod $module;)+

        /// Every kind that a plan can hold, in order of application.
        pub fn kinds() -> Vec<Kind> {
            let mut kinds = vec![$(kind_of::<$module::Table>()),+];
            kinds.sort();
            kinds
        }

        fn build_all(intent: &Intent) -> Vec<Planned> {
            let mut planned = Vec::new();
            $(planned.extend($module::Table::build(intent).into_iter().filter_map(|object| finish::<$module::Table>(intent, &object)));)+
            planned
        }
    };
}

children![
    service_account,
    config_map,
    secret,
    trigger_authentication,
    network_policy,
    service,
    deployment,
    hpa,
    scaled_object,
    pdb,
];

/// Plans all children of the intent.
pub fn plan(intent: &Intent) -> Plan {
    let mut children = build_all(intent);
    children.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Plan { children }
}

fn kind_of<C: Child>() -> Kind {
    // `DynamicType = ()` means that the type alone tells these, and every one of them is a borrowed
    // constant; an owned value would be leaked once per process start.
    fn constant(text: std::borrow::Cow<'static, str>) -> &'static str {
        match text {
            std::borrow::Cow::Borrowed(text) => text,
            std::borrow::Cow::Owned(text) => text.leak(),
        }
    }
    Kind {
        stage: C::STAGE,
        group: constant(C::Object::group(&())),
        version: constant(C::Object::version(&())),
        kind: constant(C::Object::kind(&())),
        plural: constant(C::Object::plural(&())),
        optional: C::OPTIONAL,
    }
}

/// Completes one object; `None` cannot happen for the types of the table, which always serialize.
fn finish<C: Child>(intent: &Intent, object: &C::Object) -> Option<Planned> {
    let kind = kind_of::<C>();
    let name = object.meta().name.clone()?;
    let text = meta::text(object);
    let plan_hash = names::digest(C::hashed(object, intent).as_deref().unwrap_or(&text));
    let template_hash = C::template(object).map(|template| names::digest(&meta::text(template)));
    // The hash leaves the owner out, so that `render`, which knows no UID, prints the same hash.
    let owner = intent.owner.iter().map(|owner| ("ownerReferences", json!([owner])));
    let body = Body::complete(&text, &Vec::from_iter(owner), (ANNOTATION_PLAN_HASH, &plan_hash))?;
    let held = !intent.missing.is_empty()
        && (kind.stage == Stage::Workload || (kind.stage == Stage::Scaling && !intent.deployment_exists));
    let replica_bounds = match &intent.scaling {
        Scaling::Auto(auto) if kind.stage == Stage::Workload => Some((auto.min, auto.max)),
        _ => None,
    };
    let lacks_values = C::lacks_values(object);
    Some(Planned { kind, name, body, lacks_values, plan_hash, held, replica_bounds, template_hash })
}
