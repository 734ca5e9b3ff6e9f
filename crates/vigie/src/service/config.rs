//! Settings of the service: what is built in, the file, the command line, in this order; each value
//! knows where it came from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vigie_lake::Retention;

use crate::content::Content;
use crate::error::Error;
use crate::service::retention::RetentionFile;

/// The file `vigie.toml`: every part may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    listen: ListenFile,
    commit: CommitFile,
    retention: RetentionFile,
    upkeep: UpkeepFile,
    query: QueryFile,
    watch: WatchFile,
    enrich: EnrichFile,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EnrichFile {
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WatchFile {
    /// Folders by the name of their source.
    folders: BTreeMap<String, PathBuf>,
    look_seconds: Option<f64>,
    settle_seconds: Option<f64>,
}

/// A folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchedFolder {
    /// The name of the source.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QueryFile {
    seconds: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UpkeepFile {
    seconds: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListenFile {
    http: Option<SocketAddr>,
    syslog_udp: Option<SocketAddr>,
    syslog_tcp: Option<SocketAddr>,
    syslog_tls: Option<SocketAddr>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CommitFile {
    wait_seconds: Option<f64>,
    size_mib: Option<usize>,
}

/// Settings, complete.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) http: SocketAddr,
    pub(crate) syslog_udp: Option<SocketAddr>,
    pub(crate) syslog_tcp: Option<SocketAddr>,
    pub(crate) syslog_tls: Option<SocketAddr>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) wait_seconds: f64,
    pub(crate) size_mib: usize,
    pub(crate) retention: Retention,
    pub(crate) upkeep_seconds: f64,
    pub(crate) query_seconds: u64,
    pub(crate) watched: Vec<WatchedFolder>,
    /// How often watched folders are looked at.
    pub(crate) look_seconds: f64,
    /// How long a file must not have changed to be taken in.
    pub(crate) settle_seconds: f64,
    /// The folder of the user's tables; none where the data folder has none.
    pub(crate) enrichments: Option<PathBuf>,
    /// Each setting as `config show` prints it: name, value, where it came from.
    pub(crate) shown: Vec<(String, String, String)>,
}

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) wait_seconds: Option<f64>,
    /// Folders to watch, each named by its path.
    pub(crate) watch: Vec<PathBuf>,
}

/// The file of settings that is read: the named one, else the data folder's, which may be missing.
fn file(named: Option<&Path>, data: &Path) -> Result<Option<(String, ConfigFile)>, Error> {
    let beside = data.join("vigie.toml");
    let path = match named {
        Some(path) => path,
        None if beside.is_file() => &beside,
        None => return Ok(None),
    };
    let text = std::fs::read_to_string(path).map_err(|error| Error::Failed(format!("`{}`: {error}", path.display())))?;
    let read = toml::from_str(&text).map_err(|error| Error::Usage(format!("`{}`: {error}", path.display())))?;
    Ok(Some((path.display().to_string(), read)))
}

impl Config {
    /// Reads the settings. The content says which log types and classes there are to name.
    pub(crate) fn load(named: Option<&Path>, data: &Path, given: &Given, content: &Content) -> Result<Config, Error> {
        let file = file(named, data)?;
        let place = file.as_ref().map_or(String::new(), |(place, _)| place.clone());
        let ConfigFile { listen, commit, retention, upkeep, query, watch, enrich } =
            file.map(|(_, file)| file).unwrap_or_default();
        let mut shown = Vec::new();
        let mut note = |name: &str, value: String, given: bool, filed: bool| {
            let origin = match (given, filed) {
                (true, _) => "command line",
                (_, true) => &place,
                _ => "built in",
            };
            shown.push((name.to_owned(), value, origin.to_owned()));
        };
        let http = given.http.or(listen.http).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8440)));
        note("listen.http", http.to_string(), given.http.is_some(), listen.http.is_some());
        for (name, address) in
            [("syslog_udp", listen.syslog_udp), ("syslog_tcp", listen.syslog_tcp), ("syslog_tls", listen.syslog_tls)]
        {
            let value = address.map_or_else(|| "off".to_owned(), |address| address.to_string());
            note(&format!("listen.{name}"), value, false, address.is_some());
        }
        let wait_seconds = given.wait_seconds.or(commit.wait_seconds).unwrap_or(5.0);
        if !(0.0..=60.0).contains(&wait_seconds) {
            return Err(Error::Usage("commit.wait_seconds is between 0 and 60".to_owned()));
        }
        note("commit.wait_seconds", wait_seconds.to_string(), given.wait_seconds.is_some(), commit.wait_seconds.is_some());
        let size_mib = commit.size_mib.unwrap_or(64).clamp(1, 256);
        note("commit.size_mib", size_mib.to_string(), false, commit.size_mib.is_some());
        let retention = retention.read(content, &mut note)?;
        let upkeep_seconds = upkeep.seconds.unwrap_or(30.0).clamp(0.05, 3600.0);
        note("upkeep.seconds", upkeep_seconds.to_string(), false, upkeep.seconds.is_some());
        let query_seconds = query.seconds.unwrap_or(300).clamp(1, 86_400);
        note("query.seconds", query_seconds.to_string(), false, query.seconds.is_some());
        let look_seconds = watch.look_seconds.unwrap_or(10.0).clamp(0.05, 3600.0);
        note("watch.look_seconds", look_seconds.to_string(), false, watch.look_seconds.is_some());
        let settle_seconds = watch.settle_seconds.unwrap_or(5.0).clamp(0.0, 3600.0);
        note("watch.settle_seconds", settle_seconds.to_string(), false, watch.settle_seconds.is_some());
        let watched = watched(&watch, &given.watch, &mut note);
        let is_named = enrich.folder.is_some();
        let folder = enrich.folder.unwrap_or_else(|| data.join("enrichments"));
        note("enrich.folder", folder.display().to_string(), false, is_named);
        let enrichments = Some(folder).filter(|folder| is_named || folder.is_dir());
        let tls = listen.tls_certificate.zip(listen.tls_key);
        if listen.syslog_tls.is_some() && tls.is_none() {
            return Err(Error::Usage("listen.syslog_tls needs listen.tls_certificate and listen.tls_key".to_owned()));
        }
        Ok(Config {
            http,
            syslog_udp: listen.syslog_udp,
            syslog_tcp: listen.syslog_tcp,
            syslog_tls: listen.syslog_tls,
            tls,
            wait_seconds,
            size_mib,
            retention,
            upkeep_seconds,
            query_seconds,
            watched,
            look_seconds,
            settle_seconds,
            enrichments,
            shown,
        })
    }
}

/// Every folder that is watched, each once.
fn watched(file: &WatchFile, given: &[PathBuf], note: &mut dyn FnMut(&str, String, bool, bool)) -> Vec<WatchedFolder> {
    let filed = file.folders.iter().map(|(name, folder)| (name.clone(), folder, false));
    let named = given.iter().map(|folder| (folder.display().to_string(), folder, true));
    let mut watched: Vec<WatchedFolder> = Vec::new();
    for (name, folder, is_given) in filed.chain(named) {
        if !watched.iter().any(|known| known.name == name) {
            note(&format!("watch.folders.\"{name}\""), folder.display().to_string(), is_given, !is_given);
            watched.push(WatchedFolder { name, folder: folder.clone() });
        }
    }
    watched
}
