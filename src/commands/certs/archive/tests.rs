use tar::{Builder, Header};

use super::*;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";

/// An archive of files, each with its kind of entry.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        if *kind == EntryType::Symlink || *kind == EntryType::Link {
            header.set_link_name("/etc/ssl/private/other.key").unwrap();
        }
        // Set as it is: the builder would refuse `..`.
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn files(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<(&str, EntryType, &[u8])> = entries
        .iter()
        .map(|(path, text)| (*path, EntryType::Regular, text.as_bytes()))
        .collect();
    archive(&entries)
}

fn found(entries: &[(&str, &str)]) -> (String, String) {
    let pair = read(&files(entries)).unwrap();
    (pair.chain, pair.key.reveal().to_owned())
}

fn refusal(archive: &[u8]) -> String {
    match read(archive) {
        Ok(_) => "taken".to_owned(),
        Err(problem) => format!("{}: {}", problem.what, problem.why),
    }
}

#[test]
fn the_two_are_found_at_the_top_or_one_folder_down() {
    let expected = (CERTIFICATE.to_owned(), KEY.to_owned());
    for names in [
        ["server.crt", "server.key"],
        ["./server.crt", "./server.KEY"],
        ["tls/fullchain.pem", "tls/privkey.pem"],
        ["./tls/a.cer", "b.key"],
    ] {
        let entries = [
            ("README", "not looked at"),
            ("._server.crt", "macOS"),
            (names[0], CERTIFICATE),
            (names[1], KEY),
            ("a/b/other.key", "too deep"),
        ];
        assert_eq!(found(&entries), expected, "{names:?}");
    }
}

#[test]
fn a_key_beside_the_certificate_in_its_file_is_not_kept_with_it() {
    let both = format!("{KEY}{CERTIFICATE}Bag Attributes\n{CERTIFICATE}");
    let (chain, _) = found(&[("server.pem", &both), ("server.key", KEY)]);
    assert_eq!(chain, format!("{CERTIFICATE}{CERTIFICATE}"));
    // Nor when the certificate before it has no end.
    let cut = CERTIFICATE.replace("-----END CERTIFICATE-----\n", "");
    let run_on = format!("{cut}{KEY}{CERTIFICATE}");
    assert_eq!(certificates_in(&run_on), CERTIFICATE);
    assert_eq!(certificates_in(&format!("{cut}{KEY}")), "");
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let two = [
        ("a.crt", CERTIFICATE),
        ("b/b.crt", CERTIFICATE),
        ("s.key", KEY),
    ];
    assert_eq!(
        refusal(&files(&two)),
        "The archive holds more than one certificate: a.crt, b/b.crt"
    );
    let keys = [("a.crt", CERTIFICATE), ("a.key", KEY), ("b.pem", KEY)];
    assert_eq!(
        refusal(&files(&keys)),
        "The archive holds more than one private key: a.key, b.pem"
    );
    assert!(refusal(&files(&[("a.key", KEY)])).starts_with("The archive holds no certificate: "));
    assert!(
        refusal(&files(&[("a.crt", CERTIFICATE)]))
            .starts_with("The archive holds no private key: ")
    );
    assert!(refusal(b"").starts_with("No certificate was given"));
    assert!(refusal(CERTIFICATE.as_bytes()).contains("it is no tar archive"));
    assert!(refusal(b"\x1f\x8b\x08\0").contains("it is compressed"));
}

#[test]
fn a_hostile_archive_is_refused() {
    let with = |path: &str, kind: EntryType| {
        refusal(&archive(&[
            ("a.crt", EntryType::Regular, CERTIFICATE.as_bytes()),
            (path, kind, b""),
        ]))
    };
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Fifo,
    ] {
        assert!(
            with("a.key", kind).contains("`a.key` is not a plain file"),
            "{kind:?}"
        );
    }
    // A sparse file, whose holes could be of any length: the map of this one is damaged as well.
    assert!(with("a.key", EntryType::GNUSparse).contains("damaged"));
    assert!(with("../../b.key", EntryType::Regular).contains("no private key"));
    assert!(with("x\n.key", EntryType::Link).contains("`x\\n.key`"));

    let large = "x".repeat(FILE_LIMIT + 1);
    assert!(refusal(&files(&[("a.crt", &large)])).contains("`a.crt` is too large"));
    // A header that promises more than there is.
    let mut cut = files(&[("a.crt", &large)]);
    cut.truncate(1024);
    assert!(refusal(&cut).contains("it is no tar archive, or damaged"));
    assert!(
        refusal(&archive(&[("a.crt", EntryType::Regular, b"\xff\xfe")]))
            .contains("is not in PEM form")
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_changed_archive_is_answered(at in 0usize..3072, byte in proptest::num::u8::ANY) {
        let mut bytes = files(&[("a.crt", CERTIFICATE), ("a.key", KEY)]);
        if let Some(changed) = bytes.get_mut(at) {
            *changed = byte;
        }
        let _ = read(&bytes);
    }
}
