//! The demo world, compiled: accounts, feeds, people and services, and the stories among them.

use std::collections::BTreeMap;

use crate::archetype::Archetype;
use crate::compile::Form;
use crate::content::{self, DigestFile, EnvelopeFile, FeedFile, PrincipalFile, StoryFile, WorldFile};
use crate::error::Error;
use crate::library::Library;
use crate::story::Story;
use crate::weighted::Weighted;

/// The file that describes the world.
const WORLD: &str = "world.toml";

/// The content of `content/demo/`, read and compiled once, ready to make logs from.
#[derive(Debug)]
pub struct Templates {
    pub(crate) bucket: String,
    pub(crate) key_fingerprint: String,
    pub(crate) session_key_prefix: Vec<u8>,
    pub(crate) envelope: EnvelopeFile,
    pub(crate) digest: DigestFile,
    pub(crate) accounts: Vec<String>,
    pub(crate) regions: Vec<String>,
    pub(crate) region_weights: Weighted,
    pub(crate) feeds: Vec<FeedFile>,
    pub(crate) archetypes: Vec<Archetype>,
    pub(crate) principals: Vec<Principal>,
    pub(crate) actors: Vec<Actor>,
    pub(crate) intrusion: Story,
    pub(crate) twins: Story,
}

/// A person or a service, in the order of how much they do.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) archetype: usize,
    /// Places in the world's actors, one for each account it enters.
    pub(crate) actors: Vec<usize>,
}

/// A principal in one account, with a compiled form for each operation of its archetype.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) archetype: usize,
    pub(crate) account: usize,
    pub(crate) addresses: Vec<Vec<u8>>,
    pub(crate) forms: Vec<Form>,
}

impl Templates {
    /// Reads the demo content from its files, given by path.
    ///
    /// The folder of `world.toml` is the demo's, wherever it is. Every `*.json` below it is a
    /// template; `intrusion.toml` and `twins.toml` beside it may be left out. Other files are ignored.
    pub fn parse(files: &BTreeMap<String, String>) -> Result<Self, Error> {
        let Some((path, text)) = world_file(files) else {
            return Err(Error::new("the demo content has no `world.toml`"));
        };
        let root = path.strip_suffix(WORLD).unwrap_or("");
        let world = content::world(path, text)?;
        let library = Library::new(&world, root, files)?;
        let mut archetypes = Vec::with_capacity(world.archetypes.len());
        for file in &world.archetypes {
            archetypes.push(Archetype::new(file)?);
        }
        let (principals, actors) = people(&library, &archetypes)?;
        let intrusion = story(files, &format!("{root}intrusion.toml"), &library)?;
        let twins = story(files, &format!("{root}twins.toml"), &library)?;
        let mut region_weights = Weighted::default();
        for (place, region) in world.regions.iter().enumerate() {
            region_weights.add(place, region.weight);
        }
        Ok(Self {
            bucket: world.bucket.clone(),
            key_fingerprint: world.key_fingerprint.clone(),
            session_key_prefix: world.session_key_prefix.clone().into_bytes(),
            envelope: world.envelope.clone(),
            digest: world.digest.clone(),
            accounts: world.accounts.iter().map(|a| a.id.clone()).collect(),
            regions: world.regions.iter().map(|r| r.name.clone()).collect(),
            region_weights,
            feeds: world.feeds.clone(),
            archetypes,
            principals,
            actors,
            intrusion,
            twins,
        })
    }

    /// The fingerprint that digests name as their public key's; a signer signs with that key.
    pub fn key_fingerprint(&self) -> &str {
        &self.key_fingerprint
    }

    /// The bucket that digests say they and their logs are stored in.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }
}

/// The world's file and its path, whatever its folder.
fn world_file(files: &BTreeMap<String, String>) -> Option<(&str, &str)> {
    files.iter().find(|(path, _)| path.rsplit('/').next() == Some(WORLD)).map(|(path, text)| (path.as_str(), text.as_str()))
}

fn story(files: &BTreeMap<String, String>, path: &str, library: &Library<'_>) -> Result<Story, Error> {
    let Some(text) = files.get(path) else {
        return Ok(Story::default());
    };
    let file: StoryFile = content::story(path, text)?;
    Story::new(&file, library)
}

fn people(library: &Library<'_>, archetypes: &[Archetype]) -> Result<(Vec<Principal>, Vec<Actor>), Error> {
    let world: &WorldFile = library.world;
    let mut principals = Vec::with_capacity(world.principals.len());
    let mut actors = Vec::new();
    for file in &world.principals {
        let known = archetypes.iter().position(|a| a.name == file.archetype);
        let Some(archetype) = known else {
            return Err(Error::new(format!("the world has no archetype `{}`, wanted by `{}`", file.archetype, file.name)));
        };
        if file.addresses.is_empty() || file.access.is_empty() {
            return Err(Error::new(format!("`{}` needs an address and an account to work in", file.name)));
        }
        let first = actors.len();
        for place in 0..file.access.len() {
            actors.push(actor(library, archetypes, archetype, file, place)?);
        }
        principals.push(Principal { archetype, actors: (first..actors.len()).collect() });
    }
    if principals.is_empty() {
        return Err(Error::new("nobody lives in the demo world"));
    }
    Ok((principals, actors))
}

fn actor(
    library: &Library<'_>,
    archetypes: &[Archetype],
    archetype: usize,
    file: &PrincipalFile,
    place: usize,
) -> Result<Actor, Error> {
    let (Some(way), Some(access)) = (archetypes.get(archetype), file.access.get(place)) else {
        return Err(Error::new(format!("`{}` has no way to work", file.name)));
    };
    let account = library.account(&access.account)?;
    let role = access.role.as_deref();
    let own = [&file.values, &access.values];
    let values = library.values(account, &access.identity, role, &own)?;
    let mut forms = Vec::with_capacity(way.operations.len());
    for template in &way.operations {
        let form = library.form(template, account, &values);
        forms.push(form.map_err(|cause| Error::new(format!("`{}`: {cause}", file.name)))?);
    }
    Ok(Actor {
        archetype,
        account,
        addresses: file.addresses.iter().map(|address| address.clone().into_bytes()).collect(),
        forms,
    })
}
