//! The committed definitions are the ones the source makes.

use std::path::Path;

#[test]
fn the_generated_files_match_the_source() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    for file in ttsfleet_crds::generate().expect("the definitions serialise") {
        if std::env::var_os("TTSFLEET_UPDATE").is_some() {
            std::fs::write(folder.join(file.name), &file.text).expect("the folder is writable");
        }
        let committed = std::fs::read_to_string(folder.join(file.name)).unwrap_or_default();
        assert!(committed == file.text, "{} is out of date: run `cargo xtask generate`", file.name);
    }
}
