//! Users as KafkaUsers: Strimzi makes the password and puts it into a Secret of its namespace, and it
//! keeps the ACLs that the object names. ACLs are never written on the broker here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::time::sleep;

use super::Strimzi;
use crate::engine::kafka::{
    Broker, BrokerError, Credential, Direct, Held, Login, Mechanism, Results, Settings, Tls,
};
use crate::kafka::model::Acl;
use crate::kafka::strimzi::{Progress, USERS, UserObject, UserSpec};

/// Key of the user in the Secret of a service.
const USERNAME: &str = "username";
/// Key of the password there, and in the Secret that Strimzi makes.
const PASSWORD: &str = "password";
/// Secrets that are read at the same time.
const READS: usize = 8;
/// Pauses before a broker that refuses a new user is asked again.
const PAUSES: [u64; 6] = [50, 100, 200, 400, 800, 1600];

impl Strimzi {
    /// Users that are there: as an object of anybody's, or on the brokers, if they may be asked.
    pub(super) async fn existing(&self, names: &[String]) -> Result<BTreeSet<String>, BrokerError> {
        self.objects.version()?;
        let there = |name: &&String| self.objects.find::<UserObject>(name).is_some();
        let mut found: BTreeSet<String> = names.iter().filter(there).cloned().collect();
        if self.guarded {
            match self.direct.users(names).await {
                Ok(users) => found.extend(users),
                // A login that only reads topics sees no users; the objects are what counts.
                Err(BrokerError::NotAuthorized(_) | BrokerError::Unsupported(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The object of a user, if it is ours; another one is in the way.
    fn login(&self, user: &str) -> Result<Option<(UserObject, Duration)>, BrokerError> {
        match self.objects.find::<UserObject>(user) {
            Some((object, _)) if !object.head.ours => Err(self.objects.taken(USERS.0, user)),
            found => Ok(found),
        }
    }

    /// The ACLs that the object of a principal names.
    pub(super) fn acls_of(&self, principal: &str) -> BTreeSet<Acl> {
        let user = principal.strip_prefix("User:").unwrap_or(principal);
        let mine = self.login(user).ok().flatten();
        mine.and_then(|(object, _)| object.spec.acls).unwrap_or_default()
    }

    /// Changes ACLs, with one write for each principal.
    pub(super) async fn edit_acls(
        &self,
        acls: &[Acl],
        edit: impl Fn(&mut BTreeSet<Acl>, &Acl) + Send + Sync,
    ) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let mut by_user: BTreeMap<&str, Vec<&Acl>> = BTreeMap::new();
        for acl in acls {
            by_user.entry(&acl.principal).or_default().push(acl);
        }
        let edit = &edit;
        let change = |(who, acls): (&str, Vec<&Acl>)| {
            let who = who.to_owned();
            let acls: Vec<Acl> = acls.into_iter().cloned().collect();
            async move {
                let user = who.strip_prefix("User:").unwrap_or(&who);
                let result = self.edit_user(user, |mine| acls.iter().for_each(|acl| edit(mine, acl))).await;
                (who, result)
            }
        };
        let results: BTreeMap<String, Result<(), BrokerError>> =
            join_all(by_user.into_iter().map(change)).await.into_iter().collect();
        let of = |acl: &Acl| results.get(&acl.principal).cloned().unwrap_or(Err(BrokerError::Missing));
        Ok(acls.iter().map(of).collect())
    }

    async fn edit_user(&self, user: &str, edit: impl FnOnce(&mut BTreeSet<Acl>)) -> Result<(), BrokerError> {
        let live = self.login(user)?.map(|(object, _)| object);
        let mut spec = live.as_ref().map_or(UserSpec { scram: true, acls: None }, |live| live.spec.clone());
        spec.scram = true;
        edit(spec.acls.get_or_insert_default());
        if live.as_ref().is_some_and(|live| live.spec == spec) {
            return Ok(());
        }
        let head = live.as_ref().map(|live| &live.head);
        self.objects.apply::<UserObject>(user, |mark| spec.body(mark, user, None, head)).await
    }

    /// Makes users, as far as they are not there, and reads the passwords that Strimzi has made.
    pub(super) async fn made(&self, names: &[String]) -> Result<Results<Credential>, BrokerError> {
        self.objects.version()?;
        Ok(join_all(names.iter().map(|user| self.make(user))).await)
    }

    async fn make(&self, user: &str) -> Result<Credential, BrokerError> {
        let live = self.login(user)?;
        let scram = live.as_ref().is_some_and(|(live, _)| live.spec.scram);
        if !scram {
            let spec = live.as_ref().map(|(live, _)| live.spec.clone()).unwrap_or_default();
            let (spec, head) = (UserSpec { scram: true, ..spec }, live.as_ref().map(|(live, _)| &live.head));
            self.objects.apply::<UserObject>(user, |mark| spec.body(mark, user, None, head)).await?;
        }
        self.verdict_of_user(user)?;
        let none = || BrokerError::Unknown(format!("Strimzi is making the password of user {user}"));
        let (object, _) = self.login(user)?.ok_or_else(none)?;
        let secret = object.secret.as_deref().unwrap_or(user);
        let password = self.objects.secret(secret, PASSWORD).await?.ok_or_else(none)?;
        Ok(Credential { user: user.to_owned(), password })
    }

    /// Users to which Strimzi has given another password than the one in the Secret of their service: it does
    /// so when its own Secret was deleted or edited. Only one that is another version than last time is read.
    pub(super) async fn renewed(&self, held: &[Held]) -> Result<BTreeSet<String>, BrokerError> {
        let look = |held: &Held| {
            let held = held.clone();
            async move {
                let renewed = self.is_renewed(&held).await;
                (held, renewed)
            }
        };
        let looks: Vec<_> = held.iter().map(look).collect();
        let mut renewed = BTreeSet::new();
        let mut looks = stream::iter(looks).buffer_unordered(READS);
        while let Some((held, outcome)) = looks.next().await {
            match outcome {
                Ok(true) => drop(renewed.insert(held.user)),
                Ok(false) => {}
                // What is not known now changes nothing.
                Err(error) => {
                    tracing::warn!(user = held.user, %error, "whether a password is still the one is not known");
                }
            }
        }
        Ok(renewed)
    }

    async fn is_renewed(&self, held: &Held) -> Result<bool, BrokerError> {
        let Some((object, _)) = self.login(&held.user)? else { return Ok(false) };
        let name = object.secret.as_deref().unwrap_or(&held.user);
        let version = self.objects.secret_version(name).await?;
        if version.is_none() || self.agreed().get(&held.user) == version.as_ref() {
            return Ok(false);
        }
        let theirs = self.objects.secret(name, PASSWORD).await?;
        let of_service = |key| self.objects.secret_in(&held.namespace, &held.secret, key);
        // It may hold the other user by now.
        if of_service(USERNAME).await?.as_ref() != Some(&held.user) {
            return Ok(false);
        }
        let ours = of_service(PASSWORD).await?;
        // One that is not there now will be, and is looked at then.
        let (Some(theirs), Some(ours)) = (theirs, ours) else { return Ok(false) };
        if theirs != ours {
            return Ok(true);
        }
        self.agreed().extend(version.map(|version| (held.user.clone(), version)));
        Ok(false)
    }

    fn agreed(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What Strimzi says of a user; one without an object of ours is none of its business.
    pub(super) fn verdict_of_user(&self, user: &str) -> Result<(), BrokerError> {
        let Some((object, waited)) = self.login(user)? else { return Ok(()) };
        let progress =
            if object.head.deleting { Progress::Pending } else { object.said.progress(&object.head) };
        self.verdict(USERS.0, user, progress, waited)
    }

    /// Removes users and their ACLs, by deleting their objects.
    pub(super) async fn delete_users(&self, names: &[String]) -> Result<Results<()>, BrokerError> {
        self.objects.version()?;
        let remove = |user: &String| {
            let live = self.login(user);
            async move {
                match live {
                    Ok(Some((object, _))) => self.objects.delete::<UserObject>(&object.head, false).await,
                    Ok(None) | Err(_) => Err(BrokerError::Missing),
                }
            }
        };
        Ok(join_all(names.iter().map(remove)).await)
    }

    /// Logs in as a service where the operator itself has no login.
    pub(super) async fn log_in_alone(&self, credential: &Credential) -> Result<(), BrokerError> {
        let settings = self.settings();
        let direct = Direct::new(Settings {
            login: Some(Login {
                mechanism: Mechanism::ScramSha512,
                user: credential.user.clone(),
                password: credential.password.clone(),
            }),
            tls: settings.tls.map(|tls| Tls { client: None, ..tls }),
            bootstrap: settings.bootstrap,
        });
        let mut pauses = PAUSES.iter();
        loop {
            match (direct.log_in(credential).await, pauses.next()) {
                (Err(BrokerError::LoginRefused(_)), Some(pause)) => {
                    sleep(Duration::from_millis(*pause)).await;
                }
                (result, _) => return result,
            }
        }
    }
}
