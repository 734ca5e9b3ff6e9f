//! `vigie up`: the service, in one process and one folder.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vigie_lake::Lake;
use vigie_model::{Scope, Tenant, Tokens as _};
use vigie_pipeline::{Cadence, IntakeParts, PushIntake, Shaper};
use vigie_serve::{Health, HealthReport, Listeners, Ports, TlsFiles};
use vigie_state::State;

use crate::arguments::UpOptions;
use crate::content::Content;
use crate::enrichments;
use crate::error::Error;
use crate::output::note;
use crate::service::config::{Config, Given};
use crate::service::data::{DataFolder, columns, free_bytes, now};
use crate::service::documents::MappedDocuments;
use crate::service::place;
use crate::service::reload::{self, Places, Reloader};
use crate::service::stdin::{LineLog, StandardInput, Told};
use crate::service::upkeep::{Troubles, Upkeep};
use crate::service::watch::Watcher;

/// What the health of the service is made of.
struct Parts {
    intake: Arc<PushIntake>,
    lake: Arc<Lake>,
    reloader: Arc<Reloader>,
    upkeep: Arc<Troubles>,
    watched: Arc<Mutex<Option<String>>>,
    /// None when standard input is not taken in.
    standard_input: Option<Told>,
    data: DataFolder,
}

impl Health for Parts {
    fn health(&self) -> HealthReport {
        let intake = self.intake.state();
        let size = self.lake.size();
        let free = free_bytes(&self.data.root);
        let reserve = vigie_model::limits::DISK_RESERVE_BYTES;
        let has_room = free.is_none_or(|free| free > reserve);
        let mut parts = Vec::new();
        let trouble = intake.trouble.clone();
        parts.push(("intake".to_owned(), trouble.is_none(), trouble.unwrap_or_else(|| "takes events in".to_owned())));
        let room = free.map_or_else(|| "unknown".to_owned(), |free| format!("{} MiB free", free / (1024 * 1024)));
        parts.push(("disk".to_owned(), has_room, room));
        let lost: u64 = intake.damages.iter().map(|damage| damage.until - damage.from).sum();
        let damaged = format!("{lost} bytes of the spool could not be read; they are kept as *.damaged beside it");
        let is_whole = intake.damages.is_empty();
        parts.push(("spool".to_owned(), is_whole, if is_whole { "whole".to_owned() } else { damaged }));
        parts.push(self.reloader.report());
        parts.push(self.reloader.report_tables());
        let upkeep = self.upkeep.sentence();
        parts.push(("upkeep".to_owned(), upkeep.is_none(), upkeep.unwrap_or_else(|| "keeps the lake in order".to_owned())));
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        parts.push(("watch".to_owned(), watched.is_none(), watched.unwrap_or_else(|| "takes watched folders in".to_owned())));
        parts.extend(self.standard_input.as_ref().map(Told::report));
        let figure = |name: &str, help: &str, value: u64| (name.to_owned(), help.to_owned(), value as f64);
        let mut figures = vec![
            figure("vigie_spool_bytes", "Bytes of deliveries on disk", intake.spool_bytes),
            figure("vigie_spool_waiting", "Deliveries on disk that no commit holds yet", intake.waiting),
            figure("vigie_events_stored", "Events stored since start", intake.stored),
            figure("vigie_events_duplicate", "Events since start that were there already", intake.duplicates),
            figure("vigie_lake_version", "Version of the table", size.version),
            figure("vigie_lake_files", "Data files of the table", size.files),
            figure("vigie_lake_events", "Events of the table", size.events),
            figure("vigie_lake_bytes", "Bytes of data files of the table", size.bytes),
            figure("vigie_disk_free_bytes", "Bytes free where the data folder is", free.unwrap_or(0)),
        ];
        if let Some((accepted, rejected)) = self.standard_input.as_ref().map(Told::counts) {
            figures.push(figure("vigie_stdin_records", "Records taken in from standard input since start", accepted));
            figures.push(figure("vigie_stdin_rejected", "Records of standard input in quarantine since start", rejected));
        }
        HealthReport { is_ready: parts.iter().take(2).all(|(_, is_well, _)| *is_well), parts, figures }
    }
}

pub(crate) fn run(options: &UpOptions) -> Result<ExitCode, Error> {
    let content = Content::load(options.content.as_deref())?;
    let tenant = Tenant::default();
    let lines = options.stdin.as_deref().map(|named| LineLog::parse(named, &content, &tenant)).transpose()?;
    let given = Given { http: options.listen, wait_seconds: options.commit_seconds, watch: options.watch.clone() };
    let config = Config::load(options.config.as_deref(), &options.data, &given, &content)?;
    let tables = enrichments::load(&content, config.enrichments.as_deref())?;
    let data = DataFolder::new(&options.data);
    if !options.i_accept_loss {
        place::refuse_network(&data.root)?;
    }
    let _locked = data.lock()?;
    let state = Arc::new(State::open(&data.state()).map_err(Error::Failed)?);
    let listeners = listen(&config, &tenant)?;
    let address = listeners.http.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("serve").enable_all().build()?;
    // From here on a stop is heard, also while the lake is opened.
    let (stopped, hangups) = runtime.block_on(async { Ok::<_, std::io::Error>((stopped()?, reload::hangups()?)) })?;
    let documents = Arc::new(MappedDocuments::new(&content)?);
    let lake = Lake::open(&data.lake(), &tenant, columns(&content)?, Arc::clone(&documents) as _);
    let lake = Arc::new(lake.map_err(Error::Failed)?.with_query_time(Duration::from_secs(config.query_seconds)));
    let shaper = reload::enriching_shaper(&content, &tenant, &tables.enrichments)?;
    let intake = Arc::new(intake(shaper, &config, &data, &tenant, &lake)?);
    let upkeep = Upkeep::start(Arc::clone(&lake), &config)?;
    let places = Places { content: options.content.clone(), enrichments: config.enrichments.clone() };
    let reloader = Arc::new(Reloader::new(places, &content, &tables, &tenant, Arc::clone(&intake), documents));
    runtime.spawn(reload::each(hangups, Arc::clone(&reloader)));
    greet(&state, &data, address, &tenant)?;
    tables.faults.iter().for_each(|fault| note(format_args!("vigie: {fault}")));
    let watcher = Watcher::start(&intake, Arc::clone(&state) as _, &content, &config, &tenant)?;
    let standard_input = lines.map(|log| StandardInput::start(&intake, log, &tenant)).transpose()?;
    let ports = Ports {
        intake: Arc::clone(&intake) as _,
        engine: Arc::clone(&lake) as _,
        tokens: Arc::clone(&state) as _,
        saved: state,
        secret: vigie_state::random_key().map_err(Error::Failed)?,
        clock: now,
        health: Arc::new(Parts {
            intake: Arc::clone(&intake),
            lake,
            reloader,
            upkeep: upkeep.troubles(),
            watched: watcher.troubles(),
            standard_input: standard_input.as_ref().map(StandardInput::told),
            data,
        }),
    };
    note(format_args!("ready; Ctrl-C stops it"));
    runtime.block_on(vigie_serve::serve(listeners, ports, stopped)).map_err(Error::Failed)?;
    drop(runtime);
    drop(watcher);
    drop(standard_input);
    drop(upkeep);
    // The last owner of the intake commits what waits.
    drop(intake);
    note(format_args!("stopped; everything that was acknowledged is stored"));
    Ok(ExitCode::SUCCESS)
}

fn intake(shaper: Shaper, config: &Config, data: &DataFolder, tenant: &Tenant, lake: &Arc<Lake>) -> Result<PushIntake, Error> {
    let parts = IntakeParts {
        shaper,
        store: Arc::clone(lake) as _,
        spool: data.spool(tenant),
        journal: data.journal(),
        cadence: Cadence { wait: Duration::from_secs_f64(config.wait_seconds), bytes: config.size_mib * 1024 * 1024 },
        clock: now,
        free_bytes,
    };
    PushIntake::start(parts).map_err(Error::Failed)
}

fn listen(config: &Config, tenant: &Tenant) -> Result<Listeners, Error> {
    let failed = |address: SocketAddr| {
        move |error: std::io::Error| {
            Error::Failed(format!("cannot listen on {address}: {error}; choose another with --listen or in vigie.toml"))
        }
    };
    let tcp = |address: SocketAddr| TcpListener::bind(address).map_err(failed(address));
    let syslog_tls = match (config.syslog_tls, &config.tls) {
        (Some(address), Some((certificate, key))) => {
            Some((tcp(address)?, TlsFiles { certificate: certificate.clone(), key: key.clone() }))
        }
        _ => None,
    };
    Ok(Listeners {
        http: tcp(config.http)?,
        syslog_udp: config.syslog_udp.map(|address| UdpSocket::bind(address).map_err(failed(address))).transpose()?,
        syslog_tcp: config.syslog_tcp.map(tcp).transpose()?,
        syslog_tls,
        syslog_tenant: tenant.clone(),
    })
}

/// Says where the service is; the first start makes a token and shows it once.
fn greet(state: &State, data: &DataFolder, address: SocketAddr, tenant: &Tenant) -> Result<(), Error> {
    let folder = data.root.display();
    note(format_args!("vigie {} on http://{address}, data in {folder}", env!("CARGO_PKG_VERSION")));
    if state.list().map_err(Error::Failed)?.is_empty() {
        let made = state.create("first start", tenant, &[Scope::Admin], now(), None);
        let (_, secret) = made.map_err(Error::Failed)?;
        note(format_args!("token (shown this once): {secret}"));
        note(format_args!(
            "try: curl -H \"Authorization: Bearer {secret}\" --data-binary @events.json http://{address}/api/v1/ingest"
        ));
        note(format_args!("more tokens: vigie token create NAME --scope ingest --data {folder}"));
    }
    Ok(())
}

/// Ends when somebody asks the process to stop. Hears it from the call on.
fn stopped() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
