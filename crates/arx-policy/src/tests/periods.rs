use crate::Period;

#[test]
fn periods_are_numbers_with_units_from_long_to_short() {
    #[track_caller]
    fn check(text: &str, expected: Result<(u64, &str), &str>) {
        let parsed = text.parse::<Period>();
        match expected {
            Ok((ms, canonical)) => {
                let period = parsed.unwrap();
                assert_eq!((period.as_ms(), period.to_string().as_str()), (ms, canonical));
                assert_eq!(canonical.parse::<Period>().unwrap(), period);
            }
            Err(message) => assert_eq!(parsed.unwrap_err().to_string(), message),
        }
    }
    check("0", Ok((0, "0s")));
    check("90s", Ok((90_000, "1m30s")));
    check("15m", Ok((900_000, "15m")));
    check("1h30m", Ok((5_400_000, "1h30m")));
    check("2d", Ok((172_800_000, "2d")));
    check("250ms", Ok((250, "250ms")));
    check("1d2h3m4s5ms", Ok((93_784_005, "1d2h3m4s5ms")));
    check("366d", Ok((31_622_400_000, "366d")));
    check("367d", Err("`367d` is longer than 366 days"));
    check("99999999999999999999h", Err("`99999999999999999999h` is longer than 366 days"));
    for text in ["", "h", "1", "1.5h", "30m1h", "1h1h", "1 h", "-1h", "1H", "1w", "1hour", "é"] {
        check(text, Err(&format!("`{text}` is not a duration")));
    }
}
