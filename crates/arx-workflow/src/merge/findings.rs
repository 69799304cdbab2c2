//! The rows of one source, in columns.

use arx_types::SinkError;

use super::assets::AssetIndex;
use super::column::Column;

/// Where a row belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) group: u32,
    pub(super) asset: AssetIndex,
}

/// The group of rows that do not count, because another reading of the row does.
const SUPERSEDED: u32 = u32::MAX;

impl Place {
    /// The group of a row that counts.
    pub(super) fn group(self) -> Option<usize> {
        (self.group != SUPERSEDED).then_some(self.group as usize)
    }
}

/// The rows of one source: 48 bytes each.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) digests: Column<[u8; 32]>,
    pub(super) places: Column<Place>,
    id_hashes: Column<u64>,
    /// Rows that do not count.
    superseded: usize,
}

/// How many parts the rows are looked through in for repetitions; more parts, less memory.
const PARTS: u64 = 16;

impl Findings {
    /// How many rows there are, repetitions included.
    pub(super) fn n_rows(&self) -> usize {
        self.places.len()
    }

    /// How many rows count.
    pub(super) fn len(&self) -> usize {
        self.n_rows() - self.superseded
    }

    pub(super) fn push(
        &mut self,
        id_hash: u64,
        digest: [u8; 32],
        place: Place,
        limit: usize,
    ) -> Result<(), SinkError> {
        if self.n_rows() >= limit.min(u32::MAX as usize) {
            return Err(SinkError::TooMany { what: "findings", limit });
        }
        self.digests.push(digest);
        self.places.push(place);
        self.id_hashes.push(id_hash);
        Ok(())
    }

    /// The rows that count, each with the hash of its identifier.
    pub(super) fn counting(&self) -> impl Iterator<Item = (u64, [u8; 32], Place)> + '_ {
        let rows = self.id_hashes.iter().zip(self.digests.iter()).zip(self.places.iter());
        rows.map(|((id_hash, digest), place)| (id_hash, digest, place))
            .filter(|(_, _, place)| place.group().is_some())
    }

    /// Finds the rows that were read more than once, and lets one reading of each count: the one
    /// with the smallest digest, whichever came first. Gives how many it set aside.
    ///
    /// Looking for them once, at the end, spares a hash table of all rows.
    pub(super) fn settle(&mut self) -> u64 {
        let before = self.superseded;
        let mut part_of: Vec<(u64, u32)> = Vec::new();
        for part in 0..PARTS {
            part_of.clear();
            let rows = (0_u32..).zip(self.id_hashes.iter().zip(self.places.iter()));
            part_of.extend(
                rows.filter(|(_, (hash, place))| hash % PARTS == part && place.group().is_some())
                    .map(|(at, (hash, _))| (hash, at)),
            );
            part_of.sort_unstable();
            for readings in part_of.chunk_by(|left, right| left.0 == right.0) {
                self.keep_smallest(readings);
            }
        }
        (self.superseded - before) as u64
    }

    fn keep_smallest(&mut self, readings: &[(u64, u32)]) {
        if readings.len() < 2 {
            return;
        }
        let kept = readings.iter().min_by_key(|(_, at)| self.digests.get(*at as usize));
        let Some((_, kept)) = kept.copied() else { return };
        for (_, at) in readings.iter().filter(|(_, at)| *at != kept) {
            if let Some(place) = self.places.get_mut(*at as usize) {
                place.group = SUPERSEDED;
                self.superseded += 1;
            }
        }
    }

    /// Gives back what only [`Self::settle`] needs.
    pub(super) fn forget_ids(&mut self) {
        self.id_hashes = Column::default();
    }

    /// The rows that count, by group and within each group by digest.
    pub(super) fn ordered(&self, n_groups: usize) -> Ordered {
        // A counting sort: the ends of the groups, counted down to their starts while filling.
        let mut starts = vec![0_usize; n_groups];
        let groups = || self.places.iter().map(Place::group);
        for group in groups().flatten() {
            if let Some(count) = starts.get_mut(group) {
                *count += 1;
            }
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let ends = starts.clone();
        let mut order = vec![0_u32; total];
        for (at, group) in (0_u32..).zip(groups()) {
            if let Some(next) = group.and_then(|group| starts.get_mut(group)) {
                *next -= 1;
                if let Some(slot) = order.get_mut(*next) {
                    *slot = at;
                }
            }
        }
        let mut ordered = Ordered { order, ends };
        ordered.sort_groups(&self.digests);
        ordered
    }
}

/// Rows by group and within each group by digest.
pub(super) struct Ordered {
    order: Vec<u32>,
    /// Where each group ends.
    ends: Vec<usize>,
}

impl Ordered {
    /// The rows of one group.
    pub(super) fn group(&self, group: usize) -> &[u32] {
        let start = group.checked_sub(1).and_then(|at| self.ends.get(at)).copied().unwrap_or(0);
        let end = self.ends.get(group).copied().unwrap_or(start);
        self.order.get(start..end).unwrap_or_default()
    }

    /// On two threads, about as many rows each.
    fn sort_groups(&mut self, digests: &Column<[u8; 32]>) {
        let half = self.ends.partition_point(|end| *end < self.order.len() / 2);
        let (left_ends, right_ends) = self.ends.split_at(half);
        let middle = left_ends.last().copied().unwrap_or(0);
        let (left, right) = self.order.split_at_mut(middle);
        std::thread::scope(|scope| {
            scope.spawn(|| sort_each(left, 0, left_ends, digests));
            sort_each(right, middle, right_ends, digests);
        });
    }
}

/// Sorts each group of `rows`, which begin at `start` and end where `ends` says.
fn sort_each(rows: &mut [u32], start: usize, ends: &[usize], digests: &Column<[u8; 32]>) {
    let mut keyed: Vec<(u64, u32)> = Vec::new();
    let mut from = 0;
    for end in ends {
        let group = rows.get_mut(from..*end - start).unwrap_or_default();
        from = *end - start;
        // The first eight bytes decide nearly always, and lie together.
        keyed.clear();
        keyed.extend(group.iter().map(|at| (prefix(digests, *at), *at)));
        keyed.sort_unstable_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| {
                let digest = |at: u32| digests.get(at as usize);
                digest(left.1).cmp(&digest(right.1))
            })
        });
        for (slot, (_, at)) in group.iter_mut().zip(&keyed) {
            *slot = *at;
        }
    }
}

fn prefix(digests: &Column<[u8; 32]>, at: u32) -> u64 {
    let digest = digests.get(at as usize);
    digest.and_then(|digest| digest.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
