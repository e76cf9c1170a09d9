//! Ascending numbers side by side, in as few bytes each as they need.

use std::hash::Hasher;
use std::ops::Range;

/// A search among many looks at every 64th number first: those of all IPv6 fit a near cache, so
/// a search among a hundred thousand costs a trip to memory or two, not a dozen.
const STRIDE: usize = 64;

/// Up to here a plain search is faster: it is all that an IPv4 bucket can have at /24.
const FEW: usize = 256;

/// Numbers that ascend within each of the ranges that are searched.
#[derive(Debug)]
pub(crate) enum Column {
    U8(Sorted<u8>),
    U16(Sorted<u16>),
    U32(Sorted<u32>),
    U64(Sorted<u64>),
}

#[derive(Debug)]
pub(crate) struct Sorted<T> {
    numbers: Box<[T]>,
    fences: Box<[T]>,
}

/// Evaluates an expression for whatever width the column has.
macro_rules! for_any_width {
    ($column:expr, $sorted:ident => $result:expr) => {
        match $column {
            Column::U8($sorted) => $result,
            Column::U16($sorted) => $result,
            Column::U32($sorted) => $result,
            Column::U64($sorted) => $result,
        }
    };
}

impl Column {
    /// The bits per number in a column of numbers below 2^`bits`.
    pub(crate) fn width(bits: u8) -> u8 {
        bits.next_power_of_two().max(8)
    }

    /// A column of this width.
    pub(crate) fn new(numbers: &[u64], width: u8) -> Column {
        match width {
            8 => Column::U8(Sorted::new(numbers, |number| number as u8)),
            16 => Column::U16(Sorted::new(numbers, |number| number as u16)),
            32 => Column::U32(Sorted::new(numbers, |number| number as u32)),
            _ => Column::U64(Sorted::new(numbers, |number| number)),
        }
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> u64 {
        for_any_width!(self, sorted => sorted.get(row))
    }

    /// The last of these rows whose number is at most the wanted one. The first always is.
    #[inline]
    pub(crate) fn find(&self, rows: Range<usize>, wanted: u64) -> usize {
        match self {
            Column::U8(sorted) => sorted.find_octet(rows, wanted as u8),
            Column::U16(sorted) => sorted.find(rows, wanted),
            Column::U32(sorted) => sorted.find(rows, wanted),
            Column::U64(sorted) => sorted.find(rows, wanted),
        }
    }

    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        for_any_width!(self, sorted => {
            sorted.numbers.iter().for_each(|number| hasher.write(&number.to_le_bytes()));
        });
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        for_any_width!(self, sorted => {
            size_of_val(&*sorted.numbers) + size_of_val(&*sorted.fences)
        })
    }
}

impl Sorted<u8> {
    /// Of at most 256 rows, whose numbers differ: all are counted that are not greater, sixteen or
    /// more in a step, and nothing is guessed as in a search by halves.
    #[inline]
    fn find_octet(&self, rows: Range<usize>, wanted: u8) -> usize {
        let others = &self.numbers[rows.start + 1..rows.end];
        let not_greater = others.iter().map(|&number| u8::from(number <= wanted));
        rows.start + usize::from(not_greater.sum::<u8>())
    }
}

impl<T: Copy + Into<u64>> Sorted<T> {
    fn new(numbers: &[u64], narrow: impl Fn(u64) -> T) -> Sorted<T> {
        let numbers: Box<[T]> = numbers.iter().map(|&number| narrow(number)).collect();
        Sorted { fences: numbers.iter().copied().step_by(STRIDE).collect(), numbers }
    }

    #[inline]
    fn get(&self, row: usize) -> u64 {
        self.numbers[row].into()
    }

    #[inline]
    fn find(&self, rows: Range<usize>, wanted: u64) -> usize {
        let at_most = |number: &T| (*number).into() <= wanted;
        let Range { mut start, mut end } = rows;
        if end - start > FEW {
            let fences = start.div_ceil(STRIDE)..end.div_ceil(STRIDE);
            let behind = fences.start + self.fences[fences.clone()].partition_point(at_most);
            if behind > fences.start {
                start = (behind - 1) * STRIDE;
            }
            end = end.min(behind * STRIDE);
        }
        start + self.numbers[start + 1..end].partition_point(at_most)
    }
}
