use mini_buildpacks::{DirTree, Options, detect};
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    match detect(&DirTree::open(&dir).unwrap(), &Options::default()) {
        Ok(d) => {
            eprintln!(
                "{} {:?} {:?} {:?} start={:?} build={:?}\n  evidence {:#?}\n  warnings {:#?}",
                d.language,
                d.variant,
                d.package_manager,
                d.version,
                d.start,
                d.build,
                d.evidence,
                d.warnings
            );
            print!("{}", d.dockerfile);
        }
        Err(e) => {
            eprintln!("{}\n{}\n{}", e.what(), e.why(), e.next());
            std::process::exit(1)
        }
    }
}
