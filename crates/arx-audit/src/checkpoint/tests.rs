use proptest::prelude::*;

use super::*;
use crate::{sample, tree::leaf_hash};

fn key() -> SigningKey {
    SigningKey::generate(sample::SEED).unwrap()
}

#[test]
fn a_signed_checkpoint_reads_back() {
    let (key, root) = (key(), leaf_hash(b"x"));
    let note = key.sign_checkpoint(42, root).unwrap();
    let expected = Checkpoint { origin: key.origin().to_owned(), size: 42, root };
    assert_eq!(verify_checkpoint(key.vkey(), &note).unwrap(), expected);
}

#[test]
fn a_key_survives_its_file() {
    let key = key();
    let mut file = key.encode().expose_secret().to_owned();
    file.push('\n');
    let again = SigningKey::parse(&SecretString::from(file)).unwrap();
    assert_eq!(again.vkey(), key.vkey());
    assert_eq!(again.origin(), key.origin());
    let root = leaf_hash(b"x");
    assert_eq!(again.sign_checkpoint(1, root).unwrap(), key.sign_checkpoint(1, root).unwrap());
}

#[test]
fn the_origin_is_a_valid_key_name_of_its_own() {
    let (one, two) = (key(), SigningKey::generate([7; 32]).unwrap());
    assert_ne!(one.origin(), two.origin());
    assert_eq!(origin_of(one.vkey()).unwrap(), one.origin());
    let id = one.origin().strip_prefix("arx/").unwrap();
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert!(signed_note::is_key_name_valid(one.origin()));
}

#[test]
fn the_private_key_is_never_shown() {
    let key = key();
    let secret = BASE64_STANDARD.encode(sample::SEED);
    let shown = format!("{key:?} {:?}", key.encode());
    assert!(!shown.contains("PRIVATE") && !shown.contains(&secret[..16]), "{shown}");
    let bad = key.encode().expose_secret().replace("PRIVATE", "PRIVATF");
    let error = SigningKey::parse(&SecretString::from(bad.clone())).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&bad[bad.len() - 44..]));
}

#[track_caller]
fn check_key(spoil: impl Fn(&str) -> String, expected: &str) {
    let vkey = spoil(key().vkey());
    let error = origin_of(&vkey).unwrap_err().to_string();
    assert_eq!(error, format!("public key `{vkey}` is malformed: {expected}"));
}

#[test]
fn malformed_public_keys_are_refused() {
    let format = "it is not `name+id+key`";
    check_key(|_| String::new(), format);
    check_key(|vkey| vkey.replace('+', "-"), format);
    check_key(|vkey| vkey.replacen("arx/", "arx /", 1), format);
    check_key(|vkey| vkey.replacen("arx/", "arx//", 1), "its id is not that of its name and key");
    let of = |bytes: &[u8], alg: u8| {
        let encoded = [&[alg], bytes].concat();
        let id = signed_note::key_id("arx/x", &encoded);
        format!("arx/x+{id:08x}+{}", BASE64_STANDARD.encode(encoded))
    };
    check_key(|_| of(&[1; 32], 4), "it is not an Ed25519 key");
    check_key(|_| of(&[1; 31], 1), format);
    // The neutral element, under which one signature fits every message.
    let mut weak = [0; 32];
    weak[0] = 1;
    check_key(|_| of(&weak, 1), "it is a weak key");
    let upper = |vkey: &str| {
        let (id, upper) = (&vkey[13..21], vkey[13..21].to_uppercase());
        vkey.replacen(id, &upper, 1)
    };
    check_key(upper, "it is not in its canonical spelling");
}

#[track_caller]
fn check_note(note: &str, expected: &str) {
    let error = verify_checkpoint(key().vkey(), note).unwrap_err().to_string();
    assert_eq!(error, expected);
}

#[test]
fn what_is_not_our_checkpoint_is_refused() {
    let key = key();
    let name = &key.vkey()[..21];
    let note = key.sign_checkpoint(42, leaf_hash(b"x")).unwrap();
    let not_ours = format!("checkpoint is not signed by `{name}`");
    check_note("", "checkpoint is not a signed note");
    check_note(&"x".repeat(NOTE_BYTES_MAX + 1), "checkpoint is not a signed note");
    check_note(note.trim_end(), "checkpoint is not a signed note");
    let other = SigningKey::generate([7; 32]).unwrap();
    check_note(&other.sign_checkpoint(42, leaf_hash(b"x")).unwrap(), &not_ours);
    check_note(
        &note.replace("\n42\n", "\n43\n"),
        &format!("signature of the checkpoint by `{name}` does not verify"),
    );
    let sign = |text: &str| {
        let mut note = Note::new(text.as_bytes(), &[]).unwrap();
        note.add_sigs(&[&key.signer]).unwrap();
        String::from_utf8(note.to_bytes()).unwrap()
    };
    check_note(&sign("any text\n"), "signed text is not a checkpoint");
    let root = leaf_hash(b"x");
    check_note(
        &sign(&format!("arx/other\n1\n{root}\n")),
        &format!("checkpoint is of the log `arx/other`, the key of `{}`", key.origin()),
    );
    check_note(
        &sign(&format!("{}\n{}\n{root}\n", key.origin(), u64::MAX)),
        "signed text is not a checkpoint",
    );
}

#[test]
fn a_witness_may_sign_too() {
    let (key, witness) = (key(), SigningKey::generate([7; 32]).unwrap());
    let note = key.sign_checkpoint(42, leaf_hash(b"x")).unwrap();
    let mut both = Note::from_bytes(note.as_bytes()).unwrap();
    both.add_sigs(&[&witness.signer]).unwrap();
    let both = String::from_utf8(both.to_bytes()).unwrap();
    assert_eq!(
        verify_checkpoint(key.vkey(), &both).unwrap(),
        verify_checkpoint(key.vkey(), &note).unwrap()
    );
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_checkpoint_is_found(
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let key = key();
        let mut note = key.sign_checkpoint(1234, leaf_hash(b"x")).unwrap().into_bytes();
        let place = place.index(note.len());
        note[place] ^= flip;
        // What is not text cannot even be given to the check.
        if let Ok(note) = String::from_utf8(note) {
            prop_assert!(verify_checkpoint(key.vkey(), &note).is_err());
        }
    }
}
