//! The same columns as the mapping gives, written by hand: the peer of the interpreter.

use vigie_model::parse_rfc3339;
use vigie_record::{PathSet, Row, SlotId, Value, View, Walk};

/// Paths read by hand.
const PATHS: [&str; 24] = [
    "eventTime",
    "eventID",
    "eventVersion",
    "eventType",
    "errorCode",
    "errorMessage",
    "recipientAccountId",
    "awsRegion",
    "eventName",
    "eventSource",
    "requestID",
    "userIdentity.type",
    "userIdentity.userName",
    "userIdentity.arn",
    "userIdentity.principalId",
    "userIdentity.accessKeyId",
    "userIdentity.accountId",
    "userIdentity.sessionContext.sessionIssuer.arn",
    "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "userIdentity.invokedBy",
    "sourceIPAddress",
    "userAgent",
    "responseElements.ConsoleLogin",
    "userIdentity.sessionContext.sessionIssuer.userName",
];

/// The hand-written mapping.
pub struct ByHand {
    pub walk: Walk,
    slots: Vec<SlotId>,
}

/// Twenty-one columns of one event.
#[derive(Default)]
pub struct Columns<'r> {
    pub time: i64,
    pub texts: [Option<Value<'r>>; 20],
    pub outcome: i64,
}

impl ByHand {
    pub fn new() -> ByHand {
        let mut paths = PathSet::new();
        let slots = PATHS.iter().map(|path| paths.intern(path)).collect();
        ByHand { walk: Walk::compile(&[&paths]), slots }
    }

    pub fn shape<'r>(&self, row: &View<'_, 'r>, columns: &mut Columns<'r>) -> bool {
        let get = |at: usize| match row.get(self.slots[at]) {
            Value::Absent | Value::Null => None,
            value => Some(value),
        };
        let Some(Value::Text(time)) = get(0) else {
            return false;
        };
        columns.time = parse_rfc3339(&time).unwrap_or(0);
        for (place, at) in [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14, 15, 19, 21, 17, 18].into_iter().enumerate() {
            columns.texts[place] = get(at);
        }
        columns.texts[16] = get(6).or_else(|| get(16));
        let last_of_arn = || match get(13) {
            Some(Value::Text(std::borrow::Cow::Borrowed(arn))) => arn.rsplit_once('/').map(|(_, tail)| Value::Text(tail.into())),
            _ => None,
        };
        columns.texts[17] = get(12).or_else(|| get(23)).or_else(last_of_arn);
        columns.texts[18] = get(13).or_else(|| get(14));
        columns.texts[19] = get(20);
        let is_failure = matches!(get(22), Some(Value::Text(text)) if text == "Failure");
        columns.outcome = if get(4).is_some() || is_failure { 2 } else { 1 };
        true
    }
}

/// Shapes every line by hand; gives how many events there are.
pub fn by_hand(lines: &[String]) -> usize {
    let hand = ByHand::new();
    let (mut row, mut columns, mut count) = (Row::new(), Columns::default(), 0);
    for line in lines {
        if hand.walk.read(line.as_bytes(), &mut row).is_ok() {
            count += usize::from(hand.shape(&hand.walk.view(&row, 0), &mut columns));
            std::hint::black_box(&columns);
        }
    }
    count
}
