//! What was over long ago leaves the journal, a few actions at a time.

use rusqlite::params;

use crate::domain::{ActionId, Time};

use super::{Durability, Journal, Result};

impl Journal {
    /// The oldest of those that were accepted and over before that time, at most `most`.
    pub fn outdated(&self, before: Time, most: u32) -> Result<Vec<ActionId>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "select id from actions where not open and accepted < ?1
             and not exists (select 1 from events where action = actions.id and at >= ?1)
             order by id limit ?2",
        )?;
        let rows = statement.query_map(params![before.0, most], |row| row.get(0).map(ActionId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Removes these with all that is known of them; those that are not over stay.
    pub fn prune(&self, ids: &[ActionId]) -> Result<()> {
        self.write(Durability::Process, |t| {
            for id in ids {
                t.prepare_cached(
                    "delete from events where action in
                     (select id from actions where id = ?1 and not open)",
                )?
                .execute([id.0])?;
                t.prepare_cached("delete from actions where id = ?1 and not open")?
                    .execute([id.0])?;
            }
            Ok(())
        })
    }
}
