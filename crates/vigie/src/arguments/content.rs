//! The arguments of commands about content: rules, log types, their tests.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// A content folder (a whole one by itself, a part laid over ours), or a folder of rules; the content
    /// inside the binary by default
    pub(crate) path: Option<PathBuf>,
    /// Name every test, not only those that fail
    #[arg(long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Check rules: what cannot run, with file, line and fix
    Lint {
        /// Files and folders of rules
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Say what a rule looks for, and on which logs it runs
    Explain {
        /// Its id, file name or title
        rule: String,
        /// A folder or file of further rules (repeatable)
        #[arg(long, value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
    /// List the rules
    List {
        /// A folder or file of further rules (repeatable)
        #[arg(long, value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
    /// Show rules by providers, and the samples that prove each pair
    Matrix(MatrixOptions),
    /// Begin a rule: writes NAME.yml and NAME.md to fill in, and NAME.PROVIDER.md for its samples
    New {
        /// File name without ending
        name: String,
        /// A provider that the rule will claim to hold for, such as the folder of a vendor (repeatable)
        #[arg(long, value_name = "PROVIDER")]
        provider: Vec<String>,
    },
}

/// Formats of the rule matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MatrixFormat {
    /// For people
    Table,
    /// One list of rules with the counts of each provider
    Json,
    /// For a page
    #[value(alias = "md")]
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixOptions {
    /// A content folder: a whole one by itself, a part laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// A folder or file of further rules (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "table")]
    pub(crate) format: MatrixFormat,
}

/// Formats of coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoverageFormat {
    /// For people
    Text,
    /// One list of techniques
    Json,
    /// A layer for the ATT&CK Navigator
    Navigator,
}

#[derive(Debug, Args)]
pub(crate) struct CoverageOptions {
    /// Only rules about this provider, on its logs (repeatable)
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) provider: Vec<String>,
    /// Data that is there: files and folders of logs, or the data folder of a service (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Vec<PathBuf>,
    /// Data that is there: a log type, product/service, or all those of a provider (repeatable)
    #[arg(long, value_name = "LOG")]
    pub(crate) source: Vec<String>,
    /// A content folder: a whole one by itself, a part laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// A folder or file of further rules (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) format: CoverageFormat,
}

/// Formats of what providers detect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NativeFormat {
    /// For people
    Text,
    /// One list of techniques
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct NativeOptions {
    /// Only this provider (repeatable)
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) provider: Vec<String>,
    /// A content folder: a whole one by itself, a part laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// A folder or file of further rules (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) format: NativeFormat,
}

/// Formats of what is said about log types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogsFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogsCommand {
    /// List the log types: their OCSF classes, and how people get the logs
    List {
        /// A content folder laid over the one inside the binary
        #[arg(long, value_name = "DIR")]
        content: Option<PathBuf>,
        /// Output format
        #[arg(short = 'o', long, value_enum, default_value = "text")]
        format: LogsFormat,
    },
    /// Say which values no mapping reads, and which operations that change something have no row
    Gaps(GapsOptions),
    /// Print the events that records become: one OCSF document a line
    Map(MapOptions),
    /// Begin a log type: writes a folder of content from a few of its records
    New {
        /// A file of records: a JSON object a line, an array, or an envelope
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Its id, product/service
        #[arg(long, value_name = "LOG")]
        id: String,
        /// Folder to write to; it must not exist [default: the id, with - for the /]
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MapOptions {
    /// Files, folders, glob patterns, or - for standard input
    #[arg(required = true)]
    pub(crate) paths: Vec<String>,
    /// Take every record for this log type
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<String>,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct GapsOptions {
    /// Files, folders, glob patterns, or - for standard input
    #[arg(required = true)]
    pub(crate) paths: Vec<String>,
    /// Take every record for this log type
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<String>,
    /// A content folder laid over the one inside the binary
    #[arg(long, value_name = "DIR")]
    pub(crate) content: Option<PathBuf>,
    /// Paths and operations named for each log type
    #[arg(long, default_value_t = 20)]
    pub(crate) top: usize,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value = "text")]
    pub(crate) format: LogsFormat,
}
