use super::*;
use crate::testing::Fixture;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn it_is_made_for_its_owner_alone_with_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    let state = StateDir::open(&path).unwrap();
    assert_eq!((mode(&path), mode(&state.key_file())), (0o700, 0o600));
    let key = state.signing_key().unwrap();
    let again = StateDir::open(&path).unwrap().signing_key().unwrap();
    assert_eq!(key.vkey(), again.vkey());
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no probe is left behind");
}

#[test]
fn what_others_can_write_or_read_is_refused() {
    #[track_caller]
    fn check(directory_mode: u32, key_mode: u32, expected: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let state = StateDir::open(&path).unwrap();
        set_mode(&state.key_file(), key_mode);
        set_mode(&path, directory_mode);
        let refused = StateDir::open(&path).err();
        let said = refused.map(|error| format!("{error}; {}", error.hint().unwrap()));
        let expected = expected.map(|text| text.replace("{s}", &path.to_string_lossy()));
        assert_eq!(said, expected);
    }
    check(0o700, 0o600, None);
    check(0o755, 0o400, None);
    check(0o770, 0o600, Some("`{s}` is open to other users (mode 0770); chmod 700 {s}"));
    check(0o1777, 0o600, Some("`{s}` is open to other users (mode 1777); chmod 700 {s}"));
    let key = "`{s}/audit.key` is open to other users (mode 0640); chmod 600 {s}/audit.key";
    check(0o700, 0o640, Some(key));
}

#[test]
fn a_place_that_cannot_be_written_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateDir::open(&file.join("state")).unwrap_err();
    assert!(matches!(error, JournalError::Io { doing: "create", .. }), "{error:?}");

    // The superuser may write anywhere but where nothing can be written.
    let read_only = directory.path().join("read-only");
    fs::create_dir(&read_only).unwrap();
    set_mode(&read_only, 0o500);
    let is_superuser = File::create(read_only.join("probe")).is_ok();
    let refusing = if is_superuser { Path::new("/proc/self") } else { &read_only };
    let error = StateDir::open(refusing).unwrap_err();
    assert!(
        matches!(error, JournalError::ReadOnly { .. } | JournalError::Io { doing: "write", .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&*refusing.to_string_lossy()), "{error}");
}

#[test]
fn a_journal_without_its_key_is_not_given_another() {
    let fixture = Fixture::new();
    drop(fixture.open().unwrap());
    let state = fixture.state();
    fs::remove_file(state.key_file()).unwrap();
    let error = StateDir::open(state.path()).unwrap_err();
    let path = state.key_file();
    assert_eq!(error.to_string(), format!("signing key `{}`: it is missing", path.display()));
    assert!(!path.exists());
}
