//! Looks for the one flipped bit that explains a wrong hash.
//!
//! Memory and disks flip single bits; a person who changes a record changes its words. A leaf that
//! is right again with one bit turned back was damaged: nobody can find another text with that
//! hash.

#[cfg(test)]
mod tests;

use crate::tree::Hash;

/// Longer leaves are not tried: each bit costs a hash of the whole.
pub(crate) const FLIPPED_BYTES_MAX: usize = 4096;

/// Says whether flipping one bit of `bytes` makes them fit.
pub(crate) fn one_bit_off(bytes: &[u8], fits: impl Fn(&[u8]) -> bool) -> bool {
    if bytes.len() > FLIPPED_BYTES_MAX {
        return false;
    }
    let mut tried = bytes.to_vec();
    for at in 0..tried.len() {
        for bit in 0..8 {
            let Some(byte) = tried.get_mut(at) else { return false };
            *byte ^= 1 << bit;
            if fits(&tried) {
                return true;
            }
            if let Some(byte) = tried.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }
    false
}

/// Says whether two hashes differ in exactly one bit.
pub(crate) fn differ_in_one_bit(one: &Hash, other: &Hash) -> bool {
    one.0.iter().zip(&other.0).map(|(one, other)| (one ^ other).count_ones()).sum::<u32>() == 1
}
