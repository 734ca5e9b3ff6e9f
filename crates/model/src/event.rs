//! One event: the values of one record at the OCSF paths that somebody wants.

use serde::{Deserialize, Serialize};
use vigie_record::{Fields, SlotId, Value, each_item};

use crate::{EventId, Millis};

/// An event while it is looked at: values by the slots of the OCSF paths that were asked for.
#[derive(Debug, Default)]
pub struct Event<'r> {
    /// Values by slot; a slot with several values keeps the first here and the rest in `more`.
    pub values: Vec<Option<Value<'r>>>,
    /// Second and later values, by slot.
    pub more: Vec<(SlotId, Value<'r>)>,
    /// When it happened.
    pub occurred: Millis,
}

impl<'r> Event<'r> {
    /// Empties the event for `slots` slots.
    pub fn reset(&mut self, slots: usize) {
        self.values.clear();
        self.values.resize(slots, None);
        self.more.clear();
        self.occurred = 0;
    }

    /// The text of a slot that holds one text: a cheap key for caches.
    pub fn plain(&self, slot: SlotId) -> Option<&str> {
        match self.values.get(slot.index()) {
            Some(Some(Value::Text(text))) if self.more.is_empty() || self.more.iter().all(|(other, _)| *other != slot) => {
                Some(text)
            }
            _ => None,
        }
    }
}

impl Fields for Event<'_> {
    fn value(&self, slot: SlotId) -> Value<'_> {
        self.values.get(slot.index()).cloned().flatten().unwrap_or(Value::Absent)
    }

    fn each_value(&self, slot: SlotId, visit: &mut dyn FnMut(Value<'_>)) {
        fn open<'v>(value: &Value<'v>, visit: &mut dyn FnMut(Value<'_>)) {
            match value {
                Value::List(bytes) => each_item(bytes, &mut |item| open(&item, visit)),
                Value::Json(bytes) if bytes.first() == Some(&b'[') => each_item(bytes, &mut |item| open(&item, visit)),
                other => visit(other.clone()),
            }
        }
        if let Some(Some(value)) = self.values.get(slot.index()) {
            open(value, visit);
            for (_, value) in self.more.iter().filter(|(other, _)| *other == slot) {
                open(value, visit);
            }
        }
    }
}

/// What a finding keeps of an event: enough to tell what happened without its record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventFacts {
    /// The id that the event has here.
    pub id: u128,
    /// The provider's own id of the event.
    pub uid: String,
    /// When it happened.
    pub occurred: Millis,
    /// When it was delivered, where the source says so.
    pub delivered: Option<Millis>,
    /// The log type of its record.
    pub log: String,
    /// What it did, across clouds.
    pub verb: String,
    /// The provider's operation.
    pub operation: String,
    /// The provider's service.
    pub service: String,
    /// The name of who did it, as the record says.
    pub actor: String,
    /// The actor's id (an ARN, an object id).
    pub actor_uid: String,
    /// The kind of actor, in the provider's words.
    pub actor_type: String,
    /// The session's name within a role.
    pub session: String,
    /// The credential used.
    pub credential: String,
    /// What acted on the actor's behalf.
    pub invoked_by: String,
    /// Where it came from: an address, or a service name.
    pub address: String,
    /// The program that called.
    pub user_agent: String,
    /// What was acted upon.
    pub target: String,
    /// The other party: the account or principal that got something.
    pub peer: String,
    /// The account it happened in.
    pub account: String,
    /// The region it happened in.
    pub region: String,
    /// The error, when it was refused or failed.
    pub error: String,
    /// The error in the provider's words.
    pub error_message: String,
    /// Resources named by the record.
    pub resources: Vec<String>,
    /// OCSF class and activity.
    pub class_uid: u32,
    /// OCSF activity.
    pub activity_id: u32,
}

/// What a correlation remembers of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    /// The id that the event has here.
    pub id: u128,
    /// When it happened.
    pub occurred: Millis,
    /// The provider's own id of the event.
    pub uid: Box<str>,
}

impl EventFacts {
    /// The id as a type.
    pub fn event_id(&self) -> EventId {
        EventId(self.id)
    }
}
