use super::*;
use crate::tree::leaf_hash;

#[test]
fn one_flipped_bit_is_found_and_two_are_not() {
    #[track_caller]
    fn check(flips: &[usize], expected: bool) {
        let text = b"{\"actor\":\"alice\"}";
        let mut damaged = text.to_vec();
        for at in flips {
            damaged[at / 8] ^= 1 << (at % 8);
        }
        let hash = leaf_hash(text);
        assert_eq!(one_bit_off(&damaged, |tried| leaf_hash(tried) == hash), expected, "{flips:?}");
    }
    check(&[0], true);
    check(&[7], true);
    check(&[135], true);
    check(&[3, 4], false);
    check(&[3, 100], false);
    let long = vec![0; FLIPPED_BYTES_MAX + 1];
    assert!(!one_bit_off(&long, |_| true), "too long to be tried");
}
