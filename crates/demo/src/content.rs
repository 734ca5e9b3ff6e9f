//! The shape of the files under `content/demo/`: the world, the intrusion and its benign twins.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;

/// Values of holes by name.
pub(crate) type Values = BTreeMap<String, String>;

/// `world.toml`: who and what exists, how people and services behave, how records are delivered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorldFile {
    pub(crate) format: u32,
    pub(crate) bucket: String,
    pub(crate) key_fingerprint: String,
    pub(crate) session_key_prefix: String,
    /// Holes that name a region, whatever the region of the session.
    pub(crate) fixed_regions: Values,
    pub(crate) regions: Vec<RegionFile>,
    pub(crate) envelope: EnvelopeFile,
    pub(crate) digest: DigestFile,
    pub(crate) values: Values,
    pub(crate) identities: BTreeMap<String, Values>,
    /// Template names by stream; a template named nowhere belongs to `default_stream`.
    pub(crate) streams: BTreeMap<String, Vec<String>>,
    pub(crate) default_stream: String,
    pub(crate) feeds: Vec<FeedFile>,
    pub(crate) accounts: Vec<AccountFile>,
    pub(crate) roles: Vec<RoleFile>,
    pub(crate) archetypes: Vec<ArchetypeFile>,
    pub(crate) principals: Vec<PrincipalFile>,
}

/// A region and how often sessions work there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionFile {
    pub(crate) name: String,
    pub(crate) weight: u64,
}

/// The text around and between the records of one object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvelopeFile {
    pub(crate) open: String,
    pub(crate) between: String,
    pub(crate) close: String,
}

/// The patterns of a digest, of one file in it, of its signature and of the text to sign.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestFile {
    pub(crate) body: String,
    pub(crate) file: String,
    pub(crate) metadata: String,
    pub(crate) string_to_sign: String,
    pub(crate) hash_algorithm: String,
}

/// Something that delivers the records of one stream for some accounts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedFile {
    pub(crate) name: String,
    pub(crate) stream: String,
    pub(crate) home_region: String,
    pub(crate) accounts: Vec<String>,
    pub(crate) log_path: String,
    /// Without it the feed writes no digests.
    #[serde(default)]
    pub(crate) digest_path: Option<String>,
    /// Whose records they are, for the truth.
    pub(crate) cloud: String,
    /// What stands around and between records, where that is not the world's.
    #[serde(default)]
    pub(crate) envelope: Option<EnvelopeFile>,
    /// Whether its objects are compressed.
    #[serde(default = "usually", rename = "packed")]
    pub(crate) is_packed: bool,
    /// How long an object takes records before it is delivered.
    #[serde(default = "open_minutes")]
    pub(crate) open_minutes: i64,
}

fn usually() -> bool {
    true
}

fn open_minutes() -> i64 {
    5
}

/// An account and what it holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountFile {
    pub(crate) id: String,
    pub(crate) values: Values,
    pub(crate) resources: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// A role of an account; its values are given to whoever works through it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleFile {
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) values: Values,
}

/// A way of working: when, how long, in which steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchetypeFile {
    pub(crate) name: String,
    /// First and last hour (excluded) of work in UTC; the first may be the larger one.
    pub(crate) hours: (u32, u32),
    pub(crate) off_hours_percent: u64,
    pub(crate) weekend_percent: u64,
    pub(crate) weight: u64,
    /// Fewest and most records of a session.
    pub(crate) length: (i64, i64),
    /// Shortest and longest pause between two records, in milliseconds.
    pub(crate) pause_ms: (i64, i64),
    pub(crate) agents: Vec<String>,
    /// The state every session starts in.
    pub(crate) entry: String,
    pub(crate) states: BTreeMap<String, StateFile>,
}

/// A state of a session: what it does there and where it goes next.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateFile {
    pub(crate) operations: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) next: BTreeMap<String, u64>,
}

/// A person or a service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrincipalFile {
    pub(crate) name: String,
    pub(crate) archetype: String,
    pub(crate) addresses: Vec<String>,
    #[serde(default)]
    pub(crate) values: Values,
    pub(crate) access: Vec<AccessFile>,
}

/// One way a principal enters one account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessFile {
    pub(crate) account: String,
    pub(crate) identity: String,
    #[serde(default)]
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) values: Values,
}

/// `intrusion.toml` and `twins.toml`: steps at fixed minutes, each by one actor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoryFile {
    pub(crate) format: u32,
    /// Minute of the window from which the minutes of the steps count.
    pub(crate) anchor_minute: i64,
    /// Largest random delay added to a step, in seconds.
    pub(crate) jitter_seconds: i64,
    /// The person behind all of it, as records of several clouds name them.
    #[serde(default)]
    pub(crate) person: String,
    pub(crate) actors: BTreeMap<String, ActorFile>,
    pub(crate) steps: Vec<StepFile>,
    #[serde(default)]
    pub(crate) silences: Vec<SilenceFile>,
}

/// Somebody who acts in a story: a principal of the world, or a role of an account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActorFile {
    #[serde(default)]
    pub(crate) principal: Option<String>,
    #[serde(default)]
    pub(crate) account: Option<String>,
    #[serde(default)]
    pub(crate) identity: Option<String>,
    #[serde(default)]
    pub(crate) role: Option<String>,
    /// The step that opened this actor's session.
    #[serde(default)]
    pub(crate) session_from: Option<String>,
    #[serde(default)]
    pub(crate) values: Values,
}

/// One step of a story: one record, or one for each row and region.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepFile {
    pub(crate) name: String,
    pub(crate) minute: i64,
    #[serde(default)]
    pub(crate) second: i64,
    /// An earlier step that happens at the same instant: two records of one call.
    #[serde(default)]
    pub(crate) same_time_as: Option<String>,
    pub(crate) actor: String,
    pub(crate) template: String,
    pub(crate) regions: Vec<String>,
    /// Minutes over which the records of the step are spread.
    #[serde(default)]
    pub(crate) minutes: i64,
    #[serde(default)]
    pub(crate) values: Values,
    /// Values of each record; `template` and `region` replace those of the step.
    #[serde(default)]
    pub(crate) rows: Vec<Values>,
    pub(crate) entity: String,
    #[serde(default)]
    pub(crate) technique: String,
    #[serde(default)]
    pub(crate) rules_expected: Vec<String>,
    pub(crate) note: String,
}

/// A feed that delivers nothing between two steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceFile {
    pub(crate) feed: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The one format of these files that this program reads.
const FORMAT: u32 = 1;

/// Reads a world.
pub(crate) fn world(path: &str, text: &str) -> Result<WorldFile, Error> {
    let world: WorldFile = toml::from_str(text).map_err(|cause| unreadable(path, &cause))?;
    known_format(path, world.format)?;
    Ok(world)
}

/// Reads an intrusion or its twins.
pub(crate) fn story(path: &str, text: &str) -> Result<StoryFile, Error> {
    let story: StoryFile = toml::from_str(text).map_err(|cause| unreadable(path, &cause))?;
    known_format(path, story.format)?;
    Ok(story)
}

fn known_format(path: &str, format: u32) -> Result<(), Error> {
    if format == FORMAT {
        return Ok(());
    }
    Err(Error::new(format!("`{path}` has format {format}, this program reads format {FORMAT}")))
}

fn unreadable(path: &str, cause: &toml::de::Error) -> Error {
    Error::new(format!("cannot read `{path}`: {}", cause.message()))
}
