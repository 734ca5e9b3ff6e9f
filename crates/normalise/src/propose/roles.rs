//! What a field is, told by its name and by the shape of its values.

use std::collections::BTreeMap;

use vigie_model::parse_time;

use super::Field;

/// What a field may be in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Time,
    Id,
    Operation,
    Service,
    UserName,
    UserUid,
    Credential,
    Session,
    Address,
    UserAgent,
    Account,
    Region,
    Outcome,
    Error,
    Severity,
    Target,
    Message,
}

/// A role, the OCSF path that it stands for, and names that tell it, most telling first: in lower case,
/// without anything between words; the last key of a path, or its last two together.
type Row = (Role, &'static str, &'static [&'static str]);

/// In the order in which fields are given away: a field has one role.
const ROLES: [Row; 17] = [
    (
        Role::Time,
        "time",
        &[
            "eventtime",
            "timestamp",
            "eventtimestamp",
            "time",
            "datetime",
            "occurredat",
            "activitydatetime",
            "createddatetime",
            "creationtime",
            "createdat",
            "published",
            "created",
            "loggedat",
            "receivedat",
            "date",
            "ts",
            "when",
            "at",
        ],
    ),
    (
        Role::Id,
        "metadata.uid",
        &["eventid", "eventuuid", "uuid", "id", "insertid", "messageid", "recordid", "logid", "uid", "requestid", "traceid"],
    ),
    (
        Role::Operation,
        "api.operation",
        &[
            "eventname",
            "operationname",
            "operation",
            "action",
            "methodname",
            "method",
            "eventtype",
            "activity",
            "activitytype",
            "event",
            "verb",
            "command",
            "type",
            "name",
        ],
    ),
    (
        Role::Service,
        "api.service.name",
        &[
            "eventsource",
            "servicename",
            "service",
            "product",
            "application",
            "appname",
            "app",
            "module",
            "component",
            "resourcetype",
        ],
    ),
    (
        Role::UserName,
        "actor.user.name",
        &[
            "username",
            "userlogin",
            "actorname",
            "actorlogin",
            "useremail",
            "actoremail",
            "userprincipalname",
            "upn",
            "login",
            "user",
            "actor",
            "email",
            "principal",
            "author",
            "performedby",
            "initiatedby",
            "displayname",
        ],
    ),
    (Role::UserUid, "actor.user.uid", &["userid", "useruid", "actorid", "actoruid", "principalid", "identityid", "accountuid"]),
    (Role::Credential, "actor.user.credential_uid", &["accesskeyid", "credentialid", "tokenid", "apikeyid", "keyid"]),
    (Role::Session, "actor.session.uid", &["sessionid", "sessionuid", "session"]),
    (
        Role::Address,
        "src_endpoint.ip",
        &[
            "sourceipaddress",
            "sourceip",
            "srcip",
            "clientip",
            "clientipaddress",
            "callerip",
            "remoteip",
            "actorip",
            "remoteaddr",
            "remoteaddress",
            "ipaddress",
            "ip",
            "address",
            "host",
        ],
    ),
    (Role::UserAgent, "http_request.user_agent", &["useragent", "httpuseragent", "rawuseragent", "agent", "client"]),
    (
        Role::Account,
        "cloud.account.uid",
        &[
            "accountid",
            "tenantid",
            "projectid",
            "organizationid",
            "orgid",
            "subscriptionid",
            "workspaceid",
            "customerid",
            "account",
            "tenant",
        ],
    ),
    (Role::Region, "cloud.region", &["region", "location", "zone"]),
    (Role::Outcome, "status_id", &["outcome", "outcomeresult", "result", "resultstatus", "status", "eventresult", "success"]),
    (Role::Error, "api.response.error", &["errorcode", "error", "failurereason", "errormessage", "reason"]),
    (Role::Severity, "severity_id", &["severity", "severitylevel", "level", "loglevel", "priority"]),
    (
        Role::Target,
        "target",
        &[
            "resourcename",
            "resourceid",
            "resource",
            "targetname",
            "targetid",
            "target",
            "objectname",
            "objectid",
            "object",
            "entity",
            "repository",
            "repo",
            "bucket",
            "filename",
            "file",
        ],
    ),
    (Role::Message, "message", &["message", "msg", "displaymessage", "description", "summary"]),
];

/// What an event should have.
const WANTED: [Role; 5] = [Role::Id, Role::Operation, Role::UserName, Role::Address, Role::Outcome];

/// Words for an outcome, in lower case.
pub(super) const SUCCEEDED: [&str; 9] =
    ["success", "succeeded", "ok", "allow", "allowed", "true", "granted", "accepted", "passed"];
pub(super) const FAILED: [&str; 10] =
    ["failure", "failed", "fail", "error", "deny", "denied", "false", "rejected", "blocked", "unauthorized"];
/// Words for a severity, in lower case, and OCSF's number.
pub(super) const SEVERITIES: [(&str, u32); 16] = [
    ("trace", 1),
    ("debug", 1),
    ("info", 1),
    ("informational", 1),
    ("notice", 1),
    ("low", 2),
    ("warn", 3),
    ("warning", 3),
    ("medium", 3),
    ("moderate", 3),
    ("error", 4),
    ("high", 4),
    ("critical", 5),
    ("alert", 5),
    ("emergency", 6),
    ("fatal", 6),
];
/// Keys that say little below another one.
const GENERIC: [&str; 14] =
    ["id", "uid", "uuid", "name", "type", "method", "event", "time", "date", "at", "when", "host", "address", "status"];
/// Words in the path of an address that something was sent to.
const FAR: [&str; 5] = ["dst", "dest", "target", "server", "peer"];

impl Role {
    /// The OCSF path, or the name above OCSF, that the role stands for.
    pub(super) fn to(self) -> &'static str {
        ROLES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Whether the values of a field can be of the role.
    fn fits(self, field: &Field, records: usize) -> bool {
        let all = |test: &dyn Fn(&str) -> bool| !field.values.is_empty() && field.values.iter().all(|value| test(value));
        let is_word = |value: &str| value.len() <= 80 && value.chars().any(char::is_alphabetic) && value.split(' ').count() <= 4;
        let is_plain = |value: &str| is_word(value) && parse_time(value).is_none() && value.parse::<std::net::IpAddr>().is_err();
        let is_one_of = |value: &str, words: &[&str]| words.contains(&value.to_lowercase().as_str());
        match self {
            Role::Time => field.records == records && all(&|value| parse_time(value).is_some()),
            // Every record has its own; one that is cut off is no id.
            Role::Id => {
                let is_own = field.has_more || field.values.len() >= records.min(super::VALUES_MAX);
                field.records == records && is_own && all(&|value| value.len() >= 6 && parse_time(value).is_none())
            }
            Role::Operation => field.records * 2 > records && !field.has_more && all(&is_plain) && !all(&is_flag),
            Role::Service => !field.has_more && all(&is_plain),
            Role::Address => !field.has_more && field.values.iter().any(|value| value.parse::<std::net::IpAddr>().is_ok()),
            Role::Outcome => all(&|value| is_one_of(value, &SUCCEEDED) || is_one_of(value, &FAILED)),
            Role::Severity => all(&|value| is_one_of(value, &SEVERITIES.map(|row| row.0))),
            Role::UserName => !field.values.is_empty() && !all(&|value| is_flag(value) || parse_time(value).is_some()),
            Role::Message | Role::UserAgent => field.has_more || all(&|value| value.chars().any(char::is_alphabetic)),
            _ => !all(&is_flag) && !all(&|value| parse_time(value).is_some()),
        }
    }
}

fn is_flag(value: &str) -> bool {
    matches!(value, "true" | "false")
}

/// The fields that have a role.
#[derive(Debug)]
pub(super) struct Roles<'f>(BTreeMap<Role, &'f Field>);

impl<'f> Roles<'f> {
    /// Gives each role its field, if one has it.
    pub(super) fn find(fields: &'f [Field], records: usize) -> Roles<'f> {
        let mut found: BTreeMap<Role, &Field> = BTreeMap::new();
        for (role, _, names) in ROLES {
            let is_free = |field: &&&Field| !found.values().any(|known| known.path == field.path);
            let candidates: Vec<&Field> = fields.iter().filter(|field| role.fits(field, records)).collect();
            let named = candidates.iter().filter(is_free).filter_map(|field| Some((rank(&field.path, names)?, *field)));
            // Of equal names the one that stands highest, in most records.
            let key = |field: &Field| (field.path.matches('.').count(), std::cmp::Reverse(field.records), field.path.clone());
            let best = named.min_by_key(|(rank, field)| (*rank, key(field))).map(|(_, field)| field);
            let shaped =
                || candidates.iter().filter(is_free).filter(|field| has_shape(role, field)).min_by_key(|field| key(field));
            if let Some(field) = best.or_else(|| shaped().copied()) {
                found.insert(role, field);
            }
        }
        Roles(found)
    }

    pub(super) fn field(&self, role: Role) -> Option<&'f Field> {
        self.0.get(&role).copied()
    }

    pub(super) fn path(&self, role: Role) -> Option<&'f str> {
        self.field(role).map(|field| field.path.as_str())
    }

    pub(super) fn list(&self) -> impl Iterator<Item = (Role, &'f Field)> {
        self.0.iter().map(|(role, field)| (*role, *field))
    }

    /// Roles that an event should have and no field has.
    pub(super) fn missing(&self) -> impl Iterator<Item = Role> {
        WANTED.into_iter().filter(move |role| !self.0.contains_key(role))
    }
}

/// Whether the values alone tell the role.
fn has_shape(role: Role, field: &Field) -> bool {
    let lower = field.path.to_lowercase();
    match role {
        Role::Time => true,
        Role::Address => !FAR.iter().any(|word| lower.contains(word)),
        _ => false,
    }
}

/// Which of the names a path has.
fn rank(path: &str, names: &[&str]) -> Option<usize> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let keys: Vec<String> = path.split('.').map(plain).collect();
    let last = keys.last()?;
    let two = match keys.as_slice() {
        [.., above, last] => format!("{above}{last}"),
        _ => last.clone(),
    };
    // `user.id` is no id of the event: such words say something with the key above them alone.
    let is_telling = keys.len() == 1 || !GENERIC.contains(&last.as_str());
    names.iter().position(|name| (is_telling && *last == *name) || two == *name)
}
