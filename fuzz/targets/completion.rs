//! Any bytes as a student's notebook.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wod::content::count_cells;

fuzz_target!(|notebook: &[u8]| {
    if let Some(ratio) = count_cells(notebook) {
        assert!(ratio.executed <= ratio.cells && ratio.percent() <= 100);
    }
});
