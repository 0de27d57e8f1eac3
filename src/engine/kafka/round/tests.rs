use super::super::fake::{FakeBroker, FakeMaps};
use super::*;
use crate::kafka::topic::Owner;

/// A broker, a ledger, and what is carried from batch to batch.
#[derive(Default)]
struct Scene {
    broker: FakeBroker,
    maps: FakeMaps,
    items: Items,
}

impl Scene {
    fn new(declared: &[Declared]) -> Self {
        let mut scene = Self::default();
        for declared in declared {
            scene.declare(declared.clone());
        }
        scene
    }

    fn declare(&mut self, declared: Declared) {
        let key = Key::new(&declared.owner.namespace, &declared.owner.name);
        self.items.entry(declared.name.clone()).or_default().claims.push((key, declared));
    }

    /// One batch of a process that has just read the ledger. The news of it come with the outcome.
    async fn round(&mut self) -> (BTreeMap<String, Outcome>, Vec<Happened>) {
        let ledger = Ledger::new(self.maps.client(), "operator");
        let outcomes = self.round_with(&ledger).await;
        let news = self.items.values_mut().flat_map(|item| std::mem::take(&mut item.news));
        (outcomes, news.map(|(_, news)| news.what).collect())
    }

    async fn round_with(&mut self, ledger: &Ledger<Recorded>) -> BTreeMap<String, Outcome> {
        let fence = Fence::always();
        let round = Round { broker: &self.broker, ledger, cluster_id: "cluster", fence: &fence };
        round.run(&mut self.items).await.unwrap()
    }

    /// The operator starts anew: what it kept in memory is gone.
    fn forget(&mut self) {
        for item in self.items.values_mut() {
            *item = Item { claims: std::mem::take(&mut item.claims), ..Item::default() };
        }
    }

    async fn record(&self, topic: &str) -> Option<Recorded> {
        let ledger = Ledger::<Recorded>::new(self.maps.client(), "operator");
        let names = [topic.to_owned()];
        ledger.records("cluster", names.iter()).await.unwrap().remove(topic).unwrap().unwrap()
    }
}

fn owner(name: &str) -> Owner {
    Owner { namespace: "shop".into(), name: name.into(), uid: format!("uid-{name}") }
}

fn topic(name: &str) -> Declared {
    Declared { name: name.into(), owner: owner("order"), partitions: Some(3), ..Declared::default() }
}

fn view<'o>(outcomes: &'o BTreeMap<String, Outcome>, topic: &str) -> &'o TopicView {
    &outcomes[topic].views[0].1
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_recorded_before_it_is_made_and_confirmed_after() {
    let mut scene = Scene::new(&[topic("a"), topic("b")]);
    let (outcomes, news) = scene.round().await;
    assert_eq!(scene.broker.calls(), ["describe a b", "create a b", "describe a b"], "one call for all");
    assert_eq!(news, [Happened::Created, Happened::Created]);
    assert_eq!(outcomes["a"].failure, None);
    assert!(view(&outcomes, "a").compared && view(&outcomes, "a").topic.is_some());
    let record = scene.record("a").await.unwrap();
    assert!(record.created && record.id == "id1", "{record:?}");

    let writes = scene.maps.maps().writes;
    let (again, news) = scene.round().await;
    assert_eq!((again, news), (outcomes, vec![]));
    assert_eq!(scene.broker.calls(), ["describe a b"], "at rest one look and no write");
    assert_eq!(scene.maps.maps().writes, writes);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_the_ledger_does_not_hold() {
    for code in [409, 500, 403] {
        let mut scene = Scene::new(&[topic("a")]);
        scene.maps.maps().refuse.push_back(code);
        let (outcomes, news) = scene.round().await;
        assert_eq!(scene.broker.calls(), ["describe a"], "{code}");
        assert!(outcomes["a"].failure.is_some() && news.is_empty(), "{code}");
        let (outcomes, _) = scene.round().await;
        assert_eq!(outcomes["a"].failure, None, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_writer_is_noticed_and_its_record_counts() {
    let mut scene = Scene::new(&[topic("a")]);
    let ledger = Ledger::new(scene.maps.client(), "operator");
    let mut other = Scene { maps: scene.maps.clone(), ..Scene::default() };
    // Both have read the empty ledger; the other one writes first.
    ledger.records("cluster", [].iter()).await.unwrap();
    other.declare(Declared { owner: owner("other"), ..topic("a") });
    other.round().await;
    let outcomes = scene.round_with(&ledger).await;
    assert_eq!(outcomes["a"].failure, Some(Reason::ApiUnavailable));
    let outcomes = scene.round_with(&ledger).await;
    assert_eq!(view(&outcomes, "a").obstacles, [Obstacle::OwnedBy(owner("other"))]);
    assert!(scene.broker.calls().iter().all(|call| call.starts_with("describe")));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_never_followed_by_a_blind_repetition() {
    let lost = || BrokerError::Unknown("no answer".into());
    for happens in [true, false] {
        let mut scene = Scene::new(&[topic("a")]);
        scene.broker.cluster().creations.push_back((lost(), happens));
        let (outcomes, _) = scene.round().await;
        let calls = scene.broker.calls();
        assert_eq!(calls[..3], ["describe a", "create a", "describe a"], "{happens}");
        assert_eq!(calls.iter().filter(|call| call.starts_with("create")).count(), 1, "{happens}");
        assert_eq!(outcomes["a"].failure.is_none(), happens);
        let (outcomes, _) = scene.round().await;
        assert_eq!(outcomes["a"].failure, None);
        let record = scene.record("a").await.unwrap();
        assert_eq!(record.created, !happens, "nobody knows who made what was there already");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_shows_late_is_not_made_twice_and_still_ours() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.broker.cluster().blind = 20;
    let (outcomes, news) = scene.round().await;
    assert_eq!((outcomes["a"].failure, news), (Some(Reason::Progressing), vec![]));
    assert!(!view(&outcomes, "a").compared);
    scene.broker.cluster().blind = 1;
    scene.broker.calls();
    scene.round().await;
    assert_eq!(scene.broker.calls(), ["describe a"]);
    let (_, news) = scene.round().await;
    assert_eq!(news, [Happened::Created]);
    assert!(scene.record("a").await.unwrap().created);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_creation_and_confirmation_costs_only_the_right_to_delete() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.broker.cluster().blind = 20;
    scene.round().await;
    scene.forget();
    scene.broker.cluster().blind = 0;
    let (outcomes, news) = scene.round().await;
    assert_eq!((outcomes["a"].failure, news), (None, vec![]));
    let record = scene.record("a").await.unwrap();
    assert!(!record.created && record.id == "id1", "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn who_was_faster_keeps_the_topic_and_no_record_is_left() {
    let mut scene = Scene::new(&[topic("a")]);
    let other = NewTopic { name: "a".into(), partitions: Some(7), ..NewTopic::default() };
    scene.broker.cluster().overtakes = Some(other);
    let (outcomes, _) = scene.round().await;
    assert_eq!(view(&outcomes, "a").obstacles, [Obstacle::ExistsUnmanaged]);
    assert_eq!(scene.record("a").await, None);
    let (outcomes, _) = scene.round().await;
    assert_eq!(view(&outcomes, "a").obstacles, [Obstacle::ExistsUnmanaged]);
}

/// A broker repeats what it has passed on to a controller that changes.
#[tokio::test(start_paused = true)]
async fn a_creation_that_was_carried_out_twice_is_ours_but_never_deleted() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.broker.cluster().creations.push_back((BrokerError::Exists, true));
    let (outcomes, _) = scene.round().await;
    assert_eq!((view(&outcomes, "a").obstacles.clone(), outcomes["a"].failure), (vec![], None));
    let record = scene.record("a").await.unwrap();
    assert!(!record.created && record.id == "id1", "{record:?}");
}

/// A controller that stops to be one says "not done" of what its successor carries out.
#[tokio::test(start_paused = true)]
async fn a_creation_that_was_answered_as_not_done_and_is_done_later_is_ours_but_never_deleted() {
    let mut scene = Scene::new(&[topic("a")]);
    let not_now = BrokerError::Unreachable("this is not the correct controller".into());
    scene.broker.cluster().creations.push_back((not_now, true));
    let (outcomes, _) = scene.round().await;
    assert_eq!(outcomes["a"].failure, Some(Reason::BrokerUnreachable));
    let (outcomes, _) = scene.round().await;
    assert_eq!((view(&outcomes, "a").obstacles.clone(), outcomes["a"].failure), (vec![], None));
    let record = scene.record("a").await.unwrap();
    assert!(!record.created && record.id == "id1", "{record:?}");
}

/// What is lost with a topic is worth a warning, however many attempts it takes to make it again.
#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_and_could_not_be_made_at_once_is_told_as_made_again() {
    let mut scene = Scene::new(&[topic("a")]);
    assert_eq!(scene.round().await.1, [Happened::Created]);
    scene.broker.cluster().topics.clear();
    let away = BrokerError::Unreachable("this is not the correct controller".into());
    scene.broker.cluster().creations.push_back((away, false));
    let (outcomes, news) = scene.round().await;
    assert_eq!((outcomes["a"].failure, news), (Some(Reason::BrokerUnreachable), vec![]));
    assert_eq!(scene.round().await.1, [Happened::Recreated]);
    assert_eq!(scene.round().await.1, []);
}

#[tokio::test(start_paused = true)]
async fn what_exists_and_shows_late_is_judged_when_it_shows() {
    let foreign = NewTopic { name: "a".into(), partitions: Some(7), ..NewTopic::default() };
    for overtakes in [None, Some(foreign)] {
        let is_foreign = overtakes.is_some();
        let mut scene = Scene::new(&[topic("a")]);
        if is_foreign {
            scene.broker.cluster().overtakes = overtakes;
        } else {
            scene.broker.cluster().creations.push_back((BrokerError::Exists, true));
        }
        scene.broker.cluster().blind = 20;
        for careful in [false, true] {
            scene.items.get_mut("a").unwrap().careful = careful;
            let (outcomes, _) = scene.round().await;
            assert_eq!(outcomes["a"].failure, Some(Reason::Progressing), "{careful}");
            assert_eq!(view(&outcomes, "a").obstacles, [], "nobody knows yet");
            scene.broker.cluster().blind = 20;
        }
        scene.broker.cluster().blind = 0;
        let (outcomes, news) = scene.round().await;
        assert_eq!((outcomes["a"].failure, news), (None, vec![]));
        let record = scene.record("a").await;
        if is_foreign {
            assert_eq!(view(&outcomes, "a").obstacles, [Obstacle::ExistsUnmanaged]);
            assert_eq!(record, None);
        } else {
            assert_eq!(view(&outcomes, "a").obstacles, []);
            assert!(record.is_some_and(|record| !record.created && record.id == "id1"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_has_begun_is_not_asked_about_again() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.broker.cluster().creations.push_back((BrokerError::Unknown("no answer".into()), true));
    scene.broker.cluster().blind = 20;
    scene.round().await;
    scene.broker.calls();
    scene.broker.cluster().blind = 1;
    scene.items.get_mut("a").unwrap().careful = true;
    let (outcomes, _) = scene.round().await;
    assert_eq!((view(&outcomes, "a").obstacles.clone(), outcomes["a"].failure), (vec![], None));
    assert_eq!(scene.broker.calls(), ["describe a", "create a", "describe a"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_topic_leaves_no_record_and_is_asked_about_before_the_next_attempt() {
    let bad = Declared { replication_factor: Some(3), ..topic("bad") };
    let mut scene = Scene::new(&[bad, topic("good")]);
    let (outcomes, news) = scene.round().await;
    let trouble = view(&outcomes, "bad").trouble.as_ref().unwrap();
    assert_eq!(trouble.reason, Reason::ReplicationImpossible);
    assert_eq!((news, outcomes["good"].failure), (vec![Happened::Created], None), "its neighbour is made");
    assert_eq!(scene.record("bad").await, None);

    scene.broker.calls();
    let writes = scene.maps.maps().writes;
    scene.items.get_mut("bad").unwrap().careful = true;
    let (again, _) = scene.round().await;
    assert_eq!(view(&again, "bad"), view(&outcomes, "bad"));
    assert_eq!(scene.broker.calls(), ["describe bad good", "validate bad"]);
    assert_eq!(scene.maps.maps().writes, writes);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_does_not_keep_partitions_from_growing() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.round().await;
    let config = [("retention.ms".to_owned(), "bad".to_owned())].into();
    scene.items.get_mut("a").unwrap().claims[0].1 = Declared { partitions: Some(5), config, ..topic("a") };
    let (outcomes, news) = scene.round().await;
    assert_eq!(news, [Happened::Raised { from: 3, to: 5 }]);
    let seen = view(&outcomes, "a");
    assert_eq!(seen.topic.as_ref().map(|topic| topic.partitions), Some(5));
    assert_eq!(seen.trouble.as_ref().map(|trouble| trouble.reason), Some(Reason::TopicConfigRefused));
}

#[tokio::test(start_paused = true)]
async fn drift_is_news_and_a_new_description_is_not() {
    let with = |value: &str| Declared {
        config: [("retention.ms".to_owned(), value.to_owned())].into(),
        ..topic("a")
    };
    let mut scene = Scene::new(&[with("1000")]);
    scene.round().await;
    scene.items.get_mut("a").unwrap().claims[0].1 = with("2000");
    assert_eq!(scene.round().await.1, []);
    scene.broker.cluster().topics.get_mut("a").unwrap().config.insert("retention.ms".into(), "7".into());
    scene.items.get_mut("a").unwrap().settled = true;
    assert_eq!(scene.round().await.1, [Happened::Repaired(vec!["retention.ms".into()])]);
    assert_eq!(scene.broker.cluster().topics["a"].config["retention.ms"], "2000");
}

#[tokio::test(start_paused = true)]
async fn of_two_objects_one_is_heard_and_the_other_is_told_whose_it_is() {
    let mut scene = Scene::new(&[topic("a"), Declared { owner: owner("late"), ..topic("a") }]);
    let (outcomes, _) = scene.round().await;
    let views = &outcomes["a"].views;
    assert!(views[0].1.topic.is_some() && views[0].1.obstacles.is_empty());
    assert_eq!(views[1].1.obstacles, [Obstacle::OwnedBy(owner("order"))]);
    // The order of the claims is not the order of the ledger.
    scene.items.get_mut("a").unwrap().claims.reverse();
    let (outcomes, _) = scene.round().await;
    assert_eq!(outcomes["a"].views[0].1.obstacles, [Obstacle::OwnedBy(owner("order"))]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_another_cluster_is_not_made_anew() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.round().await;
    let ledger = Ledger::new(scene.maps.client(), "operator");
    let elsewhere = FakeBroker::default();
    let fence = Fence::always();
    let round = Round { broker: &elsewhere, ledger: &ledger, cluster_id: "another", fence: &fence };
    let outcomes = round.run(&mut scene.items).await.unwrap();
    assert_eq!(view(&outcomes, "a").obstacles, [Obstacle::OnOtherCluster("cluster".into())]);
    assert_eq!(elsewhere.calls(), ["describe a"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_keeps_its_topic_from_being_touched() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.round().await;
    for object in scene.maps.maps().objects.values_mut() {
        object["data"]["t.a"] = "{".into();
    }
    scene.broker.cluster().topics.clear();
    scene.broker.calls();
    let (outcomes, _) = scene.round().await;
    assert_eq!(outcomes["a"].failure, Some(Reason::Rejected));
    assert_eq!(scene.broker.calls(), ["describe a"]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_sends_nothing() {
    let mut scene = Scene::new(&[topic("a")]);
    scene.round().await;
    scene.items.get_mut("a").unwrap().claims[0].1.partitions = Some(9);
    scene.items.insert("b".into(), Scene::new(&[topic("b")]).items.remove("b").unwrap());
    scene.broker.calls();
    let (ledger, fence) = (Ledger::new(scene.maps.client(), "operator"), Fence::closed());
    let round = Round { broker: &scene.broker, ledger: &ledger, cluster_id: "cluster", fence: &fence };
    assert!(round.run(&mut scene.items).await.is_err());
    assert_eq!(scene.broker.calls(), ["describe a b"]);
}
