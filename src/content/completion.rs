//! How far a participant came: executed code cells of all code cells. Pure.
//!
//! The notebooks are the student's: they may hold anything.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Code cells of one or several notebooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ratio {
    pub executed: u64,
    pub cells: u64,
}

impl Ratio {
    /// Whole percent, rounded down; 0 when there are no code cells.
    pub fn percent(self) -> u8 {
        let percent = self.executed * 100 / self.cells.max(1);
        u8::try_from(percent).unwrap_or(100)
    }

    pub fn add(&mut self, other: Ratio) {
        self.executed += other.executed;
        self.cells += other.cells;
    }
}

#[derive(Deserialize)]
struct Notebook {
    #[serde(default)]
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(default)]
    cell_type: Option<CellType>,
    #[serde(default)]
    execution_count: Option<IgnoredAny>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum CellType {
    Code,
    #[serde(other)]
    Other,
}

/// None when the text is no notebook; such a file does not count.
pub fn count_cells(notebook: &[u8]) -> Option<Ratio> {
    let notebook: Notebook = serde_json::from_slice(notebook).ok()?;
    let code = notebook
        .cells
        .iter()
        .filter(|cell| cell.cell_type == Some(CellType::Code));
    let mut ratio = Ratio::default();
    for cell in code {
        ratio.cells += 1;
        ratio.executed += u64::from(cell.execution_count.is_some());
    }
    Some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_cells_count() {
        let notebook = br#"{"cells":[
            {"cell_type":"markdown","source":[]},
            {"cell_type":"code","execution_count":null,"source":["x"]},
            {"cell_type":"code","execution_count":3},
            {"cell_type":"code"},
            {"cell_type":"raw","execution_count":4}],"nbformat":4}"#;
        let ratio = count_cells(notebook).unwrap();
        assert_eq!((ratio.executed, ratio.cells), (1, 3));
        assert_eq!(ratio.percent(), 33);
    }

    #[test]
    fn anything_else_is_no_notebook() {
        for junk in [
            &b""[..],
            b"[]]",
            b"{\"cells\":7}",
            b"\xff\xfe",
            &[b'['; 100_000],
        ] {
            assert_eq!(count_cells(junk), None);
        }
        assert_eq!(count_cells(b"{}").unwrap().percent(), 0);
    }
}
