//! Names on a Kafka cluster and in the pods that use it: topics, groups, users, variables. Pure, and
//! two services never share a name that is theirs alone.

use crate::api::names;

/// Longest name of a topic, bytes.
pub const MAX_TOPIC: usize = 249;
/// Longest name of a user that the operator makes, bytes.
pub const MAX_PRINCIPAL: usize = 64;
/// First part of a user's name when the class has none.
pub const DEFAULT_PREFIX: &str = "msvc";

const NAME: &str = "{name}";
const NAMESPACE: &str = "{namespace}";
/// Bytes of the digest in a user's name that was too long: all of it, since the name is an identity.
const DIGEST: usize = 32;

/// Whether a broker takes this name for a topic of a team; names that begin with `__` are Kafka's own.
pub fn is_topic(name: &str) -> bool {
    is_group(name) && name.len() <= MAX_TOPIC && name != "." && name != ".." && !name.starts_with("__")
}

/// Whether a text can be a consumer group or an application id in the API.
pub fn is_group(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(legal)
}

fn legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A class's `topicNameTemplate`: where in a topic's name the namespace and the declared name stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    /// Before the namespace, and what follows it up to the declared name; absent without a namespace.
    namespace: Option<(&'a str, &'a str)>,
    /// Between the start, without a namespace, and the declared name.
    before: &'a str,
    /// After the declared name.
    after: &'a str,
}

impl<'a> Template<'a> {
    /// The template, if it is one: `{name}` once; at most one `{namespace}`, before it and followed by
    /// `.` or `_`, which no namespace contains. So `a-b` with `c` and `a` with `b-c` differ.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (head, after) = text.split_once(NAME)?;
        let template = match head.split_once(NAMESPACE) {
            Some((before, between)) if between.starts_with(['.', '_']) => {
                Self { namespace: Some((before, between)), before: "", after }
            }
            Some(_) => return None,
            None => Self { namespace: None, before: head, after },
        };
        let (first, second) = template.namespace.unwrap_or_default();
        let literal = [first, second, template.before, after];
        literal.iter().all(|text| text.bytes().all(legal)).then_some(template)
    }

    /// Name on the cluster of the topic that a service of this namespace declares under this name. It
    /// may be one that no broker takes: see [`is_topic`].
    pub fn topic(&self, namespace: &str, name: &str) -> String {
        let (before, after) = (self.before, self.after);
        match self.namespace {
            Some((first, between)) => format!("{first}{namespace}{between}{name}{after}"),
            None => format!("{before}{name}{after}"),
        }
    }

    /// Whether every name begins with the owner's namespace, so that a prefix of that form reaches no
    /// topic of another namespace.
    pub fn begins_with_namespace(&self) -> bool {
        self.namespace.is_some_and(|(before, _)| before.is_empty())
    }
}

/// Consumer group or application id on the cluster: namespaces have no `.`, so those of two namespaces
/// differ.
pub fn group(namespace: &str, group: &str) -> String {
    format!("{namespace}.{group}")
}

/// One of the two users of a service; they take turns when the password is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::A => ".a",
            Self::B => ".b",
        }
    }
}

/// Name of a user: `<prefix>.<namespace>.<name>.<a|b>`. One that is too long is cut and given a digest
/// of the whole. The digest is longer than that of an object's name: who finds two services with one
/// name here has the rights of both.
pub fn principal(prefix: &str, namespace: &str, name: &str, slot: Slot) -> String {
    let (base, suffix) = (format!("{prefix}.{namespace}.{name}"), slot.suffix());
    if base.len() + suffix.len() <= MAX_PRINCIPAL {
        return base + suffix;
    }
    let room = MAX_PRINCIPAL - DIGEST - 1 - suffix.len();
    let ends = base.char_indices().map(|(at, c)| at + c.len_utf8());
    let head = base.get(..ends.take_while(|end| *end <= room).last().unwrap_or_default());
    let head = head.unwrap_or_default().trim_end_matches(['.', '-']);
    format!("{head}-{}{suffix}", names::digest(&base))
}

/// A class's template of a Secret's or principal's name, filled in.
pub fn fill(template: &str, namespace: &str, name: &str) -> String {
    template.replace(NAMESPACE, namespace).replace(NAME, name)
}

/// Name of the Secret with the credentials of a service and what else its clients need.
pub fn secret(service: &str) -> String {
    names::derived(service, "-kafka", names::MAX_NAME)
}

/// Variable with the name of a topic on the cluster.
pub fn topic_variable(topic: &str) -> String {
    format!("KAFKA_TOPIC_{}", mangled(topic))
}

/// Variable with the consumer group for a topic, when a service has several.
pub fn group_variable(topic: &str) -> String {
    format!("KAFKA_GROUP_{}", mangled(topic))
}

/// A name as part of a variable: upper case, `_` for all but letters and digits.
fn mangled(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(template: &str, namespace: &str, name: &str) -> Option<String> {
        Some(Template::parse(template)?.topic(namespace, name))
    }

    #[test]
    fn templates_are_filled_in() {
        for (template, expected) in [
            ("{name}", Some("order-events")),
            ("{namespace}.{name}", Some("shop.order-events")),
            ("{namespace}_{name}.v1", Some("shop_order-events.v1")),
            ("prod-{namespace}.events.{name}", Some("prod-shop.events.order-events")),
            ("x.{name}", Some("x.order-events")),
            ("", None),
            ("events", None),
            ("{namespace}.", None),
            ("{namespace}{name}", None),
            ("{namespace}-{name}", None),
            ("{name}.{namespace}.", None),
            ("{name}{name}", None),
            ("{namespace}.{namespace}.{name}", None),
            ("{namespace}.{name} ", None),
            ("{cluster}.{name}", None),
            ("{namespace}/{name}", None),
        ] {
            assert_eq!(topic(template, "shop", "order-events").as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn only_a_leading_namespace_makes_a_safe_prefix() {
        let safe = |text| Template::parse(text).is_some_and(|template| template.begins_with_namespace());
        assert!(safe("{namespace}.{name}") && safe("{namespace}_x.{name}"));
        assert!(!safe("{name}") && !safe("prod-{namespace}.{name}"));
    }

    #[test]
    fn topics_are_judged_as_a_broker_does() {
        for name in ["a", "A_b.c-9", "_a", "...", &"a".repeat(249)] {
            assert!(is_topic(name), "{name}");
        }
        for name in ["", ".", "..", "__consumer_offsets", "a b", "a/b", "é", "a\n", &"a".repeat(250)] {
            assert!(!is_topic(name), "{name}");
        }
    }

    #[test]
    fn groups_and_variables() {
        assert_eq!(group("shop", "order-service"), "shop.order-service");
        assert_eq!(topic_variable("order-events.v1"), "KAFKA_TOPIC_ORDER_EVENTS_V1");
        assert_eq!(group_variable("Audit_log"), "KAFKA_GROUP_AUDIT_LOG");
        assert_eq!(secret("order-service"), "order-service-kafka");
        assert_eq!(fill("User:{namespace}.{name}", "shop", "order"), "User:shop.order");
    }

    #[test]
    fn users_are_never_those_of_the_broker() {
        assert_eq!(principal("msvc", "shop", "admin", Slot::A), "msvc.shop.admin.a");
        assert_eq!(principal("msvc", "shop", "admin", Slot::A.other()), "msvc.shop.admin.b");
        let exact = principal("msvc", "shop", &"x".repeat(52), Slot::A);
        assert_eq!((exact.len(), exact.ends_with("x.a")), (64, true));
        let long = principal("msvc", "shop", &"x".repeat(53), Slot::A);
        assert!(long.len() == 64 && long.starts_with("msvc.shop.x") && long.ends_with(".a"), "{long}");
        assert_ne!(long, principal("msvc", "shop", &"x".repeat(54), Slot::A));
    }

    fn label() -> impl Strategy<Value = String> {
        "[a-c]([a-c-]{0,3}[a-c])?"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn two_topics_never_share_a_name(
            first in "[a-c._-]{0,2}",
            between in "[._][a-c._-]{0,2}",
            after in "[a-c._-]{0,2}",
            a in (label(), "[a-c._-]{1,4}"),
            b in (label(), "[a-c._-]{1,4}"),
        ) {
            prop_assume!(a != b);
            let text = format!("{first}{{namespace}}{between}{{name}}{after}");
            let template = Template::parse(&text).unwrap();
            prop_assert_ne!(template.topic(&a.0, &a.1), template.topic(&b.0, &b.1));
            prop_assert_ne!(group(&a.0, &a.1), group(&b.0, &b.1));
        }

        #[test]
        fn a_prefix_of_one_namespace_reaches_no_other(
            between in "[._][a-c._-]{0,2}",
            own in label(),
            id in "[a-c._-]{1,4}",
            other in (label(), "[a-c._-]{1,8}"),
        ) {
            prop_assume!(own != other.0);
            let text = format!("{{namespace}}{between}{{name}}");
            let template = Template::parse(&text).unwrap();
            let reached = template.topic(&other.0, &other.1).starts_with(&group(&own, &id));
            prop_assert!(!reached);
        }

        #[test]
        fn two_services_never_share_a_user(
            a in ("[a-c]([a-c-]{0,60}[a-c])?", "[a-c]([a-c-]{0,60}[a-c])?"),
            b in ("[a-c]([a-c-]{0,60}[a-c])?", "[a-c]([a-c-]{0,60}[a-c])?"),
            longer in "[a-c]{1,20}",
        ) {
            let user = |service: &(String, String), slot| principal("msvc", &service.0, &service.1, slot);
            prop_assert!(user(&a, Slot::A).len() <= MAX_PRINCIPAL);
            prop_assert_ne!(user(&a, Slot::A), user(&a, Slot::B));
            prop_assert_eq!(user(&a, Slot::A) == user(&b, Slot::A), a == b);
            let sibling = (a.0.clone(), format!("{}{longer}", a.1));
            prop_assert_ne!(user(&a, Slot::A), user(&sibling, Slot::A));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), other in any::<String>()) {
            prop_assert!(principal(&text, &other, &text, Slot::B).len() <= MAX_PRINCIPAL);
            if let Some(template) = Template::parse(&text) {
                prop_assert!(is_group(&template.topic("a", "b")));
            }
            prop_assert!(topic_variable(&other).is_ascii());
        }
    }
}
