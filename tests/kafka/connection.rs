//! The way to the cluster: made late, kept, made anew; every failure by its name and in bounded time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use microservice_operator::engine::kafka::{Broker, BrokerError, Direct, Login, Mechanism, Settings, Tls};

use crate::fixtures::{BOUND, all_ok, create, described, direct, goes, kind, kinds, plain, shows, unique};
use crate::support::{Kafka, Odd, eventually};

/// The settings with another way to log in.
fn with_login(kafka: &Kafka, change: impl FnOnce(&mut Login)) -> Settings {
    let mut settings = kafka.settings();
    change(settings.login.as_mut().expect("there is a login"));
    settings
}

async fn refused(settings: Settings) -> BrokerError {
    let start = Instant::now();
    let error = Direct::new(settings).cluster_id().await.expect_err("it is refused");
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    error
}

#[tokio::test]
async fn every_way_to_log_in_works() {
    let kafka = Kafka::shared().await;
    let plain_password = with_login(kafka, |login| login.mechanism = Mechanism::Plain);
    let without_tls = Settings { bootstrap: kafka.sasl(), tls: None, ..kafka.settings() };
    let nothing = Settings { bootstrap: kafka.plaintext(), ..Settings::default() };
    for settings in
        [kafka.settings(), plain_password, without_tls, nothing, kafka.settings_with_certificate()]
    {
        let id = Direct::new(settings.clone()).cluster_id().await;
        assert_eq!(id.as_deref(), Ok(kafka.id()), "{settings:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_and_never_shown_until_the_settings_change() {
    let kafka = Kafka::start().await;
    let wrong = "canary-that-nobody-may-see";
    let broker = Direct::new(with_login(&kafka, |login| login.password = wrong.into()));
    for _ in 0..20 {
        let error = broker.cluster_id().await.expect_err("it is refused");
        assert!(matches!(error, BrokerError::LoginRefused(_)), "{error:?}");
        assert!(!error.to_string().contains(wrong), "{error}");
    }
    assert!(!format!("{broker:?}").contains(wrong));
    eventually(Duration::from_secs(10), "the broker has logged it", || async {
        if kafka.refused_logins() > 0 { Ok(()) } else { Err("nothing in the log") }
    })
    .await;
    assert_eq!(kafka.refused_logins(), 1, "twenty calls, one login");

    broker.set(kafka.settings());
    assert_eq!(broker.cluster_id().await.as_deref(), Ok(kafka.id()), "at once");
}

#[tokio::test]
async fn a_mechanism_that_the_cluster_lacks_is_a_refused_login() {
    let kafka = Kafka::shared().await;
    let error = refused(with_login(kafka, |login| login.mechanism = Mechanism::ScramSha256)).await;
    assert!(matches!(error, BrokerError::LoginRefused(_)), "{error:?}");
}

#[tokio::test]
async fn tls_is_refused_by_its_name() {
    let kafka = Kafka::shared().await;
    let foreign = Some(Tls { ca: Some(Kafka::foreign_ca()), client: None });
    let wrong_ca = Settings { tls: foreign, ..kafka.settings() };
    let public_ca = Settings { tls: Some(Tls::default()), ..kafka.settings() };
    let mut no_certificate = kafka.settings_with_certificate();
    no_certificate.tls.as_mut().expect("there is TLS").client = None;
    for settings in [wrong_ca, public_ca, no_certificate] {
        let error = refused(settings.clone()).await;
        assert!(matches!(error, BrokerError::TlsRefused(_)), "{settings:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_ca_that_is_no_certificate_is_said_so() {
    let tls = Some(Tls { ca: Some("not a certificate".into()), client: None });
    let error = refused(Settings { tls, ..Kafka::shared().await.settings() }).await;
    assert!(matches!(error, BrokerError::Other(_)), "{error:?}");
    shows(&error, "certificate");
}

#[tokio::test]
async fn a_port_of_the_other_kind_is_an_error_in_bounded_time() {
    let kafka = Kafka::shared().await;
    let no_tls = Settings { tls: None, ..kafka.settings() };
    let too_much_tls = Settings { bootstrap: kafka.sasl(), ..kafka.settings() };
    let error = refused(no_tls).await;
    assert!(matches!(error, BrokerError::TlsRefused(_)), "{error:?}");
    shows(&error, "the port speaks TLS");
    // A broker that ends in the middle of a handshake looks the same.
    let error = refused(too_much_tls).await;
    assert!(matches!(error, BrokerError::Unreachable(_)), "{error:?}");
    shows(&error, "tls handshake");
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_an_error_in_bounded_time() {
    let settings = |bootstrap: &[&str]| Settings {
        bootstrap: bootstrap.iter().map(|&address| address.to_owned()).collect(),
        ..Settings::default()
    };
    // Accepts and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().expect("an address").to_string();
    for addresses in [vec!["no-such-host.invalid:9092"], vec!["127.0.0.1:1"], vec![silent.as_str()]] {
        let error = refused(settings(&addresses)).await;
        assert!(matches!(error, BrokerError::Unreachable(_)), "{addresses:?}: {error:?}");
    }
    for addresses in [vec![], vec!["no port"]] {
        let error = refused(settings(&addresses)).await;
        assert!(matches!(error, BrokerError::Other(_) | BrokerError::Unreachable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_broker_that_is_away_is_unreachable_in_bounded_time_and_found_again() {
    let mut kafka = Kafka::start().await;
    let broker = direct(&kafka);
    let name = unique("before");
    create(&broker, &[plain(&name)]).await;

    kafka.kill(0);
    // The first call has a connection that has just died, and repeats its question until its time is up;
    // the next ones begin anew, and nothing listens.
    for bound in [BOUND, Duration::from_secs(9)] {
        let start = Instant::now();
        let seen = broker.describe(std::slice::from_ref(&name)).await;
        assert_eq!(kind(&seen), "Unreachable", "{seen:?}");
        let made = broker.create(&[plain("never")], false).await;
        assert_eq!(kind(&made), "Unreachable", "{made:?}");
        assert!(start.elapsed() < bound, "{:?}", start.elapsed());
    }
    kafka.revive(0).await;
    eventually(Duration::from_secs(10), "it works again", || broker.describe(std::slice::from_ref(&name)))
        .await;
    goes(&broker, "never").await;
}

#[tokio::test]
async fn a_change_without_an_answer_has_an_unknown_outcome_and_is_not_repeated() {
    // While it is frozen the controller in the same process does not take it for dead: it would refuse.
    let properties = &[("broker.session.timeout.ms", "120000")];
    let kafka = Kafka::odd(Odd { properties, ..Odd::default() }).await;
    let broker = direct(&kafka);
    let (sent, unsent) = (unique("sent"), unique("unsent"));
    create(&broker, &[plain(&unique("before"))]).await;

    kafka.freeze(0);
    // A hundred go into the first request, so the last one is not sent.
    let mut topics: Vec<_> = (0..99).map(|_| plain(&unique("batch"))).collect();
    topics.insert(0, plain(&sent));
    topics.push(plain(&unsent));
    let before = broker.requests();
    let start = Instant::now();
    let results = broker.create(&topics, false).await.expect("one result per item");
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    kafka.thaw(0);

    let mut wanted = vec!["Unknown"; 100];
    wanted.push("Unreachable");
    assert_eq!(kinds(&results), wanted);
    assert_eq!(broker.requests() - before, 1);
    // It had arrived, so the broker did it when it woke up.
    eventually(Duration::from_secs(20), "what was sent is made", || async {
        broker.describe(std::slice::from_ref(&sent)).await?.remove(0)
    })
    .await;
    let seen = broker.describe(std::slice::from_ref(&unsent)).await.expect("the broker answers");
    assert_eq!(seen, [Err(BrokerError::Missing)]);
}

#[tokio::test]
async fn one_broker_of_three_may_be_away() {
    let mut kafka = Kafka::cluster(3).await;
    let broker = direct(&kafka);
    let (before, during) = (unique("before"), unique("during"));
    let topic = create(&broker, &[plain(&before)]).await.remove(0);
    assert_eq!(topic.replication_factor, 3, "default.replication.factor of the brokers");

    kafka.kill(0);
    eventually(Duration::from_secs(60), "a topic is made", || async {
        let results = broker.create(&[plain(&during)], false).await?;
        match results.into_iter().next().expect("one result") {
            Err(BrokerError::Exists) => Ok(()),
            result => result,
        }
    })
    .await;
    described(&broker, &[before, during.clone()]).await;
    kafka.revive(0).await;
    all_ok(broker.delete(&[during]).await.expect("the brokers answer"));
}

/// Everything that the client and we log, at the finest level, with the right and with a wrong password.
#[tokio::test]
async fn no_password_is_logged_at_any_level() {
    let kafka = Kafka::shared().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let right = kafka.settings();
    let mut secrets = vec!["canary-that-nobody-may-see".to_owned()];
    secrets.extend(right.secrets());
    for mechanism in [Mechanism::ScramSha512, Mechanism::Plain] {
        let right = with_login(kafka, |login| login.mechanism = mechanism);
        Direct::new(right).cluster_id().await.expect("it is let in");
        let wrong = with_login(kafka, |login| {
            login.mechanism = mechanism;
            login.password.clone_from(&secrets[0]);
        });
        let error = refused(wrong).await;
        assert!(matches!(error, BrokerError::LoginRefused(_)), "{mechanism:?}: {error:?}");
    }
    drop(guard);
    let text = log.text();
    assert!(text.contains("krafka"), "the client logs nothing, so nothing was tested");
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None);
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no writer panics")).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
