//! Every error code of the protocol, and every way a request can fail.

use std::io;

use proptest::prelude::*;

use super::*;

/// Codes that mean something of their own; all others are `Other`.
const TABLE: [(i16, &str); 34] = [
    (3, "Missing"),
    (5, "Unreachable"),
    (6, "Unreachable"),
    (7, "Unknown"),
    (8, "Unreachable"),
    (13, "Unknown"),
    (14, "Unreachable"),
    (15, "Unreachable"),
    (16, "Unreachable"),
    (17, "InvalidName"),
    (24, "InvalidName"),
    (29, "NotAuthorized"),
    (30, "NotAuthorized"),
    (31, "NotAuthorized"),
    (33, "LoginRefused"),
    (34, "LoginRefused"),
    (35, "Unsupported"),
    (36, "Exists"),
    (37, "InvalidPartitions"),
    (38, "InvalidReplication"),
    (39, "InvalidReplication"),
    (40, "InvalidConfig"),
    (41, "Unknown"),
    (44, "PolicyViolation"),
    (53, "NotAuthorized"),
    (54, "Unsupported"),
    (58, "LoginRefused"),
    (65, "NotAuthorized"),
    (69, "Missing"),
    (73, "Unsupported"),
    (89, "Throttled"),
    (91, "Missing"),
    (100, "Missing"),
    (105, "Missing"),
];
/// Those that Kafka added later.
const LATER: [(i16, &str); 3] = [(114, "Unsupported"), (115, "Unsupported"), (129, "Unreachable")];

fn name(error: &BrokerError) -> String {
    format!("{error:?}").split('(').next().unwrap_or_default().to_owned()
}

#[test]
fn every_code_has_its_meaning() {
    for code in -1..=300 {
        let known = TABLE.iter().chain(&LATER).find(|(number, _)| *number == code);
        let error = of_code(Code::from_i16(code), "text".into(), Effect::Write);
        assert_eq!(name(&error), known.map_or("Other", |(_, name)| name), "code {code}");
    }
}

#[test]
fn a_broker_that_gave_up_waiting_leaves_only_a_change_in_doubt() {
    for code in [Code::RequestTimedOut, Code::NetworkException, Code::NotController] {
        assert_eq!(name(&of_code(code, "text".into(), Effect::Read)), "Unreachable");
        assert_eq!(name(&of_code(code, "text".into(), Effect::Write)), "Unknown");
    }
}

#[test]
fn what_was_sent_and_not_answered_is_unknown_and_what_was_not_sent_is_not() {
    let reset = || KrafkaError::network(io::Error::from(io::ErrorKind::ConnectionReset));
    let alert = || io::Error::new(io::ErrorKind::InvalidData, "received fatal alert: CertificateRequired");
    let unsent = "CreateTopics did not complete within 12s; last error: refused";
    let garbled = KrafkaError::protocol_kind(ProtocolErrorKind::Malformed, "no result");
    let too_old = KrafkaError::protocol_kind(ProtocolErrorKind::UnknownApiVersion, "no version");
    for (error, read, write) in [
        (reset(), "Unreachable", "Unknown"),
        (KrafkaError::timeout("CreateTopics sent and unanswered"), "Unreachable", "Unknown"),
        (garbled, "Unreachable", "Unknown"),
        (KrafkaError::timeout(unsent), "Unreachable", "Unreachable"),
        (too_old, "Unsupported", "Unsupported"),
        (KrafkaError::auth("SASL authentication failed"), "LoginRefused", "LoginRefused"),
        (KrafkaError::auth_with_source("TLS handshake failed", alert()), "TlsRefused", "TlsRefused"),
        (KrafkaError::network(alert()), "TlsRefused", "TlsRefused"),
        (KrafkaError::config("bootstrap_servers is required"), "Other", "Other"),
    ] {
        let meant = |effect| name(&meaning(&error, effect, &Scrub::default()));
        assert_eq!((meant(Effect::Read), meant(Effect::Write)), (read.into(), write.into()), "{error}");
    }
}

#[test]
fn the_answer_of_a_port_with_tls_is_known_and_no_other_garbage() {
    let said = |length: u32| {
        let text = format!("Invalid pre-authentication response length: {length} (max: 65536); refusing");
        let wrapped = io::Error::other(format!("could not connect; last error: {text}"));
        name(&of_connecting(&KrafkaError::network(wrapped), &Scrub::default()))
    };
    assert_eq!(said(0x1503_0300), "TlsRefused");
    assert_eq!(said(0x1503_0302), "TlsRefused");
    assert_eq!(said(0x4854_5450), "Unreachable", "HTTP");
}

#[test]
fn texts_are_bounded_and_hold_no_secret() {
    let scrub = Scrub::new(["canary".to_owned(), String::new()]);
    let body = format!("{}canary{}\u{7}", "é".repeat(297), "x".repeat(9_000_000));
    let error = meaning(&KrafkaError::broker(Code::InvalidConfig, body), Effect::Write, &scrub);
    let BrokerError::InvalidConfig(text) = error else { panic!("{error}") };
    assert!(text.len() <= TEXT, "{} bytes", text.len());
    assert!(!text.contains("can") && text.ends_with('…'), "{text}");

    let short = meaning(&KrafkaError::auth("bad\ncanary"), Effect::Read, &scrub);
    assert_eq!(short, BrokerError::LoginRefused("bad ***".into()));
}

proptest! {
    /// What a broker says is foreign text: `make fuzz` is about all other texts.
    #[test]
    fn no_answer_of_a_broker_panics_or_tells_a_secret(code: i16, before: String, after: String, length: u64) {
        let said = format!("{before}canary{after}");
        let length = format!("{before}pre-authentication response length: {length}{after}canary");
        let errors = [
            KrafkaError::broker(Code::from_i16(code), said.as_str()),
            KrafkaError::auth(said.as_str()),
            KrafkaError::protocol_kind(ProtocolErrorKind::Malformed, length),
            KrafkaError::network(io::Error::other(said.clone())),
            KrafkaError::config(said),
        ];
        let scrub = Scrub::new(["canary".to_owned()]);
        for error in errors {
            for effect in [Effect::Read, Effect::Write] {
                let told = meaning(&error, effect, &scrub).to_string();
                prop_assert!(!told.contains("canary") && !told.contains(char::is_control), "{told:?}");
                prop_assert!(told.len() < 2 * TEXT, "{} bytes", told.len());
            }
        }
    }
}
