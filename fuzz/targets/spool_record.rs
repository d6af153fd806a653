//! Any bytes as a file in the spool: taken as a record that can be written again, or put aside.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wod::intake::spool::{Reader, Spool, Unusable};

const NAME: &str = "00000000000000000001-1-0123456789abcdef.action";

struct Place {
    dir: PathBuf,
    reader: Reader,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("wod-fuzz-spool-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let owner = {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&dir).unwrap().uid()
    };
    let reader = Reader::open(&dir, vec![owner]).unwrap();
    Place { dir, reader }
});

fuzz_target!(|bytes: &[u8]| {
    let Place { dir, reader } = &*PLACE;
    fs::write(dir.join(NAME), bytes).unwrap();
    let name = reader.pending(1).unwrap().remove(0);
    match reader.read(&name) {
        Ok(record) => {
            let again = Spool::open(dir).unwrap().put(&record).unwrap();
            assert_eq!(reader.read(&again).unwrap(), record);
            reader.remove(&again).unwrap();
        }
        Err(Unusable::Bad(line)) => {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        Err(other) => panic!("{other}"),
    }
    reader.remove(&name).unwrap();
});
