//! A checksum (CRC-32) over the values of one row, and the table that it belongs to.
//!
//! Each row has one, so that a byte that changed on the disk is seen, and a row that was found
//! somewhere in a damaged file is known for what it is.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, params};

use super::Result;

/// A table whose rows have a checksum in their last column, `sum`.
pub struct Table {
    pub name: &'static str,
    /// All but `sum`.
    pub columns: &'static [&'static str],
    /// The first column is the rowid itself.
    pub is_keyed: bool,
}

pub const ACTIONS: Table = Table {
    name: "actions",
    columns: &[
        "id",
        "accepted",
        "action",
        "first",
        "last",
        "verb",
        "message_id",
        "spooled",
        "route",
        "open",
        "tip",
    ],
    is_keyed: true,
};
pub const EVENTS: Table = Table {
    name: "events",
    columns: &["seq", "action", "at", "event", "before"],
    is_keyed: true,
};
pub const PASSWORDS: Table = Table {
    name: "passwords",
    columns: &["action", "student", "password"],
    is_keyed: false,
};
pub const OUTBOX: Table = Table {
    name: "outbox",
    columns: &["id", "at", "subject", "body", "tries"],
    is_keyed: true,
};
pub const SEATS: Table = Table {
    name: "seats",
    columns: &["student", "assigned", "password"],
    is_keyed: true,
};
pub const PARTICIPANTS: Table = Table {
    name: "participants",
    columns: &[
        "id",
        "student",
        "workshop",
        "email",
        "active",
        "cleaned",
        "completion",
    ],
    is_keyed: true,
};
pub const CAPACITIES: Table = Table {
    name: "capacities",
    columns: &["workshop", "seats"],
    is_keyed: false,
};
pub const HEAD: Table = Table {
    name: "head",
    columns: &["id", "tick", "action"],
    is_keyed: true,
};

pub const INCIDENTS: Table = Table {
    name: "incidents",
    columns: &[
        "id",
        "at",
        "student",
        "participant",
        "workshop",
        "response",
        "state",
        "findings",
        "done",
        "evidence",
        "latency_us",
    ],
    is_keyed: true,
};
pub const BANS: Table = Table {
    name: "bans",
    columns: &["participant", "since", "reason"],
    is_keyed: true,
};
pub const ALLOWANCES: Table = Table {
    name: "allowances",
    columns: &["rule", "workshop", "comment", "until"],
    is_keyed: false,
};

pub const TABLES: [&Table; 11] = [
    &ACTIONS,
    &EVENTS,
    &PASSWORDS,
    &OUTBOX,
    &SEATS,
    &PARTICIPANTS,
    &CAPACITIES,
    &HEAD,
    &INCIDENTS,
    &BANS,
    &ALLOWANCES,
];

/// What a row's `sum` has to be.
pub fn of<'v>(table: &Table, values: impl IntoIterator<Item = ValueRef<'v>>) -> i64 {
    let mut crc = update(!0, table.name.as_bytes());
    for value in values {
        crc = match value {
            ValueRef::Null => update(crc, b"n"),
            ValueRef::Integer(number) => update(update(crc, b"i"), &number.to_le_bytes()),
            ValueRef::Real(number) => update(update(crc, b"r"), &number.to_le_bytes()),
            ValueRef::Text(bytes) => counted(update(crc, b"t"), bytes),
            ValueRef::Blob(bytes) => counted(update(crc, b"b"), bytes),
        };
    }
    i64::from(!crc)
}

pub fn of_bytes(bytes: &[u8]) -> u32 {
    !update(!0, bytes)
}

/// Gives the rows that `which` finds the sum of what they hold now.
pub fn seal(t: &Connection, table: &Table, which: &str, these: impl Params) -> Result<()> {
    let (name, columns) = (table.name, table.columns.join(", "));
    let mut read = t.prepare_cached(&format!(
        "select rowid, {columns} from {name} where {which}"
    ))?;
    let mut rows = read.query(these)?;
    let mut sums = Vec::new();
    while let Some(row) = rows.next()? {
        let values: rusqlite::Result<Vec<_>> = (1..=table.columns.len())
            .map(|at| row.get_ref(at))
            .collect();
        sums.push((row.get::<_, i64>(0)?, of(table, values?)));
    }
    let mut write = t.prepare_cached(&format!("update {name} set sum = ?2 where rowid = ?1"))?;
    for (rowid, sum) in sums {
        write.execute(params![rowid, sum])?;
    }
    Ok(())
}

fn counted(crc: u32, bytes: &[u8]) -> u32 {
    update(update(crc, &(bytes.len() as u64).to_le_bytes()), bytes)
}

fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, &byte| {
        STEPS[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

const STEPS: [u32; 256] = steps();

const fn steps() -> [u32; 256] {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xEDB8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
            bit += 1;
        }
        all[byte] = crc;
        byte += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_of_everybody() {
        assert_eq!(of_bytes(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn no_value_runs_into_the_next() {
        let text = |words: &[&'static str]| {
            let values = words.iter().map(|word| ValueRef::Text(word.as_bytes()));
            of(&SEATS, values.collect::<Vec<_>>())
        };
        assert_ne!(text(&["ab", "c"]), text(&["a", "bc"]));
        assert_ne!(of(&SEATS, [ValueRef::Null]), of(&OUTBOX, [ValueRef::Null]));
        let number = of(&SEATS, [ValueRef::Integer(0)]);
        assert_ne!(number, of(&SEATS, [ValueRef::Null]));
    }
}
