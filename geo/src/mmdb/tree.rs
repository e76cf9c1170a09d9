//! Whether a search tree is a tree.
//!
//! A reader walks whatever it is given, and a walk of nodes that loop, or that fan out into the
//! same nodes again and again, does not end in anyone's lifetime. So the shape is checked before,
//! in one pass over the nodes.

use maxminddb::Metadata;

/// The depth of `::/96`, under which a tree of version 6 keeps IPv4.
const V4_DEPTH: usize = 96;

/// The first node with more than one parent (or with one, if it is the root), if there is any.
/// Only the root of the IPv4 space may have more: from its aliases.
///
/// The nodes must lie within the bytes, as the reader has checked.
pub(super) fn shared_node(bytes: &[u8], metadata: &Metadata) -> Option<usize> {
    let nodes = metadata.node_count as usize;
    let child = |node, side| record(bytes, metadata.record_size, node, side);
    let zeros = std::iter::successors(Some(0), |&node| (node < nodes).then(|| child(node, 0)));
    let mut zeros: Vec<usize> = zeros.take(V4_DEPTH + 1).collect();
    let v4_root = zeros.pop().filter(|root| metadata.ip_version == 6 && !zeros.contains(root));
    let mut has_parent = vec![false; nodes];
    has_parent[0] = true;
    let children = (0..nodes).flat_map(|node| [child(node, 0), child(node, 1)]);
    let mut inner = children.filter(|&child| child < nodes);
    inner.find(|&child| std::mem::replace(&mut has_parent[child], true) && Some(child) != v4_root)
}

/// One half of a node: another node's number, the number of nodes for nothing, or beyond that
/// a place in the data.
fn record(bytes: &[u8], record_size: u16, node: usize, side: usize) -> usize {
    let at = |index: usize| usize::from(bytes[index]);
    let three = |index: usize| at(index) << 16 | at(index + 1) << 8 | at(index + 2);
    match record_size {
        24 => three(node * 6 + side * 3),
        // The byte in the middle holds the top four bits of both.
        28 => {
            let middle = at(node * 7 + 3);
            let top = if side == 0 { middle >> 4 } else { middle & 15 };
            top << 24 | three(node * 7 + side * 4)
        }
        _ => {
            let first = node * 8 + side * 4;
            at(first) << 24 | three(first + 1)
        }
    }
}
