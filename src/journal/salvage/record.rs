//! A record of SQLite decoded, and the table that its checksum says it is a row of.

use rusqlite::types::{Value, ValueRef};

use super::pages::{Cell, number};
use crate::journal::sum::{self, TABLES, Table};

/// A row that is what was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub table: &'static str,
    pub rowid: i64,
    /// In the order of the table's columns, with `sum` at the end.
    pub values: Vec<Value>,
}

impl Row {
    /// None when it is no row of ours, or not what was written.
    pub fn of(cell: &Cell) -> Option<Row> {
        let values = decode(&cell.record)?;
        let (Value::Integer(told), values) = values.split_last()? else {
            return None;
        };
        TABLES
            .iter()
            .filter(|table| table.columns.len() == values.len())
            .find_map(|table| {
                let mut values = values.to_vec();
                if table.is_keyed {
                    values[0] = Value::Integer(cell.rowid);
                }
                let sum = sum::of(table, values.iter().map(ValueRef::from));
                values.push(Value::Integer(*told));
                (sum == *told).then_some(Row {
                    table: table.name,
                    rowid: cell.rowid,
                    values,
                })
            })
    }

    /// An integer column; 0 where there is none.
    pub fn number(&self, table: &Table, column: &str) -> i64 {
        let at = table.columns.iter().position(|name| *name == column);
        match self.values.get(at.unwrap_or(usize::MAX)) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }

    pub fn text(&self, table: &Table, column: &str) -> &str {
        let at = table.columns.iter().position(|name| *name == column);
        match self.values.get(at.unwrap_or(usize::MAX)) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    pub fn sum(&self) -> i64 {
        match self.values.last() {
            Some(Value::Integer(sum)) => *sum,
            _ => 0,
        }
    }
}

fn decode(record: &[u8]) -> Option<Vec<Value>> {
    let (end, mut at) = number(record, 0)?;
    let end = usize::try_from(end)
        .ok()
        .filter(|&end| end <= record.len())?;
    let (mut body, mut values) = (end, Vec::new());
    while at < end {
        let (kind, next) = number(record, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = record.get(body..body.checked_add(length)?)?;
        body += length;
        values.push(match kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            1..=6 => Value::Integer(integer(bytes)),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
    }
    Some(values)
}

/// Big-endian, with its sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    bytes
        .iter()
        .fold(start, |value, &byte| value << 8 | i64::from(byte))
}
