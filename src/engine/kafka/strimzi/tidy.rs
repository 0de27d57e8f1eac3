//! Objects of topics that are nobody's any more. They are only ever let lie: Strimzi deletes the topic
//! with an object that it manages, so it is told to leave the topic alone first.

use std::collections::BTreeSet;

use super::Strimzi;
use crate::engine::kafka::BrokerError;
use crate::kafka::strimzi::{Progress, TopicObject, topic_object};

impl Strimzi {
    /// Topics of which this installation has objects, each with the Microservice that it names.
    pub fn kept(&self) -> Vec<(String, Option<String>)> {
        let ours = self.objects.topics().filter(|object| object.head.ours);
        ours.map(|object| (object.topic, object.head.owner)).collect()
    }

    /// Goes one step further with the objects of these topics: unmanaged, then, once Strimzi says so,
    /// deleted. Returns those for which the first step was made now.
    ///
    /// # Errors
    /// The first refusal; the others were tried too.
    pub async fn let_lie(&self, topics: &BTreeSet<String>) -> Result<BTreeSet<String>, BrokerError> {
        self.objects.version()?;
        let (mut begun, mut failed) = (BTreeSet::new(), None);
        for topic in topics {
            match self.let_one_lie(topic).await {
                Ok(true) => drop(begun.insert(topic.clone())),
                Ok(false) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(begun), Err)
    }

    async fn let_one_lie(&self, topic: &str) -> Result<bool, BrokerError> {
        let name = topic_object(topic);
        let Some((object, _)) = self.objects.find::<TopicObject>(&name) else { return Ok(false) };
        let head = &object.head;
        if !head.ours || object.topic != topic || head.deleting {
            return Ok(false);
        }
        if head.managed {
            let owner = head.owner.as_deref();
            self.objects
                .apply::<TopicObject>(&name, |mark| object.spec.body(mark, topic, owner, Some(head), false))
                .await?;
            return Ok(true);
        }
        if object.said.progress(head) == Progress::Unmanaged {
            self.objects.delete::<TopicObject>(head, true).await?;
        }
        Ok(false)
    }
}
