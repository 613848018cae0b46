//! A repository of files, each `NAME NUL CONTENT NUL`: detected or refused, never with a line in the Dockerfile that came from
//! outside.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use mini_buildpacks::{DetectError, MapTree, Options, detect, dockerfile};

/// What lines of our Dockerfiles begin with. Instructions that no template has are left out: they are what an injected line would
/// be seen by (the dictionary has some).
const OURS: [&str; 13] = [
    "FROM ",
    "RUN ",
    "COPY ",
    "ENV ",
    "WORKDIR ",
    "USER ",
    "CMD [",
    "ARG ",
    "STOPSIGNAL ",
    "ENTRYPOINT [",
    "EXPOSE ",
    "#",
    " ",
];

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut tree = MapTree::new();
    let mut files = 0;
    while let (Some(name), Some(content)) = (parts.next(), parts.next()) {
        let name = String::from_utf8_lossy(name);
        // What every implementation of a tree promises of its paths.
        let is_path = |part: &str| !matches!(part, "" | "." | "..");
        if !name.split('/').all(is_path) {
            return Corpus::Reject;
        }
        tree = tree.with(name, content);
        files += 1;
    }
    if files == 0 {
        return Corpus::Reject;
    }
    let options = Options::default();
    let found = detect(&tree, &options);
    match &found {
        Ok(detection) if detection.dockerfile_path.is_none() => {
            let is_ours =
                |line: &&str| line.is_empty() || OURS.iter().any(|ours| line.starts_with(ours));
            let stray = detection.dockerfile.split('\n').find(|line| !is_ours(line));
            assert_eq!(stray, None, "{}", detection.dockerfile);
            assert!(
                !detection.dockerfile.contains('\r'),
                "{:?}",
                detection.dockerfile
            );
            assert_eq!(
                dockerfile::read(&detection.dockerfile).base_images,
                detection.base_images
            );
        }
        Ok(_) => {}
        Err(DetectError::BrokenBuildpack { name, problem }) => panic!("{name}: {problem}"),
        Err(error) => {
            for text in [error.what(), error.why(), error.next()] {
                assert!(
                    !text.is_empty() && !text.contains(char::is_control),
                    "{text:?}"
                );
            }
        }
    }
    let again = detect(&tree, &options);
    assert_eq!(
        format!("{found:?}"),
        format!("{again:?}"),
        "twice the same repository"
    );
    Corpus::Keep
});
