use super::*;
use crate::engine::kafka::trouble::trouble;
use crate::kafka::model::Topic as Live;
use crate::kafka::view::Happened;

const SWEEP: Duration = Duration::from_secs(300);

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

fn want(service: &str, topic: &str, created: i64) -> Want {
    let owner = Owner { namespace: "shop".into(), name: service.into(), uid: format!("uid-{service}") };
    Want {
        declared: Declared { name: topic.into(), owner, ..Declared::default() },
        consents: Default::default(),
        created,
    }
}

fn ready(key: &Key, topic: &str) -> Outcome {
    let live = Live { name: topic.into(), id: "id".into(), ..Live::default() };
    let view = TopicView { name: topic.into(), compared: true, topic: Some(live), ..TopicView::default() };
    Outcome { views: vec![(key.clone(), view)], failure: None }
}

fn worked(outcomes: Vec<(&str, Outcome)>) -> Result<Worked, Trouble> {
    let outcomes = outcomes.into_iter().map(|(name, outcome)| (name.to_owned(), outcome)).collect();
    Ok(Worked { outcomes, ..Worked::default() })
}

fn away() -> Trouble {
    trouble(&crate::engine::kafka::BrokerError::Unreachable("no answer".into()))
}

fn refused() -> Trouble {
    trouble(&crate::engine::kafka::BrokerError::LoginRefused("no".into()))
}

/// A state that has just swept, so that only what is declared is due.
fn state() -> State {
    let mut state = State::default();
    state.begin_sweep(SWEEP);
    state.leave = None;
    state.logins = Default::default();
    state
}

fn names(items: &BTreeMap<String, Item>) -> Vec<&str> {
    items.keys().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_is_due_once_and_the_same_again_is_no_news() {
    let mut state = state();
    assert!(state.declare(&key("a"), vec![want("a", "t", 1)]));
    let batch = state.take();
    assert_eq!(names(&batch.items), ["t"]);
    let told = state.finish(batch, worked(vec![("t", ready(&key("a"), "t"))]));
    assert_eq!(told, [key("a")].into());
    assert!(!state.declare(&key("a"), vec![want("a", "t", 1)]));
    assert!(state.take().items.is_empty());
    assert!(state.next() >= Instant::now() + SWEEP.mul_f64(0.9), "nothing but the sweep is left");
    state.declare(&key("a"), vec![want("a", "t", 1), want("a", "u", 1)]);
    assert_eq!(names(&state.take().items), ["u"], "its neighbour is not looked at again");
}

#[tokio::test(start_paused = true)]
async fn the_same_outcome_tells_nobody() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let batch = state.take();
    state.finish(batch, worked(vec![("t", ready(&key("a"), "t"))]));
    tokio::time::advance(SWEEP * 2).await;
    state.begin_sweep(SWEEP);
    let batch = state.take();
    assert_eq!(names(&batch.items), ["t"], "the sweep looks at everything");
    assert_eq!(state.finish(batch, worked(vec![("t", ready(&key("a"), "t"))])), HashSet::new());
}

#[tokio::test(start_paused = true)]
async fn the_older_object_comes_first_and_the_uid_decides_between_equals() {
    let mut state = state();
    state.declare(&key("young"), vec![want("young", "t", 9)]);
    state.declare(&key("b"), vec![want("b", "t", 1)]);
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let batch = state.take();
    let claims: Vec<&str> = batch.items["t"].claims.iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(claims, ["a", "b", "young"]);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_batch_is_under_way_is_looked_at_again() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let batch = state.take();
    let mut more = want("a", "t", 1);
    more.declared.partitions = Some(9);
    state.declare(&key("a"), vec![more]);
    state.finish(batch, worked(vec![("t", ready(&key("a"), "t"))]));
    assert!(!state.views[&key("a")]["t"].compared, "the outcome is that of the old declaration");
    assert_eq!(names(&state.take().items), ["t"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_retried_with_patience_and_lasts_after_five_minutes() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let begin = Instant::now();
    let (mut told, mut attempts) = (Vec::new(), 0);
    while begin.elapsed() < Duration::from_secs(400) {
        tokio::time::sleep_until(state.next()).await;
        state.begin_sweep(Duration::from_secs(3600));
        let batch = state.take();
        attempts += 1;
        let other_words = Trouble { text: format!("attempt {attempts}"), ..away() };
        if !state.finish(batch, Err(other_words)).is_empty() {
            told.push((begin.elapsed().as_secs(), state.outage.as_ref().unwrap().trouble.lasting));
        }
    }
    assert!((130..270).contains(&attempts), "{attempts} attempts: one in two seconds, more or less");
    assert!(matches!(told[..], [(0, false), (300..340, true)]), "{told:?}");
    assert_eq!(state.outage.as_ref().unwrap().trouble.text, "attempt 1", "other words are no news");
    let batch = state.take();
    assert_eq!(state.finish(batch, worked(vec![])), [key("a")].into(), "its end is news");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_retried_slowly_while_the_secret_is_watched() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let batch = state.take();
    state.finish(batch, Err(refused()));
    assert!(state.next() <= Instant::now() + POLL, "the Secret is looked at");
    let retry = state.outage.as_ref().unwrap().retry;
    assert!(retry >= Instant::now() + Duration::from_secs(25), "the login is not");
}

#[tokio::test(start_paused = true)]
async fn a_refused_topic_comes_back_later_each_time_and_is_asked_about_first() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let bad = || Outcome { failure: Some(Reason::TopicConfigRefused), ..ready(&key("a"), "t") };
    let mut waits = Vec::new();
    for _ in 0..3 {
        tokio::time::sleep_until(state.next()).await;
        let batch = state.take();
        waits.push(batch.items["t"].careful);
        state.finish(batch, worked(vec![("t", bad())]));
        let due = state.topics["t"].due.unwrap().duration_since(Instant::now());
        assert!(due >= Duration::from_secs(54), "{due:?}");
    }
    assert_eq!(waits, [false, true, true]);
    state.declare(&key("a"), vec![Want { created: 2, ..want("a", "t", 1) }]);
    assert!(!state.take().items["t"].careful, "it is another declaration");
}

/// A batch may write what was declared when it began, so what is withdrawn meanwhile is let go after it.
#[tokio::test(start_paused = true)]
async fn whoever_withdraws_a_topic_during_a_batch_is_told_when_that_is_over() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1), want("a", "u", 1)]);
    let batch = state.take();
    assert_eq!(state.under_way, ["t", "u"].map(String::from).into());
    state.declare(&key("a"), vec![want("a", "u", 1)]);
    let told = state.finish(batch, Ok(Worked::default()));
    assert_eq!((told, state.under_way.len()), ([key("a")].into(), 0));
    // It waits for nothing else.
    state.declare(&key("a"), vec![want("a", "u", 2)]);
    let batch = state.take();
    assert_eq!(state.finish(batch, Ok(Worked::default())), [].into());
}

#[tokio::test(start_paused = true)]
async fn whoever_declares_a_topic_again_does_not_let_it_go() {
    let mut state = state();
    let owner = want("a", "t", 1).declared.owner;
    state.leaving.insert("t".into(), Leaving { owner, ..Leaving::default() });
    state.declare(&key("b"), vec![want("b", "t", 1)]);
    assert_eq!(state.leaving.len(), 1, "another one changes nothing");
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    assert!(state.leaving.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_adopts_is_the_successor_of_a_topic_that_is_let_go() {
    let mut state = state();
    let owner = want("a", "t", 1).declared.owner;
    let mut adopting = want("b", "t", 5);
    adopting.declared.management = Management::Adopt;
    state.declare(&key("b"), vec![adopting.clone()]);
    state.declare(&key("c"), vec![want("c", "t", 1)]);
    state.leaving.insert("t".into(), Leaving { owner, ..Leaving::default() });
    state.leave = Some(Instant::now());
    let leaving = state.take().leaving;
    assert_eq!(leaving.unwrap()["t"].successor, Some(adopting.declared.owner));
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_of_a_topic_stands_when_the_ledger_names_it_too() {
    let state = state();
    let owner = want("a", "t", 1).declared.owner;
    let decided = Leaving {
        owner: owner.clone(),
        in_use: true,
        own_groups: ["shop.a".to_owned()].into(),
        successor: Some(want("b", "t", 2).declared.owner),
    };
    let leaving = BTreeMap::from([("t".to_owned(), decided.clone())]);
    let doomed = vec![("t".to_owned(), owner)];
    assert_eq!(state.join(&leaving, doomed.clone(), |_| true)["t"], decided);
    // Nobody may be left to tell that the pods have gone.
    assert_eq!(state.join(&leaving, doomed, |_| false)["t"], Leaving { in_use: false, ..decided });
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_only_the_ledger_names_waits_for_the_pods_and_goes_to_who_adopts_it() {
    let mut state = state();
    let mut adopting = want("b", "t", 5);
    adopting.declared.management = Management::Adopt;
    state.declare(&key("b"), vec![adopting.clone()]);
    state.declare(&key("c"), vec![want("c", "kept", 1)]);
    let doomed = [("t", "a"), ("u", "a"), ("kept", "c")];
    let doomed = doomed.map(|(topic, owner)| (topic.to_owned(), want(owner, topic, 1).declared.owner));
    let all = state.join(&BTreeMap::new(), doomed.to_vec(), |owner| owner.name == "a");
    let owner = want("a", "t", 1).declared.owner;
    let waits = Leaving { owner, in_use: true, ..Leaving::default() };
    let adopted = Leaving { successor: Some(adopting.declared.owner), ..waits.clone() };
    assert_eq!(all, [("t".to_owned(), adopted), ("u".to_owned(), waits)].into());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_let_go_before_every_service_was_heard() {
    let mut state = state();
    state.leave = Some(Instant::now());
    state.wait_for_all();
    assert!(state.take().leaving.is_none());
    tokio::time::advance(UNHEARD).await;
    assert!(state.take().leaving.is_some());
    state.wait_for_all();
    assert_eq!(state.leave, None, "nothing is due that was not");
}

/// One topic that cannot be let go, or one login that cannot be removed, is not the cluster.
#[tokio::test(start_paused = true)]
async fn what_follows_fails_alone_and_is_tried_again_later() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let owner = want("b", "u", 1).declared.owner;
    state.leaving.insert("u".into(), Leaving { owner, ..Leaving::default() });
    let now = Some(Instant::now());
    (state.leave, state.tidy) = (now, now);
    state.logins.leave("shop.b", false);
    let batch = state.take();
    assert!(batch.leaving.is_some() && batch.departing.is_some() && batch.tidies);
    let told = state.finish(batch, worked(vec![("t", ready(&key("a"), "t"))]));
    assert_eq!(told, [key("a")].into());
    assert!(state.views[&key("a")]["t"].compared && state.outage.is_none());
    assert!(state.leaving.contains_key("u") && state.logins.is_leaving("shop.b"));
    assert!(state.take().is_empty(), "not at once");
    tokio::time::advance(AGAIN * 2).await;
    let batch = state.take();
    assert!(batch.leaving.is_some() && batch.departing.is_some() && batch.tidies);
}

#[tokio::test(start_paused = true)]
async fn trouble_with_all_logins_is_an_outage_and_what_is_known_of_topics_is_kept() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let owner = want("b", "u", 1).declared.owner;
    state.leaving.insert("u".into(), Leaving { owner, ..Leaving::default() });
    state.leave = Some(Instant::now());
    let batch = state.take();
    let left = Some([("u".to_owned(), Some(Happened::Deleted))].into());
    let topics = worked(vec![("t", ready(&key("a"), "t"))]).unwrap();
    let told = state.finish(batch, Ok(Worked { left, trouble: Some(away()), ..topics }));
    assert_eq!(told, [key("a"), key("b")].into());
    assert_eq!(state.news[&key("b")].len(), 1, "what happened is told");
    assert!(state.views[&key("a")]["t"].compared && state.outage.is_some() && state.leaving.is_empty());
}

#[tokio::test(start_paused = true)]
async fn on_another_cluster_nothing_is_expected_and_all_is_looked_at() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1), want("a", "u", 1)]);
    let mut batch = state.take();
    state.arrive("one", &mut batch);
    for item in batch.items.values_mut() {
        item.made = Some(Made { again: false });
    }
    state.finish(batch, worked(vec![("t", ready(&key("a"), "t")), ("u", ready(&key("a"), "u"))]));
    state.declare(&key("a"), vec![want("a", "t", 2), want("a", "u", 1)]);
    let mut batch = state.take();
    state.arrive("one", &mut batch);
    assert_eq!((names(&batch.items), batch.items["t"].made.is_some()), (vec!["t"], true));
    assert!(state.next() > Instant::now());
    state.arrive("two", &mut batch);
    assert!(batch.items["t"].made.is_none() && state.topics["u"].made.is_none());
    assert_eq!(state.next(), Instant::now());
    state.begin_sweep(SWEEP);
    assert!(state.take().items.contains_key("u"));
}

#[tokio::test(start_paused = true)]
async fn another_description_is_news_once_and_ends_an_outage() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    let batch = state.take();
    state.finish(batch, Err(away()));
    let spec = ClassCluster { name: "moved".into(), ..ClassCluster::default() };
    assert!(state.describe(&spec));
    assert!(state.outage.is_none() && state.next() <= Instant::now());
    assert!(!state.describe(&spec));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_and_the_rest_is_next() {
    let mut state = state();
    let many = (0..BATCH + 7).map(|n| want("a", &format!("t{n:04}"), 1)).collect();
    state.declare(&key("a"), many);
    assert_eq!(state.take().items.len(), BATCH);
    assert_eq!(state.next(), Instant::now());
    assert_eq!(state.take().items.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_new_topic_does_not_wait_behind_a_sweep() {
    let mut state = state();
    let old: Vec<Want> = (0..BATCH).map(|n| want("a", &format!("t{n:04}"), 1)).collect();
    state.declare(&key("a"), old);
    let batch = state.take();
    let known = batch.items.keys().map(|name| (name.as_str(), ready(&key("a"), name))).collect();
    let worked = worked(known);
    state.finish(batch, worked);
    tokio::time::advance(SWEEP * 2).await;
    state.begin_sweep(SWEEP);
    state.declare(&key("z"), vec![want("z", "z", 1)]);
    assert!(state.take().items.contains_key("z"));
}

#[tokio::test(start_paused = true)]
async fn an_unused_cluster_is_left_alone() {
    let mut state = state();
    state.declare(&key("a"), vec![want("a", "t", 1)]);
    state.declare(&key("a"), Vec::new());
    assert!(state.topics.is_empty() && state.views.is_empty());
    assert!(state.next() >= Instant::now() + NEVER);
}
