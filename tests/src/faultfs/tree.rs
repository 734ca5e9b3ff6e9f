//! Files and folders as values, and the changes that are made to them, one after another.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// The node of the outermost folder.
pub const ROOT: u64 = 1;

/// One thing that was done to a disk, in the order in which it was done.
#[derive(Debug, Clone)]
pub enum Change {
    /// A node that no folder names yet.
    Make {
        /// Its number.
        node: u64,
        /// Whether it is a folder.
        is_folder: bool,
    },
    /// Bytes of a file.
    Write {
        /// The file.
        node: u64,
        /// Where they begin.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file is as long as this from now on.
    Resize {
        /// The file.
        node: u64,
        /// Its length.
        length: u64,
    },
    /// A folder names a node: a file or folder was made, or linked.
    Enter {
        /// The folder.
        folder: u64,
        /// The name.
        name: String,
        /// The node.
        node: u64,
    },
    /// A folder no longer has a name.
    Leave {
        /// The folder.
        folder: u64,
        /// The name.
        name: String,
    },
    /// A node has another name, and what had that name has none.
    Move {
        /// Folder and name before.
        from: (u64, String),
        /// Folder and name from now on.
        to: (u64, String),
        /// The node.
        node: u64,
    },
    /// A flush of a file or a folder that went well.
    Flush {
        /// The file or folder.
        node: u64,
    },
    /// A flush that failed: what it should have written is never written by a later one, as in Linux.
    Refuse {
        /// The file or folder.
        node: u64,
    },
    /// Not a change of the disk: at this moment a client knew of this answer.
    Note(u64),
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A file with its bytes.
    File(Vec<u8>),
    /// A folder with its names.
    Folder(BTreeMap<String, u64>),
}

/// A file or folder.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its permissions, which are not part of what survives.
    pub mode: u16,
    /// When it was changed, which is not part of what survives.
    pub changed: SystemTime,
}

impl Node {
    fn new(is_folder: bool) -> Node {
        let (kind, mode) = if is_folder { (Kind::Folder(BTreeMap::new()), 0o755) } else { (Kind::File(Vec::new()), 0o644) };
        Node { kind, mode, changed: SystemTime::now() }
    }
}

/// Files and folders.
#[derive(Debug, Clone)]
pub struct Tree {
    /// By number; those that no folder names are kept.
    pub nodes: BTreeMap<u64, Node>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: BTreeMap::from([(ROOT, Node::new(true))]) }
    }
}

impl Tree {
    /// The files and folders of a plain folder.
    pub fn load(folder: &Path) -> io::Result<Tree> {
        let mut tree = Tree::default();
        tree.load_into(folder, ROOT)?;
        Ok(tree)
    }

    fn load_into(&mut self, folder: &Path, into: u64) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let node = self.next();
            let is_folder = entry.file_type()?.is_dir();
            self.apply(&Change::Make { node, is_folder });
            let name = entry.file_name().to_string_lossy().into_owned();
            self.apply(&Change::Enter { folder: into, name, node });
            if is_folder {
                self.load_into(&entry.path(), node)?;
            } else if let Some(file) = self.file(node) {
                *file = std::fs::read(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes everything that has a name into a plain folder, which is made.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        self.save_from(ROOT, folder)
    }

    fn save_from(&self, node: u64, to: &Path) -> io::Result<()> {
        match self.nodes.get(&node).map(|node| &node.kind) {
            Some(Kind::File(bytes)) => std::fs::write(to, bytes),
            Some(Kind::Folder(names)) => {
                std::fs::create_dir_all(to)?;
                names.iter().try_for_each(|(name, node)| self.save_from(*node, &to.join(name)))
            }
            None => Ok(()),
        }
    }

    /// A number that no node has.
    pub fn next(&self) -> u64 {
        self.nodes.last_key_value().map_or(ROOT, |(last, _)| last + 1)
    }

    /// The bytes of a file.
    pub fn file(&mut self, node: u64) -> Option<&mut Vec<u8>> {
        match self.nodes.get_mut(&node).map(|node| &mut node.kind) {
            Some(Kind::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The names of a folder.
    pub fn names(&self, node: u64) -> Option<&BTreeMap<String, u64>> {
        match self.nodes.get(&node).map(|node| &node.kind) {
            Some(Kind::Folder(names)) => Some(names),
            _ => None,
        }
    }

    fn names_mut(&mut self, node: u64) -> Option<&mut BTreeMap<String, u64>> {
        match self.nodes.get_mut(&node).map(|node| &mut node.kind) {
            Some(Kind::Folder(names)) => Some(names),
            _ => None,
        }
    }

    /// Puts bytes into a file; what lies between its end and them is zero.
    pub fn write(&mut self, node: u64, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(file) = self.file(node) {
            if file.len() < at + bytes.len() {
                file.resize(at + bytes.len(), 0);
            }
            file[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Makes one change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Make { node, is_folder } => drop(self.nodes.insert(*node, Node::new(*is_folder))),
            Change::Write { node, at, bytes } => self.write(*node, *at, bytes),
            Change::Resize { node, length } => {
                if let Some(file) = self.file(*node) {
                    file.resize(usize::try_from(*length).unwrap_or(usize::MAX), 0);
                }
            }
            Change::Enter { folder, name, node } => {
                if let Some(names) = self.names_mut(*folder) {
                    names.insert(name.clone(), *node);
                }
            }
            Change::Leave { folder, name } => {
                if let Some(names) = self.names_mut(*folder) {
                    names.remove(name);
                }
            }
            Change::Move { from, to, node } => {
                if let Some(names) = self.names_mut(from.0)
                    && names.get(&from.1) == Some(node)
                {
                    names.remove(&from.1);
                }
                if let Some(names) = self.names_mut(to.0) {
                    names.insert(to.1.clone(), *node);
                }
            }
            Change::Flush { .. } | Change::Refuse { .. } | Change::Note(_) => {}
        }
        if let Change::Write { node, .. } | Change::Resize { node, .. } = change
            && let Some(node) = self.nodes.get_mut(node)
        {
            node.changed = SystemTime::now();
        }
    }
}
