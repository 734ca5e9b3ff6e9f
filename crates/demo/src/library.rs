//! The record templates by name, and what a writer of a given account and identity puts into them.

use std::collections::BTreeMap;

use crate::compile::{self, Form, Tables};
use crate::content::{RoleFile, Values, WorldFile};
use crate::error::Error;

/// Everything needed to compile a record.
pub(crate) struct Library<'a> {
    pub(crate) world: &'a WorldFile,
    texts: BTreeMap<&'a str, &'a str>,
    streams: BTreeMap<&'a str, &'a str>,
    tables: Vec<Tables>,
    fixed_regions: BTreeMap<String, usize>,
}

impl<'a> Library<'a> {
    /// Collects the templates under `root`; a template is named by its file, without folders.
    pub(crate) fn new(world: &'a WorldFile, root: &str, files: &'a BTreeMap<String, String>) -> Result<Self, Error> {
        let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with(root)) {
            let file = path.rsplit('/').next().unwrap_or(path);
            if let Some(name) = file.strip_suffix(".json")
                && texts.insert(name, text.as_str()).is_some()
            {
                return Err(Error::new(format!("two templates are named `{name}`")));
            }
        }
        let mut streams: BTreeMap<&str, &str> = BTreeMap::new();
        for (stream, templates) in &world.streams {
            for template in templates {
                if !texts.contains_key(template.as_str()) {
                    return Err(no_template(template));
                }
                streams.insert(template.as_str(), stream.as_str());
            }
        }
        let mut tables = Vec::with_capacity(world.accounts.len());
        for account in &world.accounts {
            tables.push(Tables::new(&account.resources)?);
        }
        let mut fixed_regions = BTreeMap::new();
        for (hole, region) in &world.fixed_regions {
            fixed_regions.insert(hole.clone(), region_place(world, region)?);
        }
        Ok(Self { world, texts, streams, tables, fixed_regions })
    }

    /// The place of an account.
    pub(crate) fn account(&self, id: &str) -> Result<usize, Error> {
        let place = self.world.accounts.iter().position(|a| a.id == id);
        place.ok_or_else(|| Error::new(format!("the world has no account `{id}`")))
    }

    /// The place of a region.
    pub(crate) fn region(&self, name: &str) -> Result<usize, Error> {
        region_place(self.world, name)
    }

    /// The place of a feed.
    pub(crate) fn feed(&self, name: &str) -> Result<usize, Error> {
        let place = self.world.feeds.iter().position(|f| f.name == name);
        place.ok_or_else(|| Error::new(format!("the world has no feed `{name}`")))
    }

    /// The values of a writer: those of the world, its identity, account and role, then its own.
    pub(crate) fn values(&self, account: usize, identity: &str, role: Option<&str>, own: &[&Values]) -> Result<Values, Error> {
        let Some(of_identity) = self.world.identities.get(identity) else {
            return Err(Error::new(format!("the world has no identity `{identity}`")));
        };
        let mut values = self.world.values.clone();
        add(&mut values, &self.world.fixed_regions);
        add(&mut values, of_identity);
        if let Some(of_account) = self.world.accounts.get(account) {
            add(&mut values, &of_account.values);
            values.insert("account".to_owned(), of_account.id.clone());
            if let Some(name) = role {
                let role = self.role(&of_account.id, name)?;
                add(&mut values, &role.values);
                values.insert("role".to_owned(), role.name.clone());
            }
        }
        for layer in own {
            add(&mut values, layer);
        }
        Ok(values)
    }

    /// Compiles a template for a writer of this account.
    pub(crate) fn form(&self, template: &str, account: usize, values: &Values) -> Result<Form, Error> {
        let Some(text) = self.texts.get(template) else {
            return Err(no_template(template));
        };
        let Some(tables) = self.tables.get(account) else {
            return Err(Error::new("an account has no resources"));
        };
        let feed = self.feed_of(template, account)?;
        compile::compile(template, text, values, tables, &self.fixed_regions, feed)
    }

    fn feed_of(&self, template: &str, account: usize) -> Result<usize, Error> {
        let default = self.world.default_stream.as_str();
        let stream = self.streams.get(template).copied().unwrap_or(default);
        let id = self.world.accounts.get(account).map(|a| a.id.as_str());
        let place = self
            .world
            .feeds
            .iter()
            .position(|feed| feed.stream == stream && feed.accounts.iter().any(|a| Some(a.as_str()) == id));
        place.ok_or_else(|| {
            Error::new(format!(
                "no feed delivers the stream `{stream}` of the template `{template}` for the account `{}`",
                id.unwrap_or("?")
            ))
        })
    }

    fn role(&self, account: &str, name: &str) -> Result<&'a RoleFile, Error> {
        let mut roles = self.world.roles.iter();
        let role = roles.find(|role| role.account == account && role.name == name);
        role.ok_or_else(|| Error::new(format!("the account `{account}` has no role `{name}`")))
    }
}

fn region_place(world: &WorldFile, name: &str) -> Result<usize, Error> {
    let place = world.regions.iter().position(|r| r.name == name);
    place.ok_or_else(|| Error::new(format!("the world has no region `{name}`")))
}

fn add(values: &mut Values, layer: &Values) {
    for (name, value) in layer {
        values.insert(name.clone(), value.clone());
    }
}

fn no_template(name: &str) -> Error {
    Error::new(format!("there is no template `{name}`"))
}
