//! Sends what changes ACLs. Any broker takes it and passes it on to the controller.

use std::sync::Arc;
use std::time::Duration;

use krafka::__private::kafka_metadata;
use krafka::__private::network::BrokerConnection;
use krafka::__private::protocol::{ApiKey, CreateAclsResponse, DeleteAclsResponse, VersionedDecode};
use krafka::error::{ErrorCode, KrafkaError};
use krafka::{Kafka, ProtocolErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use super::encode::{VERSION, body};
use crate::kafka::model::Acl;

/// Adds ACLs: one result each, in their order.
pub async fn allow(kafka: &Kafka, acls: &[&Acl], left: Duration) -> Result<Vec<Result<()>>> {
    let response: CreateAclsResponse = exchange(kafka, ApiKey::CreateAcls, acls, left).await?;
    let results = response.results.into_iter();
    complete(results.map(|result| answer(result.error_code, result.error_message)).collect(), acls)
}

/// Removes exactly these ACLs: one result each, in their order.
pub async fn revoke(kafka: &Kafka, acls: &[&Acl], left: Duration) -> Result<Vec<Result<()>>> {
    let response: DeleteAclsResponse = exchange(kafka, ApiKey::DeleteAcls, acls, left).await?;
    let results = response.filter_results.into_iter().map(|result| {
        answer(result.error_code, result.error_message)?;
        let removed = result.matching_acls.into_iter();
        removed.into_iter().try_for_each(|acl| answer(acl.error_code, acl.error_message))
    });
    complete(results.collect(), acls)
}

async fn exchange<R: VersionedDecode>(
    kafka: &Kafka,
    api: ApiKey,
    acls: &[&Acl],
    left: Duration,
) -> Result<R> {
    let deadline = Instant::now() + left;
    let connection = match timeout_at(deadline, connection(kafka)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) if !error.is_retriable() => return Err(error),
        Ok(Err(error)) => return Err(not_sent(api, &error.to_string())),
        Err(_) => return Err(not_sent(api, "no connection in time")),
    };
    if connection.negotiate_api_version(api, VERSION, VERSION).is_none() {
        let text = format!("the broker does not know version {VERSION} of {api:?}");
        return Err(KrafkaError::protocol_kind(ProtocolErrorKind::UnknownApiVersion, text));
    }
    let bytes = body(acls);
    let sent = connection.send_request(api, VERSION, |buffer| {
        buffer.extend_from_slice(&bytes);
        Ok(())
    });
    let unanswered = |_| KrafkaError::timeout(format!("{api:?} sent and unanswered"));
    R::decode_versioned(VERSION, &mut timeout_at(deadline, sent).await.map_err(unanswered)??)
}

/// To the broker that the cluster calls its controller, else to one after the other.
async fn connection(kafka: &Kafka) -> Result<Arc<BrokerConnection>> {
    let metadata = kafka_metadata(kafka);
    let mut failure = KrafkaError::timeout("no broker is known");
    for broker in metadata.controller().into_iter().chain(metadata.brokers()) {
        match metadata.get_broker_connection(broker.id()).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// In the words of the client for what it could not send.
fn not_sent(api: ApiKey, reason: &str) -> KrafkaError {
    KrafkaError::timeout(format!("{api:?} did not complete within its time; last error: {reason}"))
}

fn answer(code: ErrorCode, message: Option<String>) -> Result<()> {
    if code.is_ok() {
        return Ok(());
    }
    Err(KrafkaError::broker(code, message.unwrap_or_else(|| format!("{code:?}"))))
}

/// Without a result for each it is not known which is for which.
fn complete(results: Vec<Result<()>>, acls: &[&Acl]) -> Result<Vec<Result<()>>> {
    if results.len() == acls.len() {
        return Ok(results);
    }
    let text = format!("{} results for {} ACLs", results.len(), acls.len());
    Err(KrafkaError::protocol_kind(ProtocolErrorKind::Malformed, text))
}
