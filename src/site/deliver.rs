//! What `wod deliver` has to do on the host of a site.

use crate::deliver::{Facts, Item, Ledger, Manifest, Source};
use crate::templates::Renderer;

use super::{Misconfigured, Site};

impl Site {
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.state.deliver())
    }

    /// Every item of this host, in no order but that within a tag.
    pub fn deliver_items(&self) -> Result<Vec<Item>, Misconfigured> {
        let source = Source {
            dirs: self.settings.sys_dirs.clone(),
        };
        let renderer = Renderer::new(self.scope.clone());
        let facts = Facts {
            renderer: &renderer,
            ledger: self.ledger(),
        };
        let manifest = Manifest::read(&source, &facts).map_err(|problems| Misconfigured {
            inventory: "what wod deliver has to do".to_owned(),
            problems,
        })?;
        Ok(manifest.items)
    }
}
