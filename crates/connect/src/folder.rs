//! Files and folders on disk, glob patterns, and standard input, as one source.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use vigie_model::{ByteStream, ObjectInfo, Source};

/// Deepest nesting of folders that is followed.
const FOLDER_DEPTH_MAX: usize = 64;

/// Files found under the paths that a person named.
#[derive(Debug)]
pub struct Folder {
    objects: Vec<ObjectInfo>,
    places: Vec<Place>,
    /// Paths that could not be read, each with a sentence.
    pub unreadable: Vec<(String, String)>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    StandardInput,
}

impl Folder {
    /// Finds the files under `paths`: files, folders (whole trees; links to folders are not
    /// followed), glob patterns, and `-` for standard input.
    ///
    /// # Errors
    /// A sentence when a path does not exist or a pattern finds nothing.
    pub fn find(paths: &[String]) -> Result<Folder, String> {
        let mut folder = Folder { objects: Vec::new(), places: Vec::new(), unreadable: Vec::new() };
        for path in paths {
            if path == "-" {
                folder.objects.push(ObjectInfo { name: "standard input".to_owned(), bytes: None, modified: None });
                folder.places.push(Place::StandardInput);
                continue;
            }
            let place = Path::new(path);
            if place.exists() {
                folder.add(place, place, 0);
            } else if path.contains(['*', '?', '[']) {
                folder.add_pattern(path)?;
            } else {
                return Err(format!("`{path}` does not exist; name a file or folder of logs"));
            }
        }
        Ok(folder)
    }

    fn add_pattern(&mut self, pattern: &str) -> Result<(), String> {
        let found = glob::glob(pattern).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
        let before = self.objects.len() + self.unreadable.len();
        for path in found {
            match path {
                Ok(path) => self.add(&path, &path, 0),
                Err(error) => self.unreadable.push((error.path().display().to_string(), error.error().to_string())),
            }
        }
        if self.objects.len() + self.unreadable.len() == before {
            return Err(format!("`{pattern}` finds no file"));
        }
        Ok(())
    }

    fn add(&mut self, root: &Path, path: &Path, depth: usize) {
        let name = match path.strip_prefix(root) {
            Ok(rest) if !rest.as_os_str().is_empty() => rest.display().to_string(),
            _ => path.display().to_string(),
        };
        let listed = match fs::metadata(path) {
            Ok(data) if data.is_dir() => fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()),
            Ok(data) => {
                let bytes = data.is_file().then_some(data.len());
                let since = data.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                let modified = since.and_then(|since| i64::try_from(since.as_millis()).ok());
                self.objects.push(ObjectInfo { name, bytes, modified });
                self.places.push(Place::File(path.to_owned()));
                return;
            }
            Err(error) => Err(error),
        };
        match listed {
            Ok(_) if depth >= FOLDER_DEPTH_MAX => {
                self.unreadable.push((name, format!("is nested deeper than {FOLDER_DEPTH_MAX} folders")));
            }
            Ok(mut entries) => {
                entries.sort_by_key(fs::DirEntry::file_name);
                for entry in entries {
                    let is_linked_folder = entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir();
                    if !is_linked_folder {
                        self.add(root, &entry.path(), depth + 1);
                    }
                }
            }
            Err(error) => self.unreadable.push((name, error.to_string())),
        }
    }
}

struct Stream<R>(R);

impl<R: Read + Send> ByteStream for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| error.to_string()),
            }
        }
    }
}

impl Source for Folder {
    fn objects(&self) -> &[ObjectInfo] {
        &self.objects
    }

    fn open(&self, object: usize) -> Result<Box<dyn ByteStream>, String> {
        match self.places.get(object) {
            Some(Place::File(path)) => {
                let file = File::open(path).map_err(|error| error.to_string())?;
                Ok(Box::new(Stream(file)))
            }
            Some(Place::StandardInput) => Ok(Box::new(Stream(io::stdin()))),
            None => Err("no such object".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_listed_in_a_fixed_order() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/2.json", "b/1.json", "a.json"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let folder = Folder::find(&[root.path().display().to_string()]).unwrap();
        let names: Vec<_> = folder.objects().iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["a.json", "b/1.json", "b/2.json"]);
        let mut buffer = [0; 16];
        let read = folder.open(1).unwrap().read(&mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"b/1.json");
        let pattern = format!("{}/*/2.json", root.path().display());
        assert_eq!(Folder::find(&[pattern]).unwrap().objects().len(), 1);
        assert!(Folder::find(&["none".into()]).unwrap_err().contains("does not exist"));
    }
}
