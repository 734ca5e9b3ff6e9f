//! The arguments of every command; doc comments are the help texts.

// The manual includes this file by its path: so does this.
#[path = "arguments/content.rs"]
mod content;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use content::*;

/// A multi-cloud security operations centre in one binary.
#[derive(Debug, Parser)]
#[command(name = "vigie", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what happened in files and folders of cloud logs
    Hunt(Box<HuntOptions>),
    /// Write seeded logs with a planted intrusion, and the truth about it
    Demo(DemoOptions),
    /// Run every self-test of a content folder: rules, mappings, samples
    Test(TestOptions),
    /// Check, explain, list and begin rules
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Say which techniques of ATT&CK are seen, and where a rule or its data is missing
    Coverage(CoverageOptions),
    /// Say what providers detect by themselves, beside what our rules look for
    Native(NativeOptions),
    /// List log types, see what their mappings do not read, begin new ones
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Run the service: take events in, keep them, answer questions
    #[cfg(feature = "full")]
    Up(UpOptions),
    /// Ask the lake in SQL; without a statement, a shell
    #[cfg(feature = "full")]
    Sql(SqlOptions),
    /// Search events with the filter bar's language, newest first
    #[cfg(feature = "full")]
    Search(SearchOptions),
    /// Say what is known of a principal, an address, a resource, a session or an account
    #[cfg(feature = "full")]
    Pivot(PivotOptions),
    /// Make, list and revoke tokens of the service
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look after the lake: status, compaction, purge, rebuild, export
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Content of a running service
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Content(ContentCommand),
    /// Look into the spool of a stopped service, and put damage aside
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Prove what was collected, and name what is missing
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Prove(ProveCommand),
    /// Copy a data folder, also while a service runs on it
    #[cfg(feature = "full")]
    Backup(BackupOptions),
    /// Make a data folder out of a backup
    #[cfg(feature = "full")]
    Restore(RestoreOptions),
    /// Check disk, clock, flushes and permissions, and say what to mend
    #[cfg(feature = "full")]
    Doctor {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
    /// Settings of the service
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Formats of rows.
#[cfg(feature = "full")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// For people
    Table,
    /// One JSON object a line
    Ndjson,
    /// For spreadsheets
    Csv,
    /// A Markdown table
    Md,
    /// A Parquet file, with --out
    Parquet,
}

/// Formats of exported events.
#[cfg(feature = "full")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One OCSF event a line, with the record in raw_data
    Ocsf,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct ExportOptions {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// Only events from this instant on: a date, RFC 3339, or 15m, 24h, 7d before now
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only events that match, in the language of `vigie search`
    #[arg(long, value_name = "FILTER", default_value = "", allow_hyphen_values = true)]
    pub(crate) filter: String,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "ocsf")]
    pub(crate) format: ExportFormat,
    /// The file to write; compressed when its name ends in .gz
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct UpOptions {
    /// The folder of everything the service keeps; it is made
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// The address of HTTP and gRPC; port 0 takes any that is free [default: 127.0.0.1:8440]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// A file of settings; vigie.toml in the data folder by default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// Longest wait before events are committed, in seconds [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) commit_seconds: Option<f64>,
    /// A folder whose logs are taken in, now and when more come; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Vec<PathBuf>,
    /// Take standard input in too, a record a line: their log type, such as aws/cloudtrail, or any
    #[arg(long, value_name = "LOG")]
    pub(crate) stdin: Option<String>,
    /// Start on a file system over a network too, whose flushes may lose what was acknowledged
    #[arg(long)]
    pub(crate) i_accept_loss: bool,
}

#[cfg(feature = "full")]
#[derive(Debug, Subcommand)]
pub(crate) enum ProveCommand {
    /// What was expected of watched folders, what is here, and what is missing or changed
    Collection(CollectionOptions),
}

/// Formats of a proof.
#[cfg(feature = "full")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProofFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct CollectionOptions {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) format: ProofFormat,
    /// Language of the sentences
    #[arg(long, value_enum, default_value = "en")]
    pub(crate) lang: Lang,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct BackupOptions {
    /// The folder of the backup; it is made, and must be empty
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// Make nothing: compare a backup that is there with its manifest, byte by byte
    #[arg(long, conflicts_with = "data")]
    pub(crate) verify: bool,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The folder of the backup
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The data folder to make; it must be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// What every question to the lake has.
#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct AskOptions {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// Whose events
    #[arg(long, default_value = "main")]
    pub(crate) tenant: String,
    /// Output format: a table on a terminal, else NDJSON
    #[arg(short = 'o', long, value_enum)]
    pub(crate) format: Option<RowFormat>,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct SqlOptions {
    /// The statement, over the table `events`
    pub(crate) statement: Option<String>,
    #[command(flatten)]
    pub(crate) common: AskOptions,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    /// Words, `field:value`, and, or, not, parentheses; empty for every event
    #[arg(default_value = "", allow_hyphen_values = true)]
    pub(crate) filter: String,
    /// Only events from this instant on: a date, RFC 3339, or 15m, 24h, 7d before now
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Rows at most
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Count events by time instead of showing them
    #[arg(long)]
    pub(crate) count: bool,
    /// Count events by the values of this column instead of showing them
    #[arg(long, value_name = "COLUMN", conflicts_with = "count")]
    pub(crate) by: Option<String>,
    /// Show events as they are stored, until Ctrl-C; with --since those taken in since then too
    #[arg(long, conflicts_with_all = ["count", "by", "until", "limit", "save"])]
    pub(crate) follow: bool,
    /// Search with the filter that was saved under this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["filter", "save"])]
    pub(crate) saved: Option<String>,
    /// Search, and save the filter under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,
    #[command(flatten)]
    pub(crate) common: AskOptions,
}

/// What a pivot may be about.
#[cfg(feature = "full")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PivotKind {
    /// Who acted: a name or an id
    Principal,
    /// Where requests came from
    Address,
    /// What was acted on
    Resource,
    /// A session, or the credential behind it
    Session,
    /// An account of a cloud
    Account,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct PivotOptions {
    /// What it is
    #[arg(value_enum)]
    pub(crate) kind: PivotKind,
    /// Its name, taken literally
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
    /// Only events from this instant on: a date, RFC 3339, or 15m, 24h, 7d before now
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// Whose events
    #[arg(long, default_value = "main")]
    pub(crate) tenant: String,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
}

/// What a token may allow.
#[cfg(feature = "full")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenScope {
    /// To send events
    Ingest,
    /// To read events
    Search,
    /// Everything
    Admin,
}

#[cfg(feature = "full")]
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and show it once
    Create {
        /// What people call it
        name: String,
        /// What it allows (repeatable)
        #[arg(long, value_enum, required = true)]
        scope: Vec<TokenScope>,
        /// Days until it ends; never by default
        #[arg(long)]
        days: Option<u32>,
        /// Whose events it reaches
        #[arg(long, default_value = "main")]
        tenant: String,
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
    /// List tokens, without their secrets
    List {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
    /// End a token
    Revoke {
        /// Its id
        id: String,
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
}

#[cfg(feature = "full")]
#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Say what the lake holds
    Status {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
    /// Merge small files, with no service running on the folder
    Compact {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
    /// Make the columns of all events anew from their records, with no service running on the folder
    Rebuild {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
        /// Mappings of your own, laid over those that come with vigie
        #[arg(long, value_name = "DIR")]
        content: Option<PathBuf>,
    },
    /// Write events to a file, oldest first, with or without a running service
    Export(ExportOptions),
    /// Remove events past their time, with no service running on the folder
    Purge {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
        /// A file of settings; vigie.toml in the data folder by default
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A content folder laid over the one inside the binary
        #[arg(long, value_name = "DIR")]
        content: Option<PathBuf>,
    },
}

/// Formats of what is said about the spool.
#[cfg(feature = "full")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpoolFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[cfg(feature = "full")]
#[derive(Debug, Args)]
pub(crate) struct SpoolOptions {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "vigie-data")]
    pub(crate) data: PathBuf,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) format: SpoolFormat,
}

#[cfg(feature = "full")]
#[derive(Debug, Subcommand)]
pub(crate) enum SpoolCommand {
    /// Say what waits in it, and what of it cannot be read
    Check(SpoolOptions),
    /// Keep damaged parts in files of their own; nothing is deleted
    Repair(SpoolOptions),
}

#[cfg(feature = "full")]
#[derive(Debug, Subcommand)]
pub(crate) enum ContentCommand {
    /// Make the service read its content folder again, as SIGHUP does
    Reload {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
    },
}

#[cfg(feature = "full")]
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting and where its value came from
    Show {
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "vigie-data")]
        data: PathBuf,
        /// A file of settings; vigie.toml in the data folder by default
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A content folder laid over the one inside the binary
        #[arg(long, value_name = "DIR")]
        content: Option<PathBuf>,
    },
}

/// Formats of a hunt's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The story, for people
    Text,
    /// One OCSF Detection Finding a line
    Ndjson,
    /// One finding a line, for spreadsheets
    Csv,
    /// One self-contained page
    Html,
}

/// Levels of findings, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// Languages of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    En,
    Fr,
}

#[derive(Debug, Args)]
pub(crate) struct HuntOptions {
    /// Files, folders, glob patterns, or - for standard input
    #[arg(required = true)]
    pub(crate) paths: Vec<String>,
    /// Take every record for this log type, product/service; without a mapping it is matched as it is
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<String>,
    /// A folder or file of Sigma rules, correlations and filters (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Leave out the rules inside the binary; those of --rules and --content stay
    #[arg(long)]
    pub(crate) no_builtin: bool,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// A folder of your tables: countries, owners, identities, change windows
    #[arg(long, value_name = "DIR")]
    pub(crate) enrichments: Option<PathBuf>,
    /// Only events from this instant on (RFC 3339 or a date, UTC)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Report findings from this level on
    #[arg(long, value_enum, default_value = "informational")]
    pub(crate) min_level: Level,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Language of the report
    #[arg(long, value_enum, default_value = "en")]
    pub(crate) lang: Lang,
    /// Time zone of shown times, such as Europe/Paris
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) tz: String,
    /// Worker threads; all cores by default
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Explain one event by its id: the record, what it became, and what each rule says of it
    #[arg(long, value_name = "EVENT")]
    pub(crate) explain: Option<String>,
    /// Memory for sorting before temporary files are used, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 49_152, hide = true)]
    pub(crate) spill_kib: usize,
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Folder to write to; it is made, and must be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) write: PathBuf,
    /// How many events
    #[arg(long, default_value_t = 50_000)]
    pub(crate) events: u64,
    /// The seed: the same seed writes the same bytes
    #[arg(long, default_value_t = 1187)]
    pub(crate) seed: u64,
    /// Leave out the planted intrusion
    #[arg(long)]
    pub(crate) quiet_day: bool,
}
