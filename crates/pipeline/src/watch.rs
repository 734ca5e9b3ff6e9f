//! Objects of a source become deliveries, each once: the collection ledger says which were taken in.
//!
//! A file is handed over in parts of a number that its name, version and place in it give: after a crash
//! the same parts come again with the same numbers, and what was stored before is a duplicate. The
//! ledger is written when all parts of an object are acknowledged.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use vigie_model::{ByteStream, Collected, ColumnarReader, Delivery, Intake, Ledger, Millis, ObjectInfo, Refusal, Source, Tenant};
use vigie_record::Cut;

use crate::admit::{Admitted, Batch, Knowledge, guess, read_file};
use crate::gather::gather;
use crate::inflate::each_file;
use crate::lane::Lanes;
use crate::proof::{DigestFormat, DigestReader, Flaw, Part, Proof, SeenFile, file_name, instant_in, judge};
use crate::shape::delivery_number;

/// Bytes of a delivery.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a file that proves others.
const CONTENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long it waits when the intake refuses.
const WAIT: Duration = Duration::from_secs(1);

/// Takes in what is new of one source.
pub struct Watch<'w> {
    /// The source's name.
    pub name: &'w str,
    /// Whose events they are.
    pub tenant: &'w Tenant,
    /// How files are cut into records.
    pub lanes: &'w Lanes,
    /// How digests are written, that prove collection.
    pub digests: Option<&'w DigestFormat>,
    /// What reads files whose records stand in columns.
    pub columnar: Option<&'w dyn ColumnarReader>,
    /// Where records go.
    pub intake: &'w dyn Intake,
    /// What was taken in.
    pub ledger: &'w dyn Ledger,
    /// Objects that changed after this instant are left for the next time: somebody may still write them.
    pub settled: Millis,
    /// The time now.
    pub now: Millis,
    /// Waits; true when the watch is to end.
    pub wait: &'w dyn Fn(Duration) -> bool,
}

/// What one look at a source did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Objects that were taken in.
    pub objects: u64,
    /// Records of them that became events.
    pub records: u64,
}

/// A file on its way to the intake.
struct Sending<'s> {
    source: String,
    key: [&'s str; 4],
    body: Vec<u8>,
    part: u64,
    records: u64,
    rejected: u64,
    failure: Option<String>,
    is_stopped: bool,
}

impl Watch<'_> {
    /// Takes in the objects that are new or changed.
    ///
    /// # Errors
    /// A sentence, when the ledger cannot be used. What was acknowledged before is kept.
    pub fn look(&self, source: &dyn Source) -> Result<Looked, String> {
        let known = self.ledger.versions(self.tenant, self.name)?;
        let reader = self.digests.map(DigestReader::new);
        let mut looked = Looked::default();
        for (number, info) in source.objects().iter().enumerate() {
            let version = format!("{}-{}", info.bytes.unwrap_or(0), info.modified.unwrap_or(0));
            let is_settled = info.modified.is_none_or(|modified| modified <= self.settled);
            if !is_settled || known.get(&info.name) == Some(&version) {
                continue;
            }
            let Some(files) = self.object(source, number, info, &version, reader.as_ref()) else {
                break;
            };
            self.ledger.note(self.tenant, &files)?;
            looked.objects += 1;
            looked.records += files.iter().map(|file| file.records).sum::<u64>();
        }
        Ok(looked)
    }

    /// All files of an object; none when the watch ended before it was done.
    fn object(
        &self,
        source: &dyn Source,
        number: usize,
        info: &ObjectInfo,
        version: &str,
        reader: Option<&DigestReader<'_>>,
    ) -> Option<Vec<Collected>> {
        let new = |file: &str| Collected {
            source: self.name.to_owned(),
            object: info.name.clone(),
            file: file.to_owned(),
            version: version.to_owned(),
            newest: instant_in(file),
            taken: self.now,
            ..Collected::default()
        };
        let (mut files, mut is_stopped) = (Vec::new(), false);
        let opened = source.open(number).and_then(|stream| {
            let each = &mut |name: &str, bytes: &mut dyn Read| {
                if is_stopped {
                    return;
                }
                let mut file = new(name);
                is_stopped = match reader.map(|reader| reader.part(name)) {
                    None | Some(Part::Other) => self.records(bytes, &mut file),
                    Some(_) => {
                        content(bytes, &mut file);
                        false
                    }
                };
                files.push(file);
            };
            each_file(&info.name, stream, each).map_err(|error| error.to_string())
        });
        if let Err(why) = opened {
            files.push(Collected { failure: Some(why), ..new(&info.name) });
        } else if files.is_empty() {
            files.push(new(&info.name));
        }
        (!is_stopped).then_some(files)
    }

    /// Hands the records of a file over. True when the watch ended before that was done.
    fn records(&self, bytes: &mut dyn Read, file: &mut Collected) -> bool {
        let key = [self.name, &file.object, &file.file, &file.version];
        let mut sending = Sending {
            source: format!("watch/{}/{}", self.name, file.file),
            key,
            body: Vec::new(),
            part: 0,
            records: 0,
            rejected: 0,
            failure: None,
            is_stopped: false,
        };
        let known = Knowledge { lanes: self.lanes, columnar: self.columnar };
        let admitted: Admitted = read_file(0, bytes, known, true, &mut |batch: Batch| {
            for (number, cut) in batch.cuts.iter().enumerate() {
                let (Cut::Record(range) | Cut::Oversize(range) | Cut::Reject(range, _)) = cut;
                sending.body.extend_from_slice(batch.alone(number, range));
                sending.body.push(b'\n');
                if sending.body.len() >= PART_BYTES {
                    self.send(&mut sending);
                }
            }
            batch
        });
        self.send(&mut sending);
        let foreign = matches!(admitted.shape, vigie_record::Shape::Foreign)
            .then(|| format!("holds no records that are read here: it looks like {}", guess(&admitted.head)));
        let (records, rejected, is_stopped) = (sending.records, sending.rejected, sending.is_stopped);
        let failure = sending.failure.or(admitted.error).or(foreign);
        (file.records, file.rejected, file.failure, file.hash) = (records, rejected, failure, admitted.hash);
        is_stopped
    }

    /// Delivers what was gathered, again and again until it is taken in.
    fn send(&self, sending: &mut Sending<'_>) {
        let body = std::mem::take(&mut sending.body);
        if body.is_empty() || sending.is_stopped || sending.failure.is_some() {
            return;
        }
        let part = sending.part.to_le_bytes();
        let [name, object, file, version] = sending.key.map(str::as_bytes);
        let number = delivery_number(&[b"watch", name, object, file, version, &part]);
        sending.part += 1;
        loop {
            let (answer, answered) = channel();
            let delivery = Delivery {
                tenant: self.tenant.clone(),
                log: None,
                source: sending.source.clone(),
                body: body.clone(),
                number: Some(number),
            };
            self.intake.deliver(delivery, Box::new(move |receipt| drop(answer.send(receipt))));
            match answered.recv() {
                Ok(Ok(receipt)) => {
                    sending.records += receipt.accepted;
                    sending.rejected += receipt.rejected;
                    return;
                }
                Ok(Err(refusal @ (Refusal::UnknownLog(_) | Refusal::TooLarge { .. }))) => {
                    sending.failure = Some(refusal.to_string());
                    return;
                }
                Ok(Err(Refusal::Busy { .. } | Refusal::Unavailable(_))) | Err(_) => {}
            }
            if (self.wait)(WAIT) {
                sending.is_stopped = true;
                return;
            }
        }
    }
}

/// Keeps the content of a file that proves others. One that is too long is no proof: it is cut, and
/// cannot be read then.
fn content(bytes: &mut dyn Read, file: &mut Collected) {
    let mut content = Vec::new();
    match bytes.take(CONTENT_BYTES_MAX).read_to_end(&mut content) {
        Ok(_) => file.content = Some(content),
        Err(error) => file.failure = Some(error.to_string()),
    }
}

/// Files that prove others, as a source.
struct Kept {
    objects: Vec<ObjectInfo>,
    contents: Vec<Arc<[u8]>>,
}

struct KeptStream {
    content: Arc<[u8]>,
    at: usize,
}

impl ByteStream for KeptStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let mut rest = self.content.get(self.at..).unwrap_or_default();
        let read = rest.read(buffer).map_err(|error| error.to_string())?;
        self.at += read;
        Ok(read)
    }
}

impl Source for Kept {
    fn objects(&self) -> &[ObjectInfo] {
        &self.objects
    }

    fn open(&self, object: usize) -> Result<Box<dyn ByteStream>, String> {
        let content = self.contents.get(object).ok_or("no such object")?;
        Ok(Box::new(KeptStream { content: Arc::clone(content), at: 0 }))
    }
}

/// What is proven about the collection of a source: the same judgement as a hunt's, over what the ledger
/// remembers.
pub fn prove(format: &DigestFormat, files: &[Collected]) -> Proof {
    let reader = DigestReader::new(format);
    let with_content = files.iter().filter_map(|file| Some((file, file.content.as_deref()?)));
    let (objects, contents) = with_content
        .map(|(file, content)| (ObjectInfo { name: file.file.clone(), bytes: None, modified: None }, Arc::from(content)))
        .unzip();
    let gathered = gather(&Kept { objects, contents }, &reader);
    let logs = files.iter().filter(|file| file.content.is_none());
    let seen: BTreeMap<String, SeenFile> =
        logs.map(|file| (file_name(&file.file).to_owned(), SeenFile { newest: file.newest, hash: file.hash.clone() })).collect();
    let mut proof = judge(&reader, gathered.digests, &gathered.keys, &seen);
    proof.flaws.extend(gathered.unreadable.into_iter().map(|(name, why)| Flaw::DigestInvalid(name, why)));
    proof
}
