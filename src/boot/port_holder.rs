//! Who holds a port, as far as `/proc` tells: it shows other users' processes only to root.

use std::fs;

/// The process that listens on a TCP port: "nginx (process 812)".
pub(super) fn of(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let is_holder = descriptors.flatten().any(|descriptor| {
            fs::read_link(descriptor.path())
                .is_ok_and(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
        });
        if is_holder {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

/// Inodes of listening sockets on `port`, from the text of `/proc/net/tcp` (proc(5): state 0A is LISTEN).
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
            let is_match = u16::from_str_radix(local_port, 16).ok()? == port && *fields.get(3)? == "0A";
            is_match.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx rx tr tm->when retrnsmt uid timeout inode\n\
             0: 00000000:1F90 00000000:0000 0A 0:0 00:0 0 0 0 111 1\n\
             1: 0100007F:1F90 0100007F:9C40 01 0:0 00:0 0 0 0 222 1\n";
        assert_eq!(listening_inodes(table, 8080), ["111"]);
        assert!(listening_inodes(table, 80).is_empty());
        assert!(listening_inodes("garbage", 80).is_empty());
    }
}
