//! Lists that successive plans share: one item is another, and one page is copied.
//!
//! ```text
//!   plan 1   ●─▶ [ 0 … 255 ] ◀─● plan 2      the page that changed is each one's own,
//!            ●─▶ [ 256 … ]                   all others are shared
//!                [ 256' … ]  ◀─●
//! ```
//!
//! What two lists do not share is also where alone they can differ: so a difference is found without a
//! look at what stayed.

use std::ops::Index;
use std::sync::Arc;

/// Items of one page. Of verdicts, which have 28 octets, copying a page costs about as much as copying
/// the pointers to all pages of 120,000.
const PAGE: usize = 256;

/// A list in pages, all of which but the last are full.
#[derive(Debug, Clone, PartialEq)]
pub struct Pages<T>(Vec<Arc<[T]>>);

impl<T> Pages<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        let last = self.0.last().map_or(0, |page| page.len());
        self.0.len().saturating_sub(1) * PAGE + last
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One item.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / PAGE)?.get(at % PAGE)
    }

    /// All items in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.into_iter()
    }

    /// Positions at which another list may have another item, or none: those of pages that the two do not
    /// share.
    pub fn apart<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let longer = self.len().max(other.len());
        let is_apart = |page: &usize| match (self.0.get(*page), other.0.get(*page)) {
            (Some(a), Some(b)) => !Arc::ptr_eq(a, b),
            _ => true,
        };
        let pages = (0..self.0.len().max(other.0.len())).filter(is_apart);
        pages.flat_map(move |page| page * PAGE..longer.min((page + 1) * PAGE))
    }
}

impl<T: Clone> Pages<T> {
    /// Replaces one item; its page is copied when others share it. There is nothing to be replaced behind
    /// the end.
    pub fn set(&mut self, at: usize, item: T) {
        let page = self.0.get_mut(at / PAGE).filter(|page| at % PAGE < page.len());
        if let Some(page) = page {
            Arc::make_mut(page)[at % PAGE] = item;
        }
    }

    /// Makes it so long, with copies of `item` at the end where it is shorter.
    pub fn resize(&mut self, length: usize, item: &T) {
        if length == self.len() {
            return;
        }
        // The page in which the shorter of both ends is made anew.
        let stay = length.min(self.len()) / PAGE;
        let rest: Vec<T> =
            self.iter().skip(stay * PAGE).take(length - stay * PAGE).cloned().collect();
        self.0.truncate(stay);
        let missing = length - stay * PAGE - rest.len();
        let more = rest.into_iter().chain(std::iter::repeat_n(item.clone(), missing));
        self.0.extend(more.collect::<Self>().0);
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter().peekable();
        let mut pages = Vec::new();
        while items.peek().is_some() {
            pages.push(items.by_ref().take(PAGE).collect());
        }
        Self(pages)
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.0[at / PAGE][at % PAGE]
    }
}

/// All items of a list in order.
#[derive(Debug)]
pub struct Iter<'a, T> {
    pages: std::slice::Iter<'a, Arc<[T]>>,
    page: std::slice::Iter<'a, T>,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone(), page: self.page.clone() }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(item);
            }
            self.page = self.pages.next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.pages.as_slice();
        let last = rest.last().map_or(0, |page| page.len());
        let length = self.page.len() + rest.len().saturating_sub(1) * PAGE + last;
        (length, Some(length))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Pages<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        Iter { pages: self.0.iter(), page: [].iter() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(length: usize) -> Pages<usize> {
        (0..length).collect()
    }

    #[test]
    fn pages_that_stay_are_shared() {
        let before = list(1000);
        let mut after = before.clone();
        after.set(300, 7);
        after.set(1000, 7);
        assert_eq!((before[300], after[300], after.len()), (300, 7, 1000));
        assert!(after.apart(&before).eq(256..512));
        assert!(before.apart(&before.clone()).next().is_none());
    }

    #[test]
    fn any_length_becomes_any_other() {
        let lengths = [0, 1, 255, 256, 257, 512, 700];
        for (from, to) in lengths.into_iter().flat_map(|from| lengths.map(|to| (from, to))) {
            let before = list(from);
            let mut after = before.clone();
            after.resize(to, &9999);
            let expected: Vec<usize> = (0..from.min(to)).chain((from..to).map(|_| 9999)).collect();
            assert!(after.iter().eq(&expected), "{from} to {to}");
            assert_eq!((after.len(), after.iter().len()), (to, to));
            assert_eq!(after, expected.into_iter().collect());
            let apart: Vec<usize> = after.apart(&before).collect();
            assert!((from.min(to)..from.max(to)).all(|at| apart.contains(&at)), "{from} to {to}");
            assert!(apart.iter().all(|at| *at < from.max(to)));
        }
    }
}
