//! Topics as KafkaTopics. Each write begins with the object as it was last heard of, so that no key that
//! somebody else has set in it is lost.

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::{DELETION, Strimzi};
use crate::engine::kafka::{BrokerError, Holding, Results};
use crate::kafka::model::{NewTopic, Topic};
use crate::kafka::strimzi::{Progress, TOPICS, TopicObject, TopicSpec, adopted, created, held, topic_object};

/// Objects that are written at the same time.
const WRITES: usize = 8;
/// Between two looks at a topic that is being deleted.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

impl Strimzi {
    /// Topics as their objects tell of them: one that has no id yet is not there yet.
    pub(super) fn described(&self, topics: &[String]) -> Results<Topic> {
        let all: Vec<TopicObject> = self.objects.topics().collect();
        let find = |name: &String| {
            let of_topic = all.iter().filter(|object| object.topic == *name);
            let there = |object: &&TopicObject| !object.head.ours || object.topic_id.is_some();
            of_topic.clone().find(there).map(TopicObject::as_topic).ok_or(BrokerError::Missing)
        };
        topics.iter().map(find).collect()
    }

    /// The object of a topic, if it is ours. Another one for the same topic, or of its name, is in the way.
    fn mine(&self, topic: &str) -> Result<Option<TopicObject>, BrokerError> {
        let name = topic_object(topic);
        let own = self.objects.find::<TopicObject>(&name).map(|(object, _)| object);
        if let Some(object) = own.filter(|object| object.head.ours && object.topic == topic) {
            return Ok(Some(object));
        }
        let other = self.objects.topics().find(|object| object.topic == topic || object.head.name == name);
        other.map_or(Ok(None), |object| Err(self.objects.taken(TOPICS.0, &object.head.name)))
    }

    async fn write(
        &self,
        topic: &str,
        owner: Option<&str>,
        live: Option<&TopicObject>,
        spec: &TopicSpec,
    ) -> Result<(), BrokerError> {
        let unchanged = live.is_some_and(|live| {
            live.head.managed
                && live.spec == *spec
                && owner.is_none_or(|owner| live.head.owner.as_deref() == Some(owner))
        });
        // What is being deleted cannot be described anew: its end is heard of.
        if unchanged || live.is_some_and(|live| live.head.deleting) {
            return Ok(());
        }
        let head = live.map(|live| &live.head);
        let owner = owner.or_else(|| head?.owner.as_deref());
        self.objects
            .apply::<TopicObject>(&topic_object(topic), |mark| spec.body(mark, topic, owner, head, true))
            .await
    }

    /// Whether the objects can be made: nothing else can be asked beforehand.
    pub(super) async fn may_create(&self, topics: &[NewTopic]) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let ask = |new: &NewTopic| {
            let topic = new.name.clone();
            async move {
                match self.mine(&topic)? {
                    Some(_) => Ok(()),
                    None => self.objects.is_free::<TopicObject>(&topic_object(&topic)).await,
                }
            }
        };
        Ok(stream::iter(topics.iter().map(ask)).buffered(WRITES).collect().await)
    }

    /// Makes the objects. Whether the topics follow is seen later; without a login nobody knows whether
    /// they were there before.
    pub(super) async fn create_topics(&self, topics: &[NewTopic]) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let create = |new: &NewTopic| {
            let new = new.clone();
            async move {
                let live = self.mine(&new.name)?;
                let spec = created(&new, live.as_ref().map(|live| &live.spec));
                self.write(&new.name, Some(&new.made_for), live.as_ref(), &spec).await?;
                if self.guarded {
                    Ok(())
                } else {
                    Err(BrokerError::Unknown("Strimzi may have found it there".to_owned()))
                }
            }
        };
        Ok(stream::iter(topics.iter().map(create)).buffered(WRITES).collect().await)
    }

    /// Keeps the objects of topics that are ours.
    pub(super) async fn hold_topics(&self, topics: &[Holding]) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let hold = |one: &Holding| {
            let one = one.clone();
            async move {
                let name = &one.topic.name;
                let live = self.mine(name)?;
                let spec = match &live {
                    Some(live) => held(&live.spec, &one.topic, &one.config, one.replicas),
                    None => adopted(&one.topic),
                };
                self.write(name, Some(&one.made_for), live.as_ref(), &spec).await
            }
        };
        Ok(stream::iter(topics.iter().map(hold)).buffered(WRITES).collect().await)
    }

    /// Changes the objects of topics; `edit` is given the place of a name.
    pub(super) async fn edit_topics(
        &self,
        names: Vec<String>,
        edit: impl Fn(usize, &TopicSpec) -> Option<TopicSpec> + Send + Sync,
    ) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let edit = &edit;
        let change = |(at, name): (usize, String)| async move {
            let none = || BrokerError::Unknown("its object is not there yet".to_owned());
            let live = self.mine(&name)?.ok_or_else(none)?;
            let spec = edit(at, &live.spec).unwrap_or_else(|| live.spec.clone());
            self.write(&name, None, Some(&live), &spec).await
        };
        Ok(stream::iter(names.into_iter().enumerate().map(change)).buffered(WRITES).collect().await)
    }

    /// What Strimzi says of the topic; one without an object of ours is none of its business.
    pub(super) fn verdict_of_topic(&self, topic: &str) -> Result<(), BrokerError> {
        let name = topic_object(topic);
        let Some((object, waited)) = self.objects.find::<TopicObject>(&name) else { return Ok(()) };
        if !object.head.ours {
            return Ok(());
        }
        let progress =
            if object.head.deleting { Progress::Pending } else { object.said.progress(&object.head) };
        self.verdict(TOPICS.0, &name, progress, waited)
    }

    /// Deletes topics with their objects.
    pub(super) async fn delete_topics(&self, topics: &[String]) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let mut results = Vec::new();
        for topic in topics {
            results.push(self.delete_topic(topic).await);
        }
        Ok(results)
    }

    async fn delete_topic(&self, topic: &str) -> Result<(), BrokerError> {
        if !self.guarded {
            return Err(Self::blind("nobody can see whose topic it is"));
        }
        let Some(object) = self.mine(topic)?.filter(|object| object.head.managed) else {
            return Err(BrokerError::Unsupported(
                "it has no KafkaTopic with which Strimzi would delete it".to_owned(),
            ));
        };
        if !object.head.deleting {
            self.objects.delete::<TopicObject>(&object.head, false).await?;
        }
        let deadline = Instant::now() + DELETION;
        let is_there = || {
            let there = self.objects.find::<TopicObject>(&object.head.name);
            there.is_some_and(|(there, _)| there.head.uid == object.head.uid)
        };
        while is_there() {
            if Instant::now() >= deadline {
                return Err(BrokerError::Unknown("Strimzi has not deleted it yet".to_owned()));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}
