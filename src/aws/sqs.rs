//! The queue of call events on Amazon SQS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::failure::{AwsFailure, FailureClass, within};
use super::queue::{EventQueue, Received};

/// Most messages of one receive that SQS knows.
const BATCH: i32 = 10;
/// The longest poll that SQS knows.
const POLL_S: i32 = 20;
/// A message that was taken and not deleted comes again after this long.
const VISIBILITY_S: i32 = 60;
/// A poll without any answer for this long is over.
const RECEIVE_LIMIT: Duration = Duration::from_secs(30);
/// Likewise any other request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// One queue of SQS.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    queue_url: String,
}

impl Sqs {
    /// The queue at `queue_url`.
    #[must_use]
    pub fn new(config: &SdkConfig, queue_url: &str) -> Self {
        Self { client: Client::new(config), queue_url: queue_url.to_owned() }
    }

    async fn take(&self) -> Result<Vec<Received>, AwsFailure> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(POLL_S)
            .visibility_timeout(VISIBILITY_S)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = within(RECEIVE_LIMIT, request.send()).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>, AwsFailure> {
        let mut entries = Vec::new();
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt);
            entries.push(entry.build().map_err(incomplete)?);
        }
        let request = self.client.delete_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
        let answer = within(REQUEST_LIMIT, request.send()).await?;
        Ok(of_entries(receipts, answer.failed.iter().map(|failed| failed.id.as_str())))
    }

    async fn release(&self, receipts: &[String]) -> Result<(), AwsFailure> {
        let mut entries = Vec::new();
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            entries.push(entry.receipt_handle(receipt).visibility_timeout(0).build().map_err(incomplete)?);
        }
        let request = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
        within(REQUEST_LIMIT, request.set_entries(Some(entries)).send()).await?;
        Ok(())
    }
}

impl EventQueue for Sqs {
    fn receive(&self) -> LocalBoxFuture<'_, Result<Vec<Received>, AwsFailure>> {
        self.take().boxed_local()
    }

    fn delete_batch(&self, receipts: Vec<String>) -> LocalBoxFuture<'_, Result<Vec<String>, AwsFailure>> {
        async move { self.delete(&receipts).await }.boxed_local()
    }

    fn make_visible(&self, receipts: Vec<String>) -> LocalBoxFuture<'_, Result<(), AwsFailure>> {
        async move { self.release(&receipts).await }.boxed_local()
    }
}

/// A message without a receipt could not even be deleted.
fn received(message: Message) -> Option<Received> {
    let receive_count = MessageSystemAttributeName::ApproximateReceiveCount;
    let count = message.attributes.as_ref().and_then(|attributes| attributes.get(&receive_count)?.parse().ok());
    let receipt = message.receipt_handle?;
    Some(Received {
        id: message.message_id.unwrap_or_else(|| receipt.clone()),
        receipt,
        body: message.body.unwrap_or_default(),
        deliveries: count.unwrap_or(0),
    })
}

/// The receipts of the entries of these ids, which are their places.
fn of_entries<'a>(receipts: &[String], ids: impl Iterator<Item = &'a str>) -> Vec<String> {
    ids.filter_map(|id| receipts.get(id.parse::<usize>().ok()?)).cloned().collect()
}

fn incomplete(error: impl std::fmt::Display) -> AwsFailure {
    AwsFailure { class: FailureClass::Refused, status: None, text: error.to_string() }
}
