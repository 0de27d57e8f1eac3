use super::super::fake::{FakeBroker, FakeMaps};
use super::*;

/// A topic that may be deleted, on a broker and in a ledger.
struct Scene {
    broker: FakeBroker,
    maps: FakeMaps,
    leaving: BTreeMap<String, Leaving>,
}

fn owner(uid: &str) -> Owner {
    Owner { namespace: "shop".into(), name: "order".into(), uid: uid.into() }
}

fn record() -> Recorded {
    Recorded { id: "id".into(), owner: owner("u"), created: true, delete: true, ..Recorded::default() }
}

impl Scene {
    async fn new(record: Recorded) -> Self {
        let scene = Self {
            broker: FakeBroker::default(),
            maps: FakeMaps::default(),
            leaving: [("a".to_owned(), Leaving { owner: owner("u"), ..Leaving::default() })].into(),
        };
        let topic = Topic { name: "a".into(), id: "id".into(), ..Topic::default() };
        scene.broker.cluster().topics.insert("a".into(), topic);
        let edits = [("a".to_owned(), Edit { from: None, to: Some(record) })].into();
        assert!(scene.ledger().write("cluster", edits).await.unwrap().is_empty());
        scene
    }

    fn ledger(&self) -> Ledger<Recorded> {
        Ledger::new(self.maps.client(), "operator")
    }

    async fn let_go(&self) -> Result<Option<Let>, Trouble> {
        let fence = Fence::always();
        let_go(&self.broker, &self.ledger(), "cluster", &self.leaving, &fence)
            .await
            .map(|mut all| all.remove("a"))
    }

    async fn record(&self) -> Option<Recorded> {
        let names = ["a".to_owned()];
        self.ledger().records("cluster", names.iter()).await.unwrap().remove("a").unwrap().unwrap()
    }

    fn is_there(&self) -> bool {
        self.broker.cluster().topics.contains_key("a")
    }
}

#[tokio::test]
async fn it_is_described_again_immediately_before_it_is_deleted() {
    let scene = Scene::new(record()).await;
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Deleted))));
    assert_eq!(scene.broker.calls(), ["describe a", "describe a", "delete a"]);
    assert_eq!((scene.is_there(), scene.record().await), (false, None));
}

#[tokio::test]
async fn what_is_in_use_waits_and_what_is_gone_is_forgotten() {
    let mut scene = Scene::new(record()).await;
    scene.leaving.get_mut("a").unwrap().in_use = true;
    assert_eq!(scene.let_go().await, Ok(Some(None)));
    assert_eq!((scene.is_there(), scene.record().await), (true, Some(record())));
    scene.broker.cluster().topics.clear();
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Deleted))));
    assert_eq!(scene.record().await, None);
}

#[tokio::test]
async fn after_what_concerns_all_the_rest_waits_and_what_was_done_is_told() {
    let mut scene = Scene::new(record()).await;
    for name in ["b", "c"] {
        let edits = [(name.to_owned(), Edit { from: None, to: Some(record()) })].into();
        assert!(scene.ledger().write("cluster", edits).await.unwrap().is_empty());
        scene.leaving.insert(name.to_owned(), Leaving { owner: owner("u"), ..Leaving::default() });
        let topic = Topic { name: name.to_owned(), id: "id".into(), ..Topic::default() };
        scene.broker.cluster().topics.insert(name.to_owned(), topic);
    }
    let away = BrokerError::Unreachable("no answer".into());
    scene.broker.cluster().no_groups = [None, Some(away)].into();
    let fence = Fence::always();
    let left = let_go(&scene.broker, &scene.ledger(), "cluster", &scene.leaving, &fence).await.unwrap();
    let waits = |name: &str| (name.to_owned(), None);
    assert_eq!(left, [("a".to_owned(), Some(Happened::Deleted)), waits("b"), waits("c")].into());
}

#[tokio::test]
async fn own_groups_do_not_keep_a_topic_and_others_do() {
    let mut scene = Scene::new(record()).await;
    scene.broker.cluster().groups = vec![Group { id: "shop.order".into(), active: true }];
    scene.leaving.get_mut("a").unwrap().own_groups = ["shop.order".to_owned()].into();
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Deleted))));

    let scene = Scene::new(record()).await;
    scene.broker.cluster().groups = vec![Group { id: "reporter".into(), active: true }];
    let kept = Kept::Read { by: "reporter".into() };
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Retained(kept)))));
    assert!(scene.is_there() && scene.record().await.is_some_and(|record| record.released));
}

#[tokio::test]
async fn another_topic_of_the_name_or_one_of_others_stays() {
    let scene = Scene::new(Recorded { id: "old".into(), ..record() }).await;
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Retained(Kept::Replaced)))));
    let scene = Scene::new(Recorded { created: false, ..record() }).await;
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Retained(Kept::NotCreatedByUs)))));
    assert!(scene.is_there());
}

#[tokio::test]
async fn a_topic_that_is_replaced_at_the_last_moment_stays() {
    let scene = Scene::new(record()).await;
    scene.broker.cluster().replaced = Some(Topic { name: "a".into(), id: "new".into(), ..Topic::default() });
    assert_eq!(scene.let_go().await, Ok(Some(Some(Happened::Retained(Kept::Replaced)))));
    assert!(scene.is_there());
}

#[tokio::test]
async fn a_successor_gets_it_and_a_new_object_of_the_name_keeps_it() {
    let mut scene = Scene::new(record()).await;
    let next = Owner { name: "next".into(), ..owner("v") };
    scene.leaving.get_mut("a").unwrap().successor = Some(next.clone());
    let told = Happened::HandedOver("shop".into(), "next".into());
    assert_eq!(scene.let_go().await, Ok(Some(Some(told))));
    assert_eq!(scene.record().await.map(|record| record.owner), Some(next));

    let scene = Scene::new(Recorded { owner: owner("new"), ..record() }).await;
    assert_eq!(scene.let_go().await, Ok(None));
    assert!(scene.is_there());
}

#[tokio::test]
async fn nothing_is_deleted_when_the_ledger_does_not_take_note() {
    for code in [409, 403, 500] {
        let scene = Scene::new(record()).await;
        scene.maps.maps().refuse.push_back(code);
        assert_eq!(scene.let_go().await, Ok(Some(None)), "{code}");
        assert!(scene.is_there(), "{code}");
    }
}
