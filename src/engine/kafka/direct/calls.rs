//! The calls of the trait, one request of the protocol each (describing topics takes two).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use futures::future::try_join;
use krafka::admin::{
    AclFilter, AlterUserScramCredentialsOptions, ConfigResource, CreatePartitionsOptions,
    CreateTopicsOptions, DeleteTopicsOptions, DescribeAclsOptions, DescribeClusterOptions,
    DescribeConfigsOptions, DescribeTopicsOptions, DescribeUserScramCredentialsOptions,
    IncrementalAlterConfigsOptions, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use krafka::auth::ScramMechanism;

use super::batch::Batch;
use super::errors::{Effect, Scrub, in_order};
use super::{Direct, acls, groups, log_in, topics};
use crate::engine::kafka::{Answer, Broker, BrokerError, Credential, Results, ScramCredential};
use crate::kafka::model::{Acl, ConfigChange, Group, NewTopic, Topic};

/// How many iterations brokers take.
const ITERATIONS: RangeInclusive<i32> = 4096..=16384;

impl Broker for Direct {
    fn cluster_id(&self) -> Answer<'_, String> {
        Box::pin(self.ask(|admin, left| async move {
            let options = DescribeClusterOptions::default().timeout(left);
            Ok(admin.describe_cluster(options).await?.cluster_id)
        }))
    }

    fn describe<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<Topic>> {
        let batch = Batch::new(names, String::as_str, |name| topics::check_name(name));
        Box::pin(self.run(batch, Effect::Read, move |admin, left, portion| async move {
            let names = at(names, &portion);
            let resources: Vec<ConfigResource> =
                names.iter().map(|name| ConfigResource::topic(name.as_str())).collect();
            let (described, configured) = try_join(
                admin.describe_topics(names.iter(), DescribeTopicsOptions::default().timeout(left)),
                admin.describe_configs(resources.clone(), DescribeConfigsOptions::default().timeout(left)),
            )
            .await?;
            let described = in_order(described, names.into_iter().cloned());
            let both = described.into_iter().zip(in_order(configured, resources));
            Ok(both.map(|(topic, config)| Ok(topics::from_wire(topic?, config?))).collect())
        }))
    }

    fn create<'a>(&'a self, new: &'a [NewTopic], validate_only: bool) -> Answer<'a, Results<()>> {
        let batch = Batch::new(new, |topic| topic.name.as_str(), topics::check_new);
        let effect = if validate_only { Effect::Read } else { Effect::Write };
        Box::pin(self.run(batch, effect, move |admin, left, portion| async move {
            let new = at(new, &portion);
            let wire = new.iter().map(|topic| topics::to_wire(topic)).collect::<krafka::Result<Vec<_>>>()?;
            let options = CreateTopicsOptions::default().timeout(left).validate_only(validate_only);
            let results = admin.create_topics(wire, options).await?;
            Ok(in_order(results, new.iter().map(|topic| topic.name.clone())))
        }))
    }

    fn grow<'a>(&'a self, totals: &'a [(String, i32)]) -> Answer<'a, Results<()>> {
        let batch = Batch::new(totals, |total| total.0.as_str(), |total| topics::check_name(&total.0));
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            let totals: Vec<(String, i32)> = at(totals, &portion).into_iter().cloned().collect();
            let options = CreatePartitionsOptions::default().timeout(left);
            let results = admin.create_partitions(totals.iter().cloned(), options).await?;
            Ok(in_order(results, totals.into_iter().map(|(name, _)| name)))
        }))
    }

    fn alter<'a>(&'a self, changes: &'a [ConfigChange]) -> Answer<'a, Results<()>> {
        let batch =
            Batch::new(changes, |change| change.topic.as_str(), |change| topics::check_name(&change.topic));
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            let changes = at(changes, &portion);
            let resource = |change: &&ConfigChange| ConfigResource::topic(change.topic.as_str());
            let wire = changes.iter().map(|change| (resource(change), topics::operations(change)));
            let options = IncrementalAlterConfigsOptions::default().timeout(left);
            let results = admin.incremental_alter_configs(wire, options).await?;
            Ok(in_order(results, changes.iter().map(resource)))
        }))
    }

    fn delete<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>> {
        let batch = Batch::new(names, String::as_str, |name| topics::check_name(name));
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            let names = at(names, &portion);
            let options = DeleteTopicsOptions::default().timeout(left);
            let results = admin.delete_topics(names.iter(), options).await?;
            Ok(in_order(results, names.into_iter().cloned()))
        }))
    }

    fn groups<'a>(&'a self, topic: &'a str) -> Answer<'a, Vec<Group>> {
        Box::pin(self.ask(move |admin, left| async move { groups::of_topic(&admin, topic, left).await }))
    }

    fn acls<'a>(&'a self, principal: &'a str) -> Answer<'a, BTreeSet<Acl>> {
        Box::pin(self.ask(move |admin, left| async move {
            let options = DescribeAclsOptions::default().timeout(left);
            let found = admin.describe_acls(AclFilter::for_principal(principal), options).await?;
            Ok(found.into_iter().map(acls::from_wire).collect())
        }))
    }

    fn all_acls(&self) -> Answer<'_, BTreeSet<Acl>> {
        Box::pin(self.ask(|admin, left| async move {
            let options = DescribeAclsOptions::default().timeout(left);
            let found = admin.describe_acls(AclFilter::all(), options).await?;
            Ok(found.into_iter().map(acls::from_wire).collect())
        }))
    }

    fn allow<'a>(&'a self, new: &'a [Acl]) -> Answer<'a, Results<()>> {
        let batch = Batch::new(new, Key, acls::check);
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            acls::allow(&admin.kafka, &at(new, &portion), left).await
        }))
    }

    fn revoke<'a>(&'a self, old: &'a [Acl]) -> Answer<'a, Results<()>> {
        let batch = Batch::new(old, Key, acls::check);
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            acls::revoke(&admin.kafka, &at(old, &portion), left).await
        }))
    }

    fn users<'a>(&'a self, names: &'a [String]) -> Answer<'a, BTreeSet<String>> {
        let batch = Batch::new(names, String::as_str, |_| Ok(()));
        Box::pin(async move {
            // Without names the protocol means all users; a batch of none sends nothing.
            let results = self.run(batch, Effect::Read, move |admin, left, portion| async move {
                let names: Vec<String> = at(names, &portion).into_iter().cloned().collect();
                let options = DescribeUserScramCredentialsOptions::default().timeout(left);
                let results = admin.describe_user_scram_credentials(Some(names.clone()), options).await?;
                Ok(in_order(results, names))
            });
            let mut found = BTreeSet::new();
            for (name, result) in names.iter().zip(results.await?) {
                match result {
                    Ok(credentials) if credentials.is_empty() => {}
                    Ok(_) => drop(found.insert(name.clone())),
                    Err(BrokerError::Missing) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
    }

    fn set_users<'a>(&'a self, credentials: &'a [ScramCredential]) -> Answer<'a, Results<()>> {
        let batch = Batch::new(credentials, |credential| credential.user.as_str(), check_credential);
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            let credentials = at(credentials, &portion);
            let set = credentials.iter().map(|credential| upsertion(credential)).collect();
            let options = AlterUserScramCredentialsOptions::default().timeout(left);
            let results = admin.alter_user_scram_credentials(Vec::new(), set, options).await?;
            Ok(in_order(results, credentials.iter().map(|credential| credential.user.clone())))
        }))
    }

    fn remove_users<'a>(&'a self, names: &'a [String]) -> Answer<'a, Results<()>> {
        let batch = Batch::new(names, String::as_str, |_| Ok(()));
        Box::pin(self.run(batch, Effect::Write, move |admin, left, portion| async move {
            let names = at(names, &portion);
            let mechanism = ScramMechanism::Sha512;
            let remove = names.iter().map(|&name| ScramCredentialDeletion { name: name.clone(), mechanism });
            let options = AlterUserScramCredentialsOptions::default().timeout(left);
            let results = admin.alter_user_scram_credentials(remove.collect(), Vec::new(), options).await?;
            Ok(in_order(results, names.into_iter().cloned()))
        }))
    }

    fn log_in<'a>(&'a self, credential: &'a Credential) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self.begin().await?;
            // Its own text is scrubbed of this password too.
            let secrets = call.settings.secrets().into_iter().chain([credential.password.clone()]);
            let (scrub, settings) = (Scrub::new(secrets), &call.settings);
            log_in::log_in(&call.admin, settings, credential, &scrub, call.deadline).await
        })
    }
}

/// The items at these positions.
fn at<'a, I>(items: &'a [I], positions: &[usize]) -> Vec<&'a I> {
    positions.iter().filter_map(|position| items.get(*position)).collect()
}

/// Refuses what the client would refuse together with all others.
fn check_credential(credential: &ScramCredential) -> Result<(), BrokerError> {
    if ITERATIONS.contains(&credential.iterations) {
        return Ok(());
    }
    let (user, iterations) = (&credential.user, credential.iterations);
    let (least, most) = (ITERATIONS.start(), ITERATIONS.end());
    let text = format!("the credential of {user} has {iterations} iterations: {least} to {most} are allowed");
    Err(BrokerError::Other(text))
}

fn upsertion(credential: &ScramCredential) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion {
        name: credential.user.clone(),
        mechanism: ScramMechanism::Sha512,
        iterations: credential.iterations,
        salt: credential.salt.clone().into(),
        salted_password: credential.salted_password.clone().into(),
    }
}

/// An ACL is its own key: two that differ in anything are two.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a>(&'a Acl);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an ACL of {} on `{}`", self.0.principal, self.0.name)
    }
}
