//! Events about topics and users: what happened, to which, and what that means for messages and clients.

use super::events::{EventDraft, EventKind};
use super::text;
use crate::api::Reason;
use crate::kafka::release::Kept;
use crate::kafka::view::{Happened, News};

/// One Event for all topics to which the same happened: the recorder would fold them into the first.
pub fn topic_events(news: &[News]) -> Vec<EventDraft> {
    let mut drafts: Vec<(Reason, EventKind, Vec<String>)> = Vec::new();
    for one in news {
        let (reason, kind) = kind(&one.what);
        let sentence = sentence(&one.topic, &one.what);
        match drafts.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, _, sentences)) => sentences.push(sentence),
            None => drafts.push((reason, kind, vec![sentence])),
        }
    }
    let draft = |(reason, kind, sentences): (Reason, EventKind, Vec<String>)| EventDraft {
        kind,
        reason: reason.as_str().to_owned(),
        action: action(reason),
        note: text::cut(&text::list(&sentences, 4, " "), text::MESSAGE_BYTES),
    };
    drafts.into_iter().map(draft).collect()
}

/// The word under which a metric counts what happened: the reason of its Event.
pub fn counted(what: &Happened) -> &'static str {
    kind(what).0.as_str()
}

fn action(reason: Reason) -> &'static str {
    match reason {
        Reason::LoginMade | Reason::LoginRotated | Reason::LoginRetired | Reason::AclsRepaired => {
            "ReconcileAccess"
        }
        _ => "ReconcileTopics",
    }
}

fn kind(what: &Happened) -> (Reason, EventKind) {
    use EventKind::{Normal, Warning};
    match what {
        Happened::Created => (Reason::TopicCreated, Normal),
        Happened::Adopted => (Reason::TopicAdopted, Normal),
        Happened::Raised { .. } => (Reason::PartitionsRaised, Normal),
        Happened::Recreated => (Reason::TopicRecreated, Warning),
        Happened::Replaced => (Reason::TopicReplaced, Warning),
        Happened::Repaired(_) => (Reason::TopicRepaired, Warning),
        Happened::Retained(Kept::Policy | Kept::Observed) => (Reason::TopicRetained, Normal),
        Happened::Retained(_) | Happened::Stray => (Reason::TopicRetained, Warning),
        Happened::Deleted => (Reason::TopicDeleted, Normal),
        Happened::HandedOver(..) => (Reason::TopicHandedOver, Normal),
        Happened::Doomed => (Reason::TopicDeletionPending, Warning),
        Happened::LoginMade => (Reason::LoginMade, Normal),
        Happened::LoginRotated => (Reason::LoginRotated, Normal),
        Happened::LoginRetired => (Reason::LoginRetired, Normal),
        Happened::AclsRepaired => (Reason::AclsRepaired, Warning),
    }
}

fn sentence(topic: &str, what: &Happened) -> String {
    match what {
        Happened::Created => format!("Topic \"{topic}\" was created."),
        Happened::Adopted => format!("Topic \"{topic}\" existed and was taken over."),
        Happened::Raised { from, to } => format!(
            "Topic \"{topic}\" has {to} partitions instead of {from}: new messages of a key may go to another one."
        ),
        Happened::Recreated => {
            format!("Topic \"{topic}\" had been deleted; it was created again and is empty.")
        }
        Happened::Replaced => {
            format!(
                "Topic \"{topic}\" was deleted and made again by somebody; its messages are not the old ones."
            )
        }
        Happened::Repaired(keys) => {
            format!("Topic \"{topic}\" had been changed; set back: {}.", text::list(keys, 8, ", "))
        }
        Happened::Retained(kept) => {
            format!("Topic \"{topic}\" stays with its messages: {}.", why(topic, kept))
        }
        Happened::Stray => format!(
            "Topic \"{topic}\" stays with its messages: its KafkaTopic is in no ledger and goes, after Strimzi has let \
             it go."
        ),
        Happened::Deleted => format!("Topic \"{topic}\" is deleted with its messages."),
        Happened::HandedOver(namespace, name) => {
            format!("Topic \"{topic}\" belongs to Microservice {namespace}/{name} now.")
        }
        Happened::Doomed => {
            format!("Topic \"{topic}\" will be deleted as soon as its cluster answers.")
        }
        Happened::LoginMade => format!("User \"{topic}\" was made, and its login is in the Secret."),
        Happened::LoginRotated => {
            format!(
                "The pods get the login of user \"{topic}\"; the one before stays as long as a pod uses it."
            )
        }
        Happened::LoginRetired => format!("User \"{topic}\" is gone: no pod uses it any more."),
        Happened::AclsRepaired => {
            format!("ACLs of user \"{topic}\" had been removed and were given again.")
        }
    }
}

fn why(topic: &str, kept: &Kept) -> String {
    match kept {
        Kept::Policy => "deletionPolicy is Retain".to_owned(),
        Kept::Observed => "managementPolicy is Observe".to_owned(),
        Kept::Unconfirmed => format!(
            "deletionPolicy is Delete, but the annotation microservice.dev/confirm-delete does not name {topic}"
        ),
        Kept::NotCreatedByUs => "it was not created by the operator".to_owned(),
        Kept::Replaced => "another topic took its place".to_owned(),
        Kept::Read { by } => {
            format!("consumer group {by} still reads it, or has members that do not show what they read")
        }
        Kept::Refused { why } => format!("the cluster refused to delete it ({})", text::quote(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(topic: &str, what: Happened) -> News {
        News { topic: topic.to_owned(), what }
    }

    #[test]
    fn what_happened_to_several_topics_is_one_event() {
        let drafts = topic_events(&[
            news("a", Happened::Created),
            news("b", Happened::Created),
            news("c", Happened::Recreated),
        ]);
        let told: Vec<(&str, &str)> = drafts.iter().map(|d| (d.reason.as_str(), d.note.as_str())).collect();
        assert_eq!(
            told,
            [
                ("TopicCreated", "Topic \"a\" was created. Topic \"b\" was created."),
                ("TopicRecreated", "Topic \"c\" had been deleted; it was created again and is empty."),
            ]
        );
        assert_eq!(drafts[1].kind, EventKind::Warning);
    }

    #[test]
    fn a_retained_topic_says_why_it_stays() {
        let drafts = topic_events(&[news("shop.a", Happened::Retained(Kept::Unconfirmed))]);
        assert!(drafts[0].note.contains("confirm-delete does not name shop.a"), "{}", drafts[0].note);
        assert_eq!(drafts[0].kind, EventKind::Warning);
    }

    #[test]
    fn many_topics_make_a_bounded_note() {
        let many: Vec<News> =
            (0..300).map(|n| news(&format!("{n}{}", "x".repeat(240)), Happened::Created)).collect();
        let drafts = topic_events(&many);
        assert_eq!(drafts.len(), 1);
        assert!(drafts[0].note.len() <= 1024);
    }
}
