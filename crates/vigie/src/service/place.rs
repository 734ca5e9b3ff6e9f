//! Where a folder lies: file systems over a network do not keep what they call flushed.
//!
//! Format: `/proc/self/mountinfo` (proc_pid_mountinfo(5)). Where there is no such file, nothing is known
//! and nothing refused.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// File systems over a network, by the names that the kernel gives them.
const NETWORK_KINDS: [&str; 7] = ["nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "fuse.sshfs"];

/// Refuses a folder on a file system over a network. The folder need not be there yet.
pub(crate) fn refuse_network(folder: &Path) -> Result<(), Error> {
    match network_kind(folder) {
        None => Ok(()),
        Some(kind) => Err(Error::Usage(format!(
            "`{}` lies on {kind}, a file system over a network: what it calls flushed may be lost; name a folder on a local \
             disk with --data, or accept the loss with --i-accept-loss",
            folder.display()
        ))),
    }
}

/// The kind of the file system that a folder lies on, or will lie on, when that is one over a network.
pub(crate) fn network_kind(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let absolute = std::path::absolute(folder).ok()?;
    let real = absolute.ancestors().find_map(|above| above.canonicalize().ok())?;
    kind_of(&mounts, &real).filter(|kind| NETWORK_KINDS.contains(kind)).map(str::to_owned)
}

/// The kind of the file system of a path without links: that of the longest mount point above it, and of
/// several at one point the last, which covers the others.
fn kind_of<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let mount = |line: &'m str| {
        // What stands before the dash has optional fields at its end.
        let (left, right) = line.split_once(" - ")?;
        let point = unescape(left.split(' ').nth(4)?);
        let kind = right.split(' ').next()?;
        path.starts_with(&point).then(|| (point.components().count(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// A path with its octal escapes undone: `\040` is a space.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part.split_at_checked(3).and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 8).ok()?, rest)));
        match escaped {
            Some((byte, rest)) if byte.is_ascii() => {
                plain.push(char::from(byte));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
40 22 0:50 /export /srv/data rw shared:9 master:2 - nfs4 filer:/export rw,vers=4.2
41 40 8:2 / /srv/data/local rw - xfs /dev/sdb rw
42 22 0:51 / /mnt/two\\040words rw - cifs //filer/share rw
43 22 0:52 / /mnt/ssh rw - fuse.sshfs me@host:/ rw
44 22 0:53 / /over rw - nfs filer:/a rw
45 22 8:3 / /over rw - ext4 /dev/sdc rw
";

    #[test]
    fn the_longest_mount_point_names_the_file_system() {
        for (path, kind) in [
            ("/", "ext4"),
            ("/srv/database", "ext4"),
            ("/srv/data", "nfs4"),
            ("/srv/data/vigie/lake", "nfs4"),
            ("/srv/data/local/vigie", "xfs"),
            ("/mnt/two words/vigie", "cifs"),
            ("/mnt/ssh", "fuse.sshfs"),
            ("/over/vigie", "ext4"),
        ] {
            assert_eq!(kind_of(MOUNTS, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(kind_of("no mounts\n1 2 - \n", Path::new("/x")), None);
    }
}
