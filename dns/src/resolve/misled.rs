//! Two of the deliberate defects of [`mutation`](crate::mutation): wildcards that stand in for
//! names they must not (RFC 4592 §2.2.1, §3.3.1).

use super::walk::Walk;
use crate::name::{LowerName, NameRef};
use crate::zone::{Kind, Node, ZoneId};

impl<'z, F: Fn(ZoneId) -> bool> Walk<'z, '_, F> {
    /// What stands at `name` for who is mistaken: instead of `node`, an ancestor with a wildcard,
    /// and no node at the name itself.
    pub(super) fn misled(
        &self,
        name: &LowerName,
        node: &'z Node,
        depth: usize,
        exact: bool,
    ) -> (&'z Node, bool) {
        let past = mutated!(WildcardPastEncloser) && !exact;
        let lacks_type = self.table.slot(node, self.qtype).is_none();
        let existing = mutated!(WildcardForExistingName) && exact && lacks_type;
        if node.kind != Kind::Data || !(past || existing) {
            return (node, exact);
        }
        let ancestors = (0..depth + usize::from(past)).rev();
        let mut above = LowerName::new();
        for depth in ancestors {
            above.read(NameRef::from_checked(name.suffix(depth)));
            let ancestor = self.table.node(self.table.seek(&above).0);
            if ancestor.kind == Kind::Data && self.table.wildcard(ancestor).is_some() {
                return (ancestor, false);
            }
        }
        (node, exact)
    }
}
