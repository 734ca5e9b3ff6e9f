//! Every limit that the core knows, with its unit last. What grows has its number here.

/// Bytes of one record. A longer one is passed over and counted by a hunt; the service keeps it in quarantine, in
/// parts of at most so many bytes.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes read from a file at a time.
pub const READ_BYTES: usize = 1024 * 1024;
/// Bytes out per byte in of a compressed file, checked after [`INFLATE_RATIO_CHECK_BYTES`].
pub const INFLATE_RATIO_MAX: u64 = 250;
/// Bytes out before the ratio is checked.
pub const INFLATE_RATIO_CHECK_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that hits, ids and links may take in memory before they go to sorted runs on disk.
pub const SPILL_BYTES: usize = 48 * 1024 * 1024;
/// Matched fields kept as evidence of one finding.
pub const EVIDENCE_FIELDS_MAX: usize = 16;
/// Bytes of one value kept as evidence.
pub const EVIDENCE_VALUE_BYTES_MAX: usize = 512;
/// Events named by one correlation finding; the rest is counted.
pub const RELATED_EVENTS_MAX: usize = 10_000;
/// Events that all windows of correlations remember together. Beyond it the fullest correlation
/// forgets the older half of its timespan; how many events it lost so is counted.
pub const WINDOW_EVENTS_MAX: usize = 200_000;
/// Distinct values memorised per field by the matcher of one worker.
pub const MATCH_MEMO_ENTRIES_MAX: usize = 4096;
/// Bytes of memorised values of the matcher of one worker.
pub const MATCH_MEMO_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Links followed from a credential to the first human or workload behind it.
pub const CHAIN_LINKS_MAX: usize = 16;
/// Principals of flagged events, per worker, whose chains are looked for; those of more stay as they
/// are in the record.
pub const WANTED_PRINCIPALS_MAX: usize = 1_000_000;
/// Links kept in memory for the chains of findings.
pub const LINKS_MAX: usize = 100_000;
/// Rejected records that the answer to a delivery names; the others are counted.
pub const REJECTS_NAMED_MAX: usize = 20;
/// Bytes of one pushed delivery, after decompression.
pub const DELIVERY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of deliveries that wait for the disk or for a commit before clients are told to wait.
pub const SPOOL_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;
/// Bytes of the disk that deliveries never use, so that everything else goes on.
pub const DISK_RESERVE_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes, as stored, of a file whose records stand in columns: it has to be here as a whole before its first record is
/// known.
pub const COLUMNAR_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of such a file that are held in memory; of a longer one all are in a nameless temporary file.
pub const COLUMNAR_MEMORY_BYTES_MAX: usize = 8 * 1024 * 1024;
