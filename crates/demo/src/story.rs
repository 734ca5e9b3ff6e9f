//! Stories told inside the noise: the steps of an intrusion, or the benign twins of those steps.

use crate::compile::Form;
use crate::content::{ActorFile, StepFile, StoryFile, Values};
use crate::error::Error;
use crate::library::Library;
use crate::moment::{MINUTE, SECOND};

/// The compiled steps of a story file.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) jitter_ms: i64,
    pub(crate) person: String,
    pub(crate) acts: Vec<Act>,
    pub(crate) silences: Vec<SilenceRule>,
}

/// One step: what it writes and what the truth says of it.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) name: String,
    /// Milliseconds from the start of the window.
    pub(crate) offset_ms: i64,
    /// An earlier step that happens at the same instant.
    pub(crate) same_time_as: Option<String>,
    /// Time over which the records are spread.
    pub(crate) spread_ms: i64,
    /// The step that opened the session, if it did in this story.
    pub(crate) session_from: Option<String>,
    pub(crate) lines: Vec<Line>,
    pub(crate) entity: String,
    pub(crate) technique: String,
    pub(crate) rules_expected: Vec<String>,
    pub(crate) note: String,
}

/// One record of a step, compiled with its fixed values.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) form: Form,
    pub(crate) account: usize,
    pub(crate) region: usize,
}

/// A feed that delivers nothing from one step to another.
#[derive(Debug)]
pub(crate) struct SilenceRule {
    pub(crate) feed: usize,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Story {
    /// Compiles the steps of a story file.
    pub(crate) fn new(file: &StoryFile, library: &Library<'_>) -> Result<Self, Error> {
        let mut acts = Vec::with_capacity(file.steps.len());
        for step in &file.steps {
            let Some(actor) = file.actors.get(&step.actor) else {
                return Err(Error::new(format!("the step `{}` names an unknown actor `{}`", step.name, step.actor)));
            };
            acts.push(act(file.anchor_minute, step, actor, library)?);
        }
        let mut silences = Vec::with_capacity(file.silences.len());
        for silence in &file.silences {
            for end in [&silence.from, &silence.to] {
                if !acts.iter().any(|act| act.name == *end) {
                    return Err(Error::new(format!("a silence names an unknown step `{end}`")));
                }
            }
            silences.push(SilenceRule { feed: library.feed(&silence.feed)?, from: silence.from.clone(), to: silence.to.clone() });
        }
        Ok(Self { jitter_ms: file.jitter_seconds * SECOND, person: file.person.clone(), acts, silences })
    }
}

/// Where an actor works and the values it writes with.
struct Writer {
    account: usize,
    values: Values,
}

fn act(anchor_minute: i64, step: &StepFile, actor: &ActorFile, library: &Library<'_>) -> Result<Act, Error> {
    let writer = writer(step, actor, library)?;
    let mut lines = Vec::new();
    let single = [Values::new()];
    let rows: &[Values] = if step.rows.is_empty() { &single } else { &step.rows };
    for region in &step.regions {
        for row in rows {
            lines.push(line(step, region, row, &writer, library)?);
        }
    }
    if lines.is_empty() {
        return Err(Error::new(format!("the step `{}` names no region", step.name)));
    }
    Ok(Act {
        name: step.name.clone(),
        offset_ms: (anchor_minute + step.minute) * MINUTE + step.second * SECOND,
        same_time_as: step.same_time_as.clone(),
        spread_ms: step.minutes * MINUTE,
        session_from: actor.session_from.clone(),
        lines,
        entity: step.entity.clone(),
        technique: step.technique.clone(),
        rules_expected: step.rules_expected.clone(),
        note: step.note.clone(),
    })
}

fn line(step: &StepFile, region: &str, row: &Values, writer: &Writer, library: &Library<'_>) -> Result<Line, Error> {
    let mut values = writer.values.clone();
    for layer in [&step.values, row] {
        for (name, value) in layer {
            values.insert(name.clone(), value.clone());
        }
    }
    let template = values.remove("template");
    let template = template.as_deref().unwrap_or(&step.template);
    let own_region = values.remove("region");
    let region = library.region(own_region.as_deref().unwrap_or(region))?;
    let form = library
        .form(template, writer.account, &values)
        .map_err(|cause| Error::new(format!("the step `{}`: {cause}", step.name)))?;
    let region = form.region.unwrap_or(region);
    Ok(Line { form, account: writer.account, region })
}

/// A principal's own values, address and user agent, then what the actor changes.
fn writer(step: &StepFile, actor: &ActorFile, library: &Library<'_>) -> Result<Writer, Error> {
    let wrong = |what: &str| Error::new(format!("the actor `{}` of the step `{}` {what}", step.actor, step.name));
    let world = library.world;
    let Some(name) = &actor.principal else {
        let (Some(id), Some(identity)) = (&actor.account, &actor.identity) else {
            return Err(wrong("needs a principal, or an account and an identity"));
        };
        let account = library.account(id)?;
        let role = actor.role.as_deref();
        let values = library.values(account, identity, role, &[&actor.values])?;
        return Ok(Writer { account, values });
    };
    let Some(principal) = world.principals.iter().find(|p| p.name == *name) else {
        return Err(wrong("is no principal of the world"));
    };
    let access = principal.access.iter().find(|access| match &actor.account {
        Some(id) => access.account == *id,
        None => true,
    });
    let Some(access) = access else {
        return Err(wrong("has no access to that account"));
    };
    let mut usual = Values::new();
    if let Some(address) = principal.addresses.first() {
        usual.insert("address".to_owned(), address.clone());
    }
    let mut ways = world.archetypes.iter();
    let way = ways.find(|way| way.name == principal.archetype);
    if let Some(agent) = way.and_then(|way| way.agents.first()) {
        usual.insert("user_agent".to_owned(), agent.clone());
    }
    let account = library.account(&access.account)?;
    let role = actor.role.as_deref().or(access.role.as_deref());
    let identity = actor.identity.as_deref().unwrap_or(&access.identity);
    let own = [&usual, &principal.values, &access.values, &actor.values];
    let values = library.values(account, identity, role, &own)?;
    Ok(Writer { account, values })
}
